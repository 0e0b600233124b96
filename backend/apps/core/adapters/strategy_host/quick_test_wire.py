"""The quick test between host and child. The child's answer is bounded and checked field by field."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from apps.core.adapters.strategy_host.protocol import (
    LENGTH,
    BadReply,
    body_of,
    checked_field,
    clean_text,
    columns_of,
    frame,
    window_of,
)
from domain.backtest.quick_contract import MAX_TRADES, QuickTestJob, QuickTestResult, QuickTrade
from domain.markets import Market

MODE = "quick_test"
_AMOUNT = re.compile(r"-?\d{1,30}(\.\d{1,40})?")
_MAX_REFUSALS = 50
_MAX_MS = 10**14
_PROGRESS = b"%"  # a frame that begins so says how far the test is; what else comes is the answer
_MAX_PROGRESS_FRAMES = 1_000  # an honest child says less
_PROGRESS_BYTES = 16


def pack_quick_test(job: QuickTestJob) -> bytes:
    """Return the framed question."""
    header = {
        "mode": MODE,
        "code": job.code,
        "count": len(job.candles),
        "step_ms": job.step_ms,
        "tested": job.tested,
        "market": {name: _text(value) for name, value in asdict(job.market).items()},
        "initial_amount": str(job.initial_amount),
        "params": dict(job.params),
    }
    text = json.dumps(header).encode()
    return frame(LENGTH.pack(len(text)) + text + columns_of(job.candles))


def unpack_quick_test(header: Mapping[str, Any], raw: bytes) -> QuickTestJob:
    """Return the job. Comes from the host: trusted."""
    return QuickTestJob(
        code=header["code"],
        candles=window_of(raw, header["count"]),
        step_ms=header["step_ms"],
        tested=header["tested"],
        market=_market(header["market"]),
        initial_amount=Decimal(header["initial_amount"]),
        params=header["params"],
    )


def pack_result(result: QuickTestResult) -> bytes:
    """Return the framed answer."""
    body = asdict(result)
    trades = [{name: _text(value) for name, value in trade.items()} for trade in body["trades"]]
    return frame(
        json.dumps({"kind": MODE, **body, "trades": trades, "final_balance": f"{result.final_balance:f}"}).encode()
    )


def pack_progress(ratio: float) -> bytes:
    """Return the framed news of how far the test is."""
    return frame(_PROGRESS + f"{ratio:.4f}".encode())


class Answer:
    """The child's frames as they come.

    Args:
        progress: told how far the test is, 0..1.
    """

    def __init__(self, progress: Callable[[float], None]) -> None:
        self._progress = progress
        self._told = 0

    def take(self, payload: bytes) -> QuickTestResult | None:
        """Return the result, None while there is only progress. Raises as `unpack_result`."""
        if not payload.startswith(_PROGRESS):
            return unpack_result(payload)
        self._told += 1
        if self._told > _MAX_PROGRESS_FRAMES or len(payload) > _PROGRESS_BYTES:
            raise BadReply("progression sans fin")
        self._progress(_ratio(payload))
        return None


def unpack_result(payload: bytes) -> QuickTestResult:
    """Return the child's answer.

    Raises:
        BadReply: it is not one.
        StrategyError: (or a subclass) the child reports that the code failed.
    """
    body = body_of(payload, MODE)
    since = body.get("open_since_ms")
    return QuickTestResult(
        trades=tuple(_trade(each) for each in checked_field(body, "trades", list)[:MAX_TRADES]),
        refusals=tuple(_refusal(each) for each in checked_field(body, "refusals", list)[:_MAX_REFUSALS]),
        final_balance=_amount(body, "final_balance"),
        open_since_ms=None if since is None else _count(body, "open_since_ms"),
        trade_count=_count(body, "trade_count"),
        ambiguous_count=_count(body, "ambiguous_count"),
    )


def _trade(value: Any) -> QuickTrade:
    if not isinstance(value, dict):
        raise BadReply("transaction illisible")
    amounts = ("quantity", "entry_price", "exit_price", "fees", "profit")
    return QuickTrade(
        entry_time_ms=_count(value, "entry_time_ms"),
        exit_time_ms=_count(value, "exit_time_ms"),
        reason=clean_text(checked_field(value, "reason", str))[:32],
        **{name: _amount(value, name) for name in amounts},
    )


def _refusal(value: Any) -> tuple[int, str]:
    if not isinstance(value, list) or len(value) != 2 or type(value[1]) is not str:
        raise BadReply("refus illisible")
    return _count({"time": value[0]}, "time"), clean_text(value[1])[:500]


def _amount(body: Mapping[str, Any], name: str) -> Decimal:
    text = body.get(name)
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise BadReply(f"champ « {name} » : montant attendu")
    return Decimal(text)


def _count(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if type(value) is not int or not 0 <= value < _MAX_MS:
        raise BadReply(f"champ « {name} » : entier attendu")
    return value


def _ratio(payload: bytes) -> float:
    try:
        value = float(payload[len(_PROGRESS) :])
    except ValueError as exc:
        raise BadReply("progression illisible") from exc
    return min(max(value, 0.0), 1.0) if value == value else 0.0  # NaN is no progress


def _market(facts: Mapping[str, Any]) -> Market:
    exact = ("tick_size", "step_size", "maker_fee_ratio", "taker_fee_ratio")
    limits = ("min_quantity", "max_quantity", "min_notional")
    read = {name: Decimal(facts[name]) for name in (*exact, *limits) if facts[name] is not None}
    return Market(**{**facts, **read})


def _text(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value
