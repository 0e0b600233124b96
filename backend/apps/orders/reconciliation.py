"""What a process that takes over does before it sends anything, and whenever it gets its lease back."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import Q

from apps.brokers.selectors import order_abilities
from apps.orders import ledger
from apps.orders.claims import Key
from apps.orders.models import OrderCommand, Trade
from apps.orders.selectors import RESTING_STATUSES
from domain.errors import OrderNotExecuted
from domain.orders import OrderStatus, OrderType

log = structlog.get_logger(__name__)

_NEVER_LEFT = OrderNotExecuted(
    "Ordre pas encore parti : PostgreSQL n'a pas répondu au moment de l'envoyer.", code="database_down"
)


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many orders were found in each state."""

    expired: int
    unsent: int
    unknown: int
    followed: int
    commands: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What a process knows of its own claims.

    Attributes:
        by: its name in the rows it claims.
        got: the orders it was told it had claimed, and may have sent; of those no longer valid some are missing.
        busy: keys whose orders it is sending at the moment.
        claiming: brokers whose orders it is about to claim.
    """

    by: str = ""
    got: Collection[int] = ()
    busy: Collection[Key] = ()
    claiming: Collection[int] = ()


NO_CLAIMS = Claims()


def recover(
    *, now: datetime, proof_span: timedelta, others_until: datetime | None, own: Claims = NO_CLAIMS
) -> Recovered:
    """Bring the rows that a dead process left into states that the loops can work from.

    `pending` past its deadline is `expired` (never sent); what rests is asked again at once. `sending` is one of
    - claimed by this process, which was never told so (the database failed meanwhile): it did not leave and waits
      again;
    - `unknown`: it may have left, and its absence is proven only later (`_absent_after`).

    Args:
        proof_span: the exchange's receive window + our time-out + the offset of its clock.
        others_until: when whatever another process sent has arrived, where the exchange refuses what comes late;
            None where that is not known.
    """
    overdue = list(Trade.objects.filter(status=OrderStatus.PENDING, valid_until__lte=now).order_by("id"))
    for trade in overdue:
        ledger.mark_expired(trade.id, now=now)
    sending = Trade.objects.filter(status=OrderStatus.SENDING).select_related("broker").order_by("id")
    orphans = [
        trade
        for trade in sending
        if trade.broker_id not in own.claiming and (trade.broker_id, trade.symbol, trade.owner) not in own.busy
    ]
    unsent = [
        trade.id
        for trade in orphans
        if trade.claimed_by == own.by and trade.id not in own.got and now < trade.valid_until
    ]
    ledger.together(ledger.mark_not_executed, unsent, _NEVER_LEFT, by=own.by, now=now, retry_at=now)
    lost = [trade for trade in orphans if trade.id not in unsent]
    for trade in lost:
        ledger.mark_unknown(
            trade.id,
            reason="le service d'ordres s'est arrêté pendant l'envoi.",
            absent_after=_absent_after(trade, now=now, proof_span=proof_span, others_until=others_until, by=own.by),
            now=now,
        )
    live = Trade.objects.filter(Q(status__in=RESTING_STATUSES) | Q(status=OrderStatus.UNKNOWN))
    followed = live.update(next_check_at=now, check_count=0)
    claimed = OrderCommand.objects.filter(status=OrderCommand.Status.CLAIMED)
    commands = claimed.update(status=OrderCommand.Status.PENDING, next_attempt_at=None)
    found = Recovered(
        expired=len(overdue), unsent=len(unsent), unknown=len(lost), followed=followed, commands=commands
    )
    log.info(
        "orders.recovered",
        expired=found.expired,
        unsent=found.unsent,
        unknown=found.unknown,
        followed=found.followed,
        commands=found.commands,
    )
    return found


def _absent_after(
    trade: Trade, *, now: datetime, proof_span: timedelta, others_until: datetime | None, by: str
) -> datetime:
    """Return when "not found" proves that an order left on its way never arrived.

    Another process signed it to end with its lease at the latest: that is over where the exchange keeps to it.
    """
    after = max(now, trade.valid_until) + proof_span
    if others_until is None or trade.claimed_by in (None, by):
        return after
    abilities = order_abilities(trade.broker.exchange)
    is_refused_late = abilities is not None and OrderType(trade.type) in abilities.refused_late
    return min(after, others_until) if is_refused_late else after
