"""The heartbeat's own tables, written by `apps.core.services.heartbeat` only, and what a restoration left to do."""

from django.conf import settings
from django.db import models

PRICE = {"max_digits": 38, "decimal_places": 18}


class HeartbeatStatus(models.Model):
    """One run of a heartbeat service, from its start to its stop."""

    source = models.CharField(max_length=16)  # primary, secondary
    location = models.CharField(max_length=64)
    feed = models.CharField(max_length=64, blank=True)  # "binance" or "simex:<run>", known once connected
    is_connected = models.BooleanField(default=False)
    is_coherent = models.BooleanField(default=False)
    last_application_start = models.DateTimeField()
    last_application_stop = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    last_error_at = models.DateTimeField(null=True)
    last_message_at = models.DateTimeField(null=True)  # wall time
    market_time = models.DateTimeField(null=True)  # newest event time of the stream
    symbols_monitored = models.JSONField(default=list)

    class Meta:
        db_table = "heartbeat_status"
        indexes = [models.Index(fields=["source", "-last_application_start"])]


class CandleHeartbeat(models.Model):
    """A candle the heartbeat closed, and whether its signal was sent."""

    heartbeat_status = models.ForeignKey(HeartbeatStatus, on_delete=models.PROTECT, related_name="candles")
    dhm_reception = models.DateTimeField()  # wall time of the closing
    dhm_candle = models.DateTimeField()  # market time of the close
    signal_type = models.CharField(max_length=4)  # 1m 3m 5m 10m 15m 1h 2h 4h
    symbol = models.CharField(max_length=32)  # Binance name
    feed = models.CharField(max_length=64)
    source = models.CharField(max_length=16)  # primary, secondary
    open_time = models.DateTimeField()
    open_price = models.DecimalField(**PRICE)
    high_price = models.DecimalField(**PRICE)
    low_price = models.DecimalField(**PRICE)
    close_price = models.DecimalField(**PRICE)
    volume = models.DecimalField(**PRICE)
    trade_count = models.IntegerField()
    revision = models.IntegerField(default=1)  # > 1: corrected by a trade that came after the close
    is_late = models.BooleanField(default=False)
    is_signal = models.BooleanField(default=True)  # only the reference market signals
    published_at = models.DateTimeField(null=True)  # wall time; null: the signal is still to be sent

    class Meta:
        db_table = "candles_heartbeat"
        constraints = [
            models.UniqueConstraint(
                fields=["feed", "symbol", "signal_type", "open_time", "source"], name="candles_heartbeat_once"
            )
        ]
        indexes = [
            models.Index(fields=["feed", "symbol", "signal_type", "-open_time"]),
            models.Index(
                fields=["id"],
                name="candles_heartbeat_unsent",
                condition=models.Q(published_at__isnull=True, is_signal=True),
            ),
        ]


class HeartbeatIncident(models.Model):
    """A hole, a stall, a disconnection or a correction, and when it was mended."""

    class Kind(models.TextChoices):
        GAP = "gap"
        STALL = "stall"
        DISCONNECT = "disconnect"
        CORRECTION = "correction"

    heartbeat_status = models.ForeignKey(HeartbeatStatus, on_delete=models.CASCADE, related_name="incidents")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    symbol = models.CharField(max_length=32)
    feed = models.CharField(max_length=64)
    market_time = models.DateTimeField(null=True)
    missing_trades = models.IntegerField(default=0)
    first_missing_id = models.BigIntegerField(null=True)
    last_missing_id = models.BigIntegerField(null=True)
    message = models.TextField()
    detected_at = models.DateTimeField()
    mended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "heartbeat_incidents"
        indexes = [models.Index(fields=["-detected_at"])]


class Restoration(models.Model):
    """The instance came out of a backup and this user has not said yet that it may act for him.

    Until he does nothing leaves by itself in his name: another instance with the same keys may still be running.
    Only `apps.core.services.restorations` writes it.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="restorations")
    backup_taken_at = models.DateTimeField()
    host = models.CharField(max_length=255)  # the machine that was backed up
    restored_at = models.DateTimeField()
    bots = models.JSONField(default=list)  # ids of the bots that were on
    settled = models.JSONField(default=dict)  # what was in flight in the backup, counted by kind
    report = models.JSONField(null=True)  # what the exchanges say since: `apps.orders.restored_watch`
    reconciled_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "restorations"
        indexes = [
            models.Index(
                fields=["user"], name="restorations_waiting", condition=models.Q(confirmed_at__isnull=True)
            )
        ]


class RetentionRun(models.Model):
    """One time that old rows were deleted, and how many of each kind. `apps.core.services.retention` writes it."""

    ran_at = models.DateTimeField()
    deleted = models.JSONField(default=dict)

    class Meta:
        db_table = "retention_runs"
