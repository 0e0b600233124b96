"""What the form proposes: the account's own figures where they are known, and said when they are not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.backtest import offer
from apps.market_data.models import CandleRange
from domain.errors import Unavailable
from domain.ports import TradingFee
from tests.engine_world import SYMBOL, make_broker, make_user
from tests.fakes.gateway import FakeGateway

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    made = FakeGateway()

    @asynccontextmanager
    async def lend() -> AsyncIterator[FakeGateway]:
        yield made

    monkeypatch.setattr(offer, "short_lived_gateway", lend)
    return made


def _ask(broker: Any, *, status: int = 200) -> dict[str, Any]:
    client = Client()
    client.force_login(broker.user)
    answer = client.get("/api/backtests/offer/", {"broker": broker.pk, "symbol": SYMBOL, "timeframe": "1m"})
    assert answer.status_code == status
    body: dict[str, Any] = answer.json()
    return body


def test_account_is_asked_for_its_fees_and_balance(gateway: FakeGateway) -> None:
    broker = make_broker(make_user("lea"), exchange="binance", name="Binance")
    gateway.fee, gateway.free[broker.pk] = (
        TradingFee(Decimal("0.0002"), Decimal("0.0004")),
        {"USDT": Decimal("250.5")},
    )
    start = datetime(2026, 3, 2, tzinfo=UTC)
    CandleRange.objects.create(
        source="binance", symbol=SYMBOL, timeframe="1m", start=start, end=start + timedelta(minutes=90)
    )
    found = _ask(broker)
    assert found["fees"] == {
        "maker_ratio": "0.0002",
        "taker_ratio": "0.0004",
        "origin": "account",
        "words": "ceux du compte « Binance »",
    }
    assert found["amount"] == {"value": "250.5", "origin": "balance"}
    assert found["market"]["min_notional"] is not None
    assert found["candles"]["kept"] == [{"start": "2026-03-02T00:00:00+00:00", "end": "2026-03-02T01:30:00+00:00"}]
    assert found["candles"]["kept_count"] == 90


def test_silent_terminal_5_leaves_the_markets_fees_and_an_example_amount(gateway: FakeGateway) -> None:
    broker = make_broker(make_user("lea"), exchange="binance", name="Binance")
    gateway.failures = dict.fromkeys(("trading_fee", "balance"), Unavailable("Service CCXT muet."))
    found = _ask(broker)
    assert (found["fees"]["origin"], found["fees"]["taker_ratio"]) == ("market", "0.001")
    assert "Service CCXT muet." in found["fees"]["words"]
    assert found["amount"] == {"value": "10000", "origin": "example"}
    assert (found["candles"]["kept"], found["candles"]["kept_count"]) == ([], 0)


def test_anothers_broker_is_absent(gateway: FakeGateway) -> None:
    broker = make_broker(make_user("lea"), exchange="binance", name="Binance")
    broker.user = make_user("max")
    _ask(broker, status=404)
    assert gateway.calls == []
