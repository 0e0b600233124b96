"""What a terminal writes: JSON lines without secrets, rotated, and never at the price of the terminal."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.core.logs.files import LineFile, file_of
from apps.core.logs.french import is_quiet, matters, sentence
from apps.core.logs.redaction import HIDDEN, Redaction
from apps.core.tracing import current_trace, decision_trace, following, order_trace, signal_of, webhook_trace

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
DJANGO_KEY = "django-insecure-0123456789"


def _hidden(**event: Any) -> str:
    return json.dumps(Redaction([DJANGO_KEY])(None, "info", {"event": "a.thing", **event}), ensure_ascii=False)


@pytest.mark.parametrize(
    "event",
    [
        {"api_key": KEY},
        {"apiKey": KEY},
        {"credentials": {"secret": KEY}},
        {"details": [{"inner": {"password": KEY}}]},
        {"error": f"GET /api/v3/order?symbol=BTCUSDT&signature={KEY}&timestamp=1"},
        {"error": f"binance {{'apiKey': '{KEY}', 'other': 1}}"},
        {"error": f"header X-MBX-APIKEY: {KEY}"},
        {"exception": f"Authorization: Bearer {KEY}\n  File x"},
        {"request": f"Bearer {KEY}"},
        {"headers": f"Cookie: sessionid={KEY}; csrftoken={KEY}"},
        {"error": f"sessionid={KEY}"},
        {"path": f"/api/webhooks/in/{KEY}/"},
        {"url": f"redis://:{KEY}@127.0.0.1:6379/0"},
        {"url": f"postgres://trader:{KEY}@db/aristobot"},
        {"error": f"discord://123456/{KEY} refused"},
        {"error": f"https://discord.com/api/webhooks/1/{KEY}"},
        {"error": f"mot de passe : {KEY}"},
        {"new_password": KEY},
        {"error": f"SECRET_KEY={KEY}"},
        {"raw": f"token={KEY}".encode()},
        {"error": ValueError(f"secret: '{KEY}'")},
        {"error": f"gAAAAAB{KEY}"},
    ],
)
def test_secret_in_a_line_is_hidden(event: dict[str, Any]) -> None:
    shown = _hidden(**event)
    assert KEY not in shown
    assert HIDDEN in shown


def test_secret_key_is_hidden_wherever_it_stands() -> None:
    assert DJANGO_KEY not in _hidden(error=f"clé {DJANGO_KEY} illisible", nested={"a": [DJANGO_KEY]})


def test_ordinary_fields_are_left_as_they_are() -> None:
    fields = {
        "client_order_id": "1f2e3d4c5b6a79880123456789abcdef",
        "symbol": "BTC/USDT",
        "reason": "signal d'achat : 0,01 BTC vers 43 159,5 USDT",
        "trace_id": "5m_1700000000000.bot12",
        "count": 3,
        "url": "http://127.0.0.1:8000/api/trades/",
    }
    assert Redaction([DJANGO_KEY])(None, "info", dict(fields)) == fields


def _record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "", 0, text, None, None)


def test_full_file_is_rotated_and_the_oldest_forgotten(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "web.jsonl", max_bytes=25, kept=2)
    for number in range(8):  # 10 bytes a line: two fit below 25
        file.emit(_record(f"line {number:04}"))
    file.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["web.jsonl", "web.jsonl.1", "web.jsonl.2"]
    assert (tmp_path / "web.jsonl").read_text() == "line 0006\nline 0007\n"
    assert (tmp_path / "web.jsonl.2").read_text() == "line 0002\nline 0003\n"


def test_full_disk_costs_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("apps.core.logs.files.monotonic", lambda: now[0])
    told: list[str] = []
    file = LineFile(tmp_path / "web.jsonl", tell=told.append)
    real_open = file._open
    monkeypatch.setattr(file, "_open", lambda: Path("/dev/full").open("w"))  # noqa: SIM115
    file.emit(_record("lost"))
    file.emit(_record("lost too, without asking the disk again"))
    assert file.lost >= 2
    assert len(told) == 1
    assert "No space left" in told[0]
    monkeypatch.setattr(file, "_open", real_open)
    now[0] += 6
    file.emit(_record("there is room again"))
    file.close()
    assert (tmp_path / "web.jsonl").read_text() == "there is room again\n"


def test_second_process_of_a_kind_writes_its_own_file(tmp_path: Path) -> None:
    first = file_of(tmp_path, "ccxt_service")
    second = file_of(tmp_path, "ccxt_service")
    assert (first.name, second.name) == ("ccxt_service.jsonl", "ccxt_service-2.jsonl")


_PROGRAM = """
import logging, sys
from pathlib import Path
import structlog
from apps.core.logs import setup
from apps.core.tracing import following
setup.start("trading_engine", data_dir=Path(sys.argv[1]), known_secrets=["known-secret-value"])
log = structlog.get_logger("a")
with following("5m_1.bot2", user_id=7):
    log.info("engine.decided", bot_id=2, signal_id="5m_1", action="buy")
log.info("engine.renewed", position_id=3)
try:
    raise ValueError("password=hunter2hunter2")
except ValueError:
    log.exception("engine.bot_failed", bot_id=2)
logging.getLogger("asyncio").error("known-secret-value in a library")
for status, words in ((502, "Bad Gateway"), (500, "Internal Server Error")):
    logging.getLogger("django.request").error(words, extra={"status_code": status})
"""


def test_terminal_writes_json_to_its_file_and_french_to_the_screen(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    text = (tmp_path / "logs" / "trading_engine.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines[:3]] == ["engine.decided", "engine.renewed", "engine.bot_failed"]
    decided = lines[0]
    assert (decided["terminal"], decided["level"]) == ("trading_engine", "info")
    assert (decided["trace_id"], decided["user_id"]) == ("5m_1.bot2", 7)
    assert decided["fields"] == {"bot_id": 2, "signal_id": "5m_1", "action": "buy"}
    assert decided["message"] == "Bot 2 décide d'acheter (5m_1)."
    assert decided["time"].endswith("Z")
    assert "trace_id" not in lines[1]
    assert "ValueError" in lines[2]["fields"]["exception"]
    for secret in ("hunter2hunter2", "known-secret-value"):
        assert secret not in text + done.stdout + done.stderr
    # `engine.renewed` is for developers.
    assert done.stdout.splitlines()[0] == "Bot 2 décide d'acheter (5m_1)."
    assert "engine.renewed" not in done.stdout
    assert done.stdout.splitlines()[1].startswith("✗ Erreur interne (engine.bot_failed)")
    # What was answered on purpose is no internal error; whoever answered it has said why.
    assert "Bad Gateway" not in text + done.stdout
    assert "Internal Server Error" in done.stdout


def test_sentence_of_an_order_that_is_open_names_it() -> None:
    fields = {"symbol": "BTC/USDT", "trade_id": 145, "client_order_id": "1f2e3d4c5b6a7988", "status": "filled"}
    assert sentence("orders.state", fields) == "Ordre BTC/USDT n° 145 est exécuté."
    sale = {**fields, "side": "sell", "type": "oco", "quantity": "0.04995"}
    assert sentence("orders.submitted", sale).startswith("Ordre BTC/USDT n° 145 enregistré : vente stop loss")


def test_sentences_of_the_second_factor_are_french() -> None:
    said = sentence("two_factor.wrong_code", {"failures": 1})
    assert said == "Double authentification : code refusé, un essai faux."
    assert sentence("two_factor.wrong_code", {"failures": 3}).endswith("code refusé, 3 faux de suite.")
    for event in ("recovery_code_used", "turned_on", "turned_off", "recovery_codes_renewed"):
        assert sentence(f"two_factor.{event}", {"user_id": 1}).startswith("Double authentification")
    for event in ("address_locked", "account_closed_to_new_addresses"):
        assert "depuis 10.0.0.7" in sentence(f"sign_in.{event}", {"address": "10.0.0.7"})


def test_sentence_without_its_field_is_none() -> None:
    assert sentence("orders.state", {"status": "filled"}) == ""
    assert sentence("engine.decided", {"action": "none", "bot_id": 1}) == ""


@pytest.mark.parametrize(
    ("level", "event", "fields", "message", "expected"),
    [
        ("info", "engine.decided", {"action": "buy"}, "Bot 1 décide d'acheter.", True),
        ("info", "engine.decided", {"action": "none"}, "Bot 1 décide de ne rien faire.", False),
        ("info", "heartbeat.signal", {}, "Signal 1m_1 publié.", False),
        ("info", "orders.submitted", {}, "Ordre enregistré.", True),
        ("info", "sandbox.ready", {}, "", False),  # a developer's
        ("warning", "orders.fills_missing", {}, "", True),
    ],
)
def test_what_matters_to_who_trades(
    level: str, event: str, fields: dict[str, str], message: str, expected: bool
) -> None:
    line = {"level": level, "event": event, "fields": fields, "message": message}
    assert matters(line) is expected
    assert is_quiet("engine.decided", {"action": "none"})  # the console stays quiet too


def test_traces_say_where_they_come_from() -> None:
    assert signal_of(decision_trace("5m_1700000000000", 12)) == "5m_1700000000000"
    assert signal_of(webhook_trace(34)) == signal_of(order_trace("a" * 32)) == ""
    with following("webhook.34", user_id=1):
        assert current_trace() == "webhook.34"
    assert current_trace() == ""
