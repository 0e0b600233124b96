"""What comes next of a wish to change an order, decided from the rows; each function is one transaction.

Two ways, by what the exchange offers and what has executed:
- *atomic*: the replacement's row is inserted as `sending` before the exchange is asked to cancel and replace in
  one request, so that a lost answer leaves both orders to be looked up;
- *cancel first*: the old order is cancelled, its final word awaited, and only then the replacement's row is
  inserted as `pending` for what did not execute. It is inserted only if a cancellation of ours was certainly
  sent (`cancel_sent`): an order that somebody else cancelled before stays cancelled. A process that dies
  between sending that cancellation and noting it leaves the change undone, and says so.

The replacement's client id was chosen with the command and is unique: there are never two. It leaves by its
command only as long as that lives, so never beside the order it replaces.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from apps.orders import admission, claims, events, ledger, order_state, pair_book
from apps.orders.claims import Claimed, Followed, Leg
from apps.orders.models import OrderCommand, Trade
from apps.orders.selectors import LIVE_COMMANDS
from domain.french import number
from domain.order_terms import OrderTerms
from domain.order_words import status_word
from domain.orders import OrderSource, OrderStatus, OrderType, Side

_VALID_FOR = timedelta(seconds=20)  # of what is sent after a cancellation
_TOO_LATE_AFTER = timedelta(seconds=60)  # past the wish's validity a cancelled order is not placed anew


@dataclass(frozen=True, slots=True)
class Replace:
    """Ask the exchange to cancel and replace, once."""

    old: Followed
    new: Claimed


@dataclass(frozen=True, slots=True)
class CancelFirst:
    """Cancel the old order. `cancel_sent`: not for the first time."""

    old: Followed
    cancel_sent: bool


@transaction.atomic
def next_step(command_id: int, *, now: datetime, atomic: bool) -> Replace | CancelFirst | None:
    """Claim a change and return what to ask of the exchange; None: nothing, `settle` says what then.

    Args:
        atomic: the exchange cancels and replaces in one request.
    """
    live = _live(command_id)
    if live is None:
        return None
    command, trade = live
    new = _replacement(command)
    if new is not None:
        return _send_again(command, trade, new, now=now)
    if not OrderStatus(trade.status).rests_at_exchange or _why_not(command, trade, now=now):
        return None
    _claim(command, now=now)
    old, sent = claims.followed(trade), bool(command.params.get("cancel_sent"))
    if atomic and not sent and trade.filled_quantity == 0:
        until = datetime.fromisoformat(command.params["valid_until"])
        new = _insert(command, trade, status=OrderStatus.SENDING, valid_until=until, now=now)
        return Replace(old, _claimed(new))
    return CancelFirst(old, sent)


@transaction.atomic
def note_cancel_sent(command_id: int) -> None:
    """Note that a cancellation of ours has certainly left for the exchange."""
    live = _live(command_id)
    if live is not None:
        command, _ = live
        command.params["cancel_sent"] = True
        command.save(update_fields=["params"])


@transaction.atomic
def settle(command_id: int, *, now: datetime, retry_at: datetime) -> None:
    """Close a change whose outcome is known, place what follows a cancellation, or let it be tried again.

    Args:
        retry_at: when it is looked at again, if it is not over.
    """
    live = _live(command_id)
    if live is None:
        return
    command, trade = live
    new = _replacement(command)
    if new is not None:
        _settle_by_replacement(command, trade, new, now=now, retry_at=retry_at)
    elif OrderStatus(trade.status).is_final:
        _settle_by_end(command, trade, now=now)
    else:
        why = _why_not(command, trade, now=now)
        if why:
            _end(command, now=now, error=why)
        else:
            _release(command, retry_at)


@transaction.atomic
def fail(command_id: int, *, now: datetime, error: str) -> None:
    """Give a change up that never began: the broker cannot be used at all."""
    live = _live(command_id)
    if live is not None and _replacement(live[0]) is None:
        _end(live[0], now=now, error=error)


def supersede(trade: Trade, *, now: datetime) -> None:
    """Let a cancellation take the place of a change that waits; the caller holds the order's row lock."""
    wishes = OrderCommand.objects.filter(trade=trade, kind=OrderCommand.Kind.AMEND, status__in=LIVE_COMMANDS)
    for command in wishes:
        new = _replacement(command)
        _end(command, now=now, error="Modification abandonnée : l'annulation de l'ordre a été demandée.")
        if new is None or OrderStatus(new.status).is_final:
            continue
        if new.status == OrderStatus.PENDING:
            ledger.cancel_pending(new, now=now)
        else:
            pair_book.ask_cancel(new)


def _live(command_id: int) -> tuple[OrderCommand, Trade] | None:
    """Lock the order, under whose lock alone its commands change; None when the wish is over."""
    trade_id = OrderCommand.objects.filter(id=command_id).values_list("trade_id", flat=True).first()
    if trade_id is None:
        return None
    trade = order_state.locked(trade_id)
    rows = OrderCommand.objects.select_related("trade").filter(id=command_id, status__in=LIVE_COMMANDS)
    command: OrderCommand | None = rows.first()
    return None if command is None else (command, trade)


def _replacement(command: OrderCommand) -> Trade | None:
    rows = Trade.objects.select_for_update().filter(client_order_id=command.params["client_order_id"])
    found: Trade | None = rows.first()
    return found


def _send_again(command: OrderCommand, trade: Trade, new: Trade, *, now: datetime) -> Replace | None:
    """An exchange that certainly did nothing may be asked again while the wish is valid."""
    due = new.next_check_at is None or new.next_check_at <= now
    if new.status != OrderStatus.PENDING or not due or now >= new.valid_until:
        return None
    if not OrderStatus(trade.status).rests_at_exchange or trade.filled_quantity > 0:
        return None
    _claim(command, now=now)
    new.status, new.sending_at = OrderStatus.SENDING.value, now
    new.save(update_fields=["status", "sending_at", "updated_at"])
    return Replace(claims.followed(trade), _claimed(new))


def _settle_by_replacement(
    command: OrderCommand, trade: Trade, new: Trade, *, now: datetime, retry_at: datetime
) -> None:
    status = OrderStatus(new.status)
    if status is OrderStatus.PENDING and (
        not OrderStatus(trade.status).rests_at_exchange or trade.filled_quantity > 0
    ):
        ledger.cancel_pending(new, now=now)  # it was never taken, and what it was to replace is no more
        _end(command, now=now, error=_gone(trade))
    elif status in (OrderStatus.PENDING, OrderStatus.SENDING, OrderStatus.UNKNOWN):
        _release(command, retry_at if new.next_check_at is None else max(retry_at, new.next_check_at))
    elif new.acknowledged_at is not None:
        _end(command, now=now)
    else:
        _refused(command, trade, new, now=now)


def _refused(command: OrderCommand, trade: Trade, new: Trade, *, now: datetime) -> None:
    cause = new.error_message or f"statut « {status_word(new.status)} »"
    error = f"Modification sans effet : le nouvel ordre n'existe pas. Cause : {cause}"
    if trade.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED):
        error = f"L'ordre {_named(trade)} est annulé et son remplaçant n'existe pas. Cause : {cause}"
        events.alert(trade, code="amend_lost", message=error)
    _end(command, now=now, error=error)


def _settle_by_end(command: OrderCommand, trade: Trade, *, now: datetime) -> None:
    was_cancelled = trade.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED)
    if not command.params.get("cancel_sent") or not was_cancelled:
        if was_cancelled:
            events.alert(trade, code="amend_lost", message=_gone(trade))
        _end(command, now=now, error=_gone(trade))
        return
    late = now >= datetime.fromisoformat(command.params["valid_until"]) + _TOO_LATE_AFTER
    why = "il est trop tard pour le replacer." if late else _too_little(command, trade)
    if why:
        error = f"L'ordre {_named(trade)} est annulé et n'est pas replacé : {why}"
        events.alert(trade, code="amend_lost", message=error)
        _end(command, now=now, error=error)
        return
    _insert(command, trade, status=OrderStatus.PENDING, valid_until=now + _VALID_FOR, now=now)
    _end(command, now=now)
    events.wake_executor()


def _gone(trade: Trade) -> str:
    if trade.status == OrderStatus.FILLED:
        return f"Modification sans effet : l'ordre {_named(trade)} était déjà entièrement exécuté."
    if OrderStatus(trade.status).is_final:
        return (
            f"Modification abandonnée : l'ordre {_named(trade)} était déjà terminé "
            f"(statut « {status_word(trade.status)} ») sans certitude que ce soit par nous ; "
            "rien n'est envoyé à sa place."
        )
    return f"Modification abandonnée : l'ordre {_named(trade)} a commencé à s'exécuter."


def _why_not(command: OrderCommand, trade: Trade, *, now: datetime) -> str:
    """Return why a change may not go on while its order rests; empty when it may."""
    until = datetime.fromisoformat(command.params["valid_until"])
    if command.params.get("cancel_sent"):  # begun: the order's own end decides
        ended = now >= until + _TOO_LATE_AFTER
        return f"Modification abandonnée : l'ordre {_named(trade)} n'a pas pu être annulé." if ended else ""
    if now >= until:
        return f"Modification jamais envoyée : délai dépassé le {until:%Y-%m-%d à %H:%M:%S} UTC."
    why = _too_little(command, trade)
    return f"Modification abandonnée (ordre {_named(trade)} inchangé) : {why}" if why else ""


def _too_little(command: OrderCommand, trade: Trade) -> str:
    """Return why what is left of the new total cannot be an order; empty when it can."""
    left = Decimal(command.params["quantity"]) - trade.filled_quantity
    if left <= 0:
        return f"{number(trade.filled_quantity)} sont déjà exécutés, il ne reste rien à placer."
    at = command.params["price"] or command.params["stop_price"] or command.params["reference_price"]
    least, smallest = trade.min_notional, command.params["min_quantity"]
    if (smallest is not None and left < Decimal(smallest)) or (least is not None and left * Decimal(at) < least):
        return f"le reste de {number(left)} (à {number(Decimal(at))}) est sous le minimum de l'exchange."
    return ""


def _insert(
    command: OrderCommand, trade: Trade, *, status: OrderStatus, valid_until: datetime, now: datetime
) -> Trade:
    params = command.params
    left = Decimal(params["quantity"]) - trade.filled_quantity
    terms = OrderTerms(
        order_type=OrderType(trade.type),
        side=Side(trade.side),
        quantity=left,
        price=None if params["price"] is None else Decimal(params["price"]),
        stop_price=None if params["stop_price"] is None else Decimal(params["stop_price"]),
        quote_amount=None,
        notional=Decimal(0),
        fee=Decimal(0),
        fee_currency="",
        reserved_currency=params["reserved_currency"],
        reserved_amount=_share(Decimal(params["reserved_amount"]), left, Decimal(params["planned"])),
    )
    external = trade.source == OrderSource.EXTERNAL  # what replaces it is placed by us
    row = {
        "user_id": trade.user_id,
        "broker_id": trade.broker_id,
        "bot_id": trade.bot_id,
        "strategy_id": trade.strategy_id,
        "webhook_id": trade.webhook_id,
        "source": OrderSource.MANUAL.value if external else trade.source,
        "owner": trade.owner,
        "intent": trade.intent,
        "position_id": trade.position_id,
        "client_order_id": params["client_order_id"],
        "symbol": trade.symbol,
        "stop_loss": trade.stop_loss,
        "take_profit": trade.take_profit,
        "step_size": trade.step_size,
        "min_notional": trade.min_notional,
        "reference_price": Decimal(params["reference_price"]),
        "market_time": trade.market_time,
        "valid_until": valid_until,
        "sending_at": now if status is OrderStatus.SENDING else None,
        "replaces": trade,
    }
    return admission.insert(row, terms, status=status)


def _share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    return amount if part >= whole else (amount * part / whole).quantize(Decimal("1e-18"))


def _claimed(new: Trade) -> Claimed:
    key = (new.broker_id, new.symbol, new.owner)
    return Claimed(legs=(Leg(new.id, claims.ticket_of(new)),), valid_until=new.valid_until, key=key)


def _claim(command: OrderCommand, *, now: datetime) -> None:
    command.status, command.claimed_at = OrderCommand.Status.CLAIMED, now
    command.attempts += 1
    command.save(update_fields=["status", "claimed_at", "attempts"])


def _release(command: OrderCommand, retry_at: datetime) -> None:
    command.status, command.next_attempt_at = OrderCommand.Status.PENDING, retry_at
    command.save(update_fields=["status", "next_attempt_at"])


def _end(command: OrderCommand, *, now: datetime, error: str = "") -> None:
    command.status = OrderCommand.Status.FAILED if error else OrderCommand.Status.DONE
    command.error_message, command.done_at = error, now
    command.save(update_fields=["status", "error_message", "done_at"])
    events.command_ended(command)


def _named(trade: Trade) -> str:
    return f"{trade.side} {trade.symbol} n° {trade.id}"
