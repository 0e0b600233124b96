"""A bot's cap against what its account has free, asked of the exchange before the bot may spend it.

Asked where a user lets a bot spend: at its creation, when its cap, account or market changes, and when it is
switched on. Nothing is written here: a refusal leaves the bot as it is.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from apps.brokers.models import Broker
from apps.brokers.services import connection
from apps.orders.events import amount
from apps.orders.models import Position
from apps.orders.selectors import live_orders, reserved_by_currency
from apps.trading_engine.bodies import STOPPED_AT
from apps.trading_engine.models import ActiveStrategy
from domain.errors import AristobotError, InvalidInput
from domain.french import number

_PATIENCE_S = 2.0
_SPENDS = ("amount", "broker_id", "symbol")  # what a change may let a bot spend more by, and where


def refuse_beyond_balance(user_id: int, wanted: Mapping[str, Any], *, now: datetime) -> None:
    """Raises InvalidInput, with the field's message, when a new active bot may spend more than is free.

    An exchange that does not answer in time stops nobody: the bot's card says the same at its first decision.
    """
    if wanted.get("is_active"):
        bot = ActiveStrategy(
            user_id=user_id, broker_id=wanted["broker_id"], symbol=wanted["symbol"], amount=wanted.get("amount")
        )
        _refuse(bot, "Activation refusée", now=now)


def refuse_change(bot: ActiveStrategy, changes: Mapping[str, Any], *, now: datetime) -> None:
    """As `refuse_beyond_balance`, for a change that lets the bot spend more, elsewhere, or again.

    What the bot holds and has ordered counts as its own.
    """
    was_on, before = bot.is_active, [getattr(bot, name) for name in _SPENDS]
    changed = ActiveStrategy(id=bot.pk, user_id=bot.user_id, is_active=changes.get("is_active", was_on))
    for name in _SPENDS:
        setattr(changed, name, changes.get(name, getattr(bot, name)))
    spends_otherwise = [getattr(changed, name) for name in _SPENDS] != before
    if changed.is_active and (spends_otherwise or not was_on):
        _refuse(changed, "Modification refusée", now=now)


def refuse_resume(bot: ActiveStrategy, *, now: datetime) -> None:
    """As `refuse_change`, for a bot that is to be switched on as it is."""
    if bot.end_date > STOPPED_AT:  # else it is refused for that
        _refuse(bot, "Reprise refusée", now=now)


def _refuse(bot: ActiveStrategy, action: str, *, now: datetime) -> None:
    broker = Broker.objects.filter(id=bot.broker_id, user_id=bot.user_id).first()
    if bot.amount is None or not bot.amount.is_finite() or broker is None:
        return
    quote = bot.symbol.partition("/")[2]
    try:
        balance = connection.read_balance(broker.pk, bot.user_id, timeout_s=_PATIENCE_S)
    except AristobotError:
        return
    held_back = reserved_by_currency(broker.pk, as_of=now).get(quote, Decimal(0))
    free = max(balance.free.get(quote, Decimal(0)) - held_back, Decimal(0))
    own = _own(bot, quote)
    if bot.amount <= free + own:
        return
    engaged = f", plus {number(own)} {quote} déjà engagés par ce bot" if own else ""
    reason = (
        f"Au-dessus du solde libre : {number(bot.amount)} {quote} demandés, {number(free)} {quote} disponibles "
        f"chez « {broker.name} »{engaged}."
    )
    raise InvalidInput(
        f"{action}, montant maximal : {reason}",
        details={"fields": {"amount": reason}, "available": amount(free + own)},
        code="cap_beyond_balance",
    )


def _own(bot: ActiveStrategy, quote: str) -> Decimal:
    """Return what a bot has already taken of its cap: the cost of its position, and its living purchases."""
    if bot.pk is None:
        return Decimal(0)
    position = Position.objects.filter(bot_id=bot.pk).exclude(status=Position.Status.CLOSED).first()
    held = Decimal(0) if position is None else position.quantity * position.entry_price
    ordered = live_orders(bot_id=bot.pk).filter(reserved_currency=quote).aggregate(total=Sum("reserved_amount"))
    return held + (ordered["total"] or Decimal(0))
