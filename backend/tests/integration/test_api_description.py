"""The API against its own description: what is drawn from it, right or wrong, never breaks the server.

schemathesis draws requests from the generated OpenAPI, right and wrong ones, sends them as a signed-in user who
owns a row of everything, and compares each answer with what is described: no 5xx, the described status, type and
shape. Deeper: `ARISTOBOT_SCHEMA_EXAMPLES=200 ./aristobot test integration -- -k api_description`.
"""

import os
from collections.abc import Iterator
import time
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.contrib.sessions.backends.db import SessionStore
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from pytest_django.fixtures import SettingsWrapper
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.test_access_matrix import BACKEND, ROUTES, World, make_world

EXAMPLES = int(os.environ.get("ARISTOBOT_SCHEMA_EXAMPLES", "8"))
CSRF = "a" * 32
AWAY = {"service_unavailable", "deadline_exceeded"}

schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application())
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (result.ok() for result in schema.get_all_operations())
}
ROOMS: dict[str, list[str]] = {}
for _name, _operation in OPERATIONS.items():
    ROOMS.setdefault(_operation.path.split("/")[2], []).append(_name)


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
        began = time.monotonic()
        exercise(name, world, broken)
        print("TIME %.2f" % (time.monotonic()-began), name)
    if broken:
        pytest.fail("\n".join(broken.values()), pytrace=False)


def exercise(name: str, world: World, broken: dict[str, str]) -> None:
    operation = OPERATIONS[name]
    own = world.ids.get(ROUTES[operation.method.upper(), operation.path].kind)

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
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
                    broken.setdefault(f"{name} {type(each).__name__}", f"━━ {name} {case.body!r:.300} {case.query} {case.path_parameters}\n{each}")
            finally:
                transaction.set_rollback(True)  # the next request finds the same world

    check()
