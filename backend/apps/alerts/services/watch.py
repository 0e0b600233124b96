"""Watches the other terminals by what they last said, and alerts everybody when one stays silent.

Terminal 3 watches 5 (and the heartbeats, see `heartbeat_watch`), terminal 5 watches 3: whichever dies,
another one tells.
"""

from collections.abc import Mapping, Sequence

import structlog

from apps.alerts.services import recording
from apps.core.adapters.database import in_database
from apps.core.services.health import DEAD_AFTER_S, PresenceReader
from domain.alerts import AlertKind
from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

SILENT_AFTER_S = 60.0  # the supervisor restarts a service well before
_PERIOD_S = 5.0
_REDIS = "redis"
_LABELS = {
    "heartbeat": "Heartbeat (terminal 2)",
    "trading_engine": "Moteur de trading (terminal 3)",
    "ccxt_service": "Service CCXT (terminal 5)",
    _REDIS: "Redis",
}
_EFFECTS = {
    "heartbeat": "plus aucun signal n'arrive, les bots ne décident plus.",
    "trading_engine": "les bots ne décident plus et les positions ne sont plus surveillées.",
    "ccxt_service": "aucun ordre ne part et aucun n'est plus suivi.",
    _REDIS: "signaux et soldes ne circulent plus entre les services.",
}


class Outages:
    """Tells when a service has been silent for too long, and when it is back. Plain, on a monotonic clock."""

    def __init__(self, silent_after_s: float = SILENT_AFTER_S) -> None:
        self._silent_after_s = silent_after_s
        self._silent_since: dict[str, float] = {}
        self._told: set[str] = set()

    def note(self, name: str, *, up: bool, at: float) -> str | None:
        """Return "down" once per outage, "up" once when a told outage ends, else None."""
        if up:
            self._silent_since.pop(name, None)
            if name in self._told:
                self._told.discard(name)
                return "up"
            return None
        since = self._silent_since.setdefault(name, at)
        if at - since < self._silent_after_s or name in self._told:
            return None
        self._told.add(name)
        return "down"


class ServiceWatch:
    """Watches `names`, and Redis through which they speak."""

    def __init__(self, names: Sequence[str], *, presences: PresenceReader, clock: Clock) -> None:
        self._names = names
        self._presences = presences
        self._clock = clock
        self._outages = Outages()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.step()
            except Unavailable as exc:
                log.warning("watch.database_down", error=exc.message)
            await self._clock.sleep(_PERIOD_S)

    async def step(self) -> None:
        """Look once. Raises Unavailable when PostgreSQL does not answer: there is nowhere to tell."""
        for name, up in (await self._seen()).items():
            change = self._outages.note(name, up=up, at=self._clock.monotonic())
            if change is not None:
                await self._tell(name, change)

    async def _seen(self) -> Mapping[str, bool]:
        answer = await self._presences.read(self._names)
        if answer is None:
            return {_REDIS: False}  # of the others nothing is known
        reports, now = answer[0], self._clock.now()
        alive = {
            name: name in reports and (now - reports[name].sent_at).total_seconds() <= DEAD_AFTER_S
            for name in self._names
        }
        return {_REDIS: True, **alive}

    async def _tell(self, name: str, change: str) -> None:
        log.warning("watch.service", service=name, change=change)
        message = (
            f"{_LABELS[name]} ne répond plus depuis {SILENT_AFTER_S:.0f} s : {_EFFECTS[name]}"
            if change == "down"
            else f"{_LABELS[name]} répond de nouveau."
        )
        await in_database(
            recording.record_for_everybody,
            kind=AlertKind.SERVICE,
            code=f"service_{change}",
            subject=f"service:{name}",
            message=message,
            now=self._clock.now(),
        )
