"""What terminals 1 and 3 see of terminal 5: the `Gateway` port by requests and replies on the bus."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import uuid4

import structlog

from apps.core.adapters import secrets
from apps.core.services import gateway_codec as codec
from apps.core.tracing import current_trace
from domain.candles import Candle
from domain.errors import AristobotError, DeadlineExceeded, error_from_wire
from domain.live_market import OrderBook
from domain.messages import GatewayReply, GatewayRequest, Priority
from domain.ports import Balance, Clock, TradingFee
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

_FIRST_TRY = 0.6  # part of the time after which a read that got no reply is asked once more


class Bus(Protocol):
    """`domain.ports.RequestBus` plus what needs no reply."""

    reply_to: str

    async def send(self, request: GatewayRequest) -> GatewayReply: ...

    async def post(self, request: GatewayRequest) -> None: ...

    async def close(self) -> None: ...


class CcxtClient:
    """The `Gateway` port. Close it in the event loop where it was used."""

    def __init__(self, bus: Bus, *, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def balance(self, broker_id: int, *, user_id: int, timeout_s: float = 10.0) -> Balance:
        result = await self._read("balance", Priority.BALANCE, broker_id, user_id, {}, timeout_s)
        return codec.balance_from_wire(result)

    async def candles(
        self,
        broker_id: int,
        *,
        user_id: int,
        symbol: str,
        timeframe: Timeframe,
        since: datetime,
        until: datetime,
        timeout_s: float = 15.0,
        priority: Priority = Priority.CANDLES,
    ) -> tuple[str, Sequence[Candle]]:
        params = {
            "symbol": symbol,
            "timeframe": timeframe.value,
            "since": since.isoformat(),
            "until": until.isoformat(),
        }
        result = await self._read("candles", priority, broker_id, user_id, params, timeout_s)
        rows = codec.candles_from_wire(result["candles"], symbol=symbol, timeframe=timeframe)
        return str(result["source"]), rows

    async def trading_fee(
        self, broker_id: int, *, user_id: int, symbol: str, timeout_s: float = 10.0
    ) -> TradingFee | None:
        params = {"symbol": symbol}
        result = await self._read("trading_fee", Priority.MARKETS, broker_id, user_id, params, timeout_s)
        return codec.fee_from_wire(result)

    async def price(self, broker_id: int, *, user_id: int, symbol: str, timeout_s: float = 5.0) -> Decimal:
        result = await self._read("price", Priority.BALANCE, broker_id, user_id, {"symbol": symbol}, timeout_s)
        return Decimal(result["price"])

    async def book(
        self, broker_id: int, *, user_id: int, symbol: str, depth: int = 20, timeout_s: float = 5.0
    ) -> OrderBook:
        params = {"symbol": symbol, "depth": depth}
        return OrderBook.from_wire(
            await self._read("book", Priority.CANDLES, broker_id, user_id, params, timeout_s)
        )

    async def tickers(
        self, broker_id: int, *, user_id: int, symbols: Sequence[str], timeout_s: float = 10.0
    ) -> Mapping[str, Decimal]:
        params = {"symbols": list(symbols)}
        result = await self._read("tickers", Priority.BALANCE, broker_id, user_id, params, timeout_s)
        return codec.prices_from_wire(result)

    async def load_markets(self, broker_id: int, *, user_id: int, timeout_s: float = 60.0) -> int:
        request = self._request("load_markets", Priority.MARKETS, broker_id, user_id, {}, timeout_s)
        return int((await self._ask(request))["count"])

    async def test_credentials(
        self,
        *,
        user_id: int,
        exchange: str,
        credentials: Mapping[str, str],
        is_testnet: bool,
        timeout_s: float = 20.0,
    ) -> Balance:
        params = {
            "exchange": exchange,
            "is_testnet": is_testnet,
            "credentials": {name: secrets.encrypt(value) for name, value in credentials.items()},
        }
        request = self._request("test_credentials", Priority.BALANCE, None, user_id, params, timeout_s)
        return codec.balance_from_wire(await self._ask(request))

    async def wake_orders(self) -> None:
        """Post the wake-up; a lost one costs a second, terminal 5 also looks at the rows by itself."""
        request = self._request("wake_orders", Priority.ORDER, None, None, {}, 5.0, reply=False)
        try:
            await self._bus.post(request)
        except AristobotError as exc:
            log.warning("gateway_client.wake_not_sent", error=str(exc))

    async def close(self) -> None:
        await self._bus.close()

    async def _read(
        self,
        method: str,
        priority: Priority,
        broker_id: int,
        user_id: int,
        params: Mapping[str, Any],
        timeout_s: float,
    ) -> Mapping[str, Any]:
        """Ask, and once more when nothing came (terminal 5 may have died with the first); first reply wins."""
        first_s = timeout_s * _FIRST_TRY
        asked = [
            asyncio.create_task(self._ask(self._request(method, priority, broker_id, user_id, params, timeout_s)))
        ]
        try:
            done, _ = await asyncio.wait(asked, timeout=first_s)
            if not done:
                again = self._request(method, priority, broker_id, user_id, params, timeout_s - first_s)
                asked.append(asyncio.create_task(self._ask(again)))
                done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            return _best(done)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _ask(self, request: GatewayRequest) -> Mapping[str, Any]:
        reply = await self._bus.send(request)
        if reply.error is not None:
            raise error_from_wire(reply.error)
        return reply.result or {}

    def _request(
        self,
        method: str,
        priority: Priority,
        broker_id: int | None,
        user_id: int | None,
        params: Mapping[str, Any],
        timeout_s: float,
        *,
        reply: bool = True,
    ) -> GatewayRequest:
        now = self._clock.now()
        return GatewayRequest(
            request_id=uuid4().hex,
            user_id=user_id,
            broker_id=broker_id,
            method=method,
            params=params,
            deadline=now + timedelta(seconds=timeout_s),
            priority=priority,
            reply_to=self._bus.reply_to if reply else "",
            sent_at=now,
            trace_id=current_trace(),
        )


def _best(done: set[asyncio.Task[Mapping[str, Any]]]) -> Mapping[str, Any]:
    """Return a result if one succeeded, else raise the error that says most."""
    errors: list[BaseException] = []
    for task in done:
        error = task.exception()
        if error is None:
            return task.result()
        errors.append(error)
    raise next((error for error in errors if not isinstance(error, DeadlineExceeded)), errors[0])
