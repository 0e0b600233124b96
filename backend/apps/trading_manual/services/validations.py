"""*Valider*: the terms of an order frozen for 30 seconds, in a token that the server alone can write.

Nothing is stored: the token carries the terms, signed, so that a restart of the web process loses none. The
order made from a validation is named after it, so one validation makes one order, however often it is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.core import signing

from domain.errors import InvalidInput
from domain.orders import OrderRequest, OrderType, Side

VALID_FOR = timedelta(seconds=30)
_SALT = "trading_manual.validation"
_AMOUNTS = ("quantity", "quote_amount", "price", "stop_price", "stop_loss", "take_profit")


@dataclass(frozen=True, slots=True)
class Terms:
    """What was validated, with the facts it was checked against."""

    user_id: int
    broker_id: int
    request: OrderRequest
    reference_price: Decimal
    free: Decimal
    balance_as_of: datetime


@dataclass(frozen=True, slots=True)
class Validation:
    """A token read back. `name` is that of the order it makes."""

    terms: Terms
    name: str
    valid_until: datetime


def freeze(terms: Terms, *, now: datetime) -> tuple[str, datetime]:
    """Return the token of these terms and the wall time until which it serves."""
    valid_until = now + VALID_FOR
    body = {
        "id": uuid4().hex,
        "user": terms.user_id,
        "broker": terms.broker_id,
        "request": request_to_wire(terms.request),
        "reference": str(terms.reference_price),
        "free": str(terms.free),
        "as_of": terms.balance_as_of.isoformat(),
        "until": valid_until.isoformat(),
    }
    return signing.dumps(body, salt=_SALT, compress=True), valid_until


def read(token: str, *, user_id: int, broker_id: int) -> Validation:
    """Return what a token holds, expired or not.

    Raises:
        InvalidInput: it is not one of ours, or another user's or broker's.
    """
    try:
        body: Mapping[str, Any] = signing.loads(token, salt=_SALT)
    except signing.BadSignature as exc:
        raise _unknown() from exc
    if (body["user"], body["broker"]) != (user_id, broker_id):
        raise _unknown()
    terms = Terms(
        user_id=user_id,
        broker_id=broker_id,
        request=request_from_wire(body["request"]),
        reference_price=Decimal(body["reference"]),
        free=Decimal(body["free"]),
        balance_as_of=datetime.fromisoformat(body["as_of"]),
    )
    return Validation(terms, f"validation:{body['id']}", datetime.fromisoformat(body["until"]))


def expired(validation: Validation) -> InvalidInput:
    """Return the refusal of a validation that is too old to become an order."""
    return InvalidInput(
        f"Ordre non passé : sa validation a expiré à {validation.valid_until:%H:%M:%S} UTC "
        f"({VALID_FOR.seconds} s). Valider de nouveau, les prix ont pu changer.",
        code="validation_expired",
        details={"valid_until": validation.valid_until.isoformat()},
    )


def request_to_wire(request: OrderRequest) -> dict[str, Any]:
    """Write a request as JSON."""
    amounts = {name: getattr(request, name) for name in _AMOUNTS}
    return {
        "symbol": request.symbol,
        "side": request.side.value,
        "order_type": request.order_type.value,
        **{name: str(value) for name, value in amounts.items() if value is not None},
    }


def request_from_wire(wire: Mapping[str, Any]) -> OrderRequest:
    """Read what `request_to_wire` wrote."""
    return OrderRequest(
        symbol=wire["symbol"],
        side=Side(wire["side"]),
        order_type=OrderType(wire["order_type"]),
        **{name: Decimal(wire[name]) for name in _AMOUNTS if name in wire},
    )


def _unknown() -> InvalidInput:
    return InvalidInput("Ordre non passé : validation inconnue. Valider de nouveau.", code="validation_unknown")
