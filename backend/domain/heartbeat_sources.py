"""Which of the two heartbeats carries the trading, and what is worth telling when that changes."""

import enum
from collections.abc import Mapping

PRIMARY, SECONDARY = "primary", "secondary"
SILENT_AFTER_S = 30.0


class Carried(enum.StrEnum):
    """Who publishes signals that are heard."""

    NORMALLY = "normally"  # the primary, and the secondary if there is one
    BY_SECONDARY = "by_secondary"  # failover
    BY_PRIMARY = "by_primary"  # nobody stands behind it any more
    BY_NOBODY = "by_nobody"  # no signal, hence no decision


class SourceWatch:
    """Follows which sources are heard. Plain, on a monotonic clock.

    A change is proposed by `note` until `told` takes it, so that one whose alert could not be recorded is not
    lost. A source counts as lost after 30 s of silence and as back at its first word; a secondary that never
    spoke is not expected.
    """

    def __init__(self, silent_after_s: float = SILENT_AFTER_S) -> None:
        self._silent_after_s = silent_after_s
        self._silent_since: dict[str, float] = {}
        self._in_sight_since: float | None = None
        self._expected = {PRIMARY}
        self.state = Carried.NORMALLY

    def note(self, silent_for_s: Mapping[str, float | None], *, at: float) -> Carried | None:
        """Return the state that ought to be told, None when it was.

        Args:
            silent_for_s: by source that ever spoke, since how long it is silent; None while it is heard.
        """
        self._expected |= silent_for_s.keys()
        if self._in_sight_since is None:
            self._in_sight_since = at
        for source in self._expected:
            silent = silent_for_s.get(source, 0.0)
            if silent is None:
                self._silent_since.pop(source, None)
            else:
                since = min(self._silent_since.get(source, at), at - silent)
                self._silent_since[source] = max(since, self._in_sight_since)
        state = self._now(at)
        return state if state is not self.state else None

    def told(self, state: Carried) -> None:
        self.state = state

    def lost_sight(self) -> None:
        """Forget the silences: nobody could be heard, whoever spoke. They count again from the next `note`."""
        self._silent_since.clear()
        self._in_sight_since = None

    def _now(self, at: float) -> Carried:
        lost = {s for s, since in self._silent_since.items() if at - since >= self._silent_after_s}
        if lost == self._expected:
            return Carried.BY_NOBODY
        if PRIMARY in lost:
            return Carried.BY_SECONDARY
        return Carried.BY_PRIMARY if lost else Carried.NORMALLY
