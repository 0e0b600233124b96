"""Every account, order, candle and signal against the simulated exchange's own record."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import httpx

from tests.system.judge import Verdict, judge_candle_rows, judge_conservation, judge_orders, query
from tests.system.rebuild import MINUTES, Row, roll_up
from tests.system.scenario import Desk

_PAGE = 1000
_MINUTE_MS = 60_000


def judges(desk: Desk) -> Mapping[str, Callable[[], Verdict]]:
    """Return who judges what, by name; each verdict is to be empty of differences."""
    database, exchange = desk.database_url, desk.simex_url
    return {
        "ordres": lambda: judge_orders(database, exchange),
        "comptes": lambda: judge_conservation(database, exchange, deposits=desk.deposits),
        "bougies": lambda: _judge_candles(desk),
        "signaux": lambda: judge_signals(database),
    }


def _judge_candles(desk: Desk) -> Verdict:
    """The heartbeat's candles are those that the exchange computes from its trade log by a path of its own."""
    bounds = query(
        desk.database_url,
        "SELECT (extract(epoch FROM min(open_time)) * 1000)::bigint AS first,"
        " (extract(epoch FROM max(open_time)) * 1000)::bigint AS last"
        " FROM candles_heartbeat WHERE symbol = %(symbol)s AND signal_type = '1m'",
        symbol=desk.market.exchange_symbol,
    )[0]
    first, longest = bounds["first"], MINUTES["4h"] * _MINUTE_MS
    minutes = _klines(desk, first // longest * longest, bounds["last"])
    expected = {timeframe: _from(first, roll_up(minutes, timeframe), timeframe) for timeframe in MINUTES}
    return judge_candle_rows(desk.database_url, expected, symbol=desk.market.exchange_symbol)


def _from(first_ms: int, rows: Mapping[int, Row], timeframe: str) -> dict[int, Row]:
    """Leave out what closed before the heartbeat's first minute."""
    length = MINUTES[timeframe] * _MINUTE_MS
    return {open_ms: row for open_ms, row in rows.items() if open_ms >= first_ms // length * length}


def _klines(desk: Desk, first_ms: int, last_ms: int) -> dict[int, Row]:
    rows: dict[int, Row] = {}
    start = first_ms
    while start <= last_ms:
        params: dict[str, Any] = {"symbol": desk.market.exchange_symbol, "interval": "1m", "startTime": start}
        url = f"{desk.simex_url}/api/v3/klines"
        page = httpx.get(url, params={**params, "endTime": last_ms, "limit": _PAGE}, timeout=60.0)
        found = page.raise_for_status().json()
        for line in found:
            prices = [Decimal(each) for each in line[1:6]]
            rows[line[0]] = (line[0], prices[0], prices[1], prices[2], prices[3], prices[4])
        if not found:
            break
        start = found[-1][0] + _MINUTE_MS
    return rows


def judge_signals(database_url: str) -> Verdict:
    """Every close was told, and each bot did one thing about each close of its life, or said that it missed it."""
    verdict = Verdict()
    unsent = query(
        database_url, "SELECT count(*) AS n FROM candles_heartbeat WHERE is_signal AND published_at IS NULL"
    )
    verdict.check("signal told", unsent[0]["n"] == 0, f"{unsent[0]['n']} closes were never told")
    for bot in query(database_url, "SELECT id FROM active_strategies ORDER BY id"):
        _judge_bot(verdict, database_url, bot)
    return verdict


def _judge_bot(verdict: Verdict, database_url: str, bot: Mapping[str, Any]) -> None:
    """A close between a bot's first decision and its last has one row, which says what was done or why not."""
    decisions = query(
        database_url,
        "SELECT close_time, status, reason FROM bot_decisions WHERE bot_id = %(bot)s ORDER BY close_time",
        bot=bot["id"],
    )
    by_close: dict[Any, list[Mapping[str, Any]]] = {}
    for row in decisions:
        by_close.setdefault(row["close_time"], []).append(row)
    if not by_close:
        verdict.check("bot decided", False, f"bot {bot['id']} never decided")
        return
    closes = query(
        database_url,
        "SELECT DISTINCT dhm_candle FROM candles_heartbeat WHERE is_signal AND signal_type = '1m'"
        " AND dhm_candle BETWEEN %(first)s AND %(last)s",
        first=min(by_close),
        last=max(by_close),
    )
    for close in (row["dhm_candle"] for row in closes):
        found = by_close.get(close, [])
        name = f"bot {bot['id']} at {close:%H:%M}"
        verdict.check("close decided once", len(found) == 1, f"{name}: {len(found)} decisions")
        for made in found:
            said = made["status"] == "decided" or bool(made["reason"])
            verdict.check("close explained", said and made["status"] != "leased", f"{name}: {made['status']}")
