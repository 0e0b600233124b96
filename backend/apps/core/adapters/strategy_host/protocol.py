"""What host and child say to each other: a length, a JSON header, and the candles as raw numbers.

No pickle in either direction. The child is not trusted: its answer is bounded and checked field by field.
"""

import json
import struct
from array import array
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from unicodedata import category

from domain.errors import AristobotError, StrategyError, StrategyInvalid, StrategyMemory
from domain.strategies.contract import CandleWindow, CodeError, Evaluation, EvaluationJob, PositionView, Validation
from domain.strategies.evaluate import LIMITS

LENGTH = struct.Struct("!I")
HELLO = b"\x06"  # the child is jailed and ready: from here on, the time is the user's
MAX_REPLY_BYTES = 256 * 1024
MAX_JOB_BYTES = 16 * 1024 * 1024
_MAX_TEXT = 8_000
_MAX_NUMBER = 1e30
_COLUMNS = ("open", "high", "low", "close", "volume")
_ERRORS = {error.code: error for error in (StrategyError, StrategyInvalid, StrategyMemory)}


class BadReply(Exception):
    """The child's answer is not one: too long, not JSON, or a field of another type."""


def frame(payload: bytes) -> bytes:
    """Return the payload behind its length."""
    return LENGTH.pack(len(payload)) + payload


def pack_evaluation(job: EvaluationJob) -> bytes:
    """Return the framed question of `evaluate`."""
    header = {
        "mode": "evaluate",
        "code": job.code,
        "balance": job.balance,
        "position": None if job.position is None else asdict(job.position),
        "params": dict(job.params),
        "count": len(job.candles),
    }
    text = json.dumps(header).encode()
    return frame(LENGTH.pack(len(text)) + text + columns_of(job.candles))


def columns_of(candles: CandleWindow) -> bytes:
    """Return the candles as raw numbers, column after column; `window_of` reads them."""
    columns = [array("q", candles.open_time_ms), *(array("d", getattr(candles, c)) for c in _COLUMNS)]
    return b"".join(column.tobytes() for column in columns)


def pack_validation(code: str) -> bytes:
    """Return the framed question of `validate`."""
    text = json.dumps({"mode": "validate", "code": code}).encode()
    return frame(LENGTH.pack(len(text)) + text)


def split_request(payload: bytes) -> tuple[dict[str, Any], bytes]:
    """Return (header, candles as raw numbers). Comes from the host: trusted."""
    (size,) = LENGTH.unpack_from(payload)
    return json.loads(payload[LENGTH.size : LENGTH.size + size]), payload[LENGTH.size + size :]


def unpack_evaluation_job(header: Mapping[str, Any], raw: bytes) -> EvaluationJob:
    """Return the job; that of a validation holds nothing but the code."""
    position = header.get("position")
    return EvaluationJob(
        code=header["code"],
        candles=window_of(raw, header.get("count", 0)),
        balance=header.get("balance", 0.0),
        position=None if position is None else PositionView(**position),
        params=header.get("params", {}),
    )


def window_of(raw: bytes, count: int) -> CandleWindow:
    """Return the candles that `columns_of` wrote."""
    width = count * 8
    times, *rest = (raw[start : start + width] for start in range(0, 6 * width, width)) if count else [b""] * 6
    return CandleWindow(array("q", times), *(array("d", column) for column in rest))


def pack_reply(answer: Evaluation | Validation) -> bytes:
    """Return the framed answer."""
    kind = "evaluation" if isinstance(answer, Evaluation) else "validation"
    return frame(json.dumps({"kind": kind, **asdict(answer)}).encode())


def pack_error(error: AristobotError) -> bytes:
    """Return the framed error, its long texts cut so that the whole stays under the bound."""
    details = {key: _cut(value) for key, value in error.details.items()}
    body = {"kind": "error", "code": error.error_code, "message": _cut(error.message), "details": details}
    return frame(json.dumps(body).encode())


def unpack_evaluation(payload: bytes) -> Evaluation:
    """Return the child's decision.

    Raises:
        BadReply: it is not one.
        StrategyError: (or a subclass) the child reports that the code failed.
    """
    return evaluation_of(body_of(payload, "evaluation"))


def evaluation_of(body: Mapping[str, Any]) -> Evaluation:
    """Return a decision the child wrote. Raises BadReply."""
    return Evaluation(
        should_long=checked_field(body, "should_long", bool),
        should_short=checked_field(body, "should_short", bool),
        # The child has checked them already, unless the user's code wrote this answer itself.
        position_size=_finite(body, "position_size", below=LIMITS["calculate_position_size"]),
        stop_loss=_finite(body, "stop_loss", below=LIMITS["calculate_stop_loss"]),
        take_profit=_finite(body, "take_profit", below=LIMITS["calculate_take_profit"]),
        duration_ms=_finite(body, "duration_ms"),
    )


def unpack_validation(payload: bytes) -> Validation:
    """Return the child's verdict; raises like `unpack_evaluation`."""
    body = body_of(payload, "validation")
    name = body.get("class_name")
    errors = checked_field(body, "errors", list)[:50]
    return Validation(
        valid=checked_field(body, "valid", bool) and not errors,
        class_name=None if name is None else _cut(checked_field(body, "class_name", str))[:200],
        errors=tuple(_code_error(one) for one in errors),
    )


def body_of(payload: bytes, expected: str) -> Mapping[str, Any]:
    """Return the child's answer of that kind. Raises BadReply, or the StrategyError that it reports."""
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise BadReply(f"JSON illisible : {type(exc).__name__}") from exc
    if not isinstance(body, dict):
        raise BadReply("objet attendu")
    if body.get("kind") == "error":
        raise _error(body)
    if body.get("kind") != expected:
        raise BadReply(f"réponse « {expected} » attendue")
    return body


def _error(body: Mapping[str, Any]) -> StrategyError:
    # Built from known fields only: a child cannot name another error class nor add details of its own.
    error = _ERRORS.get(checked_field(body, "code", str))
    if error is None:
        raise BadReply("code d'erreur inconnu")
    given = checked_field(body, "details", dict)
    details: dict[str, Any] = {"line": _line(given.get("line"))}
    for key in ("exception", "traceback"):
        if isinstance(given.get(key), str):
            details[key] = _cut(given[key])
    if isinstance(given.get("errors"), list):
        details["errors"] = [_shown(_code_error(one)) for one in given["errors"][:50]]
    return error(_cut(checked_field(body, "message", str)), details=details)


def _code_error(value: Any) -> CodeError:
    if not isinstance(value, dict):
        raise BadReply("erreur de code illisible")
    return CodeError(
        _cut(checked_field(value, "message", str)), _line(value.get("line")), _line(value.get("column"))
    )


def _shown(error: CodeError) -> dict[str, Any]:
    return {"line": error.line, "column": error.column, "message": error.message}


def _line(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 1_000_000 else None


def _cut(value: Any) -> Any:
    return clean_text(value[:_MAX_TEXT]) if isinstance(value, str) else value


def clean_text(text: str) -> str:
    """Return text that PostgreSQL and a terminal can take: no NUL, no escape code, no half of a surrogate pair."""
    return "".join("�" if category(char) in ("Cc", "Cs") and char not in "\n\t" else char for char in text)


def checked_field(body: Mapping[str, Any], name: str, kind: Callable[..., Any]) -> Any:
    """Return a field of exactly that type. Raises BadReply."""
    value = body.get(name)
    if type(value) is not kind:
        raise BadReply(f"champ « {name} » : {kind.__name__} attendu")
    return value


def _finite(body: Mapping[str, Any], name: str, *, below: float = _MAX_NUMBER) -> float:
    value: Any = body.get(name)
    highest = min(below, _MAX_NUMBER)
    if type(value) not in (int, float) or not 0 <= value < highest:  # NaN and infinities fail the comparison
        raise BadReply(f"champ « {name} » : nombre attendu entre 0 et {highest:g}")
    return float(value)
