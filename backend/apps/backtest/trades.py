"""A run's trades as a page, as a file, and as marks on a chart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.utils.text import slugify
from rest_framework.renderers import BaseRenderer

from apps.backtest.models import BacktestResult
from apps.core import spreadsheet
from domain.markets import split_symbol

Trade = Mapping[str, Any]
_HEADS = {
    "number": "n°",
    "entry_time": "entrée (UTC)",
    "exit_time": "sortie (UTC)",
    "quantity": "quantité {base}",
    "entry_price": "prix d'entrée",
    "exit_price": "prix de sortie",
    "fees": "frais {quote}",
    "profit": "gain net {quote}",
    "profit_ratio": "gain net %",
    "balance": "solde {quote}",
    "reason": "motif de sortie",
    "ambiguous": "ambigu",
}
_REASONS = {
    "stop_loss": "Stop Loss",
    "take_profit": "Take Profit",
    "signal": "signal de sortie",
    "hole": "trou dans les bougies",
}
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


@dataclass(frozen=True, slots=True)
class TradesFile:
    """All trades of a run, for a spreadsheet."""

    trades: Sequence[Trade]
    symbol: str

    def lines(self) -> Iterator[str]:
        """Yield the file line by line, as the export of Statistiques writes its own."""
        base, quote = split_symbol(self.symbol)
        line = spreadsheet.line_writer()
        yield spreadsheet.MARK + line(head.format(base=base, quote=quote) for head in _HEADS.values())
        for trade in self.trades:
            yield line(_cell(column, trade[column]) for column in _HEADS)


def file_name(run: BacktestResult) -> str:
    """Return a name that says which run it is: strategy, market, period."""
    period = f"{run.start_date:%Y-%m-%d}_{run.end_date:%Y-%m-%d}"
    market = run.symbol.replace("/", "-")
    return f"backtest-{run.pk}-{slugify(run.strategy_name)}-{slugify(market)}-{run.timeframe}-{period}.csv"


class CsvRenderer(BaseRenderer):
    """Writes a `TradesFile`."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return "".join(data.lines()).encode()


def _cell(column: str, value: Any) -> Any:
    if column in ("entry_time", "exit_time"):
        return spreadsheet.moment(datetime.fromtimestamp(value / 1000, tz=UTC))
    if column == "reason":
        return _REASONS.get(value, value)
    if column == "ambiguous":
        return "oui" if value else "non"
    if column == "profit_ratio":
        value = f"{Decimal(value) * 100:f}"
    return spreadsheet.number(str(value))
