"""Account and order routes. Stamped by the market clock, authorised by the API clock."""

from collections.abc import Mapping
from typing import Any

from simex.api.call import Call, Route, Routes
from simex.engine.errors import UNKNOWN_CANCEL, UNKNOWN_ORDER, ApiError, missing
from simex.engine.filters import OrderRequest, read_order
from simex.engine.lists import OrderList
from simex.engine.orders import Fill, Order
from simex.engine.reports import cancel_id
from simex.engine.settlement import COMMISSION
from simex.units import money

ORDER_PARAMETERS = (
    "timeInForce",
    "quantity",
    "quoteOrderQty",
    "price",
    "newClientOrderId",
    "strategyId",
    "strategyType",
    "stopPrice",
    "trailingDelta",
    "icebergQty",
    "newOrderRespType",
    "selfTradePreventionMode",
)
NEW = ("symbol", "side", "type")
RESTRICTIONS = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}


def account(call: Call) -> Any:
    """Return balances and rights."""
    balances = call.sim.exchange.ledger.describe(call.owner)
    if call.params.get("omitZeroBalances") == "true":
        zero = "0.00000000"
        balances = [b for b in balances if b["free"] != zero or b["locked"] != zero]
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(),
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.sim.clock.now_ms,
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": call.owner,
    }


def _rates() -> dict[str, str]:
    return {
        "maker": money(COMMISSION),
        "taker": money(COMMISSION),
        "buyer": "0.00000000",
        "seller": "0.00000000",
    }


def account_commission(call: Call) -> Any:
    """Return the commission rates of a symbol."""
    zero = dict.fromkeys(_rates(), "0.00000000")
    return {
        "symbol": call.rules().symbol,
        "standardCommission": _rates(),
        "specialCommission": zero,
        "taxCommission": zero,
        "discount": {"enabledForAccount": False, "enabledForSymbol": False},
    }


def new_order(call: Call) -> Any:
    """Place an order."""
    request = read_order(call.params, call.rules())
    call.sim.exchange.validate(call.owner, request)
    call.limits.count_order(call.owner, call.sim.wall())
    return place(call, request)


def place(call: Call, request: OrderRequest) -> dict[str, Any]:
    """Place a checked and counted order and return its answer."""
    order, fills = call.sim.exchange.place(call.owner, request)
    if order.status == "FILLED":
        call.limits.order_filled(call.owner, call.sim.wall())
    call.order_id = order.order_id
    call.params["newClientOrderId"] = order.client_id
    return _order_answer(order, fills, request.response)


def _order_answer(order: Order, fills: list[Fill], response: str) -> dict[str, Any]:
    described = {**order.describe(), "transactTime": order.updated_ms}
    described["workingTime"] = order.on_book_ms
    if response == "ACK":
        kept = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
        return {name: described[name] for name in kept}
    if response == "FULL":
        described["fills"] = [fill.describe_short() for fill in fills]
    return described


def test_order(call: Call) -> Any:
    """Check an order without placing it."""
    request = read_order(call.params, call.rules())
    call.sim.exchange.validate(call.owner, request)
    return {}


test_order.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever its name


def _sought(call: Call) -> Order | None:
    order_id = call.integer("orderId")
    client_id = call.params.get("origClientOrderId")
    if order_id is None and client_id is None:
        raise ApiError(
            -1102,
            "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
        )
    found = call.sim.exchange.find(call.owner, call.rules().symbol, order_id, client_id)
    return None if found is None or call.sim.is_hidden(found.order_id) else found


def get_order(call: Call) -> Any:
    """Return an order by id or client id."""
    order = _sought(call)
    if order is None:
        raise UNKNOWN_ORDER
    call.order_id = order.order_id
    return order.describe_query()


def cancel_order(call: Call) -> Any:
    """Cancel an order."""
    order = _sought(call)
    check_restrictions(call, order)
    call.order_id = call.sim.exchange.cancel(call.owner, order).order_id
    return cancel_report(call, call.sim.exchange.orders[call.order_id])


def check_restrictions(call: Call, order: Order | None) -> None:
    """Refuse to cancel an order that is not as `cancelRestrictions` wants it.

    Raises:
        ApiError: -2011 when it is not, -1102 for an unknown restriction.
    """
    wanted = call.params.get("cancelRestrictions")
    if wanted is None:
        return
    if wanted not in RESTRICTIONS:
        raise missing("cancelRestrictions")
    if order is not None and order.is_open and order.status != RESTRICTIONS[wanted]:
        raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")


def cancel_report(call: Call, order: Order, name: str = "newClientOrderId") -> dict[str, Any]:
    """Return the answer to the cancellation of one order; `name` is the parameter of its new id."""
    return {
        **order.describe(),
        "origClientOrderId": order.client_id,
        "clientOrderId": call.params.get(name, cancel_id(order)),
        "transactTime": order.updated_ms,
    }


def open_orders(call: Call) -> Any:
    """Return open orders, of one symbol or of all."""
    symbol = call.rules().symbol if "symbol" in call.params else None
    found = call.sim.exchange.open_orders(call.owner, symbol)
    return [order.describe_query() for order in found if not call.sim.is_hidden(order.order_id)]


def cancel_open_orders(call: Call) -> Any:
    """Cancel every open order of a symbol."""
    exchange = call.sim.exchange
    found = exchange.open_orders(call.owner, call.rules().symbol)
    if not found:
        raise UNKNOWN_CANCEL
    answers: list[dict[str, Any]] = []
    for order in found:
        if not order.is_open:  # it went with the other leg of its list
            continue
        exchange.cancel(call.owner, order)
        listed = exchange.lists.get(order.list_id)
        answers.append(cancel_report(call, order) if listed is None else cancelled_list(call, listed))
    return answers


def cancelled_list(call: Call, found: OrderList) -> dict[str, Any]:
    """Return the answer to the cancellation of a list."""
    orders = call.sim.exchange.orders
    reports = [cancel_report(call, orders[one]) for one in found.order_ids]
    return {**found.describe(orders), "orderReports": reports}


def all_orders(call: Call) -> Any:
    """Return orders of a symbol, oldest first."""
    symbol = call.rules().symbol
    order_id, start, end = (call.integer(name) for name in ("orderId", "startTime", "endTime"))
    limit = call.limit(500, 1000)
    found = [
        order
        for order in call.sim.exchange.orders.values()
        if (order.account_id, order.symbol) == (call.owner, symbol)
        and not call.sim.is_hidden(order.order_id)
        and (order_id is None or order.order_id >= order_id)
        and (start is None or order.created_ms >= start)
        and (end is None or order.created_ms <= end)
    ]
    chosen = found[:limit] if order_id is not None or start is not None else found[-limit:]
    return [order.describe_query() for order in chosen]


def my_trades(call: Call) -> Any:
    """Return the account's executions on a symbol, oldest first."""
    symbol = call.rules().symbol
    names = ("orderId", "fromId", "startTime", "endTime")
    order_id, from_id, start, end = (call.integer(name) for name in names)
    limit = call.limit(500, 1000)
    found = [
        fill
        for fill in call.sim.exchange.fills
        if (fill.account_id, fill.symbol) == (call.owner, symbol)
        and not call.sim.is_hidden(fill.order_id)
        and (order_id is None or fill.order_id == order_id)
        and (from_id is None or fill.trade_id >= from_id)
        and (start is None or fill.time_ms >= start)
        and (end is None or fill.time_ms <= end)
    ]
    oldest = from_id is not None or start is not None
    return [fill.describe_trade() for fill in (found[:limit] if oldest else found[-limit:])]


def order_rate(call: Call) -> Any:
    """Return the counts of unfilled orders."""
    ten_s, day = call.limits.order_counts(call.owner, call.sim.wall())
    limits = call.limits
    return [
        _count("SECOND", 10, limits.orders_10s, ten_s),
        _count("DAY", 1, limits.orders_day, day),
    ]


def _count(interval: str, number: int, limit: int, count: int) -> dict[str, Any]:
    return {
        "rateLimitType": "ORDERS",
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
        "count": count,
    }


def trade_fee(call: Call) -> Any:
    """Return the fees of one or all symbols (sapi)."""
    names = [call.rules().symbol] if "symbol" in call.params else list(call.sim.rules)
    rate = format(COMMISSION.normalize(), "f")
    return [{"symbol": name, "makerCommission": rate, "takerCommission": rate} for name in names]


def system_status(_call: Call) -> Any:
    """Say that the system is up (sapi)."""
    return {"status": 0, "msg": "normal"}


def coins(call: Call) -> Any:
    """Describe the assets (sapi)."""
    assets = sorted({a for rules in call.sim.rules.values() for a in (rules.base, rules.quote)})
    return [_coin(call, asset) for asset in assets]


def _coin(call: Call, asset: str) -> dict[str, Any]:
    held = call.sim.exchange.ledger.balance(call.owner, asset)
    return {
        "coin": asset,
        "depositAllEnable": False,
        "withdrawAllEnable": False,
        "name": asset,
        "free": money(held.free),
        "locked": money(held.locked),
        "freeze": "0",
        "withdrawing": "0",
        "ipoing": "0",
        "ipoable": "0",
        "storage": "0",
        "isLegalMoney": False,
        "trading": True,
        "networkList": [],
    }


def empty_list(_call: Call) -> Any:
    """Return nothing of what is not simulated."""
    return []


def no_contracts(call: Call) -> Any:
    """Return an exchangeInfo without symbols (futures)."""
    return {
        "timezone": "UTC",
        "serverTime": call.sim.wall(),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [],
    }


def _open_weight(params: Mapping[str, str]) -> int:
    return 6 if "symbol" in params else 80


LOOKUP = ("orderId", "origClientOrderId")
PRIVATE: Routes = {
    ("GET", "/api/v3/account"): Route(account, 20, True, optional=("omitZeroBalances",)),
    ("GET", "/api/v3/account/commission"): Route(account_commission, 20, True, required=("symbol",)),
    ("POST", "/api/v3/order"): Route(new_order, 1, True, NEW, ORDER_PARAMETERS),
    ("POST", "/api/v3/order/test"): Route(test_order, 1, True, NEW, (*ORDER_PARAMETERS, "computeCommissionRates")),
    ("GET", "/api/v3/order"): Route(get_order, 4, True, ("symbol",), LOOKUP),
    ("DELETE", "/api/v3/order"): Route(
        cancel_order, 1, True, ("symbol",), (*LOOKUP, "newClientOrderId", "cancelRestrictions")
    ),
    ("GET", "/api/v3/openOrders"): Route(open_orders, _open_weight, True, (), ("symbol",)),
    ("DELETE", "/api/v3/openOrders"): Route(cancel_open_orders, 1, True, ("symbol",)),
    ("GET", "/api/v3/allOrders"): Route(
        all_orders, 20, True, ("symbol",), ("orderId", "startTime", "endTime", "limit")
    ),
    ("GET", "/api/v3/myTrades"): Route(
        my_trades, 20, True, ("symbol",), ("orderId", "startTime", "endTime", "fromId", "limit")
    ),
    ("GET", "/api/v3/rateLimit/order"): Route(order_rate, 40, True),
    ("GET", "/sapi/v1/asset/tradeFee"): Route(trade_fee, 1, True, (), ("symbol",)),
    ("GET", "/sapi/v1/system/status"): Route(system_status),
    ("GET", "/sapi/v1/capital/config/getall"): Route(coins, 10, True),
    ("GET", "/sapi/v1/margin/allPairs"): Route(empty_list, any_parameters=True),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Route(empty_list, any_parameters=True),
    ("GET", "/fapi/v1/exchangeInfo"): Route(no_contracts, any_parameters=True),
    ("GET", "/dapi/v1/exchangeInfo"): Route(no_contracts, any_parameters=True),
}
