"""Trades per second through parsing and the eight builders, beside parsing alone.

Both sides are timed in CPU seconds of this process, in turns, so that what else the machine does
weighs on neither.
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from pyarrow import parquet

from apps.core.adapters.binance_stream import BATCH, parse_message
from bench.figures import percentile
from domain.candle_builder import MINUTE_MS, CandleBuilder
from domain.market_feed import TradeEvent
from domain.market_tracker import MarketTracker
from domain.trade_sequence import TradeSequencer

REPEATS = 5
_ROOT = Path(__file__).resolve().parents[1]
_WALK_SYMBOL = "BTCUSDT"
_RECORDED_SYMBOL = "XRPETH"
_SEED = 42
_WALK_START_MS = 1_577_836_800_000  # 2020-01-01
_RECORDING = "binance_XRPETH_aggTrades_2019-10-11_13.parquet"


@dataclass(frozen=True, slots=True)
class Sample:
    """aggTrade messages as the stream gives them (wrapped), in order."""

    label: str
    symbol: str
    messages: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Throughput:
    """CPU seconds for the whole sample (median of the repeats), and the candles that came out."""

    label: str
    trades: int
    candles: int
    orjson_s: float
    parse_s: float
    full_s: float

    @property
    def trades_per_s(self) -> float:
        return self.trades / self.full_s

    @property
    def times_orjson(self) -> float:
        """How many times the cost of reading the JSON alone."""
        return self.full_s / self.orjson_s

    @property
    def share_of_orjson_rate(self) -> float:
        """Trades per second through everything, as a ratio of trades per second through orjson alone."""
        return self.orjson_s / self.full_s


def walk_sample(count: int, *, per_minute: int) -> Sample:
    """Return `count` messages of a seeded random walk with about `per_minute` trades a minute."""
    chance = random.Random(_SEED)  # noqa: S311 — a market, not a secret
    at_ms, price, raw_id = float(_WALK_START_MS), 720_000, 1
    messages = []
    for number in range(1, count + 1):
        at_ms += chance.expovariate(per_minute / MINUTE_MS)
        price = max(1, price + chance.randint(-3, 3))
        executions = chance.choice((1, 1, 1, 2, 3))
        quantity = f"{chance.randint(1, 10**9) / 10**6:.6f}00"
        trade = (number, f"{price // 100}.{price % 100:02d}000000", quantity, raw_id, raw_id + executions - 1)
        messages.append(_message(_WALK_SYMBOL, *trade, int(at_ms), chance.random() < 0.5))
        raw_id += executions
    return Sample(f"marche, {per_minute} échanges/min", _WALK_SYMBOL, messages)


def recorded_sample() -> Sample | None:
    """Return the recorded market's messages, None when the recording is not on this machine."""
    folder = Path(os.environ.get("ARISTOBOT_TEST_DATA", _ROOT.parent / "shared" / "data"))
    path = folder / _RECORDING
    if not path.is_file():
        return None
    rows = parquet.read_table(path).to_pylist()
    messages = [_message(_RECORDED_SYMBOL, r["a"], r["p"], r["q"], r["f"], r["l"], r["T"], r["m"]) for r in rows]
    return Sample(f"enregistrement {_RECORDED_SYMBOL}", _RECORDED_SYMBOL, messages)


def measure(sample: Sample, *, repeats: int = REPEATS) -> Throughput:
    """Time the three ways in turns."""
    timed: dict[str, list[float]] = {"orjson": [], "parse": [], "full": []}
    candles = 0
    for _ in range(repeats):
        timed["orjson"].append(_cpu_s(lambda: _read_json(sample.messages)))
        timed["parse"].append(_cpu_s(lambda: _parse(sample.messages)))
        built: list[int] = []
        timed["full"].append(_cpu_s(lambda: built.append(_build(sample))))  # noqa: B023 — called at once
        candles = built[0]
    middle = {name: percentile(values, 0.5) for name, values in timed.items()}
    return Throughput(
        sample.label, len(sample.messages), candles, middle["orjson"], middle["parse"], middle["full"]
    )


def _message(
    symbol: str, agg_id: int, price: str, quantity: str, first: int, last: int, at_ms: int, maker: bool
) -> bytes:
    """Write a trade as Binance's combined stream does."""
    return (
        f'{{"stream":"{symbol.lower()}@aggTrade","data":{{"e":"aggTrade","E":{at_ms},"s":"{symbol}","a":{agg_id},'
        f'"p":"{price}","q":"{quantity}","f":{first},"l":{last},"T":{at_ms},'
        f'"m":{"true" if maker else "false"},"M":true}}}}'
    ).encode()


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _read_json(messages: Sequence[bytes]) -> None:
    for raw in messages:
        orjson.loads(raw)


def _parse(messages: Sequence[bytes]) -> None:
    for raw in messages:
        parse_message(raw)


def _build(sample: Sample) -> int:
    """Do what the heartbeat does between its socket and its database; return how many candles closed."""
    tracker = new_tracker(sample.symbol, sample.messages[0])
    closed = 0
    for start in range(0, len(sample.messages), BATCH):
        events = [parse_message(raw) for raw in sample.messages[start : start + BATCH]]
        for event in events:
            if type(event) is TradeEvent:
                tracker.on_trade(event.trade, event.event_ms)
        closed += len(tracker.drain())
    return closed


def new_tracker(symbol: str, first: bytes) -> MarketTracker:
    """Return a tracker of the eight timeframes that begins with the minute of a message."""
    event = parse_message(first)
    if event is None:
        raise ValueError(f"not a market message: {first[:80]!r}")
    start_ms = event.event_ms // MINUTE_MS * MINUTE_MS
    return MarketTracker(TradeSequencer(), CandleBuilder(symbol, start_ms=start_ms))
