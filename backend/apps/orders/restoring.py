"""What a restored database may not believe of its orders, set right before any process runs on it.

The instance that was backed up went on: what waited in the backup most likely left a moment later. So a waiting
order is one whose outcome is unknown, looked up by its client id and never sent; a wish to cancel or amend was
carried out there, or nobody is left who wants it.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.orders.models import OrderCommand, Trade
from domain.orders import OrderStatus

_ABANDONED = "Demande abandonnée : l'instance a été restaurée depuis une sauvegarde."


@dataclass(frozen=True, slots=True)
class Settled:
    """How many rows were in flight in the backup."""

    orders: int
    commands: int


@transaction.atomic
def settle(now: datetime) -> Settled:
    """Make `pending` orders ones that left already (terminal 5 then looks them up), and give up commands."""
    pending = Trade.objects.filter(status=OrderStatus.PENDING)
    moved = pending.update(status=OrderStatus.SENDING.value, sending_at=now, valid_until=now)
    # Who claimed it has a lease of its own there, which says nothing here.
    Trade.objects.filter(status=OrderStatus.SENDING).update(claimed_by=None)
    live = OrderCommand.objects.filter(status__in=[OrderCommand.Status.PENDING, OrderCommand.Status.CLAIMED])
    commands = live.update(status=OrderCommand.Status.FAILED, error_message=_ABANDONED, done_at=now)
    sending = Trade.objects.filter(status=OrderStatus.SENDING).count()
    return Settled(orders=max(moved, sending), commands=commands)
