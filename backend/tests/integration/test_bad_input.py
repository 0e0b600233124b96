"""What users get wrong, on a whole running instance: each gets a clear French answer, nothing else is disturbed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.instance import Instance, wait_until
from tests.system.scenario import EVERY_CLOSE
from tests.system.trader import Trader

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
