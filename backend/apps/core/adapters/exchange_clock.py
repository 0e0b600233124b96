"""How far the exchange's clock is from ours, for one ccxt client.

Signatures bear the time. An exchange refuses one that is ahead by a second or older than its window
(Binance's -1021), so a machine whose clock is off by seconds could not trade. The difference is asked for
with the markets, and again whenever the exchange finds a signature out of time: a clock may be set meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from apps.core.adapters.ccxt_client_class import calling
from apps.core.adapters.ccxt_verdicts import PARSE_ERRORS, exchange_code
from domain.messages import Priority

log = structlog.get_logger(__name__)

T = TypeVar("T")

_OUT_OF_TIME = -1021
# Kraken signs with a counter that may only grow: setting it back would close the account to us.
_SIGN_WITH_A_COUNTER = frozenset({"kraken", "krakenfutures"})


class ExchangeClock:
    """Keeps `timeDifference` of a ccxt client: our clock minus the exchange's, in milliseconds."""

    def __init__(self, client: Any, *, exchange: str = "") -> None:
        self._exchange = exchange or client.id  # a simulated one is made of another's client
        self._client = client
        self._setting = asyncio.Lock()
        self._is_followed = (
            "timeDifference" in client.options
            and bool(client.has.get("fetchTime"))
            and client.id not in _SIGN_WITH_A_COUNTER
        )

    @property
    def difference_ms(self) -> int:
        return int(self._client.options.get("timeDifference") or 0)

    def take(self, other: "ExchangeClock") -> None:
        """Take what another client of the same exchange found."""
        if self._is_followed:
            self._client.options["timeDifference"] = other.difference_ms

    async def set(self) -> None:
        """Ask the exchange for its time, if it tells; without an answer the difference stays as it was."""
        import ccxt

        if not self._is_followed:
            return
        try:
            await self._ask()
        except (ccxt.BaseError, *PARSE_ERRORS) as exc:
            log.warning("exchange.time_unknown", exchange=self._exchange, error=type(exc).__name__)

    async def repeated(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that may be made twice; out of time, set the clock and make it once more."""
        import ccxt

        signed_with = self.difference_ms
        try:
            return await call()
        except ccxt.BaseError as exc:
            if not self.is_out_of_time(exc):
                raise
            await self.correct(signed_with)
        return await call()

    def is_out_of_time(self, error: Exception) -> bool:
        """Tell whether the exchange refused the request for its time alone."""
        import ccxt

        if not self._is_followed:
            return False
        return isinstance(error, ccxt.InvalidNonce) or exchange_code(error) == _OUT_OF_TIME

    async def correct(self, signed_with: int) -> None:
        """Set the clock after a refused signature, unless a neighbouring call has done so meanwhile."""
        async with self._setting:
            if self.difference_ms == signed_with:
                await self.set()

    async def _ask(self) -> None:
        # In a context of its own: an order's deadline must not cut this short.
        with calling(Priority.ORDER):
            await self._client.load_time_difference()
        log.info("exchange.time_set", exchange=self._exchange, difference_ms=self.difference_ms)
