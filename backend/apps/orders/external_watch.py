"""Looks for orders placed outside Aristobot by asking, account by account, in turns.

All that rests at the exchange once a minute (rarely where a stream tells), and the recent executions of
markets in which this account has executed before: an order that came and went between two looks is found by
its executions. One that did so in a market never traded here is found by a stream only.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import Max, Min

from apps.orders import attribution, external
from apps.orders.database import DatabaseDown, in_database
from apps.orders.models import Fill, Trade
from apps.orders.stream_board import StreamBoard
from domain.errors import (
    AristobotError,
    AuthenticationFailed,
    ExchangeRateLimited,
    ExchangeUnavailable,
    OrderNotFound,
    Unavailable,
)
from domain.orders import OrderHandle, OrderReport
from domain.ports import BrokerAccess, BrokerDirectory, Clock, ExchangeSession, ExchangeSessions

log = structlog.get_logger(__name__)

_DAY = timedelta(days=1)
_KNOWN_SYMBOLS = 20  # the latest ones of an account
_NOT_FOUND_KEPT = 500


@dataclass(frozen=True, slots=True)
class ExternalTimings:
    """Periods of the look at each account, injected."""

    tick_s: float = 2.0
    first_s: float = 10.0
    asked_every_s: float = 60.0
    told_every_s: float = 300.0  # where a stream tells
    symbols_a_look: int = 5
    orders_a_look: int = 20


class ExternalWatch:
    """Asks every active account of terminal 5 for orders that no row is known for."""

    def __init__(
        self,
        sessions: ExchangeSessions,
        directory: BrokerDirectory,
        clock: Clock,
        *,
        board: StreamBoard,
        may_apply: Callable[[], bool],
        timings: ExternalTimings | None = None,
    ) -> None:
        self._sessions = sessions
        self._directory = directory
        self._clock = clock
        self._board = board
        self._may_apply = may_apply
        self._timings = timings or ExternalTimings()
        self._due: dict[int, float] = {}
        self._turns: dict[int, int] = {}
        self._not_found: deque[tuple[int, str, str]] = deque(maxlen=_NOT_FOUND_KEPT)

    def ask(self, broker_id: int) -> None:
        """Look at that account at the next tick."""
        self._due[broker_id] = self._clock.monotonic()

    async def run(self) -> None:
        """Look until cancelled, at one account at a time: nothing here is urgent."""
        while True:
            await self._clock.sleep(self._timings.tick_s)
            if self._may_apply():
                await self.tick()

    async def tick(self) -> None:
        """Look at the accounts whose turn has come."""
        try:
            active = await self._directory.active()
        except Unavailable as exc:
            log.warning("orders.external_not_looked", error=exc.message)
            return
        for access in self._whose_turn(active):
            try:
                await self.look(access)
            except (AristobotError, DatabaseDown) as exc:
                log.info("orders.external_not_looked", broker_id=access.broker_id, error=exc.message)
            except Exception:
                log.exception("orders.external_failed", broker_id=access.broker_id)

    async def look(self, access: BrokerAccess) -> None:
        """Ask one account for all that rests there, and for the recent executions of some of its markets."""
        session = await self._sessions.session(access.broker_id)
        symbols = await in_database(_traded_symbols, access.broker_id)
        for report in await self._resting(session, symbols):
            await self._adopt(access.broker_id, report)
        for symbol in self._some_of(access.broker_id, symbols):
            await self._look_at_executions(session, access.broker_id, symbol)

    def _whose_turn(self, active: Sequence[BrokerAccess]) -> list[BrokerAccess]:
        now, timings = self._clock.monotonic(), self._timings
        self._due = {access.broker_id: self._due.get(access.broker_id, -1.0) for access in active}
        for place, access in enumerate(active):
            if self._due[access.broker_id] < 0:  # in turns, so that accounts do not all ask at once
                self._due[access.broker_id] = now + timings.first_s + place * timings.asked_every_s / len(active)
        turn = [access for access in active if self._due[access.broker_id] <= now]
        for access in turn:
            told = self._board.is_up(access.broker_id)
            self._due[access.broker_id] = now + (timings.told_every_s if told else timings.asked_every_s)
        return turn

    def _some_of(self, broker_id: int, symbols: Sequence[str]) -> list[str]:
        """Return the next few symbols, going round."""
        if not symbols:
            return []
        count = min(self._timings.symbols_a_look, len(symbols))
        start = self._turns.get(broker_id, 0)
        self._turns[broker_id] = start + count
        return [symbols[(start + step) % len(symbols)] for step in range(count)]

    async def _resting(self, session: ExchangeSession, symbols: Sequence[str]) -> list[OrderReport]:
        try:
            return list(await session.fetch_open_orders(None))
        except (AuthenticationFailed, ExchangeRateLimited, ExchangeUnavailable):
            raise
        except AristobotError as exc:
            # Some exchanges tell them market by market only.
            log.info("orders.external_asked_by_symbol", error=exc.message)
        found: list[OrderReport] = []
        for symbol in symbols[: self._timings.symbols_a_look]:
            found += await session.fetch_open_orders(symbol)
        return found

    async def _look_at_executions(self, session: ExchangeSession, broker_id: int, symbol: str) -> None:
        since = await in_database(_executions_since, broker_id, symbol)
        if since is None:
            return
        fills = await session.fetch_my_trades(symbol, since=since)
        ids = list(dict.fromkeys(fill.exchange_order_id for fill in fills))
        for order_id in (await in_database(_unknown_ids, broker_id, symbol, ids))[: self._timings.orders_a_look]:
            if (broker_id, symbol, order_id) in self._not_found:
                continue
            try:
                report = await session.find_order(OrderHandle(symbol, exchange_order_id=order_id))
            except OrderNotFound:
                self._not_found.append((broker_id, symbol, order_id))
                continue
            await self._adopt(broker_id, report)

    async def _adopt(self, broker_id: int, report: OrderReport) -> None:
        if await in_database(attribution.find, broker_id, report) is None:
            await in_database(external.adopt, broker_id, report, now=self._clock.now())


def _traded_symbols(broker_id: int) -> list[str]:
    rows = Trade.objects.filter(broker_id=broker_id).values("symbol").annotate(last=Max("id")).order_by("-last")
    return [row["symbol"] for row in rows[:_KNOWN_SYMBOLS]]


def _executions_since(broker_id: int, symbol: str) -> datetime | None:
    """Return a day before the last execution known, not before the first: what is older was not ours to import."""
    known = Fill.objects.filter(broker_id=broker_id, symbol=symbol)
    ends = known.aggregate(first=Min("executed_at"), last=Max("executed_at"))
    first: datetime | None = ends["first"]
    return None if first is None else max(first, ends["last"] - _DAY)


def _unknown_ids(broker_id: int, symbol: str, ids: Sequence[str]) -> list[str]:
    known = set(
        Trade.objects.filter(broker_id=broker_id, symbol=symbol, exchange_order_id__in=ids).values_list(
            "exchange_order_id", flat=True
        )
    )
    return [each for each in ids if each not in known]
