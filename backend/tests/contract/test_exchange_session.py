"""What every `ExchangeSession` does: the fake of the tests and ccxt on the simulated exchange alike."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from domain.errors import OrderNotExecuted, OrderNotFound, OrderRejected
from domain.orders import OrderHandle, OrderStatus, OrderType, Side
from domain.timeframes import Timeframe
from tests.contract.world import BTC, CLOCK, World


async def test_new_account_holds_its_money(world: World) -> None:
    balance = await world.session.fetch_balance()
    assert balance.free["USDT"] == 10_000
    assert balance.total("BTC") == 0


async def test_market_buy_fills_exactly_and_says_its_fees(world: World) -> None:
    report = await world.order()
    assert report.status is OrderStatus.FILLED
    assert report.filled_quantity == Decimal("0.02")
    assert sum(fill.quantity for fill in report.fills) == Decimal("0.02")
    assert {fill.fee_currency for fill in report.fills} == {"BTC"}
    fees = sum((fill.fee for fill in report.fills), Decimal(0))
    assert fees > 0
    balance = await world.session.fetch_balance()
    assert balance.free["BTC"] == Decimal("0.02") - fees
    spent = sum((fill.price * fill.quantity for fill in report.fills), Decimal(0))
    assert balance.free["USDT"] == 10_000 - spent
    assert report.average_price == spent / Decimal("0.02")


async def test_order_is_found_by_our_id_with_the_same_fills(world: World) -> None:
    sent = await world.order(client_order_id="a" * 32)
    found = await world.session.find_order(OrderHandle(BTC, client_order_id="a" * 32))
    assert found.exchange_order_id == sent.exchange_order_id
    assert found.client_order_id == "a" * 32
    assert found.status is OrderStatus.FILLED
    assert [(f.exchange_trade_id, f.price, f.quantity, f.fee) for f in found.fills] == [
        (f.exchange_trade_id, f.price, f.quantity, f.fee) for f in sent.fills
    ]


async def test_trades_tell_the_same_fills(world: World) -> None:
    sent = await world.order()
    trades = await world.session.fetch_my_trades(BTC)
    mine = [each for each in trades if each.exchange_order_id == sent.exchange_order_id]
    assert [each.exchange_trade_id for each in mine] == [each.exchange_trade_id for each in sent.fills]


async def test_limit_order_rests_locks_its_money_and_is_cancelled(world: World) -> None:
    price = await world.far_below()
    sent = await world.order(order_type=OrderType.LIMIT, price=price, client_order_id="b" * 32)
    assert sent.status is OrderStatus.OPEN
    assert sent.filled_quantity == 0
    (resting,) = await world.session.fetch_open_orders(BTC)
    assert (resting.client_order_id, resting.price) == ("b" * 32, price)
    assert (await world.session.fetch_balance()).locked["USDT"] == price * Decimal("0.02")
    await world.session.cancel_order(
        OrderHandle(BTC, client_order_id="b" * 32, exchange_order_id=sent.exchange_order_id)
    )
    assert list(await world.session.fetch_open_orders(BTC)) == []
    found = await world.session.find_order(OrderHandle(BTC, client_order_id="b" * 32))
    assert found.status is OrderStatus.CANCELLED
    assert (await world.session.fetch_balance()).free["USDT"] == 10_000


async def test_cancel_knows_the_order_by_our_id_alone(world: World) -> None:
    price = await world.far_below()
    await world.order(order_type=OrderType.LIMIT, price=price, client_order_id="c" * 32)
    await world.session.cancel_order(OrderHandle(BTC, client_order_id="c" * 32))
    assert list(await world.session.fetch_open_orders(BTC)) == []


async def test_cancel_of_nothing_is_order_not_found(world: World) -> None:
    with pytest.raises(OrderNotFound):
        await world.session.cancel_order(OrderHandle(BTC, client_order_id="d" * 32))


async def test_unknown_order_is_order_not_found(world: World) -> None:
    with pytest.raises(OrderNotFound):
        await world.session.find_order(OrderHandle(BTC, client_order_id="e" * 32))


async def test_too_small_an_order_is_rejected(world: World) -> None:
    with pytest.raises(OrderRejected):
        await world.order(quantity=Decimal("0.00001"), order_type=OrderType.LIMIT, price=Decimal("100"))


async def test_more_than_one_owns_is_rejected(world: World) -> None:
    with pytest.raises(OrderRejected):
        await world.order(side=Side.SELL, quantity=Decimal("1"))


async def test_order_past_its_validity_is_not_executed(world: World) -> None:
    with pytest.raises(OrderNotExecuted):
        await world.order(valid_for_s=-1.0, client_order_id="f" * 32)
    with pytest.raises(OrderNotFound):
        await world.session.find_order(OrderHandle(BTC, client_order_id="f" * 32))


async def test_candles_are_ascending_and_inside_the_window(world: World) -> None:
    until = Timeframe.M5.open_time(datetime.now(tz=CLOCK.now().tzinfo)) - timedelta(hours=1)
    since = until - timedelta(hours=2)
    candles = await world.session.fetch_candles(BTC, Timeframe.M5, since=since, until=until)
    times = [each.open_time for each in candles]
    assert times == sorted(set(times))
    assert all(since <= each < until for each in times)
