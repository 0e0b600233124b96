"""Alerts of a user, the addresses they go to, and what was delivered where.

`services.recording` alone writes alerts and makes deliveries; `services.outbox` alone settles deliveries;
`services.addresses` writes addresses and preferences as their user wants them.
"""

from django.conf import settings
from django.db import models

from apps.core.fields import EncryptedTextField
from apps.core.tracing import TRACE_LENGTH

PENDING = models.Q(sent_at=None, abandoned_at=None)


class AlertAddress(models.Model):
    """Where alerts go: an apprise address. It never leaves the server again but masked."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alert_addresses")
    address = EncryptedTextField()
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    failures = models.IntegerField(default=0)  # in a row
    next_attempt_at = models.DateTimeField(null=True)  # null: at once
    leased_until = models.DateTimeField(null=True)  # a sender is at it
    last_sent_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    last_error_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_addresses"


class Alert(models.Model):
    """Something a user should look at, in a French sentence. Kept 90 days."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alerts")
    kind = models.CharField(max_length=16)  # domain.alerts.AlertKind
    code = models.CharField(max_length=64)
    subject = models.CharField(max_length=96)  # "trade:12", "bot:3", "service:heartbeat"
    message = models.TextField()
    created_at = models.DateTimeField()
    trace_id = models.CharField(max_length=TRACE_LENGTH, blank=True)  # of what it is about
    count = models.IntegerField(default=1)  # how often it was to be said within the window of repeats
    last_at = models.DateTimeField(null=True)  # of the last repeat

    class Meta:
        db_table = "alerts"
        indexes = [
            models.Index(fields=["user", "-created_at"]),
            models.Index(fields=["user", "code", "subject", "-created_at"]),
        ]


class AlertDelivery(models.Model):
    """An alert on its way to one address: pending until it is sent or abandoned."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    address = models.ForeignKey(AlertAddress, on_delete=models.CASCADE, related_name="deliveries")
    sent_at = models.DateTimeField(null=True)
    abandoned_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)  # of the last attempt

    class Meta:
        db_table = "alert_deliveries"
        constraints = [models.UniqueConstraint(fields=["alert", "address"], name="alert_deliveries_once")]
        indexes = [models.Index(fields=["address"], name="alert_deliveries_pending", condition=PENDING)]


class AlertPreferences(models.Model):
    """Which kinds a user does not want to be sent (they stay in his list), and when his daily summary is."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="alert_preferences"
    )
    muted_kinds = models.JSONField(default=list)
    summary_hour = models.SmallIntegerField(null=True)  # of the daily summary, in its zone; null: none
    summary_zone = models.CharField(max_length=64, default="UTC")

    class Meta:
        db_table = "alert_preferences"
