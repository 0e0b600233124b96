"""The fault matrix of what is more than one order: pairs sent as one OCO, and orders replaced in one request.

As for single orders, every case has an account of its own and the exchange's list and log are the judge:
both legs are there or none, the changed order is there once, old or new, and the rows say which.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from pytest_django.fixtures import SettingsWrapper

from apps.orders import desk
from apps.orders.models import OrderCommand, Trade
from domain.orders import OrderRequest, OrderType, Side
from tests.fakes.fault_room import (
    ABSENT,
    BTC,
    CASES,
    QUANTITY,
    REJECTED,
    SHORT_TIMEOUT_S,
    TAKEN,
    Case,
    Room,
    open_room,
    run_until_settled,
    still_exchange,
)
from tests.fakes.simex_process import SimexProcess

pytestmark = pytest.mark.django_db(transaction=True)

PAIR_PATH, REPLACE_PATH = "/api/v3/orderList/oco", "/api/v3/order/cancelReplace"
NAMES = (
    "no trouble",
    "cut before it was read",
    "answer lost",
    "429",
    "503 executed",
    "503 not executed",
    "200 in HTML executed",
    "200 in HTML not executed",
    "-1007 not executed",
    "-1021 out of time",
    "-2010 refused",
)
ACCEPTED_LATE = "accepted beyond our time-out"
# What only a replacement meets: the old order is cancelled and then the new one refused.
HALF = Case({"kind": "refuse_replacement"}, "half")


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with still_exchange() as process:
        yield process


@pytest_asyncio.fixture
async def room(simex: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[Room]:
    settings.SIMEX_URL = simex.url
    async with open_room(simex) as made:
        yield made


async def test_each_kind_of_trouble_leaves_a_pair_whole_or_not_at_all(room: Room) -> None:
    await check_pairs(room, {name: CASES[name] for name in NAMES})


async def test_each_kind_of_trouble_leaves_a_changed_order_once(room: Room) -> None:
    await check_changes(room, {name: CASES[name] for name in NAMES} | {"half done": HALF})


async def test_what_is_accepted_beyond_our_time_out_is_found(room: Room) -> None:
    room.timeout_s, room.proof_span_s = SHORT_TIMEOUT_S, 4.5
    await check_pairs(room, {ACCEPTED_LATE: CASES[ACCEPTED_LATE]})
    await check_changes(room, {ACCEPTED_LATE: CASES[ACCEPTED_LATE]})


async def check_pairs(room: Room, cases: Mapping[str, Case]) -> None:
    submit = sync_to_async(submit_pair)
    pairs: dict[str, tuple[Trade, Trade]] = {}
    for name, case in cases.items():
        broker_id = await room.account(case, path=PAIR_PATH, deposits={"USDT": "10000", "BTC": "1"})
        pairs[name] = await submit(room, broker_id, case)
    await run_until_settled(room)
    await room.executor().cycle()  # a restart finds nothing left to send
    there = client_ids(room)
    sends = sent(room, PAIR_PATH)
    found = {
        name: ([await status(leg) for leg in legs], count(there, legs), sends.count(legs[0].link_id))
        for name, legs in pairs.items()
    }
    whole = {TAKEN: (["open"] * 2, 2), ABSENT: (["expired"] * 2, 0), REJECTED: (["rejected"] * 2, 0)}
    assert found == {name: (*whole[case.outcome], case.sends) for name, case in cases.items()}


async def check_changes(room: Room, cases: Mapping[str, Case]) -> None:
    usual = CASES["no trouble"]
    brokers = {name: await room.account(usual, path=None) for name in cases}
    submit, ask = sync_to_async(room.submit), sync_to_async(amend)
    old = {name: await submit(broker_id, "resting limit", 30.0) for name, broker_id in brokers.items()}
    await run_until_settled(room)
    for name, case in cases.items():
        room.plan(case, room.accounts[brokers[name]], REPLACE_PATH)
    commands = {name: await ask(room, old[name]) for name in cases}
    await run_until_settled(room)
    await asyncio.sleep(0.3)  # until what rests is due to be asked for again
    await room.executor().cycle()
    there, sends = client_ids(room), sent(room, REPLACE_PATH)
    found = {name: await change(there, sends, old[name], command) for name, command in commands.items()}
    outcomes = {
        TAKEN: ("done", "cancelled", "open", 2),
        ABSENT: ("failed", "open", "expired", 1),
        REJECTED: ("failed", "open", "rejected", 1),
        "half": ("failed", "cancelled", "rejected", 1),
    }
    assert found == {name: (*outcomes[case.outcome], case.sends) for name, case in cases.items()}


def submit_pair(room: Room, broker_id: int, case: Case) -> tuple[Trade, Trade]:
    request = OrderRequest(
        BTC, Side.SELL, OrderType.OCO, QUANTITY, stop_loss=room.at("0.9"), take_profit=room.at("1.1")
    )
    return desk.submit_pair(room.context(broker_id, case.valid_for_s), request, **room.reference())


def amend(room: Room, trade: Trade) -> OrderCommand:
    asked = room.context(trade.broker_id, 30.0)
    return desk.amend(
        trade_id=trade.id,
        user_id=asked.user_id,
        now=asked.now,
        valid_for=asked.valid_for,
        price=room.at("0.7"),
        **room.reference(),
    )


async def change(
    there: list[str], sends: list[str], old: Trade, command: OrderCommand
) -> tuple[str, str, str, int, int]:
    new = await Trade.objects.aget(client_order_id=command.params["client_order_id"])
    ended = await OrderCommand.objects.aget(id=command.id)
    assert (ended.status == "failed") == bool(ended.error_message)
    return (
        ended.status,
        await status(old),
        await status(new),
        count(there, (old, new)),
        sends.count(new.client_order_id),
    )


async def status(trade: Trade) -> str:
    row = await Trade.objects.aget(id=trade.id)
    assert row.filled_quantity == Decimal(0)
    return str(row.status)


def client_ids(room: Room) -> list[str]:
    return [order["clientOrderId"] for order in room.simex.admin("GET", "orders")]


def sent(room: Room, path: str) -> list[str]:
    return [entry["client_order_id"] for entry in room.simex.admin("GET", f"log?method=POST&path={path}")]


def count(there: list[str], trades: tuple[Trade, ...]) -> int:
    return sum(there.count(trade.client_order_id) for trade in trades)
