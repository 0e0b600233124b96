"""Who trades with whom, worked out by hand."""

from decimal import Decimal as D

import pytest

from simex.engine.exchange import Exchange
from simex.engine.filters import OrderRequest
from simex.engine.matching import (
    Offer,
    cost,
    fills_of_trade,
    match_quantity,
    match_quote,
    offers_for,
    total,
)
from simex.engine.orders import Order
from simex.engine.state import Account
from simex.market.depth import Level
from simex.market.symbols import plausible_rules
from simex.market.tradelog import AggTrade

ASKS = [Offer(D(100), D(1)), Offer(D(101), D(2)), Offer(D(103), D(5))]


@pytest.mark.parametrize(
    ("quantity", "limit", "expected"),
    [
        ("0.5", None, [("100", "0.5")]),
        ("2", None, [("100", "1"), ("101", "1")]),
        ("2", "100", [("100", "1")]),
        ("9", "102", [("100", "1"), ("101", "2")]),
        ("1", "99", []),
        ("20", None, [("100", "1"), ("101", "2"), ("103", "5")]),
    ],
)
def test_buyer_takes_best_prices_first_within_limit(
    quantity: str, limit: str | None, expected: list[tuple[str, str]]
) -> None:
    found = match_quantity("BUY", ASKS, D(quantity), D(limit) if limit else None)
    assert [(m.price, m.quantity) for m in found] == [(D(p), D(q)) for p, q in expected]


def test_quote_amount_buys_whole_steps_only() -> None:
    # 250 USDT: 1 at 100 leaves 150; 150/101 = 1.4851 -> 1.48 at step 0.01, costing 149.48
    found = match_quote(ASKS, D(250), D("0.01"))
    assert [(m.price, m.quantity) for m in found] == [(D(100), D(1)), (D(101), D("1.48"))]
    assert (total(found), cost(found)) == (D("2.48"), D("249.48"))


def resting(order_id: int, side: str, price: str, quantity: str = "1", executed: str = "0") -> Order:
    return Order(
        order_id, "alice", "BTCUSDT", f"c{order_id}", side, "LIMIT", "GTC",
        D(price), D(quantity), D(0), 0, 0, executed=D(executed),
    )  # fmt: skip


def test_users_come_before_depth_at_one_price_and_older_before_newer() -> None:
    orders = [resting(2, "SELL", "101"), resting(1, "SELL", "101"), resting(3, "SELL", "100.5")]
    depth = [Level(D(100), D(1)), Level(D(101), D(7))]
    found = offers_for("BUY", orders, depth)
    names = [offer.order.order_id if offer.order else "depth" for offer in found]
    assert names == ["depth", 3, 1, 2, "depth"]


def test_trade_through_fills_whole_and_trade_at_shares_its_quantity() -> None:
    # trade of 1.5 at 100: the bid at 102 was passed (whole 4); the two bids at 100 share 1.5
    orders = [
        resting(1, "BUY", "100", "1"),
        resting(2, "BUY", "100", "1"),
        resting(3, "BUY", "102", "4"),
        resting(4, "BUY", "99", "1"),
    ]
    found = fills_of_trade(orders, D(100), D("1.5"))
    assert [(o.order_id, q) for o, q in found] == [(3, D(4)), (1, D(1)), (2, D("0.5"))]


def test_trade_gives_only_what_remains_of_an_order() -> None:
    found = fills_of_trade([resting(1, "SELL", "100", "3", "2.5")], D(100), D(9))
    assert [(o.order_id, q) for o, q in found] == [(1, D("0.5"))]


def trade(price: str, quantity: str = "1", agg_id: int = 1) -> AggTrade:
    return AggTrade(agg_id, int(D(price) * 10**8), int(D(quantity) * 10**8), agg_id, agg_id, 1000, False)


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange({"BTCUSDT": plausible_rules("BTCUSDT")}, seed=1, run="r")
    for name in ("alice", "bob"):
        made.add_account(Account(name, f"key-{name}", "secret"))
        made.ledger.deposit(name, "USDT", D(10_000))
        made.ledger.deposit(name, "BTC", D(1))
    made.on_trade("BTCUSDT", trade("50000"))
    return made


def limit(side: str, price: str, quantity: str, force: str = "GTC") -> OrderRequest:
    return OrderRequest("BTCUSDT", side, "LIMIT", force, D(price), D(quantity), D(0), None, "FULL")


def test_resting_bid_locks_then_fills_at_its_price_with_commission_in_base(
    exchange: Exchange,
) -> None:
    order, fills = exchange.place("alice", limit("BUY", "49000", "0.1"))
    usdt, btc = exchange.ledger.balance("alice", "USDT"), exchange.ledger.balance("alice", "BTC")
    assert (order.status, fills, usdt.free, usdt.locked) == ("NEW", [], D(5100), D(4900))
    exchange.on_trade("BTCUSDT", trade("49000", "0.04", 2))  # at the price: 0.04 of 0.1
    # 0.04 x 49000 = 1960 paid; commission 0.1 % of 0.04 = 0.00004
    assert (order.status, usdt.free, usdt.locked) == ("PARTIALLY_FILLED", D(5100), D(2940))
    assert btc.free == D("1.03996")
    (last,) = exchange.on_trade("BTCUSDT", trade("48999.99", "0.00001", 3))  # through: the rest
    assert (last.price, last.quantity, last.is_maker) == (D(49000), D("0.06"), True)
    assert (order.status, usdt.free, usdt.locked) == ("FILLED", D(5100), D(0))
    exchange.ledger.check()


def test_two_users_meet_at_the_resting_price(exchange: Exchange) -> None:
    # bob offers inside the spread (last 50000, bid 49995): alice meets bob, not the depth
    exchange.place("bob", limit("SELL", "49998", "0.1"))
    order, fills = exchange.place("alice", limit("BUY", "50000", "0.1"))
    assert [(f.price, f.quantity, f.is_maker) for f in fills] == [(D(49998), D("0.1"), False)]
    assert order.status == "FILLED"
    assert exchange.open_orders("bob") == []
    # bob receives 4999.8 less 0.1 %
    assert exchange.ledger.balance("bob", "USDT").free == D("10000") + D("4999.8") - D("4.9998")
    exchange.ledger.check()


def test_own_resting_order_expires_instead_of_trading_with_oneself(exchange: Exchange) -> None:
    own, _ = exchange.place("alice", limit("SELL", "50001", "0.1"))
    order, fills = exchange.place("alice", limit("BUY", "50001", "0.01"))
    assert own.status == "EXPIRED_IN_MATCH"
    assert order.status == "FILLED"
    assert {fill.account_id for fill in exchange.fills} == {"alice"}
    assert all(not fill.is_maker for fill in fills)
    assert exchange.ledger.balance("alice", "BTC").locked == D(0)


def test_depth_taken_once_is_not_there_again_before_the_next_trade(exchange: Exchange) -> None:
    first = next(exchange.books["BTCUSDT"].levels("SELL"))
    exchange.place("alice", limit("BUY", str(first.price), str(first.quantity), "IOC"))
    second = next(exchange.books["BTCUSDT"].levels("SELL"))
    assert second.price > first.price
    exchange.on_trade("BTCUSDT", trade("50000", "1", 1))
    assert next(exchange.books["BTCUSDT"].levels("SELL")) == first


def test_fill_or_kill_beyond_the_depth_expires_untouched(exchange: Exchange) -> None:
    level = next(exchange.books["BTCUSDT"].levels("SELL"))
    order, fills = exchange.place("alice", limit("BUY", str(level.price), str(level.quantity + D("0.001")), "FOK"))
    assert (order.status, fills) == ("EXPIRED", [])
    assert exchange.ledger.balance("alice", "USDT").free == D(10_000)


def test_immediate_or_cancel_keeps_what_it_got(exchange: Exchange) -> None:
    level = next(exchange.books["BTCUSDT"].levels("SELL"))
    order, _ = exchange.place("alice", limit("BUY", str(level.price), str(level.quantity + D("0.001")), "IOC"))
    assert (order.status, order.executed) == ("EXPIRED", level.quantity)
    assert exchange.ledger.balance("alice", "USDT").locked == D(0)
