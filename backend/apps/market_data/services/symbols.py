"""The only writer of `exchange_symbols`: replaced per exchange in one transaction, so no relic stays."""

from collections.abc import Sequence

from django.db import transaction

from apps.core.adapters.database import in_database
from apps.market_data.models import ExchangeSymbol
from domain.markets import Market

_BATCH = 1000


@transaction.atomic
def replace(exchange: str, markets: Sequence[Market]) -> None:
    """Delete the exchange's symbols and insert `markets`; a reader sees the old ones or the new ones."""
    ExchangeSymbol.objects.filter(exchange=exchange).delete()
    ExchangeSymbol.objects.bulk_create([_row(exchange, market) for market in markets], batch_size=_BATCH)


class DjangoMarketStore:
    """The `MarketStore` port."""

    async def replace_markets(self, exchange: str, markets: Sequence[Market]) -> None:
        await in_database(replace, exchange, markets)


def _row(exchange: str, market: Market) -> ExchangeSymbol:
    return ExchangeSymbol(
        exchange=exchange,
        symbol=market.symbol,
        exchange_symbol=market.exchange_id,
        base=market.base,
        quote=market.quote,
        active=market.active,
        type=market.market_type,
        min_amount=market.min_quantity,
        max_amount=market.max_quantity,
        min_notional=market.min_notional,
        price_precision=market.tick_size,
        amount_precision=market.step_size,
        maker_fee_ratio=market.maker_fee_ratio,
        taker_fee_ratio=market.taker_fee_ratio,
    )
