"""What the strategies' page sends and gets."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.strategies.models import Strategy, StrategyVersion
from domain.strategies.params import ParamType, declared_params
from domain.strategies.syntax import MAX_CODE_BYTES
from domain.timeframes import Timeframe

TIMEFRAMES = [timeframe.value for timeframe in Timeframe]


class ParamSpecSerializer(serializers.Serializer[Any]):
    """A tunable value of `STRATEGY_PARAMS`; bounds and step of numbers, choices of a choice."""

    name = serializers.CharField()
    label = serializers.CharField()
    type = serializers.ChoiceField(choices=[kind.value for kind in ParamType])
    default = serializers.JSONField()
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    step = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())


def param_bodies(code: str) -> list[dict[str, Any]]:
    """Return what a text lets its user tune, read without running it."""
    return [
        {
            "name": spec.name,
            "label": spec.label,
            "type": spec.type.value,
            "default": spec.default,
            "min": spec.minimum,
            "max": spec.maximum,
            "step": spec.step,
            "choices": list(spec.choices),
        }
        for spec in declared_params(code).specs
    ]


class StrategySerializer(serializers.ModelSerializer[Strategy]):
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")
    # Indentation is meaning: the text is kept as it was typed.
    code = serializers.CharField(max_length=MAX_CODE_BYTES, trim_whitespace=False)

    params = serializers.SerializerMethodField()
    version = serializers.IntegerField(read_only=True, default=None, allow_null=True)

    class Meta:
        model = Strategy
        fields = (
            "id",
            "name",
            "description",
            "code",
            "timeframe",
            "params",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "created_at", "updated_at")

    @extend_schema_field(ParamSpecSerializer(many=True))
    def get_params(self, strategy: Strategy) -> list[dict[str, Any]]:
        return param_bodies(strategy.code)


class VersionSerializer(serializers.ModelSerializer[StrategyVersion]):
    class Meta:
        model = StrategyVersion
        fields = ("number", "code", "created_at")


class ExampleSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    description = serializers.CharField()
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)
    code = serializers.CharField()
    params = serializers.SerializerMethodField()

    @extend_schema_field(ParamSpecSerializer(many=True))
    def get_params(self, example: Any) -> list[dict[str, Any]]:
        return param_bodies(example.code)


class IndicatorSerializer(serializers.Serializer[Any]):
    """A function of `ta`; `columns` when it answers a table rather than one series, `label` for the common ones."""

    name = serializers.CharField()
    label = serializers.CharField(allow_blank=True)
    category = serializers.CharField()
    arguments = serializers.ListField(child=serializers.CharField())
    columns = serializers.BooleanField()


class CodeSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=MAX_CODE_BYTES, trim_whitespace=False, allow_blank=True)


class CodeErrorSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField(allow_null=True)
    column = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()


class ValidationSerializer(serializers.Serializer[Any]):
    valid = serializers.BooleanField()
    class_name = serializers.CharField(allow_null=True)
    errors = CodeErrorSerializer(many=True)
    params = ParamSpecSerializer(many=True)
