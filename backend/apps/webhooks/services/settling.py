"""Acts upon a call: the orders and the verdict are committed together, or neither is.

An order's client id follows from the call's own reference, so that acting twice finds what was made. While an
order of the source is on its way in that market the call waits: what is held is not known until it ended.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Sum

from apps.core.tracing import webhook_trace
from apps.orders import closing, desk
from apps.orders.admission import Purse
from apps.orders.closing import Step
from apps.orders.context import OrderContext
from apps.orders.locks import lock_broker_money, lock_owner
from apps.orders.models import Position, Trade
from apps.orders.selectors import live_orders, live_position, reserved_by_currency, unknown_orders
from apps.webhooks.models import Webhook, WebhookSource
from apps.webhooks.selectors import owner_of
from apps.webhooks.services import verdicts
from apps.webhooks.services.examination import Job, rules_of
from domain.errors import AristobotError, Conflict, InvalidInput
from domain.french import number
from domain.orders import OrderRequest, OrderSource, OrderType, Side
from domain.ports import Balance
from domain.webhooks.admission import check_age
from domain.webhooks.call import Action
from domain.webhooks.plan import CancelOrders, Holdings, Leave, Nothing, Plan, Submit, plan
from domain.webhooks.refusal import CallRefused

ORDER_VALID_FOR = timedelta(seconds=20)
LOOK_AGAIN_AFTER = timedelta(milliseconds=100)  # our own rows are looked at, not the exchange
_SLOW_LOOK_AFTER = timedelta(milliseconds=500)  # what is waited for takes seconds anyway
_RETRY_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the exchange said. `asked_at`: wall time just before the balance was asked for."""

    price: Decimal
    balance: Balance
    asked_at: datetime
    market_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The call is looked at again; French."""

    reason: str
    after: timedelta = LOOK_AGAIN_AFTER


@dataclass(frozen=True, slots=True)
class Held:
    """A call that the exchange is not asked about. `is_news`: whether its row says another thing than before."""

    is_news: bool


def settle(job: Job, facts: Facts | None, *, now: datetime) -> bool:
    """Act upon a call. Returns whether it is settled; False: it waits, or somebody else settled it.

    Args:
        facts: None only for a call that needs no money (a cancellation).
    """
    with transaction.atomic():
        source, row = _lock(job)
        if source is None or row is None:
            return False
        try:
            outcome = _act(job, facts, source, row, now=now)
        except AristobotError as refusal:
            verdicts.refuse(row, refusal, now=now)
            return True
        if isinstance(outcome, Wait):
            _wait(row, outcome, now=now)
            return False
        return True


def must_wait(job: Job, *, now: datetime) -> Held | None:
    """Say why there is no use in asking the exchange now: an order of ours is in the way, or the call is settled.

    Only a first look: `settle` looks again under its locks. Without it a call behind an order of unknown outcome
    would ask for the balance, the dearest of reads, at each look.
    """
    with transaction.atomic():
        source, row = _lock(job)
        if source is None or row is None:
            return Held(is_news=False)
        if Trade.objects.filter(client_order_id=_client_order_id(row.reference)).exists():
            return None  # made before a crash: `settle` says so
        try:
            _check_age(job, source, now=now, waited_for=row.reason)
        except AristobotError as refusal:
            verdicts.refuse(row, refusal, now=now)
            return Held(is_news=True)
        owner = owner_of(source.id)
        obstacle = _obstacle(job, owner, now=now)
        if obstacle is None:
            obstacle = _closing_first(job, live_position(job.broker_id, job.market.symbol, owner))
        if obstacle is None:
            return None
        is_news = row.reason != obstacle.reason
        _wait(row, obstacle, now=now)
        return Held(is_news=is_news)


def _wait(row: Webhook, outcome: Wait, *, now: datetime) -> None:
    row.not_before, row.reason = now + outcome.after, outcome.reason
    row.save(update_fields=["not_before", "reason"])


def put_off(job: Job, error: AristobotError, *, now: datetime) -> bool:
    """Note that the exchange could not be asked: again later while the call is fresh, if that can help."""
    with transaction.atomic():
        source, row = _lock(job)
        if source is None or row is None:
            return False
        try:
            if not error.retryable:
                raise error
            _check_age(job, source, now=now, waited_for=error.message)
        except AristobotError as refusal:
            verdicts.refuse(row, refusal, now=now)
            return True
        row.not_before, row.reason = now + _RETRY_AFTER, error.message
        row.save(update_fields=["not_before", "reason"])
        return False


def _lock(job: Job) -> tuple[WebhookSource | None, Webhook | None]:
    source = WebhookSource.objects.select_for_update(no_key=True).filter(id=job.source_id).first()
    row = Webhook.objects.select_for_update(of=("self",)).filter(id=job.webhook_id, processed=False).first()
    if source is not None and row is not None:
        row.origin = source
    return source, row


def _check_age(job: Job, source: WebhookSource, *, now: datetime, waited_for: str = "") -> None:
    max_age = timedelta(seconds=source.max_age_s)
    check_age(received_at=job.received_at, now=now, max_age=max_age, waited_for=waited_for)


def _act(job: Job, facts: Facts | None, source: WebhookSource, row: Webhook, *, now: datetime) -> Wait | None:
    made = Trade.objects.filter(client_order_id=_client_order_id(row.reference)).first()
    if made is not None:
        verdicts.executed(row, reason=_told(job, made), now=now)
        return None
    owner = owner_of(source.id)
    _check_age(job, source, now=now, waited_for=row.reason)
    lock_owner(broker_id=job.broker_id, symbol=job.market.symbol, owner=owner)
    if facts is None or job.call.action is Action.CANCEL:
        _cancel(job, row, owner, now=now)
        return None
    obstacle = _obstacle(job, owner, now=now)
    if obstacle is not None:
        return obstacle
    # After the orders: one that ended between the two reads is in the position.
    position = live_position(job.broker_id, job.market.symbol, owner)
    closing_first = _closing_first(job, position)
    if closing_first is not None:
        return closing_first
    wanted = _plan(job, facts, source, position)
    if isinstance(wanted, Nothing):
        verdicts.nothing(row, reason=f"Rien à faire : {wanted.reason}.", now=now)
        return None
    if isinstance(wanted, CancelOrders):
        _cancel(job, row, owner, now=now)
        return None
    if isinstance(wanted, Leave):
        return _leave(job, facts, row, position, now=now)
    _submit(job, facts, row, wanted.request, is_exit=wanted.is_exit, now=now)
    return None


def _closing_first(job: Job, position: Position | None) -> Wait | None:
    is_closing = position is not None and position.status == Position.Status.CLOSING
    if not is_closing or job.call.action is Action.CLOSE:
        return None
    return Wait("la position de cette source se ferme d'abord", after=_SLOW_LOOK_AFTER)


def _plan(job: Job, facts: Facts, source: WebhookSource, position: Position | None) -> Plan:
    lock_broker_money(job.broker_id)  # what is read as reserved stays so until our own order is committed
    reserved = reserved_by_currency(job.broker_id, as_of=facts.asked_at)
    free, (quote, base) = facts.balance.free, (job.market.quote, job.market.base)
    protecting = _protecting(position)
    available = free.get(base, Decimal(0)) - reserved.get(base, Decimal(0))
    holdings = Holdings(
        quote=free.get(quote, Decimal(0)) - reserved.get(quote, Decimal(0)),
        base=available + protecting,
        held=Decimal(0) if position is None else position.quantity,
    )
    wanted = plan(job.call, market=job.market, price=facts.price, holdings=holdings, rules=rules_of(source))
    if protecting > 0 and _sold(wanted) > available:
        raise CallRefused(
            f"Vente partielle refusée : {number(protecting)} {base} sont retenus par le stop loss ou le take "
            "profit de la position. « close » la ferme entière, protection comprise.",
            code="protected",
        )
    return wanted


def _sold(wanted: Plan) -> Decimal:
    """Return the base that a plan sells by an order of its own."""
    if not isinstance(wanted, Submit) or wanted.request.side is Side.BUY:
        return Decimal(0)
    return wanted.request.quantity or Decimal(0)


def _protecting(position: Position | None) -> Decimal:
    """Return what the protection of a position holds back of its base."""
    if position is None:
        return Decimal(0)
    legs = live_orders(broker_id=position.broker_id, symbol=position.symbol, owner=position.owner)
    held = legs.filter(intent=Trade.Intent.PROTECTION).aggregate(total=Sum("reserved_amount"))["total"]
    return held or Decimal(0)


def _obstacle(job: Job, owner: str, *, now: datetime) -> Wait | None:
    """Say which order the call must wait for; resting ones are cancelled when it says what is held afterwards."""
    here = (job.broker_id, job.market.symbol)
    unknown = unknown_orders([here]).get(here)
    if unknown is not None:
        return Wait(
            f"l'ordre n° {unknown.id} sur {job.market.symbol} est de statut inconnu", after=_SLOW_LOOK_AFTER
        )
    resting = []
    for order in live_orders(broker_id=job.broker_id, symbol=job.market.symbol, owner=owner):
        if order.intent == Trade.Intent.PROTECTION:
            continue
        if order.type == OrderType.MARKET or not order.acknowledged_at:
            return Wait(f"l'ordre n° {order.id} de cette source n'était pas terminé")
        resting.append(order)
    if job.call.action is Action.TARGET and resting:
        _ask_to_cancel([order.id for order in resting], job, now=now)
        return Wait(f"l'ordre n° {resting[0].id} de cette source s'annule d'abord")
    return None


def _cancel(job: Job, row: Webhook, owner: str, *, now: datetime) -> None:
    live = live_orders(broker_id=job.broker_id, symbol=job.market.symbol, owner=owner)
    wanted = live.exclude(intent=Trade.Intent.PROTECTION)  # a position keeps its protection
    ids = list(wanted.values_list("id", flat=True))
    _ask_to_cancel(ids, job, now=now)
    if ids:
        told = (
            f"Annulation demandée de {len(ids)} ordre{'s' if len(ids) > 1 else ''} : n° {', '.join(map(str, ids))}."
        )
        verdicts.executed(row, reason=told, now=now)
    else:
        verdicts.nothing(row, reason=f"Rien à annuler : aucun ordre en cours sur {job.market.symbol}.", now=now)


def _ask_to_cancel(trade_ids: Iterable[int], job: Job, *, now: datetime) -> None:
    for trade_id in trade_ids:
        with suppress(Conflict):  # it ended by itself meanwhile
            desk.cancel(trade_id=trade_id, user_id=job.user_id, now=now)


def _leave(job: Job, facts: Facts, row: Webhook, position: Position | None, *, now: datetime) -> Wait | None:
    """Begin to leave the whole position, protection first; terminal 5 ends it whatever happens here."""
    if position is None:
        verdicts.nothing(row, reason="Rien à faire : position déjà fermée.", now=now)
        return None
    if position.status == Position.Status.CLOSING:
        verdicts.nothing(row, reason="Rien à faire : la position se ferme déjà.", now=now)
        return None
    progress = closing.begin(
        position.id, reason=closing.SIGNAL, price=facts.price, now=now, market_time=facts.market_time
    )
    if progress.step is Step.DELAYED:
        return Wait("la vente précédente de la position a échoué, nouvel essai", after=_RETRY_AFTER)
    row.left_position = position
    first = " ; ses ordres et sa protection s'annulent d'abord" if progress.step is Step.CANCELLING else ""
    told = f"Sortie de la position : {number(position.quantity)} {job.market.base}{first}."
    verdicts.executed(row, reason=told, now=now)
    return None


def _submit(job: Job, facts: Facts, row: Webhook, request: OrderRequest, *, is_exit: bool, now: datetime) -> None:
    """Hand an order to the desk; a refusal is a verdict too, with the refused attempt kept as a row."""
    reserved_in = job.market.quote if request.side is Side.BUY else job.market.base
    context = OrderContext(
        user_id=job.user_id,
        broker_id=job.broker_id,
        source=OrderSource.WEBHOOK,
        owner=owner_of(job.source_id),
        now=now,
        intent=Trade.Intent.EXIT if is_exit else Trade.Intent.ENTRY,
        webhook_id=row.id,
        trace_id=webhook_trace(row.id),
        market_time=facts.market_time,
        valid_for=ORDER_VALID_FOR,
        client_order_id=_client_order_id(row.reference),
        purse=Purse(facts.balance.free.get(reserved_in, Decimal(0)), facts.asked_at),
    )
    try:
        trade = desk.submit(context, request, market=job.market, reference_price=facts.price)
    except InvalidInput as refusal:
        verdicts.refuse(row, refusal, now=now)
        return
    verdicts.executed(row, reason=_told(job, trade), now=now)


def _client_order_id(reference: UUID) -> str:
    return uuid5(reference, "order").hex


def _told(job: Job, trade: Trade) -> str:
    verb = "Achat" if trade.side == Side.BUY else "Vente"
    quote, near = job.market.quote, trade.reference_price
    at = "au marché" if trade.price is None else f"à {number(trade.price)} {quote}"
    about = f" (vers {number(near)} {quote})" if trade.price is None and near is not None else ""
    return f"{verb} {at} de {number(trade.quantity)} {job.market.base}{about}, ordre n° {trade.id}."
