"""The checks of a new order: what each type takes, precision, filters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from simex.engine.errors import ApiError, filter_failure, missing, not_required, rejected
from simex.engine.triggers import STOPS
from simex.market.symbols import ORDER_TYPES, SymbolRules
from simex.units import ZERO

CLIENT_ID = re.compile(r"^[a-zA-Z0-9-_]{1,36}$")
NUMBER = re.compile(r"^\d{1,20}(\.\d{1,20})?$")
NUMBER_RANGE = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
UNPRICED = ("MARKET", "STOP_LOSS", "TAKE_PROFIT")  # executed at whatever the book gives


@dataclass(frozen=True)
class OrderRequest:
    """A well-formed new order; zero stands for an amount that was not given."""

    symbol: str
    side: str
    kind: str
    time_in_force: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    client_id: str | None
    response: str
    stop_price: Decimal = ZERO

    @property
    def lock_price(self) -> Decimal:
        """Price by which a buy sets money aside."""
        return self.price or self.stop_price


def number(name: str, text: str) -> Decimal:
    """Read a decimal parameter.

    Raises:
        ApiError: -1100 when it is no plain number, -1102 when empty.
    """
    if text == "":
        raise missing(name)
    if not NUMBER.match(text):
        raise ApiError(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '{NUMBER_RANGE}'.",
        )
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise missing(name) from error


def read_order(params: Mapping[str, str], rules: SymbolRules) -> OrderRequest:
    """Read a new order's parameters.

    Raises:
        ApiError: Binance's refusal of the parameters (-1102, -1106, -1111, -1115…).
    """
    side, kind = params["side"], params["type"]
    if side not in ("BUY", "SELL"):
        raise ApiError(-1117, "Invalid side.")
    if kind not in ORDER_TYPES:
        raise ApiError(-1116, "Invalid orderType.")
    _refuse_unused(kind, params)
    amounts = {
        name: number(name, params[name]) if name in params else ZERO
        for name in ("price", "quantity", "quoteOrderQty", "stopPrice")
    }
    for name, text in params.items():
        if name in amounts and "." in text and len(text.rstrip("0").split(".")[1]) > 8:
            raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
    time_in_force = _time_in_force(kind, params)
    _needs(kind, params)
    return OrderRequest(
        rules.symbol,
        side,
        kind,
        time_in_force,
        amounts["price"],
        amounts["quantity"],
        amounts["quoteOrderQty"],
        _client_id(params),
        params.get("newOrderRespType", "FULL" if kind in ("LIMIT", "MARKET") else "ACK"),
        amounts["stopPrice"],
    )


def _refuse_unused(kind: str, params: Mapping[str, str]) -> None:
    if "icebergQty" in params or ("stopPrice" in params and kind not in STOPS):
        raise not_required("icebergQty" if "icebergQty" in params else "stopPrice")
    if "trailingDelta" in params:
        if kind in STOPS:
            raise rejected("Trailing stop orders are not supported for this symbol.")
        raise not_required("trailingDelta")


def _client_id(params: Mapping[str, str]) -> str | None:
    client_id = params.get("newClientOrderId")
    if client_id is not None and not CLIENT_ID.match(client_id):
        raise ApiError(
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        )
    return client_id


def _time_in_force(kind: str, params: Mapping[str, str]) -> str:
    given = params.get("timeInForce")
    if kind not in ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"):
        if given is not None:
            raise not_required("timeInForce")
        return "GTC"
    if given is None:
        raise missing("timeInForce")
    if given not in ("GTC", "IOC", "FOK"):
        raise ApiError(-1115, "Invalid timeInForce.")
    return given


def _needs(kind: str, params: Mapping[str, str]) -> None:
    if kind == "MARKET":
        if "price" in params:
            raise not_required("price")
        if ("quantity" in params) == ("quoteOrderQty" in params):
            raise (
                missing("quantity")
                if "quantity" not in params
                else ApiError(-1128, "Combination of optional parameters invalid.")
            )
        return
    unpriced = kind in UNPRICED
    for name in ("quantity",) if unpriced else ("quantity", "price"):
        if name not in params:
            raise missing(name)
    if kind in STOPS and "stopPrice" not in params:
        text = "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"
        raise ApiError(-1102, text)
    if unpriced and "price" in params:
        raise not_required("price")
    if "quoteOrderQty" in params:
        raise not_required("quoteOrderQty")


def check_filters(
    request: OrderRequest, rules: SymbolRules, last_price: Decimal, open_orders: int, open_stops: int
) -> None:
    """Apply the symbol's filters.

    Args:
        request: the order.
        rules: its symbol's.
        last_price: price that a market order's notional and the price band are judged by.
        open_orders: how many the account already has on the symbol.
        open_stops: how many of them wait for a trigger, or did.

    Raises:
        ApiError: -1013 with the filter's name.
    """
    prices = [] if request.kind in UNPRICED else [request.price]
    if request.kind in STOPS:
        prices.append(request.stop_price)
    for price in prices:
        _check_price(price, rules, last_price)
    if request.quantity or not request.quote_quantity:
        _check_lot(request, rules)
    notional = request.quote_quantity or (request.lock_price or last_price) * request.quantity
    if notional < rules.min_notional:
        raise filter_failure("NOTIONAL")
    if request.kind != "MARKET" and notional > rules.max_notional:
        raise filter_failure("NOTIONAL")
    if open_orders >= rules.max_orders and request.kind != "MARKET":
        raise filter_failure("MAX_NUM_ORDERS")
    if open_stops >= rules.max_algo and request.kind in STOPS:
        raise filter_failure("MAX_NUM_ALGO_ORDERS")


def _check_price(price: Decimal, rules: SymbolRules, last_price: Decimal) -> None:
    if price < rules.min_price or (rules.max_price and price > rules.max_price):
        raise filter_failure("PRICE_FILTER")
    if rules.tick and price % rules.tick:
        raise filter_failure("PRICE_FILTER")
    if not last_price * rules.band_down <= price <= last_price * rules.band_up:
        raise filter_failure("PERCENT_PRICE_BY_SIDE")


def _check_lot(request: OrderRequest, rules: SymbolRules) -> None:
    quantity = request.quantity
    if quantity < rules.min_quantity or quantity > rules.max_quantity or quantity <= ZERO:
        raise filter_failure("LOT_SIZE")
    if rules.step and quantity % rules.step:
        raise filter_failure("LOT_SIZE")
    if request.kind in UNPRICED and quantity > rules.market_max:
        raise filter_failure("MARKET_LOT_SIZE")
