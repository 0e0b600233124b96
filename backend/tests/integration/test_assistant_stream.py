"""The assistant against a local server that speaks the OpenAI protocol: streams, refusals, stalls, cuts."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.db import connections
from django.test import Client
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import User
from apps.core.adapters import ai_client
from apps.core.adapters.ai_providers import StreamTimeouts
from apps.core.disconnect import until_disconnect
from apps.strategies import assistant_views
from apps.strategies.services.assistant import answer
from apps.strategies.services.pacing import AT_ONCE, PER_WINDOW, Pace
from aristobot.routing import STREAMED_PATHS
from domain.assistant import AiProvider
from domain.assistant_prompt import AssistantRequest, Mode
from domain.errors import TooManyRequests, Unavailable
from domain.strategies.contract import CodeError, Validation
from tests.engine_world import make_user
from tests.fakes.http_server import Cut, LocalServer, Reply, local_server

KEY = "sk-or-v1-abcdefghijkl3f9c"
PROMPT = "ma-recette-secrete"
GOOD = "class Bonne(Strategy):\n    pass\n"
BAD = "class Mauvaise(Strategy):\n    pass\n"
QUICK = StreamTimeouts(first_s=0.4, silence_s=0.4, total_s=5)
VALID = Validation(valid=True, class_name="Bonne", errors=())
WRONG = Validation(valid=False, class_name="Mauvaise", errors=(CodeError("nom « x » inconnu", line=2),))


def sse(**choice: Any) -> bytes:
    return f"data: {json.dumps({'id': '1', 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n".encode()


def said(text: str) -> bytes:
    return sse(index=0, delta={"content": text}, finish_reason=None)


def ended(reason: str = "stop") -> bytes:
    return sse(index=0, delta={}, finish_reason=reason) + b"data: [DONE]\n\n"


def spoken(code: str) -> Iterator[bytes]:
    yield b": OPENROUTER PROCESSING\n\n"
    yield sse(index=0, delta={"content": "", "reasoning": "hmm"}, finish_reason=None)
    for piece in ("Je change ", "le seuil.\n```python\n", code[:9], code[9:], "```"):
        yield said(piece)
    yield ended()


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server(lambda asked: Reply(body=spoken(GOOD))) as running:
        yield running


async def judge(code: str) -> Validation:
    return WRONG if "Mauvaise" in code else VALID


async def talk(
    server: LocalServer, *, validate: Any = judge, name: str = "ollama", **facts: Any
) -> list[dict[str, Any]]:
    request = AssistantRequest(**{"mode": Mode.CONTINUE, "message": PROMPT, "code": "x = 1", **facts})
    provider = AiProvider(name, f"{server.url}/v1", "mistral", api_key=KEY if name == "openrouter" else "")
    return [event async for event in answer(provider, request, validate=validate, timeouts=QUICK)]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events if event["type"] != "text"]


async def test_code_streams_is_tried_and_offered(server: LocalServer) -> None:
    events = await talk(server, name="openrouter")
    assert kinds(events) == ["start", "think", "check", "done"]
    assert events[0] == {"type": "start", "provider": "openrouter", "model": "mistral"}
    assert "".join(event["text"] for event in events if event["type"] == "text").startswith(
        "Je change le seuil.\n```"
    )
    assert events[-1] == {
        "type": "done",
        "text": "Je change le seuil.",
        "code": GOOD,
        "valid": True,
        "class_name": "Bonne",
        "errors": [],
        "unchecked": "",
    }
    (asked,) = server.asked
    assert (asked.path, asked.headers["Authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert (asked.body["model"], asked.body["stream"]) == ("mistral", True)
    assert KEY not in json.dumps(asked.body)


async def test_invalid_code_is_mended_once_before_it_is_offered(server: LocalServer) -> None:
    server.answer = lambda asked: Reply(body=spoken(BAD if len(server.asked) == 1 else GOOD))
    events = await talk(server)
    assert kinds(events) == ["start", "think", "check", "repair", "think", "check", "done"]
    assert (events[-1]["code"], events[-1]["valid"]) == (GOOD, True)
    assert "- ligne 2 : nom « x » inconnu" in server.asked[1].body["messages"][-1]["content"]
    assert "class Mauvaise" in server.asked[1].body["messages"][-2]["content"]


async def test_code_that_stays_invalid_is_not_offered_as_valid(server: LocalServer) -> None:
    server.answer = lambda asked: Reply(body=spoken(BAD))
    done = (await talk(server))[-1]
    assert (done["type"], done["valid"], done["errors"][0]["line"]) == ("done", False, 2)
    assert len(server.asked) == 2


async def test_dead_sandbox_leaves_the_code_unchecked(server: LocalServer) -> None:
    async def dead(code: str) -> Validation:
        raise Unavailable("Code non testé : Redis ne répond pas.")

    done = (await talk(server, validate=dead))[-1]
    assert (done["code"], done["valid"], done["unchecked"]) == (
        GOOD,
        False,
        "Code non testé : Redis ne répond pas.",
    )


async def test_explanation_needs_no_code_and_no_sandbox(server: LocalServer) -> None:
    server.answer = lambda asked: Reply(body=iter([said("Elle achète "), said("les creux."), ended()]))
    events = await talk(server, mode=Mode.EXPLAIN)
    assert (kinds(events), events[-1]["text"], events[-1]["code"]) == (
        ["start", "done"],
        "Elle achète les creux.",
        None,
    )


def broken() -> Iterator[bytes]:
    yield said("Je commence ")
    raise Cut


def stalled(release: threading.Event) -> Iterator[bytes]:
    yield said("Je commence ")
    release.wait(10)


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (
            lambda: Reply(401, {"error": {"message": f"No user for {KEY}"}}),
            "ai_key_refused",
            "« No user for •••• »",
        ),
        (lambda: Reply(402, {"error": {"message": "Insufficient credits"}}), "ai_no_credit", "crédit insuffisant"),
        (lambda: Reply(429, {"error": {}}, {"Retry-After": "7"}), "ai_rate_limited", "réessayer dans 7 s"),
        (lambda: Reply(404, {"error": "model not found"}), "ai_model_unknown", "modèle ou adresse inconnu"),
        (lambda: Reply(400, {"error": {"message": "context length 4096"}}), "ai_context_too_long", "trop longue"),
        (lambda: Reply(503, b"<html>"), "ai_provider_down", "panne chez le fournisseur"),
        (lambda: Reply(302, {}, {"Location": "http://169.254.169.254/"}), "ai_refused", "HTTP 302"),
        (lambda: Reply(200, {"error": "non"}), "ai_unreadable", "flux attendu"),
        (
            lambda: Reply(body=iter([b'data: {"error": {"code": 502, "message": "down"}}\n\n'])),
            "ai_provider_down",
            "down",
        ),
        (lambda: Reply(body=iter([b"data: {pas du json\n\n"])), "ai_unreadable", "JSON attendu"),
        (lambda: Reply(body=iter([b'data: {"choices": "x"}\n\n'])), "ai_unreadable", "forme inconnue"),
        (lambda: Reply(body=iter([ended()])), "ai_empty", "réponse vide"),
        (lambda: Reply(body=iter([said("Je commence")])), "ai_interrupted", "interrompue avant la fin"),
        (lambda: Reply(body=broken()), "ai_interrupted", "échange interrompu"),
        (
            lambda: Reply(body=iter([said("```python\nclass A(Strategy):\n"), ended("length")])),
            "ai_cut",
            "Code coupé",
        ),
        (lambda: Reply(body=iter([said("```python\nclass A(Strategy):\n"), ended()])), "ai_cut", "Code coupé"),
        (lambda: Reply(body=iter([b"data: " + b"x" * (1024 * 1024)] * 9)), "ai_unreadable", "plus de 8 Mio"),
    ],
)
async def test_trouble_is_told_in_french(
    server: LocalServer, reply: Callable[[], Reply], code: str, words: str
) -> None:
    server.answer = lambda asked: reply()
    failed = (await talk(server, name="openrouter"))[-1]
    assert (failed["type"], failed["code"]) == ("error", code), failed
    assert words in failed["message"]
    assert KEY not in failed["message"]
    assert len(server.asked) == 1


async def test_provider_that_is_not_there_is_unreachable(server: LocalServer) -> None:
    with local_server(lambda asked: Reply()) as gone:
        pass
    failed = (await talk(gone))[-1]
    assert (failed["code"], "injoignable (connexion refusée)" in failed["message"]) == ("ai_unreachable", True), (
        failed
    )


async def test_silence_is_given_up_and_told_meanwhile(server: LocalServer) -> None:
    release = threading.Event()
    server.answer = lambda asked: Reply(body=stalled(release))
    provider = AiProvider("ollama", f"{server.url}/v1", "lent")
    request = AssistantRequest(mode=Mode.GENERATE, message="EMA")
    try:
        events = [
            event async for event in answer(provider, request, validate=judge, timeouts=QUICK, told_every_s=0.1)
        ]
    finally:
        release.set()
    assert "wait" in kinds(events)
    assert (events[-1]["code"], "silence depuis 0 s" in events[-1]["message"]) == ("ai_timeout", True)


async def test_name_is_checked_where_it_is_resolved(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def elsewhere(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "169.254.169.254"]

    monkeypatch.setattr(ai_client, "resolve", elsewhere)
    failed = (await talk(server))[-1]
    assert (failed["code"], server.asked) == ("ollama_url_refused", [])


async def test_stopping_closes_the_call_at_the_provider(server: LocalServer) -> None:
    server.answer = lambda asked: Reply(body=endless())
    provider = AiProvider("ollama", f"{server.url}/v1", "bavard")
    async with aclosing(answer(provider, AssistantRequest(Mode.GENERATE, "EMA"), validate=judge)) as events:
        async for event in events:
            if event["type"] == "text":
                break
    assert await asyncio.to_thread(server.left.wait, 10)


def endless() -> Iterator[bytes]:
    while True:
        yield said("encore ")


def test_pace_refuses_too_many_requests_and_forgives_later() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    for _ in range(PER_WINDOW):
        pace.admit(1)
    pace.admit(2)  # another user's
    now[0] = 12.5
    with pytest.raises(TooManyRequests, match=r"10 demandes par minute au plus, réessayer dans 48 s"):
        pace.admit(1)
    now[0] = 60.0
    pace.admit(1)
    with (
        pace.running(1),
        pace.running(1),
        pytest.raises(TooManyRequests, match=f"{AT_ONCE} réponses"),
        pace.running(1),
    ):
        pass
    with pace.running(1):
        pass


@pytest.fixture
def lea_client(settings: SettingsWrapper, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Client:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr(assistant_views, "PACE", Pace())
    monkeypatch.setattr(assistant_views, "validate_async", judge)
    client = Client()
    client.force_login(make_user("lea"), backend="django.contrib.auth.backends.ModelBackend")
    User.objects.filter(username="lea").update(ai_url=server.url, ai_ollama_model="mistral")
    return client


def ask(client: Client, **facts: Any) -> Any:
    body = {"task": "generate", "message": PROMPT, **facts}
    return client.post("/api/assistant/generate/", body, content_type="application/json")


@pytest.mark.django_db
def test_both_switches_off_is_one_sentence_and_nothing_is_asked(lea_client: Client, server: LocalServer) -> None:
    refused = ask(lea_client)
    assert (refused.status_code, refused.json()["code"]) == (409, "assistant_off")
    User.objects.update(ai_provider="ollama")
    for bad in ({"message": " "}, {"task": "explain"}, {"task": "chat"}, {"message": "x" * 4001}):
        assert ask(lea_client, **bad).status_code == 400
    assert server.asked == []


@pytest.mark.django_db
def test_eleventh_request_of_a_minute_is_refused(lea_client: Client) -> None:
    User.objects.update(ai_provider="ollama")
    for _ in range(PER_WINDOW):
        assert ask(lea_client).status_code == 200  # not read: an answer nobody waits for asks nobody
    assert (ask(lea_client).status_code, ask(lea_client).json()["code"]) == (429, "assistant_rate_limited")


@pytest.fixture
async def _thread_left_clean() -> AsyncGenerator[None, None]:
    """The thread of `sync_to_async` outlives the test: tests without a database must not meet its connection."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_thread_left_clean")
async def test_browser_reads_lines_and_leaving_ends_the_call(
    lea_client: Client, server: LocalServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await sync_to_async(User.objects.update)(ai_provider="ollama")
    lines = [line async for line in _lines(lea_client)]
    assert [json.loads(line)["type"] for line in lines][-2:] == ["check", "done"]

    server.answer = lambda asked: Reply(body=endless())
    async with aclosing(_lines(lea_client)) as reading:
        async for line in reading:
            if json.loads(line)["type"] == "text":
                break
    assert await asyncio.to_thread(server.left.wait, 10)
    ours = [record for record in caplog.records if not record.name.startswith(("openai", "httpcore2", "httpx2"))]
    logged = capfd.readouterr()
    assert PROMPT not in logged.out + logged.err + " ".join(record.getMessage() for record in ours)


async def _lines(client: Client) -> AsyncGenerator[bytes, None]:
    """The route as Daphne calls it; leaving the iterator is the browser closing the connection."""
    body = json.dumps({"task": "generate", "message": PROMPT}).encode()
    token = "c" * 32
    cookies = {**{name: morsel.value for name, morsel in client.cookies.items()}, "csrftoken": token}
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = {"host": "localhost", "content-type": "application/json", "cookie": cookie, "x-csrftoken": token}
    headers["content-length"] = str(len(body))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/assistant/generate/",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    talk = ApplicationCommunicator(until_disconnect(get_asgi_application(), paths=STREAMED_PATHS), scope)
    await talk.send_input({"type": "http.request", "body": body})
    start = await talk.receive_output(20)
    assert (start["status"], dict(start["headers"])[b"Content-Type"]) == (200, b"application/x-ndjson"), start
    try:
        while (part := await talk.receive_output(20)).get("more_body"):
            for line in part["body"].splitlines():
                yield line
    finally:
        await talk.send_input({"type": "http.disconnect"})
        await talk.wait(20)
