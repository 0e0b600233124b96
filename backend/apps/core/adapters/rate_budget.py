"""One budget of requests per exchange and host, shared by every account there, with priorities.

A token bucket in ccxt's cost units. Who waits is served by priority, then by arrival; a 429 or 418 makes
everybody on that exchange wait. The last part of the bucket is kept for orders, so that reads never
starve a cancellation. Where the exchange says what this address has used of its minute, the bucket never
holds more than what is left of it: another program may run here.
"""

import asyncio
import heapq
import itertools

from domain.messages import Priority
from domain.ports import Clock

_KEPT_FOR_ORDERS = 0.2
_MINUTE_SHARE = 0.95  # of the minute: answers on their way are not in its count yet


class RateBudget:
    """Spends `capacity` at once, then `rate_per_s` units a second.

    Args:
        rate_per_s: refill in the exchange's cost units per second.
        capacity: what may be spent in one burst.
        minute_limit: what the exchange allows in a minute of its clock, None where it does not count so.
    """

    def __init__(
        self, *, clock: Clock, rate_per_s: float, capacity: float, minute_limit: float | None = None
    ) -> None:
        self._clock = clock
        self._rate = rate_per_s
        self._capacity = capacity
        self._minute_limit = minute_limit
        self._tokens = capacity
        self._refilled_at = clock.monotonic()
        self._closed_until = 0.0
        self._waiters: list[tuple[int, int, float, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.Task[None] | None = None

    async def acquire(self, priority: Priority, cost: float) -> None:
        """Wait until `cost` units may be spent at that priority. Cancelling gives the place up."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (int(priority), next(self._order), min(cost, self._capacity), future))
        self._serve()
        await future

    def back_off(self, seconds: float) -> None:
        """Let nobody through for that long (Retry-After)."""
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)

    def heard_used(self, used: float) -> None:
        """Take the exchange's own count of the present minute, everybody at this address included."""
        if self._minute_limit is not None:
            self._refill()
            left = self._minute_limit * _MINUTE_SHARE - used
            self._tokens = min(self._tokens, max(left, 0.0))

    @property
    def left_ratio(self) -> float:
        """Which part of the budget may be spent now."""
        self._refill()
        return max(self._tokens, 0.0) / self._capacity

    @property
    def waiting(self) -> int:
        return sum(1 for waiter in self._waiters if not waiter[3].done())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _serve(self) -> None:
        self._refill()
        while self._waiters:
            priority, _, cost, future = self._waiters[0]
            if future.done():  # its owner was cancelled
                heapq.heappop(self._waiters)
                continue
            delay = self._delay(priority, cost)
            if delay > 0:
                self._wake_in(delay)
                return
            heapq.heappop(self._waiters)
            self._tokens -= cost
            future.set_result(None)

    def _delay(self, priority: int, cost: float) -> float:
        """Return the seconds until that cost may be spent, 0 for now."""
        closed = self._closed_until - self._clock.monotonic()
        kept = 0.0 if priority <= Priority.ORDER else _KEPT_FOR_ORDERS * self._capacity
        missing = min(cost + kept, self._capacity) - self._tokens
        return max(closed, missing / self._rate, 0.0)

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now

    def _wake_in(self, delay: float) -> None:
        if self._timer is not None and not self._timer.done():
            self._timer.cancel()  # somebody more urgent may be first now
        self._timer = asyncio.get_running_loop().create_task(self._wait_then_serve(delay))

    async def _wait_then_serve(self, delay: float) -> None:
        await self._clock.sleep(delay + 0.001)
        self._timer = None
        self._serve()
