"""Parts of the manual terminal that need nobody: amounts typed, values through bridges, short memories, tokens."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from rest_framework.exceptions import ValidationError

from apps.trading_manual.serializers import AmountField
from apps.trading_manual.services import validations
from apps.trading_manual.services.order_lists import valued
from apps.trading_manual.services.portfolio import price_in_valuation
from apps.trading_manual.services.replies import client_order_id
from apps.trading_manual.services.short_memory import ShortMemory
from apps.trading_manual.services.validations import Terms
from domain.errors import ExchangeUnavailable, InvalidInput
from domain.orders import OrderRequest, OrderType, Side
from tests.fakes.clock import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("0.00000123", "0.00000123"),
        ("1,5", "1.5"),  # as the French write it
        (" 2 ", "2"),
        (3, "3"),
        (0.1, "0.1"),
        ("1e-8", "0.00000001"),
        ("0.123456789012345678", "0.123456789012345678"),
        ("999999999999999999.000000000000000001", "999999999999999999.000000000000000001"),
        ("1.0000000000000000000000", "1"),
    ],
)
def test_amount_is_read_exactly(typed: object, read: str) -> None:
    assert AmountField().run_validation(typed) == Decimal(read)


NO_AMOUNTS: tuple[object, ...] = (
    "",
    "abc",
    "NaN",
    "sNaN",
    "-Infinity",
    "0",
    "-0",
    "-1",
    "1,2,3",
    "1.2,3",
    "٣x",
    [],
    {},
    True,
    None,
)
OUT_OF_RANGE = ("1e400", "1e18", "1e-19", "123456789012345678.0000000000000000001", "9" * 5000, "1e999999999999")


@pytest.mark.parametrize("typed", [*NO_AMOUNTS, *OUT_OF_RANGE, float("nan"), float("inf")])
def test_what_is_no_amount_is_refused_in_few_words(typed: object) -> None:
    with pytest.raises(ValidationError) as caught:
        AmountField().run_validation(typed)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ({"XYZ/USDT": "2"}, "2"),
        ({"USDT/XYZ": "4"}, "0.25"),
        ({"XYZ/BTC": "0.001", "BTC/USDT": "50000"}, "50"),
        ({"XYZ/BTC": "0.001", "BTC/USDT": "50000", "XYZ/USDT": "49"}, "49"),  # a market of its own wins
        ({"XYZ/EUR": "3", "EUR/USDT": "1.1"}, "3.3"),
        ({"XYZ/EUR": "3"}, None),
        ({"XYZ/USDT": "0"}, None),
        ({}, None),
    ],
)
def test_value_of_a_currency_goes_by_the_shortest_way(prices: dict[str, str], expected: str | None) -> None:
    found = price_in_valuation("XYZ", {symbol: Decimal(price) for symbol, price in prices.items()})
    assert found == (None if expected is None else Decimal(expected))


def test_usdt_is_worth_itself() -> None:
    assert price_in_valuation("USDT", {}) == 1


def test_position_is_valued_at_a_price_or_as_it_last_was() -> None:
    body = {"quantity": "0.5", "entry_price": "90", "current_price": None, "unrealized_pnl": None}
    assert valued(body, None) == {**body, "market_value": None, "unrealized_pnl_ratio": None}
    known = valued(body, Decimal(100))
    assert (known["current_price"], known["market_value"], known["unrealized_pnl"]) == ("100", "50", "5")
    assert known["unrealized_pnl_ratio"] == "0.111111111111111111"  # 100 for 90
    assert valued(known, None) == known


async def test_memory_asks_once_for_those_who_come_together_and_again_when_old() -> None:
    clock, asked = FakeClock(), 0

    async def read() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return asked

    memory: ShortMemory[str, int] = ShortMemory(clock=clock, ttl_s=2.0)
    both = await asyncio.gather(memory.get("a", read), memory.get("a", read))
    assert ([each.value for each in both], asked) == ([1, 1], 1)
    clock.advance(2)
    assert (await memory.get("a", read)).value == 1
    assert (await memory.get("a", read, fresh=True)).value == 2
    clock.advance(2.1)
    found = await memory.get("a", read)
    assert (found.value, found.as_of) == (3, clock.now())


async def test_memory_keeps_no_failure_and_survives_one_who_leaves() -> None:
    memory: ShortMemory[str, int] = ShortMemory(clock=FakeClock(), ttl_s=2.0)
    gate = asyncio.Event()

    async def fail() -> int:
        raise ExchangeUnavailable("Simulateur ne répond pas.")

    async def slow() -> int:
        await gate.wait()
        return 7

    with pytest.raises(ExchangeUnavailable):
        await memory.get("a", fail)
    leaving = asyncio.create_task(memory.get("a", slow))
    staying = asyncio.create_task(memory.get("a", slow))
    await asyncio.sleep(0)
    leaving.cancel()
    gate.set()
    assert (await staying).value == 7


def terms() -> Terms:
    request = OrderRequest(
        "BTC/USDT",
        Side.SELL,
        OrderType.OCO,
        quantity=Decimal("0.00000123"),
        stop_loss=Decimal("90"),
        take_profit=Decimal("1E+2"),
    )
    return Terms(1, 2, request, Decimal("95.5"), Decimal("0.1"), NOW)


def test_token_gives_the_terms_back_and_one_name() -> None:
    token, valid_until = validations.freeze(terms(), now=NOW)
    found = validations.read(token, user_id=1, broker_id=2)
    assert (found.terms, found.valid_until) == (terms(), valid_until)
    assert valid_until - NOW == timedelta(seconds=30)
    again, _ = validations.freeze(terms(), now=NOW)
    assert validations.read(again, user_id=1, broker_id=2).name != found.name


@pytest.mark.parametrize(("user", "broker", "change"), [(9, 2, ""), (1, 9, ""), (1, 2, "x")])
def test_token_of_another_or_changed_is_unknown(user: int, broker: int, change: str) -> None:
    token, _ = validations.freeze(terms(), now=NOW)
    with pytest.raises(InvalidInput) as caught:
        validations.read(token + change, user_id=user, broker_id=broker)
    assert caught.value.error_code == "validation_unknown"


def test_client_order_id_is_the_same_for_ever_and_each_users_own() -> None:
    first = client_order_id(1, "a")
    assert first == client_order_id(1, "a")
    assert len({first, client_order_id(2, "a"), client_order_id(1, "b")}) == 3
    assert len(first) == 32
    assert int(first, 16) >= 0
