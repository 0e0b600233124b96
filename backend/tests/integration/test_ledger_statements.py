"""What one report of an exchange costs PostgreSQL: each order of a busy close pays it several times."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.orders import ledger
from apps.orders.models import Position, Trade
from domain.orders import FillReport, OrderReport, OrderSource, OrderStatus, OrderType, Side
from tests.engine_world import make_bot
from tests.fakes.orders_room import OrdersRoom, make_room

pytestmark = pytest.mark.django_db


@pytest.fixture
def room() -> OrdersRoom:
    return make_room()


def statements(room: OrdersRoom, trade: Trade, status: OrderStatus, price: str, **more: Any) -> int:
    """Apply « all three executed at `price` », or nothing executed; return how many statements that took."""
    order = str(trade.pk)
    filled = Decimal(3) if status is OrderStatus.FILLED else Decimal(0)
    fill = FillReport(order, order, Decimal(price), filled, Decimal("0.1"), "USDT", room.clock.now(), False)
    what = OrderReport(
        exchange_order_id=order,
        client_order_id=trade.client_order_id,
        symbol=trade.symbol,
        side=Side(trade.side),
        order_type=OrderType(trade.type),
        status=status,
        quantity=trade.quantity,
        filled_quantity=filled,
        average_price=None,
        price=trade.price,
        fills=(fill,) if filled else (),
        market_time=None,
    )
    with CaptureQueriesContext(
        connection,
    ) as captured:
        ledger.apply_report(trade.id, what, now=room.clock.now())
    return sum(1 for query in captured if "SAVEPOINT" not in query["sql"])


def sent(room: OrdersRoom, side: Side, **more: Any) -> Trade:
    trade = room.submit(side, "3", price="100", **more)
    Trade.objects.filter(id=trade.id).update(status="sending", sending_at=room.clock.now())
    trade.refresh_from_db()
    return trade


def test_bots_purchase_and_protected_sale_take_few_statements(room: OrdersRoom) -> None:
    bot = make_bot(room.user, room.broker)
    own = {"source": OrderSource.STRATEGY, "bot_id": bot.pk}
    purchase = sent(room, Side.BUY, stop_loss=Decimal(90), take_profit=Decimal(120), **own)
    counts = [
        statements(room, purchase, OrderStatus.OPEN, "100"),
        statements(room, purchase, OrderStatus.OPEN, "100"),
        statements(room, purchase, OrderStatus.FILLED, "100"),
    ]
    position = Position.objects.get(bot=bot)
    assert (position.quantity, position.stop_loss) == (3, 90)

    sale = sent(room, Side.SELL, **own)
    twin = sent(room, Side.SELL, **own)
    legs = {"link_id": "paire", "link_mode": "oco", "position": position, "intent": "protection"}
    Trade.objects.filter(id__in=(sale.pk, twin.pk)).update(**legs)
    counts.append(statements(room, sale, OrderStatus.FILLED, "110"))

    position.refresh_from_db()
    assert (position.status, position.realized_pnl) == ("closed", Decimal("29.8"))  # 3 × 10 − two fees of 0.1
    assert counts == [3, 3, 10, 11]
    assert statements(room, sale, OrderStatus.FILLED, "110") == 2  # told again: looked at, nothing written
