"""Which heartbeat carries the trading, on a clock in seconds; a source is lost after 30 s of silence."""

from collections.abc import Mapping

import pytest

from domain.heartbeat_sources import Carried, SourceWatch

Look = tuple[float, Mapping[str, float | None] | None]
BOTH: Mapping[str, float | None] = {"primary": None, "secondary": None}


def followed(*looks: Look) -> list[Carried]:
    """What a watch that tells everything tells, look after look (None: nobody can be heard)."""
    watch, told = SourceWatch(), []
    for at, silences in looks:
        if silences is None:
            watch.lost_sight()
            continue
        state = watch.note(silences, at=at)
        if state is not None:
            told.append(state)
            watch.told(state)
    return told


def test_silent_primary_is_told_once_at_thirty_seconds_and_its_return_once() -> None:
    looks: list[Look] = [(0, BOTH), *((at, {"primary": at - 11, "secondary": None}) for at in (20, 40))]
    assert followed(*looks) == []  # silent since 11
    looks += [
        (41, {"primary": 30, "secondary": None}),
        (60, {"primary": 49, "secondary": None}),
        (61, BOTH),
        (62, BOTH),
    ]
    assert followed(*looks) == [Carried.BY_SECONDARY, Carried.NORMALLY]


def test_alone_and_silent_nobody_carries() -> None:
    assert followed((0, {"primary": None}), (40, {"primary": 31}), (50, {"primary": None})) == [
        Carried.BY_NOBODY,
        Carried.NORMALLY,
    ]


def test_both_silent_then_one_after_the_other_back() -> None:
    looks: list[Look] = [
        (0, BOTH),
        (40, {"primary": 35, "secondary": None}),
        (60, {"primary": 55, "secondary": 30}),
        (70, {"primary": 65, "secondary": None}),
        (80, BOTH),
    ]
    assert followed(*looks) == [Carried.BY_SECONDARY, Carried.BY_NOBODY, Carried.BY_SECONDARY, Carried.NORMALLY]


def test_lost_secondary_leaves_the_primary_without_relief() -> None:
    assert followed((0, BOTH), (40, {"primary": None, "secondary": 30})) == [Carried.BY_PRIMARY]


def test_alive_without_the_market_is_silent_from_the_first_look_on() -> None:
    looks: list[Look] = [(at, {"primary": 0.0, "secondary": None}) for at in (0, 10, 29, 30)]
    assert followed(*looks[:3]) == []
    assert followed(*looks) == [Carried.BY_SECONDARY]


@pytest.mark.parametrize(("last", "told"), [(89, []), (90, [Carried.BY_SECONDARY])])
def test_silence_counts_again_after_nobody_could_be_heard(last: float, told: list[Carried]) -> None:
    looks: list[Look] = [
        (0, BOTH),
        (10, None),
        (60, {"primary": 55, "secondary": None}),
        (last, {"primary": last, "secondary": None}),
    ]
    assert followed(*looks) == told  # in sight again since 60


def test_change_that_could_not_be_told_is_proposed_again() -> None:
    watch = SourceWatch()
    watch.note({"primary": None}, at=0)
    assert watch.note({"primary": 30.0}, at=30) is Carried.BY_NOBODY
    assert watch.note({"primary": 31.0}, at=31) is Carried.BY_NOBODY
