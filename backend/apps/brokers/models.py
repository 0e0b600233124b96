"""Accounts at exchanges, and the catalogue of exchanges that terminal 5 keeps for the web process."""

from django.conf import settings
from django.db import models

from apps.core.fields import EncryptedTextField


class Exchange(models.Model):
    """What terminal 5 knows of an exchange. Written by the gateway only (apps.brokers.services.catalogue)."""

    class LoadState(models.TextChoices):
        NOT_LOADED = "not_loaded"
        LOADING = "loading"
        LOADED = "loaded"
        FAILED = "failed"

    id = models.CharField(primary_key=True, max_length=64)  # ccxt id, or "simex"
    name = models.CharField(max_length=64)
    required_credentials = models.JSONField(default=list)  # ["apiKey", "secret"]
    has = models.JSONField(default=dict)
    order_features = models.JSONField(default=dict)  # of a spot order: {"stopLossPrice": true}
    order_abilities = models.JSONField(default=dict)  # domain.order_abilities in its wire form; {}: not known yet
    timeframes = models.JSONField(default=list)
    has_sandbox = models.BooleanField(default=False)
    candle_source = models.CharField(max_length=64, blank=True)  # "binance", "simex:<run>"
    catalogue_version = models.CharField(max_length=64, blank=True)  # what the facts above were read from
    load_state = models.CharField(max_length=16, choices=LoadState.choices, default=LoadState.NOT_LOADED)
    load_progress = models.IntegerField(default=0)  # percent
    load_error = models.TextField(blank=True)
    market_count = models.IntegerField(default=0)
    markets_loaded_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "exchanges"


class Broker(models.Model):
    """A user's account at an exchange. Credentials are Fernet tokens; they never leave the server again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="brokers")
    name = models.CharField(max_length=64)
    exchange = models.CharField(max_length=64)
    api_key = EncryptedTextField(blank=True)
    api_secret = EncryptedTextField(blank=True)
    api_password = EncryptedTextField(blank=True)
    api_extra = EncryptedTextField(blank=True)  # token of {"uid", "walletAddress", …} where an exchange asks more
    is_default = models.BooleanField(default=False)
    is_testnet = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "brokers"
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="brokers_name_per_user"),
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(is_default=True), name="brokers_one_default_per_user"
            ),
        ]
