"""Exact values out of recorded and documented answers, through the unmodified ccxt parsers."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.rate_budget import RateBudget
from domain.errors import OrderNotExecuted, OrderOutcomeUnknown, OrderRejected
from domain.orders import OrderStatus, OrderTicket, OrderType, Side
from domain.ports import BrokerAccess
from domain.timeframes import Timeframe, from_ms, to_ms
from tests.fakes.recordings import data_file

UTC_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Answers:
    """Stands in for the network under ccxt: what was sent, what to answer by path."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.by_path: dict[str, Any] = {}

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        self.sent.append((method, url, body or ""))
        path = url.split("/api/v3/")[-1].split("?")[0]
        answer = self.by_path[path]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def binance() -> AsyncIterator[tuple[CcxtSession, Answers]]:
    clock = SystemClock()
    access = BrokerAccess(1, 1, "binance", False, {"apiKey": "k", "secret": "s"})
    budget = RateBudget(clock=clock, rate_per_s=1000, capacity=1000)
    session = CcxtSession(access, budget=budget, clock=clock)
    answers = Answers()
    session._client.fetch = answers.fetch
    info = data_file("binance_exchangeInfo_2025-08-07_25sym.json")
    answers.by_path["exchangeInfo"] = json.loads(info.read_text())
    await session.load_markets()
    answers.sent.clear()
    yield session, answers
    await session.close()


def ticket(**changes: Any) -> OrderTicket:
    facts = {
        "client_order_id": "0123456789abcdef0123456789abcdef",
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "quantity": Decimal("0.00123"),
    }
    return OrderTicket(**{**facts, **changes})


def soon() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + 20 * (UTC_NOON.replace(second=1) - UTC_NOON)


FILLED = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "clientOrderId": "0123456789abcdef0123456789abcdef",
    "transactTime": 1507725176595,
    "price": "0.00000000",
    "origQty": "0.00123000",
    "executedQty": "0.00123000",
    "cummulativeQuoteQty": "61.53690000",
    "status": "FILLED",
    "timeInForce": "GTC",
    "type": "MARKET",
    "side": "BUY",
    "fills": [
        {
            "price": "50000.00",
            "qty": "0.00100000",
            "commission": "0.00000100",
            "commissionAsset": "BTC",
            "tradeId": 56,
        },
        {
            "price": "50160.43",
            "qty": "0.00023000",
            "commission": "0.00000023",
            "commissionAsset": "BTC",
            "tradeId": 57,
        },
    ],
}


async def test_markets_of_a_real_exchange_info_are_exact(binance: tuple[CcxtSession, Answers]) -> None:
    session, _ = binance
    market = (await session.load_markets())["BTC/USDT"]
    assert (market.tick_size, market.step_size) == (Decimal("0.01"), Decimal("0.00001"))
    assert market.min_notional == Decimal("5")
    assert market.min_quantity == Decimal("0.00001")
    assert market.exchange_id == "BTCUSDT"


async def test_recorded_balance_is_exact(binance: tuple[CcxtSession, Answers]) -> None:
    session, answers = binance
    recorded = json.loads(data_file("binance_spot_recorded_http.json").read_text())
    account = recorded.get("routes", recorded)["/api/v3/account"]["GET"][0]["data"]
    answers.by_path["account"] = account
    balance = await session.fetch_balance()
    expected = {
        row["asset"]: (Decimal(row["free"]), Decimal(row["locked"]))
        for row in account["balances"]
        if Decimal(row["free"]) or Decimal(row["locked"])
    }
    found = {
        c: (balance.free.get(c, Decimal(0)), balance.locked.get(c, Decimal(0)))
        for c in {*balance.free, *balance.locked}
    }
    assert found == expected


async def test_market_order_is_sent_in_base_with_our_id_and_its_fills_are_exact(
    binance: tuple[CcxtSession, Answers],
) -> None:
    session, answers = binance
    answers.by_path["order"] = FILLED
    report = await session.create_order(ticket(), valid_until=soon())
    (sent,) = answers.sent
    assert "newClientOrderId=0123456789abcdef0123456789abcdef&" in sent[2]
    assert "quantity=0.00123&" in sent[2]
    assert "quoteOrderQty" not in sent[2]
    assert report.status is OrderStatus.FILLED
    assert report.filled_quantity == Decimal("0.00123")
    # (0.001 × 50000 + 0.00023 × 50160.43) / 0.00123 = 61.5368989 / 0.00123
    assert report.average_price == Decimal("61.5368989") / Decimal("0.00123")
    assert [(fill.exchange_trade_id, fill.fee, fill.fee_currency) for fill in report.fills] == [
        ("56", Decimal("0.00000100"), "BTC"),
        ("57", Decimal("0.00000023"), "BTC"),
    ]
    assert to_ms(report.fills[0].executed_at) == 1507725176595


async def test_limit_order_carries_price_and_rests(binance: tuple[CcxtSession, Answers]) -> None:
    session, answers = binance
    answers.by_path["order"] = {
        **FILLED,
        "type": "LIMIT",
        "price": "50000.12",
        "status": "NEW",
        "executedQty": "0",
        "cummulativeQuoteQty": "0",
        "fills": [],
    }
    limit = ticket(order_type=OrderType.LIMIT, price=Decimal("50000.12"))
    report = await session.create_order(limit, valid_until=soon())
    assert "price=50000.12&timeInForce=GTC" in answers.sent[0][2]
    assert report.status is OrderStatus.OPEN
    assert report.price == Decimal("50000.12")
    assert report.filled_quantity == 0


async def test_signature_window_ends_at_validity(binance: tuple[CcxtSession, Answers]) -> None:
    session, answers = binance
    answers.by_path["order"] = FILLED
    in_two_seconds = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 2, UTC)
    await session.create_order(ticket(), valid_until=in_two_seconds)
    fields = dict(pair.split("=") for pair in answers.sent[0][2].split("&"))
    assert int(fields["timestamp"]) + int(fields["recvWindow"]) <= to_ms(in_two_seconds)
    assert 0 < int(fields["recvWindow"]) <= 2000


async def test_order_past_its_validity_never_leaves(binance: tuple[CcxtSession, Answers]) -> None:
    session, answers = binance
    with pytest.raises(OrderNotExecuted, match="non envoyé"):
        await session.create_order(ticket(), valid_until=UTC_NOON.replace(year=2020))
    assert answers.sent == []


async def test_order_that_waits_past_its_validity_for_the_budget_never_leaves() -> None:
    clock = SystemClock()
    access = BrokerAccess(1, 1, "binance", False, {"apiKey": "k", "secret": "s"})
    budget = RateBudget(clock=clock, rate_per_s=1000, capacity=1000)
    session = CcxtSession(access, budget=budget, clock=clock)
    answers = Answers()
    session._client.fetch = answers.fetch
    answers.by_path["exchangeInfo"] = json.loads(
        data_file("binance_exchangeInfo_2025-08-07_25sym.json").read_text()
    )
    await session.load_markets()
    answers.sent.clear()
    budget.back_off(30.0)
    with pytest.raises(OrderNotExecuted, match="attendu son tour"):
        await session.create_order(
            ticket(), valid_until=datetime.fromtimestamp(datetime.now(UTC).timestamp() + 0.1, UTC)
        )
    assert answers.sent == []
    await session.close()


@pytest.mark.parametrize("answer", ["<html>gateway</html>", {}, None])
async def test_answer_without_an_order_number_is_unknown(binance: tuple[CcxtSession, Answers], answer: Any) -> None:
    session, answers = binance
    answers.by_path["order"] = answer
    with pytest.raises(OrderOutcomeUnknown):
        await session.create_order(ticket(), valid_until=soon())
    assert len(answers.sent) == 1


async def test_unsupported_type_is_refused_before_it_is_sent(binance: tuple[CcxtSession, Answers]) -> None:
    session, answers = binance
    with pytest.raises(OrderRejected, match="Ordre refusé avant envoi"):
        await session.create_order(ticket(order_type=OrderType.OCO), valid_until=soon())
    assert answers.sent == []


async def test_recorded_klines_are_exact_with_their_trade_counts(binance: tuple[CcxtSession, Answers]) -> None:
    session, answers = binance
    recorded = json.loads(data_file("binance_spot_recorded_http.json").read_text())
    rows = recorded.get("routes", recorded)["/api/v3/klines"]["GET"][0]["data"]
    answers.by_path["klines"] = rows
    first, last = from_ms(rows[0][0]), from_ms(rows[-1][0])
    candles = await session.fetch_candles("BTC/USDT", Timeframe.M5, since=first, until=last + Timeframe.M5.duration)
    assert [str(each.close) for each in candles] == [row[4] for row in rows]
    assert [each.trade_count for each in candles] == [row[8] for row in rows]
    assert len(answers.sent) == 1


async def test_ten_minutes_are_asked_as_fives(binance: tuple[CcxtSession, Answers]) -> None:
    session, answers = binance
    recorded = json.loads(data_file("binance_spot_recorded_http.json").read_text())
    rows = recorded.get("routes", recorded)["/api/v3/klines"]["GET"][0]["data"]
    answers.by_path["klines"] = rows
    first = Timeframe.M10.open_time(from_ms(rows[1][0]))
    candles = await session.fetch_candles(
        "BTC/USDT", Timeframe.M10, since=first, until=first + Timeframe.M10.duration
    )
    assert "interval=5m" in answers.sent[0][1]
    assert [each.timeframe for each in candles] == [Timeframe.M10]


async def test_symbols_of_the_credentials_do_not_show_in_repr(binance: tuple[CcxtSession, Answers]) -> None:
    session, _ = binance
    assert "'s'" not in repr(session.access)
