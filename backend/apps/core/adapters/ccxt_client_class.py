"""Makes a ccxt client whose requests pass through our budget and whose answers' headers we see.

ccxt is imported here and in its neighbours only, and late: the import takes seconds and a hundred MiB.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings

from apps.core.adapters.ccxt_loader import load_ccxt, load_ccxt_pro
from apps.core.adapters.rate_budget import RateBudget
from domain.errors import InvalidInput
from domain.messages import Priority
from domain.ports import BrokerAccess, Clock

log = structlog.get_logger(__name__)

SIMEX = "simex"
EXCHANGE_NAMES = {"simex": "Simulateur", "binance": "Binance", "bitget": "Bitget", "kraken": "Kraken", "okx": "OKX"}
_BINANCE_REST = "https://api.binance.com"
_FIRST_BACK_OFF_S = 5.0
_USED_WEIGHT, _WEIGHT_PER_COST = "x-mbx-used-weight-1m", 5.0  # Binance's header; ccxt counts a fifth of it
# What ccxt keeps of each kind of event (orders, executions), of every account: 1,000 by default, some 10 kB each,
# all of them gone through at every event. We read events as they come, so the newest are enough.
_EVENTS_KEPT = 100
# One request for the markets instead of seven.
_OPTIONS = {
    "defaultType": "spot",
    "ordersLimit": _EVENTS_KEPT,
    "tradesLimit": _EVENTS_KEPT,
    "fetchMarkets": {"types": ["spot"]},
    "fetchCurrencies": False,
    "fetchMargins": False,
    "warnOnFetchOpenOrdersWithoutSymbol": False,
}
# No prefix or mark of ccxt's in our orders: each family has its own shape of option for it.
_UNMARKED: dict[str, dict[str, Any]] = {
    "binance": {"broker": dict.fromkeys(("spot", "margin", "future", "swap", "option", "inverse"), "")},
    "bitget": {"broker": ""},
}
# ccxt would ask for them with the markets (OKX: signed, so that wrong keys would hide the markets).
_CURRENCIES_NOT_NEEDED = frozenset({"bitget", "okx"})


class SendTooLate(Exception):
    """The order waited for its turn past `valid_until`; not one byte left."""


@dataclass(slots=True)
class CallContext:
    """What one call of ours carries through ccxt, and what came back beside the body."""

    priority: Priority
    valid_until: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    http_status: int | None = None
    retry_after_s: float | None = None


_context: ContextVar[CallContext | None] = ContextVar("ccxt_call", default=None)


@contextmanager
def calling(priority: Priority, *, valid_until: datetime | None = None) -> Iterator[CallContext]:
    """Set the priority (and the deadline of an order) of the ccxt calls made inside."""
    context = CallContext(priority, valid_until)
    token = _context.set(context)
    try:
        yield context
    finally:
        _context.reset(token)


class Rim:
    """Stands between ccxt and the network for one client: asks the budget, reads the headers."""

    def __init__(self, *, budget: RateBudget, clock: Clock) -> None:
        self.run_id: str | None = None  # of the simulated exchange
        self._budget = budget
        self._clock = clock

    async def throttle(self, cost: float | None) -> None:
        """ccxt awaits this before it signs: the last wait before an order leaves."""
        context = _context.get() or CallContext(Priority.MARKETS)
        if context.valid_until is None:
            await self._budget.acquire(context.priority, cost or 1.0)
            return
        remaining = (context.valid_until - self._clock.now()).total_seconds()
        try:
            async with asyncio.timeout(max(remaining, 0)):
                await self._budget.acquire(context.priority, cost or 1.0)
        except TimeoutError as exc:
            raise SendTooLate from exc
        if self._clock.now() >= context.valid_until:
            raise SendTooLate

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        lowered = {name.lower(): value for name, value in headers.items()}
        self.run_id = lowered.get("x-simex-run", self.run_id)
        retry_after = _number(lowered.get("retry-after"))
        used = _number(lowered.get(_USED_WEIGHT))
        if used is not None:
            self._budget.heard_used(used / _WEIGHT_PER_COST)
        context = _context.get()
        if context is not None:
            context.http_status, context.retry_after_s = status, retry_after
        if status in (418, 429):
            self._budget.back_off(retry_after or _FIRST_BACK_OFF_S)
            log.warning("exchange.rate_limited", status=status, retry_after_s=retry_after)


def make_client(access: BrokerAccess, *, rim: Rim, timeout_s: float) -> Any:
    """Return a ccxt client of that account, with `watch…` calls where ccxt has them for the exchange.

    One object for requests and streams, not two: a private stream also signs and asks (Kraken's token), and
    two clients of one key would each have its own nonce, clock difference, markets and copy of the secret.
    Nothing is connected before the first call of its kind; `close` closes both kinds.

    Raises:
        InvalidInput: unknown exchange, no sandbox there, or no simulated exchange running.
    """
    client = _client_class(access.exchange, rim)(
        {
            **access.credentials,
            "number": str,  # exact: the exchange's own digits, never a float
            "timeout": int(timeout_s * 1000),
            "enableRateLimit": True,
            "aiohttp_trust_env": access.exchange != SIMEX,
            "options": {**_OPTIONS, **_unmarked(access.exchange)},
        }
    )
    if access.exchange in _CURRENCIES_NOT_NEEDED:
        client.has = {**client.has, "fetchCurrencies": False}
    _set_hosts(client, access)
    return client


def _unmarked(exchange: str) -> Mapping[str, Any]:
    family = "binance" if exchange == SIMEX or exchange.startswith("binance") else exchange
    return _UNMARKED.get(family, {})


def known_exchanges() -> list[str]:
    """Return the ids that `make_client` accepts."""
    ccxt = load_ccxt()

    return [SIMEX, *ccxt.exchanges]


def warm_up() -> None:
    """Import ccxt now (seconds), before this process says that it serves."""
    known_exchanges()


def _client_class(exchange: str, rim: Rim) -> Any:
    ccxt = load_ccxt()

    if exchange not in known_exchanges():
        raise InvalidInput(f"Exchange « {exchange} » inconnu.", details={"exchange": exchange})
    ccxt_id = "binance" if exchange == SIMEX else exchange
    base: Any = load_ccxt_pro(ccxt_id) or getattr(ccxt, ccxt_id)

    class Client(base):
        async def throttle(self, cost: float | None = None) -> None:
            await rim.throttle(cost)

        def sign(self, *args: Any, **kwargs: Any) -> Any:
            signed = super().sign(*args, **kwargs)
            context = _context.get()
            ours = {} if context is None else context.headers
            headers = {**(signed.get("headers") or {}), **ours}
            # A mark that we leave empty comes as a header without a value.
            return {**signed, "headers": {name: value for name, value in headers.items() if value is not None}}

        def client(self, url: str) -> Any:
            return _with_heard_futures(super().client(url))

        def on_rest_response(self, code: int, *rest: Any) -> Any:
            rim.answered(code, rest[3])
            return super().on_rest_response(code, *rest)

        def parse_ohlcv(self, ohlcv: Any, market: Any = None) -> list[Any]:
            row: list[Any] = super().parse_ohlcv(ohlcv, market)
            # Binance says how many trades a candle holds; ccxt drops it.
            return [*row, ohlcv[8]] if is_binance(self) and len(ohlcv) > 8 else row

    return Client


def _with_heard_futures(socket: Any) -> Any:
    """Let asyncio not report the failures of futures that ccxt makes and nobody awaits.

    A lost connection is raised to whoever watches; ccxt fails every other future of the connection with it.
    """
    if "future" not in vars(socket):
        make = socket.future

        def future(message_hash: str) -> Any:
            made = make(message_hash)
            if not getattr(made, "is_heard", False):
                made.is_heard = True
                made.add_done_callback(lambda done: done.cancelled() or done.exception())
            return made

        socket.future = future
    return socket


def is_binance(client: Any) -> bool:
    """Tell whether the client speaks Binance's protocol (Binance itself, simex, its relatives)."""
    ccxt = load_ccxt()

    return isinstance(client, ccxt.binance)


def _set_hosts(client: Any, access: BrokerAccess) -> None:
    if access.exchange == SIMEX:
        if not settings.SIMEX_URL:
            raise InvalidInput(
                "Simulateur indisponible : aucun exchange simulé ne tourne ici (SIMEX_URL est vide).",
                code="simex_absent",
            )
        # Every host, so that no stray request can reach the real Binance.
        simex = settings.SIMEX_URL.rstrip("/")
        client.urls["api"] = _rewrite(client.urls["api"], r"^https?://[^/]+", simex)
        client.urls["api"] = _rewrite(client.urls["api"], r"^wss?://[^/]+", re.sub(r"^http", "ws", simex))
    elif access.is_testnet:
        if not client.urls.get("test"):
            raise InvalidInput(f"{client.name} n'a pas d'environnement de test.", code="no_sandbox")
        client.set_sandbox_mode(True)
    elif access.exchange == "binance":
        rest, streams = settings.BINANCE_REST_URL.rstrip("/"), settings.BINANCE_WS_URL.rstrip("/")
        client.urls["api"] = _rewrite(client.urls["api"], r"^https://api\.binance\.com", rest)
        client.urls["api"] = _rewrite(client.urls["api"], r"^wss://stream\.binance\.com:9443", streams)
        if rest != _BINANCE_REST:  # another machine plays Binance: its private streams are there too
            client.urls["api"] = _rewrite(client.urls["api"], r"^wss://ws-api\.binance\.com:443", streams)


def _rewrite(urls: Mapping[str, Any], pattern: str, replacement: str) -> dict[str, Any]:
    return {
        name: re.sub(pattern, replacement, value)
        if isinstance(value, str)
        else _rewrite(value, pattern, replacement)
        for name, value in urls.items()
    }


def _number(header: str | None) -> float | None:
    try:
        return float(header) if header is not None else None
    except ValueError:
        return None
