"""Runs and sweeps from their row to their result, by terminal 3's supervisor and its sandboxed workers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from apps.accounts.models import User
from apps.backtest import queue
from apps.backtest.models import BacktestResult, BacktestSweepRun
from apps.backtest.services import requests
from apps.core.adapters.strategy_host.backtest_host import BacktestHost
from apps.core.adapters.strategy_host.right_of_way import RightOfWay
from apps.market_data.models import Candle as CandleRow
from apps.market_data.models import CandleRange
from apps.market_data.services import candle_history
from domain.errors import AuthenticationFailed, ExchangeUnavailable
from domain.messages import Priority
from domain.ports import TradingFee
from tests.backtest_world import (
    ENDLESS,
    FIRST,
    FLIPPING,
    MINUTE,
    PEEKING,
    SLOW,
    WARM_UP,
    Exchange,
    World,
    make_trader,
)

# One loop for all: the sandbox's zygote, which takes seconds to start, belongs to the loop that started it.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio(loop_scope="module")]


LIVE = RightOfWay(longest_s=60)  # the host's
PLAYED: dict[str, Any] = {
    "score": 9.0,
    "in_sample": {"proved": True, "look_ahead": "ok"},
    "out_of_sample": {"net_return": 1.0, "proved": True, "look_ahead": "ok"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncIterator[BacktestHost]:
    made = BacktestHost(niceness=0, right_of_way=LIVE)
    await made.start()
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def world(host: BacktestHost) -> AsyncIterator[World]:
    made = World(exchange=Exchange(count=400), host=host)
    yield made
    made.queries.close()


@pytest_asyncio.fixture(loop_scope="module")
async def lea(world: World) -> User:
    return await world.queries.run(make_trader, "lea")


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a state of another process."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 — the kernel's, which nobody tells
            await asyncio.sleep(0.01)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candle_history, "PAGE", 200)


async def test_run_is_loaded_played_and_written_once(world: World, lea: User, small_pages: None) -> None:
    world.exchange.fee = TradingFee(Decimal("0.0002"), Decimal("0.0004"))
    run = await world.ask(lea)
    async with world.terminal_3():
        await world.browsers.status(run, "done", "failed")
        again = await world.ask(lea)
        await world.browsers.status(again, "done", "failed")
    first, second = await world.row(run), await world.row(again)
    assert (first.status, first.error) == ("done", "")
    assert first.total_trades == len(first.trades_detail) > 100
    assert first.final_amount == Decimal(first.metrics["final_balance"])
    assert first.checks["coverage"] == {
        **first.checks["coverage"],
        "ratio": 1.0,
        "present": WARM_UP + 300,
        "verified": True,
    }
    stated = {each["name"]: each["value"] for each in first.assumptions}
    assert stated["Origine des frais"] == "ceux du compte « Binance »"
    assert stated["Frais taker"] == "0,04 %"
    # The candles came by four pages at the lowest priority, and the second run asked for none of them.
    assert world.exchange.pages == [FIRST + (200 * page - WARM_UP) * MINUTE for page in range(4)]
    assert world.exchange.priorities == {Priority.HISTORY}
    kept = ("final_amount", "metrics", "checks", "assumptions", "hashes", "trades_detail", "curves")
    assert [getattr(first, name) for name in kept] == [getattr(second, name) for name in kept]
    statuses = [data["status"] for kind, data, _ in world.browsers.events if kind == "run" and data["id"] == run.pk]
    assert statuses == ["loading", "running", "done"]
    assert {user for _, _, user in world.browsers.events} == {lea.pk}


async def test_fees_of_an_exchange_that_tells_none_are_the_markets_and_said_so(world: World, lea: User) -> None:
    world.exchange.failures["trading_fee"] = AuthenticationFailed("Clé refusée.")
    run = await world.ask(lea)
    async with world.terminal_3():
        await world.browsers.status(run, "done", "failed")
    row = await world.row(run)
    stated = {each["name"]: each["value"] for each in row.assumptions}
    assert stated["Frais taker"] == "0,1 %"
    assert "Clé refusée." in stated["Origine des frais"]


async def test_waiting_run_is_cancelled_without_terminal_3(world: World, lea: User) -> None:
    run = await world.ask(lea)
    await world.queries.run(requests.cancel, run)
    assert (await world.row(run)).status == "cancelled"


async def test_cancelled_while_loading_keeps_its_pages_and_the_next_goes_on_from_there(
    world: World, lea: User, small_pages: None
) -> None:
    world.exchange.gate = asyncio.Event()
    run = await world.ask(lea)
    async with world.terminal_3():
        await world.exchange.asked.wait()
        world.exchange.gate.set()
        await world.exchange.asked_twice.wait()
        world.exchange.gate.clear()
        await world.cancel(run)
        assert await world.queries.run(CandleRow.objects.count) >= 200
        world.exchange.gate.set()
        again = await world.ask(lea)
        await world.browsers.status(again, "done")
    assert len(set(world.exchange.pages)) == 4
    assert len(world.exchange.pages) <= 5  # the page that was under way, once more
    assert await world.queries.run(CandleRange.objects.count) == 1


async def test_cancelled_while_running_ends_the_worker_and_the_queue_goes_on(world: World, lea: User) -> None:
    run = await world.ask(lea, code=ENDLESS)
    async with world.terminal_3():
        await world.browsers.status(run, "running")
        after = await world.ask(lea)
        await world.cancel(run)
        await world.browsers.status(after, "done")
    await _until(lambda: world.worker_pids() == [])  # the other run is told done before its worker is reaped


async def test_killed_worker_leaves_its_reason_and_the_queue_goes_on(world: World, lea: User) -> None:
    run = await world.ask(lea, code=SLOW)
    async with world.terminal_3():
        await world.browsers.seen(lambda kind, data: kind == "progress" and data["phase"] == "running")
        os.kill(world.worker_pids()[0], signal.SIGKILL)
        failed = await world.browsers.status(run, "failed")
        after = await world.ask(lea)
        await world.browsers.status(after, "done")
    assert "arrêtée par le système" in failed["error"]


async def test_worker_stands_still_while_a_close_is_traded_and_ends_all_the_same(world: World, lea: User) -> None:
    endless = await world.ask(lea, code=ENDLESS)
    async with world.terminal_3():
        await world.browsers.status(endless, "running")
        LIVE.take()
        await until(lambda: world.worker_states() == ["T"])
        LIVE.give_back()
        await until(lambda: world.worker_states() == ["R"])
        LIVE.take()
        await world.cancel(endless)
        await until(lambda: world.worker_states() == [])
        LIVE.give_back()
        after = await world.ask(lea)
        await world.browsers.status(after, "done")


async def test_one_users_endless_run_keeps_nobody_waiting(world: World, lea: User) -> None:
    other = await world.queries.run(make_trader, "max")
    endless = await world.ask(lea, code=ENDLESS)
    async with world.terminal_3():
        await world.browsers.status(endless, "running")
        waiting = await world.ask(lea)
        theirs = await world.ask(other)
        await world.browsers.status(theirs, "done")
        assert (await world.row(endless)).status == "running"
        assert (await world.row(waiting)).status == "queued"  # one at a time for each user
        await world.cancel(endless)
        await world.browsers.status(waiting, "done")


async def test_two_users_share_one_download(world: World, lea: User, small_pages: None) -> None:
    other = await world.queries.run(make_trader, "max")
    runs = [await world.ask(lea), await world.ask(other)]
    async with world.terminal_3():
        for run in runs:
            await world.browsers.status(run, "done")
    assert len(world.exchange.pages) == len(set(world.exchange.pages)) == 4


async def test_hole_of_the_exchange_is_shown_and_not_asked_for_again(world: World, lea: User) -> None:
    holey = World(exchange=Exchange(count=400, holes=range(100, 110)), host=world.host)
    runs = [await holey.ask(lea), await holey.ask(lea)]
    async with holey.terminal_3():
        for run in runs:
            await holey.browsers.status(run, "done")
    coverage = (await holey.row(runs[0])).checks["coverage"]
    hole = int((FIRST + 100 * MINUTE).timestamp() * 1000)
    assert coverage["holes"] == [{"from_ms": hole, "to_ms": hole + 600_000, "missing": 10}]
    assert (coverage["present"], coverage["expected"]) == (WARM_UP + 290, WARM_UP + 300)
    assert coverage["verified"]
    assert len(holey.exchange.pages) == 1
    holey.queries.close()


async def test_download_that_fails_for_good_says_why(world: World, lea: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(candle_history, "_FIRST_PAUSE_S", 0.0)
    world.exchange.failures["candles"] = ExchangeUnavailable("Binance ne répond pas (504).")
    run = await world.ask(lea)
    async with world.terminal_3():
        failed = await world.browsers.status(run, "failed")
    assert failed["error"] == "Binance ne répond pas (504)."
    assert len(world.exchange.pages) == 4  # asked again while it may pass


async def test_failing_strategy_says_its_line(world: World, lea: User) -> None:
    code = FLIPPING.replace("return self.position is None", "return 1 / 0")
    run = await world.ask(lea, code=code)
    async with world.terminal_3():
        failed = await world.browsers.status(run, "failed")
    assert "ZeroDivisionError" in str(failed["error_details"])
    assert failed["error_details"]["line"] == 1 + code[: code.index("1 / 0")].count("\n")


@pytest.mark.parametrize(("attempts", "expected"), [(1, "done"), (2, "failed")])
async def test_run_of_a_dead_terminal_3_is_taken_up_once(
    world: World, lea: User, attempts: int, expected: str
) -> None:
    run = await world.ask(lea)
    await world.queries.run(_orphan, run.pk, attempts=attempts)
    async with world.terminal_3():
        told = await world.browsers.status(run, "done", "failed")
    assert told["status"] == expected
    assert ("interrompu" in told["error"]) == (expected == "failed")


async def test_terminal_3_that_stops_gives_its_run_back_at_once(world: World, lea: User) -> None:
    run = await world.ask(lea, code=ENDLESS)
    async with world.terminal_3():
        await world.browsers.status(run, "running")
    row = await world.row(run)
    assert (row.status, row.attempts) == ("queued", 0)


async def test_worker_that_lost_its_claim_writes_nothing(world: World, lea: User) -> None:
    now = datetime.now(UTC)
    run = await world.ask(lea)
    claimed = await world.queries.run(queue.claim, BacktestResult, "old", now=now, lease=timedelta(0))
    assert claimed is not None
    await world.queries.run(queue.take_back_orphans, BacktestResult, now=now + timedelta(seconds=1))
    await world.queries.run(queue.claim, BacktestResult, "new", now=now)
    assert await world.queries.run(queue.write, queue.claim_of(claimed), status="done") is None
    assert (await world.row(run)).status == "loading"


async def test_deleted_run_ends_its_worker(world: World, lea: User) -> None:
    run = await world.ask(lea, code=ENDLESS)
    async with world.terminal_3():
        await world.browsers.status(run, "running")
        await _until(lambda: len(world.worker_pids()) == 1)
        await world.queries.run(requests.delete, run)
        world.bell.ring()
        await _until(lambda: world.worker_pids() == [])


async def test_sweep_ranks_in_sample_and_shows_the_rest_window_by_window(world: World, lea: User) -> None:
    sweep = await world.ask_sweep(lea, space={"part": [0.2, 0.4, 0.8]}, windows=2)
    async with world.terminal_3():
        done = await world.browsers.status(sweep, "done", "failed")
    assert (done["error"], done["done_runs"], done["total_runs"]) == ("", 6, 6)
    runs = await world.queries.run(_runs_of, sweep)
    assert sorted((run.window, run.number, run.params["part"]) for run in runs) == [
        *((0, 0, 0.2), (0, 1, 0.4), (0, 2, 0.8)),
        *((1, 0, 0.2), (1, 1, 0.4), (1, 2, 0.8)),
    ]
    assert all(run.score == run.in_sample["net_return"] for run in runs)
    first, second = done["results"]["windows"]
    best = max((run for run in runs if run.window == 0), key=lambda run: run.score)
    assert (first["best"], first["params"]) == (best.number, best.params)
    assert first["out_of_sample_return"] == best.out_of_sample["net_return"]
    assert first["in_sample"][1] == first["out_of_sample"][0]
    assert first["out_of_sample"][1] == second["out_of_sample"][0]


async def test_sweep_that_was_interrupted_plays_only_what_is_missing(world: World, lea: User) -> None:
    sweep = await world.ask_sweep(lea, space={"part": [0.2, 0.4]})
    await world.queries.run(_keep, BacktestSweepRun(sweep=sweep, number=0, params={"part": 0.2}, **PLAYED))
    async with world.terminal_3():
        done = await world.browsers.status(sweep, "done", "failed")
    assert done["results"]["windows"][0]["best"] == 0
    assert done["results"]["out_of_sample_return"] == pytest.approx(1.0)


async def test_best_of_a_sweep_is_proved_whole_and_the_others_by_a_sample(world: World, lea: User) -> None:
    sweep = await world.ask_sweep(lea, space={"part": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]})
    async with world.terminal_3():
        done = await world.browsers.status(sweep, "done", "failed")
    runs = {run.number: run for run in await world.queries.run(_runs_of, sweep)}
    best = done["results"]["windows"][0]
    assert best["verdict"] == "ok"
    assert runs[best["best"]].in_sample["proved"]
    assert runs[best["best"]].in_sample["bars_checked"] > 100
    # Two workers prove the first combination that each of them plays, then the best one is proved: three at most.
    proved = [run for run in runs.values() if run.in_sample["proved"]]
    assert done["results"]["proof"] == {
        "params": min(proved, key=lambda run: run.number).params,
        "runs": len(proved),
    }
    assert len(proved) <= 3
    assert {run.in_sample["look_ahead"] for run in runs.values()} == {"ok"}


async def test_combination_that_peeks_is_not_believed(world: World, lea: User) -> None:
    sweep = await world.ask_sweep(lea, code=PEEKING, space={"lag": [0, 1, 2, 3]})
    async with world.terminal_3():
        done = await world.browsers.status(sweep, "done", "failed")
    runs = {run.number: run for run in await world.queries.run(_runs_of, sweep)}
    assert (done["error"], runs[0].in_sample["look_ahead"]) == ("", "ok")
    assert {runs[number].in_sample["look_ahead"] for number in (1, 2, 3)} == {"biased"}
    # Played the exact way they know no future, so that they are all one strategy: the last value repeated.
    assert len({runs[number].in_sample["net_return"] for number in (1, 2, 3)}) == 1


async def test_guided_search_plays_as_many_as_asked_and_survives_an_interruption(world: World, lea: User) -> None:
    wanted: dict[str, Any] = {
        "space": {"part": {"min": 0.1, "max": 0.9, "step": 0.1}},
        "sampler": "optuna",
        "runs": 5,
    }
    sweep = await world.ask_sweep(lea, **wanted)
    async with world.terminal_3():
        await world.browsers.seen(lambda kind, data: kind == "progress" and data["phase"] == "running")
    assert (await world.row(sweep)).status == "queued"
    async with world.terminal_3():
        done = await world.browsers.status(sweep, "done", "failed")
        whole = await world.ask_sweep(lea, **wanted)
        await world.browsers.status(whole, "done", "failed")
    assert (done["error"], done["sampler"], done["total_runs"]) == ("", "optuna", 5)
    runs, uninterrupted = [await world.queries.run(_runs_of, each) for each in (sweep, whole)]
    assert sorted(run.params["part"] for run in runs) == sorted(run.params["part"] for run in uninterrupted)
    assert len({run.params["part"] for run in runs}) == 5


async def test_cancelled_sweep_ends_its_workers_and_keeps_what_it_played(world: World, lea: User) -> None:
    sweep = await world.ask_sweep(lea, code=SLOW, space={"part": [0.2, 0.4, 0.6, 0.8]})
    await world.queries.run(_keep, BacktestSweepRun(sweep=sweep, number=0, params={"part": 0.2}, **PLAYED))
    async with world.terminal_3():
        await world.browsers.status(sweep, "running")
        await _until(lambda: len(world.worker_pids()) == 2)
        await world.cancel(sweep)
        await _until(lambda: world.worker_pids() == [])
    assert await world.queries.run(BacktestSweepRun.objects.count) == 1


async def test_progress_of_a_row_belongs_to_its_phase_and_never_goes_back(world: World, lea: User) -> None:
    now = datetime.now(UTC)
    run = await world.ask(lea)
    claimed = await world.queries.run(queue.claim, BacktestResult, "w", now=now)
    assert claimed is not None
    claim = queue.claim_of(claimed)
    shares = []
    for told in (("loading", 0.6), ("loading", 0.4)):
        await world.queries.run(queue.renew, {claim: told}, now=now)
        shares.append((await world.row(run)).phase_progress)
    await world.queries.run(queue.write, claim, status="running", phase_progress=0.0)
    for told in (("loading", 0.9), ("running", 0.2)):  # the first was asked for before the phase changed
        await world.queries.run(queue.renew, {claim: told}, now=now)
        shares.append((await world.row(run)).phase_progress)
    assert shares == [0.6, 0.6, 0.0, 0.2]


def _runs_of(sweep: Any) -> list[BacktestSweepRun]:
    return list(BacktestSweepRun.objects.filter(sweep=sweep))


def _keep(row: BacktestSweepRun) -> None:
    row.save()


def _orphan(pk: int, *, attempts: int) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    BacktestResult.objects.filter(pk=pk).update(
        status="running", claimed_by="dead", attempts=attempts, lease_until=past
    )


async def _until(check: Any, *, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not check():  # noqa: ASYNC110 — another process's end tells nobody
            await asyncio.sleep(0.01)
