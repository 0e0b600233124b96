"""Terminal 3's door to user code: evaluates and validates in sandboxed processes, many at once."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import structlog

from apps.core.adapters.strategy_host import protocol, quick_test_wire, replay_wire
from apps.core.adapters.strategy_host.right_of_way import RightOfWay
from apps.core.adapters.strategy_host.slow_texts import SlowTexts
from apps.core.adapters.strategy_host.zygote_client import ChildProcess, ZygoteClient, ZygoteDied
from domain.backtest.quick_contract import QuickTestJob, QuickTestResult
from domain.errors import AristobotError, StrategyError, StrategyMemory, StrategyTimeout, Unavailable
from domain.strategies.contract import CodeError, Evaluation, EvaluationJob, Validation
from domain.strategies.replay import ReplayAnswer, ReplayJob
from domain.strategies.syntax import check_syntax

log = structlog.get_logger(__name__)

_Answer = TypeVar("_Answer")
_GIB = 1 << 30
MAX_SPARES = 20
_VALIDATION_TIMEOUT_S = 8.0
_READY_TIMEOUT_S = 15.0
_SLOW_AFTER_S = 1.0  # a question that takes longer no longer keeps the others' spares from being forked
_REFILL_AFTER_S = 1.0  # by then the orders of the close have left, and the processors with them
_LOOK_AT_CPU_EVERY_S = 0.03
# Processor time after which a child gives way; an honest question takes some 10 ms, however long it had to wait.
_LONG_S = 0.1
_LONG_EACH_S = 0.05  # where one child is asked several


@dataclass(frozen=True, slots=True)
class _Question(Generic[_Answer]):
    """What one child is asked.

    Args:
        take: reads a frame of the child's; None when more are to come.
        decides: the text of a bot's decision: how long it calculated is remembered. Empty for all else.
        long_s: processor time after which everybody else goes first.
        silence_s: wall-clock limit of each frame, where it is shorter than `timeout_s`, that of the whole answer.
        behind: let everybody else go first from the start.
    """

    request: bytes
    take: Callable[[bytes], _Answer | None]
    timeout_s: float
    decides: str = ""
    long_s: float = _LONG_S
    silence_s: float | None = None
    behind: bool = False


class SandboxedStrategyHost:
    """The `StrategyHost` port over a zygote and its children, one child per question.

    Args:
        concurrency: decisions and validations at work at once; more than the 20 bots and what pages may ask
            (`StrategyRequestServer`), so that neither twenty loops nor every page at once delay anybody.
        spares: children forked and jailed ahead of their question, at least; after a burst of evaluations,
            as many as the burst (a close asks all bots at once), at most `MAX_SPARES` (some 7 MiB each).
        memory_bytes: what one child may allocate.
        cpu_seconds: processor time of one child; the wall-clock limit is each call's `timeout_s`.
        right_of_way: taken at a decision, given back when its orders must have left.
    """

    def __init__(
        self,
        *,
        right_of_way: RightOfWay | None = None,
        concurrency: int = 36,
        spares: int = 4,
        memory_bytes: int = _GIB,
        cpu_seconds: int = 30,
        start_timeout_s: float = 60.0,
    ) -> None:
        self._right_of_way = right_of_way or RightOfWay()
        self._slots = asyncio.Semaphore(concurrency)
        self._spare_count = spares
        self._limits = (memory_bytes, cpu_seconds)
        self._start_timeout_s = start_timeout_s
        self._starting = asyncio.Lock()
        self._zygote: ZygoteClient | None = None
        self._spares: list[ChildProcess] = []
        self._slow = SlowTexts()
        self._working = 0
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._refilling = False
        self._refill_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Start the zygote now (some seconds) rather than at the first question. Raises Unavailable."""
        await self._living_zygote()
        await self._refill()

    def layers(self) -> Mapping[str, str]:
        """Return each wall of the sandbox: "ok", or why this machine lacks it. Empty before the start."""
        return dict(self._zygote.layers) if self._zygote is not None else {}

    async def evaluate(self, job: EvaluationJob, *, timeout_s: float = 5.0) -> Evaluation:
        """Return the strategy's decision.

        Raises:
            StrategyError: (Invalid, Timeout, Memory) the code failed; `details` has line and traceback.
            Unavailable: the sandbox itself failed; the strategy is not to blame.
        """
        request = protocol.pack_evaluation(job)
        return await self._soon(_Question(request, protocol.unpack_evaluation, timeout_s, decides=job.code))

    async def validate(self, code: str) -> Validation:
        """Return whether the code is a strategy that runs. Raises Unavailable."""
        problems = check_syntax(code)
        if problems:
            return Validation(valid=False, class_name=None, errors=problems)
        request = protocol.pack_validation(code)
        try:
            return await self._soon(_Question(request, protocol.unpack_validation, _VALIDATION_TIMEOUT_S))
        except StrategyError as exc:
            error = CodeError(exc.message, line=exc.details.get("line"))
            return Validation(valid=False, class_name=None, errors=(error,))

    async def quick_test(
        self,
        job: QuickTestJob,
        *,
        timeout_s: float = 50.0,
        silence_s: float = 20.0,
        progress: Callable[[float], None] = lambda ratio: None,
    ) -> QuickTestResult:
        """Play a strategy over a few hundred candles, behind everybody else. Raises as `evaluate`.

        Args:
            silence_s: a child that does not get on for that long is taken for an endless loop.
            progress: told how much of the candles is played, 0..1. Cancelling this call ends the child at once.
        """
        take = quick_test_wire.Answer(progress).take
        request = quick_test_wire.pack_quick_test(job)
        return await self._ask(_Question(request, take, timeout_s, silence_s=silence_s, behind=True))

    async def evaluate_alike(self, job: ReplayJob, *, timeout_s: float) -> list[ReplayAnswer]:
        """Return the decisions of several bots of one user, asked in one child. Raises as `evaluate`."""
        count = len(job.questions)
        unpack = partial(replay_wire.unpack_answers, count=count)
        long_s = max(_LONG_S, count * _LONG_EACH_S)
        request = replay_wire.pack_replay(job)
        return await self._soon(_Question(request, unpack, timeout_s, decides=job.code, long_s=long_s))

    async def replay(self, job: ReplayJob, *, timeout_s: float = 60.0) -> list[ReplayAnswer]:
        """Ask again what was decided, behind everybody else. Raises as `evaluate`."""
        unpack = partial(replay_wire.unpack_answers, count=len(job.questions))
        await self._at_rest.wait()
        return await self._ask(_Question(replay_wire.pack_replay(job), unpack, timeout_s, behind=True))

    async def close(self) -> None:
        """Stop the zygote and every child."""
        self._closed = True
        if self._refill_timer is not None:
            self._refill_timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._drop_spares()
        if self._zygote is not None:
            self._zygote.stop()
            self._zygote = None

    async def _soon(self, question: "_Question[_Answer]") -> _Answer:
        if question.decides:
            self._right_of_way.take()
        async with self._slots:
            with self._at_work():
                return await self._ask(question)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Count a question as work, which forking spares waits for, until it is answered or proves slow."""
        self._working += 1
        self._at_rest.clear()
        self._spare_count = max(self._spare_count, min(self._working, MAX_SPARES))
        counted = True

        def leave() -> None:
            nonlocal counted
            if counted:
                counted = False
                self._working -= 1
                if self._working == 0:
                    self._at_rest.set()
                    self._refill_soon()

        timer = asyncio.get_running_loop().call_later(_SLOW_AFTER_S, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()

    def _refill_soon(self) -> None:
        if self._refill_timer is not None:
            self._refill_timer.cancel()
        loop = asyncio.get_running_loop()
        self._refill_timer = loop.call_later(_REFILL_AFTER_S, self._after_orders)

    def _after_orders(self) -> None:
        if self._working == 0:
            self._right_of_way.give_back()
            self._in_background(self._refill())

    async def _ask(self, question: "_Question[_Answer]") -> _Answer:
        if len(question.request) > protocol.MAX_JOB_BYTES:
            raise StrategyError(f"Question à la stratégie trop longue : {len(question.request)} octets.")
        for _ in range(2):  # an evaluation has no effect outside: asking again is safe
            try:
                child = await self._new() if question.behind else await self._take()
                return await self._converse(child, question)
            except ZygoteDied:
                log.warning("sandbox.asked_again")
        raise Unavailable(
            "Bac à sable des stratégies indisponible : son processus s'est arrêté deux fois de suite."
        )

    async def _converse(self, child: ChildProcess, question: "_Question[_Answer]") -> _Answer:
        watching: asyncio.Task[None] | None = None
        try:
            await ready(child)
            async with asyncio.timeout(question.timeout_s):
                watching = self._keep_in_its_place(child, question)
                child.writer.write(question.request)
                while (answer := question.take(await _hear(child, question.silence_s))) is None:
                    pass
                return answer
        except TimeoutError as exc:
            raise _too_slow(question.timeout_s) from exc
        except protocol.BadReply as exc:
            raise StrategyError(f"Stratégie arrêtée : sa réponse est refusée ({exc}).") from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            raise ended(await child.exit_code(), self._limits) from exc
        finally:
            if watching is not None:
                watching.cancel()
                self._slow.note(question.decides, was_long=child.was_long)
            child.kill()

    def _keep_in_its_place(self, child: ChildProcess, question: "_Question[_Answer]") -> "asyncio.Task[None]":
        """Let everybody else go before a child that calculates for long, at once where that is known already."""
        if question.behind or question.decides in self._slow:
            child.demote()
        return asyncio.get_running_loop().create_task(_watch(child, question.long_s))

    async def _take(self) -> ChildProcess:
        zygote = await self._living_zygote()
        while self._spares:
            spare = self._spares.pop(0)  # the oldest: the youngest may still be warming up
            if not spare.ended:
                return spare
        return await zygote.spawn(warm=False)

    async def _new(self) -> ChildProcess:
        """Return a child that is no spare: those are for decisions."""
        return await (await self._living_zygote()).spawn(warm=False)

    async def _refill(self) -> None:
        if self._refilling:
            return
        self._refilling = True
        try:
            while self._working == 0 and len(self._spares) < self._spare_count:
                if self._closed or self._zygote is None:
                    return
                self._spares.append(await self._zygote.spawn(warm=True))
        except ZygoteDied:
            return  # its restart refills
        finally:
            self._refilling = False

    async def _living_zygote(self) -> ZygoteClient:
        async with self._starting:
            if self._closed:
                raise Unavailable("Bac à sable des stratégies arrêté.")
            if self._zygote is None or not self._zygote.alive:
                memory, cpu = self._limits
                zygote = ZygoteClient(memory_bytes=memory, cpu_seconds=cpu, on_death=self._on_death)
                await zygote.start(timeout_s=self._start_timeout_s)
                self._zygote = zygote
                log.info("sandbox.ready", layers=zygote.layers)
            return self._zygote

    def _on_death(self) -> None:
        self._drop_spares()
        self._in_background(self._restart())

    async def _restart(self) -> None:
        try:
            await self.start()
        except AristobotError as exc:
            log.error("sandbox.restart_failed", error=exc.message)  # the next question tries again

    def _drop_spares(self) -> None:
        while self._spares:
            self._spares.pop().kill()

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _watch(child: ChildProcess, long_s: float) -> None:
    while True:
        child.demote_if_busy(after_s=long_s)
        await asyncio.sleep(_LOOK_AT_CPU_EVERY_S)


async def _hear(child: ChildProcess, within_s: float | None) -> bytes:
    try:
        async with asyncio.timeout(within_s) as silence:
            size = protocol.LENGTH.unpack(await child.reader.readexactly(protocol.LENGTH.size))[0]
            if size > protocol.MAX_REPLY_BYTES:
                raise protocol.BadReply(f"{size} octets, maximum {protocol.MAX_REPLY_BYTES}")
            return await child.reader.readexactly(size)
    except TimeoutError as exc:
        if within_s is not None and silence.expired():
            raise _too_slow(within_s) from exc
        raise


async def ready(child: ChildProcess) -> None:
    """Wait until the child is jailed. Whatever goes wrong before that is not the strategy's fault."""
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            await child.reader.readexactly(len(protocol.HELLO))
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as exc:
        code = await child.exit_code()
        raise Unavailable(
            f"Stratégie non évaluée : le bac à sable n'a pas pu démarrer (code {code}, voir le journal du service)."
        ) from exc


def _too_slow(timeout_s: float) -> StrategyTimeout:
    return StrategyTimeout(
        f"Stratégie arrêtée : pas de réponse après {timeout_s:g} s (boucle sans fin ou calcul trop long).",
        details={"timeout_s": str(timeout_s), "line": None},
    )


def ended(code: int | None, limits: tuple[int, int]) -> StrategyError:
    """Say why a child ended without an answer."""
    memory, cpu = limits
    if code is not None and -code == signal.SIGXCPU:
        return StrategyTimeout(f"Stratégie arrêtée : {cpu} s de calcul dépassées.", details={"line": None})
    if code is not None and -code == signal.SIGKILL:
        return StrategyMemory(
            f"Stratégie arrêtée par le système : mémoire épuisée (limite {memory >> 20} Mio).",
            details={"line": None},
        )
    how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"code {code}"
    return StrategyError(f"Stratégie arrêtée : son processus s'est terminé sans répondre ({how}).")
