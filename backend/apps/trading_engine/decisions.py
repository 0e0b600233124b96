"""Writes the decisions that make no order: an obstacle, a failure, a pause. Those that may are in `settlement`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.alerts.services import recording
from apps.trading_engine.jobs import Job
from apps.trading_engine.leases import TOO_SLOW
from apps.trading_engine.models import ActiveStrategy, BotDecision
from domain.alerts import AlertKind
from domain.errors import AristobotError

MISSED_IN_A_ROW = 3


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
