"""Terminal 3's inbox: takes the calls that wait, asks the exchange what they need, and acts upon them.

Works on rows, so that what a crash left is found again; a wake-up only makes it sooner. Each source has a
worker of its own while it has calls: one that waits for its exchange holds nobody else up.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

import structlog
from django.db import InterfaceError, OperationalError

from apps.core.tracing import following, webhook_trace
from apps.market_data.selectors import market_now
from apps.webhooks import selectors
from apps.webhooks.bodies import call_body
from apps.webhooks.models import Webhook
from apps.webhooks.services import examination, settling
from apps.webhooks.services.examination import Job
from apps.webhooks.services.settling import Facts
from domain.errors import AristobotError
from domain.ports import Clock, Gateway, Publisher

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

TOPIC = "webhooks"
_PERIOD_S = 1.0
_AT_ONCE = 4  # sources worked on at the same time
_ASK_TIMEOUT_S = 5.0
_DATABASE_DOWN = (OperationalError, InterfaceError)


class Threads(Protocol):
    """Runs ORM functions in threads; each holds its own transaction."""

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...


class WakeUp(Protocol):
    """Where the door says that calls wait."""

    async def wait(self, timeout_s: float) -> None: ...


class Inbox:
    """One per process; several processes share the calls, each call is acted upon once."""

    def __init__(
        self, *, gateway: Gateway, database: Threads, publisher: Publisher, wake_up: WakeUp, clock: Clock
    ) -> None:
        self._gateway = gateway
        self._database = database
        self._publisher = publisher
        self._wake_up = wake_up
        self._clock = clock
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._acted = 0
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                await self._wake_up.wait(await self._look())
        finally:
            await self._end_workers()

    async def drain(self) -> None:
        """Act upon everything that may be acted upon now; for tests and for one-off runs."""
        before = -1
        while before != self._acted and await self._start_workers():
            before = self._acted
            await asyncio.gather(*self._workers.values())

    async def _look(self) -> float:
        """Start what can be worked on; return after how many seconds to look again unless called."""
        try:
            is_waiting = bool(await self._start_workers()) or await self._database.run(selectors.is_any_waiting)
        except _DATABASE_DOWN as exc:
            log.warning("webhooks.database_down", error=str(exc).strip())
            return _PERIOD_S
        except Exception:  # boundary of a long-lived task
            log.exception("webhooks.inbox_failed")
            return _PERIOD_S
        return settling.LOOK_AGAIN_AFTER.total_seconds() if is_waiting else _PERIOD_S

    async def _start_workers(self) -> int:
        waiting = await self._database.run(selectors.waiting_sources, now=self._clock.now())
        fresh = [source_id for source_id in waiting if source_id not in self._workers]
        for source_id in fresh:
            task = asyncio.create_task(self._work(source_id))
            self._workers[source_id] = task
            task.add_done_callback(partial(self._forget, source_id))
        return len(fresh)

    def _forget(self, source_id: int, _: "asyncio.Task[None]") -> None:
        self._workers.pop(source_id, None)

    async def _end_workers(self) -> None:
        workers = list(self._workers.values())
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, source_id: int) -> None:
        """Act upon the calls of one source, oldest first, until none can be acted upon now."""
        async with self._room:
            try:
                while await self._one(source_id):
                    pass
            except AristobotError as exc:
                log.warning("webhooks.source_put_off", source_id=source_id, reason=exc.message)
            except _DATABASE_DOWN as exc:
                log.warning("webhooks.database_down", source_id=source_id, error=str(exc).strip())
            except Exception:  # boundary: the other sources go on; the rows stay for the next look
                log.exception("webhooks.source_failed", source_id=source_id)

    async def _one(self, source_id: int) -> bool:
        looked = await self._database.run(examination.next_job, source_id, now=self._clock.now())
        self._acted += len(looked.settled) + (looked.job is not None)
        await self._tell(looked.settled)
        if looked.job is None:
            return False
        with following(webhook_trace(looked.job.webhook_id), user_id=looked.job.user_id):
            is_news = await self._act(looked.job)
        if is_news:
            await self._tell([looked.job.webhook_id])
        return True

    async def _act(self, job: Job) -> bool:
        """Act upon a call as far as that goes; return whether there is something to tell about it."""
        facts = None
        if job.needs_money:
            held = await self._database.run(settling.must_wait, job, now=self._clock.now())
            if held is not None:
                return held.is_news
            try:
                facts = await self._ask(job)
            except AristobotError as error:
                await self._database.run(settling.put_off, job, error, now=self._clock.now())
                return True
        await self._database.run(settling.settle, job, facts, now=self._clock.now())
        return True

    async def _ask(self, job: Job) -> Facts:
        asked_at = self._clock.now()
        balance, price = await asyncio.gather(
            self._gateway.balance(job.broker_id, user_id=job.user_id, timeout_s=_ASK_TIMEOUT_S),
            self._gateway.price(
                job.broker_id, user_id=job.user_id, symbol=job.market.symbol, timeout_s=_ASK_TIMEOUT_S
            ),
        )
        market_time = await self._database.run(market_now, job.exchange, now=asked_at)
        return Facts(price=price, balance=balance, asked_at=asked_at, market_time=market_time)

    async def _tell(self, webhook_ids: Sequence[int]) -> None:
        if not webhook_ids:
            return
        for user_id, body in await self._database.run(_bodies, webhook_ids):
            await self._publisher.publish(TOPIC, "call", body, user_id=user_id)


def _bodies(webhook_ids: Sequence[int]) -> list[tuple[int, Mapping[str, Any]]]:
    rows = selectors.with_orders(Webhook.objects.filter(id__in=webhook_ids).defer("body"))
    return [(row.user_id, call_body(row)) for row in rows]
