"""The tree of errors that Aristobot knows. Adapters translate every vendor's exception into one of these.

Each carries a stable machine code, a technical French message (action, target, cause, values) and
whether trying again later can succeed. A message never holds a key, a signature or a traceback.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class AristobotError(Exception):
    """Base of all errors shown to a user.

    Args:
        message: technical French sentence.
        details: JSON-serialisable facts (values as strings).
        code: overrides the class's code when one class serves several cases.
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self.error_code = code or self.code

    def as_dict(self) -> dict[str, Any]:
        """Return `{"code", "message", "details"}`, the error shape of every interface."""
        return {"code": self.error_code, "message": self.message, "details": self.details}


class InvalidInput(AristobotError):
    code = "invalid_input"
    http_status = 400


class NotFound(AristobotError):
    code = "not_found"
    http_status = 404


class Conflict(AristobotError):
    """The state forbids the action: a limit reached, a row already claimed, a bot still live."""

    code = "conflict"
    http_status = 409


class LimitReached(Conflict):
    code = "limit_reached"


class TooManyRequests(AristobotError):
    """The user asks faster than he may."""

    code = "too_many_requests"
    http_status = 429
    retryable = True


class Unavailable(AristobotError):
    """A service of ours does not answer."""

    code = "service_unavailable"
    http_status = 503
    retryable = True


class DeadlineExceeded(Unavailable):
    code = "deadline_exceeded"
    http_status = 504


class ExchangeError(AristobotError):
    """The exchange refused or failed; the message quotes its own words."""

    code = "exchange_error"
    http_status = 502


class ExchangeUnavailable(ExchangeError):
    code = "exchange_unavailable"
    retryable = True


class ExchangeRateLimited(ExchangeUnavailable):
    """429 or 418: nothing was executed. `retry_after_s` when the exchange said so."""

    code = "exchange_rate_limited"

    def __init__(self, message: str, *, retry_after_s: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after_s = retry_after_s


class AuthenticationFailed(ExchangeError):
    code = "exchange_authentication"
    http_status = 400


class OrderRejected(ExchangeError):
    """The exchange answered and refused: the order does not exist there. Final."""

    code = "order_rejected"
    http_status = 400


class OrderNotExecuted(ExchangeError):
    """The exchange certainly did not execute it and it may be sent later (429, 418, -1015, -1021, -1008)."""

    code = "order_not_executed"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after_s = retry_after_s


class OrderOutcomeUnknown(ExchangeError):
    """The answer is not proof (time-out, 5xx, non-JSON body): look it up by client id, never resend."""

    code = "order_outcome_unknown"


class OrderNotFound(ExchangeError):
    """The exchange does not know that order; inconclusive in the first seconds after sending."""

    code = "order_not_found"
    http_status = 404


class AiProviderError(AristobotError):
    """The AI provider refused, failed or does not answer; the message quotes its own words."""

    code = "ai_provider_error"
    http_status = 502


class AlertNotSent(AristobotError):
    """The service behind an alert address refused the message or does not answer."""

    code = "alert_not_sent"
    http_status = 502
    retryable = True


class StrategyError(AristobotError):
    """User code failed; `details` holds line, exception and traceback of the user's own code."""

    code = "strategy_error"
    http_status = 400


class StrategyInvalid(StrategyError):
    code = "strategy_invalid"


class StrategyTimeout(StrategyError):
    code = "strategy_timeout"


class StrategyMemory(StrategyError):
    code = "strategy_memory"


def error_to_wire(error: AristobotError) -> dict[str, Any]:
    """Return an error as JSON for another of our processes; an unknown class travels as its nearest known one."""
    kinds = _kinds()
    kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in kinds)
    return {"kind": kind, **error.as_dict()}


def error_from_wire(message: Mapping[str, Any]) -> AristobotError:
    """Return the error that `error_to_wire` wrote, of the same class."""
    kind = _kinds().get(str(message.get("kind")), Unavailable)
    return kind(str(message["message"]), details=message.get("details"), code=str(message["code"]))


def _kinds() -> dict[str, type[AristobotError]]:
    every, waiting = {}, [AristobotError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == __name__:
            every[kind.__name__] = kind
        waiting += kind.__subclasses__()
    return every
