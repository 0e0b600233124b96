"""Writes what the bots of one account decided at a close: each decision is committed together with its order.

Every writer of a bot's orders (a decision, a protection reached, the user's « Vendre ») first locks the bot's row,
so that at most one order of a bot is alive at any time. What several decisions of an account need is read once and
written in one statement each: a close makes them all at the same moment, and their orders wait for this.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from apps.core.tracing import following
from apps.orders import closing, ledger
from apps.orders.context import OrderContext
from apps.orders.desk import OrderBatch
from apps.orders.locks import lock_owners_and_money
from apps.orders.models import Position, Trade
from apps.orders.selectors import reserved_by_currency
from apps.trading_engine.jobs import Job, blocked_markets, live_orders, owner_of
from apps.trading_engine.leases import TOO_SLOW
from apps.trading_engine.models import ActiveStrategy, BotDecision
from domain.errors import InvalidInput
from domain.french import number
from domain.orders import OrderRequest, OrderSource, Side
from domain.ports import Balance
from domain.sizing import Funds, NoOrder, size_order
from domain.strategies.contract import Evaluation
from domain.strategies.parity import Seen

ORDER_VALID_FOR = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an evaluation brought back. `asked_at` is the wall time just before the balance was asked."""

    evaluation: Evaluation
    balance: Balance
    asked_at: datetime
    price: Decimal  # close of the candle that just closed
    seen: Seen  # what the strategy was shown, for its replay


@dataclass(slots=True)
class _Decision:
    """A lease that this attempt holds, locked, and what is to be written of it."""

    job: Job
    answer: Answer
    bot: ActiveStrategy
    row: BotDecision
    fresh_for: timedelta
    trade: Trade | None = None
    refused_trade_id: int | None = None


def settle_all(
    answered: Sequence[tuple[Job, Answer]], *, now: datetime, max_age: timedelta
) -> list[BotDecision | None]:
    """Commit decisions of bots of one broker, with their orders. None for each whose lease was lost.

    Args:
        max_age: how old a signal may be. An answer that comes later is recorded as missed, and an order must
            leave before that age.
    """
    with transaction.atomic():
        held = _lock_all(answered, now=now, max_age=max_age)
        fresh = [each for each in held.values() if not _is_too_late(each, max_age=max_age)]
        if fresh:
            _decide(fresh, now=now)
        _write(held.values(), now=now)
    return [held[job.decision_id].row if job.decision_id in held else None for job, _ in answered]


def _lock_all(answered: Sequence[tuple[Job, Answer]], *, now: datetime, max_age: timedelta) -> dict[int, _Decision]:
    """Lock the bots, then the leases that their attempts still hold."""
    bots = ActiveStrategy.objects.select_for_update(no_key=True).order_by("id")
    bots_by_id = {bot.id: bot for bot in bots.filter(id__in=[job.bot_id for job, _ in answered])}
    leases = BotDecision.objects.select_for_update().filter(status="leased").order_by("id")
    rows = {row.id: row for row in leases.filter(id__in=[job.decision_id for job, _ in answered])}
    held = {}
    for job, answer in answered:
        bot, row = bots_by_id.get(job.bot_id), rows.get(job.decision_id)
        if bot is not None and row is not None and row.leased_by == job.token:
            fresh_for = max_age if row.sent_at is None else row.sent_at + max_age - now
            held[row.id] = _Decision(job, answer, bot, row, fresh_for)
    return held


def _is_too_late(decision: _Decision, *, max_age: timedelta) -> bool:
    if decision.fresh_for > timedelta():
        return False
    age, row = (max_age - decision.fresh_for).total_seconds(), decision.row
    row.status, row.action = "missed", "none"
    row.reason = f"manqué : évaluation terminée {age:.0f} s après le signal"
    row.details = {"cause": TOO_SLOW}
    return True


def _decide(decisions: Sequence[_Decision], *, now: datetime) -> None:
    """Size what each wants, one after the other: what one reserves the next does not have."""
    account = _Account(decisions, now=now)
    for decision in decisions:
        row, answer = decision.row, decision.answer
        wanted = account.wanted(decision)
        if isinstance(wanted, OrderRequest):
            account.order(decision, wanted)
        else:
            row.action, row.reason = "none", wanted.reason
        row.status = "decided"
        row.details = _details(answer, quote=decision.job.symbol.partition("/")[2])
        row.seen = answer.seen.body()
    account.write()


class _Account:
    """What the decisions of one broker share, read once under the locks of their owners and of its money."""

    def __init__(self, decisions: Sequence[_Decision], *, now: datetime) -> None:
        first = decisions[0].job
        self._now = now
        self._broker_id = first.broker_id
        owners = {each.job.bot_id: owner_of(each.job.bot_id) for each in decisions}
        # What is read here as reserved stays so until our own orders are committed.
        lock_owners_and_money(
            broker_id=first.broker_id, markets=[(each.job.symbol, owners[each.job.bot_id]) for each in decisions]
        )
        # The orders before the positions: what fills in between then shows in both.
        self._waiting = live_orders(list(owners))
        self._blocked = blocked_markets({(each.job.broker_id, each.job.symbol) for each in decisions})
        rows = closing.leaving_at_once(first.broker_id, owners.values())
        self._positions = {(row.symbol, row.owner): row for row in rows}
        self._reserved: dict[datetime, Mapping[str, Decimal]] = {}
        self._orders = OrderBatch(broker_id=first.broker_id, user_id=first.user_id)
        self._left: list[tuple[Position, str]] = []

    def wanted(self, decision: _Decision) -> OrderRequest | NoOrder:
        """Return what the strategy's answer comes to, or why to nothing."""
        job, answer = decision.job, decision.answer
        changed = self._what_changed(decision)
        if changed or job.market is None:
            return NoOrder(changed or job.obstacle)
        quote = job.market.quote
        funds = Funds(
            free=answer.balance.free.get(quote, Decimal(0)),
            reserved=self._held(answer.asked_at).get(quote, Decimal(0)) + self._orders.reserved(quote),
            cap=job.cap,
        )
        return size_order(answer.evaluation, market=job.market, price=answer.price, funds=funds, held=job.held)

    def order(self, decision: _Decision, request: OrderRequest) -> None:
        """Gather the order; a refusal (filters, minimum) is a decision too, and the refused attempt a row."""
        decision.row.action = request.side.value
        try:
            if request.side is Side.SELL and decision.job.position_id is not None:
                decision.trade = self._leave(decision, request)
            else:
                decision.trade = self._add(decision, request)
        except InvalidInput as exc:
            decision.row.reason, decision.refused_trade_id = exc.message, exc.details.get("trade_id")
        else:
            decision.row.reason = _order_reason(decision.trade, request, decision.answer.price)

    def write(self) -> None:
        """Write the orders, and the positions that they leave."""
        self._orders.write()
        if self._left:
            ledger.mark_all_closing(self._left, reason=closing.SIGNAL, now=self._now)

    def _held(self, asked_at: datetime) -> Mapping[str, Decimal]:
        if asked_at not in self._reserved:
            self._reserved[asked_at] = reserved_by_currency(self._broker_id, as_of=asked_at)
        return self._reserved[asked_at]

    def _what_changed(self, decision: _Decision) -> str:
        """Say in French what happened to the bot during the evaluation, "" when nothing did."""
        job, bot = decision.job, decision.bot
        if not bot.is_active or bot.pause_reason:
            return "bot arrêté ou suspendu pendant l'évaluation"
        in_the_way = self._waiting.get(bot.id) or self._blocked.get((job.broker_id, job.symbol))
        if in_the_way:
            return in_the_way
        position = self._position(job)
        if (None if position is None else (position.id, position.quantity)) != _seen(job):
            return "position modifiée pendant l'évaluation"
        if position is not None and position.status == Position.Status.CLOSING:
            return "sortie de position en cours"
        return ""

    def _position(self, job: Job) -> Position | None:
        return self._positions.get((job.symbol, owner_of(job.bot_id)))

    def _leave(self, decision: _Decision, request: OrderRequest) -> Trade | None:
        """Leave the position; None while its protection is cancelled first: the sale follows by itself."""
        job, price, now = decision.job, decision.answer.price, self._now
        position = self._position(job)
        if position is None or not position.is_plain:
            with following(job.trace_id, user_id=job.user_id):
                progress = closing.begin(
                    job.position_id or 0, reason=closing.SIGNAL, price=price, now=now, market_time=job.close_time
                )
            return progress.trade
        trade = self._add(decision, request, position=position)
        self._left.append((position, job.trace_id))
        return trade

    def _add(self, decision: _Decision, request: OrderRequest, *, position: Position | None = None) -> Trade:
        job = decision.job
        if job.market is None:
            raise InvalidInput(job.obstacle)
        terms = _entry_terms(job, decision.fresh_for) if position is None else _exit_terms(job, position)
        context = OrderContext(
            user_id=job.user_id,
            broker_id=job.broker_id,
            source=OrderSource.STRATEGY,
            owner=owner_of(job.bot_id),
            now=self._now,
            bot_id=job.bot_id,
            strategy_id=job.strategy_id,
            trace_id=job.trace_id,
            **terms,
        )
        return self._orders.add(context, request, market=job.market, reference_price=decision.answer.price)


def _entry_terms(job: Job, fresh_for: timedelta) -> dict[str, Any]:
    return {
        "intent": Trade.Intent.ENTRY,
        "market_time": job.close_time,
        "valid_for": min(ORDER_VALID_FOR, fresh_for),
    }


def _exit_terms(job: Job, position: Any) -> dict[str, Any]:
    """As `ownership.context_for`: what is stored of a fast market lags behind its executions."""
    return {
        "intent": Trade.Intent.EXIT,
        "position_id": position.id,
        "market_time": max(job.close_time, position.last_fill_at or job.close_time),
    }


def _write(decisions: Iterable[_Decision], *, now: datetime) -> None:
    """Write the rows of the decisions in one statement."""
    values: list[tuple[Any, ...]] = []
    for each in decisions:
        row = each.row
        row.trade_id = each.refused_trade_id if each.trade is None else each.trade.id
        row.lease_until, row.decided_at = None, now
        seen = None if row.seen is None else json.dumps(row.seen)
        values.append((row.id, row.status, row.action, row.reason, json.dumps(row.details), seen, row.trade_id))
    if not values:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bot_decisions d SET status = v.status, action = v.action, reason = v.reason,"
            " details = v.details::jsonb, seen = v.seen::jsonb, trade_id = v.trade_id, lease_until = NULL,"
            " decided_at = %s"
            " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])"
            " AS v(id, status, action, reason, details, seen, trade_id) WHERE d.id = v.id",
            [now, *(list(column) for column in zip(*values, strict=True))],
        )


def _seen(job: Job) -> tuple[int, Decimal] | None:
    return None if job.position_id is None or job.held is None else (job.position_id, job.held)


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
