"""Terminal 5's pool: one session per (user, broker), markets and rate budget shared per exchange.

Credentials are never swapped on a session: ccxt waits for its turn before it signs, so a swapped key would
sign another user's order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.rate_budget import RateBudget
from domain.errors import AristobotError, AuthenticationFailed, NotFound
from domain.markets import Market
from domain.ports import Balance, BrokerAccess, BrokerDirectory, Clock, MarketStore, Publisher

log = structlog.get_logger(__name__)

_ACCESS_CHECKED_EVERY_S = 1.0  # how long a changed or deleted broker may still be served
# Binance counts by the minute: half of it may be spent at once, the other half evenly.
_MINUTE_BURST_S, _MINUTE_RATE_PART = 30.0, 0.5
_OTHER_BURST_S = 1.0  # exchanges that count by the second


class ExchangeCatalogue(Protocol):
    """Keeps what was learned of an exchange (implemented by apps.brokers.services.catalogue)."""

    async def describe(self, exchange: str, facts: Mapping[str, Any]) -> None: ...

    async def loading(self, exchange: str, *, progress: int) -> None: ...

    async def loaded(self, exchange: str, *, count: int, candle_source: str, at: datetime) -> None: ...

    async def failed(self, exchange: str, *, error: str) -> None: ...


SpeedOf = Callable[[str], Awaitable[float]]
Repair = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class _Hub:
    """What all sessions of one exchange and host share."""

    budget: RateBudget
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    lender: CcxtSession | None = None  # the session whose markets the others take
    markets: Mapping[str, Market] = field(default_factory=dict)
    candle_source: str = ""


@dataclass(slots=True)
class _Entry:
    session: CcxtSession
    checked_at: float


class CcxtManager:
    """The `ExchangeSessions` port, and the preloading of every active broker.

    Args:
        speed_of: how many times the exchange's limits are multiplied (simex at speed 60), 1 for real ones.
        repair: called with the broker's id when the simulated exchange refuses its keys; makes new ones.
    """

    def __init__(
        self,
        *,
        directory: BrokerDirectory,
        catalogue: ExchangeCatalogue,
        store: MarketStore,
        publisher: Publisher,
        clock: Clock,
        speed_of: SpeedOf,
        repair: Repair,
        timeout_s: float = 12.0,
    ) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._speed_of = speed_of
        self._repair = repair
        self._timeout_s = timeout_s
        self._hubs: dict[tuple[str, bool], _Hub] = {}
        self._entries: dict[int, _Entry] = {}
        self._opening: dict[int, asyncio.Lock] = {}
        self._looking: asyncio.Task[Mapping[int, BrokerAccess]] | None = None  # who is served
        self._missed: set[int] = set()  # brokers that could not be opened at the start

    @property
    def open_sessions(self) -> int:
        return len(self._entries)

    async def preload(self) -> None:
        """Open a session for every active broker, in parallel; a failing one is logged and tried on demand."""
        brokers = await self._directory.active()
        await asyncio.gather(*(self._preload_one(access) for access in brokers))
        log.info("gateway.preloaded", brokers=len(brokers), sessions=self.open_sessions)

    async def follow_directory(self) -> None:
        """Close the sessions of brokers that were removed or deactivated: nobody asks for those any more.

        New and changed brokers need nothing here: they are found when they are first asked for. Those whose
        exchange was out of reach at the start are tried again.
        """
        served = set(self._entries)  # first: what is opened meanwhile is none of ours
        active = {access.broker_id: access for access in await self._directory.active()}
        for broker_id in served - set(active):
            async with self._opening.setdefault(broker_id, asyncio.Lock()):
                await self._drop(broker_id)
            log.info("gateway.broker_removed", broker_id=broker_id)
        missed, self._missed = self._missed - served, set()
        await asyncio.gather(*(self._preload_one(active[each]) for each in missed if each in active))

    async def session(self, broker_id: int) -> CcxtSession:
        """Return the session of that broker with its markets loaded.

        Raises:
            NotFound: deleted or inactive.
            AristobotError: its exchange could not be reached or refused.
        """
        async with self._opening.setdefault(broker_id, asyncio.Lock()):
            entry = self._entries.get(broker_id)
            now = self._clock.monotonic()
            if entry is None or now - entry.checked_at >= _ACCESS_CHECKED_EVERY_S:
                entry = await self._current(broker_id, entry)
                self._entries[broker_id] = entry
        await self._follow_run(entry.session)
        return entry.session

    async def owned_session(self, broker_id: int, *, user_id: int) -> CcxtSession:
        """Return the session when the broker is that user's; another's is as absent as one that is not there."""
        session = await self.session(broker_id)
        if session.access.user_id != user_id:
            raise NotFound(f"Broker {broker_id} introuvable ou inactif.", details={"broker": broker_id})
        return session

    async def reload_markets(self, session: CcxtSession) -> int:
        """Load the markets of that session's exchange anew, for everybody; return how many."""
        hub = await self._hub(session.access)
        async with hub.lock:
            return await self._load(hub, session)

    async def test(self, access: BrokerAccess) -> Balance:
        """Read the balance with credentials that are not stored, outside the pool."""
        hub = await self._hub(access)
        session = CcxtSession(access, budget=hub.budget, clock=self._clock, timeout_s=self._timeout_s)
        try:
            await self._ready(hub, session)
            return await session.fetch_balance()
        finally:
            await session.close()

    async def close(self) -> None:
        """Close every session and budget."""
        entries, self._entries = list(self._entries.values()), {}
        await asyncio.gather(*(entry.session.close() for entry in entries), return_exceptions=True)
        for hub in self._hubs.values():
            hub.budget.close()

    async def _preload_one(self, access: BrokerAccess) -> None:
        try:
            session = await self.session(access.broker_id)
            if access.exchange == "simex":
                await self._check_simulateur(session)
        except AristobotError as exc:
            self._missed.add(access.broker_id)
            log.warning("gateway.broker_not_loaded", broker_id=access.broker_id, error=exc.message)

    async def _check_simulateur(self, session: CcxtSession) -> None:
        try:
            await session.fetch_balance()
        except AuthenticationFailed:
            await self._repair(session.access.broker_id)

    async def _current(self, broker_id: int, entry: _Entry | None) -> _Entry:
        """Return an entry for the broker as it is now: hot added, changed or unchanged."""
        try:
            access = await self._access_of(broker_id)
        except NotFound:
            await self._drop(broker_id)
            raise
        if entry is not None and entry.session.access == access:
            entry.checked_at = self._clock.monotonic()
            return entry
        if entry is not None:
            log.info("gateway.broker_changed", broker_id=broker_id)
            await self._drop(broker_id)
        return _Entry(await self._open(access), self._clock.monotonic())

    async def _access_of(self, broker_id: int) -> BrokerAccess:
        """One look for all that ask at the same moment, as the bots of several accounts do at a close."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_for_active())
        active = await asyncio.shield(self._looking)
        return active.get(broker_id) or await self._directory.get(broker_id)

    async def _look_for_active(self) -> Mapping[int, BrokerAccess]:
        return {access.broker_id: access for access in await self._directory.active()}

    async def _open(self, access: BrokerAccess) -> CcxtSession:
        hub = await self._hub(access)
        session = CcxtSession(access, budget=hub.budget, clock=self._clock, timeout_s=self._timeout_s)
        try:
            await self._ready(hub, session)
        except BaseException:
            await session.close()
            raise
        return session

    async def _ready(self, hub: _Hub, session: CcxtSession) -> None:
        """Give the session its markets: the first of an exchange loads them, the others take them."""
        async with hub.lock:
            if hub.lender is None:
                await self._load(hub, session)
            else:
                session.share_markets_of(hub.lender)

    async def _load(self, hub: _Hub, session: CcxtSession) -> int:
        exchange = session.access.exchange
        started = self._clock.monotonic()
        await self._catalogue.describe(exchange, session.describe())
        await self._catalogue.loading(exchange, progress=10)
        await self._tell(exchange, "loading", 10, 0)
        try:
            markets = await session.load_markets()
            await self._catalogue.loading(exchange, progress=70)
            await self._tell(exchange, "loading", 70, len(markets))
            await self._store.replace_markets(exchange, list(markets.values()))
        except AristobotError as exc:
            await self._catalogue.failed(exchange, error=exc.message)
            await self._tell(exchange, "failed", 0, 0, exc.message)
            raise
        hub.markets, hub.lender, hub.candle_source = markets, session, session.candle_source
        self._lend(session)
        await self._catalogue.loaded(
            exchange, count=len(markets), candle_source=hub.candle_source, at=self._clock.now()
        )
        await self._tell(exchange, "loaded", 100, len(markets))
        seconds = round(self._clock.monotonic() - started, 2)
        log.info("gateway.markets_loaded", exchange=exchange, count=len(markets), seconds=seconds)
        return len(markets)

    def _lend(self, lender: CcxtSession) -> None:
        for other in self._neighbours(lender):
            if other is not lender:
                other.share_markets_of(lender)

    def _neighbours(self, session: CcxtSession) -> list[CcxtSession]:
        """The open sessions at the same exchange and host, itself included."""
        key = _host(session.access)
        return [entry.session for entry in self._entries.values() if _host(entry.session.access) == key]

    async def _follow_run(self, session: CcxtSession) -> None:
        """Another market behind the same address (simex restarted with another run): load it anew."""
        hub = await self._hub(session.access)
        if session.candle_source == hub.candle_source:
            return
        async with hub.lock:
            if session.candle_source != hub.candle_source:
                log.warning("gateway.run_changed", was=hub.candle_source, now=session.candle_source)
                await self._load(hub, session)
        for each in self._neighbours(session):
            await self._check_simulateur(each)

    async def _hub(self, access: BrokerAccess) -> _Hub:
        key = _host(access)
        hub = self._hubs.get(key)
        if hub is None:
            speed = await self._speed_of(access.exchange)
            unused = RateBudget(clock=self._clock, rate_per_s=1.0, capacity=1.0)
            probe = CcxtSession(access, budget=unused, clock=self._clock)
            rate, by_minute = probe.budget_rate_per_s() * speed, probe.counts_by_the_minute
            await probe.close()
            hub = self._hubs.setdefault(key, _Hub(budget=self._budget(rate, by_minute=by_minute)))
        return hub

    def _budget(self, rate_per_s: float, *, by_minute: bool) -> RateBudget:
        burst_s, part = (_MINUTE_BURST_S, _MINUTE_RATE_PART) if by_minute else (_OTHER_BURST_S, 1.0)
        return RateBudget(
            clock=self._clock,
            rate_per_s=rate_per_s * part,
            capacity=rate_per_s * burst_s,
            minute_limit=rate_per_s * 60 if by_minute else None,
        )

    def budgets(self) -> list[tuple[str, RateBudget]]:
        """Return the budget of each exchange that was used, for whoever measures."""
        return [
            (f"{name}-testnet" if is_testnet else name, hub.budget)
            for (name, is_testnet), hub in self._hubs.items()
        ]

    async def _drop(self, broker_id: int) -> None:
        """Close the session. A lender stays as such: its markets are only read."""
        entry = self._entries.pop(broker_id, None)
        if entry is not None:
            await entry.session.close()

    async def _tell(self, exchange: str, state: str, progress: int, count: int, error: str = "") -> None:
        facts = {"exchange": exchange, "state": state, "progress": progress, "count": count, "error": error}
        await self._publisher.publish("loading", "markets", facts)


def _host(access: BrokerAccess) -> tuple[str, bool]:
    return access.exchange, access.is_testnet
