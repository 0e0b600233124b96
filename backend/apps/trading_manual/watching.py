"""What one socket follows: a broker's events, and the live market of one symbol there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import structlog

from apps.brokers.models import Broker
from apps.core.services.market_interest import RENEW_EVERY_S, exchange_key, market_group
from apps.trading_manual.services.live_positions import LivePositions
from apps.trading_manual.services.terminal import Terminal
from domain.errors import AristobotError
from domain.ports import Clock
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Event = Mapping[str, Any]


class Renew(Protocol):
    """Says that somebody looks at a market (apps.core.services.market_interest.renew)."""

    async def __call__(self, broker_id: int, symbol: str, timeframe: Timeframe | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """What is chosen on the page; without a symbol the broker's own events still come."""

    broker: Broker
    symbol: str = ""
    timeframe: Timeframe | None = None

    @property
    def group(self) -> str | None:
        """The Channels group of the market on screen."""
        if not self.symbol:
            return None
        key = exchange_key(self.broker.exchange, is_testnet=self.broker.is_testnet)
        group: str = market_group(key, self.symbol)
        return group


class Watching:
    """The live side of a selection, from `start` to `stop`.

    Args:
        send: takes events for the browser.
    """

    def __init__(self, selection: Selection, terminal: Terminal, *, renew: Renew, send: Send) -> None:
        self.selection = selection
        self._terminal = terminal
        self._renew = renew
        self._send = send
        self._positions = LivePositions(terminal, selection.broker, self._send_position)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks.append(asyncio.create_task(self._positions.run(), name="terminal.positions"))
        if self.selection.symbol:
            keep = keep_interest(self.selection, renew=self._renew, clock=self._terminal.clock)
            self._tasks.append(asyncio.create_task(keep, name="terminal.interest"))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def order_event(self, event: Event) -> None:
        """Pass on an event of the user's orders if it is about the chosen broker."""
        if event["data"].get("broker") != self.selection.broker.pk:
            return
        if event["type"] == "position":
            event = {**event, "data": self._positions.changed(event["data"])}
        await self._send(event)

    async def market_event(self, event: Event) -> None:
        """Pass on an event of the market on screen, with the broker it is shown for."""
        data = event["data"]
        chosen = self.selection
        if data.get("symbol") != chosen.symbol:
            return  # of a market that was left meanwhile
        if event["type"] == "candle" and (chosen.timeframe is None or data["timeframe"] != chosen.timeframe.value):
            return
        await self._send({**event, "data": {**data, "broker": chosen.broker.pk}})
        if event["type"] == "ticker":
            price = Decimal(data["last"])
            self._terminal.note_price(chosen.broker, chosen.symbol, price)
            await self._positions.price_moved(chosen.symbol, price)

    async def _send_position(self, body: Mapping[str, Any]) -> None:
        now = self._terminal.clock.now().isoformat()
        await self._send({"v": 1, "topic": "orders", "type": "position", "data": body, "sent_at": now})


async def keep_interest(selection: Selection, *, renew: Renew, clock: Clock) -> None:
    """Renew the interest in the market on screen until cancelled; a renewal that fails is made up by the next."""
    while True:
        try:
            await renew(selection.broker.pk, selection.symbol, selection.timeframe)
        except AristobotError as exc:
            log.warning("terminal.interest_not_renewed", symbol=selection.symbol, error=exc.message)
        await clock.sleep(RENEW_EVERY_S)
