"""Sources of calls from outside, and every call as it arrived.

`apps.webhooks.services.sources` writes sources; `apps.webhooks.services.reception` inserts calls, and
`apps.webhooks.services.settling` alone says afterwards what became of them.
"""

from uuid import uuid4

from django.conf import settings
from django.db import models

from apps.core.fields import EncryptedTextField

AMOUNT = {"max_digits": 38, "decimal_places": 18}


class WebhookSource(models.Model):
    """An address that a service outside may call, on one broker. Its token is known by its hash only."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook_sources")
    broker = models.ForeignKey("brokers.Broker", on_delete=models.CASCADE, related_name="webhook_sources")
    name = models.CharField(max_length=64)
    token_hash = models.CharField(max_length=64, unique=True)  # SHA-256 of 256 random bits
    previous_token_hash = models.CharField(
        max_length=64, blank=True, db_index=True
    )  # tells a call to the old address
    token_hint = models.CharField(max_length=16)  # "wh_8Kq2…4f": to recognise it, not to use it
    secret = EncryptedTextField(blank=True)  # what the body must hold
    tradingview_only = models.BooleanField(default=False)
    is_enabled = models.BooleanField(default=True)
    revoked_at = models.DateTimeField(null=True)
    allowed_symbols = models.JSONField(default=list)  # empty: every market of the broker
    max_quote_amount = models.DecimalField(**AMOUNT, null=True)  # per purchase
    default_quote_amount = models.DecimalField(**AMOUNT, null=True)  # of a purchase that names no size
    default_percent = models.DecimalField(max_digits=6, decimal_places=3, null=True)
    rate_per_minute = models.PositiveIntegerField(default=120)
    max_age_s = models.PositiveIntegerField(default=60)
    duplicate_window_s = models.PositiveIntegerField(default=30)  # the same body again within it, without an id
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "webhook_sources"
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="webhook_sources_name_per_user")]


class Webhook(models.Model):
    """One call. PostgreSQL is the queue: rows that are not `processed` wait for terminal 3."""

    class Status(models.TextChoices):
        RECEIVED = "received"  # committed and answered 202
        EXECUTED = "executed"  # its orders are committed with it
        NOTHING = "nothing"  # what it asked for was already so
        DUPLICATE = "duplicate"
        STALE = "stale"
        REFUSED = "refused"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhooks")
    origin = models.ForeignKey(WebhookSource, on_delete=models.SET_NULL, null=True, related_name="calls")
    source = models.CharField(max_length=64)  # name of the source then
    reference = models.UUIDField(default=uuid4, unique=True)  # the orders' client ids follow from it
    body = models.TextField(blank=True)
    body_hash = models.CharField(max_length=64, blank=True)
    payload = models.JSONField(default=dict)  # what was understood of the body
    remote_address = models.CharField(max_length=45, blank=True)
    processed = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RECEIVED)
    code = models.CharField(max_length=32, blank=True)
    reason = models.TextField(blank=True)  # French, shown as it is
    call_id = models.CharField(max_length=128, blank=True)
    duplicate_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="duplicates")
    # The position that it asked to leave: its exits are orders of this call.
    left_position = models.ForeignKey(
        "orders.Position", on_delete=models.SET_NULL, null=True, related_name="left_by"
    )
    symbol = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=8, blank=True)
    is_test = models.BooleanField(default=False)  # sent from the page
    not_before = models.DateTimeField(null=True)  # while it waits for an order in the way
    created_at = models.DateTimeField()  # wall time of reception
    processed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "webhooks"
        indexes = [
            models.Index(fields=["user", "-id"]),
            models.Index(fields=["origin", "body_hash", "-id"], name="webhooks_same_body"),
            models.Index(fields=["id"], name="webhooks_waiting", condition=models.Q(processed=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["origin", "call_id"],
                condition=~models.Q(call_id="") & ~models.Q(status="duplicate"),
                name="webhooks_once_per_id",
            )
        ]
