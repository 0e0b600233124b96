"""A replay between host and child. The child's answer is bounded and checked field by field."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from apps.core.adapters.strategy_host.protocol import (
    LENGTH,
    BadReply,
    body_of,
    checked_field,
    clean_text,
    columns_of,
    evaluation_of,
    frame,
    window_of,
)
from domain.strategies.contract import PositionView
from domain.strategies.replay import ReplayAnswer, ReplayJob, ReplayQuestion

MODE = "replay"
_MAX_ERROR = 500


def pack_replay(job: ReplayJob) -> bytes:
    """Return the framed question."""
    header = {
        "mode": MODE,
        "code": job.code,
        "params": dict(job.params),
        "count": len(job.candles),
        "questions": [asdict(question) for question in job.questions],
    }
    text = json.dumps(header).encode()
    return frame(LENGTH.pack(len(text)) + text + columns_of(job.candles))


def unpack_replay(header: Mapping[str, Any], raw: bytes) -> ReplayJob:
    """Return the job. Comes from the host: trusted."""
    return ReplayJob(
        code=header["code"],
        params=header["params"],
        candles=window_of(raw, header["count"]),
        questions=[_question(each) for each in header["questions"]],
    )


def _question(facts: Mapping[str, Any]) -> ReplayQuestion:
    position = facts["position"]
    return ReplayQuestion(**{**facts, "position": None if position is None else PositionView(**position)})


def pack_answers(answers: Sequence[ReplayAnswer]) -> bytes:
    """Return the framed answer."""
    rows = [
        {
            "evaluation": None if each.evaluation is None else asdict(each.evaluation),
            "error": each.error[:_MAX_ERROR],
        }
        for each in answers
    ]
    return frame(json.dumps({"kind": MODE, "answers": rows}).encode())


def unpack_answers(payload: bytes, *, count: int) -> list[ReplayAnswer]:
    """Return the child's answers, `count` of them. Raises BadReply, or the StrategyError that it reports."""
    rows = checked_field(body_of(payload, MODE), "answers", list)
    if len(rows) != count:
        raise BadReply(f"{len(rows)} réponses, {count} attendues")
    return [_answer(row) for row in rows]


def _answer(row: Any) -> ReplayAnswer:
    if not isinstance(row, dict):
        raise BadReply("réponse illisible")
    if row.get("evaluation") is None:
        return ReplayAnswer(None, clean_text(checked_field(row, "error", str))[:_MAX_ERROR] or "sans réponse")
    return ReplayAnswer(evaluation_of(checked_field(row, "evaluation", dict)))
