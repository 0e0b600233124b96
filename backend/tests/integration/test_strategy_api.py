"""Strategies over HTTP: own ones only, code that parses only, and `validate/` through terminal 3."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.test import Client, override_settings
from django.urls import include, path

from apps.accounts.models import User
from apps.brokers.models import Broker
from apps.core.adapters import strategy_requests
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.strategy_host.host import SandboxedStrategyHost
from apps.core.adapters.strategy_requests import REQUESTS, validate_in_terminal_3
from apps.strategies.examples.ema_cross import EMA_CROSS
from apps.strategies.models import Strategy, StrategyVersion
from apps.strategies.services.starting import create_examples
from apps.trading_engine.models import ActiveStrategy
from domain.errors import DeadlineExceeded, Unavailable
from domain.strategies.contract import CodeError, Evaluation, EvaluationJob, Validation
from tests.fakes.terminal3 import Terminal3

pytestmark = pytest.mark.django_db(transaction=True)

urlpatterns = [path("api/", include("apps.strategies.urls"))]
BODY = {"name": "Ma stratégie", "description": "", "code": EMA_CROSS, "timeframe": "1m"}


@pytest.fixture(autouse=True)
def _routes() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def lea() -> User:
    user: User = User.objects.create_user(username="lea", password="x")
    return user


@pytest.fixture
def client(lea: User) -> Client:
    return signed_in(lea)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def send(client: Client, method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
    return getattr(client, method)(url, body, content_type="application/json")


class FixedHost:
    """A `StrategyHost` that answers what the test wants, when it wants."""

    def __init__(self, answer: Validation | Exception, *, after_s: float = 0.0) -> None:
        self._answer = answer
        self._after_s = after_s
        self.asked: list[str] = []

    async def validate(self, code: str) -> Validation:
        self.asked.append(code)
        if self._after_s:
            done = asyncio.Event()
            asyncio.get_running_loop().call_later(self._after_s, done.set)
            await done.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def evaluate(self, job: EvaluationJob, *, timeout_s: float = 5.0) -> Evaluation:
        raise NotImplementedError

    async def close(self) -> None:
        return None


def test_strategy_is_created_read_changed_and_deleted(client: Client) -> None:
    created = send(client, "post", "/api/strategies/", BODY)
    assert created.status_code == 201, created.content
    number = created.json()["id"]
    assert created.json()["code"] == EMA_CROSS

    changed = send(client, "patch", f"/api/strategies/{number}/", {"timeframe": "5m"})
    assert changed.json()["timeframe"] == "5m"
    assert [row["id"] for row in client.get("/api/strategies/").json()["results"]] == [number]

    assert client.delete(f"/api/strategies/{number}/").status_code == 204
    assert client.get(f"/api/strategies/{number}/").status_code == 404


def test_code_that_does_not_parse_is_not_saved(client: Client) -> None:
    answer = send(client, "post", "/api/strategies/", {**BODY, "code": "class A(Strategy)\n    pass"})

    assert answer.status_code == 400
    assert answer.json()["code"] == "strategy_invalid"
    assert answer.json()["message"].startswith("Ligne 1 : Erreur de syntaxe : il manque « : »")
    assert answer.json()["details"]["errors"][0]["line"] == 1
    assert not Strategy.objects.exists()


def test_broken_code_does_not_replace_good_code(client: Client, lea: User) -> None:
    (strategy,) = create_examples(lea)

    answer = send(client, "patch", f"/api/strategies/{strategy.pk}/", {"code": "def ("})

    assert answer.status_code == 400
    strategy.refresh_from_db()
    assert strategy.code == EMA_CROSS


def test_another_users_strategy_is_not_found(client: Client) -> None:
    other = User.objects.create_user(username="max", password="x")
    (strategy,) = create_examples(other)
    url = f"/api/strategies/{strategy.pk}/"

    assert client.get("/api/strategies/").json()["results"] == []
    assert client.get(url).status_code == 404
    assert send(client, "patch", url, {"name": "à moi"}).status_code == 404
    assert client.delete(url).status_code == 404
    assert Strategy.objects.get().name == "Croisement EMA 10/20"


def test_anonymous_is_refused() -> None:
    assert Client().get("/api/strategies/").status_code == 403


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("name", "n" * 101), ("timeframe", "7m"), ("code", ""), ("code", "a\0")]
)
def test_bad_field_is_refused_by_name(client: Client, field: str, value: str) -> None:
    answer = send(client, "post", "/api/strategies/", {**BODY, field: value})

    assert answer.status_code == 400
    assert field in answer.json()["details"]["fields"]


def test_name_taken_is_a_conflict_for_the_same_user_only(client: Client) -> None:
    other = User.objects.create_user(username="max", password="x")
    assert send(client, "post", "/api/strategies/", BODY).status_code == 201

    again = send(client, "post", "/api/strategies/", BODY)

    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    assert send(signed_in(other), "post", "/api/strategies/", BODY).status_code == 201


def make_bot(user: User, strategy: Strategy, *, is_active: bool) -> ActiveStrategy:
    broker = Broker.objects.create(user=user, name="Simulateur", exchange="simex")
    bot: ActiveStrategy = ActiveStrategy.objects.create(
        user=user,
        strategy=strategy,
        broker=broker,
        symbol="BTC/USDT",
        timeframe="1m",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        end_date=datetime(2027, 1, 1, tzinfo=UTC),
        is_active=is_active,
    )
    return bot


def test_delete_is_refused_while_an_active_bot_uses_it(client: Client, lea: User) -> None:
    (strategy,) = create_examples(lea)
    bot = make_bot(lea, strategy, is_active=True)

    answer = client.delete(f"/api/strategies/{strategy.pk}/")

    assert (answer.status_code, answer.json()["code"]) == (409, "strategy_in_use")
    assert answer.json()["details"] == {"bots": [bot.pk]}
    assert "1 bot(s) actif(s)" in answer.json()["message"]
    assert Strategy.objects.filter(pk=strategy.pk).exists()


def test_delete_with_a_bot_at_rest_goes_through(client: Client, lea: User) -> None:
    (strategy,) = create_examples(lea)
    make_bot(lea, strategy, is_active=False)

    assert client.delete(f"/api/strategies/{strategy.pk}/").status_code == 204


def test_delete_is_refused_while_a_stopped_bot_holds_a_position(client: Client, lea: User) -> None:
    (strategy,) = create_examples(lea)
    bot = make_bot(lea, strategy, is_active=False)
    bot.positions.create(
        user=lea,
        broker=bot.broker,
        symbol="BTC/USDT",
        owner=f"bot:{bot.pk}",
        quantity=1,
        entry_price=100,
        opened_at=datetime(2026, 1, 2, tzinfo=UTC),
        status="open",
    )

    answer = client.delete(f"/api/strategies/{strategy.pk}/")

    assert answer.status_code == 409
    assert "position est encore ouverte" in answer.json()["message"]


def test_examples_are_given_once(lea: User) -> None:
    first = create_examples(lea)
    second = create_examples(lea)

    assert [one.pk for one in first] == [one.pk for one in second]
    assert Strategy.objects.filter(user=lea).count() == len(first)


def test_validate_runs_in_the_sandbox_of_terminal_3(client: Client) -> None:
    with Terminal3(SandboxedStrategyHost(spares=0)):
        good = send(client, "post", "/api/strategies/validate/", {"code": EMA_CROSS})
        bad = send(
            client, "post", "/api/strategies/validate/", {"code": EMA_CROSS.replace('["close"]', '["closed"]')}
        )

    assert good.json() == {"valid": True, "class_name": "MaNouvelleStrategie", "errors": [], "params": []}
    (error,) = bad.json()["errors"]
    assert error["line"] == 10
    assert "KeyError" in error["message"]


def test_validate_tells_the_parameters_of_an_unsaved_text(client: Client) -> None:
    code = "class A(Strategy):\n    STRATEGY_PARAMS = {'n': {'default': 3}}\n    def ("

    assert send(client, "post", "/api/strategies/validate/", {"code": code}).json()["params"] == []
    tunable = client.get("/api/strategies/examples/").json()[1]
    assert tunable["params"][0]["name"] == "longueur"


def test_validate_of_a_syntax_error_needs_no_terminal_3(client: Client) -> None:
    answer = send(client, "post", "/api/strategies/validate/", {"code": "a = (\n"})

    assert answer.json()["valid"] is False
    assert answer.json()["errors"][0]["line"] == 1


async def test_dead_terminal_3_is_told_within_the_deadline() -> None:
    with pytest.raises(DeadlineExceeded, match=r"terminal 3\) n'a pas répondu en 0\.2 s"):
        await validate_in_terminal_3(settings.REDIS_URL, EMA_CROSS, clock=SystemClock(), timeout_s=0.2)


async def test_request_past_its_deadline_is_not_tried() -> None:
    host = FixedHost(Validation(valid=True, class_name="A", errors=()))
    redis = connect(settings.REDIS_URL)
    old = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    stale = {
        "v": 1,
        "type": "strategy_request",
        "id": "stale",
        "sent_at": old,
        "deadline": old,
        "kind": "validate",
        "params": {"code": "a = 1"},
    }
    await redis.delete(REQUESTS)
    await redis.rpush(REQUESTS, b"{not json", orjson.dumps({"v": 9}), b"[]", orjson.dumps(stale))

    with Terminal3(host):
        verdict = await validate_in_terminal_3(settings.REDIS_URL, "b = 2", clock=SystemClock(), timeout_s=10)

    assert verdict.valid
    assert host.asked == ["b = 2"]
    await redis.aclose()


async def test_sandbox_that_cannot_run_is_unavailable() -> None:
    with Terminal3(FixedHost(Unavailable("Bac à sable arrêté."))), pytest.raises(Unavailable, match="arrêté"):
        await validate_in_terminal_3(settings.REDIS_URL, "b = 2", clock=SystemClock(), timeout_s=10)


async def test_verdict_crosses_the_bus_unchanged() -> None:
    verdict = Validation(valid=False, class_name="A", errors=(CodeError("é « »", 3, None),))

    with Terminal3(FixedHost(verdict)):
        seen = await validate_in_terminal_3(settings.REDIS_URL, "b = 2", clock=SystemClock(), timeout_s=10)

    assert seen == verdict


async def test_verdict_that_takes_several_waits_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy_requests, "_BLOCK_S", 0.05)
    verdict = Validation(valid=True, class_name="A", errors=())

    with Terminal3(FixedHost(verdict, after_s=0.4)):
        seen = await validate_in_terminal_3(settings.REDIS_URL, "b = 2", clock=SystemClock(), timeout_s=10)

    assert seen == verdict


def test_each_change_of_the_code_is_kept_as_a_version(client: Client) -> None:
    made = send(client, "post", "/api/strategies/", BODY).json()
    url = f"/api/strategies/{made['id']}/"
    assert made["version"] == 1
    send(client, "patch", url, {"name": "Un autre nom"})
    changed = send(client, "patch", url, {"code": "class B(Strategy):\n    pass\n"}).json()
    assert changed["version"] == 2
    send(client, "patch", url, {"code": EMA_CROSS})
    listed = send(client, "get", f"{url}versions/").json()["results"]
    assert [(row["number"], row["code"] == EMA_CROSS) for row in listed] == [(3, True), (2, False), (1, True)]


def test_refused_code_leaves_no_version(client: Client) -> None:
    made = send(client, "post", "/api/strategies/", BODY).json()
    refused = send(client, "patch", f"/api/strategies/{made['id']}/", {"code": "class ("})
    assert refused.status_code == 400
    assert StrategyVersion.objects.get(strategy_id=made["id"]).code == EMA_CROSS


def test_text_of_before_the_versions_is_kept_at_its_first_change(client: Client, lea: User) -> None:
    old = Strategy.objects.create(user=lea, name="Ancienne", code="x = 1\n", timeframe="1m")
    send(client, "patch", f"/api/strategies/{old.pk}/", {"code": "x = 2\n"})
    assert list(old.versions.order_by("number").values_list("code", flat=True)) == ["x = 1\n", "x = 2\n"]


def test_versions_of_another_user_are_absent(client: Client) -> None:
    other = User.objects.create_user(username="max", password="x")
    strategy = Strategy.objects.create(user=other, name="A", code="x = 1", timeframe="1m")
    assert send(client, "get", f"/api/strategies/{strategy.pk}/versions/").status_code == 404


def test_library_and_parameters_are_offered(client: Client) -> None:
    library = send(client, "get", "/api/strategies/examples/").json()
    assert len(library) == 6
    made = send(client, "post", "/api/strategies/", {**library[1], "name": "Mon RSI"}).json()
    first = made["params"][0]
    assert first == {
        "name": "longueur",
        "label": "Longueur du RSI",
        "type": "int",
        "default": 14,
        "min": 2.0,
        "max": 50.0,
        "step": 1.0,
        "choices": [],
    }
