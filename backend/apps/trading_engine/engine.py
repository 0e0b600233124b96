"""Terminal 3's heart: each signal makes each bot it concerns decide exactly once, or be seen to have missed.

Invariants: a lease is committed before any work; a decision and its order are committed together by the
attempt that still holds the lease; the cursor moves only once the leases of a signal are committed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from apps.core.metrics import DECISION, DECISIONS, SIGNAL_DELAY
from apps.core.tracing import decision_trace, following
from apps.trading_engine import decisions, leases
from apps.trading_engine.announce import Announcer
from apps.trading_engine.copies import SignalCopies
from apps.trading_engine.database import Database, DatabaseDown
from apps.trading_engine.evaluation import Evaluator
from apps.trading_engine.jobs import Job
from apps.trading_engine.models import BotDecision
from apps.trading_engine.settler import Settler
from domain.errors import AristobotError, StrategyError, Unavailable
from domain.messages import Signal
from domain.ports import Clock, SignalStream
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Spans of wall time and bounds of the engine."""

    max_age: timedelta = timedelta(seconds=30)  # after that a signal is missed
    lease: timedelta = timedelta(seconds=15)  # longer than `evaluation_s`, so that a live attempt keeps it
    evaluation_s: float = 12.0
    sweep_s: float = 1.0
    block_s: float = 5.0
    back_off_s: float = 0.5
    longest_back_off_s: float = 10.0
    watch_waits_s: float = 1.0  # at most, for the decisions of the same close
    parallel: int = 20  # evaluations at once
    outstanding: int = 200  # leased and not decided yet; more of them and the stream waits


@dataclass(slots=True)
class Counters:
    """What presence shows of the engine."""

    signals: int = 0
    decided: int = 0
    missed: int = 0
    failed: int = 0
    last_signal_at: datetime | None = None
    lag_ms: float | None = None


@dataclass(slots=True)
class _Bots:
    """Closes of one bot are decided one after the other, in the order in which they came."""

    locks: defaultdict[int, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    decided_at: dict[int, float] = field(default_factory=dict)  # monotonic time of the last decision


class TradingEngine:
    """Reads signals, leases, evaluates, decides.

    Args:
        on_minute: called at each fresh close of one minute, the market's minute (the position watch).
    """

    def __init__(
        self,
        *,
        signals: SignalStream,
        evaluator: Evaluator,
        announcer: Announcer,
        database: Database,
        clock: Clock,
        limits: Limits | None = None,
        on_minute: Callable[[], None] = lambda: None,
    ) -> None:
        self._signals = signals
        self._evaluator = evaluator
        self._announcer = announcer
        self._database = database
        self._clock = clock
        self._limits = limits or Limits()
        self._settler = Settler(database=database, clock=clock, max_age=self._limits.max_age)
        self._on_minute = on_minute
        self._name = f"engine-{uuid4().hex[:8]}"
        self._bots = _Bots()
        self._slots = asyncio.Semaphore(self._limits.parallel)
        self._attending: set[asyncio.Task[None]] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self._last_close: dict[tuple[str, str, Timeframe], datetime] = {}
        self.copies = SignalCopies()
        self.counters = Counters()

    async def run(self) -> None:
        """Work until cancelled; survives restarts of PostgreSQL and Redis."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep("listen", self._listen))
                group.create_task(self._keep("sweep", self._sweep))
        finally:
            for task in (*self._attending, *self._telling):
                task.cancel()

    async def idle(self) -> None:
        """Wait until everything leased so far is decided."""
        while self._attending:
            await asyncio.wait(set(self._attending))

    async def receive(self, signal: Signal) -> None:
        """Lease and start what a signal asks for, or record it as missed. Raises when PostgreSQL is down.

        Of the copies that two heartbeats send, the first that is fresh is acted on; the others are counted.
        """
        now = self._clock.now()
        age = now - signal.sent_at
        is_news = self.copies.note(signal, lag_ms=round(age.total_seconds() * 1000, 1))
        if not is_news:
            return
        self.counters.signals += 1
        SIGNAL_DELAY.observe(max(age.total_seconds(), 0.0))
        self.counters.last_signal_at = now
        self.counters.lag_ms = round(age.total_seconds() * 1000, 1)
        if signal.late or age > self._limits.max_age:
            await self._miss(signal, age=age, now=now)
        else:
            asked_at = self._clock.monotonic()
            jobs = await self._database.run(
                leases.claim_signal, signal, engine=self._name, now=now, lease=self._limits.lease
            )
            for job in jobs:
                self._start(job, asked_at)
            log.info(
                "engine.signal",
                signal_id=signal.signal_id,
                source=signal.source,
                delay_ms=self.counters.lag_ms,
                bots=len(jobs),
            )
            self.copies.acted_on(signal)
            if signal.timeframe is Timeframe.M1:
                self._tell_minute()
        await self._look_back(signal)

    async def sweep_once(self) -> None:
        """Take again what an attempt left, while its signal is fresh; else record it as missed."""
        now, limits = self._clock.now(), self._limits
        asked_at = self._clock.monotonic()
        jobs = await self._database.run(
            leases.take_expired, engine=self._name, now=now, lease=limits.lease, max_age=limits.max_age
        )
        for job in jobs:
            with following(job.trace_id, user_id=job.user_id):
                log.warning("engine.lease_taken_again", bot_id=job.bot_id, close_time=job.close_time.isoformat())
            self._start(job, asked_at)
        rows = await self._database.run(leases.give_up_stale, engine=self._name, now=now, max_age=limits.max_age)
        await self._announce_missed(rows)

    async def _listen(self) -> None:
        cursor = await self._database.run(leases.load_cursor)
        async for stream_id, signal in self._signals.read(after=cursor, block_s=self._limits.block_s):
            await self._room()
            await self.receive(signal)
            await self._database.run(leases.save_cursor, stream_id)

    async def _sweep(self) -> None:
        while True:
            await self.sweep_once()
            await self._clock.sleep(self._limits.sweep_s)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Task boundary: start `work` again with a growing pause, whatever stopped it."""
        pause = self._limits.back_off_s
        while True:
            started = self._clock.monotonic()
            try:
                await work()
            except DatabaseDown as exc:
                log.warning("engine.database_down", work=name, error=str(exc).strip())
            except Exception:  # boundary of a long-lived task
                log.exception("engine.work_failed", work=name)
            if self._clock.monotonic() - started > self._limits.longest_back_off_s:
                pause = self._limits.back_off_s
            await self._clock.sleep(pause)
            pause = min(pause * 2, self._limits.longest_back_off_s)

    async def _room(self) -> None:
        while len(self._attending) >= self._limits.outstanding:
            await asyncio.wait(set(self._attending), return_when=asyncio.FIRST_COMPLETED)

    def _start(self, job: Job, asked_at: float) -> None:
        task = asyncio.create_task(self._attend(job, asked_at), name=f"bot-{job.bot_id}")
        self._attending.add(task)
        task.add_done_callback(self._attending.discard)

    def _tell_minute(self) -> None:
        """The watch of the positions wants the same threads and processors as the decisions: those go first."""
        task = asyncio.create_task(self._after_decisions(set(self._attending)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _after_decisions(self, deciding: set[asyncio.Task[None]]) -> None:
        if deciding:
            await asyncio.wait(deciding, timeout=self._limits.watch_waits_s)
        self._on_minute()

    async def _attend(self, job: Job, asked_at: float) -> None:
        """Task boundary of one bot at one close: nothing that happens here reaches its neighbours."""
        with following(job.trace_id, user_id=job.user_id):
            await self._attend_traced(job, asked_at)

    async def _attend_traced(self, job: Job, asked_at: float) -> None:
        try:
            await self._in_turn(job, asked_at)
        except (*DatabaseDown, Unavailable) as exc:  # the lease runs out and is taken again
            log.warning("engine.database_down", work="decide", bot_id=job.bot_id, error=str(exc).strip())
        except Exception:  # boundary: the neighbours go on
            log.exception("engine.bot_failed", bot_id=job.bot_id, close_time=job.close_time.isoformat())

    async def _in_turn(self, job: Job, asked_at: float) -> None:
        """Decide when the bot's earlier closes are; a job read before they were is read again."""
        waited = self._slots.locked()
        async with self._bots.locks[job.bot_id], self._slots:
            outdated = waited or self._bots.decided_at.get(job.bot_id, -1.0) >= asked_at
            current = await self._database.run(leases.renew, job) if outdated else job
            row = None if current is None else await self._decide(current)
            self._bots.decided_at[job.bot_id] = self._clock.monotonic()
        if row is not None:
            DECISION.observe(self._clock.monotonic() - asked_at)
            await self._announcer.decision(row, user_id=job.user_id)
            if row.status == BotDecision.Status.FAILED:
                await self._announcer.bot(job.bot_id)
            await self._pause_slow([row])

    async def _decide(self, job: Job) -> BotDecision | None:
        run, clock = self._database.run, self._clock
        if job.obstacle:
            return await run(decisions.settle_without_evaluation, job, reason=job.obstacle, now=clock.now())
        try:
            async with asyncio.timeout(self._limits.evaluation_s):
                answer = await self._evaluator.evaluate(job)
            row = await self._settler.settle(job, answer)
        except DatabaseDown:
            raise
        except StrategyError as exc:
            log.warning("engine.bot_paused", bot_id=job.bot_id, code=exc.error_code, reason=exc.message)
            return await run(decisions.pause, job, exc, now=clock.now())
        except AristobotError as exc:
            if exc.error_code == "database_down":
                raise
            return await self._fail(job, exc.message, code=exc.error_code)
        except TimeoutError:
            reason = f"évaluation abandonnée après {self._limits.evaluation_s:.0f} s"
            return await self._fail(job, reason, code="deadline_exceeded")
        except Exception:  # boundary: the neighbours go on
            log.exception("engine.evaluation_crashed", bot_id=job.bot_id, close_time=job.close_time.isoformat())
            return await self._fail(
                job, "erreur interne pendant l'évaluation : voir le journal", code="internal_error"
            )
        self._log_decision(job, row)
        return row

    async def _fail(self, job: Job, reason: str, *, code: str) -> BotDecision | None:
        log.warning("engine.decision_failed", bot_id=job.bot_id, code=code, reason=reason)
        self.counters.failed += 1
        DECISIONS.labels("failed").inc()
        return await self._database.run(
            decisions.fail, job, reason=reason, details={"code": code}, now=self._clock.now()
        )

    def _log_decision(self, job: Job, row: BotDecision | None) -> None:
        if row is None:
            log.warning("engine.lease_lost", bot_id=job.bot_id, close_time=job.close_time.isoformat())
            return
        if row.status == BotDecision.Status.MISSED:
            self.counters.missed += 1
            DECISIONS.labels("missed").inc()
            log.warning("engine.missed", bot_id=row.bot_id, signal_id=row.signal_id, reason=row.reason)
            return
        self.counters.decided += 1
        DECISIONS.labels("decided").inc()
        log.info(
            "engine.decided", bot_id=job.bot_id, signal_id=row.signal_id, action=row.action, trade_id=row.trade_id
        )

    async def _miss(self, signal: Signal, *, age: timedelta, now: datetime) -> None:
        if signal.late:
            reason = "manqué : clôture rattrapée après coup par le heartbeat"
        else:
            reason = f"manqué : signal reçu {age.total_seconds():.0f} s après la clôture"
        rows = await self._database.run(leases.record_missed, signal, reason=reason, now=now)
        await self._announce_missed(rows)

    async def _look_back(self, signal: Signal) -> None:
        """Record the closes that were published before this one and that the stream no longer held."""
        key = (signal.feed, signal.symbol, signal.timeframe)
        previous = self._last_close.get(key)
        self._last_close[key] = signal.close_time if previous is None else max(previous, signal.close_time)
        if previous is not None and signal.close_time <= previous + signal.timeframe.duration:
            return
        reason = "manqué : signal publié pendant que le moteur était arrêté"
        rows = await self._database.run(leases.record_gap, signal, reason=reason, now=self._clock.now())
        await self._announce_missed(rows)

    async def _announce_missed(self, rows: list[BotDecision]) -> None:
        self.counters.missed += len(rows)
        DECISIONS.labels("missed").inc(len(rows))
        for row in rows:
            with following(decision_trace(row.signal_id, row.bot_id), user_id=row.bot.user_id):
                log.warning("engine.missed", bot_id=row.bot_id, signal_id=row.signal_id, reason=row.reason)
        await self._announcer.missed(rows)
        await self._pause_slow(rows)

    async def _pause_slow(self, rows: Sequence[BotDecision]) -> None:
        """Pause the bots that were too slow for too long."""
        slow = {row.bot_id for row in rows if row.details.get("cause") == leases.TOO_SLOW}
        for bot_id in sorted(slow):
            if await self._database.run(decisions.pause_after_missed, bot_id, now=self._clock.now()):
                log.warning(
                    "engine.bot_paused", bot_id=bot_id, code="signals_missed", reason="trop de signaux manqués"
                )
                await self._announcer.bot(bot_id)
