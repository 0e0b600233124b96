"""Order-list routes: a pair of which one order cancels the other."""

from typing import Any

from simex.api.call import Call, Route, Routes
from simex.api.rest_private import cancelled_list
from simex.engine.errors import ApiError
from simex.engine.lists import LEG_PARAMETERS, LIST_ID, OrderList, read_oco

NO_LIST = ApiError(-2018, "Order list does not exist.")
UNKNOWN_LIST = ApiError(-2011, "Unknown order list sent.")


def new_oco(call: Call) -> Any:
    """Place two orders of which one cancels the other."""
    exchange, now_ms = call.sim.exchange, call.sim.wall()
    request = read_oco(call.params, call.rules())
    exchange.validate_oco(call.owner, request)
    for _ in range(2):
        call.limits.count_order(call.owner, now_ms)
    placed = exchange.place_oco(call.owner, request)
    call.order_id = placed.order_ids[0]
    call.params[LIST_ID] = placed.client_id
    orders = [exchange.orders[one] for one in placed.order_ids]
    reports = [
        {**order.describe(), "transactTime": order.updated_ms, "workingTime": order.on_book_ms} for order in orders
    ]
    return {**placed.describe(exchange.orders), "orderReports": reports}


def _sought(call: Call, name: str) -> OrderList | None:
    list_id, client_id = call.integer("orderListId"), call.params.get(name)
    if list_id is None and client_id is None:
        text = f"Param '{name}' or 'orderListId' must be sent, but both were empty/null!"
        raise ApiError(-1102, text)
    return call.sim.exchange.find_list(call.owner, list_id, client_id)


def get_list(call: Call) -> Any:
    """Return a list by id or client id."""
    found = _sought(call, "origClientOrderId")
    if found is None:
        raise NO_LIST
    return found.describe(call.sim.exchange.orders)


def cancel_list(call: Call) -> Any:
    """Cancel both orders of a list."""
    exchange = call.sim.exchange
    found = _sought(call, LIST_ID)
    if found is None or found.done or found.symbol != call.rules().symbol:
        raise UNKNOWN_LIST
    alive = next(exchange.orders[one] for one in found.order_ids if exchange.orders[one].is_open)
    exchange.cancel(call.owner, alive)
    return cancelled_list(call, found)


def all_lists(call: Call) -> Any:
    """Return the account's lists, oldest first."""
    from_id, start, end = (call.integer(name) for name in ("fromId", "startTime", "endTime"))
    found = [
        one
        for one in call.sim.exchange.lists_of(call.owner)
        if (from_id is None or one.list_id >= from_id)
        and (start is None or one.created_ms >= start)
        and (end is None or one.created_ms <= end)
    ]
    limit = call.limit(500, 1000)
    chosen = found[:limit] if from_id is not None or start is not None else found[-limit:]
    return [one.describe(call.sim.exchange.orders) for one in chosen]


def open_lists(call: Call) -> Any:
    """Return the account's lists that are not done."""
    found = [one for one in call.sim.exchange.lists_of(call.owner) if not one.done]
    return [one.describe(call.sim.exchange.orders) for one in found]


LISTS: Routes = {
    ("POST", "/api/v3/orderList/oco"): Route(
        new_oco,
        1,
        True,
        ("symbol", "side", "quantity", "aboveType", "belowType"),
        (*LEG_PARAMETERS, LIST_ID, "newOrderRespType", "selfTradePreventionMode"),
    ),
    ("GET", "/api/v3/orderList"): Route(get_list, 4, True, (), ("orderListId", "origClientOrderId")),
    ("DELETE", "/api/v3/orderList"): Route(
        cancel_list, 1, True, ("symbol",), ("orderListId", LIST_ID, "newClientOrderId")
    ),
    ("GET", "/api/v3/allOrderList"): Route(all_lists, 20, True, (), ("fromId", "startTime", "endTime", "limit")),
    ("GET", "/api/v3/openOrderList"): Route(open_lists, 6, True),
}
