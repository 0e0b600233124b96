"""The terminals' lines read back, and whose they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from apps.core.logs.owners import Viewer
from apps.core.logs.reading import Found, Tail, Wanted, search

LEA = Viewer(1, {"broker_id": frozenset({10}), "bot_id": frozenset({20}), "source_id": frozenset()})


def line(number: int, *, event: str = "a.thing", level: str = "info", **more: Any) -> dict[str, Any]:
    head: dict[str, Any] = {
        name: more.pop(name) for name in ("trace_id", "user_id", "message", "logger") if name in more
    }
    time = f"2026-11-26T10:00:{number:02}.000000Z"
    return {
        "id": f"ab.{number}",
        "time": time,
        "level": level,
        "terminal": more.pop("terminal", "web"),
        "event": event,
        **head,
        "fields": more,
    }


def write(file: Path, *lines: dict[str, Any]) -> None:
    with file.open("a") as stream:
        stream.writelines(json.dumps(each, separators=(",", ":"), ensure_ascii=False) + "\n" for each in lines)


def found(folder: Path, *, limit: int = 100, viewer: Viewer = LEA, **wanted: Any) -> Found:
    return search(folder, Wanted(**wanted), visible=viewer.shown, limit=limit)


def numbers(result: Found) -> list[str]:
    return [one["id"].partition(".")[2] for one in result.lines]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "web.jsonl.2", line(1), line(2))
    write(tmp_path / "web.jsonl.1", line(4, event="orders.state", level="warning"))
    write(tmp_path / "web.jsonl", line(5), line(7, trace_id="5m_1.bot20", user_id=1))
    write(tmp_path / "heartbeat.jsonl", line(3, terminal="heartbeat", event="heartbeat.signal", signal_id="5m_1"))
    write(tmp_path / "heartbeat-2.jsonl", line(6, terminal="heartbeat", level="error", error="Coupé : ÉTÉ"))
    return tmp_path


def test_lines_of_all_files_come_newest_first(folder: Path) -> None:
    assert numbers(found(folder)) == ["7", "6", "5", "4", "3", "2", "1"]


def test_page_says_where_the_next_one_begins(folder: Path) -> None:
    first = found(folder, limit=3)
    assert numbers(first) == ["7", "6", "5"]
    second = found(folder, limit=3, before=first.resume)
    assert numbers(second) == ["4", "3", "2"]
    assert found(folder, limit=3, before=second.resume).resume is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"terminals": frozenset({"heartbeat"})}, ["6", "3"]),
        ({"level": "warning"}, ["6", "4"]),
        ({"level": "error"}, ["6"]),
        ({"text": "été"}, ["6"]),
        ({"text": "ORDERS"}, ["4"]),
        ({"trace": "5m_1.bot20"}, ["7", "3"]),  # with its signal, which is everybody's
        ({"trace": "5m_2.bot20"}, []),
        ({"since": "2026-11-26T10:00:05.000000Z"}, ["7", "6", "5"]),
    ],
)
def test_filter_keeps_what_it_says(folder: Path, wanted: dict[str, Any], expected: list[str]) -> None:
    assert numbers(found(folder, **wanted)) == expected


def test_line_cut_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "web.jsonl"
    write(file, line(1))
    with file.open("a") as stream:
        stream.write('{"id":"ab.2","time":"2026\n')
    write(file, line(3))
    assert numbers(found(tmp_path)) == ["3", "1"]


def test_line_longer_than_a_block_is_read_whole(tmp_path: Path) -> None:
    write(tmp_path / "web.jsonl", line(1), line(2, error="x" * 200_000), line(3))
    result = found(tmp_path)
    assert numbers(result) == ["3", "2", "1"]
    assert len(result.lines[1]["facts"]["error"]) == 200_000


def test_followed_lines_come_once_whole_and_over_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "web.jsonl"
    write(file, line(1))
    tail = Tail(tmp_path)
    assert tail.new() == []
    write(file, line(2))
    with file.open("a") as stream:
        stream.write('{"half":')
    write(tmp_path / "ccxt_service.jsonl", line(3))
    assert [one["id"] for one in tail.new()] == ["ab.2", "ab.3"]
    file.rename(tmp_path / "web.jsonl.1")
    write(file, line(4))
    assert [one["id"] for one in tail.new()] == ["ab.4"]
    assert tail.new() == []


@pytest.mark.parametrize(
    ("given", "is_shown"),
    [
        (line(1, user_id=1, client_order_id="c"), True),
        (line(1, user_id=2, broker_id=10), False),  # what the line says of its user wins
        (line(1, broker_id=10), True),
        (line(1, broker_id=11), False),
        (line(1, broker_id=10, bot_id=21), False),  # everything that it names must be hers
        (line(1, broker_id=10, client_order_id="c"), True),
        (line(1, client_order_id="c"), False),  # whose it is cannot be told
        (line(1, trade_ids=[1]), False),
        (line(1, trace_id="order.1"), False),
        (line(1, logger="django.request"), False),
        (line(1, error="Redis ne répond pas"), True),
    ],
)
def test_user_sees_her_own_lines_and_those_of_nobody(given: dict[str, Any], is_shown: bool) -> None:
    assert (LEA.shown(given) is not None) is is_shown


def test_of_nobodys_line_only_fields_known_to_be_harmless_are_shown() -> None:
    shown = LEA.shown(line(1, exception="Traceback … client_order_id=c", error="x", some_new_field="léa"))
    assert shown is not None
    assert shown["facts"] == {"error": "x"}
