"""Troubles of HTTP for orders, and a real executor with ccxt and simex to meet them: for the fault matrix."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from apps.accounts.models import User
from apps.brokers.models import Broker
from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.rate_budget import RateBudget
from apps.orders import desk
from apps.orders.context import OrderContext
from apps.orders.database import close_claims
from apps.orders.executor import OrderExecutor
from apps.orders.models import OrderCommand, Trade
from apps.orders.timings import ExecutorTimings
from domain.markets import Market
from domain.orders import OrderRequest, OrderSource, OrderType, Side
from domain.ports import BrokerAccess
from tests.fakes.orders_room import FreeLease
from tests.fakes.publisher import FakePublisher
from tests.fakes.simex_process import SimexProcess, running_simex

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
# The kinds of single orders and what a taken one becomes.
KINDS = {
    "market": "filled",
    "resting limit": "open",
    "stop loss": "open",
    "take profit": "open",
    "stop limit": "open",
}


@dataclass
class Room:
    """The executor's surroundings: one session per broker, each with a budget of its own."""

    simex: SimexProcess
    user: User
    timeout_s: float = USUAL_TIMEOUT_S
    proof_span_s: float = 1.0  # answers come at once, or were cut: nothing is on its way any more
    sessions: dict[int, CcxtSession] = field(default_factory=dict)
    accounts: dict[int, str] = field(default_factory=dict)
    market: Market | None = None
    price: Decimal = Decimal(0)

    async def session(self, broker_id: int) -> CcxtSession:
        return self.sessions[broker_id]

    async def account(
        self, case: Case, *, path: str | None = PATH, deposits: Mapping[str, str] | None = None
    ) -> int:
        """Open an account at the exchange with its trouble planned; return the broker's id.

        Args:
            path: of the request that is troubled; None plans nothing yet.
            deposits: what the account holds; its usual dollars when absent.
        """
        made = self.simex.admin("POST", "accounts", {} if deposits is None else {"deposits": dict(deposits)})
        if path is not None:
            self.plan(case, made["account_id"], path)
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
        # Each session's first request makes its TLS context; on a busy machine, 20 of them at the moment of
        # sending would let the signatures grow older than the exchange's window.
        self.price = await session.fetch_price(BTC)
        self.sessions[broker.pk] = session
        self.accounts[broker.pk] = made["account_id"]
        return int(broker.pk)

    def plan(self, case: Case, account_id: str, path: str) -> None:
        """Plan a case's trouble for the next requests of an account."""
        for fault, method in ((case.fault, "POST"), (case.look_up, "GET")):
            if fault:
                self.simex.admin("POST", "faults", {"method": method, "path": path, "account": account_id, **fault})

    def submit(self, broker_id: int, kind: str, valid_for_s: float) -> Trade:
        """Commit an order of one of `KINDS`."""
        request = OrderRequest(BTC, Side.BUY, quantity=QUANTITY, **self._prices(kind))
        return desk.submit(self.context(broker_id, valid_for_s), request, **self.reference())

    def context(self, broker_id: int, valid_for_s: float) -> OrderContext:
        """Return what every submission tells the desk."""
        return OrderContext(
            user_id=self.user.pk,
            broker_id=broker_id,
            source=OrderSource.MANUAL,
            owner="manual",
            now=CLOCK.now(),
            valid_for=timedelta(seconds=valid_for_s),
        )

    def reference(self) -> dict[str, Any]:
        """Return the market and its price, by which an order is sized and checked."""
        return {"market": self.market, "reference_price": self.price}

    def at(self, ratio: str) -> Decimal:
        """Return a price relative to the last one."""
        if self.market is None:
            raise RuntimeError("no account yet")
        return self.market.round_price(self.price * Decimal(ratio), side=Side.SELL)

    def _prices(self, kind: str) -> dict[str, Any]:
        if kind == "market":
            return {"order_type": OrderType.MARKET}
        if kind == "resting limit":
            return {"order_type": OrderType.LIMIT, "price": self.at("0.8")}
        if kind == "stop loss":
            return {"order_type": OrderType.STOP_LOSS, "stop_price": self.at("1.1")}
        if kind == "take profit":
            return {"order_type": OrderType.TAKE_PROFIT, "stop_price": self.at("0.9")}
        return {"order_type": OrderType.STOP_LIMIT, "stop_price": self.at("1.1"), "price": self.at("1.11")}

    def executor(self) -> OrderExecutor:
        timings = ExecutorTimings(
            poll_s=0.1,
            open_check=timedelta(seconds=0.2),
            unknown_backoff=tuple(timedelta(seconds=s) for s in (0.1, 0.2, 0.4)),
            proof_span=timedelta(seconds=self.proof_span_s),
            not_executed_delay=timedelta(seconds=0.2),
            cancel_backoff=(timedelta(seconds=0.2),),
        )
        return OrderExecutor(self, FakePublisher(), CLOCK, timings=timings, lease=FreeLease())


@contextmanager
def still_exchange() -> Iterator[SimexProcess]:
    """Run an exchange whose market stands still: one price for every case, nothing is triggered, wide limits."""
    start = (CLOCK.now() - timedelta(minutes=2)).isoformat(timespec="seconds")
    with running_simex("--seed", "13", "--symbols", "BTCUSDT", "--speed", "step", "--start", start) as process:
        yield process


@asynccontextmanager
async def open_room(simex: SimexProcess) -> AsyncIterator[Room]:
    """Give a test its room, and forget its troubles and connections afterwards."""
    room = Room(simex, await User.objects.acreate(username="lea"))
    yield room
    await asyncio.gather(*(session.close() for session in room.sessions.values()))
    simex.admin("DELETE", "faults")
    await close_claims()
    await sync_to_async(connections.close_all)()


async def run_until_settled(room: Room) -> None:
    """Let an executor work until no order is on its way and no wish waits."""
    unsettled = Trade.objects.filter(user=room.user, status__in=["pending", "sending", "unknown"])
    waiting = OrderCommand.objects.filter(trade__user=room.user, status__in=["pending", "claimed"])
    executor = asyncio.create_task(room.executor().run())
    try:
        with suppress(TimeoutError):  # what is left then shows in the outcomes
            async with asyncio.timeout(SETTLED_WITHIN_S):
                while await unsettled.aexists() or await waiting.aexists():  # noqa: ASYNC110 — rows set no event
                    await asyncio.sleep(0.1)
    finally:
        executor.cancel()
        await asyncio.gather(executor, return_exceptions=True)
        await close_claims()
