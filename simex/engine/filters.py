"""The checks of a new order: what each type takes, precision, filters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from simex.engine.errors import ApiError, filter_failure, missing, not_required, rejected
from simex.market.symbols import SymbolRules
from simex.units import ZERO

CLIENT_ID = re.compile(r"^[a-zA-Z0-9-_]{1,36}$")
NUMBER = re.compile(r"^\d{1,20}(\.\d{1,20})?$")
NUMBER_RANGE = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
KINDS = ("LIMIT", "MARKET", "LIMIT_MAKER")
LATER = {
    "STOP_LOSS": "Stop loss orders are not supported for this symbol.",
    "STOP_LOSS_LIMIT": "Stop loss limit orders are not supported for this symbol.",
    "TAKE_PROFIT": "Take profit orders are not supported for this symbol.",
    "TAKE_PROFIT_LIMIT": "Take profit limit orders are not supported for this symbol.",
}
UNUSED = ("stopPrice", "trailingDelta", "icebergQty")


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
    if kind not in KINDS and kind not in LATER:
        raise ApiError(-1116, "Invalid orderType.")
    if kind in KINDS:
        for name in UNUSED:
            if name in params:
                raise not_required(name)
    amounts = {
        name: number(name, params[name]) if name in params else ZERO
        for name in ("price", "quantity", "quoteOrderQty")
    }
    for name, text in params.items():
        if name in amounts and "." in text and len(text.rstrip("0").split(".")[1]) > 8:
            raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
    if kind in LATER:
        raise rejected(LATER[kind])
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
        params.get("newOrderRespType", "ACK" if kind == "LIMIT_MAKER" else "FULL"),
    )


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
    if kind != "LIMIT":
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
    for name in ("quantity", "price"):
        if name not in params:
            raise missing(name)
    if "quoteOrderQty" in params:
        raise not_required("quoteOrderQty")


def check_filters(request: OrderRequest, rules: SymbolRules, last_price: Decimal, open_orders: int) -> None:
    """Apply the symbol's filters.

    Args:
        request: the order.
        rules: its symbol's.
        last_price: price that a market order's notional and the price band are judged by.
        open_orders: how many the account already has on the symbol.

    Raises:
        ApiError: -1013 with the filter's name.
    """
    if request.kind != "MARKET":
        _check_price(request, rules, last_price)
    if request.quantity or not request.quote_quantity:
        _check_lot(request, rules)
    if request.quote_quantity:
        notional = request.quote_quantity
    else:
        price = request.price if request.kind != "MARKET" else last_price
        notional = price * request.quantity
    if notional < rules.min_notional:
        raise filter_failure("NOTIONAL")
    if request.kind != "MARKET" and notional > rules.max_notional:
        raise filter_failure("NOTIONAL")
    if open_orders >= rules.max_orders and request.kind != "MARKET":
        raise filter_failure("MAX_NUM_ORDERS")


def _check_price(request: OrderRequest, rules: SymbolRules, last_price: Decimal) -> None:
    price = request.price
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
    if request.kind == "MARKET" and quantity > rules.market_max:
        raise filter_failure("MARKET_LOT_SIZE")
