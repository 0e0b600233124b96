"""Bots and their decisions. Views write a bot's settings; `apps.trading_engine.engine` writes its decisions."""

from django.conf import settings
from django.db import models

AMOUNT = {"max_digits": 38, "decimal_places": 18}


class ActiveStrategy(models.Model):
    """A bot: a strategy running on a broker and a symbol between two dates (market time)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="bots")
    strategy = models.ForeignKey("strategies.Strategy", on_delete=models.CASCADE, related_name="bots")
    broker = models.ForeignKey("brokers.Broker", on_delete=models.CASCADE, related_name="bots")
    symbol = models.CharField(max_length=64)
    timeframe = models.CharField(max_length=4)
    start_date = models.DateTimeField()
    end_date = models.DateTimeField()
    is_active = models.BooleanField(default=False)
    amount = models.DecimalField(**AMOUNT, null=True)  # caps what the bot may use, quote
    params = models.JSONField(default=dict)
    pause_reason = models.TextField(blank=True)  # not empty: paused by an error until the user resumes it
    pause_details = models.JSONField(default=dict)  # line, traceback of the user's code
    paused_at = models.DateTimeField(null=True)
    active_since = models.DateTimeField(null=True)  # market time at which it was last switched on
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "active_strategies"
        indexes = [models.Index(fields=["is_active", "timeframe"])]


class BotDecision(models.Model):
    """What a bot decided at one close, at most once. First a lease, then the decision in one transaction."""

    class Status(models.TextChoices):
        LEASED = "leased"
        DECIDED = "decided"
        MISSED = "missed"
        FAILED = "failed"

    bot = models.ForeignKey(ActiveStrategy, on_delete=models.CASCADE, related_name="decisions")
    feed = models.CharField(max_length=64)
    signal_id = models.CharField(max_length=32)
    close_time = models.DateTimeField()  # market time
    sent_at = models.DateTimeField(null=True)  # wall time of the signal: how long it stays fresh
    status = models.CharField(max_length=8, choices=Status.choices)
    lease_until = models.DateTimeField(null=True)  # wall time
    leased_by = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=16, blank=True)  # buy, sell, none
    reason = models.TextField(blank=True)  # French, shown to the user
    details = models.JSONField(default=dict)
    seen = models.JSONField(null=True)  # what the strategy was shown (`domain.strategies.parity.Seen`), for a while
    trade = models.ForeignKey("orders.Trade", on_delete=models.SET_NULL, null=True, related_name="decisions")
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "bot_decisions"
        constraints = [models.UniqueConstraint(fields=["bot", "feed", "close_time"], name="bot_decisions_once")]
        indexes = [
            models.Index(fields=["bot", "-close_time"]),
            models.Index(fields=["lease_until"], name="bot_decisions_leased", condition=models.Q(status="leased")),
        ]


class ParityRun(models.Model):
    """One market day of a bot, replayed or to be. Written by `apps.trading_engine.parity.book` only."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        DONE = "done"
        FAILED = "failed"

    bot = models.ForeignKey(ActiveStrategy, on_delete=models.CASCADE, related_name="parity_runs")
    day = models.DateField()  # market time
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    is_complete = models.BooleanField(default=False)  # the day was over when it was replayed
    checked = models.IntegerField(default=0)
    differing = models.IntegerField(default=0)
    unverifiable = models.IntegerField(default=0)  # what the strategy was shown is not known
    reason = models.TextField(blank=True)  # French: why it failed
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "parity_runs"
        constraints = [models.UniqueConstraint(fields=["bot", "day"], name="parity_runs_once")]
        indexes = [
            models.Index(fields=["asked_at"], name="parity_runs_queued", condition=models.Q(status="queued"))
        ]


class ParityDifference(models.Model):
    """A decision that came out otherwise when it was replayed."""

    run = models.ForeignKey(ParityRun, on_delete=models.CASCADE, related_name="differences")
    decision = models.ForeignKey(BotDecision, on_delete=models.CASCADE, related_name="+")
    close_time = models.DateTimeField()  # market time
    live = models.JSONField()
    replayed = models.JSONField(null=True)  # null: it could not be replayed
    cause = models.CharField(max_length=24)
    explanation = models.TextField()  # French

    class Meta:
        db_table = "parity_differences"


class SignalCursor(models.Model):
    """How far a reader has gone in the Redis stream of signals."""

    reader = models.CharField(primary_key=True, max_length=32)
    last_id = models.CharField(max_length=32)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "signal_cursors"
