"""REST of symbols and candles: what is stored for the exchange of one of the user's brokers."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination

from apps.brokers.selectors import own_broker
from apps.market_data import selectors
from apps.market_data.models import Candle, ExchangeSymbol
from apps.market_data.serializers import CandleQuery, CandleSerializer, SymbolQuery, SymbolSerializer
from domain.timeframes import Timeframe


class _BySymbol(CursorPagination):
    ordering = "symbol"
    page_size = 100
    page_size_query_param = "limit"
    max_page_size = 5000


class _NewestFirst(_BySymbol):
    ordering = "-open_time"


class SymbolList(ListAPIView[ExchangeSymbol]):
    """Symbols of a broker's exchange."""

    serializer_class = SymbolSerializer
    pagination_class = _BySymbol
    filter_backends = ()

    @extend_schema(parameters=[SymbolQuery])
    def get(self, *args: object, **kwargs: object) -> object:
        return super().get(*args, **kwargs)

    def get_queryset(self) -> "QuerySet[ExchangeSymbol]":
        query = SymbolQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        broker = own_broker(self.request.user, wanted["broker"])
        return selectors.symbols(broker.exchange, quote=wanted.get("quote"), search=wanted.get("search"))


class CandleList(ListAPIView[Candle]):
    """Stored closed candles of a broker's exchange, newest first."""

    serializer_class = CandleSerializer
    pagination_class = _NewestFirst
    filter_backends = ()

    @extend_schema(parameters=[CandleQuery])
    def get(self, *args: object, **kwargs: object) -> object:
        return super().get(*args, **kwargs)

    def get_queryset(self) -> "QuerySet[Candle]":
        query = CandleQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        broker = own_broker(self.request.user, wanted["broker"])
        found = selectors.candles_of(broker, wanted["symbol"], Timeframe.parse(wanted["timeframe"]))
        if "since" in wanted:
            found = found.filter(open_time__gte=wanted["since"])
        if "until" in wanted:
            found = found.filter(open_time__lt=wanted["until"])
        return found
