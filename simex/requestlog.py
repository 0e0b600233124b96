"""Every request and its verdict: the judge of crash tests."""

from collections import deque
from collections.abc import Mapping
from typing import Any

KEPT = 500_000


class RequestLog:
    """The requests of this simex, earlier lives included, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._next = 1

    def number(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Add an entry and give it its number."""
        numbered = {"n": self._next, **entry}
        self._next += 1
        self._entries.append(numbered)
        return numbered

    def restore(self, entry: dict[str, Any]) -> None:
        """Put back an entry of an earlier life."""
        self._entries.append(entry)
        self._next = int(entry["n"]) + 1

    def select(self, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return entries filtered by method, path (part of), account, client_order_id, verdict
        (start of) and since (number, exclusive); the newest `limit` ones.
        """
        since = int(wanted.get("since", 0))
        limit = int(wanted.get("limit", 100_000))
        found = [entry for entry in self._entries if entry["n"] > since and _fits(entry, wanted)]
        return found[-limit:]


def _fits(entry: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    for name in ("method", "account", "client_order_id"):
        if name in wanted and entry.get(name) != wanted[name]:
            return False
    if "path" in wanted and wanted["path"] not in entry["path"]:
        return False
    return "verdict" not in wanted or str(entry["verdict"]).startswith(wanted["verdict"])
