"""One-cancels-the-other lists: what they are and how a request for one is read.

Invariant: while both legs are open, one of them (the dearer) holds the money of both, the other
holds none.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from simex.engine.errors import ApiError, missing, rejected
from simex.engine.filters import CLIENT_ID, OrderRequest, read_order
from simex.engine.orders import Order
from simex.market.symbols import SymbolRules

BAD_PRICES = "The relationship of the prices for the orders is not correct."
BAD_LEGS = "A parameter for one of the orders is incorrect."
LIST_ID = "listClientOrderId"
STOP_LEG = ("STOP_LOSS", "STOP_LOSS_LIMIT")
GAIN_LEG = ("LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
LEG_NAMES = {
    "type": "Type",
    "price": "Price",
    "stopPrice": "StopPrice",
    "timeInForce": "TimeInForce",
    "newClientOrderId": "ClientOrderId",
    "trailingDelta": "TrailingDelta",
    "icebergQty": "IcebergQty",
}
LEG_PARAMETERS = tuple(f"{side}{name}" for side in ("above", "below") for name in LEG_NAMES.values())


@dataclass(frozen=True)
class OcoRequest:
    """A well-formed new list: the leg above the market and the one below."""

    above: OrderRequest
    below: OrderRequest
    client_id: str | None

    @property
    def is_right_way_up(self) -> bool:
        """Tell whether the stop is on the losing side: below for a sale, above for a purchase."""
        stop = self.below if self.above.side == "SELL" else self.above
        return stop.kind in STOP_LEG


@dataclass
class OrderList:
    """Two orders of which the first to be filled or woken ends the other."""

    list_id: int
    account_id: str
    symbol: str
    client_id: str
    order_ids: list[int]
    created_ms: int
    updated_ms: int
    done: bool = False

    def to_record(self) -> dict[str, Any]:
        """Return the list as plain JSON values for the journal."""
        return asdict(self)

    def describe(self, orders: Mapping[int, Order]) -> dict[str, Any]:
        """Return the list as Binance shows it."""
        return {
            "orderListId": self.list_id,
            "contingencyType": "OCO",
            "listStatusType": "ALL_DONE" if self.done else "EXEC_STARTED",
            "listOrderStatus": "ALL_DONE" if self.done else "EXECUTING",
            "listClientOrderId": self.client_id,
            "transactionTime": self.updated_ms,
            "symbol": self.symbol,
            "orders": [
                {"symbol": self.symbol, "orderId": one, "clientOrderId": orders[one].client_id}
                for one in self.order_ids
            ],
        }


def read_oco(params: Mapping[str, str], rules: SymbolRules) -> OcoRequest:
    """Read a new list's parameters.

    Raises:
        ApiError: Binance's refusal of the parameters or of the pair of types.
    """
    above, below = (_leg(side, params, rules) for side in ("above", "below"))
    kinds = {above.kind, below.kind}
    if not (kinds & set(STOP_LEG) and kinds & set(GAIN_LEG)):
        raise rejected(BAD_LEGS)
    client_id = params.get(LIST_ID)
    if client_id is not None and not CLIENT_ID.match(client_id):
        raise ApiError(
            -1100, f"Illegal characters found in parameter '{LIST_ID}'; legal range is '{CLIENT_ID.pattern}'."
        )
    return OcoRequest(above, below, client_id)


def _leg(side: str, params: Mapping[str, str], rules: SymbolRules) -> OrderRequest:
    if "quantity" not in params:
        raise missing("quantity")
    named = {name: f"{side}{given}" for name, given in LEG_NAMES.items()}
    own = {name: params[given] for name, given in named.items() if given in params}
    try:
        return read_order({"side": params["side"], "quantity": params["quantity"], **own}, rules)
    except ApiError as error:
        text = error.message
        for name, given in named.items():
            text = text.replace(f"'{name}'", f"'{given}'")
        raise ApiError(error.code, text, error.status) from error
