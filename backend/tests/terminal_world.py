"""A manual terminal on fakes: users, brokers, markets, a gateway in memory and sockets that speak the protocol."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import Client

from apps.accounts.models import User
from apps.brokers.models import Broker, Exchange
from apps.core.adapters.database import close_database
from apps.core.adapters.presence import PresenceReport
from apps.trading_manual.consumers import TerminalConsumer
from apps.trading_manual.services.liveness import ServiceWatch
from apps.trading_manual.services.terminal import Terminal
from domain.order_abilities import OrderAbilities, PairMode
from domain.timeframes import Timeframe
from tests.engine_world import SYMBOL, make_broker
from tests.fakes.clock import FakeClock
from tests.fakes.gateway import FakeGateway

_numbers = count(1)


def session_of(user: User) -> Any:
    """Sign a user in; return the session."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client.session


class FakePresences:
    """The `PresenceReader` port: terminal 5 was last seen at `seen`; None: never."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.is_alive = True
        self.seen: datetime | None = clock.now()

    async def read(self, names: Sequence[str]) -> tuple[Mapping[str, PresenceReport], float] | None:
        if self.is_alive:
            self.seen = self._clock.now()
        if self.seen is None:
            return {}, 0.1
        return {"ccxt_service": PresenceReport(self.seen, self.seen, {})}, 0.1


class Page:
    """One socket of a user."""

    def __init__(self, socket: WebsocketCommunicator) -> None:
        self.socket = socket
        self.events: list[Mapping[str, Any]] = []

    async def send(self, kind: str, *, request_id: str | None = None, **params: Any) -> str:
        """Send a request; return its id."""
        name = request_id or f"request-{next(_numbers)}"
        await self.socket.send_json_to({"request_id": name, "type": kind, **params})
        return name

    async def reply(self, request_id: str | None) -> dict[str, Any]:
        """Wait for the reply to a request; events that come before it are kept in `events`."""
        while True:
            message: dict[str, Any] = await self.socket.receive_json_from(timeout=10)
            if "request_id" in message and message["request_id"] == request_id:
                return message
            self.events.append(message)

    async def ask(self, kind: str, *, request_id: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        return await self.reply(await self.send(kind, request_id=request_id, **params))

    async def data(self, kind: str, **params: Any) -> dict[str, Any]:
        """Return the data of a reply that must be a success."""
        reply = await self.ask(kind, **params)
        assert reply["ok"], reply
        found: dict[str, Any] = reply["data"]
        return found

    async def error(self, kind: str, **params: Any) -> dict[str, Any]:
        """Return the error of a reply that must be a refusal."""
        reply = await self.ask(kind, **params)
        assert not reply["ok"], reply
        found: dict[str, Any] = reply["error"]
        return found

    async def event(self, kind: str) -> Mapping[str, Any]:
        """Return the next event of a type, those already kept first."""
        while True:
            for index, event in enumerate(self.events):
                if event.get("type") == kind:
                    return self.events.pop(index)
            self.events.append(await self.socket.receive_json_from(timeout=10))


@dataclass
class TerminalWorld:
    """Léa with a Simulateur of 10,000 USDT and 2 BTC where BTC/USDT is worth 100; Max with his own."""

    lea: User
    max: User
    broker: Broker
    other_broker: Broker
    clock: FakeClock
    gateway: FakeGateway
    presences: FakePresences
    terminal: Terminal
    interests: list[tuple[int, str, Timeframe | None]] = field(default_factory=list)
    sockets: list[WebsocketCommunicator] = field(default_factory=list)

    async def page(self, user: User | None = None, *, select: bool = True) -> Page:
        """Open a page of a user (Léa), with her broker chosen."""
        who = user or self.lea
        application = TerminalConsumer.as_asgi(terminal=lambda: self.terminal, renew=self._renew)
        socket = WebsocketCommunicator(application, "/ws/trading/")
        socket.scope |= {"user": who, "session": await sync_to_async(session_of)(who)}
        assert (await socket.connect())[0]
        self.sockets.append(socket)
        page = Page(socket)
        if select and who == self.lea:
            await page.data("select", broker=self.broker.pk)
        return page

    async def _renew(self, broker_id: int, symbol: str, timeframe: Timeframe | None) -> None:
        self.interests.append((broker_id, symbol, timeframe))

    def restart(self) -> None:
        """Begin a new life of the web process: nothing in memory."""
        self.terminal = _terminal(self.gateway, self.clock, self.presences)


def _terminal(gateway: FakeGateway, clock: FakeClock, presences: FakePresences) -> Terminal:
    return Terminal(gateway, clock=clock, watch=ServiceWatch(presences, clock=clock))


def _rows() -> tuple[User, User, Broker, Broker]:
    lea, other = (User.objects.create(username=name) for name in ("lea", "max"))
    Exchange.objects.create(
        id="simex",
        name="Simulateur",
        candle_source="simex:test",
        timeframes=["1m", "5m", "1h"],
        order_abilities=OrderAbilities(buy_fee_in_base=True, pair=PairMode.OCO).to_wire(),
    )
    return lea, other, make_broker(lea), make_broker(other)


@asynccontextmanager
async def terminal_world() -> AsyncIterator[TerminalWorld]:
    """Make the world; closes its sockets and the database thread's connection afterwards."""
    lea, other, broker, other_broker = await sync_to_async(_rows)()
    clock, gateway = FakeClock(), FakeGateway()
    gateway.prices[SYMBOL] = Decimal(100)
    for each in (broker, other_broker):
        gateway.free[each.pk] = {"USDT": Decimal(10_000), "BTC": Decimal(2)}
    presences = FakePresences(clock)
    terminal = _terminal(gateway, clock, presences)
    world = TerminalWorld(lea, other, broker, other_broker, clock, gateway, presences, terminal)
    try:
        yield world
    finally:
        await asyncio.gather(*(socket.disconnect() for socket in world.sockets))
        await close_database()
