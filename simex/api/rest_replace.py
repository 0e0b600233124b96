"""Cancel an order and place another in one request.

As on Binance, what can be known beforehand (parameters, filters, order counts) is refused with
nothing attempted; then the order is cancelled, and what becomes of the new one is told apart.
"""

from typing import Any

from simex.api.call import Call, Route, Routes
from simex.api.rest_private import NEW, ORDER_PARAMETERS, cancel_report, check_restrictions, place
from simex.engine.errors import INSUFFICIENT, ApiError, missing, rejected
from simex.engine.filters import OrderRequest, read_order
from simex.engine.orders import Order

MODES = ("STOP_ON_FAILURE", "ALLOW_FAILURE")
PARTIAL, FAILED = -2021, -2022


class ReplaceError(ApiError):
    """A cancel-replace that did not go through whole, with what happened to each half."""

    def __init__(self, code: int, detail: dict[str, Any]) -> None:
        partial = code == PARTIAL
        text = "Order cancel-replace partially failed." if partial else "Order cancel-replace failed."
        super().__init__(code, text, 409 if partial else 400)
        self.detail = detail


def cancel_replace(call: Call) -> Any:
    """Cancel an order, then place another (STOP_ON_FAILURE or ALLOW_FAILURE)."""
    request = read_order(call.params, call.rules())
    mode = call.params["cancelReplaceMode"]
    if mode not in MODES:
        raise missing("cancelReplaceMode")
    exchange, leaving = call.sim.exchange, _leaving(call)
    exchange.validate(call.owner, request, leaving)
    call.limits.count_order(call.owner, call.sim.wall())
    cancel_result, cancelled = _attempt(lambda: _cancel(call, leaving))
    if cancel_result == "FAILURE" and mode == "STOP_ON_FAILURE":
        raise ReplaceError(FAILED, _detail(cancel_result, cancelled, "NOT_ATTEMPTED", None))
    new_result, placed = _attempt(lambda: _place(call, request))
    detail = _detail(cancel_result, cancelled, new_result, placed)
    if cancel_result == new_result == "SUCCESS":
        return detail
    raise ReplaceError(FAILED if cancel_result == new_result else PARTIAL, detail)


def _leaving(call: Call) -> Order | None:
    order_id = call.integer("cancelOrderId")
    client_id = call.params.get("cancelOrigClientOrderId")
    if order_id is None and client_id is None:
        text = "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were empty/null!"
        raise ApiError(-1102, text)
    return call.sim.exchange.find(call.owner, call.rules().symbol, order_id, client_id)


def _cancel(call: Call, order: Order | None) -> dict[str, Any]:
    check_restrictions(call, order)
    return cancel_report(call, call.sim.exchange.cancel(call.owner, order), "cancelNewClientOrderId")


def _place(call: Call, request: OrderRequest) -> dict[str, Any]:
    if call.planned is not None and call.planned.kind == "refuse_replacement":
        raise rejected(str(call.planned.params.get("msg", INSUFFICIENT)))
    return place(call, request)


def _attempt(action: Any) -> tuple[str, dict[str, Any]]:
    try:
        return "SUCCESS", action()
    except ApiError as error:
        return "FAILURE", {"code": error.code, "msg": error.message}


def _detail(cancel_result: str, cancelled: Any, new_result: str, placed: Any) -> dict[str, Any]:
    return {
        "cancelResult": cancel_result,
        "newOrderResult": new_result,
        "cancelResponse": cancelled,
        "newOrderResponse": placed,
    }


REPLACE: Routes = {
    ("POST", "/api/v3/order/cancelReplace"): Route(
        cancel_replace,
        1,
        True,
        (*NEW, "cancelReplaceMode"),
        (
            *ORDER_PARAMETERS,
            "cancelNewClientOrderId",
            "cancelOrigClientOrderId",
            "cancelOrderId",
            "cancelRestrictions",
            "orderRateLimitExceededMode",
        ),
    ),
}
