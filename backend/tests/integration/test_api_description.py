"""The API against its own description: what is drawn from it, right or wrong, never breaks the server.

schemathesis draws requests from the generated OpenAPI, right and wrong ones, sends them as a signed-in user who
owns a row of everything, and compares each answer with what is described: no 5xx, the described status, type and
shape. The same code draws the same requests at each run. Deeper, others each time:
`ARISTOBOT_SCHEMA_EXAMPLES=200 ./aristobot test integration -- -k api_description`.
"""

import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from hypothesis.internal.cache import LRUCache
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from pytest_django.fixtures import SettingsWrapper
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.test_access_matrix import BACKEND, ROUTES, World, make_world

ASKED = os.environ.get("ARISTOBOT_SCHEMA_EXAMPLES")
EXAMPLES = int(ASKED or "6")
CSRF = "a" * 32
AWAY = {"service_unavailable", "deadline_exceeded", "catalogue_absent", "simex_absent"}
# Answered by another terminal or by a provider, of which none runs here: their time-outs would be waited for. Tests
# of their own have the other side (test_brokers_live, test_alerts, test_assistant_api, test_strategy_api …).
ELSEWHERE = {
    "POST /api/alerts/addresses/{id}/test/",
    "GET /api/assistant/models/",
    "POST /api/assistant/test/",
    "POST /api/assistant/generate/",
    "POST /api/brokers/test/",
    "POST /api/brokers/{id}/test/",
    "POST /api/brokers/{id}/load-markets/",
    "GET /api/brokers/{id}/balance/",
    "GET /api/brokers/{id}/capabilities/",
    "POST /api/strategies/validate/",
    "POST /api/backtests/quick-test/",
    "GET /api/health/",  # closes the connection that it tries
}

schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application())
_described: list[Any] = [result.ok() for result in list[Any](schema.get_all_operations())]
OPERATIONS = {f"{operation.method.upper()} {operation.path}": operation for operation in _described}
ROOMS: dict[str, list[str]] = {}
for _name, _operation in OPERATIONS.items():
    if _name not in ELSEWHERE:
        ROOMS.setdefault(_operation.path.split("/")[2], []).append(_name)


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no constants from our modules: which are imported depends on the tests that ran here before."""
    monkeypatch.setattr(providers, "_get_local_constants", Constants)
    monkeypatch.setattr(providers, "CONSTANTS_CACHE", LRUCache(1024))


@pytest.fixture
def world(db: None, settings: SettingsWrapper) -> Iterator[World]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for signal in (request_started, request_finished):  # the transaction of the test goes on after a request
        signal.disconnect(close_old_connections)
    yield make_world()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def cases(operation: Any) -> Any:
    """Requests that the description allows, and requests that it does not."""
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.body or operation.query or operation.path_parameters:
        return st.one_of(right, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    return right


@schemathesis.check
def not_broken(ctx: Any, response: Any, case: Any) -> None:
    """A service of ours that is away (none runs here) is said as such; anything else of 5xx is our fault."""
    if response.status_code >= 500 and response.json().get("code") not in AWAY:
        raise AssertionError(f"{response.status_code}: {response.text[:300]}")


CHECKS = [not_broken, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize("room", ROOMS)
def test_room_answers_as_described(room: str, world: World) -> None:
    broken: dict[str, str] = {}
    for name in ROOMS[room]:
        exercise(name, world, broken)
    if broken:
        pytest.fail("\n".join(broken.values()), pytrace=False)


def exercise(name: str, world: World, broken: dict[str, str]) -> None:
    operation = OPERATIONS[name]
    own = world.ids.get(ROUTES[operation.method.upper(), operation.path].kind)

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not ASKED,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=cases(operation), known=st.booleans())
    def check(case: Any, known: bool) -> None:
        if known and own is not None:
            case.path_parameters["id"] = own
        with transaction.atomic():
            client = Client()
            client.force_login(world.lea, backend=BACKEND)
            cookies = {"sessionid": client.cookies["sessionid"].value, "csrftoken": CSRF}
            case.cookies = {}
            try:
                case.call_and_validate(cookies=cookies, headers={"X-CSRFToken": CSRF}, checks=CHECKS)
            except BaseExceptionGroup as found:  # told at the end, with what else is wrong
                for each in found.exceptions:
                    sent = f"{case.path_parameters} {case.query} {case.body!r:.300}"
                    broken.setdefault(f"{name} {type(each).__name__}", f"━━ {name} {sent}\n{each}")
            finally:
                transaction.set_rollback(True)  # the next request finds the same world

    check()


def test_refusal_of_a_file_is_json(world: World) -> None:
    client = Client()
    client.force_login(world.max, backend=BACKEND)
    answer = client.get(f"/api/backtests/{world.ids['backtest']}/trades/?format=csv")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert answer.json()["code"] == "not_found"
