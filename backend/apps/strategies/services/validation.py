"""Tries a user's code: the sandbox lives in terminal 3, so the web process asks it."""

from asgiref.sync import async_to_sync
from django.conf import settings

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.strategy_requests import validate_in_terminal_3
from domain.strategies.contract import Validation
from domain.strategies.syntax import check_syntax


def validate(code: str) -> Validation:
    """Return the verdict on `code`; a syntax error is found here, the rest by running it in the sandbox.

    Raises:
        DeadlineExceeded: terminal 3 does not answer. Unavailable: Redis or the sandbox is down.
    """
    return async_to_sync(validate_async)(code)


async def validate_async(code: str) -> Validation:
    """As `validate`, from a coroutine."""
    problems = check_syntax(code)
    if problems:
        return Validation(valid=False, class_name=None, errors=problems)
    return await validate_in_terminal_3(settings.REDIS_URL, code, clock=SystemClock())
