"""The lists: own rows only, filters, and the same body as the events."""

from typing import Any

import pytest
from rest_framework.test import APIRequestFactory, force_authenticate

from apps.orders import events
from apps.orders.models import Position, Trade
from apps.orders.serializers import PositionSerializer, TradeSerializer
from apps.orders.views import PositionViewSet, TradeViewSet
from domain.orders import Side
from tests.fakes.orders_room import OrdersRoom, make_room

pytestmark = pytest.mark.django_db


@pytest.fixture
def room() -> OrdersRoom:
    return make_room()


def listed(room: OrdersRoom, query: str = "", view: Any = TradeViewSet) -> Any:
    request = APIRequestFactory().get(f"/api/list/{query}")
    force_authenticate(request, user=room.user)
    return view.as_view({"get": "list"})(request)


def test_list_holds_own_rows_newest_first_in_the_agreed_shape(room: OrdersRoom) -> None:
    first, second = room.submit(quantity="1.50"), room.submit(Side.SELL, "2", "120.1")
    make_room().submit()
    answer = listed(room)
    assert [body["id"] for body in answer.data["results"]] == [second.id, first.id]
    body = answer.data["results"][0]
    assert (body["quantity"], body["price"], body["filled_quantity"]) == ("2", "120.1", "0")
    assert (body["status"], body["broker"], body["bot"]) == ("pending", room.broker.id, None)
    assert body["owner"] == second.owner == "manual"
    assert body == events.trade_body(second)
    assert set(body) == set(TradeSerializer().fields)


def test_another_users_trade_is_not_found(room: OrdersRoom) -> None:
    foreign = make_room().submit()
    request = APIRequestFactory().get("/api/trades/1/")
    force_authenticate(request, user=room.user)
    assert TradeViewSet.as_view({"get": "retrieve"})(request, pk=foreign.id).status_code == 404


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("?status=pending", 2),
        ("?status=open,filled", 0),
        ("?symbol=ETH/USDT", 0),
        ("?source=manual&symbol=BTC/USDT", 2),
        ("?bot=3", 0),
        ("?broker=999999", 0),
        ("?limit=1", 1),
        ("?since=2001-01-01T00:00:00Z", 2),
        ("?until=2001-01-01T00:00:00Z", 0),
    ],
)
def test_filters(room: OrdersRoom, query: str, count: int) -> None:
    room.submit()
    room.submit()
    assert len(listed(room, query).data["results"]) == count


def test_unreadable_filter_is_refused_in_the_error_shape(room: OrdersRoom) -> None:
    answer = listed(room, "?broker=abc")
    assert answer.status_code == 400
    assert answer.data["code"] == "invalid_input"


def test_position_body_has_the_agreed_fields(room: OrdersRoom) -> None:
    position = Position.objects.create(
        user=room.user,
        broker=room.broker,
        symbol="BTC/USDT",
        owner="manual",
        quantity="0.5",
        entry_price="100",
        opened_at=room.clock.now(),
    )
    (body,) = listed(room, "?status=open", PositionViewSet).data["results"]
    assert (body["id"], body["quantity"], body["opened_at"]) == (position.id, "0.5", "2026-01-01T00:00:00Z")
    assert set(body) == set(PositionSerializer().fields)


def test_anonymous_is_refused() -> None:
    answer = TradeViewSet.as_view({"get": "list"})(APIRequestFactory().get("/api/trades/"))
    assert answer.status_code == 403
    assert Trade.objects.count() == 0
