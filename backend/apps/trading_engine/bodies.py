"""How bots and decisions look to a browser: the same bodies for the API and for events."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.brokers.models import Broker
from apps.core.tracing import decision_trace
from apps.orders.events import amount, position_body, trade_body
from apps.orders.models import Position, Trade
from apps.trading_engine.models import ActiveStrategy, BotDecision, ParityRun
from domain.french import number

STOPPED_AT = datetime.fromisoformat("2001-01-01T00:00:00+00:00")


def decision_body(row: BotDecision) -> dict[str, Any]:
    """Return the JSON body of a decision."""
    return {
        "id": row.id,
        "signal_id": row.signal_id,
        "close_time": _iso(row.close_time),
        "status": row.status,
        "action": row.action or "none",
        "reason": row.reason,
        "details": row.details,
        "decided_at": _iso(row.decided_at),
        "trade": row.trade_id,
        "trace_id": decision_trace(row.signal_id, row.bot_id),
    }


def parity_body(run_id: int) -> dict[str, Any] | None:
    """Return the JSON body of a replayed day without its differences; None when it was deleted meanwhile."""
    run = ParityRun.objects.filter(id=run_id).first()
    return None if run is None else _parity_summary(run)


def parity_run_body(run: ParityRun) -> dict[str, Any]:
    """Return the JSON body of a replayed day; its differences are prefetched."""
    differences = [
        {
            "decision": each.decision_id,
            "close_time": _iso(each.close_time),
            "live": each.live,
            "replayed": each.replayed,
            "cause": each.cause,
            "explanation": each.explanation,
        }
        for each in run.differences.all()
    ]
    return {**_parity_summary(run), "differences": differences}


def _parity_summary(run: ParityRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "bot": run.bot_id,
        "day": run.day.isoformat(),
        "status": run.status,
        "is_complete": run.is_complete,
        "checked": run.checked,
        "differing": run.differing,
        "unverifiable": run.unverifiable,
        "reason": run.reason,
        "asked_at": _iso(run.asked_at),
        "done_at": _iso(run.done_at),
    }


def bot_settings_body(bot: ActiveStrategy, *, market_now: datetime) -> dict[str, Any]:
    """Return what the user set and the state that follows from it."""
    return {
        "id": bot.id,
        "strategy": bot.strategy_id,
        "strategy_name": bot.strategy.name,
        "broker": bot.broker_id,
        "broker_name": bot.broker.name,
        "mode": mode(bot.broker),
        "symbol": bot.symbol,
        "quote_currency": bot.symbol.partition("/")[2],
        "timeframe": bot.timeframe,
        "start_date": _iso(bot.start_date),
        "end_date": _iso(bot.end_date),
        "is_active": bot.is_active,
        "amount": amount(bot.amount),
        "params": bot.params,
        "state": state(bot, market_now=market_now),
        "pause_reason": bot.pause_reason,
        "pause_details": bot.pause_details,
        "paused_at": _iso(bot.paused_at),
        "created_at": _iso(bot.created_at),
    }


def bot_body(
    bot: ActiveStrategy,
    *,
    market_now: datetime,
    last_decision: BotDecision | None,
    position: Position | None,
    realized_pnl: Decimal,
    trades: Sequence[Trade],
) -> dict[str, Any]:
    """Return the whole JSON body of a bot."""
    return {
        **bot_settings_body(bot, market_now=market_now),
        "last_decision": None if last_decision is None else decision_body(last_decision),
        "position": None if position is None else position_body(position),
        "realized_pnl": amount(realized_pnl),
        "unrealized_pnl": None if position is None else amount(position.unrealized_pnl),
        "trades": [trade_body(trade) for trade in trades],
        "amount_warning": amount_warning(bot, last_decision, position),
    }


def amount_warning(bot: ActiveStrategy, decision: BotDecision | None, position: Position | None) -> str:
    """Say that a bot's cap exceeds what its account holds, by the balance that its last decision saw."""
    seen = None if decision is None else decision.details.get("free")
    if bot.amount is None or seen is None:
        return ""
    held = Decimal(0) if position is None else position.quantity * position.entry_price
    owned = Decimal(seen) + held
    if bot.amount <= owned:
        return ""
    quote = bot.symbol.partition("/")[2]
    return (
        f"Plafond de {number(bot.amount)} {quote} supérieur au solde : {number(round(owned, 2))} {quote} à la "
        "dernière décision."
    )


def state(bot: ActiveStrategy, *, market_now: datetime) -> str:
    """Return running, waiting, suspended, stopped, paused_error or ended, at that market time."""
    if bot.end_date <= STOPPED_AT:
        return "stopped"
    if bot.pause_reason:
        return "paused_error"
    if not bot.is_active:
        return "suspended"
    if market_now < bot.start_date:
        return "waiting"
    return "ended" if market_now > bot.end_date else "running"


def mode(broker: Broker) -> str:
    """Return whose money it is: simulation, testnet or real."""
    if broker.exchange == "simex":
        return "simulation"
    return "testnet" if broker.is_testnet else "real"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
