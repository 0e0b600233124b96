"""Bots of a restored instance: held back when it is restored, resumed when their user has looked."""

from collections import defaultdict
from datetime import datetime
from typing import Any

import structlog
from django.contrib.auth import get_user_model
from django.db import transaction

from apps.core.selectors import restorations as selectors
from apps.core.services import restorations
from apps.market_data.selectors import market_now
from apps.orders import ledger
from apps.orders.models import Position
from apps.trading_engine.models import ActiveStrategy
from apps.trading_engine.services import bots
from domain.errors import AristobotError

log = structlog.get_logger(__name__)

SOLD_ELSEWHERE = "vendue après la sauvegarde"


def hold_bots() -> dict[int, list[int]]:
    """Switch every bot off; return, for each user, the ids of those that were on."""
    were_on: dict[int, list[int]] = defaultdict(list)
    for user_id in get_user_model().objects.values_list("id", flat=True):
        were_on[user_id] = []
    active = ActiveStrategy.objects.filter(is_active=True)
    for bot_id, user_id in active.order_by("id").values_list("id", "user_id"):
        were_on[user_id].append(bot_id)
    active.update(is_active=False)
    return dict(were_on)


def body_of(user_id: int) -> dict[str, Any]:
    """Return what the user has to look at, `waiting: False` when nothing."""
    row = selectors.waiting_of(user_id)
    if row is None:
        return {"waiting": False}
    return {
        "waiting": True,
        "backup_taken_at": row.backup_taken_at,
        "restored_at": row.restored_at,
        "host": row.host,
        "bots": len(row.bots),
        "settled": row.settled,
        "report": row.report,
        "reconciled_at": row.reconciled_at,
    }


def confirm(user_id: int, *, now: datetime) -> dict[str, Any]:
    """Let the instance act for this user again: close what was sold elsewhere, resume the bots that were on.

    Returns:
        How many bots were resumed, how many positions closed, and why the other bots were not resumed (French).

    Raises:
        NotFound, Conflict: as `restorations.confirm`.
    """
    with transaction.atomic():
        row = restorations.confirm(user_id, now=now)
        written_off = sum(_write_off(user_id, each["id"], now=now) for each in (row.report or {})["positions"])
    resumed, refusals = 0, []
    for bot_id in row.bots:
        try:
            bots.resume(user_id, bot_id, now=now)
            resumed += 1
        except AristobotError as exc:
            refusals.append(exc.message)
    log.info("restoration.confirmed", user_id=user_id, resumed=resumed, written_off=written_off)
    return {"resumed": resumed, "closed": written_off, "refusals": refusals}


def _write_off(user_id: int, position_id: int, *, now: datetime) -> bool:
    position = Position.objects.select_related("broker").filter(id=position_id, user_id=user_id).first()
    if position is None:
        return False
    market_time = market_now(position.broker.exchange, now=now)
    return ledger.write_off(position_id, reason=SOLD_ELSEWHERE, now=market_time or now)
