"""The session over HTTP: registration, signing in and out, the debug switch, deletion, limits."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts.models import DebugMode, User
from apps.accounts.services import debug_mode, registration
from domain.errors import LimitReached

PASSWORD = "une-phrase-longue-42"

pytestmark = pytest.mark.django_db(transaction=True)


def csrf_client() -> Client:
    client = Client(enforce_csrf_checks=True)
    client.get("/api/session/")
    return client


def post(client: Client, path: str, body: dict[str, Any], method: str = "post") -> Any:
    token = client.cookies["csrftoken"].value
    call = getattr(client, method)
    return call(path, body, content_type="application/json", headers={"X-CSRFToken": token})


def test_anonymous_session_has_no_user_and_sets_the_csrf_cookie() -> None:
    client = Client()
    answer = client.get("/api/session/")
    assert answer.status_code == 200
    assert answer.json()["user"] is None
    assert "csrftoken" in client.cookies


def test_registration_signs_in_and_keeps_a_hash_only() -> None:
    client = csrf_client()
    answer = post(client, "/api/session/register/", {"username": "lea", "password": PASSWORD})
    assert answer.status_code == 201, answer.content
    assert answer.json()["user"]["username"] == "lea"
    assert client.get("/api/session/").json()["user"]["username"] == "lea"
    assert User.objects.get(username="lea").password.startswith("argon2")


def test_registration_without_csrf_token_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post(
        "/api/session/register/", {"username": "lea", "password": PASSWORD}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert not User.objects.filter(username="lea").exists()


@pytest.mark.parametrize(
    ("name", "password", "code"),
    [
        ("l", PASSWORD, "invalid_username"),
        ("léa <script>", PASSWORD, "invalid_username"),
        ("lea", "court", "weak_password"),
        ("lea", "password123456", "weak_password"),
    ],
)
def test_registration_with_bad_input_says_why(name: str, password: str, code: str) -> None:
    answer = post(csrf_client(), "/api/session/register/", {"username": name, "password": password})
    if code == "weak_password" and answer.status_code == 201:
        pytest.fail("a weak password was accepted")
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert answer.json()["message"].split(" ")[0] in ("Nom", "Mot")


def test_sixth_user_is_refused_also_in_a_race() -> None:
    for index in range(4):
        registration.register(username=f"user{index}", password=PASSWORD)
    outcomes: list[str] = []

    def attempt(name: str) -> None:
        try:
            registration.register(username=name, password=PASSWORD)
            outcomes.append("created")
        except LimitReached as refused:
            outcomes.append(refused.error_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(f"racer{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["created", "limit_reached", "limit_reached", "limit_reached"]
    assert User.objects.count() == 5


def test_wrong_password_is_refused_in_french_and_repeated_tries_lock() -> None:
    registration.register(username="lea", password=PASSWORD)
    client = csrf_client()
    answer = post(client, "/api/session/login/", {"username": "lea", "password": "faux"})
    assert answer.status_code == 403
    assert answer.json()["message"] == "Connexion refusée : utilisateur ou mot de passe inconnu."
    for _ in range(10):
        answer = post(client, "/api/session/login/", {"username": "lea", "password": "faux"})
    assert answer.json()["code"] == "locked_out"
    right = post(client, "/api/session/login/", {"username": "lea", "password": PASSWORD})
    assert right.json()["code"] == "locked_out"


def test_login_then_logout_ends_the_session() -> None:
    registration.register(username="lea", password=PASSWORD)
    client = csrf_client()
    assert post(client, "/api/session/login/", {"username": "lea", "password": PASSWORD}).status_code == 200
    assert post(client, "/api/session/logout/", {}).status_code == 204
    assert client.get("/api/session/").json()["user"] is None


def test_debug_switch_is_unknown_where_the_server_forbids_it(settings: Any) -> None:
    settings.DEBUG_ARISTOBOT = False
    registration.register(username="dev", password=PASSWORD)
    answer = post(csrf_client(), "/api/session/debug/", {"active": True})
    assert answer.status_code == 404
    assert not DebugMode.objects.filter(is_active=True).exists()


def test_debug_switch_signs_in_dev_and_switches_off(settings: Any) -> None:
    settings.DEBUG_ARISTOBOT = True
    registration.register(username="dev", password=PASSWORD)
    client = csrf_client()
    answer = post(client, "/api/session/debug/", {"active": True})
    assert answer.json()["user"]["username"] == "dev"
    assert answer.json()["debug"] == {"allowed": True, "active": True}
    assert post(client, "/api/session/debug/", {"active": False}).json()["debug"]["active"] is False


def test_stale_debug_row_is_put_off_at_start(settings: Any) -> None:
    settings.DEBUG_ARISTOBOT = True
    debug_mode.set_active(True)
    settings.DEBUG_ARISTOBOT = False
    assert debug_mode.is_active() is False
    debug_mode.force_off_unless_allowed()
    assert DebugMode.objects.get(id=1).is_active is False


def test_password_change_needs_the_old_one_and_keeps_the_session() -> None:
    client = csrf_client()
    post(client, "/api/session/register/", {"username": "lea", "password": PASSWORD})
    wrong = post(client, "/api/session/password/", {"old_password": "faux", "new_password": "autre-phrase-77"})
    assert wrong.json()["code"] == "wrong_password"
    body = {"old_password": PASSWORD, "new_password": "autre-phrase-77"}
    assert post(client, "/api/session/password/", body).status_code == 204
    assert client.get("/api/session/").json()["user"]["username"] == "lea"
    assert User.objects.get(username="lea").check_password("autre-phrase-77")


def test_preferences_are_kept_and_checked() -> None:
    client = csrf_client()
    post(client, "/api/session/register/", {"username": "lea", "password": PASSWORD})
    answer = post(client, "/api/session/preferences/", {"theme": "light", "display_timezone": "local"}, "patch")
    assert answer.json()["user"]["theme"] == "light"
    assert post(client, "/api/session/preferences/", {"theme": "rose"}, "patch").status_code == 400
    assert User.objects.get(username="lea").theme == "light"


def test_deleting_the_account_asks_the_password_and_frees_the_place() -> None:
    client = csrf_client()
    post(client, "/api/session/register/", {"username": "lea", "password": PASSWORD})
    assert post(client, "/api/session/account/", {"password": "faux"}, "delete").status_code == 400
    assert post(client, "/api/session/account/", {"password": PASSWORD}, "delete").status_code == 204
    assert User.objects.count() == 0


def test_unknown_api_path_is_a_french_404() -> None:
    answer = Client().get("/api/nulle-part/")
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_path"


def test_private_path_without_session_is_refused() -> None:
    assert Client().get("/api/health/").status_code in (401, 403)
