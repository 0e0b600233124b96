"""The machine's clock behind the `Clock` port."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Wall clock in aware UTC, monotonic clock in seconds."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
