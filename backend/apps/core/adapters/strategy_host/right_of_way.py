"""Who stands still while the decisions and orders of a close are under way.

The lowest priority does not keep a process from slowing its neighbours: it still takes caches, and the memory, from
those that share them. What is not live therefore stops for the moment it takes, a second or so a minute.
"""

import asyncio
from collections.abc import Callable
from threading import Event

_LONGEST_S = 2.0


class RightOfWay:
    """Taken and given back by what is live, heeded by what is not. Belongs to one event loop.

    Nobody stands still for more than `longest_s`, and for as long afterwards nobody has to again: where closes
    follow each other without rest (a simulated market that runs fast), the two share.
    """

    def __init__(self, *, longest_s: float = _LONGEST_S) -> None:
        self._longest_s = longest_s
        self._listeners: list[Callable[[bool], None]] = []
        self._free = Event()
        self._free.set()
        self._end: asyncio.TimerHandle | None = None
        self._not_before = 0.0

    def heed(self, tell: Callable[[bool], None]) -> None:
        """Have `tell` called with True when to stand still, with False when to go on."""
        self._listeners.append(tell)

    def take(self) -> None:
        """Live work begins."""
        loop = asyncio.get_running_loop()
        if self._end is None and loop.time() >= self._not_before:
            self._free.clear()
            self._end = loop.call_later(self._longest_s, self._taken_for_too_long)
            self._tell(True)

    def give_back(self) -> None:
        """The orders of that work have left."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
            self._free.set()
            self._tell(False)

    def wait(self) -> None:
        """Stand still, in a thread of the process, until the way is free."""
        self._free.wait(2 * self._longest_s)  # an end even where the loop ended meanwhile

    def _taken_for_too_long(self) -> None:
        self._not_before = asyncio.get_running_loop().time() + self._longest_s
        self.give_back()

    def _tell(self, is_taken: bool) -> None:
        for tell in self._listeners:
            tell(is_taken)
