"""Users, their open sessions, and the debug switch."""

from django.contrib.auth.models import AbstractUser
from django.db import models

from apps.core.fields import EncryptedTextField


class User(AbstractUser):
    """A trader. His default broker is `brokers.is_default` (one truth)."""

    class Theme(models.TextChoices):
        DARK = "dark"
        LIGHT = "light"

    display_timezone = models.CharField(max_length=64, default="UTC")  # "UTC" or "local"
    theme = models.CharField(max_length=8, choices=Theme.choices, default=Theme.DARK)
    # The assistant: one column says which provider is on, so that two never are.
    ai_provider = models.CharField(max_length=16, blank=True)  # "", "openrouter", "ollama"
    ai_api_key = EncryptedTextField(blank=True)  # OpenRouter's
    ai_url = models.CharField(max_length=255, blank=True)  # Ollama's
    ai_openrouter_model = models.CharField(max_length=128, blank=True)
    ai_ollama_model = models.CharField(max_length=128, blank=True)

    class Meta:
        db_table = "users"


class UserSession(models.Model):
    """Where a session was opened and last seen; goes with Django's own row. Written by `services.devices`."""

    session = models.OneToOneField("sessions.Session", on_delete=models.CASCADE, related_name="device")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=256, blank=True)
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        db_table = "user_sessions"


class TwoFactor(models.Model):
    """The second factor of a user's sign-in; in force once `confirmed_at`. Written by `services.two_factor`."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="two_factor")
    secret = EncryptedTextField()  # base32, shared with the user's telephone
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    last_step = models.BigIntegerField(default=0)  # the 30 s step of the last code taken: older ones are spent
    failures = models.PositiveIntegerField(default=0)  # in a row
    locked_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "two_factors"


class RecoveryCode(models.Model):
    """A code that stands once for the telephone. Only its hash is kept: of 80 random bits, none can be guessed."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "recovery_codes"
        constraints = [models.UniqueConstraint(fields=["user", "code_hash"], name="recovery_code_once")]


class DebugMode(models.Model):
    """Singleton (id 1): whether the login page signs in « dev » by itself."""

    is_active = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "debug_mode"
        constraints = [models.CheckConstraint(check=models.Q(id=1), name="debug_mode_singleton")]
