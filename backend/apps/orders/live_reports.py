"""Applies what exchanges tell of their own accord, through the same ledger as what they are asked.

One task per account listens; another applies, so that the database never holds up the connection. Nothing
waits for either, and nothing depends on them: orders are asked for besides, more often while a stream is down.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from apps.core.metrics import RECONNECTS
from apps.core.tracing import following
from apps.orders import attribution, claims, events, external, ledger
from apps.orders.database import in_database, persist
from apps.orders.ledger import Applied
from apps.orders.stream_board import StreamBoard, StreamState
from apps.orders.timings import ExecutorTimings
from domain.errors import AristobotError, ExchangeUnavailable, InvalidInput, NotFound, Unavailable
from domain.orders import OrderReport
from domain.ports import Balance, BrokerAccess, BrokerDirectory, Clock, ExchangeSessions, PrivateEvent, Publisher

log = structlog.get_logger(__name__)

_STANDBY_S = 1.0  # until this process may apply anything


class Withheld(ExchangeUnavailable):
    """The stream is connected but did not tell what asking found."""

    code = "stream_withheld"


@dataclass(frozen=True, slots=True)
class StreamTimings:
    """Delays of the streams, injected."""

    refresh_s: float = 15.0  # how soon a new broker is listened to
    backoff_s: tuple[float, ...] = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
    stable_after_s: float = 60.0  # a connection that held this long starts the back-off anew
    balance_every_s: float = 0.25  # at most one balance to a browser in that time
    inbox: int = 1000  # events of one account that may wait


class Inbox:
    """Events of one account that wait to be applied; overflow drops the oldest and is remembered."""

    def __init__(self, capacity: int) -> None:
        self.reports: deque[OrderReport] = deque(maxlen=capacity)
        self.balance: Balance | None = None  # the newest only: it holds all amounts
        self.overflowed = False
        self.reported, self.balanced = asyncio.Event(), asyncio.Event()

    def put(self, event: PrivateEvent) -> None:
        """Take an event at once."""
        if isinstance(event, Balance):
            self.balance = event
            self.balanced.set()
        else:
            self.overflowed = self.overflowed or len(self.reports) == self.reports.maxlen
            self.reports.append(event)
            self.reported.set()


class LiveReports:
    """Listens to every active account of terminal 5.

    Args:
        board: told here, read by those who ask.
        may_apply: whether this process is the one that applies what exchanges say.
        wake: lets the executor look at its queue now.
        opened: called with the broker whose stream has just opened: what it missed must be asked for.
    """

    def __init__(
        self,
        sessions: ExchangeSessions,
        directory: BrokerDirectory,
        publisher: Publisher,
        clock: Clock,
        *,
        board: StreamBoard,
        may_apply: Callable[[], bool],
        wake: Callable[[], None],
        opened: Callable[[int], None] = lambda broker_id: None,
        timings: ExecutorTimings | None = None,
        stream_timings: StreamTimings | None = None,
    ) -> None:
        self._sessions = sessions
        self._directory = directory
        self._publisher = publisher
        self._clock = clock
        self._board = board
        self._may_apply = may_apply
        self._wake = wake
        self._opened = opened
        self._timings = timings or ExecutorTimings()
        self._stream_timings = stream_timings or StreamTimings()
        self._listening: dict[int, tuple[BrokerAccess, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self.refresh(group)
                period_s = self._stream_timings.refresh_s if self._may_apply() else _STANDBY_S
                await self._clock.sleep(period_s)

    async def refresh(self, group: asyncio.TaskGroup) -> None:
        """Start and stop listeners as brokers come, change and go."""
        try:
            active = await self._directory.active() if self._may_apply() else []
        except Unavailable as exc:
            log.warning("orders.streams_not_refreshed", error=exc.message)
            return
        wanted = {access.broker_id: access for access in active}
        for broker_id, (access, task) in list(self._listening.items()):
            if wanted.get(broker_id) != access:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                del self._listening[broker_id]
                self._board.remove(broker_id)
        for broker_id, access in wanted.items():
            if broker_id not in self._listening:
                task = group.create_task(self._keep(access), name=f"stream-{broker_id}")
                self._listening[broker_id] = access, task

    async def _keep(self, access: BrokerAccess) -> None:
        """Listen to one account, again after each failure."""
        attempt = 0
        while True:
            started = self._clock.monotonic()
            try:
                if not await self._listen(access):
                    self._board.put(access.broker_id, access.exchange, StreamState.POLLING)
                    return
                error = "flux terminé"
            except NotFound:
                return  # deleted meanwhile
            except AristobotError as exc:
                error = exc.message
            except Exception as exc:
                log.error("orders.stream_failed", broker_id=access.broker_id, exc_info=exc)
                error = f"erreur interne ({type(exc).__name__})"
            held = self._clock.monotonic() - started >= self._stream_timings.stable_after_s
            attempt = 1 if held else attempt + 1
            await self._lost(access, error)
            delays = self._stream_timings.backoff_s
            await self._clock.sleep(delays[min(attempt, len(delays)) - 1])

    async def _listen(self, access: BrokerAccess) -> bool:
        """Return False when the exchange offers no stream; raise when it failed."""
        session = await self._sessions.session(access.broker_id)
        stream = session.private_stream()
        if stream is None:
            return False
        inbox, opened = Inbox(self._stream_timings.inbox), asyncio.Event()
        works = (
            stream.listen(receive=inbox.put, opened=opened.set),
            self._apply_all(access, inbox),
            self._publish_balances(access, inbox),
            self._open_then_check(access, opened),
        )
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return True

    async def _open_then_check(self, access: BrokerAccess, opened: asyncio.Event) -> None:
        await opened.wait()
        if self._board.put(access.broker_id, access.exchange, StreamState.UP):
            log.info("orders.stream_up", broker_id=access.broker_id, exchange=access.exchange)
        self._opened(access.broker_id)
        await self._ask_again(access.broker_id)
        while True:
            await self._clock.sleep(self._stream_timings.refresh_s / 3)
            order_id = self._board.withheld(access.broker_id)
            if order_id is not None:
                raise Withheld(f"le flux de {access.exchange} n'a rien dit de l'ordre {order_id}, qui a changé")

    async def _lost(self, access: BrokerAccess, error: str) -> None:
        if self._board.put(access.broker_id, access.exchange, StreamState.DOWN):
            RECONNECTS.labels("private_stream").inc()
            log.warning("orders.stream_down", broker_id=access.broker_id, exchange=access.exchange, error=error)
        await self._ask_again(access.broker_id)

    async def _ask_again(self, broker_id: int) -> None:
        """Let the orders of an account be asked for at once: something may have been missed."""
        if await persist(self._clock, claims.check_now, broker_id, now=self._clock.now()):
            self._wake()

    async def _apply_all(self, access: BrokerAccess, inbox: Inbox) -> None:
        while True:
            await inbox.reported.wait()
            inbox.reported.clear()
            while inbox.reports:
                await self._apply(access, inbox.reports.popleft())
            if inbox.overflowed:
                inbox.overflowed = False
                log.warning("orders.stream_overflowed", broker_id=access.broker_id)
                await self._ask_again(access.broker_id)

    async def _apply(self, access: BrokerAccess, report: OrderReport) -> None:
        """One event's boundary: the next ones are applied whatever this one is."""
        if not self._may_apply():
            return
        self._board.heard(access.broker_id, report.exchange_order_id)
        try:
            with following("", user_id=access.user_id):
                await self._apply_report(access.broker_id, report)
        except NotFound:
            log.info("orders.deleted_meanwhile", client_order_id=report.client_order_id)
        except InvalidInput as exc:
            log.error("orders.inconsistent_report", client_order_id=report.client_order_id, error=exc.message)
        except Exception:
            log.exception("orders.event_not_applied", broker_id=access.broker_id, symbol=report.symbol)

    async def _apply_report(self, broker_id: int, report: OrderReport) -> None:
        order = await persist(self._clock, attribution.find, broker_id, report)
        now, check_after = self._clock.now(), self._timings.told_check
        if order is None:
            await persist(self._clock, external.adopt, broker_id, report, now=now, check_after=check_after)
            return
        applied: Applied = await persist(
            self._clock,
            ledger.apply_report,
            order.trade_id,
            attribution.as_of_row(order, report),
            now=now,
            check_after=check_after,
        )
        if applied.fills_missing:
            # Asked for by the executor, at once; here nothing may wait for an exchange.
            await in_database(claims.postpone, order.trade_id, until=now)
            self._wake()

    async def _publish_balances(self, access: BrokerAccess, inbox: Inbox) -> None:
        while True:
            await inbox.balanced.wait()
            inbox.balanced.clear()
            if inbox.balance is not None:
                await self._publish_balance(access, inbox.balance)
            await self._clock.sleep(self._stream_timings.balance_every_s)

    async def _publish_balance(self, access: BrokerAccess, balance: Balance) -> None:
        body = {
            "broker": access.broker_id,
            "free": {currency: events.amount(value) for currency, value in balance.free.items()},
            "locked": {currency: events.amount(value) for currency, value in balance.locked.items()},
        }
        await self._publisher.publish("orders", "balance", body, user_id=access.user_id)
