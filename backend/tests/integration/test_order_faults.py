"""The fault matrix: each trouble of HTTP × each type of order, through the real executor, ccxt, simex and tables.

Every case has an account of its own, so all of them run at once. The judge is the exchange's own list of
orders and log of requests: it holds one order or none, and the row says which.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import User
from apps.brokers.models import Broker
from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.rate_budget import RateBudget
from apps.orders import desk
from apps.orders.executor import OrderExecutor
from apps.orders.models import Fill, Trade
from apps.orders.timings import ExecutorTimings
from domain.markets import Market
from domain.orders import OrderRequest, OrderSource, OrderType, Side
from domain.ports import BrokerAccess
from tests.fakes.orders_room import FreeLease
from tests.fakes.publisher import FakePublisher
from tests.fakes.simex_process import SimexProcess, running_simex

pytestmark = pytest.mark.django_db(transaction=True)

CLOCK = SystemClock()
BTC = "BTC/USDT"
QUANTITY = Decimal("0.001")
PATH = "/api/v3/order"
HTML = "<html><body>upstream</body></html>"
USUAL_TIMEOUT_S = 12.0
SHORT_TIMEOUT_S = 2.0
BEYOND_MS = 3_000  # longer than the short time-out, shorter than the exchange's window
AT_ONCE = 20
SETTLED_WITHIN_S = 30.0

TAKEN, ABSENT, REJECTED = "taken", "absent", "rejected"


@dataclass(frozen=True)
class Case:
    """One trouble of the request that places the order.

    Args:
        outcome: what must be true in the end, at the exchange and in the row.
        sends: how often the order may be sent: twice only where the first was certainly not executed.
        look_up: a second trouble, of the request that looks the order up.
    """

    fault: Mapping[str, Any]
    outcome: str
    sends: int = 1
    valid_for_s: float = 30.0
    look_up: Mapping[str, Any] | None = None

    @property
    def is_slow(self) -> bool:
        return str(self.fault.get("kind", "")).startswith("delay")


def _http(status: int, *, executed: bool, body: str = HTML, content_type: str = "text/html") -> Case:
    params = {"status": status, "body": body, "content_type": content_type, "executed": executed}
    return Case({"kind": "http_error", "params": params}, TAKEN if executed else ABSENT)


def _binance(code: int, outcome: str, *, status: int = 400, executed: bool = False, sends: int = 1) -> Case:
    params = {"code": code, "msg": "Planned.", "status": status, "executed": executed}
    return Case({"kind": "binance_error", "params": params}, outcome, sends)


def _limited(status: int) -> Case:
    return Case({"kind": "rate_limit", "params": {"status": status, "retry_after": 1}}, TAKEN, sends=2)


def _cases() -> dict[str, Case]:
    lost: dict[str, Any] = {"kind": "drop_after"}
    unclear = {"code": -2013, "msg": "Order does not exist.", "status": 400}
    cases = {
        "no trouble": Case({}, TAKEN),
        "cut before it was read": Case({"kind": "drop_before"}, ABSENT),
        "answer lost": Case(lost, TAKEN),
        "answer beyond our time-out": Case({"kind": "delay_after", "params": {"ms": BEYOND_MS}}, TAKEN),
        "accepted beyond our time-out": Case({"kind": "delay_before", "params": {"ms": BEYOND_MS}}, TAKEN),
        "read beyond its own window": Case(
            {"kind": "delay_before", "params": {"ms": 4_500}}, ABSENT, valid_for_s=3.0
        ),
        "answer lost, look-up behind": Case(
            lost, TAKEN, look_up={"kind": "binance_error", "times": 2, "params": unclear}
        ),
        "answer lost, look-up down": Case(
            lost, TAKEN, look_up={"kind": "http_error", "times": 2, "params": {"status": 503}}
        ),
        "429": _limited(429),
        "418": _limited(418),
        "-1008 overloaded": _binance(-1008, TAKEN, status=503, sends=2),
        "-1015 too many orders": _binance(-1015, TAKEN, status=429, sends=2),
        "-1021 out of time": _binance(-1021, TAKEN, sends=2),
        "-2010 refused": _binance(-2010, REJECTED),
        "-1013 filter": _binance(-1013, REJECTED),
        "-2015 keys": _binance(-2015, REJECTED, status=401),
        "-1022 signature": _binance(-1022, REJECTED),
    }
    for executed, word in ((True, "executed"), (False, "not executed")):
        outcome = TAKEN if executed else ABSENT
        for status in (500, 503, 504, 524):
            cases[f"{status} {word}"] = _http(status, executed=executed)
        for code in (-1000, -1001, -1006, -1007, -2021):
            cases[f"{code} {word}"] = _binance(code, outcome, executed=executed)
        cases[f"200 in HTML {word}"] = _http(200, executed=executed)
        cases[f"200 empty {word}"] = _http(200, executed=executed, body="")
        for name, body in (("cut", '{"symbol":"BTCUSDT","orderId":'), ("of nothing", "{}")):
            json_type = "application/json"
            cases[f"200 JSON {name} {word}"] = _http(200, executed=executed, body=body, content_type=json_type)
    return cases


CASES = _cases()
KINDS = {"market": "filled", "resting limit": "open"}  # and what a taken one becomes


@dataclass
class Room:
    """The executor's surroundings: one session per broker, each with a budget of its own."""

    simex: SimexProcess
    user: User
    timeout_s: float = USUAL_TIMEOUT_S
    proof_span_s: float = 1.0  # answers come at once, or were cut: nothing is on its way any more
    sessions: dict[int, CcxtSession] = field(default_factory=dict)
    market: Market | None = None
    price: Decimal = Decimal(0)

    async def session(self, broker_id: int) -> CcxtSession:
        return self.sessions[broker_id]

    async def account(self, case: Case) -> int:
        """Open an account at the exchange with its trouble planned; return the broker's id."""
        made = self.simex.admin("POST", "accounts", {})
        for fault, method in ((case.fault, "POST"), (case.look_up, "GET")):
            if fault:
                planned = {"method": method, "path": PATH, "account": made["account_id"], **fault}
                self.simex.admin("POST", "faults", planned)
        number = len(self.sessions)
        broker = await Broker.objects.acreate(user=self.user, name=f"Compte {number}", exchange="simex")
        access = BrokerAccess(
            self.user.pk, broker.pk, "simex", False, {"apiKey": made["api_key"], "secret": made["api_secret"]}
        )
        budget = RateBudget(clock=CLOCK, rate_per_s=1e4, capacity=1e4)
        session = CcxtSession(access, budget=budget, clock=CLOCK, timeout_s=self.timeout_s)
        if self.sessions:
            session.share_markets_of(next(iter(self.sessions.values())))
        else:
            self.market = (await session.load_markets())[BTC]
            self.price = await session.fetch_price(BTC)
        self.sessions[broker.pk] = session
        return int(broker.pk)

    def submit(self, broker_id: int, kind: str, valid_for_s: float) -> Trade:
        if self.market is None:
            raise RuntimeError("no account yet")
        is_limit = kind == "resting limit"
        price = self.market.round_price(self.price * Decimal("0.8"), side=Side.SELL) if is_limit else None
        order_type = OrderType.MARKET if price is None else OrderType.LIMIT
        return desk.submit(
            user_id=self.user.pk,
            broker_id=broker_id,
            request=OrderRequest(BTC, Side.BUY, order_type, quantity=QUANTITY, price=price),
            source=OrderSource.MANUAL,
            owner="manual",
            market=self.market,
            reference_price=self.price,
            now=CLOCK.now(),
            valid_for=timedelta(seconds=valid_for_s),
        )

    def executor(self) -> OrderExecutor:
        timings = ExecutorTimings(
            poll_s=0.1,
            open_check=timedelta(seconds=0.2),
            unknown_backoff=tuple(timedelta(seconds=s) for s in (0.1, 0.2, 0.4)),
            proof_span=timedelta(seconds=self.proof_span_s),
            not_executed_delay=timedelta(seconds=0.2),
        )
        return OrderExecutor(self, FakePublisher(), CLOCK, timings=timings, lease=FreeLease())


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    # A market that stands still: the price is the same for every case, and the limits of requests are wide.
    start = (CLOCK.now() - timedelta(minutes=2)).isoformat(timespec="seconds")
    options = ("--seed", "13", "--symbols", "BTCUSDT", "--speed", "step", "--start", start)
    with running_simex(*options) as process:
        yield process


@pytest_asyncio.fixture
async def room(simex: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[Room]:
    settings.SIMEX_URL = simex.url
    made = Room(simex, await User.objects.acreate(username="lea"))
    yield made
    await asyncio.gather(*(session.close() for session in made.sessions.values()))
    simex.admin("DELETE", "faults")
    await sync_to_async(connections.close_all)()


async def test_each_trouble_of_each_order_leaves_one_order_or_none_and_the_row_says_which(room: Room) -> None:
    names = [(name, kind) for name, case in CASES.items() if not case.is_slow for kind in KINDS]
    assert len(names) > 60
    await check_outcomes(room, names)


async def test_each_delay_of_each_order_leaves_one_order_or_none_and_the_row_says_which(room: Room) -> None:
    room.timeout_s, room.proof_span_s = SHORT_TIMEOUT_S, 4.5
    names = [(name, kind) for name, case in CASES.items() if case.is_slow for kind in KINDS]
    assert len(names) == 3 * len(KINDS)
    await check_outcomes(room, names)


async def check_outcomes(room: Room, names: Sequence[tuple[str, str]]) -> None:
    brokers = {key: await room.account(CASES[key[0]]) for key in names}
    submit = sync_to_async(room.submit)
    trades: dict[tuple[str, str], Trade] = {}
    for start in range(0, len(names), AT_ONCE):
        chunk = names[start : start + AT_ONCE]
        made = {key: await submit(brokers[key], key[1], CASES[key[0]].valid_for_s) for key in chunk}
        await run_until_settled(room, [trade.pk for trade in made.values()])
        trades |= made
    await room.executor().cycle()  # a restart finds nothing left to send
    found = await outcomes(room, trades)
    assert found == {(name, kind): expected(CASES[name], kind) for name, kind in names}


async def run_until_settled(room: Room, trade_ids: list[int]) -> None:
    unsettled = Trade.objects.filter(id__in=trade_ids, status__in=["pending", "sending", "unknown"])
    executor = asyncio.create_task(room.executor().run())
    try:
        with suppress(TimeoutError):  # what is left then shows in the outcomes
            async with asyncio.timeout(SETTLED_WITHIN_S):
                while await unsettled.aexists():  # noqa: ASYNC110 — rows set no event
                    await asyncio.sleep(0.1)
    finally:
        executor.cancel()
        await asyncio.gather(executor, return_exceptions=True)


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
