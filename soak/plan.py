"""What happens when: kills and faults drawn from a seed, so that a run can be made again."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SERVICES = ("postgresql", "valkey", "simex", "web", "heartbeat", "trading_engine", "ccxt_service")
_ORDER = {"method": "POST", "path": "/api/v3/order"}
FAULTS: tuple[Mapping[str, Any], ...] = (
    {"kind": "drop_before", **_ORDER},
    {"kind": "drop_after", **_ORDER},
    {"kind": "delay_after", **_ORDER, "params": {"ms": 3000}},
    {"kind": "binance_error", **_ORDER, "params": {"code": -1006}},
    {"kind": "binance_error", **_ORDER, "params": {"code": -1008}},
    {"kind": "http_error", **_ORDER, "params": {"status": 502, "body": "<html>Bad gateway</html>"}},
    {"kind": "hide_order", **_ORDER, "params": {"ms": 4000}},
    {"kind": "rate_limit", "method": "GET", "path": "/api/v3/account", "params": {"retry_after": 2}},
    {"kind": "drop_before", "method": "GET", "path": "/api/v3/openOrders"},
    {"kind": "drop_after", "method": "DELETE", "path": "/api/v3/order"},
    {"kind": "disconnect"},
    {"kind": "disconnect", "stream": "ACCOUNT"},
    {"kind": "stall", "params": {"ms": 5000}},
    {"kind": "drop", "times": 5},
    {"kind": "duplicate", "times": 5},
    {"kind": "reorder", "times": 5},
    {"kind": "delay", "params": {"ms": 1500}, "times": 3},
    {"kind": "malformed"},
    {"kind": "refuse", "times": 2},
)
_WARM_UP_S = 5.0  # the bots' first closes pass undisturbed
_LONG_S = 120.0
_KILLING_PART = 2 / 3  # of a long run: afterwards processes live long enough to tell growth from a start


@dataclass(frozen=True)
class Event:
    """At `after_s` of the run (wall time): a service is killed, or the exchange misbehaves."""

    after_s: float
    kill: str = ""
    fault: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Plan:
    """One run.

    Args:
        hours: of market time.
        speed: market seconds per second.
        seed: of kills and faults.
    """

    hours: float
    speed: int
    seed: int

    @property
    def wall_s(self) -> float:
        """How long the trading lasts."""
        return self.hours * 3600 / self.speed

    def events(self) -> Iterator[Event]:
        """Yield kills and faults in their order: every service is killed before one is killed again."""
        die = random.Random(self.seed)  # noqa: S311 — a repeatable die, no secret
        is_long = self.wall_s > _LONG_S
        every_s, killing = (45.0, _KILLING_PART) if is_long else (4.0, 1.0)
        kills = self._moments(die, every_s, until_s=self.wall_s * killing)
        found = [Event(at, kill=name) for at, name in zip(kills, _victims(die), strict=False)]
        faults = self._moments(die, every_s / 4, until_s=self.wall_s)
        found += [Event(at, fault=die.choice(FAULTS)) for at in faults]
        yield from sorted(found, key=lambda event: event.after_s)

    def _moments(self, die: random.Random, every_s: float, *, until_s: float) -> list[float]:
        moments, at = [], _WARM_UP_S / 2
        while (at := at + every_s * die.uniform(0.5, 1.5)) < until_s:
            moments.append(at)
        return moments


def _victims(die: random.Random) -> Iterator[str]:
    while True:
        round_of_all = list(SERVICES)
        die.shuffle(round_of_all)
        yield from round_of_all
