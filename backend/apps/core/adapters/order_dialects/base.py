"""Any exchange of ccxt, by its unified calls: market and limit orders, found again by our id.

What ccxt does not say it can do is refused before anything is sent. ccxt drops or passes on parameters that
an exchange does not know (a stop would leave as a plain limit order), so orders with a trigger are left to
the families that we know. An order must also be provable: no exchange-independent look-up by client id
exists, so it is sought among the open and the ended orders, and only where ccxt hands our id on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from apps.core.adapters import ccxt_translate as translate
from domain.errors import ExchangeError, OrderNotFound, OrderOutcomeUnknown
from domain.order_abilities import AmendMode, OrderAbilities, PairMode
from domain.orders import (
    TRIGGERED_TYPES,
    FillReport,
    OrderHandle,
    OrderReport,
    OrderStatus,
    OrderTicket,
    OrderType,
    PairTicket,
)
from domain.timeframes import to_ms

PAGE = 1000
_SCANS = (
    "fetchOpenOrders",
    "fetchClosedOrders",
    "fetchCanceledOrders",
    "fetchOrders",
    "fetchCanceledAndClosedOrders",
)
_ENDED_SCANS = frozenset(_SCANS[1:])


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when an order may be taken there, seen from the moment before its last wait."""

    now: datetime
    valid_until: datetime

    @property
    def remaining_ms(self) -> int:
        return (self.valid_until - self.now) // timedelta(milliseconds=1)


class OrderDialect:
    """Words our orders for one ccxt client.

    Every method makes ccxt calls and lets ccxt's errors through: the session turns them into verdicts.
    A method that sends makes exactly one request that can change something, and makes it last.
    """

    # Verdicts of the exchange's own codes or words, where the class that ccxt gives them would mislead.
    proofs: Mapping[str, type[ExchangeError]] = MappingProxyType({})

    def __init__(self, client: Any, *, name: str) -> None:
        self.client = client
        self.name = name

    @property
    def abilities(self) -> OrderAbilities:
        """Return what this exchange takes, from `has` and `features` (no network)."""
        unprovable = self._unprovable()
        refusals = dict.fromkeys(
            (*sorted(TRIGGERED_TYPES), OrderType.OCO),
            unprovable or f"Ordres à seuil et paires non vérifiés pour {self.name} : à poser sur son site.",
        )
        for kind, call, word in (
            (OrderType.MARKET, "createMarketOrder", "au marché"),
            (OrderType.LIMIT, "createLimitOrder", "limite"),
        ):
            if unprovable:
                refusals[kind] = unprovable
            elif self.client.has.get(call) is False:
                refusals[kind] = f"{self.name} ne prend pas d'ordre {word}."
        return OrderAbilities(
            refusals=refusals,
            market_buy_in_quote=bool(_spot_orders(self.client).get("marketBuyRequiresPrice")),
            buy_fee_in_base=self.client.fees.get("trading", {}).get("feeSide") == "get",  # of what one receives
            pair=PairMode.NONE,
            amend=AmendMode.CANCEL_FIRST,
        )

    def market_refusal(self, symbol: str, order_type: OrderType) -> str | None:
        """Return the French reason why that market does not take a type its exchange knows, or None."""
        return None

    def headers(self, deadline: Deadline) -> Mapping[str, str]:
        """Return the headers by which the exchange itself refuses what comes too late."""
        return {}

    async def create(self, ticket: OrderTicket, deadline: Deadline) -> OrderReport:
        """Send an order of a type that is not refused."""
        params = {"clientOrderId": ticket.client_order_id}
        if ticket.quote_amount is not None:
            params["cost"] = text(ticket.quote_amount)
        return self.acknowledged(ticket, await self.client.create_order(*arguments(ticket), params))

    async def create_pair(self, pair: PairTicket, deadline: Deadline) -> tuple[OrderReport, OrderReport]:
        """Send both legs in one request (`PairMode.OCO` only)."""
        raise NotImplementedError

    async def replace(self, old: OrderHandle, ticket: OrderTicket, deadline: Deadline) -> OrderReport:
        """Cancel and place in one request (`AmendMode.ATOMIC` only)."""
        raise NotImplementedError

    async def cancel(self, order: OrderHandle) -> None:
        if order.exchange_order_id is not None:
            await self.client.cancel_order(order.exchange_order_id, order.symbol)
            return
        found = await self._scan(order)
        await self.client.cancel_order(found["id"], order.symbol)

    async def find(self, order: OrderHandle) -> OrderReport:
        raw = await self._scan(order) if order.exchange_order_id is None else await self._fetch(order)
        return await self.with_fills(raw, order.symbol)

    async def open_orders(self, symbol: str | None) -> list[OrderReport]:
        return [translate.order(raw) for raw in await self.client.fetch_open_orders(symbol)]

    async def my_trades(self, symbol: str, since: datetime | None) -> list[FillReport]:
        since_ms = None if since is None else to_ms(since)
        return [translate.fill(raw) for raw in await self.client.fetch_my_trades(symbol, since_ms, PAGE)]

    async def with_fills(self, raw: Mapping[str, Any], symbol: str) -> OrderReport:
        """Return an order with its executions, which are asked for apart when there can be any."""
        if not (translate.optional_decimal(raw.get("filled")) or 0):
            return translate.order(raw, fills=())
        trades = await self.trades_of(raw, symbol)
        own = tuple(translate.fill(each) for each in trades if str(each.get("order")) == str(raw["id"]))
        return translate.order(raw, fills=own)

    async def trades_of(self, raw: Mapping[str, Any], symbol: str) -> Sequence[Mapping[str, Any]]:
        """Return trades among which are those of an order."""
        found: list[Mapping[str, Any]] = await self.client.fetch_my_trades(symbol, raw.get("timestamp"), PAGE)
        return found

    def acknowledged(self, ticket: OrderTicket, raw: Any) -> OrderReport:
        """Read the answer to an order. Raises OrderOutcomeUnknown when it names none."""
        number = self.acknowledged_id(ticket, (raw or {}).get("id"))
        return self.bare(ticket, number) if raw.get("status") is None else translate.order(raw)

    def acknowledged_id(self, ticket: OrderTicket, number: Any) -> str:
        """Return the exchange's number of an order just sent. Raises OrderOutcomeUnknown without one."""
        if number:
            return str(number)
        raise OrderOutcomeUnknown(
            f"Ordre au sort inconnu chez {self.name} ({ticket.symbol}), recherché par son "
            "identifiant : la réponse ne porte aucun numéro d'ordre."
        )

    def bare(self, ticket: OrderTicket, exchange_order_id: str) -> OrderReport:
        """Return the report of an order of which the exchange said its number only (`market_time` None)."""
        return OrderReport(
            exchange_order_id=exchange_order_id,
            client_order_id=ticket.client_order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            order_type=ticket.order_type,
            status=OrderStatus.OPEN,
            quantity=ticket.quantity,
            filled_quantity=Decimal(0),
            average_price=None,
            price=ticket.price,
            fills=(),
            market_time=None,
            stop_price=ticket.stop_price,
        )

    def not_found(self, order: OrderHandle) -> OrderNotFound:
        named = order.client_order_id or order.exchange_order_id
        return OrderNotFound(f"Ordre {named} ({order.symbol}) introuvable chez {self.name}.")

    # any exchange

    def _unprovable(self) -> str | None:
        has = self.client.has
        if not has.get("spot"):
            return f"{self.name} n'a pas de marché au comptant."
        if not (has.get("fetchOpenOrders") and any(has.get(each) is True for each in _ENDED_SCANS)):
            return f"{self.name} ne laisse pas relire les ordres : un envoi sans réponse resterait sans preuve."
        if not has.get("fetchMyTrades"):
            return f"{self.name} ne laisse pas relire les exécutions d'un ordre."
        if not _hands_client_ids_on(type(self.client)):
            return f"ccxt ne transmet pas notre identifiant d'ordre à {self.name} : un envoi resterait sans preuve."
        return None

    async def _fetch(self, order: OrderHandle) -> Mapping[str, Any]:
        if self.client.has.get("fetchOrder") is not True:
            return await self._scan(order)
        raw: Mapping[str, Any] = await self.client.fetch_order(order.exchange_order_id, order.symbol)
        return raw

    async def _scan(self, order: OrderHandle) -> Mapping[str, Any]:
        """Seek an order among the open and the ended ones.

        Raises:
            OrderNotFound: it is not among them.
            ExchangeError: it is not, but some of them bear no id of a client: no proof.
        """
        nameless = False
        for call in _SCANS:
            if self.client.has.get(call) is not True:
                continue
            listed = await getattr(self.client, _snake(call))(order.symbol)
            for raw in listed:
                if _is_named(raw, order):
                    found: Mapping[str, Any] = raw
                    return found
                nameless = nameless or not raw.get("clientOrderId")
        if nameless and order.exchange_order_id is None:
            raise ExchangeError(
                f"Ordre {order.client_order_id} ({order.symbol}) introuvable chez {self.name}, dont certains "
                "ordres ne portent pas d'identifiant : à vérifier sur son site.",
                code="order_not_provable",
            )
        raise self.not_found(order)


def text(number: Any) -> str:
    """Return a Decimal's digits, never an exponent."""
    return f"{number:f}"


def arguments(ticket: OrderTicket) -> tuple[str, str, str, str, str | None]:
    """Return ccxt's positional arguments of an order."""
    kind = "limit" if ticket.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT) else "market"
    price = None if ticket.price is None else text(ticket.price)
    return ticket.symbol, kind, ticket.side.value, text(ticket.quantity), price


def trigger(ticket: OrderTicket) -> dict[str, str]:
    """Return ccxt's parameter for the price that triggers an order."""
    if ticket.stop_price is None:
        return {}
    name = "takeProfitPrice" if ticket.order_type is OrderType.TAKE_PROFIT else "stopLossPrice"
    return {name: text(ticket.stop_price)}


def ccxt_error() -> type[Exception]:
    """Return the root of ccxt's errors (ccxt is imported late)."""
    import ccxt

    error: type[Exception] = ccxt.BaseError
    return error


def _spot_orders(client: Any) -> Mapping[str, Any]:
    features = (client.features or {}).get("spot") or {}
    return features.get("createOrder") or {}


def _is_named(raw: Mapping[str, Any], order: OrderHandle) -> bool:
    if order.exchange_order_id is not None and str(raw["id"]) == order.exchange_order_id:
        return True
    return bool(order.client_order_id) and raw.get("clientOrderId") == order.client_order_id


def _snake(camel: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in camel)


def _hands_client_ids_on(kind: type) -> bool:
    """Tell whether the code that words an exchange's orders knows `clientOrderId`: ccxt's features do not say."""
    methods: Iterable[Any] = (
        vars(owner)[name]
        for owner in kind.__mro__
        for name in vars(owner)
        if "order" in name and (name.startswith("create") or name.startswith("order_request"))
    )
    return any(_mentions(getattr(each, "__code__", None), "clientOrderId") for each in methods)


def _mentions(code: Any, word: str) -> bool:
    return any(
        word == each or (isinstance(each, tuple) and word in each) for each in getattr(code, "co_consts", ())
    )
