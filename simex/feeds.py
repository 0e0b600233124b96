"""From options to feeds: which symbol is recorded, which one walks, where the market starts."""

from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from simex.live.feed import LiveFeed
from simex.market.replay import RecordingError, Replay, load_candles, load_trades
from simex.market.symbols import SymbolRules, rules_for
from simex.market.tradelog import Feed
from simex.market.walk import DAY_MS, EPOCH_MS, Walk
from simex.options import Options
from simex.units import decimal8

MAX_BACK_DAYS = 400
RUNWAY_DAYS = 30  # how long a fast walk may run before it would reach the wall clock
OLDEST_START_MS = EPOCH_MS + 365 * DAY_MS


def load_recordings(options: Options) -> list[Replay]:
    """Load what the source option names.

    A recording of trades belongs to the symbol in its file's name, or else to the first symbol.

    Raises:
        RecordingError: unreadable, or none of the symbols is in it.
    """
    path = options.source_file
    if path is None:
        return []
    if options.source_kind == "candles":
        found = load_candles(path, options.symbols)
        if not found:
            raise RecordingError(f"{path.name}: holds none of {', '.join(options.symbols)}")
        return found
    named = [symbol for symbol in options.symbols if symbol in path.name]
    return [load_trades(path, named[0] if named else options.symbols[0])]


def make_feeds(
    options: Options,
) -> tuple[dict[str, Feed], dict[str, SymbolRules]]:
    """Return each symbol's feed and rules; symbols without a recording walk.

    Raises:
        RecordingError: the recording cannot be used.
        ValueError: a symbol's assets cannot be told.
    """
    if options.is_live:
        rules = rules_for(options.symbols, read_exchange_info(options.exchange_info), {})
        return {symbol: LiveFeed(symbol) for symbol in rules}, rules
    recordings = {replay.symbol: replay for replay in load_recordings(options)}
    prices = {symbol: _first_price(replay) for symbol, replay in recordings.items()}
    rules = rules_for(options.symbols, read_exchange_info(options.exchange_info), prices)
    feeds: dict[str, Feed] = {}
    for symbol, its_rules in rules.items():
        walk = Walk(options.seed, symbol, its_rules.walk_shape())
        feeds[symbol] = recordings.get(symbol, walk)
    return feeds, rules


def _first_price(replay: Replay) -> Decimal:
    block = next(replay.blocks(replay.first_ms, replay.first_ms + 1))
    return decimal8(int(block.price8[0]))


def read_exchange_info(path: Path | None) -> dict[str, Any] | None:
    """Read a recorded exchangeInfo, None when none is given."""
    if path is None:
        return None
    recorded: dict[str, Any] = orjson.loads(path.read_bytes())
    return recorded


def start_ms(options: Options, feeds: Sequence[Feed], wall_ms: int) -> int:
    """Return where a new market starts.

    As asked, else just before the recording, else: at speed 1 (or less) now; faster, so far
    back that thirty days of running do not reach today; at `max` and `step` 400 days ago.
    """
    if options.start_ms is not None:
        return options.start_ms
    if options.is_live:
        return 0  # told by the upstream, once it is reached
    recorded = [feed.first_ms for feed in feeds if feed.last_ms is not None]
    if recorded:
        return min(recorded) - 1
    if options.factor == 0.0:
        return _midnight(wall_ms - MAX_BACK_DAYS * DAY_MS)
    if options.factor <= 1.0:
        return wall_ms
    back_days = int((options.factor - 1) * RUNWAY_DAYS) + 1
    return _midnight(max(OLDEST_START_MS, wall_ms - back_days * DAY_MS))


def _midnight(time_ms: int) -> int:
    return time_ms // DAY_MS * DAY_MS


def market_key(options: Options) -> str:
    """Name the market that options describe: the same key gives the same trades."""
    path = options.source_file
    content = sha256(path.read_bytes()).hexdigest()[:16] if path else options.upstream_url
    start = "" if options.start_ms is None else str(options.start_ms)
    return f"{options.source_kind}:{content}:{options.seed}:{start}"
