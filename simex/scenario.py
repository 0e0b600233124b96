"""A script of events at market times: ``[{"after_ms": 60000, "fault": {…}}, …]``.

Each event has `after_ms` (market milliseconds after the market's start) and one of `fault` (as
the admin's faults), `deposit` ({account_id, asset, amount}), `price` ({symbol, price}) or `halt`
({symbol, ms}).
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from simex.options import OptionError

if TYPE_CHECKING:
    from simex.simulation import Simulation

ACTIONS = ("fault", "deposit", "price", "halt")


@dataclass(frozen=True)
class Event:
    """One thing that happens at a market time."""

    after_ms: int
    action: str
    detail: dict[str, Any]


class Scenario:
    """Events not yet played, in order of time."""

    def __init__(self, events: list[Event]) -> None:
        self._events = sorted(events, key=lambda event: event.after_ms)

    def due(self, elapsed_ms: int) -> list[Event]:
        """Take the events whose time has come."""
        now = [event for event in self._events if event.after_ms <= elapsed_ms]
        if now:
            self._events = self._events[len(now) :]
        return now

    def apply(self, event: Event, sim: "Simulation") -> None:
        """Make an event happen."""
        detail = event.detail
        if event.action == "fault":
            sim.faults.add(detail)
        elif event.action == "deposit":
            amount = Decimal(str(detail["amount"]))
            sim.exchange.ledger.deposit(detail["account_id"], detail["asset"], amount)
            sim.commit()
        elif event.action == "halt":
            sim.halt(detail["symbol"], int(detail["ms"]))
        else:
            sim.set_price(detail["symbol"], Decimal(str(detail["price"])))


def read_scenario(path: Path | None) -> Scenario:
    """Read a scenario file; no file is an empty scenario.

    Raises:
        OptionError: the file is not a list of known events.
    """
    if path is None:
        return Scenario([])
    try:
        content = orjson.loads(path.read_bytes())
        events = []
        for item in content:
            action = next(name for name in ACTIONS if name in item)
            events.append(Event(int(item["after_ms"]), action, item[action]))
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise OptionError(f"--scenario {path}: {error!r}") from error
    return Scenario(events)
