"""One simulated exchange: its parts joined, its journal read, its market set going."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from simex.accounts import BUILT_IN, STARTING_AMOUNT, STARTING_ASSET, derive_keys
from simex.clock import MarketClock, WallMs, wall_ms
from simex.depth_streams import DepthStreams
from simex.engine.exchange import Exchange
from simex.engine.state import Account
from simex.faults import Faults
from simex.feeds import make_feeds, market_key, start_ms
from simex.journal import FileJournal, Journal, NoJournal
from simex.live.feed import LiveFeed
from simex.live.relay import Relay
from simex.live.upstream import Upstream
from simex.market.symbols import SymbolRules, recorded_rules
from simex.market.tradelog import Feed, TradeLog
from simex.market.walk import MINUTE_MS, Shift, Silence, Walk
from simex.options import MAX, STEP, Options
from simex.pump import TICK_S, Pump
from simex.requestlog import RequestLog
from simex.scenario import Scenario, read_scenario
from simex.streams import Hub

CLOCK_EVERY_S = 0.25
KLINE_EVERY_MS = 2_000
TICKER_EVERY_S = 1.0  # Binance's
KLINE_EVERY_MAX_MS = 20_000


@dataclass
class Past:
    """What the journal says about earlier lives."""

    clocks: dict[str, int] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    shifts: dict[str, list[tuple[str, Shift]]] = field(default_factory=dict)
    halts: dict[str, list[tuple[str, Silence]]] = field(default_factory=dict)
    upstream_runs: dict[str, str] = field(default_factory=dict)
    run: str = ""
    known: bool = False


class Simulation:
    """Everything behind the API.

    Args:
        options: how it was started.
        wall: the wall clock, replaced in tests.
    """

    def __init__(self, options: Options, wall: WallMs = wall_ms) -> None:
        self.options = options
        self.wall = wall
        self.feeds: dict[str, Feed]
        self.rules: dict[str, SymbolRules]
        self.feeds, self.rules = make_feeds(options)
        self.logs = {name: TradeLog(feed) for name, feed in self.feeds.items()}
        self.faults = Faults(options.seed)
        self.hub = Hub(self.faults, wall)
        self.log = RequestLog()
        self.exchange = Exchange(self.rules, options.seed)
        self.depth = DepthStreams(self.exchange, self.hub, options.depth_every_ms)
        self.journal: Journal = NoJournal()
        self.scenario: Scenario = read_scenario(options.scenario)
        self._clock_written = 0.0
        self._hidden: dict[int, int] = {}
        self.still = asyncio.Lock()
        self.live_feeds = {name: feed for name, feed in self.feeds.items() if isinstance(feed, LiveFeed)}
        self.relay: Relay | None = None
        if options.is_live:
            self.relay = Relay(self, Upstream(options.upstream_url, options.live_ws))
            self.exchange.is_cut_off = lambda: self.relay is None or self.relay.is_away
        self.has_rules = self.relay is None or self._take_kept_rules()
        self._upstream_run = ""
        self._open()

    # start

    def _open(self) -> None:
        past = Past()
        key = market_key(self.options)
        if self.options.data_dir is not None:
            journal = FileJournal(self.options.data_dir)
            past = self._read(journal)
            self.journal = journal
        self.generation = past.generations.get(key, 0)
        self._begin_run(key, past)
        if not past.known:
            self._add_built_in()
        self.exchange.expire_other_runs()
        self.commit()

    def _begin_run(self, key: str, past: Past) -> None:
        self.key = key
        salt = "" if self.options.data_dir is not None else f":{time.time_ns()}"
        name = f"{key}:{self.generation}{salt}"
        self.run = sha256(name.encode()).hexdigest()[:12]
        begun = past.clocks.get(self.run)
        fresh = start_ms(self.options, list(self.feeds.values()), self.wall())
        self.start_ms = past.starts.get(self.run, fresh)
        now_ms = self.start_ms if begun is None else begun
        self.scenario.due(now_ms - self.start_ms - 1)
        for symbol, shift in past.shifts.get(self.run, []):
            feed = self.feeds.get(symbol)
            if isinstance(feed, Walk):
                feed.add_shift(shift)
        self.exchange.halts.clear()
        for symbol, silence in past.halts.get(self.run, []):
            self._silence(symbol, silence)
        self.exchange.run = self.run
        if past.run != self.run:
            self.exchange.forget_played()
        self._upstream_run = past.upstream_runs.get(self.run, "")
        self._wire(now_ms)
        self._note_run()

    def _note_run(self) -> None:
        run = {"run": self.run, "key": self.key, "generation": self.generation}
        line = {**run, "start": self.start_ms, "clock": self.clock.now_ms}
        self.journal.append(line | ({"upstream": self._upstream_run} if self._upstream_run else {}))

    def _wire(self, now_ms: int) -> None:
        options = self.options
        walks = all(feed.last_ms is None for feed in self.feeds.values())
        self.clock = MarketClock(options.factor, self.wall, now_ms, ceiling=walks)
        self.exchange.now_ms = now_ms
        for symbol, log in self.logs.items():
            self.exchange.books[symbol].last = log.last_at(now_ms)
        usual = KLINE_EVERY_MAX_MS if options.speed == MAX else KLINE_EVERY_MS
        every_ms = options.kline_every_ms or usual
        ticker_every_s = 0.0 if options.speed == STEP else TICKER_EVERY_S
        self.pump = Pump(self.feeds, self.exchange, self.hub, self.clock, every_ms, self.commit, ticker_every_s)

    def _read(self, journal: FileJournal) -> Past:
        past = Past()
        for line in journal.read():
            past.known = True
            if "run" in line:
                past.run = line["run"]
                past.generations[line["key"]] = line["generation"]
                past.starts[line["run"]] = line["start"]
            if "upstream" in line:
                past.upstream_runs[line["run"]] = line["upstream"]
            if "clock" in line:
                past.clocks[past.run] = max(line["clock"], past.clocks.get(past.run, 0))
            if "tx" in line:
                self.exchange.restore(line["tx"])
            if "req" in line:
                self.log.restore(line["req"])
            if "shift" in line:
                symbol, from_ms, ratio = line["shift"]
                past.shifts.setdefault(past.run, []).append((symbol, Shift(from_ms, ratio)))
            if "halt" in line:
                symbol, from_ms, to_ms = line["halt"]
                past.halts.setdefault(past.run, []).append((symbol, Silence(from_ms, to_ms)))
        return past

    def _add_built_in(self) -> None:
        for one in BUILT_IN:
            self.exchange.add_account(Account(one.account_id, one.api_key, one.api_secret))
            self.exchange.ledger.deposit(one.account_id, STARTING_ASSET, STARTING_AMOUNT)

    # journal

    def commit(self, entry: dict[str, Any] | None = None) -> None:
        """Write what changed, together with the request that changed it."""
        line: dict[str, Any] = {}
        events = self.exchange.take_events()
        changes = self.exchange.take_changes()
        if changes:
            line = {"tx": changes, "clock": self.clock.now_ms}
        if entry is not None:
            line["req"] = self.log.number(entry)
        if line:
            self.journal.append(line)
        for account_id, event in events:  # told only once it is kept
            self.hub.publish_user(account_id, event)

    def note_clock(self) -> None:
        """Note where the market is, from time to time."""
        if time.monotonic() - self._clock_written >= CLOCK_EVERY_S:
            self._clock_written = time.monotonic()
            self.journal.append({"clock": self.clock.now_ms})

    def close(self) -> None:
        """Note where the market is and give the journal back."""
        self.journal.append({"clock": self.clock.now_ms})
        self.journal.close()

    # market

    async def run_market(self) -> None:
        """Move the market until cancelled."""
        if self.relay is not None:
            await self.relay.run()
        if self.options.wait_for_consumer:
            await self.hub.arrived.wait()
        self.clock.start()
        while True:
            if self.options.pause_without_consumer and not self.hub.arrived.is_set():
                await self.hub.arrived.wait()
                self.clock.start()
            target = self._next_target()
            if target is None:
                await asyncio.sleep(0.2)
                continue
            await self.step_to(target)
            self.note_clock()
            if self.options.speed != MAX or self.clock.now_ms < target:
                await asyncio.sleep(TICK_S)

    async def run_depth_streams(self) -> None:
        """Send the order books' streams until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self.depth.send_due(self.clock, self.wall())

    def _next_target(self) -> int | None:
        if self.options.speed == STEP:
            return None
        if self.options.speed == MAX:
            return self.pump.max_target_ms()
        return self.clock.target_ms()

    async def step_to(self, target_ms: int) -> None:
        """Advance the market to a time, the scenario's events on the way."""
        async with self.still:
            for event in self.scenario.due(target_ms - self.start_ms):
                await self.pump.advance(self.start_ms + event.after_ms)
                self.scenario.apply(event, self)
            await self.pump.advance(target_ms)
            self.commit()

    # a relayed market

    def _take_kept_rules(self) -> bool:
        """Read the filters that the upstream gave in an earlier life."""
        path = self._rules_file()
        if path is None or not path.is_file():
            return False
        info = orjson.loads(path.read_bytes())
        self._apply_rules(info)
        return {entry["symbol"] for entry in info["symbols"]} >= set(self.rules)

    def take_rules(self, info: Mapping[str, Any]) -> None:
        """Trade by the filters of the upstream's exchangeInfo from now on, and keep them."""
        self._apply_rules(info)
        self.has_rules = True
        path = self._rules_file()
        if path is not None:
            draft = path.with_suffix(".new")
            draft.write_bytes(orjson.dumps(info))
            draft.replace(path)

    def _apply_rules(self, info: Mapping[str, Any]) -> None:
        for entry in info["symbols"]:
            known = self.rules.get(entry["symbol"])
            if known is not None:
                found = recorded_rules(entry, known.base_price)
                self.rules[known.symbol] = self.exchange.books[known.symbol].rules = found

    def _rules_file(self) -> Path | None:
        folder = self.options.data_dir
        return None if folder is None else folder / "upstream.json"

    async def follow_upstream_run(self, run: str) -> None:
        """Begin a new run when the upstream, itself a simex, has become another market."""
        if run == self._upstream_run:
            return
        if self._upstream_run:
            await self.reset()
        self._upstream_run = run
        self._note_run()

    def begin_at(self, time_ms: int) -> None:
        """Put the market clock at a time of the upstream, with nothing played in between."""
        if not self.start_ms:
            self.start_ms = time_ms
        self.clock.now_ms = self.exchange.now_ms = time_ms
        self._note_run()

    def show_price(self, symbol: str) -> None:
        """Let the book of a market stand around its last known trade."""
        self.exchange.books[symbol].last = self.logs[symbol].last_at(self.clock.now_ms)

    # admin

    def open_account(self, deposits: Mapping[str, Decimal]) -> Account:
        """Open one more account with its own keys."""
        name = f"user-{len(self.exchange.accounts) + 1}"
        account = Account(name, *derive_keys(self.options.seed, name))
        self.exchange.add_account(account)
        for asset, amount in deposits.items():
            self.exchange.ledger.deposit(name, asset, amount)
        return account

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Move a walking market so that it trades around a price from now on.

        To be called while the market stands `still`: what is being played must not be read again.

        Raises:
            ValueError: the symbol is a recording, which stays as it was recorded.
        """
        feed = self.feeds[symbol]
        last = self.exchange.books[symbol].last_price
        if not isinstance(feed, Walk) or last is None:
            raise ValueError(f"{symbol} is a recording or a relay: its prices cannot be moved")
        shift = Shift(self.clock.now_ms + 1, float(price / last))
        feed.add_shift(shift)
        self.pump.rewind_prices(symbol)
        self.journal.append({"shift": [symbol, shift.from_ms, shift.ratio]})

    def halt(self, symbol: str, length_ms: int) -> Silence:
        """Stop a walking market from its next minute on: no trade, no kline, no order taken.

        Args:
            symbol: the market.
            length_ms: market time, made whole minutes.

        To be called while the market stands `still`.

        Raises:
            ValueError: the symbol is a recording, which stays as it was recorded, or no length.
        """
        if not isinstance(self.feeds[symbol], Walk) or length_ms <= 0:
            raise ValueError(f"{symbol} cannot be halted for {length_ms} ms: walks only, more than 0")
        from_ms = (self.clock.now_ms // MINUTE_MS + 1) * MINUTE_MS
        silence = Silence(from_ms, from_ms - (-length_ms // MINUTE_MS) * MINUTE_MS)
        self._silence(symbol, silence)
        self.pump.rewind_prices(symbol)
        self.journal.append({"halt": [symbol, silence.from_ms, silence.to_ms]})
        return silence

    def _silence(self, symbol: str, silence: Silence) -> None:
        feed = self.feeds.get(symbol)
        if isinstance(feed, Walk):
            feed.add_silence(silence)
            self.exchange.halts.setdefault(symbol, []).append(silence)

    def hide(self, order_id: int, length_ms: int) -> None:
        """Let an order be unknown to every question for a while of wall time."""
        self._hidden[order_id] = self.wall() + length_ms

    def is_hidden(self, order_id: int) -> bool:
        """Tell whether an order is hidden."""
        return bool(self._hidden) and self.wall() < self._hidden.get(order_id, 0)

    async def reset(self) -> None:
        """Begin a new run of the same market: its start, no open order; balances are kept."""
        self.hub.cut_all()
        async with self.still:
            self._reset()

    def _reset(self) -> None:
        self.faults.clear()
        self.generation += 1
        if self.relay is not None:
            self.relay.begin_anew()
        for feed in self.feeds.values():
            if isinstance(feed, Walk):
                feed.shifts = ()
                feed.clear_silences()
                feed.add_shift(Shift(0, 1.0))
            if isinstance(feed, LiveFeed):
                feed.begin(0, None)
        self._begin_run(self.key, Past())
        self.clock.start()
        self.exchange.expire_other_runs()
        self.commit()

    def headers(self) -> dict[str, str]:
        """Return what every answer bears; nothing when simex poses as the exchange it imitates."""
        return {} if self.options.incognito else {"X-Simex-Run": self.run}

    def describe_run(self) -> dict[str, Any]:
        """Return what a client needs to know about this market."""
        return {
            "run": self.run,
            "seed": self.options.seed,
            "source": self.options.source_kind,
            "speed": self.options.speed,
            "market_time": self.clock.now_ms,
            "market_start": self.start_ms,
            "symbols": list(self.rules),
            "ended": self.pump.ended,
            "end_time": self.pump.end_ms,
            "consumers": len(self.hub.consumers),
            **({} if self.relay is None else {"upstream": self.relay.describe()}),
        }
