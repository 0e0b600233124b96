"""Past runs of strategies. Views create rows and ask for their end; `apps.backtest.queue` moves them on."""

from django.conf import settings
from django.db import models

AMOUNT = {"max_digits": 38, "decimal_places": 18}


class Job(models.Model):
    """What a run and a sweep share: what is played, and how far it has come.

    `strategy` and `broker` become NULL when the user deletes them: the result stays, with its names and the
    text that was played.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        LOADING = "loading"  # candles are being fetched
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"
        FAILED = "failed"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    strategy = models.ForeignKey("strategies.Strategy", on_delete=models.SET_NULL, null=True, related_name="+")
    broker = models.ForeignKey("brokers.Broker", on_delete=models.SET_NULL, null=True, related_name="+")
    strategy_name = models.CharField(max_length=100)
    strategy_version = models.IntegerField(null=True)
    code = models.TextField()  # as it was when the run was asked for
    broker_name = models.CharField(max_length=100)
    exchange = models.CharField(max_length=64)
    candle_source = models.CharField(max_length=64, blank=True)  # known once it is claimed
    symbol = models.CharField(max_length=64)
    quote_currency = models.CharField(max_length=32)
    timeframe = models.CharField(max_length=4)
    start_date = models.DateTimeField()  # market time
    end_date = models.DateTimeField()
    initial_amount = models.DecimalField(**AMOUNT)  # quote
    fee_ratio = models.DecimalField(**AMOUNT, null=True)  # None: the account's own
    slippage_ratio = models.DecimalField(**AMOUNT)
    params = models.JSONField(default=dict)

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    phase_progress = models.FloatField(default=0.0)  # 0..1 of the present phase
    cancel_requested = models.BooleanField(default=False)
    error = models.TextField(blank=True)  # French
    error_details = models.JSONField(default=dict)  # line and traceback of the user's code
    claimed_by = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)  # wall time; past it the worker is dead
    attempts = models.IntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    @property
    def is_over(self) -> bool:
        return self.status in (self.Status.DONE, self.Status.CANCELLED, self.Status.FAILED)


LIVE = models.Q(status__in=["queued", "loading", "running"])


class BacktestResult(Job):
    """One simulation. Its result is written once, in one transaction, with the status `done`."""

    final_amount = models.DecimalField(**AMOUNT, null=True)
    total_trades = models.IntegerField(null=True)
    winning_trades = models.IntegerField(null=True)
    losing_trades = models.IntegerField(null=True)
    max_drawdown = models.FloatField(null=True)  # positive ratio from the peak
    sharpe_ratio = models.FloatField(null=True)  # None: not defined
    metrics = models.JSONField(default=dict)
    checks = models.JSONField(default=dict)
    assumptions = models.JSONField(default=list)  # in the order to show them
    hashes = models.JSONField(default=dict)  # of what it was computed from, and of what it gave
    engine = models.JSONField(default=dict)  # the path taken and its seconds
    trades_detail = models.JSONField(default=list)
    curves = models.JSONField(default=dict)  # equity, drawdown, buy and hold and candles, as a screen shows them

    class Meta:
        db_table = "backtest_results"
        indexes = [
            models.Index(fields=["user", "-id"]),
            models.Index(fields=["id"], name="backtest_results_live", condition=LIVE),
        ]


class BacktestSweep(Job):
    """A search over a strategy's parameters: many runs of one market and one period."""

    class Sampler(models.TextChoices):
        GRID = "grid"  # every combination
        OPTUNA = "optuna"  # `total_runs` of them, chosen by what the earlier ones gave

    sampler = models.CharField(max_length=16, choices=Sampler.choices, default=Sampler.GRID)
    space = models.JSONField(default=dict)  # by parameter: the values tried
    objective = models.CharField(max_length=32)  # the metric that ranks
    split_ratio = models.FloatField()  # part of the period that ranks; the rest only shows
    windows = models.IntegerField(default=1)  # walk-forward windows, 1 = one split
    total_runs = models.IntegerField()
    done_runs = models.IntegerField(default=0)
    results = models.JSONField(default=dict)  # of the walk-forward windows

    class Meta:
        db_table = "backtest_sweeps"
        indexes = [
            models.Index(fields=["user", "-id"]),
            models.Index(fields=["id"], name="backtest_sweeps_live", condition=LIVE),
        ]


class BacktestSweepRun(models.Model):
    """One combination of a sweep, played in the part that ranks and in the part that does not."""

    sweep = models.ForeignKey(BacktestSweep, on_delete=models.CASCADE, related_name="runs")
    number = models.IntegerField()
    window = models.IntegerField(default=0)
    params = models.JSONField()
    score = models.FloatField(null=True)
    in_sample = models.JSONField()
    out_of_sample = models.JSONField()
    error = models.TextField(blank=True)

    class Meta:
        db_table = "backtest_sweep_runs"
        constraints = [
            models.UniqueConstraint(fields=["sweep", "window", "number"], name="backtest_sweep_runs_once")
        ]
