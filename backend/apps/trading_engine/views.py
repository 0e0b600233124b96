"""`/api/bots/`: one's own bots only; another user's is a 404."""

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.core.api_input import validated
from apps.core.pagination import Pagination
from apps.trading_engine import selectors
from apps.trading_engine.bodies import decision_body, parity_run_body
from apps.trading_engine.models import ActiveStrategy
from apps.trading_engine.parity import book
from apps.trading_engine.serializers import (
    BotInputSerializer,
    BotSerializer,
    DecisionSerializer,
    EquitySerializer,
    ParityRunSerializer,
    StopInputSerializer,
)
from apps.trading_engine.services import bots, caps


class DecisionPagination(Pagination):
    """By close: a missed close is recorded after later ones were decided."""

    ordering = "-close_time"


class ParityPagination(Pagination):
    page_size = 10
    ordering = "-day"


class BotViewSet(GenericViewSet[ActiveStrategy]):
    serializer_class = BotSerializer
    queryset = ActiveStrategy.objects.none()
    lookup_value_regex = r"\d+"

    @extend_schema(responses=BotSerializer(many=True))
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(selectors.bots_of(request.user.pk))
        return self.get_paginated_response(selectors.bodies(page or [], now=_now()))

    @extend_schema(responses=BotSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        return _answer(bots.own_bot(request.user.pk, int(pk)))

    @extend_schema(request=BotInputSerializer, responses={201: BotSerializer})
    def create(self, request: Request) -> Response:
        wanted = validated(BotInputSerializer, request.data)
        caps.refuse_beyond_balance(request.user.pk, wanted, now=_now())
        return _answer(bots.create(request.user.pk, wanted, now=_now()), status.HTTP_201_CREATED)

    @extend_schema(request=BotInputSerializer, responses=BotSerializer)
    def update(self, request: Request, pk: str) -> Response:
        return self._change(request, pk, validated(BotInputSerializer, request.data))

    @extend_schema(request=BotInputSerializer(partial=True), responses=BotSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        return self._change(request, pk, validated(BotInputSerializer, request.data, partial=True))

    def _change(self, request: Request, pk: str, changes: dict[str, Any]) -> Response:
        caps.refuse_change(bots.own_bot(request.user.pk, int(pk)), changes, now=_now())
        return _answer(bots.update(request.user.pk, int(pk), changes, now=_now()))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        bots.delete(request.user.pk, int(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=StopInputSerializer, responses=BotSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        asked = validated(StopInputSerializer, request.data)
        stopped = bots.stop(
            request.user.pk, int(pk), confirm=asked["confirm"], sell=asked.get("sell", False), now=_now()
        )
        return _answer(stopped)

    @extend_schema(request=None, responses=BotSerializer)
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, pk: str) -> Response:
        return _answer(bots.suspend(request.user.pk, int(pk)))

    @extend_schema(request=None, responses=BotSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        caps.refuse_resume(bots.own_bot(request.user.pk, int(pk)), now=_now())
        return _answer(bots.resume(request.user.pk, int(pk), now=_now()))

    @extend_schema(request=None, responses=BotSerializer)
    @action(detail=True, methods=["post"])
    def sell(self, request: Request, pk: str) -> Response:
        return _answer(bots.sell(request.user.pk, int(pk), now=_now()))

    @extend_schema(responses=DecisionSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=DecisionPagination)
    def decisions(self, request: Request, pk: str) -> Response:
        bot = bots.own_bot(request.user.pk, int(pk))
        page = self.paginate_queryset(selectors.decisions_of(bot.id))
        return self.get_paginated_response([decision_body(row) for row in page or []])

    @extend_schema(responses=EquitySerializer)
    @action(detail=True, methods=["get"])
    def equity(self, request: Request, pk: str) -> Response:
        """What the bot has realised, sale after sale."""
        return Response(selectors.equity_of(bots.own_bot(request.user.pk, int(pk))))

    @extend_schema(responses=ParityRunSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=ParityPagination)
    def parity(self, request: Request, pk: str) -> Response:
        """The market days that were replayed, with the decisions that come out otherwise."""
        bot = bots.own_bot(request.user.pk, int(pk))
        page = self.paginate_queryset(selectors.parity_runs_of(bot.id))
        return self.get_paginated_response([parity_run_body(row) for row in page or []])

    @extend_schema(request=None, responses={202: ParityRunSerializer})
    @parity.mapping.post
    def ask_parity(self, request: Request, pk: str) -> Response:
        """Replay the newest market day now; the result comes as an event `parity` of the topic `bots`."""
        run = book.ask(bots.own_bot(request.user.pk, int(pk)), now=_now())
        return Response(parity_run_body(run), status=status.HTTP_202_ACCEPTED)


def _answer(bot: ActiveStrategy, code: int = status.HTTP_200_OK) -> Response:
    return Response(selectors.bodies([bot], now=_now())[0], status=code)


def _now() -> datetime:
    return datetime.now(UTC)
