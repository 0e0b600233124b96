"""Whose a line is: what a user may see of the terminals' lines.

- A line that names its user is shown to that user alone.
- A line about a broker, a bot or a webhook's source is shown to the owner of all that it names.
- Any other line that names something of a user, and lines of other libraries, stay in the files.
- What is left tells of the instance: everybody sees it, with the fields that are known to be harmless (a
  traceback, or a field that nobody classified yet, stays in the file).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core.logs.french import matters

# Fields that lead to a user. `broker_id`, `bot_id` and `source_id` can be resolved; the others cannot.
RESOLVED = frozenset({"broker_id", "bot_id", "source_id"})
PERSONAL = RESOLVED | {
    "address",
    "address_id",
    "client_order_id",
    "client_order_ids",
    "device_id",
    "exchange_order_id",
    "exchange_orders",
    "filled",
    "order_id",
    "position_id",
    "quantity",
    "remote_address",
    "run_id",
    "strategy_id",
    "subject",
    "task",
    "trade_id",
    "trade_ids",
    "user_id",
    "username",
    "webhook_id",
}
# Fields that say nothing of a user: of a line that is nobody's, these alone are shown.
TECHNICAL = frozenset(
    [
        "action",
        "alerts",
        "attempt",
        "before",
        "beginning",
        "bots",
        "brokers",
        "change",
        "child",
        "close_time",
        "code",
        "commands",
        "count",
        "day",
        "delay_ms",
        "difference_ms",
        "differing",
        "entry",
        "error",
        "event_type",
        "exc_info",
        "exchange",
        "exchanges",
        "expired",
        "failures",
        "feed",
        "fields",
        "first",
        "followed",
        "found",
        "id",
        "is_overdue",
        "is_taken",
        "key",
        "kind",
        "last",
        "late",
        "layers",
        "location",
        "message",
        "method",
        "model",
        "most",
        "name",
        "now",
        "op",
        "outcome",
        "own_pid",
        "pid",
        "price",
        "provider",
        "reason",
        "receiver",
        "resumed",
        "retry_after_s",
        "retry_in_s",
        "seconds",
        "service",
        "sessions",
        "side",
        "signal_id",
        "since",
        "sold",
        "source",
        "status",
        "stream",
        "symbol",
        "timeframe",
        "topic",
        "trace_id",
        "type",
        "unknown",
        "version",
        "view",
        "wanted",
        "was",
        "work",
        "written_off",
    ]
)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, and what is his."""

    user_id: int
    own: Mapping[str, frozenset[int]] = field(default_factory=dict)  # by field: broker_id, bot_id, source_id

    def shown(self, line: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the line as this user may see it, None when it is not for him."""
        if "user_id" in line:
            return _body(line, line["fields"]) if line["user_id"] == self.user_id else None
        if "logger" in line:
            return None
        fields: Mapping[str, Any] = line["fields"]
        named = PERSONAL & fields.keys()
        resolved = named & RESOLVED
        if resolved:
            is_own = all(fields[name] in self.own.get(name, ()) for name in resolved)
            return _body(line, fields) if is_own else None
        if named or line.get("trace_id"):
            return None
        return _body(line, {name: value for name, value in fields.items() if name in TECHNICAL})


def _body(line: Mapping[str, Any], fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "id": line["id"],
        "time": line["time"],
        "level": "error" if line["level"] == "critical" else line["level"],
        "terminal": line["terminal"],
        "event": line["event"],
        "message": line.get("message", ""),
        "trace_id": line.get("trace_id", ""),
        "matters": matters(line),
        "facts": dict(fields),
    }
