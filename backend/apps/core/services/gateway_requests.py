"""Terminal 5's answers to the requests of the bus: reads, the markets' reload, and the orders' wake-up."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from apps.core.adapters import secrets
from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.services import gateway_codec as codec
from apps.core.services.ccxt_manager import CcxtManager
from apps.core.tracing import following
from domain.errors import AristobotError, InvalidInput, Unavailable, error_to_wire
from domain.messages import GatewayReply, GatewayRequest
from domain.ports import BrokerAccess, Clock
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

Result = Mapping[str, Any]

MAX_BOOK_DEPTH = 100
MAX_TICKERS = 1_000


class GatewayRequests:
    """The handler of the request server.

    Args:
        wake_orders: called at once, must not block; wiring joins it to the order executor.
    """

    def __init__(self, manager: CcxtManager, *, clock: Clock, wake_orders: Callable[[], None]) -> None:
        self._manager = manager
        self._clock = clock
        self._wake_orders = wake_orders
        self._in_flight: dict[tuple[Any, ...], asyncio.Task[Result]] = {}
        self._methods: dict[str, Callable[[GatewayRequest], Awaitable[Result]]] = {
            "balance": self._balance,
            "candles": self._candles,
            "price": self._price,
            "trading_fee": self._trading_fee,
            "book": self._book,
            "tickers": self._tickers,
            "load_markets": self._load_markets,
            "test_credentials": self._test_credentials,
            "wake_orders": self._wake,
        }

    async def handle(self, request: GatewayRequest) -> GatewayReply:
        """Answer one request; every error becomes part of the reply."""
        with following(request.trace_id, user_id=request.user_id):
            return await self._handle(request)

    async def _handle(self, request: GatewayRequest) -> GatewayReply:
        result: Result | None = None
        error: Mapping[str, Any] | None = None
        try:
            result = await self._method(request)(request)
        except AristobotError as exc:
            error = error_to_wire(exc)
        except Exception as exc:  # a request's boundary: one failure must not end the service
            log.error("gateway.request_failed", method=request.method, broker_id=request.broker_id, exc_info=exc)
            error = error_to_wire(Unavailable(f"Requête « {request.method} » : erreur interne du service CCXT."))
        return GatewayReply(request_id=request.request_id, sent_at=self._clock.now(), result=result, error=error)

    def _method(self, request: GatewayRequest) -> Callable[[GatewayRequest], Awaitable[Result]]:
        method = self._methods.get(request.method)
        if method is None:
            raise InvalidInput(f"Requête « {request.method} » inconnue du service CCXT.", code="unknown_method")
        return method

    async def _session(self, request: GatewayRequest) -> CcxtSession:
        if request.broker_id is None or request.user_id is None:
            raise InvalidInput(f"Requête « {request.method} » sans broker ni utilisateur.", code="invalid_message")
        return await self._manager.owned_session(request.broker_id, user_id=request.user_id)

    async def _balance(self, request: GatewayRequest) -> Result:
        session = await self._session(request)
        return codec.balance_to_wire(await session.fetch_balance())

    async def _candles(self, request: GatewayRequest) -> Result:
        session = await self._session(request)
        symbol = str(_param(request, "symbol"))
        timeframe = Timeframe.parse(str(_param(request, "timeframe")))
        since, until = _moment(request, "since"), _moment(request, "until")

        async def fetch() -> Result:
            candles = await session.fetch_candles(
                symbol, timeframe, since=since, until=until, priority=request.priority
            )
            return {"source": session.candle_source, "candles": codec.candles_to_wire(candles)}

        return await self._once((session.candle_source, symbol, timeframe, since, until), fetch)

    async def _trading_fee(self, request: GatewayRequest) -> Result:
        session = await self._session(request)
        return codec.fee_to_wire(await session.fetch_trading_fee(str(_param(request, "symbol"))))

    async def _price(self, request: GatewayRequest) -> Result:
        session = await self._session(request)
        symbol = str(_param(request, "symbol"))

        async def fetch() -> Result:
            return {"price": str(await session.fetch_price(symbol))}

        return await self._once((session.candle_source, "price", symbol), fetch)

    async def _book(self, request: GatewayRequest) -> Result:
        session = await self._session(request)
        symbol, depth = str(_param(request, "symbol")), _count(request, "depth", most=MAX_BOOK_DEPTH)

        async def fetch() -> Result:
            return (await session.fetch_book(symbol, depth)).to_wire()

        return await self._once((session.candle_source, "book", symbol, depth), fetch)

    async def _tickers(self, request: GatewayRequest) -> Result:
        session = await self._session(request)
        symbols = _param(request, "symbols")
        if not isinstance(symbols, list) or len(symbols) > MAX_TICKERS:
            raise InvalidInput(
                f"Requête « tickers » refusée : « symbols » doit être une liste d'au plus {MAX_TICKERS} marchés.",
                code="invalid_message",
            )
        wanted = sorted({str(symbol) for symbol in symbols})

        async def fetch() -> Result:
            return codec.prices_to_wire(await session.fetch_last_prices(wanted))

        return await self._once((session.candle_source, "tickers", *wanted), fetch)

    async def _load_markets(self, request: GatewayRequest) -> Result:
        return {"count": await self._manager.reload_markets(await self._session(request))}

    async def _test_credentials(self, request: GatewayRequest) -> Result:
        tokens = _param(request, "credentials")
        if not isinstance(tokens, Mapping):
            raise InvalidInput("Test du broker refusé : identifiants illisibles.", code="invalid_message")
        access = BrokerAccess(
            user_id=request.user_id or 0,
            broker_id=0,
            exchange=str(_param(request, "exchange")),
            is_testnet=bool(_param(request, "is_testnet")),
            credentials={str(name): secrets.decrypt(str(token)) for name, token in tokens.items()},
        )
        return codec.balance_to_wire(await self._manager.test(access))

    async def _wake(self, request: GatewayRequest) -> Result:
        self._wake_orders()
        return {}

    async def _once(self, key: tuple[Any, ...], fetch: Callable[[], Awaitable[Result]]) -> Result:
        """Let identical market reads that arrive together share one request (twenty bots on one signal)."""
        running = self._in_flight.get(key)
        if running is None:
            running = asyncio.create_task(_run(fetch))
            self._in_flight[key] = running
            running.add_done_callback(lambda task: self._forget(key, task))
        return await asyncio.shield(running)

    def _forget(self, key: tuple[Any, ...], task: asyncio.Task[Result]) -> None:
        self._in_flight.pop(key, None)
        if not task.cancelled() and task.exception() is not None:
            log.info("gateway.read_failed", key=str(key))  # whoever still waits gets the exception itself


async def _run(fetch: Callable[[], Awaitable[Result]]) -> Result:
    return await fetch()


def _param(request: GatewayRequest, name: str) -> Any:
    try:
        return request.params[name]
    except KeyError as exc:
        raise InvalidInput(
            f"Requête « {request.method} » incomplète : « {name} » manque.", code="invalid_message"
        ) from exc


def _count(request: GatewayRequest, name: str, *, most: int) -> int:
    value = _param(request, name)
    if not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInput(
            f"Requête « {request.method} » refusée : « {name} » vaut {value!r}, attendu un entier de 1 à {most}.",
            code="invalid_message",
        )
    return value


def _moment(request: GatewayRequest, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(_param(request, name)))
    except ValueError as exc:
        raise InvalidInput(
            f"Requête « {request.method} » : date « {name} » illisible.", code="invalid_message"
        ) from exc
    if moment.tzinfo is None:
        raise InvalidInput(f"Requête « {request.method} » : date « {name} » sans zone.", code="invalid_message")
    return moment
