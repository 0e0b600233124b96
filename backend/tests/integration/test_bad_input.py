"""What users get wrong, on a whole running instance: each gets a clear French answer, nothing else is disturbed."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.system.canaries import Listener, found_in, leaks
from tests.system.instance import Instance, wait_until
from tests.system.scenario import EVERY_CLOSE
from tests.system.trader import PASSWORD, Trader

pytestmark = pytest.mark.timeout(600)

BODY = """
class Mauvaise(Strategy):
    def __init__(self, candles, balance, position=None):
        {init}
    def should_long(self) -> bool:
        {should_long}
    def should_short(self) -> bool:
        return False
    def calculate_position_size(self) -> float:
        return {size}
    def calculate_stop_loss(self) -> float:
        return 0.0
    def calculate_take_profit(self) -> float:
        return 0.0
"""


def strategy(should_long: str = "return True", init: str = "pass", size: str = "50.0") -> str:
    return BODY.format(init=init, should_long=should_long, size=size)


# name → (code, what the pause says)
PAUSED = {
    "boucle": (strategy("while True: pass"), "boucle sans fin"),
    "quatre gigaoctets": (strategy("return len(bytearray(4 << 30)) > 0"), "mémoire"),
    "ouvre une prise": (strategy('return bool(__import__("socket").socket())'), "refus"),
    "lève une erreur": (strategy('raise ValueError("cours introuvable")'), "cours introuvable"),
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    folder: Path = tmp_path_factory.mktemp("bad-input")
    running = Instance(folder / "instance", feed="walk", speed="60")
    try:
        running.start(timeout_s=240.0)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def person(instance: Instance) -> Iterator[Trader]:
    trader = Trader(instance.url)
    trader.register("lea")
    broker = trader.simulateur()["id"]
    wait_until(lambda: any(trader.all("/api/symbols/", broker=broker)), timeout_s=60, what="markets loaded")
    yield trader
    trader.close()


def start(person: Trader, name: str, code: str) -> int:
    created = person.post("/api/strategies/", name=name, description="", code=code, timeframe="1m")
    broker = person.simulateur()["id"]
    bot = person.start_bot(strategy=created["id"], broker=broker, symbol="BTC/USDT", timeframe="1m", amount="100")
    return int(bot["id"])


def test_bad_strategies_are_paused_with_their_reason_and_the_good_one_goes_on(person: Trader) -> None:
    good = start(person, "bonne", EVERY_CLOSE)
    bad = {name: start(person, name, code) for name, (code, _) in PAUSED.items()}
    for name, bot in bad.items():
        said = _pause_reason(person, bot)
        assert PAUSED[name][1] in said.lower(), f"{name}: {said}"
    decided = len(list(person.all(f"/api/bots/{good}/decisions/")))
    wait_until(
        lambda: len(list(person.all(f"/api/bots/{good}/decisions/"))) > decided + 2,
        timeout_s=60,
        what="the good bot goes on",
    )
    assert any(row["status"] == "filled" for row in person.get(f"/api/bots/{good}/")["trades"])
    person.post(f"/api/bots/{good}/stop/", confirm=True)


def test_order_below_the_minimum_notional_is_refused_with_its_values(person: Trader) -> None:
    bot = start(person, "trop petite", strategy(size="1.0"))
    wait_until(
        lambda: "inférieur" in _last_reason(person, bot),
        timeout_s=60,
        what=lambda: f"a refusal that names the minimum, not « {_last_reason(person, bot)} »",
    )
    assert "5 USDT" in _last_reason(person, bot)
    person.post(f"/api/bots/{bot}/stop/", confirm=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbol": "LUNE/USDT"}, "LUNE/USDT"),
        ({"timeframe": "7m"}, "7m"),
        ({"amount": "0"}, "montant"),
        ({"amount": "beaucoup"}, "nombre"),
        ({"start_date": "2030-01-01T00:00:00Z", "end_date": "2029-01-01T00:00:00Z"}, "fin"),
        ({"strategy": 999_999}, "stratégie"),
        ({"broker": 999_999}, "broker"),
    ],
)
def test_bot_with_bad_settings_is_refused_in_french(person: Trader, change: dict[str, Any], words: str) -> None:
    body = {
        "strategy": person.example_strategy()["id"],
        "broker": person.simulateur()["id"],
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "start_date": "2001-01-01T00:00:00Z",
        "end_date": "2099-01-01T00:00:00Z",
        "is_active": True,
        **change,
    }
    before = person.get("/api/bots/")["results"]
    answer = person.try_post("/api/bots/", **body)
    assert answer.status_code in (400, 404), answer.text
    assert words.lower() in answer.json()["message"].lower(), answer.json()
    assert len(person.get("/api/bots/")["results"]) == len(before)


def test_strategy_that_does_not_parse_is_refused_with_its_line(person: Trader) -> None:
    code = "class A(Strategy):\n    def should_long(self)\n        return True\n"
    answer = person.try_post("/api/strategies/", name="x", description="", code=code, timeframe="1m")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Ligne 2 : "), answer.json()
    verdict = person.post("/api/strategies/validate/", code=code)
    assert verdict["valid"] is False
    assert verdict["errors"][0]["line"] == 2


def test_malformed_stream_is_counted_and_the_heartbeat_stays(instance: Instance, person: Trader) -> None:
    simex = instance.setting("SIMEX_URL")
    fault = {"kind": "malformed", "times": 5}
    httpx.post(f"{simex}/__sim/faults", json=fault, timeout=10.0).raise_for_status()

    def counted() -> int:
        return int(person.get("/api/health/")["services"]["heartbeat"]["details"]["malformed_messages"])

    wait_until(lambda: counted() > 0, timeout_s=60, what="malformed messages are counted")
    wait_until(
        lambda: bool(person.get("/api/heartbeat/")["status"]["is_coherent"]),
        timeout_s=60,
        what="coherent again",
    )
    assert person.get("/api/health/")["services"]["heartbeat"]["state"] == "up"


def _pause_reason(person: Trader, bot: int) -> str:
    """Wait until the bot is paused by an error and return what the user reads."""

    def body() -> dict[str, Any]:
        found: dict[str, Any] = person.get(f"/api/bots/{bot}/")
        return found

    wait_until(lambda: body()["state"] == "paused_error", timeout_s=120, what=lambda: f"paused: {body()}")
    return str(body()["pause_reason"])


def _last_reason(person: Trader, bot: int) -> str:
    decision = person.get(f"/api/bots/{bot}/")["last_decision"]
    return "" if decision is None else str(decision["reason"])


@pytest.mark.parametrize("chunked", [False, True])
def test_body_too_long_is_refused_before_it_is_held(instance: Instance, chunked: bool) -> None:
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1073741824"
    head = f"POST /api/session/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", instance.port), timeout=20) as connection:
        connection.sendall(head.encode())
        if chunked:
            chunk = b"80000\r\n" + b"a" * 0x80000 + b"\r\n"  # 512 KiB
            with suppress(ConnectionError):
                for _ in range(9):
                    connection.sendall(chunk)
        received = connection.makefile("rb").read()
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "too_long"' in received


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:3000", None])
def test_socket_of_another_page_is_refused(instance: Instance, person: Trader, origin: str | None) -> None:
    headers = {"Cookie": person.cookie_header()}
    with pytest.raises(InvalidStatus, match="403"):
        connect(
            f"ws://127.0.0.1:{instance.port}/ws/",
            origin=None if origin is None else Origin(origin),
            additional_headers=headers,
        )


def test_secrets_given_to_an_instance_are_written_and_told_nowhere(instance: Instance) -> None:
    """After all of the above, with a person whose every secret can be recognised."""
    trader = Trader(instance.url)
    trader.register("canari")
    listener = Listener(trader, instance.url)
    listener.start()
    canaries = _give_secrets(trader)
    canaries["session cookie"] = trader.cookie_header().partition("sessionid=")[2].partition(";")[0]
    answers = [trader.get(path) for path in ("/api/brokers/", "/api/alerts/", "/api/webhooks/", "/api/session/")]
    listener.end()
    found, places = leaks(instance, canaries)
    told = [name for text in (*listener.heard, str(answers)) for name in found_in(text, canaries)]
    trader.close()
    assert len(canaries) == 12
    assert min(map(len, canaries.values())) >= 12  # long enough to be nothing else
    assert (found, told) == ([], [])
    assert places > 40
    assert len(listener.heard) > 5
    _assert_that_a_leak_would_be_found(instance, canaries)


def _give_secrets(trader: Trader) -> dict[str, str]:
    """Give each kind of secret, and use it, in vain where it is a stranger's: refusals are written down too."""
    canaries = {
        "wrong password": "canari-mot-de-passe-faux",
        "broker key": "CanariCleDuBroker0123456789",
        "broker secret": "CanariSecretDuBroker0123456789",
        "AI key": "sk-or-CanariCleIA0123456789",
        "alert address": "CanariJetonAlerte0123456789",
        "webhook secret": "CanariSecretWebhook0123456789",
        "unknown webhook token": "CanariJetonInconnu0123456789",
    }
    canaries["password"] = PASSWORD
    trader.try_post("/api/session/login/", username="canari", password=canaries["wrong password"])
    trader.try_post("/api/session/password/", old_password=canaries["wrong password"], new_password="x")
    keys = {"apiKey": canaries["broker key"], "secret": canaries["broker secret"]}
    trader.try_post("/api/brokers/test/", exchange="simex", credentials=keys)
    broker = trader.post("/api/brokers/", exchange="simex", name="Canari", credentials=keys)["id"]
    trader.try_post(f"/api/brokers/{broker}/test/")
    trader.patch("/api/assistant/settings/", openrouter_key=canaries["AI key"], openrouter_model="m")
    trader.try_post("/api/assistant/test/", provider="openrouter")
    address = trader.post("/api/alerts/addresses/", address=f"json://127.0.0.1:9/{canaries['alert address']}")
    trader.try_post(f"/api/alerts/addresses/{address['id']}/test/")
    source = trader.post("/api/webhooks/sources/", name="s", broker=broker, secret=canaries["webhook secret"])
    canaries["webhook token"] = source["token"]
    call = {"ticker": "BTCUSDT", "action": "buy", "quote_amount": "10", "secret": canaries["webhook secret"]}
    for token in (source["token"], canaries["unknown webhook token"]):
        trader.try_post(f"/api/webhooks/in/{token}/", **call)
    wait_until(lambda: _all_settled(trader), timeout_s=30, what="the call is settled")
    enrolment = trader.post("/api/session/two-factor/", password=PASSWORD)
    canaries["TOTP secret"] = enrolment["secret"]
    code = pyotp.TOTP(enrolment["secret"]).now()
    codes = trader.post("/api/session/two-factor/confirm/", code=code)["recovery_codes"]
    canaries["recovery code"] = codes[0].replace("-", "")
    trader.try_post("/api/session/two-factor/off/", password=PASSWORD, code="000000")
    return canaries


def _all_settled(trader: Trader) -> bool:
    calls = trader.get("/api/webhooks/")["results"]
    return bool(calls) and all(call["status"] != "received" for call in calls)


def _assert_that_a_leak_would_be_found(instance: Instance, canaries: dict[str, str]) -> None:
    leak = instance.data_dir / "logs" / "fuite.log"
    leak.write_text(f"clé {canaries['broker key']}", encoding="utf-8")
    assert leaks(instance, canaries)[0] == ["broker key in file logs/fuite.log"]
    leak.unlink()
