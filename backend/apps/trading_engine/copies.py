"""Two heartbeats send each signal: which copies came, and which one was acted on.

What keeps a bot from deciding twice is the claim in PostgreSQL (`leases`). This memory spares it the
second question, and keeps a bot that was switched on between two copies from acting on the later one.
"""

from collections import OrderedDict
from dataclasses import dataclass

from domain.messages import Signal

_KEPT = 500  # signals; the copies of one are seconds apart
Key = tuple[str, str, str]


@dataclass(slots=True)
class Heard:
    """What came from one heartbeat."""

    signals: int = 0
    first: int = 0  # acted on, this copy being the first
    lag_ms: float | None = None  # of the newest: from its sending to here
    last_signal_at: str = ""
    location: str = ""


class SignalCopies:
    """Remembers the newest signals that were acted on; counts per source."""

    def __init__(self) -> None:
        self._acted_on: OrderedDict[Key, None] = OrderedDict()
        self.heard: dict[str, Heard] = {}

    def note(self, signal: Signal, *, lag_ms: float) -> bool:
        """Count a copy; return False when another one of the same signal was acted on already."""
        heard = self.heard.setdefault(signal.source, Heard())
        heard.signals += 1
        heard.lag_ms, heard.location = lag_ms, signal.location
        heard.last_signal_at = signal.sent_at.isoformat()
        return _key(signal) not in self._acted_on

    def acted_on(self, signal: Signal) -> None:
        """Remember a signal whose leases are committed."""
        self.heard.setdefault(signal.source, Heard()).first += 1
        self._acted_on[_key(signal)] = None
        while len(self._acted_on) > _KEPT:
            self._acted_on.popitem(last=False)


def _key(signal: Signal) -> Key:
    return (signal.feed, signal.symbol, signal.signal_id)
