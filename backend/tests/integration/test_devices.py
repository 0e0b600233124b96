"""The open sessions of a user: listed, closed one by one or all, by hand or by a change of password."""

import asyncio
from collections.abc import Callable, MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.middleware import OpenSessionOnly
from apps.accounts.models import User, UserSession
from apps.accounts.services import devices
from apps.accounts.user_agents import browser_name
from apps.core.adapters import session_ends
from apps.core.consumers import EventsConsumer
from tests.engine_world import make_user

JSON = "application/json"
PASSWORD = "un-mot-de-passe-long"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"


@pytest.fixture
def sign_in(settings: SettingsWrapper) -> Callable[..., Client]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

    def make(name: str = "lea", *, browser: str = FIREFOX, address: str = "192.168.1.24") -> Client:
        if not User.objects.filter(username=name).exists():
            make_user(name)
        client = Client(headers={"User-Agent": browser}, REMOTE_ADDR=address)
        body = {"username": name, "password": PASSWORD}
        assert client.post("/api/session/login/", body, content_type=JSON).status_code == 200
        return client

    return make


def listed(client: Client) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get("/api/session/devices/").json()
    return rows


def is_signed_in(client: Client) -> bool:
    return client.get("/api/session/").json()["user"] is not None


@pytest.mark.django_db
class TestDevices:
    def test_each_session_is_listed_with_its_browser_and_address(self, sign_in: Callable[..., Client]) -> None:
        here = sign_in()
        sign_in(browser=CHROME, address="192.168.1.31")
        sign_in("max")
        rows = listed(here)
        assert [(row["browser"], row["address"], row["is_current"]) for row in rows] == [
            ("Firefox sur Linux", "192.168.1.24", True),
            ("Chrome sur Windows", "192.168.1.31", False),
        ]
        keys = set(Session.objects.values_list("pk", flat=True))
        assert not any(key in here.get("/api/session/devices/").content.decode() for key in keys)

    def test_closing_another_session_ends_it_and_no_other(self, sign_in: Callable[..., Client]) -> None:
        here, there, elsewhere = sign_in(), sign_in(browser=CHROME), sign_in("max")
        path = f"/api/session/devices/{listed(here)[1]['id']}/"
        assert elsewhere.delete(path).status_code == 404
        assert here.delete(path).status_code == 204
        assert [is_signed_in(client) for client in (here, there, elsewhere)] == [True, False, True]
        assert here.delete(path).status_code == 404

    def test_own_session_is_left_by_signing_out(self, sign_in: Callable[..., Client]) -> None:
        here = sign_in()
        answer = here.delete(f"/api/session/devices/{listed(here)[0]['id']}/")
        assert (answer.status_code, answer.json()["code"]) == (400, "own_session")
        here.post("/api/session/logout/", {}, content_type=JSON)
        assert UserSession.objects.count() == 0

    def test_closing_the_others_keeps_this_one(self, sign_in: Callable[..., Client]) -> None:
        here, there, elsewhere = sign_in(), sign_in(), sign_in("max")
        answer = here.post("/api/session/devices/close-others/", {}, content_type=JSON)
        assert [row["is_current"] for row in answer.json()] == [True]
        assert [is_signed_in(client) for client in (here, there, elsewhere)] == [True, False, True]

    def test_changed_password_ends_the_others(self, sign_in: Callable[..., Client]) -> None:
        here, there = sign_in(), sign_in()
        body = {"old_password": PASSWORD, "new_password": "un-autre-mot-de-passe"}
        assert here.post("/api/session/password/", body, content_type=JSON).status_code == 204
        assert [is_signed_in(client) for client in (here, there)] == [True, False]
        assert [row["is_current"] for row in listed(here)] == [True]

    def test_session_that_was_never_noted_ends_with_the_others(self, sign_in: Callable[..., Client]) -> None:
        here, there, elsewhere = sign_in(), sign_in(), sign_in("max")
        UserSession.objects.filter(session_id=there.cookies["sessionid"].value).delete()
        assert here.post("/api/session/devices/close-others/", {}, content_type=JSON).status_code == 200
        assert [is_signed_in(client) for client in (here, there, elsewhere)] == [True, False, True]

    def test_deleted_account_leaves_no_session(self, sign_in: Callable[..., Client]) -> None:
        here, there = sign_in(), sign_in()
        assert here.delete("/api/session/account/", {"password": PASSWORD}, content_type=JSON).status_code == 204
        assert not is_signed_in(there)
        assert Session.objects.count() == 0

    def test_expired_session_is_not_listed(self, sign_in: Callable[..., Client]) -> None:
        here = sign_in()
        sign_in()
        past = timezone.now() - timedelta(seconds=1)
        Session.objects.filter(device__pk=listed(here)[1]["id"]).update(expire_date=past)
        assert len(listed(here)) == 1

    def test_use_is_noted_once_a_minute(self, sign_in: Callable[..., Client]) -> None:
        here = sign_in()
        row = UserSession.objects.get()
        user, key, first = row.user, row.session_id, row.last_seen_at
        for seconds, noted in [(59, 0), (60, 60), (100, 60)]:
            now = first + timedelta(seconds=seconds)
            devices.note_seen(user, key, address="10.0.0.1", user_agent=CHROME, now=now)
            row.refresh_from_db()
            assert row.last_seen_at == first + timedelta(seconds=noted)
        assert listed(here)[0]["browser"] == "Chrome sur Windows"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (CHROME.replace("Safari/537.36", "Safari/537.36 Edg/142.0"), "Edge sur Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari sur iPhone"),
        ("Mozilla/5.0 (Linux; Android 16) Chrome/142.0 Mobile Safari/537.36", "Chrome sur Android"),
        ("python-requests/2.34", "python-requests"),
        ("", "Navigateur inconnu"),
        ("\x00\x01", "Navigateur inconnu"),
    ],
)
def test_browser_is_named_for_people(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("period_s", "told"), [(60.0, True), (0.02, False)])
async def test_socket_closes_with_its_session_also_when_nobody_told(
    period_s: float, told: bool, sign_in: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not told:
        monkeypatch.setattr(session_ends, "tell", lambda key: None)
    client = await sync_to_async(sign_in)()
    key = client.cookies["sessionid"].value
    guarded = AuthMiddlewareStack(OpenSessionOnly(EventsConsumer.as_asgi(feeds={}), period_s=period_s))
    headers = [(b"cookie", f"sessionid={key}".encode())]
    socket = WebsocketCommunicator(guarded, "/ws/", headers=headers)
    assert (await socket.connect())[0] is True
    await socket.send_json_to({"type": "subscribe", "topics": ["orders"]})
    assert (await socket.receive_json_from(timeout=5))["type"] == "subscribed"
    assert await socket.receive_nothing(timeout=0.1)  # an open session keeps its socket
    await sync_to_async(Session.objects.filter(pk=key).delete)()
    closing = await socket.receive_output(timeout=5)
    assert (closing["type"], closing["code"]) == ("websocket.close", 4408)
    await asyncio.wait_for(socket.wait(timeout=5), 6)


async def test_socket_of_nobody_is_left_to_the_consumer() -> None:
    seen: list[MutableMapping[str, Any]] = []

    async def inner(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope)

    class Nobody:
        is_authenticated = False

    scope = {"user": Nobody(), "session": None}
    await OpenSessionOnly(inner)(scope, None, None)  # type: ignore[arg-type]
    assert seen == [scope]
