"""The trades of a scope as a file that French spreadsheets open: semicolons, decimal commas, a UTF-8 mark."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from apps.core import spreadsheet
from apps.orders.events import amount
from apps.orders.models import Trade
from apps.stats.selectors import closed_trade
from apps.stats.serializers import other_fee
from domain.markets import split_symbol

HEADER = (
    "clôture (UTC)",
    "symbole",
    "sens",
    "source",
    "stratégie",
    "broker",
    "quantité",
    "prix d'entrée",
    "prix de sortie",
    "frais (achat et vente)",
    "gain net",
    "monnaie",
    "autres frais de la vente",
    "ordre",
)
_SOURCES = {"manual": "manuel", "strategy": "stratégie", "webhook": "webhook", "external": "hors Aristobot"}


async def lines(trades: "QuerySet[Trade]") -> AsyncIterator[str]:
    """Yield the file line by line, oldest trade first; nothing of it is held in memory."""
    writer = spreadsheet.line_writer()
    yield spreadsheet.MARK + writer(HEADER)
    async for trade in trades.order_by("market_time", "id").aiterator(chunk_size=2_000):
        yield writer(_cells(trade))


def _cells(trade: Trade) -> list[Any]:
    closed = closed_trade(trade)
    return [
        spreadsheet.moment(trade.market_time),
        trade.symbol,
        "vente" if trade.side == "sell" else "achat",
        _SOURCES[trade.source],
        spreadsheet.text(trade.strategy.name if trade.strategy else ""),
        spreadsheet.text(trade.broker.name),
        _number(trade.filled_quantity),
        _number(closed.entry_price),
        _number(trade.average_price),
        _number(closed.fee),
        _number(trade.profit_loss),
        split_symbol(trade.symbol)[1],
        spreadsheet.number(other_fee(trade)),
        trade.client_order_id,
    ]


def _number(value: Decimal | None) -> str:
    return spreadsheet.number(amount(value) or "")
