"""Questions about the lines, and the shapes of the answers."""

from datetime import UTC
from typing import Any

from rest_framework import serializers

from apps.core.logs.reading import LEVELS, Wanted
from apps.core.tracing import TRACE_LENGTH

TERMINALS = ("web", "heartbeat", "heartbeat_secondary", "trading_engine", "ccxt_service", "manage")
MOST = 500


class LogQuery(serializers.Serializer[Any]):
    """Which lines; all filters together."""

    terminal = serializers.MultipleChoiceField(choices=TERMINALS, required=False)
    level = serializers.ChoiceField(choices=LEVELS, default="info", help_text="Au moins aussi grave.")
    matters = serializers.BooleanField(
        default=False, help_text="Seulement ordres, décisions suivies d'une action, alertes et erreurs."
    )
    text = serializers.CharField(required=False, max_length=100, help_text="Contenu de la ligne, sans la casse.")
    trace = serializers.CharField(required=False, max_length=TRACE_LENGTH)
    since = serializers.DateTimeField(required=False)
    before = serializers.RegexField(
        r"^[^~]{10,40}~[0-9a-f]+\.[0-9]+$", required=False, help_text="Suite d'une réponse : son `next`."
    )
    limit = serializers.IntegerField(default=200, min_value=1, max_value=MOST)

    def wanted(self) -> Wanted:
        """Return what is asked."""
        asked = self.validated_data
        since, before = asked.get("since"), asked.get("before")
        return Wanted(
            terminals=frozenset(asked.get("terminal", ())),
            level=asked["level"],
            matters=asked["matters"],
            text=asked.get("text", ""),
            trace=asked.get("trace", ""),
            since="" if since is None else f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            before=None if before is None else tuple(before.split("~")),
        )


class LogLineSerializer(serializers.Serializer[Any]):
    """One line. `message`: its French sentence, empty for a developer's event."""

    id = serializers.CharField()
    time = serializers.DateTimeField()
    level = serializers.ChoiceField(choices=LEVELS)
    terminal = serializers.CharField()
    event = serializers.CharField()
    message = serializers.CharField()
    trace_id = serializers.CharField()
    matters = serializers.BooleanField(
        help_text="Un ordre, une décision suivie d'une action, une alerte, une erreur."
    )
    facts = serializers.DictField(help_text="Ce que la ligne dit encore.")


class LogPageSerializer(serializers.Serializer[Any]):
    """Newest first. `next`: what to give as `before` for older ones, null when there are none."""

    results = LogLineSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class TraceStepSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    title = serializers.CharField()
    detail = serializers.CharField()
    tone = serializers.ChoiceField(choices=["", "good", "bad"])
    trade = serializers.IntegerField(allow_null=True)
    delay_ms = serializers.FloatField(help_text="Depuis l'étape précédente.")


class TraceSerializer(serializers.Serializer[Any]):
    """A trace: its steps from the rows, and what the terminals wrote about it."""

    trace_id = serializers.CharField()
    duration_ms = serializers.FloatField(help_text="De la première étape à la dernière.")
    steps = TraceStepSerializer(many=True)
    lines = LogLineSerializer(many=True)
