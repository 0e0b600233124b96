"""`/api/webhooks/`: one's own sources and calls only; another user's are 404."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.core.api_input import validated
from apps.core.services.gateway_access import short_lived_gateway
from apps.webhooks import selectors
from apps.webhooks.bodies import call_body, source_body
from apps.webhooks.door import PREFIX
from apps.webhooks.filters import CallFilter
from apps.webhooks.models import Webhook, WebhookSource
from apps.webhooks.serializers import (
    CallDetailSerializer,
    CallSerializer,
    MessageSerializer,
    NewSourceSerializer,
    ReadingSerializer,
    SinceSerializer,
    SourceInputSerializer,
    SourceSerializer,
    SummarySerializer,
)
from apps.webhooks.services import sources, trials
from domain.ports import Balance

_ASK_TIMEOUT_S = 5.0


class SourceViewSet(GenericViewSet[WebhookSource]):
    serializer_class = SourceSerializer
    queryset = WebhookSource.objects.none()
    lookup_value_regex = r"\d+"

    @extend_schema(responses=SourceSerializer(many=True))
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(selectors.sources_of(request.user.pk))
        return self.get_paginated_response([_body(row, request) for row in page or []])

    @extend_schema(responses=SourceSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        return _answer(sources.own_source(request.user.pk, int(pk)), request)

    @extend_schema(request=SourceInputSerializer, responses={201: NewSourceSerializer})
    def create(self, request: Request) -> Response:
        wanted = validated(SourceInputSerializer, request.data)
        source, token = sources.create(request.user.pk, wanted)
        return _answer(source, request, token=token, code=status.HTTP_201_CREATED)

    @extend_schema(request=SourceInputSerializer(partial=True), responses=SourceSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        changes = validated(SourceInputSerializer, request.data, partial=True)
        return _answer(sources.update(request.user.pk, int(pk), changes), request)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        sources.delete(request.user.pk, int(pk), now=_now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=NewSourceSerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        source, token = sources.rotate(request.user.pk, int(pk))
        return _answer(source, request, token=token)

    @extend_schema(request=None, responses=SourceSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        return _answer(sources.revoke(request.user.pk, int(pk), now=_now()), request)

    @extend_schema(request=MessageSerializer, responses=ReadingSerializer)
    @action(detail=True, methods=["post"])
    def read(self, request: Request, pk: str) -> Response:
        """How a message would be read now; nothing is ordered."""
        source = sources.own_source(request.user.pk, int(pk))
        text = validated(MessageSerializer, request.data)["body"]
        return Response(trials.read(source, text, ask=_ask_exchange, now=_now()).body())

    @extend_schema(request=MessageSerializer, responses={202: CallSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a message as if it had come from outside; never where real money would move."""
        source = sources.own_source(request.user.pk, int(pk))
        text = validated(MessageSerializer, request.data)["body"]
        peer = str(request.META.get("REMOTE_ADDR", ""))
        call = trials.send(source, text, remote_address=peer, now=_now())
        return Response(call_body(call), status=status.HTTP_202_ACCEPTED)


class CallViewSet(ListModelMixin, GenericViewSet[Webhook]):
    """The journal, newest first."""

    serializer_class = CallSerializer
    filterset_class = CallFilter
    queryset = Webhook.objects.none()
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> Any:
        return selectors.calls_of(self.request.user.pk)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([call_body(row) for row in page or []])

    @extend_schema(responses=CallDetailSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        call = selectors.own_call(request.user.pk, int(pk))
        return Response({**call_body(call), "body": call.body})

    @extend_schema(parameters=[SinceSerializer], responses=SummarySerializer)
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def summary(self, request: Request) -> Response:
        since = validated(SinceSerializer, request.query_params)["since"]
        return Response(selectors.summary(request.user.pk, since=since, now=_now()))


def _answer(
    source: WebhookSource, request: Request, *, token: str = "", code: int = status.HTTP_200_OK
) -> Response:
    row = selectors.sources_of(request.user.pk).get(id=source.id)
    shown = _body(row, request)
    if token:
        shown |= {"token": token, "url": _url(request, token)}
    return Response(shown, status=code)


def _body(source: WebhookSource, request: Request) -> dict[str, Any]:
    counts = {"call_count": source.call_count, "last_call_at": source.last_call_at}
    return {**source_body(source), **counts, "url": _url(request, source.token_hint)}


def _url(request: Request, token: str) -> str:
    path = f"{PREFIX}{token}/"
    return (
        f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else f"{request.scheme}://{request.get_host()}{path}"
    )


def _ask_exchange(broker_id: int, user_id: int, symbol: str) -> tuple[Decimal, Balance]:
    async def ask() -> tuple[Decimal, Balance]:
        async with short_lived_gateway() as gateway:
            return await asyncio.gather(
                gateway.price(broker_id, user_id=user_id, symbol=symbol, timeout_s=_ASK_TIMEOUT_S),
                gateway.balance(broker_id, user_id=user_id, timeout_s=_ASK_TIMEOUT_S),
            )

    answer: tuple[Decimal, Balance] = async_to_sync(ask)()
    return answer


def _now() -> datetime:
    return datetime.now(UTC)
