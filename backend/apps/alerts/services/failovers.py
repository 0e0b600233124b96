"""Tells everybody, once, that something stepped in for what failed: a store's replica, the standby terminal 5."""

import structlog

from apps.alerts.services import recording
from apps.core.adapters.database import in_database
from domain.alerts import AlertKind
from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

_RETRY_S = 1.0


async def told_to_everybody(code: str, *, subject: str, message: str, clock: Clock) -> None:
    """Record the alert, again until PostgreSQL takes it."""
    while True:
        try:
            await in_database(
                recording.record_for_everybody,
                kind=AlertKind.SERVICE,
                code=code,
                subject=subject,
                message=message,
                now=clock.now(),
            )
        except Unavailable as exc:
            log.warning("failover.not_told_yet", code=code, error=exc.message)
            await clock.sleep(_RETRY_S)
        else:
            return
