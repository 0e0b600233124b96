"""The host's side of one zygote: starts it, asks it for children, hears of their end."""

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import structlog

from domain.errors import Unavailable

log = structlog.get_logger(__name__)

_MODULE = "apps.core.adapters.strategy_host.zygote"
_BACKEND = Path(__file__).resolve().parents[4]
_MAX_MESSAGE = 4096
_EXIT_NEWS_TIMEOUT_S = 2.0

# All that the zygote knows of the world: no database, no Redis, no key, no proxy, no home.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class ZygoteDied(Exception):
    """The zygote ended, and its children with it: nothing was decided, the question may be asked again."""


class ChildProcess:
    """One jailed child that waits for its one question on `reader`/`writer`."""

    def __init__(
        self,
        number: int,
        client: "ZygoteClient",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        exit_news: "asyncio.Future[int]",
    ) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.was_long = False  # whether it was found to calculate for longer than `demote_if_busy` allowed
        self._client = client
        self._exit_news = exit_news

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended (a spare may have been killed while it waited)."""
        return self._exit_news.done()

    def kill(self) -> None:
        """End it now, whatever it does."""
        self.writer.transport.abort()
        self._client.order("kill", self.number)

    def demote(self) -> None:
        """Let everybody else go first from now on."""
        self._client.order("demote", self.number)

    def demote_if_busy(self, *, after_s: float) -> None:
        """Let everybody else go first once it has taken that much processor time since the first look."""
        self._client.order("demote_if_busy", self.number, after_s=after_s)

    async def exit_code(self) -> int | None:
        """Return how it ended (negative: a signal's number), None if that is not known in time.

        Raises:
            ZygoteDied: it ended because the zygote did.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self._exit_news), _EXIT_NEWS_TIMEOUT_S)
        except TimeoutError:
            return None


class ZygoteClient:
    """One zygote process. Belongs to the event loop that started it."""

    def __init__(
        self,
        *,
        memory_bytes: int,
        cpu_seconds: int,
        on_death: Callable[[], None],
        module: str = _MODULE,
        options: Sequence[str] = (),
    ) -> None:
        self.layers: dict[str, str] = {}
        self.alive = False
        self._command = (module, (str(memory_bytes), str(cpu_seconds), *options))
        self._on_death = on_death
        self._numbers = itertools.count(1)
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._children: WeakValueDictionary[int, ChildProcess] = WeakValueDictionary()
        self._ready: asyncio.Future[None] | None = None
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self, *, timeout_s: float) -> None:
        """Start the process and wait until it can fork.

        Raises:
            Unavailable: it ended, refused or was not ready in time.
        """
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._launch()
        assert self._control is not None  # noqa: S101 — set by _launch
        loop.add_reader(self._control.fileno(), self._hear)
        try:
            await asyncio.wait_for(self._ready, timeout_s)
        except (TimeoutError, ZygoteDied) as exc:
            self.stop()
            reason = str(exc) or f"pas prêt en {timeout_s:g} s"
            raise Unavailable(f"Bac à sable des stratégies : démarrage impossible, {reason}.") from exc
        self.alive = True

    def stop(self) -> None:
        """End the zygote and its children (they die with it)."""
        self.alive = False
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._fail_waiters("arrêté")

    async def spawn(self, *, warm: bool) -> ChildProcess:
        """Ask for one child and return the line to it; `warm` when its question is not there yet."""
        if self._control is None or not self.alive:
            raise ZygoteDied("processus absent")
        number = next(self._numbers)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            ours.setblocking(False)
            message = json.dumps({"op": "spawn", "id": number, "warm": warm}).encode()
            socket.send_fds(self._control, [message], [theirs.fileno()])
        except OSError as exc:
            ours.close()
            raise ZygoteDied(str(exc)) from exc
        finally:
            theirs.close()
        exit_news = self._exits[number] = asyncio.get_running_loop().create_future()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        child = self._children[number] = ChildProcess(number, self, reader, writer, exit_news)
        return child

    def order(self, op: str, number: int, **terms: float) -> None:
        """Send an order about one child; a zygote that is gone has no children left."""
        self._tell({"op": op, "id": number, **terms})

    def order_all(self, op: str) -> None:
        """Send an order about all children."""
        self._tell({"op": op})

    def _tell(self, order: dict[str, Any]) -> None:
        if self._control is not None:
            try:
                self._control.send(json.dumps(order).encode())
            except OSError as exc:
                log.warning("sandbox.order_not_sent", **order, error=str(exc))

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        module, options = self._command
        command = [sys.executable, "-E", "-s", "-m", module, str(theirs.fileno()), *options]
        self._process = subprocess.Popen(
            command,
            cwd=_BACKEND,
            env=_ENVIRONMENT,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._control = ours

    def _hear(self) -> None:
        while self._control is not None:
            try:
                data = self._control.recv(_MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._died()
                return
            self._handle(json.loads(data))

    def _handle(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "ready" if self._ready is not None and not self._ready.done():
                self.layers = message["layers"]
                self._ready.set_result(None)
            case "failed" if self._ready is not None and not self._ready.done():
                self._ready.set_exception(ZygoteDied(message["reason"]))
            case "long" if (child := self._children.get(message["id"])) is not None:
                child.was_long = True
            case "exited":
                future = self._exits.pop(message["id"], None)
                if future is not None and not future.done():
                    future.set_result(message["code"])

    def _died(self) -> None:
        was_alive = self.alive
        log.error("sandbox.zygote_died", pid=self._process.pid if self._process else None, own_pid=os.getpid())
        self.stop()
        if was_alive:
            self._on_death()

    def _fail_waiters(self, reason: str) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ZygoteDied(reason))
        for future in self._exits.values():
            if not future.done():
                future.set_exception(ZygoteDied(reason))
                future.exception()  # nobody may be waiting: that is no news for the log
        self._exits.clear()
