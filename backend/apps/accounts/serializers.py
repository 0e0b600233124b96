"""Validation of what the browser sends, and the documented shape of the session."""

from typing import Any

from rest_framework import serializers

from apps.accounts.models import User
from apps.core.api_fields import TRADING_MODES
from domain.assistant import PROVIDERS


class CredentialsSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=256, trim_whitespace=False)


class DebugSerializer(serializers.Serializer[Any]):
    active = serializers.BooleanField()


class PasswordChangeSerializer(serializers.Serializer[Any]):
    old_password = serializers.CharField(max_length=256, trim_whitespace=False)
    new_password = serializers.CharField(max_length=256, trim_whitespace=False)


class PasswordSerializer(serializers.Serializer[Any]):
    password = serializers.CharField(max_length=256, trim_whitespace=False)


class SignInCodeSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=32, help_text="Six digits of the telephone, or a recovery code.")


class PasswordAndCodeSerializer(PasswordSerializer, SignInCodeSerializer):
    """What weakens the sign-in asks both."""


class TwoFactorSerializer(serializers.Serializer[Any]):
    is_on = serializers.BooleanField()
    since = serializers.DateTimeField(allow_null=True)
    recovery_codes_left = serializers.IntegerField()


class EnrolmentSerializer(serializers.Serializer[Any]):
    """What a telephone needs; told once, to whom typed the password."""

    secret = serializers.CharField(help_text="Base32, to be typed where no picture can be taken.")
    address = serializers.CharField(help_text="otpauth://")
    qr_svg = serializers.CharField()


class RecoveryCodesSerializer(serializers.Serializer[Any]):
    recovery_codes = serializers.ListField(child=serializers.CharField(), help_text="Shown this once.")


class PreferencesSerializer(serializers.Serializer[Any]):
    theme = serializers.ChoiceField(choices=User.Theme.choices, required=False)
    display_timezone = serializers.ChoiceField(choices=["UTC", "local"], required=False)


class SessionUserSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    username = serializers.CharField()
    theme = serializers.ChoiceField(choices=User.Theme.choices)
    display_timezone = serializers.ChoiceField(choices=["UTC", "local"])
    default_broker_id = serializers.IntegerField(allow_null=True)


class SessionDebugSerializer(serializers.Serializer[Any]):
    allowed = serializers.BooleanField()
    active = serializers.BooleanField()


class SessionLimitsSerializer(serializers.Serializer[Any]):
    max_users = serializers.IntegerField()
    users = serializers.IntegerField()
    max_active_strategies = serializers.IntegerField()
    active_strategies = serializers.IntegerField()


class SessionAssistantSerializer(serializers.Serializer[Any]):
    is_on = serializers.BooleanField()
    provider = serializers.ChoiceField(choices=["", *PROVIDERS])
    model = serializers.CharField(allow_blank=True)


class SessionSerializer(serializers.Serializer[Any]):
    user = SessionUserSerializer(allow_null=True)
    debug = SessionDebugSerializer()
    mode = serializers.ChoiceField(choices=TRADING_MODES)
    prices = serializers.ChoiceField(choices=["simulated", "real"], help_text="Prices the Simulateur trades at.")
    limits = SessionLimitsSerializer()
    assistant = SessionAssistantSerializer()
    awaits_code = serializers.BooleanField(help_text="The password was right; the second factor is awaited.")


class AiProviderSerializer(serializers.Serializer[Any]):
    provider = serializers.ChoiceField(choices=PROVIDERS)


class AssistantChangeSerializer(serializers.Serializer[Any]):
    """`provider` "" switches the assistant off; an empty key erases it."""

    provider = serializers.ChoiceField(choices=["", *PROVIDERS], required=False)
    openrouter_key = serializers.CharField(max_length=256, allow_blank=True, required=False, write_only=True)
    openrouter_model = serializers.CharField(max_length=128, allow_blank=True, required=False)
    ollama_url = serializers.CharField(max_length=255, allow_blank=True, required=False)
    ollama_model = serializers.CharField(max_length=128, allow_blank=True, required=False)


class OpenRouterSettingsSerializer(serializers.Serializer[Any]):
    has_key = serializers.BooleanField()
    key_hint = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)


class OllamaSettingsSerializer(serializers.Serializer[Any]):
    url = serializers.CharField()
    model = serializers.CharField(allow_blank=True)


class AssistantSettingsSerializer(serializers.Serializer[Any]):
    provider = serializers.ChoiceField(choices=["", *PROVIDERS])
    is_on = serializers.BooleanField(help_text="The provider that is on has its key and its model.")
    openrouter = OpenRouterSettingsSerializer()
    ollama = OllamaSettingsSerializer()


class AiModelSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()


class ProviderTestSerializer(serializers.Serializer[Any]):
    model = serializers.CharField()
    elapsed_ms = serializers.IntegerField()


class DeviceSerializer(serializers.Serializer[Any]):
    """An open session of the user."""

    id = serializers.IntegerField()
    browser = serializers.CharField(help_text="Firefox sur Linux")
    address = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(help_text="To the minute.")
    is_current = serializers.BooleanField(help_text="The session that asks.")
