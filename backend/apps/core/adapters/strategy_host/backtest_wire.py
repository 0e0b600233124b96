"""What a backtest's child and its host say to each other, as frames of a length, a tag and a payload.

The host gives the candles once, then asks for runs over all or a part of them. The child is not trusted:
each of its frames is bounded and checked.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from apps.core.adapters.strategy_host import plain_values
from apps.core.adapters.strategy_host.protocol import LENGTH, BadReply, body_of
from domain.backtest.contract import BacktestJob, BacktestSettings, BacktestTrade, CandleSeries
from domain.backtest.played import Played, trade_row
from domain.markets import Market

COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")
CANDLE_BYTES = 8 * len(COLUMNS)
# Tags: what the host says …
SERIES, FINER, RUN = b"S", b"F", b"Q"
# … and what the child answers.
PROGRESS, TRADES, EQUITY, REPORT, ERROR = b"P", b"T", b"E", b"R", b"X"
MAX_FRAME_BYTES = {PROGRESS: 64, TRADES: 1 << 19, EQUITY: 8 * 8_000_000, REPORT: 1 << 21, ERROR: 1 << 18}
TRADES_A_FRAME = 500

_AMOUNT = r'"-?\d{1,30}(?:\.\d{1,40})?"'
_TIME = r"\d{1,15}"
_PATTERNS = {
    **dict.fromkeys(("number", "entry_time", "exit_time"), _TIME),
    **dict.fromkeys(
        ("quantity", "entry_price", "exit_price", "fees", "profit", "profit_ratio", "balance"), _AMOUNT
    ),
    "reason": '"(?:stop_loss|take_profit|signal|hole)"',
    "ambiguous": "(?:true|false)",
}
_TRADE = r"\{" + ",".join(f'"{name}":{pattern}' for name, pattern in _PATTERNS.items()) + r"\}"
_TRADES = re.compile(f"{_TRADE}(?:,{_TRADE}){{0,{TRADES_A_FRAME - 1}}}")


def frame(tag: bytes, payload: bytes) -> bytes:
    return LENGTH.pack(len(payload)) + tag + payload


def pack_series(tag: bytes, series: CandleSeries) -> tuple[bytes, Sequence[memoryview]]:
    """Return the frame that announces candles, and their columns, which follow it unframed."""
    head = json.dumps({"step_ms": series.step_ms, "count": len(series)}).encode()
    kinds = ("<i8", *["<f8"] * (len(COLUMNS) - 1))
    columns = [
        np.ascontiguousarray(getattr(series, name), dtype=kind) for name, kind in zip(COLUMNS, kinds, strict=True)
    ]
    return frame(tag, head), [memoryview(column).cast("B") for column in columns]


@dataclass(frozen=True, slots=True)
class Question:
    """What the child is to play.

    Args:
        part: first and last (exclusive) candle of a run over a part of the series.
        full: whether trades and equity are wanted too.
        prove: whether it is to be proved whatever was proved before of the same text and candles.
    """

    job: BacktestJob
    part: tuple[int, int] | None = None
    full: bool = True
    prove: bool = True


def pack_run(question: Question) -> bytes:
    """Return the question's frame."""
    job = question.job
    settings = {name: _text(value) for name, value in asdict(job.settings).items() if name != "market"}
    market = {name: _text(value) for name, value in asdict(job.settings.market).items()}
    body = {
        "code": job.code,
        "params": dict(job.params),
        "seed": job.seed,
        "exact_at_most": job.exact_at_most,
        "settings": settings,
        "market": market,
        "part": question.part,
        "full": question.full,
        "prove": question.prove,
    }
    return frame(RUN, json.dumps(body).encode())


def unpack_run(payload: bytes) -> Question:
    """Return the question. Comes from the host: trusted."""
    body = json.loads(payload)
    market = Market(**_amounts(body["market"], Market))
    settings = BacktestSettings(market=market, **_amounts(body["settings"], BacktestSettings))
    part = None if body["part"] is None else (body["part"][0], body["part"][1])
    job = BacktestJob(body["code"], body["params"], settings, body["seed"], body["exact_at_most"])
    return Question(job, part, body["full"], body["prove"])


def part_of(series: CandleSeries, part: tuple[int, int] | None) -> CandleSeries:
    """Return some of the candles, as a view of the same columns."""
    if part is None:
        return series
    low, high = part
    return replace(series, **{name: getattr(series, name)[low:high] for name in COLUMNS})


def pack_played(played: Played) -> bytes:
    return frame(REPORT, json.dumps({"kind": "played", **plain_values.plain(played)}).encode())


def read_played(payload: bytes) -> Played:
    """Raises BadReply when it is none."""
    return plain_values.read(Played, dict(body_of(payload, "played")))


def raise_error(payload: bytes) -> None:
    """Raises the StrategyError that the child reports; BadReply when it is none."""
    body_of(payload, "nothing else")


def pack_trades(trades: Sequence[BacktestTrade]) -> Iterator[bytes]:
    """Yield the frames of a run's trades, in order."""
    for first in range(0, len(trades), TRADES_A_FRAME):
        rows = enumerate(trades[first : first + TRADES_A_FRAME], start=first + 1)
        texts = (json.dumps(trade_row(number, trade), separators=(",", ":")) for number, trade in rows)
        yield frame(TRADES, ",".join(texts).encode())


def check_trades(payload: bytes) -> str:
    """Return the trades' JSON, objects joined by commas. Raises BadReply when there is anything else in it."""
    text = payload.decode("ascii", errors="replace")
    if not _TRADES.fullmatch(text):
        raise BadReply("transactions illisibles")
    return text


def read_equity(payload: bytes, *, expected: int) -> Any:
    """Return the equity line. Raises BadReply when it is not one finite number per candle that decided."""
    values = np.frombuffer(payload, dtype="<f8") if len(payload) % 8 == 0 else np.empty(0)
    if len(values) != expected or not np.isfinite(values).all():
        raise BadReply("ligne de capital illisible")
    return values


def read_progress(payload: bytes) -> float:
    try:
        value = float(payload)
    except ValueError as exc:
        raise BadReply("progression illisible") from exc
    return min(max(value, 0.0), 1.0) if value == value else 0.0  # NaN is no progress


def _amounts(facts: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Return the fields with their Decimals, by the dataclass's own annotations."""
    exact = {name for name, hint in kind.__annotations__.items() if "Decimal" in str(hint)}
    return {name: Decimal(value) if name in exact and value is not None else value for name, value in facts.items()}


def _text(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value
