"""``/__sim/…``: what a test or the launcher may ask of simex itself."""

from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from aiohttp import web

from simex.faults import FaultError
from simex.market.walk import MINUTE_MS
from simex.options import STEP
from simex.simulation import Simulation
from simex.units import ZERO

LONGEST_STEP_MS = 400 * 86_400_000


class AdminError(ValueError):
    """A request to the admin cannot be served; the message says why."""


class Admin:
    """The admin routes."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the application."""
        return [
            web.get("/__sim/run", self._wrap(self.run)),
            web.get("/__sim/state", self._wrap(self.state)),
            web.get("/__sim/orders", self._wrap(self.orders)),
            web.get("/__sim/log", self._wrap(self.log)),
            web.post("/__sim/accounts", self._wrap(self.accounts)),
            web.post("/__sim/deposit", self._wrap(self.deposit)),
            web.get("/__sim/faults", self._wrap(self.list_faults)),
            web.post("/__sim/faults", self._wrap(self.add_fault)),
            web.delete("/__sim/faults", self._wrap(self.clear_faults)),
            web.post("/__sim/streams", self._wrap(self.streams)),
            web.post("/__sim/clock", self._wrap(self.clock)),
            web.post("/__sim/price", self._wrap(self.price)),
            web.post("/__sim/halt", self._wrap(self.halt)),
            web.post("/__sim/reset", self._wrap(self.reset)),
        ]

    def _wrap(
        self, answer: Callable[[web.Request], Awaitable[Any]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if "Origin" in request.headers:  # a web page open in a browser has no business here
                return web.Response(status=403)
            try:
                content, status = await answer(request), 200
            except (AdminError, FaultError, TypeError, ValueError, InvalidOperation) as error:
                content, status = {"error": str(error)}, 400
            headers = {"X-Simex-Run": self._sim.run, "Content-Type": "application/json"}
            return web.Response(status=status, body=orjson.dumps(content), headers=headers)

        return handle

    async def run(self, _request: web.Request) -> Any:
        """Describe the market."""
        return self._sim.describe_run()

    async def state(self, _request: web.Request) -> Any:
        """Show balances and open orders, having checked that money is conserved."""
        return self._sim.exchange.describe_state()

    async def orders(self, _request: web.Request) -> Any:
        """Show every order ever accepted, with its fills."""
        return self._sim.exchange.describe_orders()

    async def log(self, request: web.Request) -> Any:
        """Show requests and verdicts (see RequestLog.select for the filters)."""
        return self._sim.log.select(dict(request.query))

    async def accounts(self, request: web.Request) -> Any:
        """Open an account; `deposits` {asset: amount}, 10,000 USDT when absent."""
        wanted = await _json(request)
        deposits = {asset: _amount(amount) for asset, amount in wanted.get("deposits", {"USDT": "10000"}).items()}
        account = self._sim.open_account(deposits)
        self._sim.commit()
        return vars(account)

    async def deposit(self, request: web.Request) -> Any:
        """Add an asset to an account, named by `account_id` or `api_key`."""
        wanted = await _json(request)
        account_id = wanted.get("account_id", "")
        found = self._sim.exchange.account_by_key(wanted.get("api_key", ""))
        account_id = found.account_id if found else account_id
        if account_id not in self._sim.exchange.accounts:
            raise AdminError(f"unknown account {account_id!r}")
        asset = str(wanted.get("asset", ""))
        if not asset.isalnum():
            raise AdminError(f"asset: not a name: {asset!r}")
        self._sim.exchange.ledger.deposit(account_id, asset, _amount(wanted.get("amount")))
        self._sim.commit()
        return {"account_id": account_id, "balances": self._sim.exchange.ledger.describe(account_id)}

    async def list_faults(self, _request: web.Request) -> Any:
        """List the faults in force and spent."""
        return [fault.describe() for fault in self._sim.faults.active]

    async def add_fault(self, request: web.Request) -> Any:
        """Put a fault in force (see faults.py), or set `clock_offset_ms`."""
        wanted = await _json(request)
        if "clock_offset_ms" in wanted:
            self._sim.faults.clock_offset_ms = int(wanted["clock_offset_ms"])
            return {"clock_offset_ms": self._sim.faults.clock_offset_ms}
        return self._sim.faults.add(wanted).describe()

    async def clear_faults(self, _request: web.Request) -> Any:
        """Forget all faults."""
        self._sim.faults.clear()
        return []

    async def streams(self, request: web.Request) -> Any:
        """Act on the streams now: `action` "disconnect", or "stall" with `ms`."""
        wanted = await _json(request)
        if wanted.get("action") == "disconnect":
            self._sim.hub.cut_all()
        elif wanted.get("action") == "stall":
            self._sim.hub.stall(ms=int(wanted.get("ms", 0)))
        else:
            raise AdminError("action: disconnect or stall")
        return {}

    async def clock(self, request: web.Request) -> Any:
        """Advance a market at speed `step` by `advance_ms` or up to `to` (milliseconds)."""
        if self._sim.options.speed != STEP:
            raise AdminError("the market clock moves by itself; start with --speed step")
        wanted = await _json(request)
        now_ms = self._sim.clock.now_ms
        target = int(wanted["to"]) if "to" in wanted else now_ms + int(wanted.get("advance_ms", 0))
        if not now_ms <= target <= now_ms + LONGEST_STEP_MS:
            raise AdminError(f"cannot go from {now_ms} to {target}")
        await self._sim.step_to(target)
        return {"market_time": self._sim.clock.now_ms}

    async def price(self, request: web.Request) -> Any:
        """Move a walking market: `symbol`, `price`."""
        wanted = await _json(request)
        symbol = str(wanted.get("symbol", ""))
        if symbol not in self._sim.rules:
            raise AdminError(f"unknown symbol {symbol!r}")
        price = _amount(wanted.get("price"))
        async with self._sim.still:
            self._sim.set_price(symbol, price)
        return {"symbol": symbol, "from": self._sim.clock.now_ms}

    async def halt(self, request: web.Request) -> Any:
        """Halt a walking market from its next minute on: `symbol`, `ms` of market time."""
        wanted = await _json(request)
        symbol = str(wanted.get("symbol", ""))
        if symbol not in self._sim.rules:
            raise AdminError(f"unknown symbol {symbol!r}")
        async with self._sim.still:
            silence = self._sim.halt(symbol, int(wanted.get("ms", MINUTE_MS)))
        return {"symbol": symbol, "from": silence.from_ms, "to": silence.to_ms}

    async def reset(self, _request: web.Request) -> Any:
        """Begin a new run of the market."""
        await self._sim.reset()
        return self._sim.describe_run()


async def _json(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    if not body:
        return {}
    content = orjson.loads(body)
    if not isinstance(content, dict):
        raise AdminError("a JSON object is expected")
    return content


def _amount(value: Any) -> Decimal:
    amount = Decimal(str(value))
    if not amount.is_finite() or amount <= ZERO or amount > Decimal(10) ** 15:
        raise AdminError(f"not a positive amount: {value!r}")
    return amount
