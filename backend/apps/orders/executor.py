"""Terminal 5's loop: claims orders and commands, follows what rests at the exchanges, alone by its lease.

PostgreSQL is the queue: `wake` only shortens the wait until the next look at it. Orders of one owner in a market
of a broker leave one after the other, oldest first; all others leave side by side. What waits for a broker is
claimed in one statement, in a database thread that nothing else uses: no order waits behind the bookkeeping of
those that left before it. A failure of one task (an exchange down, the database away) is logged, and the rows
say what is left to be done.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import structlog

from apps.orders import claims
from apps.orders.amender import AmendRunner
from apps.orders.claims import Claimed, Followed, Key
from apps.orders.commands import CommandRunner
from apps.orders.database import DatabaseDown, in_claims, in_database, renew_connections
from apps.orders.fence import FencedSessions
from apps.orders.follower import OrderFollower
from apps.orders.keeper import PositionKeeper
from apps.orders.lease import Lease, LeaseLost, RowLease
from apps.orders.reconciliation import Claims, recover
from apps.orders.relay import EventRelay
from apps.orders.sender import OrderSender
from apps.orders.signals import orders_waiting
from apps.orders.stream_board import StreamBoard
from apps.orders.timings import ExecutorTimings
from domain.errors import AristobotError, AuthenticationFailed, NotFound
from domain.ports import Clock, ExchangeSession, ExchangeSessions, Publisher

log = structlog.get_logger(__name__)

_KEPT_FOR = timedelta(minutes=2)
_MOST_KEPT = 1_000


class OrderExecutor:
    """The only sender of orders.

    Args:
        sessions: the exchanges.
        publisher: receives the events of what this process commits.
        lease: the right to send; the database's row by default.
        board: which accounts tell their orders by themselves.
    """

    def __init__(
        self,
        sessions: ExchangeSessions,
        publisher: Publisher,
        clock: Clock,
        *,
        timings: ExecutorTimings | None = None,
        lease: Lease | None = None,
        board: StreamBoard | None = None,
    ) -> None:
        self._lease = lease or RowLease(clock)
        sessions = self._sessions = FencedSessions(sessions, lease=self._lease, clock=clock)
        self._clock = clock
        self._timings = timings or ExecutorTimings()
        self._relay = EventRelay(publisher)
        self._follower = OrderFollower(sessions=sessions, clock=clock, timings=self._timings, board=board)
        self._sender = OrderSender(clock=clock, timings=self._timings, follower=self._follower)
        self._commands = CommandRunner(
            sessions=sessions, clock=clock, timings=self._timings, follower=self._follower
        )
        self._amends = AmendRunner(
            sessions=sessions,
            clock=clock,
            timings=self._timings,
            follower=self._follower,
            sender=self._sender,
        )
        self._keeper = PositionKeeper(clock)
        self._me = uuid4().hex
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._running: set[Hashable] = set()
        self._skipped: set[Hashable] = set()
        self._sending: Counter[Key] = Counter()  # keys of which orders are on their way
        self._claiming: set[int] = set()  # brokers
        self._got: dict[int, datetime] = {}  # claimed orders and their validity, whatever became of them
        self._holds_lease = False
        self._must_recover = True
        self._is_new_holder = True

    @property
    def holds_lease(self) -> bool:
        """Tell whether this process is the one that applies what exchanges say."""
        return self._holds_lease

    def wake(self) -> None:
        """Look at the queue now. May be called from any thread; does nothing while `run` is not running."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Execute orders until cancelled."""
        self._loop = asyncio.get_running_loop()
        orders_waiting.connect(self._on_orders_waiting, dispatch_uid=id(self))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._relay.run(), name="orders-relay")
                while True:
                    await self._hold_lease(group)
        finally:
            orders_waiting.disconnect(dispatch_uid=id(self))
            await self._lease.release()  # nothing is on its way any more

    async def _hold_lease(self, group: asyncio.TaskGroup) -> None:
        try:
            await self._lease.acquire()
            await renew_connections()
            self._holds_lease, self._must_recover, self._is_new_holder = True, True, True
            await self._serve(group)
        except LeaseLost as exc:
            # Orders on their way finish in their own tasks; no new one is claimed.
            log.warning("orders.lease_lost", error=exc.message)
        finally:
            self._holds_lease = False

    def _on_orders_waiting(self, **_: object) -> None:
        """What this very process committed is looked at as soon as what others did."""
        self.wake()

    async def cycle(self) -> None:
        """Take the lease for granted, look at the queue and finish all that is due (recovery first)."""
        self._loop = asyncio.get_running_loop()
        self._holds_lease = True
        self._wake.set()
        while self._wake.is_set():  # set again by an order whose owner's next one waits
            self._wake.clear()
            async with asyncio.TaskGroup() as group:
                await self._look(group)

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        checked_at = self._clock.monotonic()
        while True:
            self._wake.clear()
            try:
                await self._look(group)
            except DatabaseDown as exc:
                log.warning("orders.database_down", error=exc.message)
            await self._wait()
            if self._clock.monotonic() - checked_at >= self._timings.poll_s:
                await self._lease.check()
                checked_at = self._clock.monotonic()

    async def _wait(self) -> None:
        """Wait for a wake-up, at most `poll_s`."""
        woken = asyncio.create_task(self._wake.wait())
        nap = asyncio.create_task(self._clock.sleep(self._timings.poll_s))
        try:
            await asyncio.wait((woken, nap), return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            nap.cancel()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        now = self._clock.now()
        if self._must_recover:
            await self._recover(now)
        found = await in_claims(claims.survey, now, stray_after=self._timings.stray_after)
        self._look_for_strays(found.claimed)
        self._claim(group, found.sendable)
        for broker_id, command_id in found.commands:
            self._start(group, ("command", broker_id, command_id), partial(self._commands.run, command_id))
        for key, command_id in found.amends:
            self._start(group, ("amend", *key, command_id), partial(self._amend, key, command_id))
        self._start(group, "positions", self._keeper.run)
        by_market: dict[tuple[int, str], list[Followed]] = defaultdict(list)
        for order in found.followed:
            by_market[order.broker_id, order.symbol].append(order)
        for market, orders in by_market.items():
            self._start(group, ("follow", *market), partial(self._follower.follow, orders))

    async def _recover(self, now: datetime) -> None:
        own = Claims(self._me, frozenset(self._got), frozenset(+self._sending), frozenset(self._claiming))
        # Who finds a claim later than at its takeover knows nothing of the clock of who made it.
        until = self._lease.others_until if self._is_new_holder else None
        self._must_recover = False  # before: a task may fail meanwhile, and ask for another one
        try:
            await in_database(recover, now=now, proof_span=self._timings.proof_span, others_until=until, own=own)
        except BaseException:
            self._must_recover = True
            raise
        self._is_new_holder = False

    def _start(self, group: asyncio.TaskGroup, key: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        """Start a task unless the same one runs already; then the queue is looked at again when it ends."""
        if key in self._running:
            self._skipped.add(key)
            return
        self._running.add(key)
        group.create_task(self._guard(key, work), name=f"orders-{key}")

    async def _guard(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except DatabaseDown as exc:
            # A claim may have been committed without our knowing: let the rows be sorted out.
            self._must_recover = True
            log.warning("orders.database_down", task=str(key), error=exc.message)
        except NotFound as exc:  # its order was deleted with its broker meanwhile
            log.info("orders.deleted_meanwhile", task=str(key), error=exc.message)
        except Exception:
            self._must_recover = True
            log.exception("orders.task_failed", task=str(key))
        finally:
            self._running.discard(key)
            if key in self._skipped:
                self._skipped.discard(key)
                self._wake.set()

    def _look_for_strays(self, claimed: Sequence[Key]) -> None:
        """A statement of a process that was killed may be committed after the recovery of the next one."""
        if any(key[0] not in self._claiming and not self._sending[key] for key in claimed):
            self._must_recover = True
            self._wake.set()

    def _claim(self, group: asyncio.TaskGroup, sendable: Sequence[Key]) -> None:
        """Claim what waits; of an owner with an order on its way, or with several, the next is looked for after."""
        waiting = Counter(sendable)
        self._skipped |= {
            ("send", *key) for key, count in waiting.items() if count > 1 or ("send", *key) in self._running
        }
        for broker_id in dict.fromkeys(broker_id for broker_id, *_ in waiting):
            self._start(group, ("claim", broker_id), partial(self._claim_all, group, broker_id))

    async def _claim_all(self, group: asyncio.TaskGroup, broker_id: int) -> None:
        self._claiming.add(broker_id)
        try:
            # Before the claim: an exchange that cannot be reached leaves the orders waiting.
            session = await self._sessions.session(broker_id)
            if not self._holds_lease:
                return
            busy = [key for key in +self._sending if key[0] == broker_id and ("send", *key) in self._running]
            for order in await in_claims(
                claims.claim_all, broker_id, busy=busy, by=self._me, lease=self._lease.mark, now=self._clock.now()
            ):
                self._note(order)
                self._sending[order.key] += 1
                self._start(group, ("send", *order.key), partial(self._send, session, order))
        except (NotFound, AuthenticationFailed) as exc:
            while self._holds_lease and await self._sender.refuse(broker_id, exc):
                pass
        except DatabaseDown:
            raise
        except AristobotError as exc:
            log.warning("orders.exchange_unavailable", broker_id=broker_id, error=exc.message)
        finally:
            self._claiming.discard(broker_id)

    def _note(self, order: Claimed) -> None:
        """Remember that an order may have been sent; past its validity it is never put back anyway."""
        self._got |= dict.fromkeys(order.trade_ids, order.valid_until)
        if len(self._got) > _MOST_KEPT:
            after = self._clock.now() - _KEPT_FOR
            self._got = {trade_id: until for trade_id, until in self._got.items() if until > after}

    async def _send(self, session: ExchangeSession, order: Claimed) -> None:
        try:
            await self._sender.send(session, order)
        finally:
            self._sending[order.key] -= 1

    async def _amend(self, key: Key, command_id: int) -> None:
        self._sending[key] += 1
        try:
            await self._amends.run(key, command_id)
        finally:
            self._sending[key] -= 1
