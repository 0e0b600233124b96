"""Whether terminal 5 lives: asked before a read, so that its absence is said at once and not after a time-out."""

from datetime import datetime

from apps.core.services.health import DEAD_AFTER_S, PresenceReader
from domain.errors import Unavailable
from domain.ports import Clock

SERVICE = "ccxt_service"
_ASK_EVERY_S = 1.0


class ServiceWatch:
    """Looks at what terminal 5 last said of itself, at most once a second."""

    def __init__(self, presences: PresenceReader, *, clock: Clock) -> None:
        self._presences = presences
        self._clock = clock
        self._looked_at: float | None = None
        self._trouble: Unavailable | None = None

    async def check(self) -> None:
        """Raises Unavailable when terminal 5 (or Redis on the way to it) is known to be away."""
        trouble = await self.trouble()
        if trouble is not None:
            raise Unavailable(trouble.message, code=trouble.error_code)

    async def trouble(self) -> Unavailable | None:
        """Return what is wrong, or None."""
        now = self._clock.monotonic()
        if self._looked_at is None or now - self._looked_at > _ASK_EVERY_S:
            self._looked_at = now
            self._trouble = await self._look()
        return self._trouble

    async def _look(self) -> Unavailable | None:
        answer = await self._presences.read([SERVICE])
        if answer is None:
            return Unavailable("Service CCXT (terminal 5) injoignable : Redis ne répond pas.", code="redis_down")
        report = answer[0].get(SERVICE)
        if report is None:
            return _away("il n'a pas encore démarré")
        if (self._clock.now() - report.sent_at).total_seconds() <= DEAD_AFTER_S:
            return None
        return _away(f"il ne donne plus signe de vie depuis {_clock_time(report.sent_at)} UTC")


def _away(why: str) -> Unavailable:
    return Unavailable(f"Service CCXT (terminal 5) arrêté : {why}.", code="ccxt_service_down")


def _clock_time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}"
