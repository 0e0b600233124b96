"""Terminal 3's door to long runs of user code: sandboxed workers that play a strategy over many candles.

A zygote of its own, at the lowest priority, so that no signal waits for a backtest.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from apps.core.adapters.strategy_host import backtest_wire as wire
from apps.core.adapters.strategy_host import protocol
from apps.core.adapters.strategy_host.host import ended, ready
from apps.core.adapters.strategy_host.right_of_way import RightOfWay
from apps.core.adapters.strategy_host.zygote_client import ChildProcess, ZygoteClient, ZygoteDied
from domain.backtest.contract import BacktestJob, CandleSeries
from domain.backtest.played import MAX_TRADES, Played
from domain.errors import StrategyError, StrategyTimeout, Unavailable

log = structlog.get_logger(__name__)

_MODULE = "apps.core.adapters.strategy_host.backtest_zygote"
_GIB = 1 << 30
_WRITE_BYTES = 1 << 20
_MAX_PROGRESS_FRAMES = 100_000  # an honest run of hours says less


@dataclass(slots=True)
class FullResult:
    """What a worker found: `equity` is the value at each close; `trades` are JSON objects joined by commas."""

    played: Played
    equity: Any = None
    trades: list[str] = field(default_factory=list)


class BacktestHost:
    """Starts workers, each a jailed child for one user's code.

    Args:
        memory_bytes: what one worker may allocate: five million candles with a dozen columns fit.
        cpu_seconds: processor time of one worker.
        stall_s: a worker that says nothing for that long is taken for an endless loop.
        niceness: how far workers give way; 19 is the most.
        right_of_way: workers stand still while it is taken.
    """

    def __init__(
        self,
        *,
        right_of_way: RightOfWay | None = None,
        memory_bytes: int = 3 * _GIB,
        cpu_seconds: int = 6 * 3600,
        stall_s: float = 120.0,
        niceness: int = 19,
        start_timeout_s: float = 120.0,
    ) -> None:
        self._limits = (memory_bytes, cpu_seconds)
        self._stall_s = stall_s
        self._niceness = niceness
        self._start_timeout_s = start_timeout_s
        self._starting = asyncio.Lock()
        self._zygote: ZygoteClient | None = None
        if right_of_way is not None:
            right_of_way.heed(self._stand_still)

    async def start(self) -> None:
        """Start the zygote ahead of the first run. Raises Unavailable."""
        await self._living_zygote()

    @property
    def pid(self) -> int | None:
        """Process id of the zygote, whose children the workers are."""
        return None if self._zygote is None else self._zygote.pid

    async def close(self) -> None:
        """Stop every worker."""
        if self._zygote is not None:
            self._zygote.stop()
            self._zygote = None

    @asynccontextmanager
    async def worker(self) -> AsyncIterator["BacktestWorker"]:
        """Lend a jailed worker, killed at the end of the block whatever it does.

        Raises:
            Unavailable: the sandbox could not start; the strategy is not to blame.
        """
        zygote = await self._living_zygote()
        try:
            child = await zygote.spawn(warm=False)
        except ZygoteDied as exc:
            raise _gone() from exc
        try:
            await ready(child)
            yield BacktestWorker(child, limits=self._limits, stall_s=self._stall_s)
        except ZygoteDied as exc:
            raise _gone() from exc
        finally:
            child.kill()

    def _stand_still(self, still: bool) -> None:
        if self._zygote is not None:
            self._zygote.order_all("stand_still" if still else "go_on")

    async def _living_zygote(self) -> ZygoteClient:
        async with self._starting:
            if self._zygote is None or not self._zygote.alive:
                memory, cpu = self._limits
                zygote = ZygoteClient(
                    memory_bytes=memory,
                    cpu_seconds=cpu,
                    on_death=lambda: None,  # the next run starts another
                    module=_MODULE,
                    options=(str(self._niceness),),
                )
                await zygote.start(timeout_s=self._start_timeout_s)
                self._zygote = zygote
                log.info("backtest_sandbox.ready", layers=zygote.layers)
            return self._zygote


class BacktestWorker:
    """One jailed process that holds a series of candles."""

    def __init__(self, child: ChildProcess, *, limits: tuple[int, int], stall_s: float) -> None:
        self._child = child
        self._limits = limits
        self._stall_s = stall_s

    async def give(self, candles: CandleSeries, *, finer: CandleSeries | None = None) -> None:
        """Hand over the candles of the runs to come."""
        await self._guarded(self._send_series(wire.SERIES, candles))
        if finer is not None:
            await self._guarded(self._send_series(wire.FINER, finer))

    async def play(
        self,
        job: BacktestJob,
        *,
        progress: Callable[[float], None] = lambda ratio: None,
        part: tuple[int, int] | None = None,
        full: bool = True,
        prove: bool = True,
    ) -> FullResult:
        """Play a strategy over the candles, or over a part of them.

        Args:
            full: whether trades and equity come with the figures.
            prove: False where this worker has proved the same text over the same part, with other parameters
                perhaps: a sample is then enough, and where it differs the run is proved after all.

        Raises:
            StrategyError: (Invalid, Timeout, Memory) the code failed; `details` has line and traceback.
            Unavailable: the sandbox itself failed.
        """
        return await self._guarded(self._play(wire.Question(job, part, full, prove), progress))

    async def _play(self, question: wire.Question, progress: Callable[[float], None]) -> FullResult:
        self._child.writer.write(wire.pack_run(question))
        await self._child.writer.drain()
        answer = _Answer(progress)
        while not answer.take(*await self._hear()):
            pass
        return answer.result()

    async def _send_series(self, tag: bytes, series: CandleSeries) -> None:
        head, columns = wire.pack_series(tag, series)
        writer = self._child.writer
        writer.write(head)
        for column in columns:
            for first in range(0, len(column), _WRITE_BYTES):
                writer.write(column[first : first + _WRITE_BYTES])
                await writer.drain()

    async def _hear(self) -> tuple[bytes, bytes]:
        try:
            async with asyncio.timeout(self._stall_s):
                head = await self._child.reader.readexactly(protocol.LENGTH.size + 1)
                tag, size = head[-1:], protocol.LENGTH.unpack(head[:-1])[0]
                if size > wire.MAX_FRAME_BYTES.get(tag, -1):
                    raise protocol.BadReply(f"{size} octets de type {tag!r}")
                return tag, await self._child.reader.readexactly(size)
        except TimeoutError as exc:
            raise StrategyTimeout(
                f"Stratégie arrêtée : aucune nouvelle depuis {self._stall_s:g} s (boucle sans fin "
                "ou calcul trop long).",
                details={"timeout_s": str(self._stall_s), "line": None},
            ) from exc

    async def _guarded(self, talk: Any) -> Any:
        """Say in French why a worker ended, or what of its answer is refused."""
        try:
            return await talk
        except protocol.BadReply as exc:
            raise StrategyError(f"Stratégie arrêtée : sa réponse est refusée ({exc}).") from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            raise ended(await self._child.exit_code(), self._limits) from exc


class _Answer:
    """The frames of one run, put together as they come."""

    def __init__(self, progress: Callable[[float], None]) -> None:
        self._progress = progress
        self._told = 0
        self._trades: list[str] = []
        self._equity = b""
        self._played: Played | None = None

    def take(self, tag: bytes, payload: bytes) -> bool:
        """Take a frame; return whether it was the last one. Raises BadReply, StrategyError."""
        if tag == wire.PROGRESS:
            self._told += 1
            if self._told > _MAX_PROGRESS_FRAMES:
                raise protocol.BadReply("progression sans fin")
            self._progress(wire.read_progress(payload))
        elif tag == wire.TRADES:
            if len(self._trades) >= MAX_TRADES // wire.TRADES_A_FRAME + 1:
                raise protocol.BadReply("transactions sans fin")
            self._trades.append(wire.check_trades(payload))
        elif tag == wire.EQUITY:
            self._equity = payload
        elif tag == wire.REPORT:
            self._played = wire.read_played(payload)
        else:
            wire.raise_error(payload)
        return self._played is not None

    def result(self) -> FullResult:
        if self._played is None:
            raise protocol.BadReply("résultat absent")
        equity = wire.read_equity(self._equity, expected=self._played.bars) if self._equity else None
        return FullResult(self._played, equity, self._trades)


def _gone() -> Unavailable:
    return Unavailable("Backtest interrompu : le bac à sable des stratégies s'est arrêté.", code="sandbox_died")
