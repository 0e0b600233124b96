"""Previews say what submissions would commit, and refuse the same; orders with a trigger are committed."""

from decimal import Decimal
from typing import Any

import pytest

from apps.brokers.models import Exchange
from apps.orders import desk, ledger
from apps.orders.admission import Purse
from apps.orders.models import Trade
from apps.orders.preview import Preview
from domain.errors import InvalidInput, NotFound
from domain.order_abilities import OrderAbilities
from domain.orders import FillReport, OrderReport, OrderRequest, OrderStatus, OrderType, Side
from tests.fakes.exchange import BTC_USDT
from tests.fakes.orders_room import OrdersRoom, make_room

pytestmark = pytest.mark.django_db
SYMBOL = "BTC/USDT"


@pytest.fixture
def room() -> OrdersRoom:
    return make_room()


def stop_sale(stop_price: str = "90") -> OrderRequest:
    return OrderRequest(SYMBOL, Side.SELL, OrderType.STOP_LOSS, quantity=Decimal(2), stop_price=Decimal(stop_price))


def preview(room: OrdersRoom, request: OrderRequest, **more: Any) -> Preview:
    if "free" in more:
        more["purse"] = Purse(more.pop("free"))
    arguments: dict[str, Any] = {"user_id": room.user.id, "broker_id": room.broker.id, "request": request}
    return desk.preview(**{**arguments, "market": BTC_USDT, "reference_price": Decimal(100), **more})


def know(room: OrdersRoom, abilities: OrderAbilities) -> None:
    Exchange.objects.create(id=room.broker.exchange, name="Fake", order_abilities=abilities.to_wire())


def test_a_preview_is_what_a_submission_commits_and_writes_nothing(room: OrdersRoom) -> None:
    shown = preview(room, stop_sale("90.019"))
    assert Trade.objects.count() == 0
    row = room.submit(request=stop_sale("90.019"))
    assert (row.status, row.type, row.side) == ("pending", "stop_loss", "sell")
    assert (shown.quantity, shown.stop_price, shown.price) == (row.quantity, row.stop_price, row.price)
    assert (shown.needed, shown.needed_currency) == (row.reserved_amount, row.reserved_currency) == (2, "BTC")
    # 2 × 90.01 = 180.02; 0.1 % of it, rounded up to 8 places.
    assert (shown.notional, shown.fee, shown.fee_currency) == (Decimal("180.02"), Decimal("0.18002"), "USDT")
    assert shown.available is None


def test_a_preview_counts_what_other_orders_hold(room: OrdersRoom) -> None:
    room.submit(Side.SELL, "3")
    assert preview(room, stop_sale(), free=Decimal("5.5")).available == Decimal("2.5")
    with pytest.raises(InvalidInput, match="solde insuffisant") as refusal:
        preview(room, stop_sale(), free=Decimal("4.5"))
    assert refusal.value.error_code == "insufficient_funds"


def test_a_preview_refuses_what_a_submission_refuses(room: OrdersRoom) -> None:
    with pytest.raises(InvalidInput) as shown:
        preview(room, stop_sale("110"))
    with pytest.raises(InvalidInput) as refused:
        room.submit(request=stop_sale("110"))
    assert shown.value.message == refused.value.message
    row = Trade.objects.get()
    assert (row.status, row.type, row.stop_price) == ("rejected", "stop_loss", 110)
    with pytest.raises(NotFound):
        preview(room, stop_sale(), user_id=make_room().user.id)


def test_a_preview_of_a_pair_shows_both_legs(room: OrdersRoom) -> None:
    wanted = OrderRequest(
        SYMBOL, Side.SELL, OrderType.OCO, Decimal(2), stop_loss=Decimal(90), take_profit=Decimal(110)
    )
    shown = preview(room, wanted, free=Decimal(2))
    assert [(leg.order_type, leg.stop_price, leg.notional) for leg in shown.legs] == [
        (OrderType.STOP_LOSS, Decimal(90), Decimal(180)),
        (OrderType.TAKE_PROFIT, Decimal(110), Decimal(220)),
    ]
    assert (shown.needed, shown.needed_currency, shown.available) == (Decimal(2), "BTC", Decimal(2))
    with pytest.raises(InvalidInput, match="solde insuffisant"):
        preview(room, wanted, free=Decimal("1.99"))


def test_what_the_exchange_does_not_take_is_recorded_as_refused(room: OrdersRoom) -> None:
    know(room, OrderAbilities(refusals={OrderType.STOP_LOSS: "pas de stop ici."}))
    with pytest.raises(InvalidInput, match="pas de stop ici"):
        room.submit(request=stop_sale())
    row = Trade.objects.get()
    assert (row.status, row.error_code) == ("rejected", "order_type_unsupported")
    assert "pas de stop ici" in row.error_message


def _report(trade: Trade, status: OrderStatus, *fills: FillReport) -> OrderReport:
    filled = sum((fill.quantity for fill in fills), Decimal(0))
    return OrderReport(
        "7",
        trade.client_order_id,
        SYMBOL,
        Side.BUY,
        OrderType.MARKET,
        status,
        filled,
        filled,
        None,
        None,
        fills,
        None,
    )


def test_an_order_sized_by_what_it_spends_ends_with_what_it_bought(room: OrdersRoom) -> None:
    know(room, OrderAbilities(market_buy_in_quote=True))
    request = OrderRequest(SYMBOL, Side.BUY, OrderType.MARKET, quote_amount=Decimal(200))
    trade = room.submit(request=request)
    assert (trade.quote_amount, trade.quantity, trade.reserved_amount) == (200, 2, 200)
    Trade.objects.filter(id=trade.id).update(status="sending")
    # The price fell meanwhile: 1 at 90, then 1.15 at 95.65… more than the 2 that were estimated.
    parts = [
        FillReport(str(i), "7", Decimal(price), Decimal(quantity), Decimal(0), "USDT", room.clock.now())
        for i, (price, quantity) in enumerate([("90", "1"), ("95", "1.15")])
    ]
    now = room.clock.now()
    ledger.apply_report(trade.id, _report(trade, OrderStatus.PARTIALLY_FILLED, parts[0]), now=now)
    trade.refresh_from_db()
    assert (trade.status, trade.filled_quantity, trade.quantity) == ("partially_filled", 1, 2)
    for _ in range(2):  # the second time changes nothing
        ledger.apply_report(trade.id, _report(trade, OrderStatus.FILLED, *parts), now=now)
        trade.refresh_from_db()
        assert (trade.status, trade.filled_quantity, trade.quantity) == ("filled", Decimal("2.15"), Decimal("2.15"))
