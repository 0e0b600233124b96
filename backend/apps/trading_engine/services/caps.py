"""A new bot's cap against what its account has free, asked of the exchange before the bot is activated."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.brokers.models import Broker
from apps.brokers.services import connection
from apps.orders.selectors import reserved_by_currency
from domain.errors import AristobotError, InvalidInput
from domain.french import number

_PATIENCE_S = 2.0


def refuse_beyond_balance(user_id: int, wanted: Mapping[str, Any], *, now: datetime) -> None:
    """Raises InvalidInput, with the field's message, when an active bot may spend more than its account has free.

    An exchange that does not answer in time stops nobody: the bot's card says the same at its first decision.
    """
    cap = wanted.get("amount")
    broker = Broker.objects.filter(id=wanted["broker_id"], user_id=user_id).first()
    if cap is None or not cap.is_finite() or not wanted.get("is_active") or broker is None:
        return
    quote = wanted["symbol"].partition("/")[2]
    try:
        balance = connection.read_balance(broker.pk, user_id, timeout_s=_PATIENCE_S)
    except AristobotError:
        return
    free = balance.free.get(quote, Decimal(0)) - reserved_by_currency(broker.pk, as_of=now).get(quote, Decimal(0))
    if cap <= free:
        return
    reason = (
        f"Au-dessus du solde libre : {number(cap)} {quote} demandés, {number(max(free, Decimal(0)))} {quote} "
        f"disponibles chez « {broker.name} »."
    )
    raise InvalidInput(
        f"Activation refusée, montant maximal : {reason}",
        details={"fields": {"amount": reason}},
        code="cap_beyond_balance",
    )
