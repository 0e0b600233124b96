"""A source, its door and its inbox around a fake gateway: BTC/USDT is worth 100, the account holds 1,000 USDT."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from apps.orders.models import Trade
from apps.trading_engine.database import Database
from apps.webhooks.door import PREFIX, WebhookDoor
from apps.webhooks.gate import Gate, Limits
from apps.webhooks.inbox import Inbox
from apps.webhooks.models import Webhook, WebhookSource
from apps.webhooks.services import sources
from domain.webhooks.origins import networks
from tests.engine_world import SYMBOL, make_broker, make_user
from tests.fakes.clock import FakeClock
from tests.fakes.gateway import FakeGateway
from tests.fakes.publisher import FakePublisher

R = TypeVar("R")
BUY = {"ticker": "BTCUSDT", "action": "buy", "quote_amount": "50"}


class NoWakeUp:
    """Tests look by themselves."""

    async def wait(self, timeout_s: float) -> None: ...


class Heard:
    """The calls that the door told of."""

    def __init__(self) -> None:
        self.calls: list[Webhook] = []

    def arrived(self, call: Webhook) -> None:
        self.calls.append(call)


@dataclass
class WebhookWorld:
    """One source of one user."""

    database: Database
    clock: FakeClock = field(default_factory=lambda: FakeClock(datetime(2026, 1, 1, tzinfo=UTC)))
    gateway: FakeGateway = field(default_factory=FakeGateway)
    publisher: FakePublisher = field(default_factory=FakePublisher)
    heard: Heard = field(default_factory=Heard)
    trusted: tuple[str, ...] = ()
    token: str = ""
    source_id: int = 0
    user_id: int = 0
    broker_id: int = 0

    async def prepare(self, **settings: Any) -> None:
        """Make the user, the account and the source; `settings` are the source's."""
        await self.run(self._prepare, settings)

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        return await self.database.run(function, *args)

    def door(self) -> WebhookDoor:
        """Return a web process's door."""
        return WebhookDoor(
            gate=Gate(Limits(self.clock.monotonic)),
            database=self.database,
            arrivals=self.heard,
            clock=self.clock,
            trusted_proxies=networks(self.trusted),
        )

    def inbox(self, **replaced: Any) -> Inbox:
        """Return a terminal 3's inbox; `replaced` are collaborators of its own."""
        parts: dict[str, Any] = {
            "gateway": self.gateway,
            "database": self.database,
            "publisher": self.publisher,
            **replaced,
        }
        return Inbox(wake_up=NoWakeUp(), clock=self.clock, **parts)

    async def post(
        self, body: Any, *, token: str | None = None, door: WebhookDoor | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """Call the address; return (status, body of the answer)."""
        raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        return await knock(door or self.door(), self.token if token is None else token, raw, **options)

    async def received(self, *bodies: Any, **settings: Any) -> list[Webhook]:
        """Let calls in, act upon them, and return the journal, oldest first."""
        door = self.door()
        for body in bodies:
            status, _ = await self.post(body, door=door)
            assert status == 202
        await self.inbox().drain()
        return await self.calls()

    async def calls(self) -> list[Webhook]:
        return await self.run(lambda: list(Webhook.objects.order_by("id")))

    async def trades(self) -> list[Trade]:
        return await self.run(lambda: list(Trade.objects.order_by("id")))

    async def change(self, **settings: Any) -> None:
        await self.run(lambda: WebhookSource.objects.filter(id=self.source_id).update(**settings))

    def _prepare(self, settings: dict[str, Any]) -> None:
        user = make_user()
        broker = make_broker(user)
        self.user_id, self.broker_id = user.id, broker.id
        self.gateway.free[broker.id] = {"USDT": Decimal(1000), "BTC": Decimal(2)}
        self.gateway.prices[SYMBOL] = Decimal(100)
        wanted = {"name": "TradingView", "broker_id": broker.id, **settings}
        source, self.token = sources.create(user.id, wanted)
        self.source_id = source.id


async def knock(
    door: WebhookDoor,
    token: str,
    body: bytes,
    *,
    method: str = "POST",
    peer: str = "203.0.113.9",
    forwarded: str = "",
    hangs_up: bool = False,
) -> tuple[int, dict[str, Any]]:
    """Speak ASGI to a door; (0, {}) when it answered nothing."""
    sent: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": hangs_up}]
    messages.append({"type": "http.disconnect"})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"type": "http", "method": method, "path": f"{PREFIX}{token}/", "headers": headers, "client": (peer, 1)}
    await door(scope, receive, send)
    return (sent[0]["status"], json.loads(sent[1]["body"])) if sent else (0, {})
