"""Watches both heartbeats and tells everybody, once per change, which one carries the trading, if any."""

from collections.abc import Mapping
from datetime import datetime

import structlog

from apps.alerts.services import recording
from apps.core.adapters.database import in_database
from apps.core.services.health import DEAD_AFTER_S, HEARTBEAT_NAMES, PresenceReader, Report
from domain.alerts import AlertKind
from domain.errors import Unavailable
from domain.heartbeat_sources import SECONDARY, SILENT_AFTER_S, Carried, SourceWatch
from domain.ports import Clock

log = structlog.get_logger(__name__)

_PERIOD_S = 2.0
_SILENCE = f"muet ou coupé du marché depuis {SILENT_AFTER_S:.0f} s"
_MESSAGES = {
    Carried.BY_SECONDARY: f"Basculement : le heartbeat primaire est {_SILENCE}, le secondaire prend le relais. "
    "Le trading continue.",
    Carried.BY_PRIMARY: f"Le heartbeat secondaire est {_SILENCE} : le primaire n'a plus de relais. "
    "Le trading continue.",
}
_ALONE = f"Heartbeat {_SILENCE} : plus aucun signal n'arrive, les bots ne décident plus. TRADING ARRÊTÉ."
_BOTH = (
    f"Heartbeats primaire et secondaire {_SILENCE.replace('muet ou coupé', 'muets ou coupés')} : plus aucun "
    "signal n'arrive, les bots ne décident plus. TRADING ARRÊTÉ."
)
_BACK = {
    Carried.BY_SECONDARY: "Le heartbeat primaire est de retour : fin du basculement.",
    Carried.BY_PRIMARY: "Le heartbeat secondaire est de retour : le primaire a de nouveau un relais.",
    Carried.BY_NOBODY: "Le heartbeat est de retour : les signaux arrivent de nouveau, le trading reprend.",
}


class HeartbeatWatch:
    """Tells what changes; `run` until cancelled."""

    def __init__(self, *, presences: PresenceReader, clock: Clock) -> None:
        self._presences = presences
        self._clock = clock
        self._sources = SourceWatch()
        self._has_secondary = False

    async def run(self) -> None:
        while True:
            try:
                await self.step()
            except Unavailable as exc:
                log.warning("heartbeat_watch.database_down", error=exc.message)
            await self._clock.sleep(_PERIOD_S)

    async def step(self) -> None:
        """Look once. Raises Unavailable when PostgreSQL does not take the alert: it is told at the next look."""
        answer = await self._presences.read(list(HEARTBEAT_NAMES.values()))
        if answer is None:  # Redis is silent, which `ServiceWatch` tells: of the heartbeats nothing is known
            self._sources.lost_sight()
            return
        silences = self._silences(answer[0])
        state = self._sources.note(silences, at=self._clock.monotonic())
        if state is not None:
            self._has_secondary = SECONDARY in silences
            await self._tell(state)
            self._sources.told(state)

    def _silences(self, reports: Mapping[str, Report]) -> Mapping[str, float | None]:
        now = self._clock.now()
        return {s: _silence_s(reports[name], now) for s, name in HEARTBEAT_NAMES.items() if name in reports}

    async def _tell(self, state: Carried) -> None:
        log.warning("heartbeat_watch.carried", before=self._sources.state, now=state)
        await in_database(
            recording.record_for_everybody,
            kind=AlertKind.SERVICE,
            code=f"heartbeat_{state}",
            subject=f"heartbeat:{self._sources.state}",
            message=self._message(state),
            now=self._clock.now(),
        )

    def _message(self, state: Carried) -> str:
        if state is Carried.BY_NOBODY:
            return _BOTH if self._has_secondary else _ALONE
        if state is Carried.NORMALLY:
            return _BACK[self._sources.state]
        if self._sources.state is Carried.BY_NOBODY:
            return f"{_BACK[Carried.BY_NOBODY]} Par un seul des deux : {_MESSAGES[state]}"
        return _MESSAGES[state]


def _silence_s(report: Report, now: datetime) -> float | None:
    """Return since how long a heartbeat is silent: dead since its last word, or alive without the market."""
    age_s = (now - report.sent_at).total_seconds()
    if age_s > DEAD_AFTER_S:
        return age_s
    return None if report.details.get("is_connected", True) else 0.0
