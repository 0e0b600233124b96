"""Binance's error codes and texts, as one exception."""


class ApiError(Exception):
    """A refusal that goes to the client as ``{"code", "msg"}``."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status


def rejected(message: str) -> ApiError:
    """Return the engine's refusal of a new order."""
    return ApiError(-2010, message)


def filter_failure(name: str) -> ApiError:
    """Return the refusal of a filter."""
    return ApiError(-1013, f"Filter failure: {name}")


def missing(name: str) -> ApiError:
    """Return the refusal of an absent or malformed mandatory parameter."""
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def not_required(name: str) -> ApiError:
    """Return the refusal of a parameter that the order type does not take."""
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


INSUFFICIENT = "Account has insufficient balance for requested action."
DUPLICATE = "Duplicate order sent."
WOULD_TAKE = "Order would immediately match and take."
WOULD_TRIGGER = "Stop price would trigger immediately."
CLOSED = ApiError(-1013, "Market is closed.")
UNKNOWN_CANCEL = ApiError(-2011, "Unknown order sent.")
UNKNOWN_ORDER = ApiError(-2013, "Order does not exist.")
