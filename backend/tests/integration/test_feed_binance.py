"""`./aristobot up --feed binance`: real prices, simulated money; a simex without its mark poses as Binance.

It is first out of reach: the instance starts all the same, says so, and goes to work when it comes.
"""

import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.timeframes import to_ms
from tests.fakes.simex_process import SimexProcess, running_simex
from tests.system.instance import Instance, wait_until
from tests.system.judge import query
from tests.system.scenario import EVERY_CLOSE
from tests.system.trader import Trader

pytestmark = pytest.mark.timeout(420)

SYMBOL, NAME = "BTC/USDT", "BTCUSDT"
SPREAD = Decimal("0.0003")  # how far the synthetic book lies from the last trade


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def instance(tmp_path: Path, port: int) -> Iterator[Instance]:
    environment = {"BINANCE_REST_URL": f"http://127.0.0.1:{port}", "BINANCE_WS_URL": f"ws://127.0.0.1:{port}"}
    running = Instance(tmp_path / "instance", feed="binance", speed="1", environment=environment)
    try:
        running.start(timeout_s=240.0)
        yield running
    finally:
        running.stop()


def test_simulateur_trades_at_the_prices_of_binance_and_waits_for_it(instance: Instance, port: int) -> None:
    _said(instance, f"Binance ne répond pas (http://127.0.0.1:{port})")
    person = Trader(instance.url)
    person.register("lea")
    assert (person.session["mode"], person.session["prices"]) == ("simulation", "real")
    with running_simex("--symbols", "BTCUSDT,ETHUSDT", "--speed", "60", "--incognito", port=port) as binance:
        _said(instance, f"Binance répond (http://127.0.0.1:{port})")
        _trades_by_its_candles(instance, person, binance)
    _said(instance, f"Binance ne répond pas (http://127.0.0.1:{port})", times=2)
    assert httpx.get(f"{instance.url}/api/health/ready", timeout=5.0).status_code == 200
    person.close()


def _trades_by_its_candles(instance: Instance, person: Trader, binance: SimexProcess) -> None:
    database = instance.setting("DATABASE_URL")
    broker = person.simulateur()["id"]
    wait_until(lambda: any(person.all("/api/symbols/", broker=broker)), timeout_s=60, what="markets loaded")
    body = {"name": "À chaque clôture", "description": "", "code": EVERY_CLOSE, "timeframe": "1m"}
    strategy = person.post("/api/strategies/", **body)["id"]
    bot = person.start_bot(strategy=strategy, broker=broker, symbol=SYMBOL, timeframe="1m", amount="500")["id"]
    filled = "SELECT executed_at, price FROM fills ORDER BY 1"
    decided = "SELECT status, reason FROM bot_decisions"
    wait_until(
        lambda: len(query(database, filled)) >= 2,
        timeout_s=90,
        what=lambda: f"two fills: {query(database, decided)}\n{instance.tail()}",
    )
    person.post(f"/api/bots/{bot}/stop/", confirm=True)
    for fill in query(database, filled):
        _assert_price_of(binance, fill)
    assert {row["feed"] for row in query(database, "SELECT feed FROM heartbeat_status")} == {"binance"}
    heard = "SELECT * FROM candles_heartbeat WHERE signal_type = '1m' AND symbol = 'BTCUSDT' ORDER BY open_time"
    assert _compare(binance, query(database, heard)) >= 2
    seen = "SELECT * FROM candles WHERE timeframe = '1m' AND starts_with(source, 'simex:') ORDER BY open_time"
    assert _compare(binance, query(database, f"{seen} LIMIT 600")) >= 30


def _assert_price_of(binance: SimexProcess, fill: dict[str, Any]) -> None:
    """The fill's price is the one that Binance traded at, but for the book's spread."""
    at_ms = to_ms(fill["executed_at"])
    before: dict[str, str | int] = {"symbol": NAME, "startTime": at_ms - 180_000, "endTime": at_ms}
    trades = httpx.get(f"{binance.url}/api/v3/aggTrades", params=before, timeout=10.0).json()
    last = Decimal(trades[-1]["p"])
    assert abs(fill["price"] - last) <= last * SPREAD, (fill, trades[-1])


def _compare(binance: SimexProcess, rows: list[dict[str, Any]]) -> int:
    """Compare stored minutes with Binance's own; return how many there were."""
    start_ms = to_ms(rows[0]["open_time"])
    params: dict[str, str | int] = {"symbol": NAME, "interval": "1m", "startTime": start_ms, "limit": 1000}
    answer = httpx.get(f"{binance.url}/api/v3/klines", params=params, timeout=20.0).json()
    theirs = {kline[0]: [Decimal(text) for text in kline[1:6]] for kline in answer}
    for row in rows:
        names = ("open_price", "high_price", "low_price", "close_price", "volume")
        assert [row[name] for name in names] == theirs[to_ms(row["open_time"])]
    return len(rows)


def _said(instance: Instance, words: str, *, times: int = 1) -> None:
    wait_until(
        lambda: sum(words in line for line in instance.output) >= times,
        timeout_s=60,
        what=lambda: f"« {words} » {times} ×\n{instance.tail()}",
    )
