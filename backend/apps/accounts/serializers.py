"""Validation of what the browser sends, and the documented shape of the session."""

from typing import Any

from rest_framework import serializers

from apps.accounts.models import User


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


class SessionSerializer(serializers.Serializer[Any]):
    user = SessionUserSerializer(allow_null=True)
    debug = SessionDebugSerializer()
    mode = serializers.ChoiceField(choices=["simulation", "testnet", "real"])
    limits = SessionLimitsSerializer()
