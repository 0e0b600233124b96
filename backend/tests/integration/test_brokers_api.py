"""`brokers/` over HTTP: own rows only, keys that never come back, one default, nothing in use pulled away."""

import json
import logging
from typing import Any

import pytest
from django.test import Client
from structlog.testing import capture_logs

from apps.accounts.models import User
from apps.brokers.models import Broker, Exchange
from apps.brokers.selectors import exchanges_in_use
from apps.brokers.services import connection, editing
from apps.brokers.services.directory import DjangoBrokerDirectory
from apps.core.adapters.database import close_database, in_database
from apps.core.logs.french import sentence
from apps.orders.models import Trade
from domain.errors import AuthenticationFailed, ExchangeUnavailable
from domain.order_abilities import OrderAbilities
from domain.orders import OrderType
from domain.ports import Balance
from tests.engine_world import CLOSE, SYMBOL, make_bot, make_user

pytestmark = [pytest.mark.django_db(transaction=True)]
JSON = "application/json"
KEY, SECRET = "cle-publique-de-lea-J7xQ", "un-secret-qui-ne-sort-jamais"
KEYS = {"apiKey": KEY, "secret": SECRET}


@pytest.fixture
def catalogue(transactional_db: None) -> None:
    for exchange, required, sandbox in (
        ("binance", ["apiKey", "secret"], True),
        ("kraken", ["apiKey", "secret"], False),
        ("okx", ["apiKey", "secret", "password"], True),
        ("hyperliquid", ["walletAddress", "privateKey"], True),
    ):
        Exchange.objects.create(
            id=exchange,
            name=exchange.capitalize(),
            required_credentials=required,
            has_sandbox=sandbox,
            has={"createMarketOrder": True, "createLimitOrder": True, "editOrder": False, "fetchOHLCV": "emulated"},
            order_features={"stopLossPrice": True, "attachedStopLossTakeProfit": False},
            timeframes=["1m", "5m"],
            catalogue_version="test",
        )


@pytest.fixture
def user(catalogue: None) -> User:
    return make_user("lea")


@pytest.fixture
def client(user: User) -> Client:
    return signed_in(user)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def add(client: Client, **changes: Any) -> Any:
    body = {"name": "Principal", "exchange": "binance", "credentials": KEYS, **changes}
    return client.post("/api/brokers/", body, content_type=JSON)


def patch(client: Client, broker_id: int, **changes: Any) -> Any:
    return client.patch(f"/api/brokers/{broker_id}/", changes, content_type=JSON)


def live_order(broker: Broker, *, status: str = "open") -> Trade:
    trade: Trade = Trade.objects.create(
        user=broker.user,
        broker=broker,
        source="manual",
        owner="manual",
        client_order_id=f"c{broker.pk}",
        symbol=SYMBOL,
        side="buy",
        type="limit",
        quantity=1,
        status=status,
        valid_until=CLOSE,
    )
    return trade


def test_a_new_broker_is_encrypted_and_shows_four_characters(
    client: Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = add(client)
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["api_key_hint"], made["is_default"], made["mode"]) == ("J7xQ", True, "real")
    row = Broker.objects.get(pk=made["id"])
    assert row.api_key.startswith("v1:")
    assert row.api_secret.startswith("v1:")
    listed = client.get("/api/brokers/").content.decode()
    written = "".join((answer.content.decode(), listed, caplog.text, *capfd.readouterr()))
    assert "Principal" in written
    assert KEY not in written
    assert SECRET not in written


@pytest.mark.parametrize(
    ("exchange", "credentials", "said"),
    [
        ("okx", KEYS, "manque password"),
        ("binance", {**KEYS, "uid": "7"}, "non demandé : uid"),
        ("binance", {**KEYS, "urls": "http://ailleurs"}, "non demandé : urls"),
        ("binance", {"apiKey": KEY, "secret": "  "}, "manque secret"),
        ("nulle-part", KEYS, "inconnu"),
    ],
)
def test_other_credentials_than_the_exchange_asks_are_refused(
    client: Client, exchange: str, credentials: dict[str, str], said: str
) -> None:
    answer = add(client, exchange=exchange, credentials=credentials)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert KEY not in answer.content.decode()
    assert not Broker.objects.exists()


def test_keys_are_not_tried_when_they_are_not_those_asked(client: Client) -> None:
    body = {"exchange": "okx", "credentials": KEYS}
    answer = client.post("/api/brokers/test/", body, content_type=JSON)
    assert (answer.status_code, answer.json()["details"]["missing"]) == (400, ["password"])


def test_an_exchange_that_repeats_the_key_does_not_show_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Balance:
        raise AuthenticationFailed(f"clés refusées (key {KEY} is unknown)", details={"exchange_message": KEY})

    monkeypatch.setattr(connection, "_test", refuse)
    body = {"exchange": "binance", "credentials": KEYS}
    answer = client.post("/api/brokers/test/", body, content_type=JSON)
    assert answer.status_code == 400
    assert answer.json()["message"] == "clés refusées (key •••• is unknown)"
    assert KEY not in answer.content.decode()


def test_exchange_that_does_not_answer_is_noted_for_the_user_who_asked(
    client: Client, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Balance:
        raise ExchangeUnavailable(f"Kraken ne répond pas depuis cette machine : nom introuvable ({KEY}).")

    monkeypatch.setattr(connection, "_test", fail)
    with capture_logs() as lines:
        answer = client.post("/api/brokers/test/", {"exchange": "kraken", "credentials": KEYS}, content_type=JSON)
    assert answer.status_code == 502
    [noted] = [line for line in lines if line["event"] == "api.no_answer"]
    assert (noted["log_level"], noted["user_id"], noted["error"]) == ("warning", user.pk, answer.json()["message"])
    assert KEY not in noted["error"]
    said = "Demande sans réponse : Kraken ne répond pas depuis cette machine : nom introuvable"
    assert sentence("api.no_answer", noted).startswith(said)


def test_exchange_of_no_broker_is_not_in_use_whatever_a_test_of_keys_left(client: Client) -> None:
    Exchange.objects.filter(pk__in=["kraken", "binance"]).update(load_state=Exchange.LoadState.FAILED)
    assert not exchanges_in_use().filter(pk="kraken").exists()
    assert add(client, exchange="kraken").status_code == 201
    assert [row.pk for row in exchanges_in_use()] == ["kraken"]


async def test_credentials_of_any_name_reach_terminal_5(user: User) -> None:
    wallet = {"walletAddress": "0xabcdef0123456789", "privateKey": "0xsecret"}
    made = await in_database(
        lambda: editing.add(user, name="Hyper", exchange="hyperliquid", credentials=wallet, is_testnet=True)
    )
    access = await DjangoBrokerDirectory().get(made.pk)
    assert access.credentials == wallet
    assert "0xsecret" not in made.api_extra + repr(access)
    await close_database()


def test_testnet_is_refused_where_there_is_no_sandbox(client: Client) -> None:
    answer = add(client, exchange="kraken", is_testnet=True)
    assert (answer.status_code, answer.json()["code"]) == (400, "no_sandbox")
    assert "Kraken" in answer.json()["message"]


def test_a_taken_name_is_refused(client: Client) -> None:
    add(client)
    other = add(client, name="Autre").json()
    assert add(client).status_code == 409
    renamed = patch(client, other["id"], name="Principal")
    assert (renamed.status_code, renamed.json()["code"]) == (409, "name_taken")


def test_the_default_moves_and_is_never_lost(client: Client) -> None:
    first, second = add(client).json(), add(client, name="Autre").json()
    assert not second["is_default"]
    assert patch(client, second["id"], is_default=True).json()["is_default"]
    assert list(Broker.objects.filter(is_default=True).values_list("pk", flat=True)) == [second["id"]]
    assert patch(client, second["id"], is_default=False).json()["code"] == "default_needed"
    assert patch(client, second["id"], is_active=False).json()["code"] == "default_inactive"
    assert client.delete(f"/api/brokers/{second['id']}/").status_code == 204
    assert Broker.objects.get(pk=first["id"]).is_default


def test_keys_are_replaced_whole_and_the_rest_stays(client: Client) -> None:
    made = add(client).json()
    assert patch(client, made["id"], credentials={"apiKey": "seule"}).status_code == 400
    renewed = {"apiKey": "une-autre-cle-neuve-W3pL", "secret": "autre"}
    changed = patch(client, made["id"], name="Renommé", credentials=renewed).json()
    assert (changed["api_key_hint"], changed["name"], changed["is_default"]) == ("W3pL", "Renommé", True)
    assert patch(client, made["id"], name="Encore").json()["api_key_hint"] == "W3pL"
    assert patch(client, made["id"], exchange="okx").status_code == 400


def test_another_network_needs_its_own_keys(client: Client) -> None:
    made = add(client).json()
    assert patch(client, made["id"], is_testnet=True).json()["code"] == "keys_needed"
    changed = patch(client, made["id"], is_testnet=True, credentials=KEYS)
    assert changed.json()["mode"] == "testnet"


def test_a_broker_in_use_is_not_pulled_away(client: Client, user: User) -> None:
    add(client)
    made = add(client, name="Occupé").json()
    broker = Broker.objects.get(pk=made["id"])
    order = live_order(broker, status="unknown")
    bot = make_bot(user, broker)
    for answer in (
        client.delete(f"/api/brokers/{broker.pk}/"),
        patch(client, broker.pk, is_active=False),
        patch(client, broker.pk, is_testnet=True, credentials=KEYS),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "broker_in_use")
        assert answer.json()["details"] == {"active_bots": 1, "live_orders": 1}
        assert "1 bot(s) actif(s) et 1 ordre(s) en cours" in answer.json()["message"]
    assert client.get(f"/api/brokers/{broker.pk}/").json()["active_bots"] == 1
    Trade.objects.filter(pk=order.pk).update(status="filled")
    type(bot).objects.filter(pk=bot.pk).update(is_active=False)
    assert patch(client, broker.pk, is_active=False).json()["is_active"] is False
    assert client.delete(f"/api/brokers/{broker.pk}/").status_code == 204


def test_another_users_broker_does_not_exist(client: Client) -> None:
    foreign = add(signed_in(make_user("max"))).json()["id"]
    unchanged = Broker.objects.filter(pk=foreign).values().get()
    for answer in (
        client.get(f"/api/brokers/{foreign}/"),
        patch(client, foreign, name="À moi"),
        client.delete(f"/api/brokers/{foreign}/"),
        client.post(f"/api/brokers/{foreign}/test/"),
        client.post(f"/api/brokers/{foreign}/load-markets/"),
        client.get(f"/api/brokers/{foreign}/capabilities/"),
        client.get(f"/api/brokers/{foreign}/balance/"),
    ):
        assert answer.status_code == 404, answer.request
    assert Broker.objects.filter(pk=foreign).values().get() == unchanged
    assert client.get("/api/brokers/").json()["results"] == []


def test_nobody_gets_nothing(catalogue: None) -> None:
    anonymous = Client()
    for answer in (anonymous.get("/api/brokers/"), anonymous.get("/api/exchanges/"), add(anonymous)):
        assert answer.status_code in (401, 403)
    assert not Broker.objects.exists()


KRAKEN_ORDERS = OrderAbilities(refusals={OrderType.OCO: "Pas de paire chez Kraken."})


def test_capabilities_are_those_of_our_own_orders(client: Client) -> None:
    Exchange.objects.filter(pk="kraken").update(order_abilities=KRAKEN_ORDERS.to_wire())
    made = add(client, exchange="kraken").json()
    body = client.get(f"/api/brokers/{made['id']}/capabilities/").json()
    found = {each["code"]: each for each in body["capabilities"]}
    assert found["market"]["supported"]
    assert found["stop_loss"] == {"code": "stop_loss", "label": "Stop Loss", "supported": True, "note": ""}
    assert found["candles"]["supported"]  # "emulated" will do
    assert found["edit"]["note"] == "Annulation, confirmation de l'exchange, puis nouvel ordre."
    assert "Kraken" in found["sandbox"]["note"]
    assert body["timeframes"] == ["1m", "5m"]
    types = {each["type"]: each for each in body["order_types"]}
    assert list(types) == ["market", "limit", "stop_loss", "take_profit", "stop_limit", "oco"]
    assert [each["type"] for each in types.values() if not each["supported"]] == ["oco"]
    assert types["oco"]["reason"] == "Pas de paire chez Kraken."
    assert (body["pair"], body["amend"]) == ("none", "cancel_first")


def test_capabilities_refuse_every_order_of_an_exchange_not_described_yet(client: Client) -> None:
    made = add(client, exchange="kraken").json()
    body = client.get(f"/api/brokers/{made['id']}/capabilities/").json()
    assert {each["supported"] for each in body["order_types"]} == {False}
    assert {each["reason"] for each in body["order_types"]} == {"Kraken n'est pas encore décrit."}


def test_exchanges_before_the_catalogue_is_written(client: Client) -> None:
    Exchange.objects.update(catalogue_version="")
    assert client.get("/api/exchanges/").json()["results"] == []
    answer = add(client)
    assert (answer.status_code, answer.json()["code"]) == (503, "catalogue_absent")
    assert "terminal 5" in json.dumps(answer.json())
