"""What happens to one leg of a stop loss + take profit, carried over to the other; part of the ledger.

Called inside the ledger's transaction, with both rows locked. Together the legs must never sell more than the
quantity of one. Where the exchange holds them (`oco`) it sees to that, and the other leg is only looked up
soon. Where it does not (`linked`), the first execution of a leg writes the cancellation of the other in the
same transaction: what remains is the race between that cancellation's way to the exchange and a price that
touches both triggers meanwhile. Should it be lost, both legs execute, and the user is alerted.
"""

from datetime import datetime

from apps.orders import events, order_state
from apps.orders.models import OrderCommand, Trade
from apps.orders.selectors import LIVE_COMMANDS
from domain.french import number
from domain.order_abilities import PairMode
from domain.order_words import status_word
from domain.orders import OrderStatus, OrderType

_NAMES = {OrderType.STOP_LOSS: "stop loss", OrderType.TAKE_PROFIT: "take profit"}


def follow(trade: Trade, twin: Trade | None, *, now: datetime) -> None:
    """Bring the other leg in line with a leg that just changed; an order that is no leg (None) is left alone."""
    if twin is None:
        return
    if trade.filled_quantity + twin.filled_quantity > trade.quantity:
        _alert_oversold(trade, twin)
    if OrderStatus(twin.status).is_final:
        return
    ended = OrderStatus(trade.status).is_final
    if trade.filled_quantity == 0 and not ended:
        return
    if twin.status == OrderStatus.PENDING:
        _end_unsent(trade, twin, now=now)
    elif trade.link_mode == PairMode.OCO:
        twin.next_check_at = now  # the exchange has ended it, or is about to
        twin.save(update_fields=["next_check_at", "updated_at"])
    elif trade.filled_quantity > 0:
        ask_cancel(twin)
    else:
        _stay_alone(trade, twin)


def ask_cancel(trade: Trade) -> OrderCommand:
    """Write the wish to cancel an order that may be at the exchange, once; the caller holds its row lock."""
    kind = OrderCommand.Kind.CANCEL
    waiting = OrderCommand.objects.filter(trade=trade, kind=kind, status__in=LIVE_COMMANDS).first()
    command: OrderCommand = waiting or OrderCommand.objects.create(trade=trade, kind=kind)
    events.wake_executor()
    return command


def _end_unsent(trade: Trade, twin: Trade, *, now: datetime) -> None:
    status = OrderStatus.EXPIRED if trade.status == OrderStatus.EXPIRED else OrderStatus.CANCELLED
    why = (
        "a commencé à s'exécuter"
        if trade.filled_quantity > 0
        else f"est terminé (statut « {status_word(trade.status)} »)"
    )
    message = f"Ordre jamais envoyé : le {_name(trade)} auquel il est lié {why}."
    order_state.finish(twin, status, code="pair_ended", message=message, now=now)


def _stay_alone(trade: Trade, twin: Trade) -> None:
    """A linked leg ended without executing while the other rests: that one holds the quantity now."""
    if trade.reserved_currency and not twin.reserved_currency:
        twin.reserved_currency, twin.reserved_amount = trade.reserved_currency, trade.reserved_amount
        twin.save(update_fields=["reserved_currency", "reserved_amount", "updated_at"])
    wish = OrderCommand.Kind.CANCEL
    if OrderCommand.objects.filter(trade=twin, kind=wish, status__in=LIVE_COMMANDS).exists():
        return
    cause = f" Cause : {trade.error_message}" if trade.error_message else ""
    message = (
        f"Protection incomplète ({trade.symbol}) : le {_name(trade)} à {_price(trade)} est terminé sans exécution "
        f"(statut « {status_word(trade.status)} ») ; le {_name(twin)} à {_price(twin)} reste seul.{cause}"
    )
    events.alert(trade, code="pair_incomplete", message=message)


def _alert_oversold(trade: Trade, twin: Trade) -> None:
    message = (
        f"Stop loss et take profit exécutés tous les deux ({trade.symbol}) : {number(trade.filled_quantity)} et "
        f"{number(twin.filled_quantity)} vendus pour {number(trade.quantity)} à protéger ; vérifier la position."
    )
    events.alert(trade, code="pair_oversold", message=message)


def _name(trade: Trade) -> str:
    return _NAMES[OrderType(trade.type)]


def _price(trade: Trade) -> str:
    return "?" if trade.stop_price is None else number(trade.stop_price)
