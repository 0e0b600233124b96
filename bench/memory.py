"""What the processes of an instance weigh, as the system counts it (/proc/PID/smaps_rollup)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.system.instance import Instance, family_of

TERMINALS = ("web", "heartbeat", "trading_engine", "ccxt_service")
OTHERS = ("postgresql", "valkey", "simex")


@dataclass(frozen=True, slots=True)
class Weight:
    """One service.

    Args:
        pss_mb: proportional: a page that n processes share counts for one n-th in each.
        rss_mb: all pages, the shared ones as often as they are shared.
    """

    name: str
    processes: int
    pss_mb: float
    rss_mb: float
    is_terminal: bool = False


def weigh(instance: Instance) -> list[Weight]:
    """Return each terminal's own process, the engine's strategy children apart, then the servers whole."""
    found = []
    for name in TERMINALS:
        pid = instance.pids(name)[0]
        found.append(_sum(name, [pid], is_terminal=True))
        children = [each for each in family_of(pid) if each != pid]
        if children:
            found.append(_sum(f"{name}, ses enfants", children))
    return found + [_sum(name, family_of(instance.pids(name)[0])) for name in OTHERS]


def _sum(name: str, pids: list[int], *, is_terminal: bool = False) -> Weight:
    read = [each for each in map(rollup_of, pids) if each]
    pss, rss = (round(sum(each[key] for each in read), 1) for key in ("Pss", "Rss"))
    return Weight(name, len(read), pss, rss, is_terminal)


def rollup_of(pid: int) -> Mapping[str, float]:
    """Return {"Pss": MB, "Rss": MB, …} of a process; empty when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return {}
    return parse_rollup(lines)


def parse_rollup(lines: list[str]) -> dict[str, float]:
    """Read the lines that count kilobytes, as megabytes (of 1024 kB)."""
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        amount, _, unit = rest.strip().partition(" ")
        if unit == "kB" and amount.isdigit():
            found[name] = int(amount) / 1024
    return found
