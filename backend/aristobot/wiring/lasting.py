"""Keeps what does not trade from ending a terminal that does."""

from typing import Protocol

import structlog

from domain.ports import Clock

log = structlog.get_logger(__name__)

_AGAIN_S = 10.0


class Work(Protocol):
    """A part of a terminal that runs as long as it does."""

    async def run(self) -> None: ...


async def lasting(work: Work, *, clock: Clock) -> None:
    """Run a work, again whenever it fails, until cancelled or until it ends by itself.

    Summaries, sums, retention and alerts are worth a line in the log, not the end of bots and orders: what they
    failed over (a table that is being migrated, say) is most often gone at the next try.
    """
    while True:
        try:
            await work.run()
        except Exception:  # boundary of a long-lived task
            log.exception("terminal.work_failed", work=type(work).__name__, again_in_s=_AGAIN_S)
            await clock.sleep(_AGAIN_S)
        else:
            return
