"""Writes what a bot decided: the decision and its order are committed together or not at all.

Every writer of a bot's orders (a decision, a protection reached, the user's « Vendre ») first locks the
bot's row, so that at most one order of a bot is alive at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.alerts.services import recording
from apps.orders import closing, desk
from apps.orders.context import OrderContext
from apps.orders.locks import lock_broker_money, lock_owner
from apps.orders.models import Position, Trade
from apps.orders.selectors import live_position, reserved_by_currency
from apps.trading_engine.jobs import Job, blocked_markets, live_orders, owner_of
from apps.trading_engine.leases import TOO_SLOW
from apps.trading_engine.models import ActiveStrategy, BotDecision
from domain.alerts import AlertKind
from domain.errors import AristobotError, InvalidInput
from domain.french import number
from domain.orders import OrderRequest, OrderSource, Side
from domain.ports import Balance
from domain.sizing import Funds, NoOrder, size_order
from domain.strategies.contract import Evaluation
from domain.strategies.parity import Seen

ORDER_VALID_FOR = timedelta(seconds=20)
MISSED_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What an evaluation brought back. `asked_at` is the wall time just before the balance was asked."""

    evaluation: Evaluation
    balance: Balance
    asked_at: datetime
    price: Decimal  # close of the candle that just closed
    seen: Seen  # what the strategy was shown, for its replay


def settle(job: Job, answer: Answer, *, now: datetime, max_age: timedelta) -> BotDecision | None:
    """Commit the decision and its order. None when the lease was lost: somebody else decides.

    Args:
        max_age: how old its signal may be. An answer that comes later is recorded as missed, and an order
            must leave before that age.
    """
    with transaction.atomic():
        bot, row = _lock(job)
        if bot is None or row is None:
            return None
        fresh_for = max_age if row.sent_at is None else row.sent_at + max_age - now
        if fresh_for <= timedelta():
            age = (max_age - fresh_for).total_seconds()
            row.action, row.reason = "none", f"manqué : évaluation terminée {age:.0f} s après le signal"
            row.details = {"cause": TOO_SLOW}
            return _close(row, "missed", now=now)
        lock_owner(broker_id=job.broker_id, symbol=job.symbol, owner=owner_of(job.bot_id))
        changed = _what_changed(job, bot)
        wanted = NoOrder(changed) if changed else _size(job, answer)
        if isinstance(wanted, OrderRequest):
            _order(job, row, wanted, answer, now=now, fresh_for=fresh_for)
        else:
            row.action, row.reason = "none", wanted.reason
        row.details, row.seen = _details(answer, quote=job.symbol.partition("/")[2]), answer.seen.body()
        return _close(row, "decided", now=now)


def settle_without_evaluation(job: Job, *, reason: str, now: datetime) -> BotDecision | None:
    """Commit that an obstacle kept the bot from deciding anything at this close."""
    return _settle_none(job, "decided", reason=reason, details={}, now=now)


def fail(job: Job, *, reason: str, details: Mapping[str, Any], now: datetime) -> BotDecision | None:
    """Commit that this evaluation failed for a cause outside the user's code."""
    return _settle_none(job, "failed", reason=reason, details=details, now=now)


def pause(job: Job, error: AristobotError, *, now: datetime) -> BotDecision | None:
    """Commit the failure of the user's code and pause the bot until the user resumes it."""
    with transaction.atomic():
        bot, row = _lock(job)
        if bot is None or row is None:
            return None
        _pause(bot, error.message, error.details, code=error.error_code, now=now)
        row.action, row.reason, row.details = "none", error.message, {"code": error.error_code, **error.details}
        return _close(row, "failed", now=now)


def pause_after_missed(bot_id: int, *, now: datetime) -> bool:
    """Pause a bot that was too slow for its last closes in a row, until its user resumes it.

    Closes missed because a service was stopped do not count: a restart leaves every bot as it was.
    """
    with transaction.atomic():
        bot = ActiveStrategy.objects.select_for_update(no_key=True).filter(id=bot_id, pause_reason="").first()
        if bot is None or not bot.is_active:
            return False
        since = bot.active_since or bot.created_at
        last = BotDecision.objects.filter(bot=bot, close_time__gt=since).exclude(status="leased")
        causes = list(last.order_by("-close_time").values_list("status", "details__cause")[:MISSED_IN_A_ROW])
        if causes != [("missed", TOO_SLOW)] * MISSED_IN_A_ROW:
            return False
        message = (
            f"{MISSED_IN_A_ROW} signaux manqués de suite : la stratégie est trop lente, ou la machine trop chargée."
        )
        _pause(bot, message, {"code": "signals_missed"}, code="signals_missed", now=now)
        return True


def _pause(bot: ActiveStrategy, reason: str, details: Mapping[str, Any], *, code: str, now: datetime) -> None:
    bot.pause_reason, bot.pause_details, bot.paused_at = reason, dict(details), now
    bot.save(update_fields=["pause_reason", "pause_details", "paused_at", "updated_at"])
    recording.record(
        bot.user_id,
        kind=AlertKind.BOT_PAUSED,
        code=code,
        subject=f"bot:{bot.pk}",
        message=f"Bot {bot.pk} ({bot.symbol}, {bot.timeframe}) en pause sur erreur : {reason}",
        now=now,
    )


def _settle_none(
    job: Job, status: str, *, reason: str, details: Mapping[str, Any], now: datetime
) -> BotDecision | None:
    with transaction.atomic():
        _, row = _lock(job)
        if row is None:
            return None
        row.action, row.reason, row.details = "none", reason, dict(details)
        return _close(row, status, now=now)


def _lock(job: Job) -> tuple[ActiveStrategy | None, BotDecision | None]:
    """Lock the bot, then the lease if this attempt still holds it."""
    bot = ActiveStrategy.objects.select_for_update(no_key=True).filter(id=job.bot_id).first()
    held = BotDecision.objects.select_for_update().filter(id=job.decision_id, status="leased", leased_by=job.token)
    return bot, held.first()


def _close(row: BotDecision, status: str, *, now: datetime) -> BotDecision:
    row.status, row.lease_until, row.decided_at = status, None, now
    row.save(
        update_fields=["status", "action", "reason", "details", "seen", "trade", "lease_until", "decided_at"],
    )
    return row


def _what_changed(job: Job, bot: ActiveStrategy) -> str:
    """Say in French what happened to the bot during the evaluation, "" when nothing did."""
    if not bot.is_active or bot.pause_reason:
        return "bot arrêté ou suspendu pendant l'évaluation"
    waiting = live_orders([bot.id]).get(bot.id)
    if waiting:
        return waiting
    market = (job.broker_id, job.symbol)
    blocked = blocked_markets([market])
    if blocked:
        return blocked[market]
    position = live_position(job.broker_id, job.symbol, owner_of(bot.id))
    if (None if position is None else (position.id, position.quantity)) != _seen(job):
        return "position modifiée pendant l'évaluation"
    if position is not None and position.status == Position.Status.CLOSING:
        return "sortie de position en cours"
    return ""


def _seen(job: Job) -> tuple[int, Decimal] | None:
    return None if job.position_id is None or job.held is None else (job.position_id, job.held)


def _size(job: Job, answer: Answer) -> OrderRequest | NoOrder:
    if job.market is None:
        return NoOrder(job.obstacle)
    lock_broker_money(job.broker_id)  # what is read here as reserved stays so until our own order is committed
    quote = job.market.quote
    funds = Funds(
        free=answer.balance.free.get(quote, Decimal(0)),
        reserved=reserved_by_currency(job.broker_id, as_of=answer.asked_at).get(quote, Decimal(0)),
        cap=job.cap,
    )
    return size_order(answer.evaluation, market=job.market, price=answer.price, funds=funds, held=job.held)


def _order(
    job: Job, row: BotDecision, request: OrderRequest, answer: Answer, *, now: datetime, fresh_for: timedelta
) -> None:
    """Submit; a refusal (filters, minimum) is a decision too, with the refused attempt kept as a row."""
    row.action = request.side.value
    try:
        if request.side is Side.SELL and job.position_id is not None:
            row.trade = _leave(job, answer, now=now)
        else:
            valid_for = min(ORDER_VALID_FOR, fresh_for)
            row.trade = submit(job, request, price=answer.price, now=now, valid_for=valid_for)
    except InvalidInput as exc:
        row.reason, row.trade_id = exc.message, exc.details.get("trade_id")
        return
    row.reason = _order_reason(row.trade, request, answer.price)


def _leave(job: Job, answer: Answer, *, now: datetime) -> Trade | None:
    """Begin to leave the position; None while its protection is cancelled first: the sale follows by itself."""
    if job.position_id is None:
        return None
    progress = closing.begin(
        job.position_id, reason=closing.SIGNAL, price=answer.price, now=now, market_time=job.close_time
    )
    return progress.trade


def submit(job: Job, request: OrderRequest, *, price: Decimal, now: datetime, valid_for: timedelta) -> Trade:
    """Hand the request to the desk inside the caller's transaction."""
    if job.market is None:
        raise InvalidInput(job.obstacle)
    context = OrderContext(
        user_id=job.user_id,
        broker_id=job.broker_id,
        source=OrderSource.STRATEGY,
        owner=owner_of(job.bot_id),
        now=now,
        intent=Trade.Intent.ENTRY if request.side is Side.BUY else Trade.Intent.EXIT,
        bot_id=job.bot_id,
        strategy_id=job.strategy_id,
        market_time=job.close_time,
        trace_id=job.trace_id,
        valid_for=valid_for,
    )
    return desk.submit(context, request, market=job.market, reference_price=price)


def _order_reason(trade: Trade | None, request: OrderRequest, price: Decimal) -> str:
    base, quote = request.symbol.split("/")
    if trade is None:
        return (
            f"signal de vente vers {number(price)} {quote} : la protection est annulée chez l'exchange, puis ce "
            "qui reste est vendu"
        )
    quantity = f"{number(trade.quantity)} {base} vers {number(price)} {quote}"
    return f"signal d'achat : {quantity}" if request.side is Side.BUY else f"signal de vente : {quantity}"


def _details(answer: Answer, *, quote: str) -> dict[str, Any]:
    evaluation = answer.evaluation
    return {
        "should_long": evaluation.should_long,
        "should_short": evaluation.should_short,
        "position_size": str(evaluation.position_size),
        "stop_loss": str(evaluation.stop_loss),
        "take_profit": str(evaluation.take_profit),
        "duration_ms": round(evaluation.duration_ms, 1),
        "price": str(answer.price),
        "free": str(answer.balance.free.get(quote, Decimal(0))),
    }
