"""Exchanges that we know by ccxt alone: what is refused and why, and how an order is found again or not proven."""

from typing import Any

import pytest

from apps.core.adapters.ccxt_loader import load_ccxt
from apps.core.adapters.order_dialects import order_abilities
from apps.core.adapters.order_dialects.base import OrderDialect
from domain.errors import ExchangeError, OrderNotFound
from domain.orders import TRIGGERED_TYPES, OrderHandle, OrderStatus, OrderType


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        ("krakenfutures", "pas de marché au comptant"),
        ("gemini", "ne laisse pas relire les ordres"),
        ("bithumb", "ne laisse pas relire les exécutions"),
        ("hitbtc", "ne transmet pas notre identifiant"),
    ],
)
def test_exchange_where_an_order_cannot_be_proven_takes_none(exchange: str, reason: str) -> None:
    abilities = order_abilities(getattr(load_ccxt(), exchange)())
    assert all(reason in (abilities.refusal(kind) or "") for kind in OrderType)


def test_exchange_known_by_ccxt_alone_takes_plain_orders_only() -> None:
    abilities = order_abilities(load_ccxt().kucoin())
    assert abilities.refusal(OrderType.MARKET) is None
    assert abilities.refusal(OrderType.LIMIT) is None
    assert all(abilities.refusal(kind) for kind in (*TRIGGERED_TYPES, OrderType.OCO))


class Lists:
    """A client that lists orders only."""

    has = {"fetchOpenOrders": True, "fetchClosedOrders": True}

    def __init__(self, *, opened: list[Any], closed: list[Any]) -> None:
        self._opened, self._closed = opened, closed

    async def fetch_open_orders(self, symbol: str) -> list[Any]:
        return self._opened

    async def fetch_closed_orders(self, symbol: str) -> list[Any]:
        return self._closed


def listed(number: str, client_order_id: str | None, status: str) -> dict[str, Any]:
    return {
        "id": number, "clientOrderId": client_order_id, "symbol": "BTC/USDT", "side": "buy", "type": "limit",
        "status": status, "amount": "0.1", "filled": "0", "price": "5", "timestamp": 1760000000000, "info": {},
    }  # fmt: skip


async def test_order_is_found_among_the_ended_ones() -> None:
    client = Lists(opened=[listed("1", "b" * 32, "open")], closed=[listed("2", "a" * 32, "canceled")])
    found = await OrderDialect(client, name="X").find(OrderHandle("BTC/USDT", "a" * 32))
    assert (found.exchange_order_id, found.status) == ("2", OrderStatus.CANCELLED)


async def test_order_that_is_in_no_list_is_not_found() -> None:
    client = Lists(opened=[listed("1", "b" * 32, "open")], closed=[])
    with pytest.raises(OrderNotFound):
        await OrderDialect(client, name="X").find(OrderHandle("BTC/USDT", "a" * 32))


async def test_order_is_not_proven_absent_by_lists_without_client_ids() -> None:
    client = Lists(opened=[listed("1", None, "open")], closed=[])
    with pytest.raises(ExchangeError, match="à vérifier sur son site") as caught:
        await OrderDialect(client, name="X").find(OrderHandle("BTC/USDT", "a" * 32))
    assert not isinstance(caught.value, OrderNotFound)
