"""`/api/stats/`: the panels of the statistics page. Own results only, read only."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from apps.orders.models import Trade
from apps.stats import exports, selectors
from apps.stats.detail import detail_of
from apps.stats.scope import Scope, quotes_of, scope_of
from apps.stats.serializers import (
    ScopeQuery,
    StatsDaySerializer,
    StatsEquitySerializer,
    StatsStrategySerializer,
    StatsSummarySerializer,
    StatsSymbolSerializer,
    StatsTradeDetailSerializer,
    StatsTradeSerializer,
    StatsWebhookSerializer,
)
from apps.stats.services.rollup import bring_up_to_date

Rows = list[dict[str, Any]]


class TradePagination(CursorPagination):
    """By market time: the page shows when a trade was closed."""

    ordering = ("-market_time", "-id")
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500


class _StatsView(APIView):
    def scope(self, request: Request) -> Scope:
        """Return what is asked, after the user's sums followed his latest orders."""
        query = ScopeQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        bring_up_to_date(request.user.pk)
        return scope_of(request.user, query.validated_data, now=datetime.now(UTC))


class SummaryView(_StatsView):
    @extend_schema(parameters=[ScopeQuery], responses=StatsSummarySerializer)
    def get(self, request: Request) -> Response:
        """The figures of the whole scope, and which scopes there are."""
        scope = self.scope(request)
        facts = {name: getattr(scope, name) for name in ("mode", "modes", "quote", "today")}
        facts["quotes"] = quotes_of(scope.user_id, scope.brokers)
        return Response(StatsSummarySerializer({**facts, **selectors.summary(scope)}).data)


class EquityView(_StatsView):
    @extend_schema(parameters=[ScopeQuery], responses=StatsEquitySerializer)
    def get(self, request: Request) -> Response:
        """The cumulated net result, by trade while there are few, else by day."""
        return Response(StatsEquitySerializer(selectors.equity(self.scope(request))).data)


def _rows(select: Callable[[Scope], Rows], scope: Scope, serializer: type[Serializer[Any]]) -> Response:
    return Response(serializer(select(scope), many=True).data)


class DailyView(_StatsView):
    @extend_schema(parameters=[ScopeQuery], responses=StatsDaySerializer(many=True))
    def get(self, request: Request) -> Response:
        """Each UTC day of the market with a result or a fee."""
        return _rows(selectors.daily, self.scope(request), StatsDaySerializer)


class ByStrategyView(_StatsView):
    @extend_schema(parameters=[ScopeQuery], responses=StatsStrategySerializer(many=True))
    def get(self, request: Request) -> Response:
        """Each strategy, and manual and external orders beside them."""
        return _rows(selectors.by_strategy, self.scope(request), StatsStrategySerializer)


class ByWebhookView(_StatsView):
    @extend_schema(parameters=[ScopeQuery], responses=StatsWebhookSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Each webhook source."""
        return _rows(selectors.by_webhook, self.scope(request), StatsWebhookSerializer)


class BySymbolView(_StatsView):
    @extend_schema(parameters=[ScopeQuery], responses=StatsSymbolSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Each market."""
        return _rows(selectors.by_symbol, self.scope(request), StatsSymbolSerializer)


class TradesView(_StatsView, ListAPIView[Trade]):
    """The orders that realised a result, newest first, in pages."""

    serializer_class = StatsTradeSerializer
    pagination_class = TradePagination
    filter_backends = ()

    @extend_schema(parameters=[ScopeQuery])
    def get(self, *args: object, **kwargs: object) -> object:
        return super().get(*args, **kwargs)

    def get_queryset(self) -> "QuerySet[Trade]":
        return selectors.trades(self.scope(self.request))


class TradeView(GenericAPIView[Trade]):
    serializer_class = StatsTradeDetailSerializer
    queryset = Trade.objects.none()

    def get(self, request: Request, pk: int) -> Response:
        """One closed trade: its purchases, its sale, and why it was sold."""
        return Response(StatsTradeDetailSerializer(detail_of(request.user.pk, pk)).data)


class TradesExportView(_StatsView):
    @extend_schema(parameters=[ScopeQuery], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        """The same trades, all of them, for a spreadsheet."""
        scope = self.scope(request)
        answer = StreamingHttpResponse(
            exports.lines(selectors.trades(scope)), content_type="text/csv; charset=utf-8"
        )
        answer["Content-Disposition"] = f'attachment; filename="aristobot-trades-{scope.today}.csv"'
        return answer
