"""The two rows of a stop loss + take profit; part of the desk."""

from typing import Any
from uuid import UUID, uuid5

from django.db import IntegrityError, transaction

from apps.brokers.models import Broker
from apps.brokers.selectors import order_abilities
from apps.orders import admission, events
from apps.orders.admission import Purse
from apps.orders.locks import lock_broker_money
from apps.orders.models import Trade
from domain.errors import Conflict, InvalidInput
from domain.order_terms import OrderTerms, pair_mode
from domain.orders import OrderStatus, OrderType

_NAMES = UUID("6f0a1c1e-3b57-4d0c-9d0e-0d6a7c1b52aa")  # any constant: the ids of a pair follow from its first


def known(client_order_id: str, user_id: int) -> tuple[Trade, Trade] | None:
    """Return the pair already made under the stop loss's client id.

    Raises:
        InvalidInput: that pair was refused, for the same reason; or the id is none.
        Conflict: the id is another order's.
    """
    first = admission.known(client_order_id, user_id)
    if first is None:
        return None
    if first.type == OrderType.OCO and first.status == OrderStatus.REJECTED:
        raise InvalidInput(first.error_message, code=first.error_code, details={"trade_id": first.id})
    second = Trade.objects.filter(client_order_id=_second_id(client_order_id), link_id=first.link_id).first()
    if second is None or not first.link_id:
        raise Conflict(f"Ordre refusé : identifiant client « {client_order_id} » déjà utilisé.")
    return first, second


def insert(
    row: dict[str, Any], legs: tuple[OrderTerms, OrderTerms], *, purse: Purse, broker: Broker
) -> tuple[Trade, Trade]:
    """Write both rows, the stop loss first, in one transaction.

    Raises:
        InvalidInput: the quantity exceeds the free balance.
    """
    first_id: str = row["client_order_id"]
    mode = pair_mode(order_abilities(broker.exchange))
    shared = {**row, "link_id": uuid5(_NAMES, f"pair:{first_id}").hex, "link_mode": mode.value}
    try:
        with transaction.atomic():
            lock_broker_money(broker.id)
            admission.check_money(legs, purse, broker=broker, symbol=row["symbol"])
            stop = admission.insert(shared, legs[0])
            profit = admission.insert({**shared, "client_order_id": _second_id(first_id)}, legs[1])
            events.wake_executor()
            return stop, profit
    except IntegrityError:
        # The same pair was committed by another request between our look and our insert.
        made = known(first_id, row["user_id"])
        if made is None:
            raise
        return made


def _second_id(first_id: str) -> str:
    return uuid5(_NAMES, f"take_profit:{first_id}").hex
