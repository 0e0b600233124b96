"""The bare script that `bench signal` is compared with: `python -m bench.bare`, a process of its own.

At each one-minute signal every trader of it asks its balance and its candles side by side, evaluates the
same strategy class in this process, and sends a market order, with ccxt directly: no database, no
sandbox, no record, no rate budget, no recovery. What it is given comes as JSON on its standard input;
what it sent goes as JSON to its output.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_signals import RedisSignalStream
from apps.core.adapters.strategy_host.child import user_scope
from bench.strategy import CODE
from domain.messages import Signal
from domain.strategies.base import Strategy
from domain.strategies.contract import DEFAULT_WINDOW, CandleWindow, PositionView
from domain.strategies.evaluate import evaluate
from domain.strategies.loader import load
from domain.timeframes import Timeframe, to_ms

_SETTLE_S = 5.0
_AFTER_FEE = 0.999


@dataclass(frozen=True, slots=True)
class Task:
    """What the script is asked to do.

    Args:
        accounts: `apiKey` and `secret` of each; trader n uses account n modulo their number.
        closes: one-minute signals to act on.
    """

    simex_url: str
    redis_url: str
    symbol: str
    accounts: list[dict[str, str]]
    traders: int
    closes: int


@dataclass(slots=True)
class Sent:
    """One order that left, for the exchange's log to say when it arrived."""

    client_order_id: str
    close_number: int
    sent_at_ms: float  # of the signal, wall time


@dataclass(slots=True)
class Trader:
    """One bare script: its client, its position, its orders."""

    client: Any
    symbol: str
    strategy: type[Strategy]
    position: PositionView | None = None
    sent: list[Sent] = field(default_factory=list)

    async def act(self, signal: Signal, close_number: int) -> None:
        """Balance, candles, evaluation, order."""
        close_ms = to_ms(signal.close_time)
        since = close_ms - DEFAULT_WINDOW * signal.timeframe.milliseconds
        balance, rows = await asyncio.gather(
            self.client.fetch_balance(),
            self.client.fetch_ohlcv(self.symbol, signal.timeframe.value, since, DEFAULT_WINDOW),
        )
        quote = self.symbol.partition("/")[2]
        wanted = evaluate(
            self.strategy, _window(rows, close_ms), float(balance["free"].get(quote, 0)), self.position, {}
        )
        if self.position is None and wanted.should_long:
            await self._buy(rows[-1][4], wanted.position_size, signal, close_number)
        elif self.position is not None and wanted.should_short:
            await self._order("sell", self.position.quantity, signal, close_number)
            self.position = None

    async def _buy(self, price: float, size: float, signal: Signal, close_number: int) -> None:
        order = await self._order("buy", size / price, signal, close_number)
        self.position = PositionView(
            side="long",
            quantity=float(order["filled"]) * _AFTER_FEE,
            entry_price=price,
            entry_time_ms=to_ms(signal.close_time),
            stop_loss=None,
            take_profit=None,
            unrealized_pnl=0.0,
        )

    async def _order(self, side: str, quantity: float, signal: Signal, close_number: int) -> Any:
        client_order_id = uuid4().hex
        amount = self.client.amount_to_precision(self.symbol, quantity)
        order = await self.client.create_order(
            self.symbol, "market", side, amount, None, {"clientOrderId": client_order_id}
        )
        self.sent.append(Sent(client_order_id, close_number, signal.sent_at.timestamp() * 1000))
        return order


async def run(task: Task) -> dict[str, Any]:
    """Act on the signals; return what was sent, and how many turns were skipped because one was under way."""
    strategy = load(CODE, user_scope())
    clients = [plain_client(task.simex_url, keys) for keys in task.accounts[: task.traders]]
    for client in clients:
        await client.load_markets()
    traders = [Trader(clients[n % len(clients)], task.symbol, strategy) for n in range(task.traders)]
    try:
        began = time.process_time()
        skipped = await _follow(task, traders)
        cpu_ms = (time.process_time() - began) * 1000
    finally:
        for client in clients:
            await client.close()
    sent = [asdict(each) for trader in traders for each in trader.sent]
    return {"sent": sent, "skipped": skipped, "cpu_ms": cpu_ms}


async def _follow(task: Task, traders: list[Trader]) -> int:
    redis = connect(task.redis_url)
    busy: dict[int, asyncio.Task[None]] = {}
    skipped = number = 0
    try:
        async for _, signal in RedisSignalStream(redis).read(after="$", block_s=1.0):
            if signal.timeframe is not Timeframe.M1:
                continue
            for index, trader in enumerate(traders):
                if index in busy and not busy[index].done():
                    skipped += 1
                    continue
                if index in busy:
                    busy[index].result()
                busy[index] = asyncio.create_task(trader.act(signal, number))
            number += 1
            if number >= task.closes:
                break
        await asyncio.wait_for(asyncio.gather(*busy.values()), _SETTLE_S)
    finally:
        await redis.aclose()
    return skipped


def plain_client(simex_url: str, keys: Mapping[str, str]) -> Any:
    """Return a ccxt client of the simulated exchange with nothing of ours in between."""
    import ccxt.async_support as ccxt

    options = {
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "fetchCurrencies": False,
        "fetchMargins": False,
        "broker": {"spot": ""},
    }
    # Nothing of ccxt's own waits between two requests: the fastest script there can be.
    client = ccxt.binance({**keys, "enableRateLimit": False, "aiohttp_trust_env": False, "options": options})
    for name, url in client.urls["api"].items():
        if isinstance(url, str):
            client.urls["api"][name] = re.sub(r"^https?://[^/]+", simex_url, url)
    return client


def _window(rows: list[list[float]], close_ms: int) -> CandleWindow:
    closed = [row for row in rows if row[0] < close_ms]
    return CandleWindow(
        open_time_ms=[int(row[0]) for row in closed],
        open=[float(row[1]) for row in closed],
        high=[float(row[2]) for row in closed],
        low=[float(row[3]) for row in closed],
        close=[float(row[4]) for row in closed],
        volume=[float(row[5]) for row in closed],
    )


def main() -> int:
    """Read the task, run it, write what was sent."""
    task = Task(**json.loads(sys.stdin.read()))
    sys.stdout.write(json.dumps(asyncio.run(run(task))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
