"""What a page sends to have a strategy's parameters searched, and gets back."""

from typing import Any

from rest_framework import serializers

from apps.backtest.serializers import LOOK_AHEAD_VERDICTS, BacktestInputSerializer, JobSerializer
from apps.backtest.services.search_space import MAX_RUNS

OBJECTIVES = ["sharpe", "sortino", "calmar", "net_return", "profit_factor"]  # names of `domain.backtest.metrics`
SAMPLERS = ["grid", "optuna"]


class SweepInputSerializer(BacktestInputSerializer):
    """`space` names the parameters that vary: a list of values, or `{min, max, step}`.

    `sampler`: the whole grid, or `runs` combinations that Optuna chooses.
    """

    space = serializers.DictField()
    sampler = serializers.ChoiceField(choices=SAMPLERS, default="grid")
    runs = serializers.IntegerField(min_value=2, max_value=MAX_RUNS, default=100)
    objective = serializers.ChoiceField(choices=OBJECTIVES, default="sharpe")
    split_ratio = serializers.FloatField(min_value=0.3, max_value=0.9, default=0.7)
    windows = serializers.IntegerField(min_value=1, max_value=12, default=1)


class SweepProofSerializer(serializers.Serializer[Any]):
    """With which parameters causality was proved whole first, and how many combinations were."""

    params = serializers.DictField()
    runs = serializers.IntegerField()


class SweepWindowSerializer(serializers.Serializer[Any]):
    """The best of a window; the stretches are [from, to] in ms. `verdict` is of its own proof."""

    window = serializers.IntegerField()
    in_sample = serializers.ListField(child=serializers.IntegerField())
    out_of_sample = serializers.ListField(child=serializers.IntegerField())
    best = serializers.IntegerField(allow_null=True)
    params = serializers.DictField(allow_null=True)
    out_of_sample_return = serializers.FloatField(allow_null=True)
    verdict = serializers.ChoiceField(choices=LOOK_AHEAD_VERDICTS, allow_null=True)


class SweepResultsSerializer(serializers.Serializer[Any]):
    windows = SweepWindowSerializer(many=True)
    out_of_sample_return = serializers.FloatField()
    failed_runs = serializers.IntegerField()
    proof = SweepProofSerializer(allow_null=True)


class SweepSerializer(JobSerializer):
    """One search; `results` is null until it is done."""

    sampler = serializers.ChoiceField(choices=SAMPLERS)
    space = serializers.DictField()
    objective = serializers.ChoiceField(choices=OBJECTIVES)
    split_ratio = serializers.FloatField()
    windows = serializers.IntegerField()
    total_runs = serializers.IntegerField()
    done_runs = serializers.IntegerField()
    results = SweepResultsSerializer(allow_null=True)


class SweepRunSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    window = serializers.IntegerField()
    params = serializers.DictField()
    score = serializers.FloatField(allow_null=True)
    in_sample = serializers.DictField()
    out_of_sample = serializers.DictField()
    error = serializers.CharField()


class SweepDetailSerializer(SweepSerializer):
    """With every combination played so far, best score first."""

    runs = SweepRunSerializer(many=True)
