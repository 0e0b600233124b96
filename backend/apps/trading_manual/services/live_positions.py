"""What the open positions of the chosen broker are worth, pushed to the page as prices move."""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

import structlog

from apps.brokers.models import Broker
from apps.core.adapters.database import read_database
from apps.trading_manual import selectors
from apps.trading_manual.services.order_lists import valued
from apps.trading_manual.services.terminal import READ_TIMEOUT_S, Terminal
from domain.errors import AristobotError

log = structlog.get_logger(__name__)

REVALUE_EVERY_S = 5.0
_TICKER_EVERY_S = 1.0

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class LivePositions:
    """Values the positions every few seconds, and those of the market on screen as its ticker arrives.

    Nothing is asked from the exchange while nothing is held, and a body that did not change is not sent.

    Args:
        send: takes a position's body.
    """

    def __init__(self, terminal: Terminal, broker: Broker, send: Send) -> None:
        self._terminal = terminal
        self._broker = broker
        self._send = send
        self._held: dict[int, dict[str, Any]] = {}  # bodies by id, as last valued
        self._prices: dict[str, Decimal] = {}
        self._moved_at: float | None = None

    async def run(self) -> None:
        """Value until cancelled."""
        while True:
            try:
                await self._revalue()
            except AristobotError as exc:
                log.info("terminal.positions_not_valued", broker_id=self._broker.pk, error=exc.message)
            await self._terminal.clock.sleep(REVALUE_EVERY_S)

    async def price_moved(self, symbol: str, price: Decimal) -> None:
        """Take a price of the live feed; the positions follow it at most once a second."""
        self._prices[symbol] = price
        now = self._terminal.clock.monotonic()
        if self._moved_at is not None and now - self._moved_at < _TICKER_EVERY_S:
            return
        self._moved_at = now
        for body in [each for each in self._held.values() if each["symbol"] == symbol]:
            await self._tell(valued(body, price))

    def changed(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take a position's event; return it valued at the last price known."""
        found = valued(body, self._prices.get(body["symbol"]))
        if found["status"] == "closed":
            self._held.pop(found["id"], None)
        else:
            self._held[found["id"]] = found
        return found

    async def _revalue(self) -> None:
        bodies = await read_database(selectors.open_positions, self._broker)
        self._held = {body["id"]: self._held.get(body["id"], body) for body in bodies}
        if not bodies:
            return
        await self._terminal.watch.check()
        self._prices |= await self._terminal.gateway.tickers(
            self._broker.pk,
            user_id=self._broker.user_id,
            symbols=sorted({body["symbol"] for body in bodies}),
            timeout_s=READ_TIMEOUT_S,
        )
        for body in bodies:
            await self._tell(valued(body, self._prices.get(body["symbol"])))

    async def _tell(self, body: dict[str, Any]) -> None:
        if self._held.get(body["id"]) != body:
            self._held[body["id"]] = body
            await self._send(body)
