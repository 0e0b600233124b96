"""Request weights and order counts, in windows of wall time."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from simex.engine.errors import ApiError

WEIGHT_LIMIT = 6_000
ORDERS_10S, ORDERS_DAY = 100, 200_000
MINUTE_MS, TEN_S_MS, DAY_MS = 60_000, 10_000, 86_400_000
IGNORED_BEFORE_BAN = 10
BAN_MS = 120_000


class LimitError(ApiError):
    """A refusal for doing too much, with the seconds to wait."""

    def __init__(self, error: ApiError, retry_after_s: int) -> None:
        super().__init__(error.code, error.message, error.status)
        self.retry_after_s = retry_after_s


@dataclass
class Window:
    """A count that starts again at each multiple of a length."""

    length_ms: int
    number: int = -1
    count: int = 0

    def at(self, now_ms: int) -> "Window":
        """Return the window, emptied when a new one has begun."""
        if now_ms // self.length_ms != self.number:
            self.number, self.count = now_ms // self.length_ms, 0
        return self

    def left_s(self, now_ms: int) -> int:
        """Return the seconds until the next window, at least 1."""
        return max(1, -(-(self.length_ms - now_ms % self.length_ms) // 1000))


@dataclass
class _Client:
    minute: Window = field(default_factory=lambda: Window(MINUTE_MS))
    ignored: int = 0
    banned_until_ms: int = 0


@dataclass
class _Orders:
    ten_s: Window = field(default_factory=lambda: Window(TEN_S_MS))
    day: Window = field(default_factory=lambda: Window(DAY_MS))


class Limits:
    """Counts per address and per account; the limits are multiplied by the market's speed."""

    def __init__(self, factor: Decimal) -> None:
        self.weight_limit = int(WEIGHT_LIMIT * factor)
        self.orders_10s = int(ORDERS_10S * factor)
        self.orders_day = int(ORDERS_DAY * factor)
        self._clients: dict[str, _Client] = defaultdict(_Client)
        self._orders: dict[str, _Orders] = defaultdict(_Orders)

    def use(self, address: str, weight: int, now_ms: int) -> int:
        """Count a request and return the weight used this minute.

        Raises:
            LimitError: 429, or 418 once refusals were ignored.
        """
        client = self._clients[address]
        if now_ms < client.banned_until_ms:
            raise self._banned(client.banned_until_ms, now_ms)
        minute = client.minute.at(now_ms)
        minute.count += weight
        if minute.count <= self.weight_limit:
            client.ignored = 0
            return minute.count
        client.ignored += 1
        if client.ignored > IGNORED_BEFORE_BAN:
            client.ignored = 0
            client.banned_until_ms = now_ms + BAN_MS
            raise self._banned(client.banned_until_ms, now_ms)
        text = (
            f"Too much request weight used; current limit is {self.weight_limit} request weight "
            "per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
        )
        raise LimitError(ApiError(-1003, text, 429), minute.left_s(now_ms))

    def used(self, address: str, now_ms: int) -> int:
        """Return the weight used this minute."""
        return self._clients[address].minute.at(now_ms).count

    def count_order(self, account_id: str, now_ms: int) -> tuple[int, int]:
        """Count a new order and return the counts (10 s, day).

        Raises:
            LimitError: too many unfilled orders.
        """
        orders = self._orders[account_id]
        ten_s, day = orders.ten_s.at(now_ms), orders.day.at(now_ms)
        for window, limit, name in (
            (ten_s, self.orders_10s, "10 SECOND"),
            (day, self.orders_day, "1 DAY"),
        ):
            if window.count >= limit:
                text = f"Too many new orders; current limit is {limit} orders per {name}."
                raise LimitError(ApiError(-1015, text, 429), window.left_s(now_ms))
        ten_s.count += 1
        day.count += 1
        return ten_s.count, day.count

    def order_filled(self, account_id: str, now_ms: int) -> None:
        """Give back the place of an order that was filled at once."""
        orders = self._orders[account_id]
        for window in (orders.ten_s.at(now_ms), orders.day.at(now_ms)):
            window.count = max(0, window.count - 1)

    def order_counts(self, account_id: str, now_ms: int) -> tuple[int, int]:
        """Return the counts (10 s, day) of unfilled orders."""
        orders = self._orders[account_id]
        return orders.ten_s.at(now_ms).count, orders.day.at(now_ms).count

    def _banned(self, until_ms: int, now_ms: int) -> LimitError:
        text = (
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        return LimitError(ApiError(-1003, text, 418), max(1, (until_ms - now_ms) // 1000))
