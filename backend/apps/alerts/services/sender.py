"""Sends what the outbox holds. Runs in terminals 3 and 5, so that one of them tells of the other's end."""

import asyncio
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from apps.alerts.services import outbox
from apps.alerts.services.outbox import Batch
from apps.core.adapters import secrets
from apps.core.adapters.database import in_database
from domain.alerts import compose
from domain.errors import AlertNotSent, AristobotError, Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

POLL_S = 2.0
_SUMMARY_TITLE = "Aristobot : résumé du jour"
_CLEAN_EVERY = timedelta(hours=1)

Send = Callable[[str, str, str], None]  # address, title, body; blocks, bounded in time; raises AlertNotSent


class AlertSender:
    """Polls the outbox; addresses are served side by side, each in a thread."""

    def __init__(self, *, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._cleaned_at: datetime | None = None

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                await self.step()
            except Unavailable as exc:
                log.warning("alerts.database_down", error=exc.message)
            await self._clock.sleep(POLL_S)

    async def step(self) -> int:
        """Serve what is due now; return how many messages were tried.

        Raises:
            Unavailable: PostgreSQL does not answer; leases run out by themselves.
        """
        now = self._clock.now()
        if self._cleaned_at is None or now - self._cleaned_at > _CLEAN_EVERY:
            await in_database(outbox.forget_old, now)
            self._cleaned_at = now
        batches = await in_database(outbox.claim_due, now)
        await asyncio.gather(*(self._serve(batch) for batch in batches))
        return len(batches)

    async def _serve(self, batch: Batch) -> None:
        title, body = compose(batch.alerts, **({"title": _SUMMARY_TITLE} if batch.is_summary else {}))
        try:
            address = secrets.decrypt(batch.token)
            await asyncio.to_thread(self._send, address, title, body)
        except AristobotError as exc:
            log.warning("alerts.not_sent", address_id=batch.address_id, code=exc.error_code)
            await in_database(outbox.note_failed, batch, exc.message, self._clock.now())
        except Exception as exc:  # noqa: BLE001 — boundary: one service's bug must not silence the others
            # Where it happened, without its words: they may quote the address.
            where = traceback.format_tb(exc.__traceback__)[-3:]
            log.error("alerts.sender_failed", address_id=batch.address_id, kind=type(exc).__name__, where=where)
            failed = AlertNotSent("Envoi impossible : erreur interne, voir le journal du service.")
            await in_database(outbox.note_failed, batch, failed.message, self._clock.now())
        else:
            log.info("alerts.sent", address_id=batch.address_id, alerts=len(batch.alerts))
            for trace_id in batch.traces:
                log.info("alert.sent", user_id=batch.user_id, trace_id=trace_id, address_id=batch.address_id)
            await in_database(outbox.note_sent, batch, self._clock.now())
