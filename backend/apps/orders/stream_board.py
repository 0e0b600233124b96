"""Which accounts tell their orders by themselves, and which must be asked; shared by those who ask and hear.

A stream that is connected may still withhold events. So a change that was found by asking, and is not told
within some seconds, marks the account's stream as unreliable.
"""

import enum
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field

from domain.ports import Clock

_REMEMBERED = 500  # orders per account
_CATCHING_UP_S = 30.0  # news found so soon after a connection are of the time before it


class StreamState(enum.StrEnum):
    UP = "up"  # events come
    DOWN = "down"  # it should, but does not; orders are asked for meanwhile
    POLLING = "polling"  # the exchange has no stream for us


@dataclass(slots=True)
class _Account:
    exchange: str
    state: StreamState
    since: float  # monotonic s
    heard: "OrderedDict[str, float]" = field(default_factory=OrderedDict)  # exchange order id -> monotonic s
    owed: dict[str, float] = field(default_factory=dict)  # found by asking, not told yet


class StreamBoard:
    """The state of every account's stream in this process.

    Args:
        told_within_s: how much later than by asking a change may be told.
    """

    def __init__(self, clock: Clock, *, told_within_s: float = 5.0) -> None:
        self._clock = clock
        self._told_within_s = told_within_s
        self._accounts: dict[int, _Account] = {}

    def is_up(self, broker_id: int) -> bool:
        """Tell whether that account's orders are told as they change."""
        account = self._accounts.get(broker_id)
        return account is not None and account.state is StreamState.UP

    def put(self, broker_id: int, exchange: str, state: StreamState) -> bool:
        """Note a state; return whether it is another than before."""
        known = self._accounts.get(broker_id)
        self._accounts[broker_id] = _Account(exchange, state, self._clock.monotonic())
        return known is None or known.state is not state

    def remove(self, broker_id: int) -> None:
        """Forget an account."""
        self._accounts.pop(broker_id, None)

    def heard(self, broker_id: int, exchange_order_id: str) -> None:
        """Note that the stream spoke of an order."""
        account = self._accounts.get(broker_id)
        if account is None:
            return
        account.owed.pop(exchange_order_id, None)
        account.heard[exchange_order_id] = self._clock.monotonic()
        account.heard.move_to_end(exchange_order_id)
        if len(account.heard) > _REMEMBERED:
            account.heard.popitem(last=False)

    def found(self, broker_id: int, exchange_order_id: str) -> None:
        """Note that asking brought news of an order, which the stream should bring or have brought."""
        account = self._accounts.get(broker_id)
        if account is None or account.state is not StreamState.UP:
            return
        now = self._clock.monotonic()
        if now - account.since < _CATCHING_UP_S:
            return
        heard_at = account.heard.get(exchange_order_id)
        if heard_at is None or now - heard_at > self._told_within_s:
            account.owed.setdefault(exchange_order_id, now)

    def withheld(self, broker_id: int) -> str | None:
        """Return the exchange's id of an order whose change should have been told by now, or None."""
        account = self._accounts.get(broker_id)
        owed = {} if account is None else account.owed
        late = [name for name, since in owed.items() if self._clock.monotonic() - since > self._told_within_s]
        return next(iter(late), None)

    def details(self) -> dict[str, dict[str, int]]:
        """Return, by exchange, how many streams are in each state: nothing of any one user's."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for account in self._accounts.values():
            counts[account.exchange][account.state.value] += 1
        return {exchange: dict(counts[exchange]) for exchange in sorted(counts)}
