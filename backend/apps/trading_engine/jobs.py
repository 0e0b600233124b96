"""What the engine knows of a bot when it evaluates it: one snapshot, read in a few queries for all bots."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q

from apps.core.tracing import decision_trace
from apps.market_data.selectors import candle_source_of, market_for
from apps.orders.events import amount
from apps.orders.models import Position, Trade
from apps.orders.selectors import BOT_OWNER, LIVE_STATUSES, unknown_orders
from apps.trading_engine.models import ActiveStrategy, BotDecision
from domain.errors import NotFound, Unavailable
from domain.markets import Market
from domain.messages import Signal
from domain.orders import OrderSource, OrderStatus, Side
from domain.strategies.contract import PositionView
from domain.timeframes import Timeframe, to_ms

SIMULATED = "simex"
_SIDES = {Side.BUY: "d'achat", Side.SELL: "de vente"}
_SOURCES = {
    OrderSource.MANUAL: "manuel",
    OrderSource.STRATEGY: "d'un bot",
    OrderSource.WEBHOOK: "d'un webhook",
    OrderSource.EXTERNAL: "externe",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One lease and everything its evaluation needs. `obstacle` is the French reason not to evaluate."""

    decision_id: int
    token: str
    feed: str
    close_time: datetime
    timeframe: Timeframe
    bot_id: int
    user_id: int
    strategy_id: int
    broker_id: int
    exchange: str
    is_testnet: bool
    symbol: str
    code: str
    params: Mapping[str, Any]
    cap: Decimal | None
    market: Market | None
    position_id: int | None
    held: Decimal | None
    position: PositionView | None
    obstacle: str
    trace_id: str = ""
    relay: str = ""  # key of the candles of a simulated exchange that relays the feed which signalled

    @property
    def candle_source(self) -> str:
        """Whose candles the strategy sees: a simulated exchange's are those of the run that signalled."""
        if self.exchange == SIMULATED:
            return self.relay or self.feed
        return f"{self.exchange}-testnet" if self.is_testnet else self.exchange


def owner_of(bot_id: int) -> str:
    """Return the key of a bot's positions and orders."""
    return f"{BOT_OWNER}{bot_id}"


def matching_bots(signal: Signal) -> list[ActiveStrategy]:
    """Return the bots that this close concerns: switched on, in their dates, of the signal's world.

    A simulated feed serves simulated brokers only; Binance's serves every real exchange, and the Simulateur
    when that trades at real prices.
    """
    bots = ActiveStrategy.objects.filter(
        is_active=True,
        pause_reason="",
        timeframe=signal.timeframe.value,
        start_date__lte=signal.close_time,
        end_date__gte=signal.close_time,
        broker__is_active=True,
    ).select_related("strategy", "broker")
    if _is_simulated(signal.feed):
        bots = bots.filter(broker__exchange=SIMULATED)
    elif not settings.SIMEX_REAL_PRICES:
        bots = bots.exclude(broker__exchange=SIMULATED)
    return list(bots.order_by("id"))


def _is_simulated(feed: str) -> bool:
    return feed.startswith(f"{SIMULATED}:")


def build_jobs(decisions: Sequence[BotDecision], bots: Mapping[int, ActiveStrategy]) -> list[Job]:
    """Return one job per leased row; `bots` come with their strategy and broker."""
    ids = [decision.bot_id for decision in decisions]
    blocked = blocked_markets([(bot.broker_id, bot.symbol) for bot in bots.values()])
    obstacles = live_orders(ids)  # before the positions: what fills in between then shows in both
    positions = {
        position.bot_id: position
        for position in Position.objects.filter(bot_id__in=ids).exclude(status=Position.Status.CLOSED)
    }
    markets: dict[tuple[str, str], Market | None] = {}
    jobs = []
    for decision in decisions:
        bot = bots.get(decision.bot_id)
        if bot is None:  # deleted since
            continue
        key = (bot.broker.exchange, bot.symbol)
        if key not in markets:
            markets[key] = _market(*key)
        obstacle = obstacles.get(bot.id) or blocked.get((bot.broker_id, bot.symbol), "")
        jobs.append(_job(decision, bot, markets[key], positions.get(bot.id), obstacle))
    return jobs


def live_orders(bot_ids: Sequence[int]) -> dict[int, str]:
    """Return, for each bot with an order that is not final, why it must wait.

    What protects an open position is meant to rest: it is cancelled first when the position is left.
    """
    found: dict[int, str] = {}
    protecting = Q(intent=Trade.Intent.PROTECTION)
    resting = protecting & Q(position__status=Position.Status.OPEN) & ~Q(status=OrderStatus.UNKNOWN)
    live = Trade.objects.filter(bot_id__in=bot_ids, status__in=LIVE_STATUSES).exclude(resting)
    for bot_id, status, intent in live.values_list("bot_id", "status", "intent"):
        if status == OrderStatus.UNKNOWN:
            found[bot_id] = "ordre de statut inconnu : recherché auprès de l'exchange par son identifiant"
        elif intent == Trade.Intent.PROTECTION:
            found.setdefault(bot_id, "protection de la position en cours d'annulation")
        else:
            found.setdefault(bot_id, "ordre en cours")
    return found


def blocked_markets(markets: Collection[tuple[int, str]]) -> dict[tuple[int, str], str]:
    """Return, for each (broker, symbol) where anybody's order is of unknown outcome, why bots must wait there."""
    return {
        market: (
            f"{order.symbol} bloqué : l'ordre {_SIDES[order.side]} n° {order.id} ({amount(order.quantity)} "
            f"{order.symbol}, {_SOURCES[order.source]}) est de statut inconnu, recherché auprès de l'exchange"
        )
        for market, order in unknown_orders(markets).items()
    }


def _job(
    decision: BotDecision, bot: ActiveStrategy, market: Market | None, position: Position | None, obstacle: str
) -> Job:
    if not bot.is_active or bot.pause_reason:  # since the lease was taken
        obstacle = "bot arrêté ou suspendu avant son évaluation"
    elif market is None:
        obstacle = f"symbole {bot.symbol} absent des marchés chargés de {bot.broker.exchange}"
    elif not obstacle and position is not None and position.status == Position.Status.CLOSING:
        obstacle = "sortie de position en cours"
    return Job(
        decision_id=decision.id,
        token=decision.leased_by,
        feed=decision.feed,
        close_time=decision.close_time,
        timeframe=Timeframe(bot.timeframe),
        bot_id=bot.id,
        user_id=bot.user_id,
        strategy_id=bot.strategy_id,
        broker_id=bot.broker_id,
        exchange=bot.broker.exchange,
        is_testnet=bot.broker.is_testnet,
        symbol=bot.symbol,
        code=bot.strategy.code,
        params=bot.params,
        cap=bot.amount,
        market=market,
        position_id=None if position is None else position.id,
        held=None if position is None else position.quantity,
        position=None if position is None else position_view(position),
        obstacle=obstacle,
        trace_id=decision_trace(decision.signal_id, bot.id),
        relay=_relay(decision.feed) if bot.broker.exchange == SIMULATED else "",
    )


def position_view(position: Position) -> PositionView:
    """Return what a strategy may see of a position, as floats."""
    return PositionView(
        side=position.side,
        quantity=float(position.quantity),
        entry_price=float(position.entry_price),
        entry_time_ms=to_ms(position.opened_at),
        stop_loss=None if position.stop_loss is None else float(position.stop_loss),
        take_profit=None if position.take_profit is None else float(position.take_profit),
        unrealized_pnl=float(position.unrealized_pnl or 0),
    )


def _relay(feed: str) -> str:
    """Return the candle source of the simulated exchange when another market's closes are its signals."""
    if _is_simulated(feed):
        return ""
    try:
        return candle_source_of(SIMULATED)
    except Unavailable:  # its markets are not loaded either, which is said as the obstacle
        return ""


def _market(exchange: str, symbol: str) -> Market | None:
    try:
        return market_for(exchange, symbol)
    except NotFound:
        return None
