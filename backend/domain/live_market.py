"""What a trader watches while it moves: the order book, the day's ticker, the candle still open.

Public data of one market, the same for every account there: no user and no broker is in it. Amounts are
exact; on the wire they are text without an exponent, except a candle's, which charts read as numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

Level = tuple[Decimal, Decimal]  # price, quantity


@dataclass(frozen=True, slots=True)
class OrderBook:
    """What is offered at one moment; bids from the highest price down, asks from the lowest up."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    at: datetime

    def to_wire(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "bids": _levels_to_wire(self.bids),
            "asks": _levels_to_wire(self.asks),
            "at": self.at.isoformat(),
        }

    @classmethod
    def from_wire(cls, message: Mapping[str, Any]) -> "OrderBook":
        return cls(
            symbol=str(message["symbol"]),
            bids=_levels_from_wire(message["bids"]),
            asks=_levels_from_wire(message["asks"]),
            at=datetime.fromisoformat(message["at"]),
        )


def amount_text(amount: Decimal) -> str:
    """Return the amount in full, never as 1E-7."""
    return f"{amount:f}"


def _levels_to_wire(levels: tuple[Level, ...]) -> list[list[str]]:
    return [[amount_text(price), amount_text(quantity)] for price, quantity in levels]


def _levels_from_wire(rows: list[list[str]]) -> tuple[Level, ...]:
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in rows)
