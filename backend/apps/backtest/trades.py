"""A run's trades as a page, as a file, and as marks on a chart."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rest_framework.renderers import BaseRenderer

Trade = Mapping[str, Any]
COLUMNS = (
    *("number", "entry_time", "exit_time", "quantity", "entry_price", "exit_price"),
    *("fees", "profit", "profit_ratio", "balance", "reason", "ambiguous"),
)
_TEXTS = ("reason", "number", "entry_time", "exit_time")


def page_of(trades: Sequence[Trade], *, page: int, limit: int, ordering: str) -> dict[str, Any]:
    """Return one page: `count`, the numbers of the `next` and `previous` page, `results`."""
    ordered = ordered_by(trades, ordering)
    first = (page - 1) * limit
    return {
        "count": len(ordered),
        "next": page + 1 if first + limit < len(ordered) else None,
        "previous": page - 1 if page > 1 else None,
        "results": ordered[first : first + limit],
    }


def ordered_by(trades: Sequence[Trade], ordering: str) -> list[Trade]:
    """Return the trades by a column, "-" for the largest first; equals keep their order in time."""
    name = ordering.removeprefix("-")

    def key(trade: Trade) -> Any:
        return trade[name] if name in _TEXTS else Decimal(trade[name])

    return sorted(trades, key=key, reverse=ordering.startswith("-"))


def markers_of(trades: Sequence[Trade]) -> list[dict[str, Any]]:
    """Return each trade's purchase and sale, in order of time."""
    marks = [mark for trade in trades for mark in _marks(trade)]
    return sorted(marks, key=lambda mark: (mark["time"], mark["trade"], mark["side"]))


def _marks(trade: Trade) -> Iterator[dict[str, Any]]:
    number, reason = trade["number"], trade["reason"]
    yield {
        "time": trade["entry_time"],
        "side": "buy",
        "price": trade["entry_price"],
        "reason": "signal",
        "trade": number,
    }
    yield {
        "time": trade["exit_time"],
        "side": "sell",
        "price": trade["exit_price"],
        "reason": reason,
        "trade": number,
    }


class CsvRenderer(BaseRenderer):
    """Writes trades as RFC 4180: a header, ISO times in UTC, plain numbers."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows([_cell(trade, column) for column in COLUMNS] for trade in data)
        return text.getvalue().encode()


def _cell(trade: Trade, column: str) -> Any:
    if column in ("entry_time", "exit_time"):
        return datetime.fromtimestamp(trade[column] / 1000, tz=UTC).isoformat()
    return trade[column]
