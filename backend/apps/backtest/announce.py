"""Tells a user's browsers of his runs: `run` and `sweep` when a row changed, `progress` in between."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings

from apps.backtest.bodies import run_body, sweep_body
from apps.backtest.models import BacktestResult, BacktestSweep, Job
from apps.core.adapters.browser_events import ChannelsPublisher
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_wake_up import RedisWakeUp
from domain.ports import Publisher

TOPIC = "backtests"
BACKTESTS_WAITING = "backtests_waiting"


async def tell(publisher: Publisher, job: Job) -> None:
    """Publish the row as it is now."""
    event_type, body = _event(job)
    await publisher.publish(TOPIC, event_type, body, user_id=job.user_id)


def tell_and_wake(job: Job) -> None:
    """From a web request, after its commit: tell the browsers, and wake the queue of terminal 3."""
    async_to_sync(_tell_and_wake)(job)


def progress_body(job: Job, *, phase: str, progress: float, detail: str) -> dict[str, Any]:
    """Return the data of a `progress` event; `kind` tells runs and sweeps apart."""
    kind = "sweep" if isinstance(job, BacktestSweep) else "run"
    return {"id": job.pk, "kind": kind, "phase": phase, "progress": round(progress, 4), "detail": detail}


@asynccontextmanager
async def alongside(telling: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let news be told for the length of a block."""
    task = asyncio.create_task(telling)
    try:
        yield
    finally:
        task.cancel()


async def _tell_and_wake(job: Job) -> None:
    clock = SystemClock()
    await tell(ChannelsPublisher(clock), job)
    redis = connect(settings.REDIS_URL)  # of its own: a web request's event loop is short-lived
    try:
        await RedisWakeUp(redis, BACKTESTS_WAITING, clock=clock).call()
    finally:
        await redis.aclose()


def _event(job: Job) -> tuple[str, dict[str, Any]]:
    if isinstance(job, BacktestSweep):
        return "sweep", sweep_body(job)
    if isinstance(job, BacktestResult):
        return "run", run_body(job)
    raise TypeError(f"no event for {type(job).__name__}")
