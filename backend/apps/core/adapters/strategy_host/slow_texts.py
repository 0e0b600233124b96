"""Remembers which strategies calculate for long, so that they let the others go first from their first instant.

Giving way only once a child has proved slow would let it take that much of each close from everybody else's orders.
"""

from collections import OrderedDict

_MOST = 256  # texts; far more than the bots there can be
_FORGIVEN_AFTER = 20  # quick answers in a row


class SlowTexts:
    """The texts that calculated for long lately. A changed text is another one."""

    def __init__(self) -> None:
        self._quick_left: OrderedDict[int, int] = OrderedDict()  # by the text's hash, the newest last

    def __contains__(self, code: str) -> bool:
        return hash(code) in self._quick_left

    def note(self, code: str, *, was_long: bool) -> None:
        """Take note of how one question to `code` went; an empty text is none."""
        if not code:
            return
        key = hash(code)
        if was_long:
            self._quick_left[key] = _FORGIVEN_AFTER
            self._quick_left.move_to_end(key)
            if len(self._quick_left) > _MOST:
                self._quick_left.popitem(last=False)
        elif key in self._quick_left:
            self._quick_left[key] -= 1
            if self._quick_left[key] == 0:
                del self._quick_left[key]
