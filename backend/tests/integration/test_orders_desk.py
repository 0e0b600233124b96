"""What the desk commits, refuses and reserves."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections, transaction

from apps.orders import desk, selectors
from apps.orders.models import OrderCommand, Trade
from apps.orders.signals import orders_waiting
from domain.errors import Conflict, InvalidInput, NotFound
from domain.orders import OrderRequest, OrderType, Side
from tests.fakes.orders_room import OrdersRoom, make_room

pytestmark = pytest.mark.django_db


@pytest.fixture
def room() -> OrdersRoom:
    return make_room()


def market_buy(**more: Any) -> OrderRequest:
    return OrderRequest(symbol="BTC/USDT", side=Side.BUY, order_type=OrderType.MARKET, **more)


def test_a_market_buy_by_amount_is_rounded_down_once_and_reserves_no_more(room: OrdersRoom) -> None:
    # 1000 / 300 = 3.333… BTC, cut to the step 0.00001; 3.33333 × 300 = 999.999.
    room.exchange.prices["BTC/USDT"] = Decimal(300)
    trade = room.submit(request=market_buy(quote_amount=Decimal(1000)))
    assert trade.quantity == Decimal("3.33333")
    assert (trade.reserved_currency, trade.reserved_amount) == ("USDT", Decimal(1000))
    assert trade.valid_until == room.clock.now() + timedelta(seconds=20)
    assert len(trade.client_order_id) == 32


def test_a_limit_buy_reserves_its_notional_and_fee_and_a_sale_its_quantity(room: OrdersRoom) -> None:
    room.submit(quantity="2", price="50.001")  # rounded up to 50.01; 100.02 + 0.1 %
    room.submit(Side.SELL, "1.5")
    assert selectors.reserved_by_currency(room.broker.id) == {"USDT": Decimal("100.12002"), "BTC": Decimal("1.5")}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (market_buy(quantity=Decimal("0.04")), "valeur 4 USDT inférieure au minimum 5 USDT"),
        (market_buy(quantity=Decimal("0.000001")), "quantité nulle après arrondi"),
        (market_buy(quantity=Decimal("NaN")), "nombre positif attendu"),
        (market_buy(quantity=Decimal("-1")), "nombre positif attendu"),
        (market_buy(quantity=Decimal("1e30")), "nombre positif attendu"),
        (market_buy(quantity=Decimal("1e17"), stop_loss=Decimal("Infinity")), "stop loss"),
        (market_buy(quantity=Decimal("9.99e17")), "démesuré"),
        (market_buy(), "soit une quantité, soit un montant"),
        (market_buy(quantity=Decimal(1), price=Decimal(1)), "un prix est interdit pour un ordre au marché"),
        (OrderRequest("BTC/USDT", Side.BUY, OrderType.OCO, quantity=Decimal(1)), "se soumet par paire"),
        (OrderRequest("ETH/USDT", Side.BUY, OrderType.MARKET, quantity=Decimal(1)), "marché inconnu"),
    ],
)
def test_a_refused_order_is_kept_with_its_reason(room: OrdersRoom, request_: OrderRequest, words: str) -> None:
    with pytest.raises(InvalidInput, match="Ordre refusé") as refusal:
        room.submit(request=request_)
    assert words in refusal.value.message
    row = Trade.objects.get()
    assert (row.status, row.error_message) == ("rejected", refusal.value.message)
    assert refusal.value.details["trade_id"] == row.id
    assert selectors.reserved_by_currency(room.broker.id) == {}


def test_a_refusal_is_not_kept_when_not_wanted(room: OrdersRoom) -> None:
    with pytest.raises(InvalidInput):
        room.submit(request=market_buy(), record_refusal=False)
    assert Trade.objects.count() == 0


def test_the_same_client_id_gives_the_same_order(room: OrdersRoom) -> None:
    first = room.submit(client_order_id="abc")
    assert room.submit(client_order_id="abc", quantity="5").id == first.id
    assert Trade.objects.count() == 1
    with pytest.raises(Conflict):
        make_room().submit(client_order_id="abc")
    with pytest.raises(InvalidInput):
        room.submit(client_order_id="é" * 10)


def test_another_users_broker_does_not_exist(room: OrdersRoom) -> None:
    with pytest.raises(NotFound):
        room.submit(broker_id=make_room().broker.id)
    assert Trade.objects.count() == 0


def test_free_balance_counts_what_other_orders_hold(room: OrdersRoom) -> None:
    room.submit(quantity="6", price="100", free=Decimal(1000))
    with pytest.raises(InvalidInput, match="solde insuffisant") as refusal:
        room.submit(quantity="5", price="100", free=Decimal(1000))
    assert refusal.value.error_code == "insufficient_funds"
    assert refusal.value.details["reserved"] == "600.600000000000000000"


def test_reservations_agree_with_the_age_of_the_balance(room: OrdersRoom) -> None:
    now = room.clock.now()
    resting, ended = room.submit(quantity="1", price="90"), room.submit(quantity="2", price="90")
    Trade.objects.filter(id=resting.id).update(status="open", acknowledged_at=now)
    Trade.objects.filter(id=ended.id).update(status="filled", filled_quantity=2, closed_at=now)
    later, earlier = now + timedelta(seconds=1), now - timedelta(seconds=1)
    # Asked for afterwards, the balance knows both; asked for before, it knows neither.
    assert selectors.reserved_by_currency(room.broker.id, as_of=later) == {}
    assert selectors.reserved_by_currency(room.broker.id, as_of=earlier) == {"USDT": Decimal("270.27")}
    assert selectors.reserved_by_currency(room.broker.id) == {"USDT": Decimal("90.09")}


def test_terminal_5_is_woken_after_the_commit_only(
    room: OrdersRoom, django_capture_on_commit_callbacks: Any
) -> None:
    calls: list[str] = []

    def receiver(**_: object) -> None:
        calls.append("woken")

    orders_waiting.connect(receiver)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            room.submit()
            assert calls == []
        assert calls == ["woken"]
    finally:
        orders_waiting.disconnect(receiver)


def test_cancel_knows_its_owner_and_its_states(room: OrdersRoom) -> None:
    trade, now = room.submit(), room.clock.now()
    with pytest.raises(NotFound):
        desk.cancel(trade_id=trade.id, user_id=make_room().user.id, now=now)
    Trade.objects.filter(id=trade.id).update(status="unknown")
    desk.cancel(trade_id=trade.id, user_id=room.user.id, now=now)
    assert OrderCommand.objects.get().status == "pending"
    Trade.objects.filter(id=trade.id).update(status="filled")
    with pytest.raises(Conflict, match="déjà terminé"):
        desk.cancel(trade_id=trade.id, user_id=room.user.id, now=now)


@pytest.mark.django_db(transaction=True)
def test_two_submissions_at_once_cannot_spend_the_same_money() -> None:
    room = make_room()
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def submit() -> None:
        start.wait(timeout=10)
        try:
            with transaction.atomic():
                room.submit(quantity="6", price="100", free=Decimal(1000), record_refusal=False)
            outcomes.append("committed")
        except InvalidInput as refusal:
            outcomes.append(refusal.error_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=submit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(outcomes) == ["committed", "insufficient_funds"]
