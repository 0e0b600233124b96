"""`bots/` over HTTP: validation in French, own rows only, limits against races, stop, suspend, resume, sell."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts.models import User
from apps.brokers.models import Broker
from apps.brokers.services import connection as exchange_connection
from apps.core.models import HeartbeatStatus
from apps.orders.models import Position, Trade
from apps.strategies.models import Strategy
from apps.trading_engine.models import ActiveStrategy, BotDecision
from apps.trading_engine.serializers import BotSerializer, DecisionSerializer
from apps.trading_engine.services import bots
from domain.errors import LimitReached
from domain.french import number
from domain.ports import Balance
from tests.engine_world import CLOSE, FEED, SYMBOL, hold, make_bot, make_broker, make_user

pytestmark = [pytest.mark.django_db(transaction=True)]
JSON = "application/json"


@pytest.fixture
def user(transactional_db: None) -> User:
    return make_user()


@pytest.fixture
def broker(user: User) -> Broker:
    return make_broker(user)


@pytest.fixture
def strategy(user: User) -> Strategy:
    created: Strategy = Strategy.objects.create(user=user, name="Croisement", code="code", timeframe="15m")
    return created


@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def body(strategy: Strategy, broker: Broker, /, **changes: Any) -> dict[str, Any]:
    return {
        "strategy": strategy.pk,
        "broker": broker.pk,
        "symbol": SYMBOL,
        "start_date": "2026-01-01T00:00:00Z",
        "end_date": "2027-01-01T00:00:00Z",
        "is_active": True,
        **changes,
    }


def test_a_cap_above_the_free_balance_is_refused_at_its_field(
    client: Client, strategy: Strategy, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _free_is(monkeypatch, "250.129")
    asked = body(strategy, broker, amount="1000")
    answer = client.post("/api/bots/", asked, content_type=JSON)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (400, "cap_beyond_balance")
    assert said["details"]["fields"]["amount"] == (
        f"Au-dessus du solde libre : {number(Decimal(1000))} USDT demandés, 250,129 USDT disponibles "
        f"chez « {broker.name} »."
    )
    assert not ActiveStrategy.objects.exists()
    assert client.post("/api/bots/", {**asked, "is_active": False}, content_type=JSON).status_code == 201


def test_a_cap_above_the_free_balance_is_refused_at_a_change_and_a_resume(
    client: Client, user: User, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = make_bot(user, broker, amount=Decimal(240))
    hold(bot)  # 0.5 BTC bought at 100: 50 of its own, beside the 200 that are free
    _free_is(monkeypatch, "200")
    path = f"/api/bots/{bot.id}/"

    refused = client.patch(path, {"amount": "250.01"}, content_type=JSON)
    assert (refused.status_code, refused.json()["code"]) == (400, "cap_beyond_balance")
    assert refused.json()["message"] == (
        "Modification refusée, montant maximal : Au-dessus du solde libre : 250,01 USDT demandés, 200 USDT "
        f"disponibles chez « {broker.name} », plus 50 USDT déjà engagés par ce bot."
    )
    bot.refresh_from_db()
    assert (bot.amount, bot.is_active) == (Decimal(240), True)
    assert client.patch(path, {"amount": "250"}, content_type=JSON).status_code == 200

    _free_is(monkeypatch, "100")  # what does not let it spend more is not asked about …
    assert client.patch(path, {"end_date": "2028-01-01T00:00:00Z"}, content_type=JSON).status_code == 200
    bots.suspend(user.id, bot.id)
    assert client.patch(path, {"amount": "240"}, content_type=JSON).status_code == 200
    for again in (client.post(f"{path}resume/"), client.patch(path, {"is_active": True}, content_type=JSON)):
        assert (again.status_code, again.json()["code"]) == (400, "cap_beyond_balance")  # … what lets it again, is
        assert again.json()["details"]["available"] == "150"
    bot.refresh_from_db()
    assert not bot.is_active
    assert "Reprise refusée, montant maximal" in client.post(f"{path}resume/").json()["message"]

    _free_is(monkeypatch, "190")
    assert client.post(f"{path}resume/").json()["state"] == "running"


def _free_is(monkeypatch: pytest.MonkeyPatch, usdt: str) -> None:
    balance = Balance(free={"USDT": Decimal(usdt)}, locked={})
    monkeypatch.setattr(exchange_connection, "read_balance", lambda *_, **__: balance)


def test_a_new_bot_takes_its_strategys_timeframe_and_is_complete(
    client: Client, strategy: Strategy, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _free_is(monkeypatch, "250.5")
    answer = client.post("/api/bots/", body(strategy, broker, amount="250.5"), content_type=JSON)
    assert answer.status_code == 201
    made = answer.json()
    assert set(made) == set(BotSerializer().fields)
    assert (made["timeframe"], made["state"], made["mode"]) == ("15m", "running", "simulation")
    assert (made["amount"], made["quote_currency"], made["realized_pnl"]) == ("250.5", "USDT", "0")
    assert (made["last_decision"], made["position"], made["unrealized_pnl"], made["trades"]) == (
        None,
        None,
        None,
        [],
    )
    assert client.get(f"/api/bots/{made['id']}/").json() == made
    assert client.get("/api/bots/").json()["results"] == [made]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"symbol": "XYZ/USDT"}, 400, "symbole « XYZ/USDT » inconnu chez simex"),
        ({"timeframe": "7m"}, 400, "7m"),
        ({"end_date": "2025-01-01T00:00:00Z"}, 400, "n'est pas après la date de début"),
        ({"amount": "0"}, 400, "montant maximal : 0 USDT, un montant positif est attendu"),
        ({"amount": "-3"}, 400, "montant maximal : −3 USDT, un montant positif est attendu"),
        ({"amount": "NaN"}, 400, "amount"),
        ({"strategy": 10**6}, 404, "la stratégie 1000000 n'existe pas"),
        ({"broker": 10**6}, 404, "le broker 1000000 n'existe pas"),
        ({"start_date": "hier"}, 400, "start_date"),
    ],
)
def test_a_bad_setting_is_refused_in_french(
    client: Client, strategy: Strategy, broker: Broker, changes: dict[str, Any], status: int, words: str
) -> None:
    answer = client.post("/api/bots/", body(strategy, broker, **changes), content_type=JSON)
    assert answer.status_code == status
    assert words in answer.json()["message"]
    assert not ActiveStrategy.objects.exists()


def test_anothers_strategy_broker_and_bots_do_not_exist(client: Client, strategy: Strategy, broker: Broker) -> None:
    other = make_user("bob")
    theirs = make_broker(other)
    bot = make_bot(other, theirs)
    assert client.post("/api/bots/", body(strategy, theirs), content_type=JSON).status_code == 404
    assert client.post("/api/bots/", body(bot.strategy, broker), content_type=JSON).status_code == 404
    path = f"/api/bots/{bot.id}/"
    assert client.get(path).status_code == 404
    assert client.patch(path, {"amount": "1"}, content_type=JSON).status_code == 404
    assert client.delete(path).status_code == 404
    for verb in ("stop", "suspend", "resume", "sell"):
        assert client.post(f"{path}{verb}/", {}, content_type=JSON).status_code == 404
    assert client.get(f"{path}decisions/").status_code == 404
    assert client.get("/api/bots/").json()["results"] == []
    bot.refresh_from_db()
    assert bot.is_active


def test_an_anonymous_visitor_is_refused(transactional_db: None) -> None:
    assert Client().get("/api/bots/").status_code == 403


def test_suspend_and_resume_only_flip_the_switch(client: Client, user: User, broker: Broker) -> None:
    bot = make_bot(user, broker, start_date=CLOSE, end_date=CLOSE + timedelta(days=3650))
    suspended = client.post(f"/api/bots/{bot.id}/suspend/").json()
    assert (suspended["state"], suspended["is_active"]) == ("suspended", False)
    resumed = client.post(f"/api/bots/{bot.id}/resume/").json()
    assert (resumed["state"], resumed["end_date"]) == ("running", suspended["end_date"])


def test_resume_forgets_the_error_that_paused(client: Client, user: User, broker: Broker) -> None:
    bot = make_bot(
        user, broker, end_date=CLOSE + timedelta(days=3650), pause_reason="boucle", pause_details={"line": 2}
    )
    assert client.get(f"/api/bots/{bot.id}/").json()["state"] == "paused_error"
    resumed = client.post(f"/api/bots/{bot.id}/resume/").json()
    assert (resumed["state"], resumed["pause_reason"], resumed["pause_details"]) == ("running", "", {})


def test_stop_ends_for_good_and_asks_when_a_position_is_open(client: Client, user: User, broker: Broker) -> None:
    bot = make_bot(user, broker)
    hold(bot)
    refused = client.post(f"/api/bots/{bot.id}/stop/", {}, content_type=JSON)
    assert (refused.status_code, refused.json()["code"]) == (409, "open_position")
    bot.refresh_from_db()
    assert bot.is_active
    stopped = client.post(f"/api/bots/{bot.id}/stop/", {"confirm": True}, content_type=JSON).json()
    assert (stopped["state"], stopped["is_active"]) == ("stopped", False)
    assert stopped["end_date"] == "2001-01-01T00:00:00Z"
    assert Position.objects.get().status == "open"
    again = client.post(f"/api/bots/{bot.id}/resume/")
    assert (again.status_code, again.json()["code"]) == (409, "bot_stopped")


def test_sell_commits_one_exit_and_keeps_the_strategy(client: Client, user: User, broker: Broker) -> None:
    bot = make_bot(user, broker, end_date=CLOSE + timedelta(days=3650))
    assert client.post(f"/api/bots/{bot.id}/sell/").json()["code"] == "no_position"
    hold(bot, current_price=Decimal(101), unrealized_pnl=Decimal("0.5"))
    sold = client.post(f"/api/bots/{bot.id}/sell/")
    assert sold.status_code == 200
    shown = sold.json()
    assert (shown["state"], shown["position"]["status"], shown["unrealized_pnl"]) == ("running", "closing", "0.5")
    (trade,) = shown["trades"]
    assert (trade["side"], trade["intent"], trade["quantity"], trade["status"]) == (
        "sell",
        "exit",
        "0.5",
        "pending",
    )
    again = client.post(f"/api/bots/{bot.id}/sell/")
    assert (again.status_code, again.json()["code"]) == (409, "order_in_progress")
    assert Trade.objects.count() == 1


def test_an_engaged_bot_keeps_its_market_and_is_not_deleted(
    client: Client, user: User, broker: Broker, strategy: Strategy
) -> None:
    bot = make_bot(user, broker)
    hold(bot)
    path = f"/api/bots/{bot.id}/"
    assert client.patch(path, {"strategy": strategy.pk}, content_type=JSON).json()["code"] == "open_position"
    assert client.delete(path).json()["code"] == "open_position"
    changed = client.patch(path, {"amount": "12.5"}, content_type=JSON)
    assert (changed.status_code, changed.json()["amount"]) == (200, "12.5")
    Position.objects.update(status="closed")
    assert client.delete(path).status_code == 204


def test_the_last_ten_trades_and_the_realised_profit_are_the_bots_own(
    client: Client, user: User, broker: Broker
) -> None:
    bot, other = make_bot(user, broker), make_bot(user, broker)
    for index in range(12):
        _trade(bot, index, profit=Decimal("1.5"))
    _trade(other, 99, profit=Decimal(-4))
    shown = {each["id"]: each for each in client.get("/api/bots/").json()["results"]}
    assert shown[bot.id]["realized_pnl"] == "18"  # 12 × 1.5
    assert [trade["client_order_id"] for trade in shown[bot.id]["trades"]] == [f"c{n}" for n in range(11, 1, -1)]
    assert shown[other.id]["realized_pnl"] == "-4"


def _trade(bot: ActiveStrategy, number: int, *, profit: Decimal) -> None:
    Trade.objects.create(
        user=bot.user,
        broker=bot.broker,
        bot=bot,
        source="strategy",
        owner=f"bot:{bot.id}",
        client_order_id=f"c{number}",
        symbol=SYMBOL,
        side="sell",
        type="market",
        quantity=1,
        status="filled",
        profit_loss=profit,
        valid_until=CLOSE,
    )


def test_decisions_are_listed_by_close_newest_first(client: Client, user: User, broker: Broker) -> None:
    bot = make_bot(user, broker)
    for minutes in (5, 15, 10):  # a missed close is recorded after a later one
        BotDecision.objects.create(
            bot=bot,
            feed=FEED,
            signal_id=f"5m_{minutes}",
            close_time=CLOSE + timedelta(minutes=minutes),
            status="decided",
            reason="aucun signal d'achat",
        )
    listed = client.get(f"/api/bots/{bot.id}/decisions/").json()["results"]
    assert [row["signal_id"] for row in listed] == ["5m_15", "5m_10", "5m_5"]
    assert set(listed[0]) == set(DecisionSerializer().fields)
    assert client.get(f"/api/bots/{bot.id}/").json()["last_decision"] == listed[0]


def test_dates_go_by_the_simulated_markets_clock(client: Client, user: User, broker: Broker) -> None:
    market_time = CLOSE - timedelta(days=2000)
    HeartbeatStatus.objects.create(
        source="primary", location="local", feed=FEED, last_application_start=CLOSE, market_time=market_time
    )
    bot = make_bot(user, broker)
    assert client.get(f"/api/bots/{bot.id}/").json()["state"] == "waiting"
    resumed = client.post(f"/api/bots/{bot.id}/resume/").json()
    assert resumed["state"] == "waiting"
    bot.refresh_from_db()
    assert bot.active_since == market_time


def test_the_twenty_first_active_bot_is_refused(client: Client, strategy: Strategy, broker: Broker) -> None:
    other = make_user("bob")
    theirs = make_broker(other)
    for _ in range(20):
        make_bot(other, theirs)
    refused = client.post("/api/bots/", body(strategy, broker), content_type=JSON)
    assert (refused.status_code, refused.json()["code"]) == (409, "limit_reached")
    assert "20 stratégies sont déjà actives" in refused.json()["message"]
    made = client.post("/api/bots/", body(strategy, broker, is_active=False), content_type=JSON)
    assert made.status_code == 201
    path = f"/api/bots/{made.json()['id']}/"
    assert client.post(f"{path}resume/").json()["code"] == "limit_reached"
    assert client.patch(path, {"is_active": True}, content_type=JSON).json()["code"] == "limit_reached"
    ActiveStrategy.objects.filter(user=other).first().delete()
    assert client.post(f"{path}resume/").status_code == 200


def test_the_limit_holds_when_many_resume_at_once(user: User, broker: Broker) -> None:
    for _ in range(17):
        make_bot(user, broker)
    waiting = [make_bot(user, broker, is_active=False).id for _ in range(8)]
    barrier, outcomes = threading.Barrier(len(waiting)), []

    def resume(bot_id: int) -> None:
        barrier.wait(10)
        try:
            bots.resume(user.pk, bot_id, now=CLOSE)
            outcomes.append("on")
        except LimitReached:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=resume, args=[bot_id]) for bot_id in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["on"] * 3 + ["refused"] * 5
    assert ActiveStrategy.objects.filter(is_active=True).count() == 20


def test_bot_takes_only_the_parameters_its_strategy_declares(
    client: Client, strategy: Strategy, broker: Broker
) -> None:
    strategy.code = "class A(Strategy):\n    STRATEGY_PARAMS = {'n': {'default': 3, 'min': 1, 'max': 9}}\n"
    strategy.save()
    refused = client.post("/api/bots/", body(strategy, broker, params={"n": 12}), content_type="application/json")
    assert refused.status_code == 400
    assert "« n »" in refused.json()["message"]
    unknown = client.post("/api/bots/", body(strategy, broker, params={"m": 1}), content_type="application/json")
    assert unknown.json()["code"] == "unknown_param"
    made = client.post("/api/bots/", body(strategy, broker, params={"n": 5}), content_type="application/json")
    assert made.json()["params"] == {"n": 5}
    changed = client.patch(f"/api/bots/{made.json()['id']}/", {"params": {"n": 0}}, content_type="application/json")
    assert changed.status_code == 400


def test_the_same_strategy_twice_on_a_market_is_refused_until_confirmed(
    client: Client, strategy: Strategy, broker: Broker
) -> None:
    first = client.post("/api/bots/", body(strategy, broker), content_type=JSON).json()
    refused = client.post("/api/bots/", body(strategy, broker, is_active=False), content_type=JSON)
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_bot")
    assert refused.json()["details"] == {"bot": first["id"]}
    assert f"le bot {first['id']} fait déjà tourner « Croisement »" in refused.json()["message"]
    other = client.post("/api/bots/", body(strategy, broker, timeframe="1h"), content_type=JSON).json()
    path = f"/api/bots/{other['id']}/"
    assert client.patch(path, {"timeframe": "15m"}, content_type=JSON).json()["code"] == "duplicate_bot"
    assert client.patch(path, {"amount": "5"}, content_type=JSON).status_code == 200
    confirmed = client.post("/api/bots/", body(strategy, broker, confirm_duplicate=True), content_type=JSON)
    assert confirmed.status_code == 201
    client.post(f"/api/bots/{first['id']}/stop/", {"confirm": True}, content_type=JSON)
    client.post(f"/api/bots/{confirmed.json()['id']}/stop/", {"confirm": True}, content_type=JSON)
    assert client.post("/api/bots/", body(strategy, broker), content_type=JSON).status_code == 201


def test_stop_with_sale_leaves_the_position(client: Client, user: User, broker: Broker) -> None:
    bot = make_bot(user, broker)
    hold(bot, current_price=Decimal(101))
    path = f"/api/bots/{bot.id}/stop/"
    stopped = client.post(path, {"confirm": True, "sell": True}, content_type=JSON).json()
    assert (stopped["state"], stopped["position"]["status"]) == ("stopped", "closing")
    assert stopped["position"]["closing_reason"] == "user"
    assert [trade["intent"] for trade in stopped["trades"]] == ["exit"]


def test_equity_adds_up_sale_after_sale(client: Client, user: User, broker: Broker) -> None:
    bot, other = make_bot(user, broker), make_bot(user, broker)
    for index, profit in enumerate(("1.5", "-4", "0.25")):
        _trade(bot, index, profit=Decimal(profit))
    _trade(other, 9, profit=Decimal(100))
    found = client.get(f"/api/bots/{bot.id}/equity/").json()
    assert [(point["profit_loss"], point["total"]) for point in found["points"]] == [
        ("1.5", "1.5"),
        ("-4", "-2.5"),
        ("0.25", "-2.25"),
    ]
    assert (found["realized_pnl"], found["unrealized_pnl"], found["quote_currency"]) == ("-2.25", None, "USDT")


def test_a_cap_above_the_balance_is_said(client: Client, user: User, broker: Broker) -> None:
    bot = make_bot(user, broker, amount=Decimal(500))
    made = BotDecision.objects.create(
        bot=bot, feed=FEED, signal_id="5m_1", close_time=CLOSE, status="decided", details={"free": "430.126"}
    )
    path = f"/api/bots/{bot.id}/"
    warning = client.get(path).json()["amount_warning"]
    assert warning == "Plafond de 500 USDT supérieur au solde : 430,13 USDT à la dernière décision."
    hold(bot)  # 0.5 BTC bought at 100: 50 of the 500, 480.126 in all
    assert "480,13 USDT" in client.get(path).json()["amount_warning"]
    BotDecision.objects.filter(id=made.id).update(details={"free": "450"})
    assert client.get(path).json()["amount_warning"] == ""


def test_a_position_says_who_holds_its_protection(client: Client, user: User, broker: Broker) -> None:
    bot = make_bot(user, broker)
    hold(bot, stop_loss=Decimal(61200), take_profit=Decimal(63900))
    shown = client.get(f"/api/bots/{bot.id}/").json()["position"]["protection"]
    assert shown == {
        "stop_loss": "engine",
        "take_profit": "engine",
        "text": f"SL {number(Decimal(61200))} · TP {number(Decimal(63900))}, surveillé par le moteur",
    }
