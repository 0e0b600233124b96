"""POST /api/assistant/generate/: the assistant's answer as a stream of JSON lines."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.accounts.selectors import assistant_provider
from apps.core.adapters import ai_providers
from apps.strategies.assistant_serializers import AssistantEventSerializer, AssistantRequestSerializer
from apps.strategies.services import assistant
from apps.strategies.services.pacing import PACE
from apps.strategies.services.validation import validate_async
from domain.errors import Conflict, TooManyRequests


class AssistantGenerateView(APIView):
    @extend_schema(
        request=AssistantRequestSerializer, responses={(200, "application/x-ndjson"): AssistantEventSerializer}
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Ask the user's model to write, change or explain a strategy; one JSON event per line, as it comes.

        Closing the connection ends the call at the provider too.
        """
        asked = AssistantRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        provider = assistant_provider(request.user)
        if provider is None:
            raise Conflict(
                "Assistant désactivé : allumer OpenRouter ou Ollama dans Mon Compte et y choisir un modèle.",
                code="assistant_off",
            )
        PACE.admit(request.user.pk)
        ai_providers.load_client()
        events = assistant.answer(provider, asked.request(), validate=validate_async)
        return StreamingHttpResponse(
            _lines(request.user.pk, events),
            content_type="application/x-ndjson",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


async def _lines(user_id: int, events: AsyncGenerator[dict[str, Any], None]) -> AsyncIterator[bytes]:
    await sync_to_async(close_old_connections)()  # minutes of a model need no place at PostgreSQL
    # The place is taken here, not in the view: a stream that is never read would keep it for ever.
    try:
        with PACE.running(user_id):
            async with aclosing(events):
                async for event in events:
                    yield orjson.dumps(event) + b"\n"
    except TooManyRequests as exc:
        yield orjson.dumps({"type": "error", "code": exc.error_code, "message": exc.message}) + b"\n"
