"""The fault matrix: each trouble of HTTP × each type of order, through the real executor, ccxt, simex and tables.

Every case has an account of its own, so all of them run at once. The judge is the exchange's own list of
orders and log of requests: it holds one order or none, and the row says which. Market and limit orders meet
every trouble; those with a trigger leave by the same request and meet the kinds of trouble once each.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from decimal import Decimal

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from pytest_django.fixtures import SettingsWrapper

from apps.orders.models import Fill, Trade
from tests.fakes.fault_room import (
    ABSENT,
    AT_ONCE,
    CASES,
    KINDS,
    PATH,
    QUANTITY,
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

PLAIN = ("market", "resting limit")
TRIGGERED = ("stop loss", "take profit", "stop limit")
# Response lost, 5xx, 429, non-JSON, and what is dangerous besides: nothing of it may leave an order twice.
OF_EACH_KIND = (
    "no trouble",
    "cut before it was read",
    "answer lost",
    "429",
    "503 executed",
    "503 not executed",
    "200 in HTML executed",
    "200 in HTML not executed",
    "-1021 out of time",
    "-2010 refused",
)
ACCEPTED_LATE = "accepted beyond our time-out"


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with still_exchange() as process:
        yield process


@pytest_asyncio.fixture
async def room(simex: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[Room]:
    settings.SIMEX_URL = simex.url
    async with open_room(simex) as made:
        yield made


async def test_each_trouble_of_each_order_leaves_one_order_or_none_and_the_row_says_which(room: Room) -> None:
    names = [(name, kind) for name, case in CASES.items() if not case.is_slow for kind in PLAIN]
    assert len(names) > 60
    await check_outcomes(room, names)


async def test_each_kind_of_trouble_of_each_triggered_order_leaves_one_order_or_none(room: Room) -> None:
    await check_outcomes(room, [(name, kind) for name in OF_EACH_KIND for kind in TRIGGERED])


async def test_each_delay_of_each_order_leaves_one_order_or_none_and_the_row_says_which(room: Room) -> None:
    room.timeout_s, room.proof_span_s = SHORT_TIMEOUT_S, 4.5
    names = [(name, kind) for name, case in CASES.items() if case.is_slow for kind in PLAIN]
    assert len(names) == 3 * len(PLAIN)
    names += [(ACCEPTED_LATE, kind) for kind in TRIGGERED]
    await check_outcomes(room, names)


async def check_outcomes(room: Room, names: Sequence[tuple[str, str]]) -> None:
    brokers = {key: await room.account(CASES[key[0]]) for key in names}
    submit = sync_to_async(room.submit)
    trades: dict[tuple[str, str], Trade] = {}
    for start in range(0, len(names), AT_ONCE):
        # What is valid for a moment only comes last: committing the others must not use its time up.
        chunk = sorted(names[start : start + AT_ONCE], key=lambda key: CASES[key[0]].valid_for_s, reverse=True)
        made = {key: await submit(brokers[key], key[1], CASES[key[0]].valid_for_s) for key in chunk}
        await run_until_settled(room)
        trades |= made
    await room.executor().cycle()  # a restart finds nothing left to send
    found = await outcomes(room, trades)
    assert found == {(name, kind): expected(CASES[name], kind) for name, kind in names}


Outcome = tuple[str, str, int, int, Decimal]  # status, error code, orders there, requests logged, filled


async def outcomes(room: Room, trades: Mapping[tuple[str, str], Trade]) -> dict[tuple[str, str], Outcome]:
    orders = [order["clientOrderId"] for order in room.simex.admin("GET", "orders")]
    log = room.simex.admin("GET", f"log?method=POST&path={PATH}")
    requests = [entry["client_order_id"] for entry in log]
    found: dict[tuple[str, str], Outcome] = {}
    for key, trade in trades.items():
        row = await Trade.objects.aget(pk=trade.pk)
        fills = [fill.quantity async for fill in Fill.objects.filter(trade=row)]
        client_id = row.client_order_id
        code = row.error_code if row.status == "expired" else ""
        found[key] = (row.status, code, orders.count(client_id), requests.count(client_id), sum(fills, Decimal(0)))
    return found


def expected(case: Case, kind: str) -> Outcome:
    if case.outcome == TAKEN:
        filled = QUANTITY if KINDS[kind] == "filled" else Decimal(0)
        return KINDS[kind], "", 1, case.sends, filled
    if case.outcome == ABSENT:
        return "expired", "order_absent", 0, case.sends, Decimal(0)
    return "rejected", "", 0, case.sends, Decimal(0)
