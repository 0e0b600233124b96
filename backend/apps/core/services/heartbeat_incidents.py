"""Holes, stalls, disconnections and corrections: a row each, told to browsers, closed when mended.

An incident that PostgreSQL cannot take now is kept in memory and written when it is mended.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from apps.core.models import HeartbeatIncident, HeartbeatStatus
from apps.core.selectors.heartbeat import incident_wire
from apps.core.services import heartbeat_store as store
from apps.core.services.heartbeat_events import EventOutbox
from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

Kind = HeartbeatIncident.Kind


@dataclass(slots=True)
class Incident:
    """One incident; `row` is None while PostgreSQL has not taken it."""

    fields: dict[str, Any]
    row: HeartbeatIncident | None = field(default=None)


class IncidentLog:
    """Writes incidents of one run."""

    def __init__(self, *, status: HeartbeatStatus, events: EventOutbox, clock: Clock) -> None:
        self._status = status
        self._events = events
        self._clock = clock
        self._outage: Incident | None = None

    async def open(
        self,
        kind: str,
        *,
        symbol: str,
        message: str,
        mended_at: datetime | None = None,
        **facts: Any,
    ) -> Incident:
        """Record an incident; `mended_at` when it is over already."""
        log.warning("heartbeat.incident", kind=str(kind), symbol=symbol, message=message)
        incident = Incident(
            {
                "kind": kind,
                "symbol": symbol,
                "message": message,
                "feed": self._status.feed,
                "market_time": self._status.market_time,
                "detected_at": self._clock.now(),
                "mended_at": mended_at,
                **facts,
            }
        )
        await self._write(incident)
        return incident

    async def mend(self, incident: Incident) -> None:
        """Record that an incident is over. Raises Unavailable when PostgreSQL does not take it."""
        now = self._clock.now()
        incident.fields["mended_at"] = now
        if incident.row is None:
            incident.row = await store.add_incident(self._status, **incident.fields)
        else:
            await store.mend_incident(incident.row, now=now)
        self._events.put("incident", incident_wire(incident.row))

    async def begin_outage(self, kind: str, *, symbol: str, message: str) -> None:
        """Record that the market is not followed any more; once until it is again."""
        if self._outage is None:
            self._outage = await self.open(kind, symbol=symbol, message=message)

    async def end_outage(self) -> None:
        """The market is followed again and what was missed is back."""
        if self._outage is not None:
            await self.mend(self._outage)
            self._outage = None

    async def _write(self, incident: Incident) -> None:
        try:
            incident.row = await store.add_incident(self._status, **incident.fields)
        except Unavailable:
            return
        self._events.put("incident", incident_wire(incident.row))
