"""`/api/backtests/`: strategies played over past candles; one's own runs only, another user's is a 404."""

from datetime import UTC, datetime
from uuid import UUID

from asgiref.sync import async_to_sync
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from apps.backtest import curves, offer, selectors
from apps.backtest.announce import tell_and_wake
from apps.backtest.bodies import run_body
from apps.backtest.models import BacktestResult
from apps.backtest.serializers import (
    BacktestCurvesSerializer,
    BacktestDetailSerializer,
    BacktestInputSerializer,
    BacktestQuery,
    BacktestSerializer,
    CurveQuery,
    OfferQuery,
    OfferSerializer,
    QuickTestCancelSerializer,
    QuickTestInputSerializer,
    QuickTestSerializer,
    TradePageSerializer,
    TradeQuery,
)
from apps.backtest.services import requests
from apps.backtest.trades import CsvRenderer, TradesFile, file_name, ordered_by, page_of
from apps.brokers.selectors import own_broker
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.strategy_requests import ask_terminal_3, take_back
from apps.core.api_input import validated
from domain.strategies.loader import invalid
from domain.strategies.params import check_params, declared_params
from domain.strategies.syntax import check_syntax
from domain.timeframes import Timeframe

_TIMEOUT_S = 70.0  # candles, then a run that may take 50 s on a busy machine
_FORMAT = OpenApiParameter("format", OpenApiTypes.STR, enum=["json", "csv"], description="csv: every trade.")


class BacktestViewSet(GenericViewSet[BacktestResult]):
    serializer_class = BacktestSerializer
    queryset = BacktestResult.objects.none()
    filter_backends = ()
    lookup_value_regex = r"\d+"

    @extend_schema(parameters=[BacktestQuery], responses=BacktestSerializer(many=True))
    def list(self, request: Request) -> Response:
        rows = selectors.runs_of(request.user.pk)
        page = self.paginate_queryset(rows.filter(**validated(BacktestQuery, request.query_params)))
        return self.get_paginated_response([run_body(row) for row in page or []])

    @extend_schema(responses=BacktestDetailSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        row = selectors.own_run(request.user.pk, int(pk))
        return Response({**run_body(row), "code": row.code})

    @extend_schema(request=BacktestInputSerializer, responses={201: BacktestSerializer})
    def create(self, request: Request) -> Response:
        wanted = validated(BacktestInputSerializer, request.data)
        run = requests.create_run(request.user.pk, wanted, now=datetime.now(UTC))
        tell_and_wake(run)
        return Response(run_body(run), status=status.HTTP_201_CREATED)

    @extend_schema(parameters=[OfferQuery], responses=OfferSerializer)
    @action(detail=False, methods=["get"], pagination_class=None)
    def offer(self, request: Request) -> Response:
        """What a form proposes for a market: the account's fees and balance, limits, candles that are kept."""
        asked = validated(OfferQuery, request.query_params)
        broker = own_broker(request.user, asked["broker"])
        timeframe = Timeframe.parse(asked["timeframe"])
        return Response(offer.offer(broker, asked["symbol"], timeframe, now=datetime.now(UTC)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        requests.delete(selectors.own_run(request.user.pk, int(pk)))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=BacktestSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Ask for the end of the run; it says `cancelled` within half a second."""
        run = requests.cancel(selectors.own_run(request.user.pk, int(pk)))
        tell_and_wake(run)
        return Response(run_body(run))

    @extend_schema(
        parameters=[TradeQuery, _FORMAT],
        responses={200: TradePageSerializer, (200, "text/csv"): OpenApiTypes.STR},
    )
    @action(detail=True, methods=["get"], renderer_classes=[JSONRenderer, CsvRenderer], pagination_class=None)
    def trades(self, request: Request, pk: str) -> Response:
        """One page of trades, or all of them as CSV."""
        asked = validated(TradeQuery, request.query_params)
        run = selectors.finished_run(request.user.pk, int(pk), "trades_detail")
        if request.accepted_renderer.format == CsvRenderer.format:
            return Response(
                TradesFile(ordered_by(run.trades_detail, asked["ordering"]), run.symbol),
                headers={"Content-Disposition": f'attachment; filename="{file_name(run)}"'},
            )
        return Response(page_of(run.trades_detail, **asked))

    @extend_schema(parameters=[CurveQuery], responses=BacktestCurvesSerializer)
    @action(detail=True, methods=["get"], pagination_class=None)
    def equity(self, request: Request, pk: str) -> Response:
        """Equity, drawdown, buy and hold, and the candles under the trades, as many as a screen shows."""
        asked = validated(CurveQuery, request.query_params)
        return Response(curves.body(request.user.pk, int(pk), **asked))


class QuickTestView(APIView):
    @extend_schema(request=QuickTestInputSerializer, responses=QuickTestSerializer)
    def post(self, request: Request) -> Response:
        """Try unsaved code on the last 500 candles of a market, in the sandbox of terminal 3.

        With an `id`, the topic `backtests` tells by `quick_test` events how far it is, and it can be cancelled.
        """
        asked = QuickTestInputSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        own_broker(request.user, wanted["broker"])
        problems = check_syntax(wanted["code"])
        if problems:
            raise invalid(problems)
        test_id = wanted.get("id")
        params = {
            "user_id": request.user.pk,
            "number": "" if test_id is None else str(test_id),
            "broker_id": wanted["broker"],
            "code": wanted["code"],
            "symbol": wanted["symbol"],
            "timeframe": wanted["timeframe"],
            "amount": str(wanted["amount"]),
            "params": check_params(declared_params(wanted["code"]).specs, wanted["params"]),
        }
        answer = async_to_sync(ask_terminal_3)(
            settings.REDIS_URL,
            "quick_test",
            params,
            action="Stratégie non essayée",
            clock=SystemClock(),
            timeout_s=_TIMEOUT_S,
            number=None if test_id is None else _number(request, test_id),
        )
        return Response(answer)


class QuickTestCancelView(APIView):
    @extend_schema(request=QuickTestCancelSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """End one's quick test of that id, whatever it does; its own answer then says `cancelled`."""
        asked = validated(QuickTestCancelSerializer, request.data)
        async_to_sync(take_back)(settings.REDIS_URL, _number(request, asked["id"]))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _number(request: Request, test_id: UUID) -> str:
    """Return what names a test in terminal 3: nobody reaches another user's by its id."""
    return f"{request.user.pk}:{test_id}"
