"""REST of the AI provider: settings, models, test. What the assistant itself does is in apps.strategies."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.selectors import assistant_settings
from apps.accounts.serializers import (
    AiModelSerializer,
    AiProviderSerializer,
    AssistantChangeSerializer,
    AssistantSettingsSerializer,
    ProviderTestSerializer,
)
from apps.accounts.services import assistant
from apps.core.api_input import validated


class AssistantSettingsView(APIView):
    @extend_schema(responses=AssistantSettingsSerializer)
    def get(self, request: Request) -> Response:
        """Return the providers' settings; a key never leaves the server again."""
        return Response(assistant_settings(request.user))

    @extend_schema(request=AssistantChangeSerializer, responses=AssistantSettingsSerializer)
    def patch(self, request: Request) -> Response:
        """Change what is given; `provider` names the one that is on, "" for none."""
        changed = assistant.change(request.user, validated(AssistantChangeSerializer, request.data))
        return Response(assistant_settings(changed))


class AssistantModelsView(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("provider", str, required=True, enum=["openrouter", "ollama"])],
        responses=AiModelSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Ask the provider for its models, with the stored key or address."""
        asked = validated(AiProviderSerializer, request.query_params)
        models = assistant.list_models(request.user, asked["provider"])
        return Response(AiModelSerializer(models, many=True).data)


class AssistantTestView(APIView):
    @extend_schema(request=AiProviderSerializer, responses=ProviderTestSerializer)
    def post(self, request: Request) -> Response:
        """Let the chosen model answer one word."""
        asked = validated(AiProviderSerializer, request.data)
        return Response(ProviderTestSerializer(assistant.test(request.user, asked["provider"])).data)
