"""What the assistant is asked, and the events it answers."""

from typing import Any

from rest_framework import serializers

from apps.strategies.serializers import CodeErrorSerializer
from domain.assistant_prompt import MAX_MESSAGE, MAX_TURNS, AssistantRequest, Mode, Turn
from domain.strategies.contract import CodeError
from domain.strategies.syntax import MAX_CODE_BYTES


class TurnSerializer(serializers.Serializer[Any]):
    """An earlier exchange, words only."""

    asked = serializers.CharField(max_length=MAX_MESSAGE, allow_blank=True)
    answered = serializers.CharField(max_length=2 * MAX_MESSAGE, allow_blank=True)


class AssistantRequestSerializer(serializers.Serializer[Any]):
    task = serializers.ChoiceField(choices=[mode.value for mode in Mode])
    message = serializers.CharField(max_length=MAX_MESSAGE, allow_blank=True, default="")
    code = serializers.CharField(max_length=MAX_CODE_BYTES, trim_whitespace=False, allow_blank=True, default="")
    errors = CodeErrorSerializer(many=True, required=False)
    history = TurnSerializer(many=True, required=False, max_length=MAX_TURNS)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        wanting = "message" if attrs["task"] == Mode.GENERATE else "code"
        if not attrs[wanting].strip():
            said = {"message": "Décrire la stratégie voulue.", "code": "Il n'y a pas de code à lire."}
            raise serializers.ValidationError({wanting: said[wanting]})
        return attrs

    def request(self) -> AssistantRequest:
        """Return what was asked, once valid."""
        asked = self.validated_data
        return AssistantRequest(
            mode=Mode(asked["task"]),
            message=asked["message"],
            code=asked["code"],
            errors=[CodeError(one["message"], one["line"], one["column"]) for one in asked.get("errors", ())],
            history=[Turn(one["asked"], one["answered"]) for one in asked.get("history", ())],
        )


class AssistantEventSerializer(serializers.Serializer[Any]):
    """One line of the stream; which fields it has depends on `type` (see `services.assistant.answer`)."""

    type = serializers.ChoiceField(choices=["start", "wait", "think", "text", "check", "repair", "done", "error"])
    provider = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    elapsed_s = serializers.IntegerField(required=False)
    text = serializers.CharField(required=False)
    code = serializers.CharField(required=False, allow_null=True)
    valid = serializers.BooleanField(required=False)
    class_name = serializers.CharField(required=False, allow_null=True)
    errors = CodeErrorSerializer(many=True, required=False)
    unchecked = serializers.CharField(required=False)
    message = serializers.CharField(required=False)
