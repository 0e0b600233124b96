"""Reconciles an instance with the exchange's own record, after whatever happened to it.

The exchange's log and accounts are the judge; Aristobot's rows are read straight from PostgreSQL.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, LiteralString

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.system.rebuild import MINUTES, LogTrade, Row, candles

AT_EXCHANGE = {"open", "partially_filled", "filled", "cancelled"}
NEVER_SENT = {"pending", "expired", "rejected"}
EXCHANGE_STATUS = {
    "NEW": "open",
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
    "CANCELED": "cancelled",
    "EXPIRED": "expired",
}


@dataclass
class Verdict:
    """What was compared and every difference found."""

    compared: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def check(self, what: str, condition: bool, message: str) -> None:
        self.compared[what] += 1
        if not condition:
            self.differences.append(f"{what}: {message}")


def query(database_url: str, statement: LiteralString, **values: Any) -> list[dict[str, Any]]:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(statement, values).fetchall()


def exchange_orders(simex_url: str) -> list[dict[str, Any]]:
    """Every order the exchange ever accepted, with its account and fills."""
    orders: list[dict[str, Any]] = httpx.get(f"{simex_url}/__sim/orders", timeout=30.0).json()
    return orders


def exchange_balances(simex_url: str) -> dict[str, dict[str, Decimal]]:
    """Free and locked together, by account and asset; amounts of nothing left out."""
    state = httpx.get(f"{simex_url}/__sim/state", timeout=30.0).json()
    if not state["conserved"]:
        raise AssertionError("the exchange itself lost money")
    return {account: _totals(rows) for account, rows in state["balances"].items()}


def _totals(rows: Sequence[Mapping[str, str]]) -> dict[str, Decimal]:
    totals = {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in rows}
    return {asset: total for asset, total in totals.items() if total}


def judge_orders(database_url: str, simex_url: str) -> Verdict:
    """Every row has its order, once; every order has its row; quantities and fills agree."""
    verdict = Verdict()
    found_orders = exchange_orders(simex_url)
    named = _names_at_exchange(database_url, found_orders)
    rows = {named[row["id"]]: row for row in query(database_url, "SELECT * FROM trades")}
    orders = _orders_by_client_id(found_orders)
    fills = _fills(database_url)
    for client_id, found in orders.items():
        verdict.check("order sent once", len(found) == 1, f"{client_id} executed {len(found)} times")
        verdict.check("order has a row", client_id in rows, f"{client_id} has no trades row")
    for client_id, row in rows.items():
        _judge_row(verdict, row, orders.get(client_id, []), fills.get(row["id"], []))
    return verdict


def _judge_row(
    verdict: Verdict, row: Mapping[str, Any], found: Sequence[Mapping[str, Any]], fills: Sequence[Decimal]
) -> None:
    name = f"trade {row['id']} ({row['status']})"
    never_left = row["status"] in NEVER_SENT or row["sending_at"] is None  # cancelled before anybody claimed it
    if never_left and not row["exchange_order_id"]:
        verdict.check("unsent row has no order", not found, f"{name} exists at the exchange")
        return
    verdict.check("sent row has an order", len(found) == 1, f"{name}: {len(found)} orders at the exchange")
    if not found:
        return
    order = found[0]
    status = EXCHANGE_STATUS.get(order["status"], order["status"])
    verdict.check("status", row["status"] == status, f"{name}: the exchange says {status}")
    executed = Decimal(order["executedQty"])
    verdict.check("filled", row["filled_quantity"] == executed, f"{name}: {row['filled_quantity']} vs {executed}")
    total = sum(fills, Decimal(0))
    verdict.check("fills", total == executed, f"{name}: fills sum to {total}, the exchange says {executed}")


def judge_protection(database_url: str, simex_url: str) -> Verdict:
    """Every open position is protected at the exchange by one stop loss and one take profit of all it holds."""
    verdict = Verdict()
    resting = [order for order in exchange_orders(simex_url) if order["status"] in ("NEW", "PARTIALLY_FILLED")]
    by_client_id = {order["clientOrderId"]: Decimal(order["origQty"]) for order in resting}
    rows = query(
        database_url,
        "SELECT p.id, p.quantity, t.type, t.client_order_id, t.step_size FROM positions p"
        " LEFT JOIN trades t ON t.position_id = p.id AND t.intent = 'protection'"
        " WHERE p.status <> 'closed' AND p.stop_loss IS NOT NULL",
    )
    there: dict[int, list[tuple[str, Decimal]]] = {row["id"]: [] for row in rows}
    for row in rows:
        if row["client_order_id"] in by_client_id:
            there[row["id"]].append((row["type"], by_client_id[row["client_order_id"]]))
    for row in rows:
        step = row["step_size"] or Decimal(1)
        held = row["quantity"] // step * step
        found = sorted(there[row["id"]])
        wanted = [("stop_loss", held), ("take_profit", held)]
        verdict.check("protected once", found == wanted, f"position {row['id']}: {found} at the exchange")
    return verdict


def judge_conservation(
    database_url: str, simex_url: str, *, deposits: Mapping[str, Mapping[str, Decimal]]
) -> Verdict:
    """What each account was given plus its fills, as Aristobot recorded them, are its balances to the last decimal.

    Args:
        deposits: by account and asset, before anybody traded.
    """
    verdict = Verdict()
    orders = exchange_orders(simex_url)
    named = _names_at_exchange(database_url, orders)
    owners = {order["clientOrderId"]: order["account_id"] for order in orders}
    expected = {account: dict(given) for account, given in deposits.items()}
    for fill in query(
        database_url,
        "SELECT t.id, t.symbol, t.side, f.price, f.quantity, f.fee, f.fee_currency"
        " FROM fills f JOIN trades t ON t.id = f.trade_id",
    ):
        if named[fill["id"]] in owners:
            _apply(expected[owners[named[fill["id"]]]], fill)
    balances = exchange_balances(simex_url)
    for account, ours in expected.items():
        theirs = balances.get(account, {})
        for asset in sorted(ours.keys() | theirs.keys()):
            mine, exact = ours.get(asset, Decimal(0)), theirs.get(asset, Decimal(0))
            verdict.check("balance", mine == exact, f"{account} {asset}: {mine} by our fills, {exact} there")
    return verdict


def _apply(holdings: dict[str, Decimal], fill: Mapping[str, Any]) -> None:
    base, quote = fill["symbol"].split("/")
    sign = 1 if fill["side"] == "buy" else -1
    changes = (
        (base, sign * fill["quantity"]),
        (quote, -sign * fill["quantity"] * fill["price"]),
        (fill["fee_currency"], -fill["fee"]),
    )
    for asset, change in changes:
        holdings[asset] = holdings.get(asset, Decimal(0)) + change


def judge_candles(database_url: str, trades: Sequence[LogTrade], *, symbol: str) -> Verdict:
    """Every stored candle equals the batch rebuild and none is missing between the first and the last."""
    expected = {timeframe: candles(trades, timeframe) for timeframe in MINUTES}
    return judge_candle_rows(database_url, expected, symbol=symbol)


def judge_candle_rows(database_url: str, expected_rows: Mapping[str, Mapping[int, Row]], *, symbol: str) -> Verdict:
    """Compare the stored candles of each timeframe with those expected, by open time in ms."""
    verdict = Verdict()
    for timeframe, expected in expected_rows.items():
        stored = _stored_candles(database_url, symbol, timeframe)
        last = max(stored, default=0)
        for open_ms, row in expected.items():
            if open_ms > last:
                break  # the market had not come that far
            verdict.check(
                timeframe, stored.get(open_ms) == row, f"{open_ms}: {stored.get(open_ms)} instead of {row}"
            )
        invented = [open_ms for open_ms in stored if open_ms < min(expected, default=0)]
        verdict.check(f"{timeframe} invented", not invented, f"before the first trade: {invented[:3]}")
    return verdict


def _stored_candles(database_url: str, symbol: str, timeframe: str) -> dict[int, Row]:
    rows = query(
        database_url,
        "SELECT (extract(epoch FROM open_time) * 1000)::bigint AS open_ms, open_price, high_price, low_price,"
        " close_price, volume FROM candles_heartbeat WHERE symbol = %(symbol)s AND signal_type = %(timeframe)s"
        " AND source = 'primary' ORDER BY open_time",
        symbol=symbol,
        timeframe=timeframe,
    )
    return {
        row["open_ms"]: (
            row["open_ms"],
            row["open_price"],
            row["high_price"],
            row["low_price"],
            row["close_price"],
            row["volume"],
        )
        for row in rows
    }


def _names_at_exchange(database_url: str, orders: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Return each row's client id at the exchange; a row of an order placed elsewhere has one of our making."""
    by_exchange_id = {(order["symbol"], str(order["orderId"])): order["clientOrderId"] for order in orders}
    statement = "SELECT id, symbol, source, client_order_id, exchange_order_id FROM trades"
    return {
        row["id"]: by_exchange_id.get((row["symbol"].replace("/", ""), row["exchange_order_id"]), "")
        if row["source"] == "external"
        else row["client_order_id"]
        for row in query(database_url, statement)
    }


def _orders_by_client_id(orders: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for order in orders:
        by_id.setdefault(order["clientOrderId"], []).append(order)
    return by_id


def _fills(database_url: str) -> dict[int, list[Decimal]]:
    found: dict[int, list[Decimal]] = {}
    for row in query(database_url, "SELECT trade_id, quantity FROM fills"):
        found.setdefault(row["trade_id"], []).append(row["quantity"])
    return found
