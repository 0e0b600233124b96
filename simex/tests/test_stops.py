"""Stop and take-profit orders: when they wake, what they lock, what they get. By hand."""

from decimal import Decimal as D

import pytest

from simex.engine.errors import ApiError
from simex.engine.exchange import Exchange
from simex.engine.filters import OrderRequest
from simex.engine.state import Account
from simex.engine.triggers import is_reached
from simex.market.symbols import plausible_rules
from simex.market.tradelog import AggTrade


def trade(price: str, quantity: str = "1", agg_id: int = 1) -> AggTrade:
    return AggTrade(agg_id, int(D(price) * 10**8), int(D(quantity) * 10**8), agg_id, agg_id, 1000, False)


def stop(
    side: str, kind: str, stop_price: str, quantity: str, price: str = "0", force: str = "GTC"
) -> OrderRequest:
    return OrderRequest("BTCUSDT", side, kind, force, D(price), D(quantity), D(0), None, "FULL", D(stop_price))


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange({"BTCUSDT": plausible_rules("BTCUSDT")}, seed=1, run="r")
    for name in ("alice", "bob"):
        made.add_account(Account(name, f"key-{name}", "secret"))
        made.ledger.deposit(name, "USDT", D(10_000))
        made.ledger.deposit(name, "BTC", D(1))
    made.on_trade("BTCUSDT", trade("50000"))
    return made


def held(exchange: Exchange, asset: str, name: str = "alice") -> tuple[D, D]:
    balance = exchange.ledger.balance(name, asset)
    return balance.free, balance.locked


@pytest.mark.parametrize(
    ("kind", "side", "wakes_at", "sleeps_at"),
    [
        ("STOP_LOSS", "SELL", "48000", "48000.01"),
        ("STOP_LOSS_LIMIT", "SELL", "47000", "49000"),
        ("STOP_LOSS", "BUY", "48000", "47999.99"),
        ("TAKE_PROFIT", "SELL", "48000", "47999.99"),
        ("TAKE_PROFIT_LIMIT", "BUY", "47999", "48001"),
    ],
)
def test_order_wakes_on_its_side_of_the_stop_price(kind: str, side: str, wakes_at: str, sleeps_at: str) -> None:
    assert is_reached(kind, side, D(48_000), D(wakes_at))
    assert not is_reached(kind, side, D(48_000), D(sleeps_at))


@pytest.mark.parametrize(
    ("side", "kind", "stop_price"),
    [
        ("SELL", "STOP_LOSS", "50000"),  # the last price is already there
        ("SELL", "STOP_LOSS", "51000"),
        ("BUY", "STOP_LOSS", "49000"),
        ("SELL", "TAKE_PROFIT", "49000"),
        ("BUY", "TAKE_PROFIT", "51000"),
    ],
)
def test_stop_on_the_wrong_side_of_the_market_is_refused(
    exchange: Exchange, side: str, kind: str, stop_price: str
) -> None:
    with pytest.raises(ApiError) as refused:
        exchange.place("alice", stop(side, kind, stop_price, "0.01"))
    assert (refused.value.code, refused.value.message) == (-2010, "Stop price would trigger immediately.")
    assert exchange.orders == {}


def test_stop_loss_locks_the_base_then_sells_into_the_book_when_woken(exchange: Exchange) -> None:
    order, fills = exchange.place("alice", stop("SELL", "STOP_LOSS", "49000", "0.01"))
    assert (order.status, order.working, order.on_book_ms, fills) == ("NEW", False, -1, [])
    assert held(exchange, "BTC") == (D("0.99"), D("0.01"))
    exchange.on_trade("BTCUSDT", trade("49000.01", "1", 2))
    assert order.status == "NEW"
    exchange.now_ms = 77
    (fill,) = exchange.on_trade("BTCUSDT", trade("49000", "0.00001", 3))
    # the public trade's size does not matter: the order becomes a taker of the new book.
    # its taker bought at 49000 (the ask), so the bid is 1 bp of 49000 = 4.90 lower: 48995.10
    assert (fill.price, fill.quantity, fill.is_maker) == (D("48995.10"), D("0.01"), False)
    assert (order.status, order.working_ms) == ("FILLED", 77)
    # 489.951 received less 0.1 % = 0.489951
    assert held(exchange, "USDT") == (D("10000") + D("489.951") - D("0.489951"), D(0))
    assert held(exchange, "BTC") == (D("0.99"), D(0))
    assert exchange.open_orders("alice") == []
    exchange.ledger.check()


def test_woken_limit_takes_within_its_limit_then_rests_at_it(exchange: Exchange) -> None:
    order, _ = exchange.place("alice", stop("BUY", "STOP_LOSS_LIMIT", "51000", "0.1", "51000"))
    assert held(exchange, "USDT") == (D(4900), D(5100))  # 0.1 x 51000
    exchange.on_trade("BTCUSDT", trade("51001", "1", 2))  # ask 51001: nothing within 51000
    assert (order.status, order.working, order.executed) == ("NEW", True, D(0))
    assert held(exchange, "USDT") == (D(4900), D(5100))
    exchange.on_trade("BTCUSDT", trade("51000", "0.04", 3))
    assert (order.status, order.executed) == ("PARTIALLY_FILLED", D("0.04"))
    exchange.cancel("alice", order)
    assert held(exchange, "USDT") == (D(10_000) - D(2040), D(0))


def test_buy_stop_pays_what_the_money_allows_when_the_market_jumps_over_it(exchange: Exchange) -> None:
    # 0.19 at 52000 locks 9880; the market jumps to 60000, where 0.19 would cost 11400
    order, _ = exchange.place("alice", stop("BUY", "STOP_LOSS", "52000", "0.19"))
    assert held(exchange, "USDT") == (D(120), D(9880))
    fills = exchange.on_trade("BTCUSDT", trade("60000", "1", 2))
    spent = sum(fill.quote for fill in fills)
    assert order.status == "EXPIRED"
    assert D("9999") < spent <= D(10_000)  # whole steps of 0.00001 BTC: less than 0.61 unspent
    assert held(exchange, "USDT") == (D(10_000) - spent, D(0))
    assert exchange.open_orders("alice") == []


def test_sleeping_order_is_not_on_the_book_for_others(exchange: Exchange) -> None:
    exchange.place("alice", stop("SELL", "TAKE_PROFIT_LIMIT", "50002", "0.1", "49999"))
    buy = OrderRequest("BTCUSDT", "BUY", "LIMIT", "IOC", D(50_000), D("0.001"), D(0), None, "FULL")
    order, fills = exchange.place("bob", buy)
    assert order.status == "FILLED"
    assert fills[0].price == D(50_000)  # the depth, not alice's 49999
    assert exchange.open_orders("alice")[0].status == "NEW"


def test_woken_fill_or_kill_that_cannot_fill_expires_and_gives_its_money_back(exchange: Exchange) -> None:
    order, _ = exchange.place("alice", stop("SELL", "STOP_LOSS_LIMIT", "49000", "0.5", "49000", "FOK"))
    exchange.on_trade("BTCUSDT", trade("48000", "1", 2))
    assert (order.status, order.executed) == ("EXPIRED", D(0))
    assert held(exchange, "BTC") == (D(1), D(0))


def test_trade_played_again_after_a_kill_does_nothing_twice(exchange: Exchange) -> None:
    order, _ = exchange.place("alice", stop("BUY", "STOP_LOSS_LIMIT", "51000", "0.1", "51000"))
    exchange.on_trade("BTCUSDT", trade("51001", "1", 2))
    exchange.on_trade("BTCUSDT", trade("51000", "0.04", 3))
    twin = Exchange({"BTCUSDT": plausible_rules("BTCUSDT")}, seed=1, run="r")
    twin.restore(exchange.take_changes())
    twin.on_trade("BTCUSDT", trade("51000", "0.04", 3))
    assert twin.orders[order.order_id].executed == D("0.04")
    twin.on_trade("BTCUSDT", trade("51000", "0.01", 4))
    assert twin.orders[order.order_id].executed == D("0.05")
    twin.take_changes()


def test_sixth_waiting_stop_of_a_symbol_is_refused(exchange: Exchange) -> None:
    for _ in range(5):
        exchange.place("alice", stop("SELL", "STOP_LOSS", "49000", "0.01"))
    with pytest.raises(ApiError, match="MAX_NUM_ALGO_ORDERS"):
        exchange.place("alice", stop("SELL", "STOP_LOSS", "49000", "0.01"))
