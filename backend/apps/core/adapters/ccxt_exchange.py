"""One account at an exchange, over ccxt: the `ExchangeSession` port.

Orders are sent once and never retried inside (`maxRetriesOnFailure` is never set: it POSTs again).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from apps.core.adapters import ccxt_market_reads as market_reads
from apps.core.adapters import ccxt_translate as translate
from apps.core.adapters.ccxt_catalogue import exchange_facts
from apps.core.adapters.ccxt_client_class import (
    EXCHANGE_NAMES,
    SIMEX,
    CallContext,
    Rim,
    SendTooLate,
    calling,
    is_binance,
    make_client,
)
from apps.core.adapters.ccxt_verdicts import PARSE_ERRORS, order_error, read_error
from apps.core.adapters.exchange_clock import ExchangeClock
from apps.core.adapters.order_dialects import dialect_for
from apps.core.adapters.order_dialects.base import Deadline
from apps.core.adapters.private_stream import CcxtPrivateStream
from apps.core.adapters.rate_budget import RateBudget
from domain.candles import Candle
from domain.errors import AristobotError, ExchangeUnavailable, InvalidInput, OrderNotExecuted, OrderRejected
from domain.live_market import OrderBook
from domain.markets import Market
from domain.messages import Priority
from domain.order_abilities import AmendMode, OrderAbilities, PairMode
from domain.orders import FillReport, OrderHandle, OrderReport, OrderTicket, OrderType, PairTicket
from domain.ports import Balance, BrokerAccess, Clock, TradingFee
from domain.rollup import roll_up, source_timeframe
from domain.timeframes import Timeframe, to_ms

T = TypeVar("T")

_PAGE = 1000


class CcxtSession:
    """An authenticated ccxt client of one (user, broker).

    Args:
        budget: shared by every session of that exchange and host.
        timeout_s: of each request; longer than the exchange's own (10 s), whose late answer is worth having.
    """

    def __init__(self, access: BrokerAccess, *, budget: RateBudget, clock: Clock, timeout_s: float = 12.0) -> None:
        self.access = access
        self._clock = clock
        self._budget = budget
        self._rim = Rim(budget=budget, clock=clock)
        self._client = make_client(access, rim=self._rim, timeout_s=timeout_s)
        self._exchange_clock = ExchangeClock(self._client, exchange=access.exchange)
        self.exchange_name = EXCHANGE_NAMES.get(access.exchange, str(self._client.name))
        self._dialect = dialect_for(self._client, name=self.exchange_name)
        self._stream = CcxtPrivateStream(
            self._client, exchange_name=self.exchange_name, clock=clock, exchange_clock=self._exchange_clock
        )

    @property
    def candle_source(self) -> str:
        if self.access.exchange == SIMEX:
            return f"{SIMEX}:{self._rim.run_id}" if self._rim.run_id else SIMEX
        return f"{self.access.exchange}-testnet" if self.access.is_testnet else self.access.exchange

    @property
    def timeframes(self) -> list[str]:
        """Return what the exchange offers among ours."""
        return [timeframe.value for timeframe in Timeframe if timeframe.value in (self._client.timeframes or {})]

    @property
    def abilities(self) -> OrderAbilities:
        return self._dialect.abilities

    def describe(self) -> dict[str, Any]:
        """Return what the catalogue stores of the exchange (no account data)."""
        return exchange_facts(self.access.exchange, self._client)

    def budget_rate_per_s(self) -> float:
        """Return ccxt's own rate for the exchange, in its cost units per second."""
        return 1000.0 / float(self._client.rateLimit)

    @property
    def counts_by_the_minute(self) -> bool:
        """Tell whether the exchange's limit is a weight per minute (Binance's), which allows bursts."""
        return is_binance(self._client)

    def share_markets_of(self, other: "CcxtSession") -> None:
        """Take the markets another session of the same exchange loaded."""
        self._client.set_markets_from_exchange(other._client)
        self._exchange_clock.take(other._exchange_clock)
        self._rim.run_id = other._rim.run_id  # what the lender heard last

    async def load_markets(self) -> Mapping[str, Market]:
        """Load the spot markets anew, and the exchange's time. Raises the errors of a read."""

        async def load() -> dict[str, Market]:
            await self._exchange_clock.set()
            raw = await self._client.load_markets(True)
            return {
                each["symbol"]: translate.market(each) for each in raw.values() if translate.is_usable_spot(each)
            }

        return await self._read("Chargement des marchés", load, Priority.MARKETS)

    async def fetch_balance(self) -> Balance:
        async def fetch() -> Balance:
            return translate.balance(await self._client.fetch_balance())

        return await self._read("Lecture du solde", fetch, Priority.BALANCE)

    async def fetch_candles(
        self,
        symbol: str,
        timeframe: Timeframe,
        *,
        since: datetime,
        until: datetime,
        priority: Priority = Priority.CANDLES,
    ) -> Sequence[Candle]:
        """Return candles with since <= open_time < until, ascending, rolled up when the exchange lacks that one.

        Raises:
            InvalidInput: no offered timeframe divides the wanted one.
        """
        native = source_timeframe(timeframe, self.timeframes)
        if native is None:
            raise InvalidInput(
                f"Bougies {timeframe.value} impossibles chez {self.exchange_name} : aucune unité de temps "
                f"offerte ({', '.join(self.timeframes)}) ne la divise.",
                code="timeframe_unsupported",
            )
        start = timeframe.open_time(since)
        action = f"Lecture des bougies {symbol} {native.value}"
        candles = await self._read(action, lambda: self._page_candles(symbol, native, start, until), priority)
        rolled = candles if native is timeframe else roll_up(candles, timeframe)
        return [each for each in rolled if since <= each.open_time < until]

    async def fetch_trading_fee(self, symbol: str) -> TradingFee | None:
        if not self.offers("fetchTradingFee"):
            return None

        async def fetch() -> TradingFee | None:
            return translate.trading_fee(await self._client.fetch_trading_fee(symbol))

        return await self._read(f"Lecture des frais {symbol}", fetch, Priority.MARKETS)

    async def fetch_price(self, symbol: str) -> Any:
        async def fetch() -> Any:
            ticker = await self._client.fetch_ticker(symbol)
            return translate.decimal(ticker["last"])

        return await self._read(f"Lecture du prix {symbol}", fetch, Priority.BALANCE)

    async def fetch_book(self, symbol: str, depth: int, *, priority: Priority = Priority.CANDLES) -> OrderBook:
        async def fetch() -> OrderBook:
            return await market_reads.order_book(self._client, symbol, depth, now=self._clock.now())

        return await self._read(f"Lecture du carnet d'ordres {symbol}", fetch, priority)

    async def fetch_last_prices(self, symbols: Sequence[str]) -> Mapping[str, Decimal]:
        """Return the last price by symbol; markets unknown there, or that never traded, are left out."""

        async def fetch() -> dict[str, Decimal]:
            return await market_reads.last_prices(self._client, symbols)

        return await self._read(f"Lecture des prix ({len(symbols)} marchés)", fetch, Priority.BALANCE)

    async def read_public(
        self, action: str, call: Callable[[Any], Awaitable[T]], *, priority: Priority = Priority.CANDLES
    ) -> T:
        """Read public data with this session's client and budget. Raises the errors of a read."""
        return await self._read(action, lambda: call(self._client), priority)

    def offers(self, method: str) -> bool:
        """Tell whether ccxt has that call for the exchange, e.g. "watchOrderBook"."""
        return self._client.has.get(method) is True

    def new_public_client(self) -> Any:
        """Return a ccxt client without credentials, of the same host, markets and budget. Close it after use."""
        access = BrokerAccess(0, 0, self.access.exchange, self.access.is_testnet, {})
        client = make_client(
            access, rim=Rim(budget=self._budget, clock=self._clock), timeout_s=self._client.timeout / 1000
        )
        client.set_markets_from_exchange(self._client)
        return client

    async def create_order(self, ticket: OrderTicket, *, valid_until: datetime) -> OrderReport:
        """Send once. The signature bears the time before the last wait and a window that ends at
        `valid_until`: should this process be paused in between, the exchange itself refuses it late.

        Raises:
            OrderRejected, OrderNotExecuted, OrderOutcomeUnknown: as in the port.
        """
        if ticket.order_type is OrderType.OCO:
            raise self._refused(ticket.symbol, "une paire SL + TP n'est pas un ordre seul.")
        report = await self._send_once(
            ticket.symbol, ticket.order_type, lambda until: self._dialect.create(ticket, until), valid_until
        )
        says_nothing_yet = report.market_time is None
        return await self._looked_at(ticket, report) if says_nothing_yet else report

    async def _looked_at(self, ticket: OrderTicket, report: OrderReport) -> OrderReport:
        """Ask what became of a market order whose answer was a number only; that answer, if none comes."""
        if ticket.order_type is not OrderType.MARKET:
            return report
        handle = OrderHandle(ticket.symbol, ticket.client_order_id, report.exchange_order_id, ticket.order_type)
        try:
            return await self.find_order(handle)
        except AristobotError:
            return report  # it is taken: whoever follows it asks again

    async def create_pair(self, pair: PairTicket, *, valid_until: datetime) -> tuple[OrderReport, OrderReport]:
        symbol = pair.stop_loss.symbol
        if self.abilities.pair is not PairMode.OCO:
            raise self._refused(symbol, f"{self.exchange_name} ne tient pas de paire OCO.")
        return await self._send_once(
            symbol, OrderType.OCO, lambda until: self._dialect.create_pair(pair, until), valid_until
        )

    async def replace_order(self, old: OrderHandle, ticket: OrderTicket, *, valid_until: datetime) -> OrderReport:
        if self.abilities.amend is not AmendMode.ATOMIC:
            raise self._refused(ticket.symbol, f"{self.exchange_name} ne remplace pas un ordre en une requête.")
        return await self._send_once(
            ticket.symbol, ticket.order_type, lambda until: self._dialect.replace(old, ticket, until), valid_until
        )

    async def cancel_order(self, order: OrderHandle) -> None:
        action = f"Annulation de l'ordre {order.symbol}"
        await self._read(action, lambda: self._dialect.cancel(order), Priority.CANCEL)

    async def find_order(self, order: OrderHandle) -> OrderReport:
        action = f"Recherche de l'ordre {order.symbol}"
        return await self._read(action, lambda: self._dialect.find(order), Priority.ORDER)

    async def fetch_open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        action = f"Lecture des ordres ouverts {symbol or ''}".strip()
        return await self._read(action, lambda: self._dialect.open_orders(symbol), Priority.BALANCE)

    async def fetch_my_trades(self, symbol: str, *, since: datetime | None = None) -> Sequence[FillReport]:
        action = f"Lecture des exécutions {symbol}"
        return await self._read(action, lambda: self._dialect.my_trades(symbol, since), Priority.BALANCE)

    def private_stream(self) -> CcxtPrivateStream | None:
        return self._stream if self._stream.is_offered else None

    async def close(self) -> None:
        self._stream.end()
        self._client.timeout_on_exit = 0
        await self._client.close()

    async def _page_candles(
        self, symbol: str, timeframe: Timeframe, since: datetime, until: datetime
    ) -> list[Candle]:
        found: dict[datetime, Candle] = {}
        cursor = since
        while cursor < until:
            rows = await self._client.fetch_ohlcv(
                symbol, timeframe.value, to_ms(cursor), _PAGE, {"until": to_ms(until) - 1}
            )
            page = [translate.candle(row, symbol=symbol, timeframe=timeframe) for row in rows]
            found.update({each.open_time: each for each in page if since <= each.open_time < until})
            reached = max((each.open_time for each in page), default=cursor) + timeframe.duration
            if not page or reached <= cursor or cursor + len(page) * timeframe.duration >= until:
                break
            cursor = reached
        return [found[open_time] for open_time in sorted(found)]

    async def _send_once(
        self,
        symbol: str,
        order_type: OrderType,
        send: Callable[[Deadline], Awaitable[T]],
        valid_until: datetime,
    ) -> T:
        """Check that the exchange takes the type, send, and turn whatever is no answer into a verdict."""
        await self._know_markets(symbol)
        signed_with = self._exchange_clock.difference_ms
        with calling(Priority.ORDER, valid_until=valid_until) as context:
            try:
                self._check_taken(symbol, order_type)
                deadline = Deadline(self._clock.now(), valid_until)
                if deadline.remaining_ms <= 0:
                    raise SendTooLate
                context.headers = self._dialect.headers(deadline)
                return await send(deadline)
            except SendTooLate as exc:
                raise OrderNotExecuted(
                    f"Ordre non envoyé à {self.exchange_name} ({symbol}) : il a attendu son tour plus "
                    f"longtemps que sa validité ({valid_until:%H:%M:%S} UTC).",
                    code="order_too_late",
                ) from exc
            except (self._base_error(), *PARSE_ERRORS) as exc:
                verdict = self._order_error(exc, symbol, context)
                if self._exchange_clock.is_out_of_time(exc):
                    await self._exchange_clock.correct(signed_with)  # for the next try: this one was refused
                raise verdict from exc

    async def _know_markets(self, symbol: str) -> None:
        """Load the markets apart from the sending: a failure here is no doubt about an order."""
        if self._client.markets:
            return
        try:
            await self.load_markets()
        except AristobotError as exc:
            raise OrderNotExecuted(
                f"Ordre non envoyé à {self.exchange_name} ({symbol}) : {exc.message}", details=exc.details
            ) from exc

    def _check_taken(self, symbol: str, order_type: OrderType) -> None:
        reason = self.abilities.refusal(order_type) or self._dialect.market_refusal(symbol, order_type)
        if reason is not None:
            raise self._refused(symbol, reason)

    def _refused(self, symbol: str, reason: str) -> OrderRejected:
        return OrderRejected(
            f"Ordre refusé avant envoi ({self.exchange_name}, {symbol}) : {reason}", code="order_type_unsupported"
        )

    async def _read(self, action: str, call: Callable[[], Awaitable[T]], priority: Priority) -> T:
        with calling(priority) as context:
            try:
                return await self._exchange_clock.repeated(call)
            except (self._base_error(), *PARSE_ERRORS) as exc:
                if self._stream.is_ended:
                    raise ExchangeUnavailable(
                        f"{action} interrompue ({self.exchange_name}) : le broker a été supprimé, désactivé ou "
                        "modifié pendant la requête.",
                        code="broker_changed",
                    ) from exc
                raise read_error(
                    exc, exchange=self.exchange_name, action=action, retry_after_s=context.retry_after_s
                ) from exc

    def _order_error(self, error: Exception, symbol: str, context: CallContext) -> Exception:
        return order_error(
            error,
            exchange=self.exchange_name,
            target=symbol,
            http_status=context.http_status,
            retry_after_s=context.retry_after_s,
            proofs=self._dialect.proofs,
        )

    @staticmethod
    def _base_error() -> type[Exception]:
        import ccxt

        error: type[Exception] = ccxt.BaseError
        return error
