"""What the strategies' page sends and gets."""

from typing import Any

from rest_framework import serializers

from apps.strategies.models import Strategy
from domain.strategies.syntax import MAX_CODE_BYTES
from domain.timeframes import Timeframe

TIMEFRAMES = [timeframe.value for timeframe in Timeframe]


class StrategySerializer(serializers.ModelSerializer[Strategy]):
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")
    # Indentation is meaning: the text is kept as it was typed.
    code = serializers.CharField(max_length=MAX_CODE_BYTES, trim_whitespace=False)

    class Meta:
        model = Strategy
        fields = ("id", "name", "description", "code", "timeframe", "created_at", "updated_at")
        read_only_fields = ("id", "created_at", "updated_at")


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
