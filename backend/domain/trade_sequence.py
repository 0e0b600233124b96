"""Puts aggregate trades in the order of their ids: no duplicate, no hole unseen.

Invariant: trades leave in strictly contiguous order of id. What arrives early is held until the hole
before it is filled.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple


class AggTrade(NamedTuple):
    """One aggregate trade of Binance: executions of one taker at one price in one millisecond."""

    id: int
    price: Decimal
    quantity: Decimal
    first_id: int  # ids of the executions it groups
    last_id: int
    time_ms: int
    buyer_is_maker: bool = False

    @property
    def executions(self) -> int:
        """How many executions it groups."""
        return self.last_id - self.first_id + 1


class Hole(NamedTuple):
    """Aggregate ids first..last (both missing) that something later proves to exist."""

    first: int
    last: int

    @property
    def missing(self) -> int:
        return self.last - self.first + 1


class TradeSequencer:
    """Releases trades strictly by id.

    Args:
        next_id: the id awaited; None when nothing is known, the first trade then sets it.
        capacity: how many early trades are held; beyond, they are dropped and asked for again with the hole.
    """

    def __init__(self, next_id: int | None = None, *, capacity: int = 20_000) -> None:
        self.next_id = next_id
        self.last_raw_id: int | None = None
        self.duplicates = 0
        self.raw_breaks = 0  # contiguous aggregate ids whose execution ids are not
        self._capacity = capacity
        self._held: dict[int, AggTrade] = {}

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def hole(self) -> Hole | None:
        """The first hole, or None when nothing is held."""
        if not self._held or self.next_id is None:
            return None
        return Hole(self.next_id, min(self._held) - 1)

    def push(self, trade: AggTrade) -> Sequence[AggTrade]:
        """Take one trade; return those that can be applied now, in order."""
        if self.next_id is None:
            self.next_id = trade.id
        if trade.id == self.next_id:
            self._count(trade)
            return (trade,) if not self._held else (trade, *self._release())
        if trade.id < self.next_id or trade.id in self._held:
            self.duplicates += 1
        elif len(self._held) < self._capacity:
            self._held[trade.id] = trade
        return ()

    def skip_to(self, next_id: int) -> Sequence[AggTrade]:
        """Give up what is missing before `next_id` (the exchange does not know it); return what is freed."""
        if self.next_id is not None and next_id <= self.next_id:
            return ()
        self.next_id = next_id
        self.last_raw_id = None
        self._held = {key: trade for key, trade in self._held.items() if key >= next_id}
        return self._release()

    def _release(self) -> list[AggTrade]:
        released = []
        while (trade := self._held.pop(self.next_id or 0, None)) is not None:
            self._count(trade)
            released.append(trade)
        return released

    def _count(self, trade: AggTrade) -> None:
        if self.last_raw_id is not None and trade.first_id != self.last_raw_id + 1:
            self.raw_breaks += 1
        self.last_raw_id = trade.last_id
        self.next_id = trade.id + 1
