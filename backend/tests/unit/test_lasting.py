"""What does not trade never ends a terminal."""

import asyncio

from django.db import ProgrammingError

from aristobot.wiring.lasting import lasting
from tests.fakes.clock import FakeClock


class Summaries:
    """Fails over a column that is being migrated, then works."""

    def __init__(self) -> None:
        self.runs = 0
        self.failed, self.works = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        if self.runs == 1:
            self.failed.set()
            raise ProgrammingError("column alert_preferences.summary_hour does not exist")
        self.works.set()
        await asyncio.Event().wait()


async def test_work_that_fails_runs_again_and_its_neighbours_go_on() -> None:
    clock, work = FakeClock(), Summaries()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        kept = group.create_task(lasting(work, clock=clock))
        await work.failed.wait()
        while not work.works.is_set():
            clock.advance(10)
            await asyncio.sleep(0)
        kept.cancel()
    assert work.runs == 2


async def test_work_that_ends_by_itself_is_not_run_again() -> None:
    class Once:
        runs = 0

        async def run(self) -> None:
            self.runs += 1

    work = Once()
    await lasting(work, clock=FakeClock())
    assert work.runs == 1
