"""What an exchange tells of one account as it happens, over ccxt's `watch_orders` and `watch_balance`.

Nobody who sends orders waits for anything here: requests and this connection share a client, its key and its
clock, but no lock and no queue. Whatever is missed is found by asking, so an event that cannot be read is
skipped and a connection in doubt is given up.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import structlog

from apps.core.adapters import ccxt_translate as translate
from apps.core.adapters.ccxt_client_class import calling
from apps.core.adapters.ccxt_verdicts import PARSE_ERRORS, read_error
from apps.core.adapters.exchange_clock import ExchangeClock
from domain.errors import AristobotError, ExchangeUnavailable
from domain.messages import Priority
from domain.ports import Balance, Clock, PrivateEvent

log = structlog.get_logger(__name__)

Amounts = dict[str, tuple[Decimal, Decimal]]  # currency -> free, locked

_LONGEST_KEEP_ALIVE_MS = 20_000  # ccxt pings Binance every 3 minutes only: a dead connection must show sooner
_CONNECTED_WITHIN_S = 20.0
_LOOK_S = 0.25
_CHECKED_EVERY_S = 1.0
_SETTLED_S = 1.0
_SILENT_AFTER_S = 10.0  # beyond two pings without an answer
_GOODBYE_S = 2.0
_BINANCE_POSITION, _BINANCE_DEPOSIT = "outboundAccountPosition", "balanceUpdate"


class StreamLost(ExchangeUnavailable):
    """The connection fell silent or was closed under us."""

    code = "stream_lost"


class CcxtPrivateStream:
    """The `PrivateStream` of one ccxt client; at most one `listen` runs at a time.

    Args:
        exchange_name: as shown to the user.
    """

    def __init__(self, client: Any, *, exchange_name: str, clock: Clock, exchange_clock: ExchangeClock) -> None:
        self._client = client
        self._exchange_name = exchange_name
        self._clock = clock
        self._exchange_clock = exchange_clock
        self._ended = False
        self._amounts: Amounts | None = None  # None: not asked for yet
        self._newer: Amounts = {}  # what events said since the balance was last asked for
        self._must_ask = asyncio.Event()

    @property
    def is_offered(self) -> bool:
        """Tell whether ccxt has the account's stream for that exchange."""
        return self._client.has.get("watchOrders") is True

    @property
    def is_ended(self) -> bool:
        """Tell whether the client was closed, or is about to be."""
        return self._ended

    def end(self) -> None:
        """Say that the client is about to be closed: nothing may open it again."""
        self._ended = True

    async def listen(self, *, receive: Callable[[PrivateEvent], None], opened: Callable[[], None]) -> None:
        """Connect and hand over every event until cancelled (see the port)."""
        self._check_not_ended()
        self._forget()
        signed_with = self._exchange_clock.difference_ms
        with calling(Priority.BALANCE):
            tasks = [asyncio.create_task(work) for work in self._works(receive, opened)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._raise_cause(done.pop(), signed_with)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._disconnect()

    def _works(self, receive: Callable[[PrivateEvent], None], opened: Callable[[], None]) -> list[Any]:
        works = [self._follow_orders(receive), self._guard(opened)]
        if self._client.has.get("watchBalance") is True:
            works += [self._follow_balance(receive), self._ask_balance(receive)]
        return works

    async def _raise_cause(self, ended: asyncio.Task[None], signed_with: int) -> None:
        import ccxt

        if ended.cancelled():  # ccxt cancels its futures when its client is closed
            raise StreamLost(f"Flux privé de {self._exchange_name} fermé.")
        try:
            ended.result()
        except (ccxt.BaseError, *PARSE_ERRORS) as exc:
            # ccxt's own clean-up of a refused subscription may fail over the refusal itself (4.5.90, Binance).
            cause = exc.__context__ if isinstance(exc.__context__, ccxt.BaseError) else exc
            if self._exchange_clock.is_out_of_time(cause):
                await self._exchange_clock.correct(signed_with)
            raise read_error(cause, exchange=self._exchange_name, action="Flux privé du compte") from exc

    async def _follow_orders(self, receive: Callable[[PrivateEvent], None]) -> None:
        # Nothing may be awaited between two calls: what comes while nobody waits is told with the next event.
        while True:
            for raw in await self._client.watch_orders():
                self._hear_order(raw, receive)

    def _hear_order(self, raw: Mapping[str, Any], receive: Callable[[PrivateEvent], None]) -> None:
        if raw.get("symbol") not in self._client.markets or not self._client.markets[raw["symbol"]].get("spot"):
            return
        try:
            report = translate.order(raw)
        except PARSE_ERRORS as exc:
            log.warning(
                "stream.order_unreadable",
                exchange=self._client.id,
                order_id=raw.get("id"),
                status=raw.get("status"),
                error=repr(exc),
            )
            return
        receive(report)

    async def _follow_balance(self, receive: Callable[[PrivateEvent], None]) -> None:
        while True:
            changed = self._changed_amounts(await self._client.watch_balance())
            if changed is None:
                self._must_ask.set()
                continue
            self._newer.update(changed)
            if self._amounts is not None:
                self._amounts.update(changed)
                receive(_balance(self._amounts))

    def _changed_amounts(self, raw: Mapping[str, Any]) -> Amounts | None:
        """Return what an event says exactly, None when it must be asked for."""
        told = raw.get("info")
        kind = told.get("e") if isinstance(told, Mapping) else None
        if kind == _BINANCE_DEPOSIT:
            return None  # a difference, to what we may not know
        codes = list(raw.get("free") or {})
        if kind == _BINANCE_POSITION and isinstance(told, Mapping):
            # ccxt adds up all events; only those of this one are certain to be of now.
            codes = [self._client.safe_currency_code(each["a"]) for each in told["B"]]
        amounts: Amounts = {}
        for code in codes:
            free = translate.optional_decimal((raw.get("free") or {}).get(code))
            locked = translate.optional_decimal((raw.get("used") or {}).get(code))
            if free is None or locked is None:
                return None
            amounts[code] = free, locked
        return amounts

    async def _ask_balance(self, receive: Callable[[PrivateEvent], None]) -> None:
        while True:
            await self._must_ask.wait()
            self._must_ask.clear()
            self._newer = {}
            try:
                balance = await self._fetch_balance()
            except AristobotError as exc:
                log.warning("stream.balance_unknown", exchange=self._client.id, error=exc.message)
                continue
            self._amounts = {**_amounts(balance), **self._newer}
            receive(_balance(self._amounts))

    async def _fetch_balance(self) -> Balance:
        import ccxt

        try:
            return translate.balance(await self._client.fetch_balance())
        except (ccxt.BaseError, *PARSE_ERRORS) as exc:
            raise read_error(exc, exchange=self._exchange_name, action="Lecture du solde") from exc

    async def _guard(self, opened: Callable[[], None]) -> None:
        """Say when the connection stands; give it up when it does not, or when it falls silent."""
        since = self._clock.monotonic()
        while not self._is_connected():
            self._check_not_ended()
            if self._clock.monotonic() - since > _CONNECTED_WITHIN_S:
                raise StreamLost(f"Flux privé de {self._exchange_name} : aucune connexion.")
            await self._clock.sleep(_LOOK_S)
        await self._clock.sleep(_SETTLED_S)
        opened()
        self._must_ask.set()
        while True:
            self._check_not_ended()
            self._check_not_silent()
            await self._clock.sleep(_CHECKED_EVERY_S)

    def _is_connected(self) -> bool:
        sockets = list((self._client.clients or {}).values())
        asking = any(
            str(name).startswith("authenticate:") and not future.done()
            for socket in sockets
            for name, future in socket.futures.items()
        )
        return bool(sockets) and not asking and all(not socket.closed() for socket in sockets)

    def _check_not_silent(self) -> None:
        now_ms = self._client.milliseconds()
        for socket in (self._client.clients or {}).values():
            heard_ms = max(filter(None, (socket.last_message_at, socket.lastPong, socket.connectionEstablished)))
            limit_ms = 2 * socket.keepAlive + _SILENT_AFTER_S * 1000
            if now_ms - heard_ms > limit_ms:
                raise StreamLost(
                    f"Flux privé de {self._exchange_name} muet depuis {(now_ms - heard_ms) / 1000:.0f} s."
                )

    def _check_not_ended(self) -> None:
        if self._ended:
            raise StreamLost(f"Flux privé de {self._exchange_name} fermé.")

    def _forget(self) -> None:
        """What an earlier connection told may be out of date by now."""
        self._amounts, self._newer = None, {}
        self._must_ask.clear()
        self._client.balance = {}
        keep_alive = min(self._client.streaming.get("keepAlive", _LONGEST_KEEP_ALIVE_MS), _LONGEST_KEEP_ALIVE_MS)
        self._client.streaming = {**self._client.streaming, "keepAlive": keep_alive}

    async def _disconnect(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._client.close_ws_clients()


def _amounts(balance: Balance) -> Amounts:
    codes = {*balance.free, *balance.locked}
    return {code: (balance.free.get(code, Decimal(0)), balance.locked.get(code, Decimal(0))) for code in codes}


def _balance(amounts: Amounts) -> Balance:
    return Balance(
        free={code: free for code, (free, _) in amounts.items() if free},
        locked={code: locked for code, (_, locked) in amounts.items() if locked},
    )
