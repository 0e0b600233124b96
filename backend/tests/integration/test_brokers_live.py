"""A user's brokers through the whole of terminal 5 and the simulated exchange."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import User
from apps.brokers.models import Exchange
from apps.core.adapters.ccxt_catalogue import all_exchange_facts
from apps.core.adapters.database import close_database, in_database
from aristobot.wiring.ccxt_service import CcxtService
from tests.fakes.simex_process import SimexProcess, running_simex

pytestmark = pytest.mark.django_db(transaction=True)

START_S = 45.0
JSON = "application/json"
WRONG = {"apiKey": "cle-fausse-mais-bien-longue", "secret": "secret-faux-et-bien-long"}


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with running_simex("--seed", "6", "--symbols", "BTCUSDT,ETHUSDT") as process:
        yield process


@pytest.fixture
def client(simex: SimexProcess, settings: SettingsWrapper) -> Client:
    settings.SIMEX_URL = simex.url
    client = Client()
    user = User.objects.create_user(username="lea", password="une-phrase-longue-42")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
async def terminal_5(client: Client) -> AsyncIterator[CcxtService]:
    """The whole service in this process's loop; `client` has the simulated exchange's address set."""
    service = CcxtService()
    running = asyncio.create_task(service.run())
    yield service
    running.cancel()
    await asyncio.wait([running], timeout=10)
    assert running.cancelled()
    await close_database()


async def ask(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call the client in a thread of its own: terminal 5 serves from this loop meanwhile."""

    def run() -> Any:
        try:
            return call(*arguments, **options)
        finally:
            connections.close_all()

    async with asyncio.timeout(START_S):
        return await asyncio.to_thread(run)


async def described() -> None:
    async with asyncio.timeout(START_S):
        while not await in_database(Exchange.objects.exclude(catalogue_version="").exists):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def test_every_exchange_of_ccxt_is_described_without_network() -> None:
    facts = all_exchange_facts()
    assert len(facts) > 100
    assert facts["okx"]["required_credentials"] == ["apiKey", "secret", "password"]
    assert set(facts["hyperliquid"]["required_credentials"]) == {"walletAddress", "privateKey"}
    assert (facts["binance"]["has_sandbox"], facts["kraken"]["has_sandbox"]) == (True, False)
    assert facts["binance"]["order_features"]["stopLossPrice"] is True
    assert "10m" not in facts["binance"]["timeframes"]


async def test_keys_are_tried_then_kept_then_followed_without_a_restart(
    client: Client,
    terminal_5: CcxtService,
    simex: SimexProcess,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.INFO)
    await described()
    exchanges = (await ask(client.get, "/api/exchanges/")).json()["results"]
    assert len(exchanges) > 100
    assert {"id": "simex", "name": "Simulateur"}.items() <= next(e for e in exchanges if e["id"] == "simex").items()
    right = simex.new_account()
    said = [
        await refused_keys(client),
        await tried_keys(client, right),
        await kept_keys(client, right),
        await removed(client, terminal_5),
    ]
    written = "".join((*said, caplog.text, *capfd.readouterr()))
    assert "broker.created" in written  # what terminals log is in there
    for value in (*right.values(), *WRONG.values()):
        assert value not in written


async def refused_keys(client: Client) -> str:
    body = {"exchange": "simex", "credentials": WRONG}
    answer = await ask(client.post, "/api/brokers/test/", body, content_type=JSON)
    assert answer.status_code == 400, answer.content
    refusal = answer.json()
    assert refusal["code"] == "exchange_authentication"
    assert refusal["message"].startswith("Lecture du solde impossible chez Simulateur : clés refusées (")
    assert "Invalid API-key" in refusal["message"]
    return str(answer.content.decode())


async def tried_keys(client: Client, keys: dict[str, str]) -> str:
    body = {"exchange": "simex", "credentials": keys}
    answer = await ask(client.post, "/api/brokers/test/", body, content_type=JSON)
    assert answer.status_code == 200, answer.content
    (held,) = answer.json()["currencies"]
    assert held["currency"] == "USDT"
    assert Decimal(held["free"]) == Decimal(held["total"]) == 10_000
    assert answer.json()["elapsed_ms"] > 0
    return str(answer.content.decode())


async def kept_keys(client: Client, keys: dict[str, str]) -> str:
    """Add, use, load, break and repair the broker « Deux » while terminal 5 goes on."""
    body = {"name": "Deux", "exchange": "simex", "credentials": keys}
    made = (await ask(client.post, "/api/brokers/", body, content_type=JSON)).json()
    path = f"/api/brokers/{made['id']}/"
    loaded = (await ask(client.post, f"{path}load-markets/")).json()
    assert (loaded["markets"]["state"], loaded["markets"]["count"]) == ("loaded", 2)
    assert loaded["markets"]["loaded_at"] is not None
    balance = await ask(client.get, f"{path}balance/")
    assert Decimal(balance.json()["currencies"][0]["total"]) == 10_000
    assert (await ask(client.post, f"{path}test/")).status_code == 200

    await ask(client.patch, path, {"credentials": WRONG}, content_type=JSON)
    broken = await ask(client.post, f"{path}test/")
    assert (broken.status_code, broken.json()["code"]) == (400, "exchange_authentication")
    async with asyncio.timeout(START_S):
        while (await ask(client.get, f"{path}balance/")).status_code != 400:  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    renewal = await ask(client.patch, path, {"credentials": {}}, content_type=JSON)
    fresh = renewal.json()  # a new simulated account
    assert fresh["api_key_hint"] not in ("", made["api_key_hint"])
    assert (await ask(client.post, f"{path}test/")).status_code == 200
    return broken.content.decode() + str([made, loaded, fresh])


async def removed(client: Client, terminal_5: CcxtService) -> str:
    """Remove the broker « Deux »: terminal 5 closes its connection."""
    brokers = (await ask(client.get, "/api/brokers/")).json()["results"]
    path = next(f"/api/brokers/{each['id']}/" for each in brokers if each["name"] == "Deux")
    manager = terminal_5._manager
    before = manager.open_sessions
    assert (await ask(client.delete, path)).status_code == 204
    answer = await ask(client.get, f"{path}balance/")
    assert answer.status_code == 404
    await manager.follow_directory()
    assert manager.open_sessions < before
    return str(answer.content.decode())
