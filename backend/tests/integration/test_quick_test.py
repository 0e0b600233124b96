"""The quick test over HTTP, through the sandbox of terminal 3, on an exchange's last candles."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest
from asgiref.sync import async_to_sync
from django.test import Client, override_settings
from django.urls import include, path

from apps.accounts.models import User
from apps.backtest.quick_test import TESTED, QuickTests
from apps.brokers.models import Broker
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.strategy_host.host import SandboxedStrategyHost
from apps.core.adapters.strategy_host.protocol import BadReply
from apps.core.adapters.strategy_host.quick_test_wire import Answer, unpack_result
from apps.market_data.models import ExchangeSymbol
from apps.strategies.examples import EXAMPLES
from apps.strategies.examples.ema_cross import EMA_CROSS
from domain.backtest.quick_contract import QuickTestJob
from domain.backtest.quick_test import quick_test
from domain.candles import Candle
from domain.ports import Publisher
from domain.strategies.contract import DEFAULT_WINDOW
from domain.strategies.sample import sample_window
from domain.timeframes import Timeframe
from tests.backtest_world import ENDLESS
from tests.fakes.gateway import FakeGateway
from tests.fakes.publisher import FakePublisher
from tests.fakes.strategy_host import FakeStrategyHost
from tests.fakes.terminal3 import Terminal3
from tests.unit.backtest.scripted import MARKET

pytestmark = pytest.mark.django_db(transaction=True)

urlpatterns = [path("api/", include("apps.backtest.urls"))]
BTC = "BTC/USDT"
JSON = "application/json"
COUNT = TESTED + DEFAULT_WINDOW


@pytest.fixture(autouse=True)
def _routes() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def client() -> Client:
    user = User.objects.create_user(username="lea", password="x")
    made = Client()
    made.force_login(user)
    return made


@pytest.fixture
def broker(client: Client) -> Broker:
    ExchangeSymbol.objects.create(
        exchange="binance",
        symbol=BTC,
        exchange_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        price_precision=Decimal("0.01"),
        amount_precision=Decimal("0.00001"),
        min_notional=Decimal(5),
        maker_fee_ratio=Decimal("0.001"),
        taker_fee_ratio=Decimal("0.001"),
    )
    made: Broker = Broker.objects.create(user=User.objects.get(), name="Binance", exchange="binance")
    return made


def last_candles() -> list[Candle]:
    window = sample_window(COUNT)
    start = Timeframe.M1.open_time(datetime.now(UTC)) - COUNT * timedelta(minutes=1)
    return [
        Candle(
            symbol=BTC,
            timeframe=Timeframe.M1,
            open_time=start + bar * timedelta(minutes=1),
            open=Decimal(str(window.open[bar])),
            high=Decimal(str(window.high[bar])),
            low=Decimal(str(window.low[bar])),
            close=Decimal(str(window.close[bar])),
            volume=Decimal(str(window.volume[bar])),
            trade_count=3,
        )
        for bar in range(COUNT)
    ]


def terminal_3(publisher: Publisher | None = None) -> Terminal3:
    gateway, host = FakeGateway(source="binance"), SandboxedStrategyHost(spares=0)
    gateway.candle_rows = last_candles()
    tests = QuickTests(gateway=gateway, host=host, publisher=publisher or FakePublisher(), clock=SystemClock())
    return Terminal3(host, {"quick_test": tests.run})


def ask(client: Client, broker: Broker, **changes: Any) -> Any:
    body = {"code": EMA_CROSS, "broker": broker.pk, "symbol": BTC, "timeframe": "1m", **changes}
    return client.post("/api/backtests/quick-test/", body, content_type="application/json")


def test_example_is_tried_on_the_last_candles(client: Client, broker: Broker) -> None:
    with terminal_3():
        answer = ask(client, broker)
    body = answer.json()
    assert answer.status_code == 200, body
    assert len(body["candles"]) == TESTED
    assert body["trade_count"] == len(body["trades"]) > 3
    profits = sum((Decimal(trade["profit"]) for trade in body["trades"]), Decimal(0))
    assert body["open_since"] is not None or Decimal(body["profit"]) == profits
    times = [candle[0] for candle in body["candles"]]
    assert all(trade["entry_time"] in times and trade["exit_time"] in times for trade in body["trades"])
    assert all(Decimal(trade["fees"]) > 0 for trade in body["trades"])


class Listener(FakePublisher):
    """Lets a test wait until the strategy is being played."""

    def __init__(self) -> None:
        super().__init__()
        self.is_played = threading.Event()

    async def publish(self, topic: str, event_type: str, data: Any, *, user_id: int | None = None) -> None:
        await super().publish(topic, event_type, data, user_id=user_id)
        if data["phase"] == "running":
            self.is_played.set()


def test_progress_is_told_to_its_user_and_a_loop_is_cancelled_within_half_a_second(
    client: Client, broker: Broker
) -> None:
    listener, test_id, answers = Listener(), str(UUID(int=1)), []
    other = Client()
    other.force_login(User.objects.create_user(username="max", password="x"))
    cancel = {"path": "/api/backtests/quick-test/cancel/", "data": {"id": test_id}, "content_type": JSON}
    with terminal_3(listener):
        asking = threading.Thread(target=lambda: answers.append(ask(client, broker, code=ENDLESS, id=test_id)))
        asking.start()
        assert listener.is_played.wait(30)
        assert other.post(**cancel).status_code == 204  # another user's word changes nothing
        asking.join(0.3)
        assert asking.is_alive()

        asked_at = time.monotonic()
        assert client.post(**cancel).status_code == 204
        asking.join(20)
        waited_s = time.monotonic() - asked_at
    assert (answers[0].status_code, answers[0].json()["code"]) == (409, "cancelled")
    assert waited_s < 5  # half a second on a machine that does nothing else; a loop left alone takes 20
    user_id = User.objects.get(username="lea").pk
    assert {(topic, kind, user) for topic, kind, _, user in listener.events} == {
        ("backtests", "quick_test", user_id)
    }
    assert [news["phase"] for _, _, news, _ in listener.events][-1] == "running"
    assert {news["id"] for _, _, news, _ in listener.events} == {test_id}


def test_a_third_test_at_once_is_refused_and_another_users_is_not(client: Client, broker: Broker) -> None:
    async def at_once() -> list[Any]:
        host = Waits(3)
        gateway = FakeGateway(source="binance")
        gateway.candle_rows = last_candles()
        tests = QuickTests(gateway=gateway, host=host, publisher=FakePublisher(), clock=SystemClock())
        asked = [asyncio.ensure_future(tests.run(wanted(user))) for user in ("lea", "lea", "max")]
        await asyncio.wait_for(host.all_wait.wait(), 30)
        third = await asyncio.gather(tests.run(wanted("lea")), return_exceptions=True)
        for one in asked:
            one.cancel()
        return [*third, await asyncio.gather(*asked, return_exceptions=True)]

    max_ = User.objects.create_user(username="max", password="x")
    brokers = {"lea": broker, "max": Broker.objects.create(user=max_, name="Binance", exchange="binance")}

    def wanted(name: str) -> dict[str, Any]:
        own = brokers[name]
        market = {"broker_id": own.pk, "symbol": BTC, "timeframe": "1m"}
        return {"user_id": own.user_id, "code": EMA_CROSS, "amount": "1000", "params": {}, **market}

    refused, others = async_to_sync(at_once)()
    assert refused.error_code == "too_many_quick_tests"
    assert all(isinstance(one, asyncio.CancelledError) for one in others)


class Waits(FakeStrategyHost):
    """Holds each quick test until it is cancelled."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._left = count
        self.all_wait = asyncio.Event()

    async def quick_test(self, job: QuickTestJob, *, progress: Any = None) -> Any:
        self._left -= 1
        if self._left == 0:
            self.all_wait.set()
        await asyncio.Event().wait()


def test_error_of_the_code_comes_back_with_its_line(client: Client, broker: Broker) -> None:
    with terminal_3():
        answer = ask(client, broker, code=EMA_CROSS.replace('["close"]', '["closed"]'))
    assert answer.status_code == 400
    assert answer.json()["code"] == "strategy_error"
    assert answer.json()["details"]["line"] == 10


def test_chosen_parameters_are_played_and_bad_ones_refused(client: Client, broker: Broker) -> None:
    rsi = EXAMPLES[1].code
    with terminal_3():
        usual = ask(client, broker, code=rsi).json()
        tuned = ask(client, broker, code=rsi, params={"longueur": 3}).json()
    assert usual["trades"] != tuned["trades"]
    assert ask(client, broker, code=rsi, params={"longueur": 1}).json()["code"] == "invalid_param"


def test_another_users_broker_is_absent(client: Client, broker: Broker) -> None:
    other = User.objects.create_user(username="max", password="x")
    theirs = Broker.objects.create(user=other, name="Binance", exchange="binance")
    assert ask(client, theirs).status_code == 404


async def test_sandbox_and_this_process_play_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas_ta", ta)
    market = replace(MARKET, taker_fee_ratio=Decimal("0.001"), maker_fee_ratio=Decimal("0.0002"))
    job = QuickTestJob(EMA_CROSS, sample_window(COUNT), 60_000, TESTED, market, Decimal(1000))
    told: list[float] = []
    here = quick_test(job, {"pd": pd, "np": np, "ta": ta}, progress=told.append)
    assert told == [number / 50 for number in range(1, 51)]
    assert here.trade_count > 3
    host = SandboxedStrategyHost(spares=0)
    try:
        there = await host.quick_test(job)
    finally:
        await host.close()
    assert (list(there.trades), there.final_balance) == (list(here.trades), here.final_balance)


def test_progress_that_a_child_could_forge_is_refused() -> None:
    told: list[float] = []
    answer = Answer(told.append)
    for news in (b"%0.5000", b"%nan", b"%7"):
        assert answer.take(news) is None
    assert told == [0.5, 0.0, 1.0]
    for forged in (b"%beaucoup", b"%" + b"0" * 20):
        with pytest.raises(BadReply):
            answer.take(forged)
    for _ in range(995):
        answer.take(b"%0.1")
    with pytest.raises(BadReply, match="sans fin"):
        answer.take(b"%0.1")


@pytest.mark.parametrize(
    "forged",
    [
        {"final_balance": "1e9"},
        {"final_balance": 1000},
        {"trade_count": -1},
        {"trades": [{"profit": "beaucoup"}]},
        {"refusals": [[1, {"html": 1}]]},
        {"open_since_ms": "hier"},
    ],
)
def test_answer_that_a_child_could_forge_is_refused(forged: dict[str, Any]) -> None:
    honest: dict[str, Any] = {
        "kind": "quick_test",
        "trades": [],
        "refusals": [],
        "final_balance": "1000",
        "open_since_ms": None,
        "trade_count": 0,
        "ambiguous_count": 0,
    }
    assert unpack_result(json.dumps(honest).encode()).final_balance == 1000
    with pytest.raises(BadReply):
        unpack_result(json.dumps({**honest, **forged}).encode())
