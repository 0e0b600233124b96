"""The traders' script shared by the replay and the crash tests: accounts with ETH, bots on XRP/ETH."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as parquet

from tests.system.instance import ROOT, Instance, wait_until
from tests.system.judge import (
    Verdict,
    exchange_balances,
    judge_candles,
    judge_conservation,
    judge_orders,
    judge_protection,
    query,
)
from tests.system.rebuild import read_recording
from tests.system.trader import Trader

RECORDING = "binance_XRPETH_aggTrades_2019-10-11_13.parquet"
SYMBOL = "XRP/ETH"
EXCHANGE_SYMBOL = "XRPETH"
GIVEN_ETH = Decimal(5)
BUILT_IN = {"alice", "bob", "house"}  # simex's own, nobody of ours trades with them
_HELD = "positions WHERE status = 'open'"
LIVE = "status IN ('pending', 'sending', 'unknown', 'open', 'partially_filled')"


# Trades at each close: buys when flat, sells when long. Kills then meet orders in flight.
EVERY_CLOSE = """
class AChaqueCloture(Strategy):
    def __init__(self, candles, balance, position=None):
        self.balance = balance
        self.position = position

    def should_long(self) -> bool:
        return True

    def should_short(self) -> bool:
        return self.position is not None

    def calculate_position_size(self) -> float:
        return self.balance * 0.1

    def calculate_stop_loss(self) -> float:
        return 0.0

    def calculate_take_profit(self) -> float:
        return 0.0
"""


# The same with a stop loss and a take profit, wide enough to rest and near enough to execute now and then.
PROTECTED = EVERY_CLOSE.replace(
    "def calculate_stop_loss(self) -> float:\n        return 0.0",
    "def calculate_stop_loss(self) -> float:\n        return 0.004",
).replace(
    "def calculate_take_profit(self) -> float:\n        return 0.0",
    "def calculate_take_profit(self) -> float:\n        return 0.004",
)


def data_folder() -> Path:
    """Where the real recordings are (they are not part of the project)."""
    return Path(os.environ.get("ARISTOBOT_TEST_DATA", str(ROOT.parent / "shared" / "data")))


def cut_recording(target: Path, *, hours: float) -> Path:
    """Write the first hours of the recording to `target` and return it."""
    table = parquet.read_table(data_folder() / RECORDING)
    times = table.column("T").to_pylist()
    end = times[0] + int(hours * 3_600_000)
    parquet.write_table(table.slice(0, sum(1 for each in times if each < end)), target)
    return target


@dataclass(frozen=True)
class Market:
    """Where a desk trades: its names, and amounts small enough to be repeated for hours."""

    symbol: str
    exchange_symbol: str
    quote_amount: str
    quantity: str
    decimals: int  # of its prices


RECORDED = Market(SYMBOL, EXCHANGE_SYMBOL, "0.02", "10", 7)
WALK = Market("BTC/USDT", "BTCUSDT", "12", "0.0004", 2)


@dataclass
class Desk:
    """One instance with a trader and his bots on one market."""

    instance: Instance
    trader: Trader
    simex_url: str
    database_url: str
    bots: list[int] = field(default_factory=list)
    deposits: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    market: Market = RECORDED

    def judge(self, recording: Path) -> dict[str, Verdict]:
        """Reconcile orders, money and candles; every verdict is to be empty of differences."""
        trades = read_recording(recording)
        return {
            "orders": judge_orders(self.database_url, self.simex_url),
            "money": judge_conservation(self.database_url, self.simex_url, deposits=self.deposits),
            "candles": judge_candles(self.database_url, trades, symbol=EXCHANGE_SYMBOL),
        }

    def judge_protection(self) -> Verdict:
        """Tell whether every open position is protected at the exchange, once."""
        return judge_protection(self.database_url, self.simex_url)

    def count(self, what: str) -> int:
        """Rows of a table that match, e.g. "trades WHERE status = 'filled'"."""
        return int(query(self.database_url, f"SELECT count(*) AS n FROM {what}")[0]["n"])  # noqa: S608

    def stop_bots(self, *, sell: bool = False) -> None:
        for bot in self.bots:
            self.trader.post(f"/api/bots/{bot}/stop/", confirm=True, sell=sell)

    def hold_still(self, *, timeout_s: float = 60.0) -> None:
        """Suspend the bots at a moment when one of them holds a position that nothing sells."""
        wait_until(
            self._suspended_while_open, timeout_s=timeout_s, what=lambda: f"a bot holds\n{self.instance.tail()}"
        )

    def _suspended_while_open(self) -> bool:
        self._each("resume")
        wait_until(lambda: self.count(_HELD) > 0, timeout_s=60.0, what="a position is open", period_s=0.05)
        self._each("suspend")
        return self.count(_HELD) > 0

    def _each(self, verb: str) -> None:
        for bot in self.bots:
            self.trader.post(f"/api/bots/{bot}/{verb}/")

    def wait_settled(self, *, timeout_s: float = 60.0) -> None:
        """Wait until no position is being sold and no order is in flight."""
        wait_until(self._is_settled, timeout_s=timeout_s, what=self._in_flight)

    def _is_settled(self) -> bool:
        # Between the protection's end and its sale a closing position has no order at all.
        return self.count("positions WHERE status = 'closing'") == 0 and self.count(f"trades WHERE {LIVE}") == 0

    def _in_flight(self) -> str:
        rows = query(self.database_url, "SELECT id, status, error_message, next_check_at FROM trades ORDER BY id")
        waiting = [row for row in rows if row["status"] in ("pending", "sending", "unknown", "open")]
        return f"orders in flight: {waiting}\n{self.instance.tail()}"


def open_desk(instance: Instance, *, bots: int, code: str | None = None, name: str = "lea", **more: Any) -> Desk:
    """Register a trader, give every account ETH, switch on his bots (the EMA cross unless `code` is given)."""
    simex_url = instance.setting("SIMEX_URL")
    person = Trader(instance.url)
    person.register(name)
    desk = Desk(instance, person, simex_url, instance.setting("DATABASE_URL"))
    desk.deposits = give_eth(simex_url)
    broker, strategy = person.simulateur()["id"], _strategy(person, code)
    wait_until(
        lambda: any(row["symbol"] == SYMBOL for row in person.all("/api/symbols/", broker=broker)),
        timeout_s=30,
        what="the markets are loaded",
    )
    for _ in range(bots):
        body = {"strategy": strategy, "broker": broker, "symbol": SYMBOL, "timeframe": "1m", **more}
        desk.bots.append(person.start_bot(**body)["id"])
    return desk


def _strategy(person: Trader, code: str | None) -> int:
    if code is None:
        return int(person.example_strategy()["id"])
    body = {"name": "À chaque clôture", "description": "", "code": code, "timeframe": "1m"}
    return int(person.post("/api/strategies/", **body)["id"])


def give_eth(simex_url: str) -> dict[str, dict[str, Decimal]]:
    """Deposit ETH on every account; return what each account now holds."""
    for account in exchange_balances(simex_url).keys() - BUILT_IN:
        body = {"account_id": account, "asset": "ETH", "amount": str(GIVEN_ETH)}
        httpx.post(f"{simex_url}/__sim/deposit", json=body, timeout=10.0).raise_for_status()
    return {account: held for account, held in exchange_balances(simex_url).items() if account not in BUILT_IN}


def assert_clean(verdicts: Mapping[str, Verdict]) -> str:
    """Fail with the first differences; return a line of what was compared."""
    found = [difference for verdict in verdicts.values() for difference in verdict.differences]
    if found:
        raise AssertionError(f"{len(found)} differences:\n" + "\n".join(found[:30]))
    return "; ".join(f"{name}: {dict(verdict.compared)}" for name, verdict in verdicts.items())
