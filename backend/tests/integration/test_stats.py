"""The sums of the statistics page against a plain recomputation from the orders, whatever changed when."""

import csv
import io
import random
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test import AsyncClient, Client

from apps.accounts.models import User
from apps.brokers.models import Broker
from apps.orders.models import Position, Trade
from apps.stats.models import DailyResult, DirtyDay
from apps.stats.services.rollup import bring_everybody_up_to_date, bring_up_to_date
from apps.strategies.models import Strategy

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MARKETS = ("BTC/USDT", "ETH/USDT", "XRP/USDC")


class Desk:
    """A user with a simulated and a real broker, and orders as the ledger leaves them."""

    def __init__(self) -> None:
        self.user = User.objects.create(username=f"stats-{uuid4().hex[:8]}")
        self.simulated = self._broker("Simulateur", "simex", is_default=True)
        self.real = self._broker("Binance", "binance")
        self.strategy = Strategy.objects.create(user=self.user, name="Croisement", code="", timeframe="5m")
        self.client = Client()
        self.client.force_login(self.user, "django.contrib.auth.backends.ModelBackend")

    def _broker(self, name: str, exchange: str, **more: Any) -> Broker:
        return Broker.objects.create(user=self.user, name=name, exchange=exchange, **more)

    def trade(self, **more: Any) -> Trade:
        """Insert an order; a filled sale of 2 BTC at 100 that won 7 unless said otherwise."""
        row: dict[str, Any] = {
            "user": self.user,
            "broker": self.simulated,
            "source": "manual",
            "owner": "manual",
            "client_order_id": uuid4().hex,
            "symbol": "BTC/USDT",
            "side": "sell",
            "type": "market",
            "quantity": Decimal(2),
            "filled_quantity": Decimal(2),
            "average_price": Decimal(100),
            "fee": Decimal("0.2"),
            "fee_currency": "USDT",
            "profit_loss": Decimal(7),
            "status": "filled",
            "valid_until": BEGIN,
            "market_time": BEGIN,
        }
        return Trade.objects.create(**{**row, **more})

    def get(self, panel: str, **query: Any) -> Any:
        answer = self.client.get(f"/api/stats/{panel}/", query)
        assert answer.status_code == 200, answer.content
        return answer.json()


def random_trade(desk: Desk, dice: random.Random) -> Trade:
    """An order of any kind: won, lost, still open, refused, paid in base, quote or a third currency."""
    symbol = dice.choice(MARKETS)
    base, quote = symbol.split("/")
    source = dice.choice(("manual", "strategy", "webhook", "external"))
    filled = Decimal(dice.randint(0, 10**9)) / 10 ** dice.randint(3, 12)
    return desk.trade(
        broker=dice.choice((desk.simulated, desk.real)),
        source=source,
        owner=source if source in ("manual", "external") else f"{source}:{dice.randint(1, 3)}",
        strategy=desk.strategy if source == "strategy" else None,
        symbol=symbol,
        quantity=filled,
        filled_quantity=filled,
        average_price=dice.choice((None, Decimal(dice.randint(1, 10**8)) / 10**6)),
        fee=Decimal(dice.randint(0, 10**10)) / 10**18,
        fee_currency=dice.choice((base, quote, "BNB", "")),
        profit_loss=dice.choice((None, Decimal(dice.randint(-(10**12), 10**12)) / 10**15)),
        entry_fee=dice.choice((None, Decimal(dice.randint(0, 10**10)) / 10**18)),
        status=dice.choice(("filled", "open", "cancelled", "rejected", "expired")),
        market_time=dice.choice((None, BEGIN + timedelta(minutes=dice.randint(0, 20_000)))),
    )


def plain_sums(trades: Iterable[Trade], key: str) -> dict[str, dict[str, Decimal | int]]:
    """Add up orders one by one, the slow and obvious way."""
    sums: dict[str, dict[str, Decimal | int]] = defaultdict(
        lambda: {"net": Decimal(0), "trade_count": 0, "win_count": 0, "fees": Decimal(0), "volume": Decimal(0)}
    )
    for trade in trades:
        base, quote = trade.symbol.split("/")
        moment = trade.market_time or trade.created_at
        group = sums[str({"day": moment.date(), "symbol": trade.symbol, "all": "all"}[key])]
        price = trade.average_price or Decimal(0)
        if trade.profit_loss is not None:
            group["net"] += trade.profit_loss
            group["trade_count"] += 1
            group["win_count"] += trade.profit_loss > 0
            group["fees"] += (trade.entry_fee or 0) + trade.fee * {quote: 1, base: price}.get(trade.fee_currency, 0)
        group["volume"] += trade.filled_quantity * price
    return sums


def shown(rows: Iterable[Mapping[str, Any]], key: str) -> dict[str, tuple[Decimal, int, int, Decimal]]:
    return {
        str(row[key]): (Decimal(row["net"]), row["trade_count"], row["win_count"], Decimal(row["fees"]))
        for row in rows
    }


def expected(sums: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Decimal, int, int, Decimal]]:
    return {
        name: (each["net"], each["trade_count"], each["win_count"], each["fees"])
        for name, each in sums.items()
        if each["trade_count"] or each["fees"]
    }


def assert_equal_to_the_orders(desk: Desk, broker: Broker, quote: str) -> None:
    orders = list(Trade.objects.filter(broker=broker, symbol__endswith=f"/{quote}"))
    query = {"broker": broker.pk, "quote": quote}
    assert shown(desk.get("by-symbol", **query), "symbol") == expected(plain_sums(orders, "symbol"))
    days = {day: row for day, row in shown(desk.get("daily", **query), "day").items() if row[1] or row[3]}
    assert days == expected(plain_sums(orders, "day"))
    total = plain_sums(orders, "all")["all"]
    summary = desk.get("summary", **query)
    assert Decimal(summary["net"]) == total["net"]
    assert Decimal(summary["volume"]) == total["volume"]
    assert summary["order_count"] == len(orders)
    listed = desk.get("trades", limit=500, **query)["results"]
    assert Decimal(summary["fees"]) == total["fees"] == sum(Decimal(row["fee"]) for row in listed)
    parts = [*desk.get("by-strategy", **query), *desk.get("by-webhook", **query)]
    assert sum(Decimal(part["net"]) for part in parts) == total["net"]
    points = desk.get("equity", **query)["points"]
    assert Decimal(points[-1]["net"] if points else 0) == total["net"]
    assert Decimal(summary["drawdown"]["depth"]) == max((Decimal(point["drawdown"]) for point in points), default=0)


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(2))
def test_every_panel_equals_a_plain_recomputation_after_each_change(seed: int) -> None:
    dice, desk = random.Random(seed), Desk()
    made = [random_trade(desk, dice) for _ in range(25)]
    for _ in range(2):
        for trade in dice.sample(made, 10):  # what the ledger does later: fills, results, other days, corrections
            trade.market_time = BEGIN + timedelta(minutes=dice.randint(0, 20_000))
            trade.profit_loss = dice.choice((None, Decimal(dice.randint(-(10**12), 10**12)) / 10**15))
            trade.fee, trade.status = trade.fee * 2, "filled"
            trade.save()
        made += [random_trade(desk, dice) for _ in range(5)]
        for broker, quote in ((desk.simulated, "USDT"), (desk.real, "USDC")):
            assert_equal_to_the_orders(desk, broker, quote)


@pytest.mark.django_db
def test_summary_of_three_trades_by_hand() -> None:
    # +7 and +5 on the 1st, −4 on the 3rd; fees 0.2 USDT, 0.001 BTC at 100 = 0.1 USDT, 0.01 BNB apart.
    desk = Desk()
    desk.trade()
    desk.trade(profit_loss=Decimal(5), fee=Decimal("0.001"), fee_currency="BTC")
    third = BEGIN + timedelta(days=2, hours=23, minutes=59)
    desk.trade(profit_loss=Decimal(-4), fee=Decimal("0.01"), fee_currency="BNB", market_time=third)
    desk.trade(profit_loss=None, filled_quantity=0, average_price=None, fee=0, fee_currency="", status="rejected")
    found = desk.get("summary")
    assert (found["mode"], found["quote"], found["quotes"]) == ("simulation", "USDT", ["USDT"])
    assert (found["net"], found["gross_profit"], found["gross_loss"]) == ("8", "12", "-4")
    assert (found["trade_count"], found["win_count"], found["order_count"], found["refused_count"]) == (3, 2, 4, 1)
    assert (found["profit_factor"], found["win_ratio"], found["expectancy"]) == ("3", "0.66666667", "2.66666667")
    assert (found["fees"], found["other_fees"]) == ("0.3", [{"currency": "BNB", "amount": "0.01"}])
    assert (found["best_day"], found["worst_day"]["net"]) == ({"day": "2026-01-01", "net": "12"}, "-4")
    drawdown = {"step": "trade", "depth": "4", "peak_day": "2026-01-01", "trough_day": "2026-01-03", "day_count": 2}
    assert found["drawdown"] == drawdown
    assert found["volume"] == "600"


@pytest.mark.django_db
def test_line_of_four_trades_by_hand() -> None:
    # Net 7, 3, 9, −1; below the highest so far by 0, 4, 0, 10.
    desk = Desk()
    for hour, result in enumerate((7, -4, 6, -10)):
        desk.trade(profit_loss=Decimal(result), market_time=BEGIN + timedelta(hours=hour))
    points = desk.get("equity")["points"]
    assert [(point["net"], point["drawdown"]) for point in points] == [
        ("7", "0"),
        ("3", "4"),
        ("9", "0"),
        ("-1", "10"),
    ]
    deepest = desk.get("summary")["drawdown"]  # the same line, although one day holds all of it
    assert (deepest["depth"], deepest["step"], deepest["day_count"]) == ("10", "trade", 0)


@pytest.mark.django_db
def test_nothing_traded_gives_nulls_and_no_rows() -> None:
    desk = Desk()
    found = desk.get("summary")
    assert (found["net"], found["win_ratio"], found["best_day"], found["best_trade"]) == ("0", None, None, None)
    assert desk.get("equity") == {"step": "trade", "points": []}
    assert [desk.get(panel) for panel in ("daily", "by-strategy", "by-webhook", "by-symbol")] == [[]] * 4


@pytest.mark.django_db
def test_simulated_and_real_money_are_never_added_up() -> None:
    desk = Desk()
    desk.trade(profit_loss=Decimal(1000))
    desk.trade(broker=desk.real, profit_loss=Decimal(3))
    assert desk.get("summary")["net"] == "1000"  # the default broker's mode
    assert desk.get("summary", mode="real")["net"] == "3"
    assert desk.get("summary", broker=desk.real.pk)["mode"] == "real"
    assert desk.get("summary")["modes"] == ["real", "simulation"]


@pytest.mark.django_db
def test_period_and_sources_narrow_every_panel_to_the_same_trades() -> None:
    desk = Desk()
    desk.trade(market_time=BEGIN - timedelta(seconds=1))
    desk.trade(profit_loss=Decimal(2), source="strategy", owner="bot:1", strategy=desk.strategy)
    desk.trade(profit_loss=Decimal(3), market_time=BEGIN + timedelta(days=1))
    first = {"since": "2026-01-01", "until": "2026-01-01"}
    assert desk.get("summary", **first)["net"] == "2"
    assert [row["profit_loss"] for row in desk.get("trades", **first)["results"]] == ["2"]
    assert [row["day"] for row in desk.get("daily", source="manual")] == ["2025-12-31", "2026-01-02"]
    (named,) = desk.get("by-strategy", source="strategy")
    assert (named["name"], named["strategy"], named["net"]) == ("Croisement", desk.strategy.id, "2")
    points = desk.get("equity", since="2026-01-01")["points"]
    assert points == [
        {"time": "2026-01-01T00:00:00Z", "net": "2", "drawdown": "0", "sources": {"strategy": "2"}},
        {"time": "2026-01-02T00:00:00Z", "net": "5", "drawdown": "0", "sources": {"strategy": "2", "manual": "3"}},
    ]


@pytest.mark.django_db
def test_a_deleted_strategy_keeps_its_results_without_its_name() -> None:
    desk = Desk()
    desk.trade(source="strategy", owner="bot:1", strategy=desk.strategy)
    assert desk.get("by-strategy")[0]["name"] == "Croisement"
    desk.strategy.delete()
    (left,) = desk.get("by-strategy")
    assert (left["source"], left["strategy"], left["name"], left["net"]) == ("strategy", None, "", "7")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"since": "2026-02-01", "until": "2026-01-01"}, "avant de commencer"),
        ({"source": "manual,lune"}, "source lune inconnue"),
        ({"since": "hier"}, "since"),
    ],
)
def test_unreadable_query_is_refused_in_french(query: dict[str, str], said: str) -> None:
    answer = Desk().client.get("/api/stats/summary/", query)
    assert answer.status_code == 400
    assert said in answer.json()["message"]


@pytest.mark.django_db
def test_another_users_broker_is_not_found_and_his_trades_do_not_count() -> None:
    mine, other = Desk(), Desk()
    other.trade()
    assert mine.client.get("/api/stats/summary/", {"broker": other.simulated.pk}).status_code == 404
    assert mine.get("summary")["order_count"] == 0
    assert mine.get("trades")["results"] == []


@pytest.mark.django_db
def test_open_positions_are_counted_apart() -> None:
    desk = Desk()
    held = {"user": desk.user, "broker": desk.simulated, "quantity": 1, "entry_price": 90, "opened_at": BEGIN}
    Position.objects.create(symbol="BTC/USDT", owner="manual", unrealized_pnl=Decimal("12.5"), **held)
    Position.objects.create(symbol="ETH/USDT", owner="manual", status="closed", unrealized_pnl=None, **held)
    assert desk.get("summary")["open"] == {"count": 1, "unrealized_pnl": "12.5", "fees": "0"}


@pytest.mark.django_db
def test_a_look_up_of_an_open_order_is_no_change_and_notes_nothing() -> None:
    desk = Desk()
    trade = desk.trade(status="open")
    bring_up_to_date(desk.user.pk)
    trade.check_count += 1
    trade.save()
    assert DirtyDay.objects.count() == 0


@pytest.mark.django_db
def test_everybody_is_brought_up_to_date_and_a_deleted_user_leaves_nothing() -> None:
    first, second = Desk(), Desk()
    first.trade()
    second.trade()
    assert bring_everybody_up_to_date() == 2
    assert DailyResult.objects.count() == 2
    first.user.delete()
    assert bring_everybody_up_to_date() <= 1
    assert set(DailyResult.objects.values_list("user_id", flat=True)) == {second.user.pk}


@pytest.mark.django_db
def test_prices_and_the_whole_fee_of_a_row_give_its_result() -> None:
    # 2 bought at 96.3 with 0.2 of fee, sold at 100 with 0.2: 2 × 3.7 − 0.4 = 7.
    desk = Desk()
    sold = desk.trade(entry_fee=Decimal("0.2"))
    (row,) = desk.get("trades")["results"]
    assert (row["entry_price"], row["exit_price"], row["quantity"]) == ("96.3", "100", "2")
    assert (row["fee"], row["entry_fee"], row["other_fee"], row["profit_loss"]) == ("0.4", "0.2", "", "7")
    detail = desk.get(f"trades/{sold.id}")
    assert detail["trade"] == row
    assert (detail["opened_at"], detail["closing_reason"], [each["id"] for each in detail["orders"]]) == (
        None,
        "",
        [sold.id],
    )


@pytest.mark.django_db(transaction=True)
def test_export_holds_every_trade_and_no_formula() -> None:
    desk = Desk()
    desk.strategy.name = "=HYPERLINK(1)"
    desk.strategy.save()
    desk.trade(profit_loss=Decimal("-1234.5"), source="strategy", owner="bot:1", strategy=desk.strategy)
    desk.trade()

    async def download() -> str:
        client = AsyncClient()
        client.cookies = desk.client.cookies
        answer = await client.get("/api/stats/trades/export/")
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        return b"".join([part async for part in answer.streaming_content]).decode("utf-8-sig")

    rows = list(csv.DictReader(io.StringIO(async_to_sync(download)()), delimiter=";"))
    assert [row["gain net"] for row in rows] == ["-1234,5", "7"]
    assert rows[0]["stratégie"] == "'=HYPERLINK(1)"
    assert rows[0]["clôture (UTC)"] == "2026-01-01 00:00:00"
    assert [(row["source"], row["frais (achat et vente)"], row["monnaie"]) for row in rows] == [
        ("stratégie", "0,2", "USDT"),
        ("manuel", "0,2", "USDT"),
    ]


@pytest.mark.django_db(transaction=True)
def test_orders_committed_while_sums_are_computed_are_not_lost() -> None:
    desk = Desk()
    user_id = desk.user.pk

    def reader() -> None:
        try:
            for _ in range(20):
                bring_up_to_date(user_id)
        finally:
            connection.close()

    readers = [threading.Thread(target=reader) for _ in range(3)]
    for thread in readers:
        thread.start()
    for _ in range(30):
        with transaction.atomic():
            desk.trade(profit_loss=Decimal("0.1"))
    for thread in readers:
        thread.join()
    assert desk.get("summary")["net"] == "3"
    assert DailyResult.objects.count() == 1
