"""What every answer forbids the browser, and how cookies are marked."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(tmp_path: Path, settings: SettingsWrapper) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><html><head><title>A</title></head></html>")
    settings.FRONTEND_DIST = tmp_path


def directives(answer: Any) -> dict[str, str]:
    parts = [part.partition(" ") for part in answer["Content-Security-Policy"].split("; ")]
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("path", ["/", "/bots", "/api/session/", "/api/nulle-part/", "/assets/nulle-part.js"])
def test_every_answer_bears_the_policy(page: None, path: str) -> None:
    answer = Client().get(path)
    policy = directives(answer)
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self' ws://testserver"
    assert [name for name, value in policy.items() if "unsafe" in value] == ["style-src-attr"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]
    assert "Strict-Transport-Security" not in answer


def test_page_bears_the_nonce_of_its_policy_and_each_answer_another(page: None) -> None:
    first, second = Client().get("/"), Client().get("/")
    nonce = first.content.decode().partition('nonce="')[2].partition('"')[0]
    assert len(nonce) == 22
    assert f"'nonce-{nonce}'" in directives(first)["style-src-elem"]
    assert nonce not in second["Content-Security-Policy"]


def test_answers_of_the_api_are_kept_by_nobody() -> None:
    assert Client().get("/api/session/")["Cache-Control"] == "no-store"


@pytest.mark.parametrize("secure", [True, False])
def test_cookies_are_secure_over_tls_and_work_without(secure: bool) -> None:
    client = Client()
    body = {"username": "lea", "password": "une-phrase-longue-42"}
    answer = client.post("/api/session/register/", body, content_type="application/json", secure=secure)
    assert answer.status_code == 201
    assert set(answer.cookies) == {"sessionid", "csrftoken", "known_browser"}
    for name, cookie in answer.cookies.items():
        assert (bool(cookie["secure"]), cookie["samesite"]) == (secure, "Lax")
        assert bool(cookie["httponly"]) is (name != "csrftoken")  # our own script sends that one back
    assert ("Strict-Transport-Security" in answer) is secure


def test_unknown_host_is_refused() -> None:
    assert Client().get("/api/session/", headers={"Host": "evil.example"}).status_code == 400
