"""Who stands still at a close, and for how long at most."""

import asyncio
import threading

from apps.core.adapters.strategy_host.right_of_way import RightOfWay


def watched(*, longest_s: float) -> tuple[RightOfWay, list[bool]]:
    way, told = RightOfWay(longest_s=longest_s), list[bool]()
    way.heed(told.append)
    return way, told


async def test_way_taken_by_many_is_told_once_and_given_back_once() -> None:
    way, told = watched(longest_s=60)
    way.give_back()  # nobody has it
    way.take()
    way.take()
    assert told == [True]
    way.give_back()
    way.give_back()
    assert told == [True, False]


async def test_way_is_not_kept_for_ever_nor_taken_again_at_once() -> None:
    way, told = watched(longest_s=0.01)
    over = asyncio.Event()
    way.heed(lambda taken: None if taken else over.set())
    way.take()
    await asyncio.wait_for(over.wait(), 10)
    way._not_before += 60  # the moments in which all share, made long
    way.take()
    assert told == [True, False]
    way._not_before = 0.0
    way.take()
    assert told == [True, False, True]


async def test_thread_waits_until_the_way_is_free() -> None:
    way, _ = watched(longest_s=60)
    passed = threading.Event()
    way.wait()  # free: at once
    way.take()

    def wait() -> None:
        way.wait()
        passed.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not passed.wait(0.05)
    way.give_back()
    assert passed.wait(10)
    waiting.join()
