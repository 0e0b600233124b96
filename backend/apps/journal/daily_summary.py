"""Makes the daily summary of whoever wants one, once a day: its row and its alert are committed together.

Of the wall clock's last 24 hours, unlike the page's days: on a fast simulated market those are months.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, Sum

from apps.alerts.models import Alert, AlertPreferences
from apps.alerts.services import recording
from apps.brokers.models import Broker
from apps.core.adapters.database import in_database
from apps.journal.models import DailySummary
from apps.orders.models import Position, Trade
from apps.trading_engine.models import ActiveStrategy
from domain.alerts import AlertKind
from domain.daily_summary import Due, Facts, OpenPositions, Result, compose, due_at
from domain.errors import Unavailable
from domain.orders import OrderStatus
from domain.ports import Clock

log = structlog.get_logger(__name__)

_EVERY_S = 20.0
_SIMEX = "simex"


class DailySummaries:
    """Terminal 3's side: looks for what is due."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def run(self) -> None:
        """Run until cancelled; a database that is away is tried again."""
        while True:
            try:
                await in_database(make_due, self._clock.now())
            except Unavailable as exc:
                log.warning("summary.postponed", reason=exc.message)
            await self._clock.sleep(_EVERY_S)


def make_due(now: datetime) -> int:
    """Make every summary that is due and was not made; return how many."""
    wanted = AlertPreferences.objects.filter(summary_hour__isnull=False, user__is_active=True)
    made = 0
    for user_id, hour, zone in wanted.values_list("user_id", "summary_hour", "summary_zone"):
        due = due_at(now, hour=hour, zone=zone)
        if due is not None and not DailySummary.objects.filter(user_id=user_id, day=due.day).exists():
            made += _make(user_id, due, now=now)
    return made


def _make(user_id: int, due: Due, *, now: datetime) -> bool:
    text = compose(due, facts_of(user_id, due))
    try:
        with transaction.atomic():
            DailySummary.objects.create(user_id=user_id, day=due.day, created_at=now)
            recording.record(
                user_id,
                kind=AlertKind.SUMMARY,
                code="daily_summary",
                subject=f"day:{due.day.isoformat()}",
                message=text,
                now=now,
            )
    except IntegrityError:  # another process made it at the same moment
        return False
    return True


def facts_of(user_id: int, due: Due) -> Facts:
    """Return what the summary tells of the user's last 24 hours."""
    modes = {pk: mode_of(exchange, is_testnet=test) for pk, exchange, test in _brokers(user_id)}
    span = {"created_at__gte": due.begin, "created_at__lt": due.end}
    orders = Trade.objects.filter(user_id=user_id, **span)
    alerts = Alert.objects.filter(user_id=user_id, **span).exclude(
        kind__in=[AlertKind.TEST.value, AlertKind.SUMMARY.value]
    )
    bots = ActiveStrategy.objects.filter(user_id=user_id, is_active=True).select_related("strategy")
    return Facts(
        results=_results(user_id, due, modes),
        positions=_positions(user_id, modes),
        orders=orders.count(),
        refused=orders.filter(status=OrderStatus.REJECTED).count(),
        incidents=list(alerts.order_by("created_at").values_list("message", flat=True)),
        active_bots=bots.filter(pause_reason="").count(),
        paused_bots=[f"{bot.strategy.name} ({bot.symbol})" for bot in bots.exclude(pause_reason="")],
    )


def mode_of(exchange: str, *, is_testnet: bool) -> str:
    if exchange == _SIMEX:
        return "simulation"
    return "testnet" if is_testnet else "real"


def _brokers(user_id: int) -> Any:
    return Broker.objects.filter(user_id=user_id).values_list("pk", "exchange", "is_testnet")


def _results(user_id: int, due: Due, modes: dict[int, str]) -> Sequence[Result]:
    closed = Trade.objects.filter(
        user_id=user_id, profit_loss__isnull=False, closed_at__gte=due.begin, closed_at__lt=due.end
    )
    rows = closed.values("broker_id", "symbol").annotate(
        net=Sum("profit_loss"), trades=Count("pk"), wins=Count("pk", filter=Q(profit_loss__gt=0))
    )
    found: dict[tuple[str, str], Result] = {}
    for row in rows.order_by():
        key = modes[row["broker_id"]], row["symbol"].partition("/")[2]
        one = found.get(key, Result(*key, Decimal(0), 0, 0))
        found[key] = Result(*key, one.net + row["net"], one.trades + row["trades"], one.wins + row["wins"])
    return [found[key] for key in sorted(found)]


def _positions(user_id: int, modes: dict[int, str]) -> Sequence[OpenPositions]:
    held = Position.objects.filter(user_id=user_id).exclude(status=Position.Status.CLOSED)
    found: dict[tuple[str, str], OpenPositions] = {}
    for broker_id, symbol, gain in held.values_list("broker_id", "symbol", "unrealized_pnl"):
        key = modes[broker_id], symbol.partition("/")[2]
        one = found.get(key, OpenPositions(*key, 0, Decimal(0)))
        total = None if gain is None or one.unrealized is None else one.unrealized + gain
        found[key] = OpenPositions(*key, one.count + 1, total)
    return [found[key] for key in sorted(found)]
