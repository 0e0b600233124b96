"""How fast a user may ask the assistant: an answer takes minutes of a model, and money.

Kept in the memory of the web process, which is one: a restart forgives.
"""

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from domain.errors import TooManyRequests

PER_WINDOW = 10
WINDOW_S = 60.0
AT_ONCE = 2  # a page that was reloaded may still be ending its last request


class Pace:
    """Counts per user; views call it from threads, answers end in the event loop."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._asked: dict[int, deque[float]] = defaultdict(deque)
        self._running: dict[int, int] = defaultdict(int)
        self._lock = Lock()

    def admit(self, user_id: int) -> None:
        """Count a request. Raises TooManyRequests with the seconds to wait."""
        now = self._monotonic()
        with self._lock:
            asked = self._asked[user_id]
            while asked and asked[0] <= now - WINDOW_S:
                asked.popleft()
            if len(asked) >= PER_WINDOW:
                wait = math.ceil(asked[0] + WINDOW_S - now)
                raise TooManyRequests(
                    f"Assistant : {PER_WINDOW} demandes par minute au plus, réessayer dans {wait} s.",
                    code="assistant_rate_limited",
                    details={"retry_after_s": wait},
                )
            asked.append(now)

    @contextmanager
    def running(self, user_id: int) -> Iterator[None]:
        """Hold a place while an answer comes. Raises TooManyRequests when the user's places are taken."""
        with self._lock:
            if self._running[user_id] >= AT_ONCE:
                raise TooManyRequests(
                    f"Assistant : {AT_ONCE} réponses sont déjà en cours, attendre ou en arrêter une.",
                    code="assistant_busy",
                )
            self._running[user_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[user_id] -= 1


PACE = Pace()
