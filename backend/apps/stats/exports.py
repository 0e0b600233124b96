"""The trades of a scope as a file that French spreadsheets open: semicolons, decimal commas, a UTF-8 mark."""

import csv
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from apps.orders.events import amount
from apps.orders.models import Trade
from apps.stats.selectors import closed_trade
from apps.stats.serializers import moment, other_fee
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
_MARK = "\ufeff"
_SOURCES = {"manual": "manuel", "strategy": "stratégie", "webhook": "webhook", "external": "hors Aristobot"}
# A cell that begins so would be run as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """A file for `csv` that gives each line back instead of keeping it."""

    def write(self, text: str) -> str:
        return text


async def lines(trades: "QuerySet[Trade]") -> AsyncIterator[str]:
    """Yield the file line by line, oldest trade first; nothing of it is held in memory."""
    writer = csv.writer(_Line(), delimiter=";")
    yield _MARK + writer.writerow(HEADER)
    async for trade in trades.order_by("market_time", "id").aiterator(chunk_size=2_000):
        yield writer.writerow(_cells(trade))


def _cells(trade: Trade) -> list[Any]:
    closed = closed_trade(trade)
    return [
        moment(trade.market_time),
        trade.symbol,
        "vente" if trade.side == "sell" else "achat",
        _SOURCES[trade.source],
        _text(trade.strategy.name if trade.strategy else ""),
        _text(trade.broker.name),
        _number(trade.filled_quantity),
        _number(closed.entry_price),
        _number(trade.average_price),
        _number(closed.fee),
        _number(trade.profit_loss),
        split_symbol(trade.symbol)[1],
        other_fee(trade).replace(".", ","),
        trade.client_order_id,
    ]


def _number(value: Decimal | None) -> str:
    return (amount(value) or "").replace(".", ",")


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
