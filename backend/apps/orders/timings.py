"""The delays of the executor, injected."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ExecutorTimings:
    """Delays of sending, following and looking up.

    `proof_span` must cover the exchange's receive window + our time-out + the offset of its clock: only that
    long after the last byte could have left is "not found" a proof (orders.md).
    """

    poll_s: float = 1.0
    stray_after: timedelta = timedelta(seconds=5)  # a claim that nobody carries by then is a dead process's
    open_check: timedelta = timedelta(seconds=2)
    told_check: timedelta = timedelta(seconds=15)  # when the exchange tells by itself
    open_backoff: tuple[timedelta, ...] = tuple(timedelta(seconds=s) for s in (2, 5, 10, 30))
    unknown_backoff: tuple[timedelta, ...] = tuple(timedelta(seconds=s) for s in (0.3, 0.7, 1, 2, 4, 8))
    proof_span: timedelta = timedelta(seconds=30)
    cancel_backoff: tuple[timedelta, ...] = tuple(timedelta(seconds=s) for s in (0.5, 1, 2, 5))
    not_executed_delay: timedelta = timedelta(seconds=1)

    def check_after(self, *, is_told: bool) -> timedelta:
        """Return when an order that stays open is asked for again."""
        return self.told_check if is_told else self.open_check

    def resend_delay(self, retry_after_s: float | None) -> timedelta:
        """Return how long an order that was certainly not executed waits: the exchange's word if it gave one."""
        return self.not_executed_delay if retry_after_s is None else timedelta(seconds=retry_after_s)
