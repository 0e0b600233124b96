"""What a process that takes over does before it sends anything, and whenever it gets its lease back."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import Q

from apps.orders import ledger
from apps.orders.claims import Key
from apps.orders.models import OrderCommand, Trade
from apps.orders.selectors import RESTING_STATUSES
from domain.orders import OrderStatus

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many orders were found in each state."""

    expired: int
    unknown: int
    followed: int
    commands: int


def recover(
    *, now: datetime, proof_span: timedelta, busy: Collection[Key] = (), claiming: Collection[int] = ()
) -> Recovered:
    """Bring the rows that a dead process left into states that the loops can work from.

    `pending` past its deadline is `expired` (never sent); `sending` is `unknown`: it may have left until its
    deadline, so its absence is proven only `proof_span` after that; what rests is asked again at once.

    Args:
        proof_span: the exchange's receive window + our time-out + the offset of its clock.
        busy: keys whose orders this very process is sending at the moment.
        claiming: brokers whose orders it is about to claim.
    """
    overdue = list(Trade.objects.filter(status=OrderStatus.PENDING, valid_until__lte=now).order_by("id"))
    for trade in overdue:
        ledger.mark_expired(trade.id, now=now)
    sending = Trade.objects.filter(status=OrderStatus.SENDING).order_by("id")
    orphans = [
        trade
        for trade in sending
        if trade.broker_id not in claiming and (trade.broker_id, trade.symbol, trade.owner) not in busy
    ]
    for trade in orphans:
        ledger.mark_unknown(
            trade.id,
            reason="le service d'ordres s'est arrêté pendant l'envoi.",
            absent_after=max(now, trade.valid_until) + proof_span,
            now=now,
        )
    live = Trade.objects.filter(Q(status__in=RESTING_STATUSES) | Q(status=OrderStatus.UNKNOWN))
    followed = live.update(next_check_at=now, check_count=0)
    claimed = OrderCommand.objects.filter(status=OrderCommand.Status.CLAIMED)
    commands = claimed.update(status=OrderCommand.Status.PENDING, next_attempt_at=None)
    found = Recovered(expired=len(overdue), unknown=len(orphans), followed=followed, commands=commands)
    log.info(
        "orders.recovered",
        expired=found.expired,
        unknown=found.unknown,
        followed=found.followed,
        commands=found.commands,
    )
    return found
