"""One id from a signal to the last fill: the trace of a decision, of a manual order, of a webhook's call.

A trace is made from what is durable, so that whoever finds the rows again after a crash finds the same id:

- a bot's decision: the signal and the bot, `5m_1700000000000.bot12`;
- a webhook's call: its row, `webhook.34`;
- an order that some person placed, or that was found at the exchange: its own client id, `order.1f2e3d4c5b6a7988`.

An order's row keeps the trace; what follows from it (fills, protection, alerts) goes by the row's. While
somebody works on a trace it is bound to the context, so that each line logged meanwhile bears it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from structlog.contextvars import bound_contextvars, get_contextvars

TRACE_LENGTH = 64
_BOT = ".bot"
_SHOWN_OF_ORDER = 16


def decision_trace(signal_id: str, bot_id: int) -> str:
    return f"{signal_id}{_BOT}{bot_id}"


def webhook_trace(webhook_id: int) -> str:
    return f"webhook.{webhook_id}"


def order_trace(client_order_id: str) -> str:
    return f"order.{client_order_id[:_SHOWN_OF_ORDER]}"


def signal_of(trace_id: str) -> str:
    """Return the signal's id in a decision's trace, "" for any other."""
    signal_id, separator, bot = trace_id.partition(_BOT)
    return signal_id if separator and bot.isdigit() else ""


def current_trace() -> str:
    """Return the trace of the work in progress, "" when there is none."""
    return str(get_contextvars().get("trace_id") or "")


@contextmanager
def following(trace_id: str, *, user_id: int | None = None) -> Iterator[None]:
    """Bind a trace, and whose it is, to the context of a piece of work."""
    bound: dict[str, Any] = {}
    if trace_id:
        bound["trace_id"] = trace_id
    if user_id is not None:
        bound["user_id"] = user_id
    with bound_contextvars(**bound):
        yield
