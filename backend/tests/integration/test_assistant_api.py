"""The AI provider over HTTP, against a local server that speaks the OpenAI protocol."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import User
from apps.accounts.selectors import assistant_provider
from apps.core.adapters import ai_client, ai_providers, secrets
from domain.assistant import AiProvider
from domain.errors import AiProviderError
from tests.engine_world import make_user
from tests.fakes.http_server import Asked, LocalServer, Reply, local_server

KEY = "sk-or-v1-abcdefghijkl3f9c"
JSON = "application/json"
MODELS = {"data": [{"id": "mistral/large", "name": "Mistral Large"}, {"id": "aya:8b"}, {"object": "sans id"}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "prêt"}}]}

pytestmark = pytest.mark.django_db


def provider(asked: Asked) -> Reply:
    """OpenRouter's manners: the list is public, a completion wants the key."""
    if asked.path.endswith("/models"):
        return Reply(body=MODELS)
    if asked.headers.get("Authorization") not in (None, f"Bearer {KEY}"):
        return Reply(401, {"error": {"message": "User not found.", "code": 401}})
    return Reply(body=ANSWER)


@pytest.fixture
def server(settings: SettingsWrapper) -> Iterator[LocalServer]:
    with local_server(provider) as running:
        settings.OPENROUTER_URL = f"{running.url}/api/v1"
        yield running


@pytest.fixture
def client(settings: SettingsWrapper) -> Client:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    signed_in = Client()
    signed_in.force_login(make_user("lea"), backend="django.contrib.auth.backends.ModelBackend")
    return signed_in


def change(client: Client, **changes: Any) -> Any:
    return client.patch("/api/assistant/settings/", changes, content_type=JSON)


def lea() -> User:
    user: User = User.objects.get(username="lea")
    return user


def test_settings_start_off_with_the_suggested_address(client: Client) -> None:
    body = client.get("/api/assistant/settings/").json()
    assert body == {
        "provider": "",
        "is_on": False,
        "openrouter": {"has_key": False, "key_hint": "", "model": ""},
        "ollama": {"url": "http://localhost:11434", "model": ""},
    }
    assert client.get("/api/session/").json()["assistant"] == {"is_on": False, "provider": "", "model": ""}
    assert assistant_provider(lea()) is None


def test_key_is_stored_encrypted_and_only_its_end_is_shown(client: Client) -> None:
    answer = change(client, provider="openrouter", openrouter_key=f" {KEY} ")
    assert answer.json()["openrouter"] == {"has_key": True, "key_hint": "3f9c", "model": ""}
    assert KEY not in answer.content.decode()
    stored = lea().ai_api_key
    assert KEY not in stored
    assert secrets.decrypt(stored) == KEY
    assert change(client, openrouter_key="").json()["openrouter"]["has_key"] is False
    assert lea().ai_api_key == ""


def test_switching_one_provider_on_switches_the_other_off(client: Client) -> None:
    change(client, openrouter_key=KEY, openrouter_model="mistral/large", ollama_model="aya:8b")
    assert change(client, provider="openrouter").json()["provider"] == "openrouter"
    assert client.get("/api/session/").json()["assistant"] == {
        "is_on": True,
        "provider": "openrouter",
        "model": "mistral/large",
    }
    assert change(client, provider="ollama").json()["provider"] == "ollama"
    assert assistant_provider(lea()) == AiProvider("ollama", "http://localhost:11434/v1", "aya:8b")
    assert change(client, provider="").json()["is_on"] is False
    assert assistant_provider(lea()) is None
    assert change(client, provider="openrouter").json()["is_on"] is True  # each keeps its own settings


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"provider": "openai"}, "invalid_input"),
        ({"openrouter_key": "clé avec espace"}, "ai_key_malformed"),
        ({"openrouter_key": "ligne\nen-trop"}, "ai_key_malformed"),
        ({"ollama_url": "http://169.254.169.254"}, "ollama_url_refused"),
        ({"ollama_url": "gopher://localhost"}, "ollama_url_refused"),
        ({"ollama_model": "x" * 129}, "invalid_input"),
    ],
)
def test_bad_setting_is_refused_and_nothing_is_stored(client: Client, changes: dict[str, Any], code: str) -> None:
    answer = change(client, **changes)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert client.get("/api/assistant/settings/").json()["provider"] == ""
    assert (lea().ai_api_key, lea().ai_url, lea().ai_ollama_model) == ("", "", "")


def test_models_come_from_the_provider_by_name(client: Client, server: LocalServer) -> None:
    change(client, openrouter_key=KEY)
    answer = client.get("/api/assistant/models/", {"provider": "openrouter"})
    assert answer.json() == [{"id": "aya:8b", "name": "aya:8b"}, {"id": "mistral/large", "name": "Mistral Large"}]
    asked = server.asked[-1]
    assert (asked.method, asked.path, asked.headers["Authorization"]) == ("GET", "/api/v1/models", f"Bearer {KEY}")


def test_ollama_without_models_answers_an_empty_list(client: Client, server: LocalServer) -> None:
    server.answer = lambda asked: Reply(body={"object": "list", "data": None})
    change(client, ollama_url=server.url)
    assert client.get("/api/assistant/models/", {"provider": "ollama"}).json() == []
    assert (server.asked[-1].path, "Authorization" in server.asked[-1].headers) == ("/v1/models", False)


def test_the_chosen_model_is_asked_one_word(client: Client, server: LocalServer) -> None:
    change(client, openrouter_key=KEY, openrouter_model="mistral/large")
    answer = client.post("/api/assistant/test/", {"provider": "openrouter"}, content_type=JSON)
    assert answer.status_code == 200, answer.content
    assert answer.json()["model"] == "mistral/large"
    assert server.asked[-1].path == "/api/v1/chat/completions"
    assert server.asked[-1].body["model"] == "mistral/large"
    assert server.asked[-1].body["max_tokens"] <= 16


def test_without_key_or_model_nothing_is_asked(client: Client, server: LocalServer) -> None:
    for call in (
        client.get("/api/assistant/models/", {"provider": "openrouter"}),
        client.post("/api/assistant/test/", {"provider": "openrouter"}, content_type=JSON),
    ):
        assert (call.status_code, call.json()["code"]) == (400, "ai_key_missing")
    change(client, openrouter_key=KEY)
    refused = client.post("/api/assistant/test/", {"provider": "openrouter"}, content_type=JSON)
    assert (refused.status_code, refused.json()["code"]) == (400, "ai_model_missing")
    assert server.asked == []


def test_wrong_key_is_told_in_the_providers_words_without_the_key(client: Client, server: LocalServer) -> None:
    wrong = "sk-or-v1-mauvaise-cle-0000"
    server.answer = lambda asked: Reply(401, {"error": {"message": f"No user for {wrong}"}})
    change(client, openrouter_key=wrong, openrouter_model="m")
    answer = client.post("/api/assistant/test/", {"provider": "openrouter"}, content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (502, "ai_key_refused")
    expected = "Le modèle « m » ne répond pas chez OpenRouter : clé API refusée (HTTP 401, « No user for •••• »)."
    assert answer.json()["message"] == expected
    assert wrong not in answer.content.decode()


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (
            Reply(402, {"error": {"message": "Insufficient credits"}}),
            "ai_no_credit",
            "HTTP 402, « Insufficient credits »",
        ),
        (Reply(404, {"error": "model 'x' not found"}), "ai_model_unknown", "« model 'x' not found »"),
        (Reply(429, {"error": "slow down"}, {"Retry-After": "12"}), "ai_rate_limited", "réessayer dans 12 s"),
        (Reply(200, {"error": {"message": "upstream down"}}), "ai_provider_down", "« upstream down »"),
        (Reply(502, b"<html>Bad gateway</html>"), "ai_provider_down", "(HTTP 502)."),
        (Reply(200, b"<html>Box</html>"), "ai_unreadable", "réponse illisible (HTTP 200, JSON attendu)"),
        (Reply(200, {"choices": []}), "ai_unreadable", "réponse sans texte"),
        (Reply(302, {}, {"Location": "http://169.254.169.254/"}), "ai_refused", "HTTP 302"),
        (Reply(200, b"x" * (9 * 1024 * 1024)), "ai_unreadable", "plus de 8 Mio"),
    ],
)
def test_failure_is_told_in_french(
    client: Client, server: LocalServer, reply: Reply, code: str, words: str
) -> None:
    server.answer = lambda asked: reply
    change(client, ollama_url=server.url, ollama_model="x")
    answer = client.post("/api/assistant/test/", {"provider": "ollama"}, content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (502, code)
    assert words in answer.json()["message"]
    assert len(server.asked) == 1  # a redirection is not followed


def test_server_that_is_not_there_is_unreachable(client: Client) -> None:
    with local_server(provider) as gone:
        pass
    change(client, ollama_url=gone.url)
    answer = client.get("/api/assistant/models/", {"provider": "ollama"})
    assert (answer.status_code, answer.json()["code"]) == (502, "ai_unreachable")
    assert gone.url in answer.json()["message"]


async def test_silent_provider_is_given_up_after_the_time_out(server: LocalServer) -> None:
    release = threading.Event()

    def silent(asked: Asked) -> Reply:
        release.wait(20)
        return Reply(body=MODELS)

    server.answer = silent
    try:
        with pytest.raises(AiProviderError, match="pas de réponse en 0 s") as late:
            await ai_providers.list_models(AiProvider("ollama", f"{server.url}/v1", ""), timeout_s=0.2)
    finally:
        release.set()
    assert late.value.error_code == "ai_timeout"


async def test_name_that_resolves_outside_the_local_network_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async def elsewhere(host: str, port: int) -> list[str]:
        return ["169.254.169.254"]

    monkeypatch.setattr(ai_client, "resolve", elsewhere)
    with pytest.raises(AiProviderError, match=r"piege\.example est 169\.254\.169\.254") as refused:
        await ai_providers.list_models(AiProvider("ollama", "http://piege.example/v1", ""))
    assert refused.value.error_code == "ollama_url_refused"


def test_key_of_another_secret_key_is_told_and_not_shown(client: Client, settings: SettingsWrapper) -> None:
    change(client, provider="openrouter", openrouter_key=KEY, openrouter_model="m")
    settings.SECRET_KEY = "une-autre-cle-secrete"
    user = lea()
    with pytest.raises(secrets.SecretUnreadable):
        assistant_provider(user)
