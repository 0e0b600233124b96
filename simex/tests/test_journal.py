"""Killed at any moment, simex comes back with everything it ever answered."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simex.journal import NAME, FileJournal
from simex.options import Options
from simex.simulation import Simulation
from simex.tests.support import ROOT, START_MS, WITHIN_S, Client, messages, running, serving, stepped


@asynccontextmanager
async def process(*options: str) -> AsyncIterator[tuple[Client, asyncio.subprocess.Process]]:
    """Run simex as a program; it is killed at the end if it still lives."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simex", "--port", "0", *options,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert child.stdout is not None
        async with asyncio.timeout(30):
            line = (await child.stdout.readline()).decode()
        assert line.startswith("simex ready on http://"), line
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Client(line.split()[3], session), child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def trade_until_killed(
    client: Client, child: asyncio.subprocess.Process, life: int, orders: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Send orders; at the last one pull the plug while it is under way."""
    answered, sent = [], []
    for number in range(orders):
        name = f"life{life}-{number}"
        sent.append(name)
        side = "SELL" if number % 3 == 2 else "BUY"
        sending = asyncio.create_task(client.order(side, "MARKET", quantity="0.001", newClientOrderId=name))
        if number == orders - 1:
            for _ in range(random.Random(life).randrange(12)):
                await asyncio.sleep(0)
            child.send_signal(signal.SIGKILL)
        with contextlib.suppress(aiohttp.ClientError):
            answer = await sending
            assert answer.status == 200, answer.body
            answered.append(answer.body)
    await child.wait()
    return answered, sent


async def test_killed_again_and_again_no_answered_order_is_lost_or_doubled(tmp_path: Path) -> None:
    options = ("--symbols", "BTCUSDT", "--speed", "60", "--start", "2018-03-02",
               "--data-dir", str(tmp_path))  # fmt: skip
    answered: list[dict[str, Any]] = []
    sent: list[str] = []
    runs, clocks = set(), [0]
    for life in range(3):
        async with process(*options) as (client, child):
            run = await client.ask("run")
            runs.add(run["run"])
            clocks.append(run["market_time"])
            more, names = await trade_until_killed(client, child, life, 6)
            answered, sent = answered + more, sent + names
    async with process(*options) as (client, _):
        found = (await client.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")).body
        log = await client.ask("log", path="/api/v3/order", method="POST")
        state = await client.ask("state")
        trades = (await client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body
    assert len(runs) == 1
    assert clocks == sorted(clocks)
    by_id = {order["clientOrderId"]: order for order in found}
    assert len(by_id) == len(found)
    for order in answered:
        kept = by_id[order["clientOrderId"]]
        assert [kept[n] for n in ("orderId", "executedQty", "cummulativeQuoteQty")] == [
            order[n] for n in ("orderId", "executedQty", "cummulativeQuoteQty")
        ]
    assert {entry["client_order_id"] for entry in log} == set(by_id) <= set(sent)
    assert len({trade["id"] for trade in trades}) == len(trades)
    assert sum(Decimal(t["qty"]) for t in trades) == sum(Decimal(o["executedQty"]) for o in found)
    assert state["conserved"]


async def test_resting_order_survives_and_fills_in_the_next_life(tmp_path: Path) -> None:
    options = stepped(symbols=("BTCUSDT",), data_dir=tmp_path)
    async with running(options) as client:
        await client.admin("clock", advance_ms=30_000)
        last = Decimal((await client.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"])
        price = (last * Decimal("0.99")).quantize(Decimal("0.01"))
        made = await client.admin("accounts")
        other = client.other(made["api_key"], made["api_secret"])
        placed = await other.order("BUY", "LIMIT", price=str(price), quantity="0.01", timeInForce="GTC")
        assert placed.body["status"] == "NEW"
    async with running(options) as client:
        assert (await client.ask("run"))["market_time"] == START_MS + 30_000
        other = client.other(made["api_key"], made["api_secret"])
        account = (await other.signed("GET", "/api/v3/account")).body
        assert account["balances"][0]["locked"] == f"{price * Decimal('0.01'):.8f}"
        await client.admin("price", symbol="BTCUSDT", price=str(price * Decimal("0.9")))
        await client.admin("clock", advance_ms=600_000)
        (order,) = (await other.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")).body
        assert (order["status"], order["orderId"]) == ("FILLED", placed.body["orderId"])
        before = await client.call("GET", "/api/v3/klines", symbol="BTCUSDT", interval="1m")
    async with running(options) as client:  # the moved price is the market's from then on
        after = await client.call("GET", "/api/v3/klines", symbol="BTCUSDT", interval="1m")
        assert after.body == before.body


async def test_another_market_is_another_run_and_accounts_stay(tmp_path: Path) -> None:
    options = stepped(symbols=("BTCUSDT",), data_dir=tmp_path)
    async with running(options) as client:
        first = await client.ask("run")
        await client.order("BUY", "MARKET", quantity="0.01")
        order = {"price": "20000", "quantity": "0.01", "timeInForce": "GTC"}
        await client.order("BUY", "LIMIT", **order)
        await client.admin("clock", advance_ms=60_000)
    async with running(replace(options, seed=43, symbols=("ETHUSDT",))) as client:
        second = await client.ask("run")
        assert second["run"] != first["run"]
        state = await client.ask("state")
        assert state["open_orders"] == []
        held = {b["asset"]: b for b in state["balances"]["alice"]}
        assert Decimal(held["BTC"]["free"]) == Decimal("0.00999")
        assert Decimal(held["USDT"]["locked"]) == 0
    async with running(options) as client:
        back = await client.ask("run")
        assert (back["run"], back["market_time"]) == (first["run"], START_MS + 60_000)
        reset = await client.admin("reset")
        assert reset["run"] != first["run"]
        assert reset["market_time"] == START_MS
    async with running(options) as client:
        assert (await client.ask("run"))["run"] == reset["run"]


async def test_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    options = stepped(symbols=("BTCUSDT",), data_dir=tmp_path)
    async with running(options) as client:
        await client.order("BUY", "MARKET", quantity="0.01")
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"tx":{"balances":[["alice","USD')
    async with running(options) as client:
        assert (await client.ask("state"))["orders"] == 1
    assert b'["alice","USD\n' not in (tmp_path / NAME).read_bytes()


async def test_asked_to_stop_it_leaves_at_once_with_a_consumer_still_there(tmp_path: Path) -> None:
    options = ("--symbols", "BTCUSDT", "--speed", "60", "--start", "2018-03-02",
               "--data-dir", str(tmp_path))  # fmt: skip
    async with (
        process(*options) as (client, child),
        client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket,
    ):
        await messages(socket, 1)
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_S):
            assert await child.wait() == 0
    lines = (tmp_path / NAME).read_bytes().splitlines()
    assert lines[-1].startswith(b'{"clock":')


def test_two_simex_on_one_folder_are_refused(tmp_path: Path) -> None:
    first = FileJournal(tmp_path)
    with pytest.raises(RuntimeError, match="another simex uses"):
        FileJournal(tmp_path)
    first.close()


async def test_without_a_folder_each_life_is_a_new_run() -> None:
    runs = set()
    for _ in range(2):
        async with serving(Simulation(stepped())) as client:
            runs.add((await client.ask("run"))["run"])
    assert len(runs) == 2


async def settled(options: Options, until_ms: int) -> tuple[list[dict[str, Any]], Any]:
    """Play a market up to a time and return its orders, fills included, and balances."""
    sim = Simulation(options)
    await sim.step_to(until_ms)
    orders, state = sim.exchange.describe_orders(), sim.exchange.describe_state()
    sim.close()
    return orders, {name: state[name] for name in ("balances", "open_orders", "fills")}


async def test_killed_after_any_line_triggers_and_fills_happen_once(tmp_path: Path) -> None:
    first = stepped(symbols=("BTCUSDT",), data_dir=tmp_path / "first")
    end_ms = START_MS + 3_600_000
    async with running(first) as client:
        last = Decimal((await client.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"])
        await client.order("BUY", "MARKET", quantity="0.12")
        for permille, kind, force in PLANS:
            at = str((last * permille / 1000).quantize(Decimal("0.01")))
            limits = {"price": at, "timeInForce": force} if force else {}
            placed = await client.order("SELL", kind, stopPrice=at, quantity="0.02", **limits)
            assert placed.status == 200, placed.body
        up, down = (str((last * permille / 1000).quantize(Decimal("0.01"))) for permille in (1003, 997))
        legs = {"aboveType": "LIMIT_MAKER", "abovePrice": up, "belowType": "STOP_LOSS", "belowStopPrice": down}
        pair = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01", **legs}
        assert (await client.signed("POST", "/api/v3/orderList/oco", **pair)).status == 200
        await client.admin("price", symbol="BTCUSDT", price=str(last * Decimal("0.995")))
    lines = (tmp_path / "first" / NAME).read_bytes().splitlines(keepends=True)
    expected = await settled(first, end_ms)
    assert expected[1]["fills"] >= 5  # the purchase, three stops and a leg at least
    after = (tmp_path / "first" / NAME).read_bytes().splitlines(keepends=True)
    cuts = range(len(lines), len(after) + 1)
    assert len(cuts) > 3
    for cut in cuts:
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / NAME).write_bytes(b"".join(after[:cut]))
        assert await settled(replace(first, data_dir=folder), end_ms) == expected


PLANS = (
    (998, "STOP_LOSS", ""),
    (997, "STOP_LOSS", ""),
    (998, "STOP_LOSS_LIMIT", "GTC"),
    (1001, "TAKE_PROFIT_LIMIT", "GTC"),
)


async def test_market_goes_on_where_it_was_at_whatever_speed_the_next_life_has(tmp_path: Path) -> None:
    wall = [1_790_000_000_000]
    options = Options(start_ms=START_MS, data_dir=tmp_path)
    runs, reached = set(), []
    for speed in ("60", "1", "60"):
        sim = Simulation(replace(options, speed=speed), lambda: wall[0])
        sim.clock.start()
        wall[0] += 10_000
        await sim.step_to(sim.clock.target_ms())
        reached.append(sim.clock.now_ms - START_MS)
        runs.add(sim.run)
        sim.close()
        wall[0] += 3_600_000  # an hour off moves no market
    assert reached == [600_000, 610_000, 1_210_000]
    assert len(runs) == 1


async def test_fast_market_that_has_caught_up_with_the_clock_goes_at_its_pace(tmp_path: Path) -> None:
    wall = START_MS + 60_000
    sim = Simulation(Options(start_ms=START_MS, data_dir=tmp_path, speed="60"), lambda: wall)
    sim.clock.start()
    wall += 1_000
    assert sim.clock.target_ms() == START_MS + 60_000
    wall += 1_000
    assert sim.clock.target_ms() == wall
    sim.close()
