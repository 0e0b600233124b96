"""CPU time of an instance's processes, children included: a figure that a busy machine does not inflate."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.system.instance import Instance

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_COUNTED = ("trading_engine", "ccxt_service", "postgresql", "valkey", "web")


def spent_ms(instance: Instance) -> dict[str, float]:
    """Return the CPU milliseconds each service has used so far, with the children it had.

    The heartbeat and the simulated exchange work alike whoever trades: they are left out.
    """
    table = _processes()
    spent = {}
    for service in _COUNTED:
        roots = instance.pids(service)
        family = _family(table, roots)
        spent[service] = sum(_used_ms(table[pid]) for pid in family if pid in table)
    return spent


def since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what was used in between; never negative (a child that ended is counted by its parent)."""
    return {service: max(0.0, after[service] - before.get(service, 0.0)) for service in after}


def _processes() -> dict[int, list[str]]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue  # it ended while we read
    return found


def _family(table: Mapping[int, list[str]], roots: list[int]) -> list[int]:
    found, rim = list(roots), list(roots)
    while rim:
        rim = [pid for pid, stat in table.items() if int(stat[1]) in rim]
        found += rim
    return found


def _used_ms(stat: list[str]) -> float:
    """Own and reaped children's time (fields 14 to 17 of proc(5), here counted from the state)."""
    return sum(int(ticks) for ticks in stat[11:15]) * _TICK_MS
