"""Every REST route and every topic, as another user and as nobody: nothing of a user is seen or changed.

Routes come from the generated description of the API: a route that `ROUTES` does not classify fails the test,
so whoever adds one says here who may see what.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from channels.testing import WebsocketCommunicator
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import RecoveryCode, TwoFactor, User, UserSession
from apps.alerts.models import AlertAddress
from apps.alerts.services import recording
from apps.backtest.models import BacktestResult, BacktestSweep, BacktestSweepRun
from apps.brokers.models import Broker, Exchange
from apps.core.adapters import secrets
from apps.core.adapters.browser_events import ChannelsPublisher
from apps.core.adapters.clock import SystemClock
from apps.core.consumers import EventsConsumer
from apps.orders.models import Fill, OrderCommand, Position, Trade
from apps.strategies.models import StrategyVersion
from apps.trading_engine.models import BotDecision, ParityDifference, ParityRun
from apps.webhooks.models import Webhook, WebhookSource
from aristobot.routing import websocket_application
from domain.alerts import AlertKind
from domain.messages import TOPICS, USER_TOPICS
from tests.engine_world import CLOSE, SYMBOL, make_bot, make_broker, make_user

MARK = "seule-lea-le-sait"  # in everything that is Léa's
JSON = "application/json"
BACKEND = "django.contrib.auth.backends.ModelBackend"
NEVER = 999_999_999

# Who may call a route, and what another user gets:
PUBLIC = "public"  # without login too; tells nothing of anybody
SHARED = "shared"  # any user; the same for all
CALLER = "caller"  # any user; touches the caller alone
LISTED = "listed"  # any user; the caller's rows only
ADDRESSED = "addressed"  # a row by its id: another's is as absent as one that is not there
NARROWED = "narrowed"  # the query names one of the caller's brokers: another's is absent


@dataclass(frozen=True)
class Route:
    """How a route is classified, and a body (or query) that would be taken if the caller were Léa."""

    access: str
    kind: str = ""  # of the row in the path
    body: Mapping[str, Any] | None = None
    reads: bool = True  # Léa's own call answers without another process: her rows can be looked for in it


BOT = {
    "strategy": "{strategy}",
    "broker": "{broker}",
    "symbol": SYMBOL,
    "start_date": "2026-01-01T00:00:00Z",
    "end_date": "2027-01-01T00:00:00Z",
    "is_active": False,
}
BACKTEST = {
    **{name: BOT[name] for name in ("strategy", "broker", "symbol")},
    "start_date": "2025-01-01T00:00:00Z",
    "end_date": "2025-02-01T00:00:00Z",
    "initial_amount": "1000",
}
STRATEGY = {"name": "Autre nom", "code": "autre", "timeframe": "5m"}
MARKET = {"broker": "{broker}", "symbol": SYMBOL, "timeframe": "5m"}

ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/api/session/"): Route(PUBLIC),
    ("POST", "/api/session/login/"): Route(PUBLIC, body={"username": "lea", "password": "faux"}),
    ("POST", "/api/session/register/"): Route(PUBLIC, body={"username": "lea", "password": "x"}),
    ("POST", "/api/session/debug/"): Route(PUBLIC, body={"active": True}),
    ("POST", "/api/session/logout/"): Route(CALLER),
    ("POST", "/api/session/password/"): Route(CALLER, body={"old_password": "faux", "new_password": "autre-42!"}),
    ("PATCH", "/api/session/preferences/"): Route(CALLER, body={"theme": "light"}),
    ("DELETE", "/api/session/account/"): Route(CALLER, body={"password": "faux"}),
    ("POST", "/api/session/code/"): Route(PUBLIC, body={"code": "000000"}),
    ("GET", "/api/session/two-factor/"): Route(CALLER),
    ("POST", "/api/session/two-factor/"): Route(CALLER, body={"password": "faux"}),
    ("POST", "/api/session/two-factor/confirm/"): Route(CALLER, body={"code": "000000"}),
    ("POST", "/api/session/two-factor/recovery-codes/"): Route(CALLER, body={"password": "faux", "code": "000000"}),
    ("POST", "/api/session/two-factor/off/"): Route(CALLER, body={"password": "faux", "code": "000000"}),
    ("GET", "/api/session/devices/"): Route(LISTED, reads=False),  # of the session that asks only
    ("POST", "/api/session/devices/close-others/"): Route(CALLER),
    ("DELETE", "/api/session/devices/{id}/"): Route(ADDRESSED, "device"),
    ("GET", "/api/assistant/settings/"): Route(CALLER),
    ("PATCH", "/api/assistant/settings/"): Route(CALLER, body={"provider": "", "openrouter_model": "m"}),
    ("GET", "/api/assistant/models/"): Route(CALLER, body={"provider": "openrouter"}),  # max has no key
    ("POST", "/api/assistant/test/"): Route(CALLER, body={"provider": "openrouter"}),
    ("POST", "/api/assistant/generate/"): Route(
        CALLER, body={"task": "generate", "message": "EMA"}
    ),  # max has none
    ("GET", "/api/alerts/"): Route(LISTED),
    ("GET", "/api/alerts/addresses/"): Route(LISTED, reads=False),  # masked
    ("POST", "/api/alerts/addresses/"): Route(CALLER, body={"address": "json://127.0.0.1:9/"}),
    ("PATCH", "/api/alerts/addresses/{id}/"): Route(ADDRESSED, "alert_address", {"is_active": False}),
    ("DELETE", "/api/alerts/addresses/{id}/"): Route(ADDRESSED, "alert_address"),
    ("POST", "/api/alerts/addresses/{id}/test/"): Route(ADDRESSED, "alert_address"),
    ("GET", "/api/alerts/preferences/"): Route(CALLER),
    ("PUT", "/api/alerts/preferences/"): Route(CALLER, body={"kinds": []}),
    ("GET", "/api/alerts/summary/"): Route(CALLER),
    ("PUT", "/api/alerts/summary/"): Route(CALLER, body={"hour": 8, "timezone": "Europe/Paris"}),
    ("GET", "/api/logs/"): Route(LISTED, reads=False),  # lines of files: test_journal.py
    ("GET", "/api/logs/traces/{id}/"): Route(ADDRESSED, "trace"),
    ("GET", "/api/health/"): Route(SHARED),
    ("GET", "/api/heartbeat/"): Route(SHARED),
    ("GET", "/api/exchanges/"): Route(SHARED),
    ("GET", "/api/exchanges/{id}/"): Route(SHARED, kind="exchange"),
    ("GET", "/api/symbols/"): Route(NARROWED, body={"broker": "{broker}"}),
    ("GET", "/api/candles/"): Route(NARROWED, body=MARKET),
    ("GET", "/api/brokers/"): Route(LISTED),
    ("POST", "/api/brokers/"): Route(CALLER, body={}),
    ("POST", "/api/brokers/test/"): Route(CALLER, body={}),
    ("GET", "/api/brokers/{id}/"): Route(ADDRESSED, "broker"),
    ("PATCH", "/api/brokers/{id}/"): Route(ADDRESSED, "broker", {"name": "Pris"}),
    ("DELETE", "/api/brokers/{id}/"): Route(ADDRESSED, "broker"),
    ("POST", "/api/brokers/{id}/test/"): Route(ADDRESSED, "broker"),
    ("GET", "/api/brokers/{id}/capabilities/"): Route(ADDRESSED, "broker", reads=False),
    ("GET", "/api/brokers/{id}/balance/"): Route(ADDRESSED, "broker", reads=False),
    ("POST", "/api/brokers/{id}/load-markets/"): Route(ADDRESSED, "broker"),
    ("GET", "/api/strategies/"): Route(LISTED),
    ("POST", "/api/strategies/"): Route(CALLER, body=STRATEGY),
    ("POST", "/api/backtests/quick-test/"): Route(
        NARROWED, body={"code": "x = 1", "broker": "{broker}", "symbol": "BTC/USDT", "timeframe": "1m"}
    ),
    ("POST", "/api/backtests/quick-test/cancel/"): Route(CALLER, body={"id": str(UUID(int=7))}),
    ("GET", "/api/backtests/"): Route(LISTED),
    ("POST", "/api/backtests/"): Route(ADDRESSED, body=BACKTEST),  # the rows it names must be the caller's
    ("GET", "/api/backtests/offer/"): Route(NARROWED, body=MARKET, reads=False),
    ("GET", "/api/backtests/{id}/"): Route(ADDRESSED, "backtest"),
    ("DELETE", "/api/backtests/{id}/"): Route(ADDRESSED, "backtest"),
    ("POST", "/api/backtests/{id}/cancel/"): Route(ADDRESSED, "backtest"),
    ("GET", "/api/backtests/{id}/trades/"): Route(ADDRESSED, "backtest", reads=False),  # figures
    ("GET", "/api/backtests/{id}/equity/"): Route(ADDRESSED, "backtest", reads=False),
    ("GET", "/api/backtests/sweeps/"): Route(LISTED),
    ("POST", "/api/backtests/sweeps/"): Route(ADDRESSED, body={**BACKTEST, "space": {"x": [1]}}),
    ("GET", "/api/backtests/sweeps/{id}/"): Route(ADDRESSED, "sweep"),
    ("DELETE", "/api/backtests/sweeps/{id}/"): Route(ADDRESSED, "sweep"),
    ("POST", "/api/backtests/sweeps/{id}/cancel/"): Route(ADDRESSED, "sweep"),
    ("POST", "/api/strategies/validate/"): Route(CALLER, body={"code": "def ("}),
    ("GET", "/api/strategies/examples/"): Route(SHARED),
    ("GET", "/api/strategies/indicators/"): Route(SHARED),
    ("GET", "/api/strategies/{id}/"): Route(ADDRESSED, "strategy"),
    ("GET", "/api/strategies/{id}/versions/"): Route(ADDRESSED, "strategy"),
    ("PUT", "/api/strategies/{id}/"): Route(ADDRESSED, "strategy", STRATEGY),
    ("PATCH", "/api/strategies/{id}/"): Route(ADDRESSED, "strategy", {"name": "Pris"}),
    ("DELETE", "/api/strategies/{id}/"): Route(ADDRESSED, "strategy"),
    ("GET", "/api/bots/"): Route(LISTED),
    ("POST", "/api/bots/"): Route(ADDRESSED, body=BOT),  # the rows it names must be the caller's
    ("GET", "/api/bots/{id}/"): Route(ADDRESSED, "bot"),
    ("PUT", "/api/bots/{id}/"): Route(ADDRESSED, "bot", BOT),
    ("PATCH", "/api/bots/{id}/"): Route(ADDRESSED, "bot", {"is_active": False}),
    ("DELETE", "/api/bots/{id}/"): Route(ADDRESSED, "bot"),
    ("GET", "/api/bots/{id}/equity/"): Route(ADDRESSED, "bot"),
    ("POST", "/api/bots/{id}/stop/"): Route(ADDRESSED, "bot", {"confirm": True}),
    ("POST", "/api/bots/{id}/suspend/"): Route(ADDRESSED, "bot"),
    ("POST", "/api/bots/{id}/resume/"): Route(ADDRESSED, "bot"),
    ("POST", "/api/bots/{id}/sell/"): Route(ADDRESSED, "bot"),
    ("GET", "/api/bots/{id}/decisions/"): Route(ADDRESSED, "bot"),
    ("GET", "/api/bots/{id}/parity/"): Route(ADDRESSED, "bot"),
    ("POST", "/api/bots/{id}/parity/"): Route(ADDRESSED, "bot"),
    ("GET", "/api/restoration/"): Route(CALLER),
    ("POST", "/api/restoration/confirm/"): Route(CALLER),
    ("GET", "/api/trades/"): Route(LISTED),
    ("GET", "/api/trades/{id}/"): Route(ADDRESSED, "trade"),
    ("GET", "/api/positions/"): Route(LISTED),
    ("GET", "/api/positions/{id}/"): Route(ADDRESSED, "position"),
    ("GET", "/api/webhooks/"): Route(LISTED),
    ("GET", "/api/webhooks/{id}/"): Route(ADDRESSED, "webhook"),
    ("GET", "/api/webhooks/summary/"): Route(CALLER, body={"since": "2020-01-01T00:00:00Z"}),
    ("GET", "/api/webhooks/sources/"): Route(LISTED),
    ("POST", "/api/webhooks/sources/"): Route(ADDRESSED, body={"name": "Autre", "broker": "{broker}"}),
    ("GET", "/api/webhooks/sources/{id}/"): Route(ADDRESSED, "webhook_source"),
    ("PATCH", "/api/webhooks/sources/{id}/"): Route(ADDRESSED, "webhook_source", {"name": "Pris"}),
    ("DELETE", "/api/webhooks/sources/{id}/"): Route(ADDRESSED, "webhook_source"),
    ("POST", "/api/webhooks/sources/{id}/rotate/"): Route(ADDRESSED, "webhook_source"),
    ("POST", "/api/webhooks/sources/{id}/revoke/"): Route(ADDRESSED, "webhook_source"),
    ("POST", "/api/webhooks/sources/{id}/read/"): Route(ADDRESSED, "webhook_source", {"body": "cancel BTCUSDT"}),
    ("POST", "/api/webhooks/sources/{id}/test/"): Route(ADDRESSED, "webhook_source", {"body": "cancel BTCUSDT"}),
    ("GET", "/api/stats/trades/{id}/"): Route(ADDRESSED, "trade"),
    **{
        ("GET", f"/api/stats/{panel}/"): Route(NARROWED, body={"broker": "{broker}"}, reads=False)  # sums
        for panel in (
            "summary",
            "equity",
            "daily",
            "by-strategy",
            "by-webhook",
            "by-symbol",
            "trades",
            "trades/export",
        )
    },
}
# Outside the description, without login: probes, and the description itself.
UNDESCRIBED = ("/api/health/live", "/api/health/ready", "/api/schema/", "/api/docs/", "/api/nulle-part/")
ACCESS_OF_TOPICS = {
    "status": SHARED,
    "heartbeat": SHARED,
    "stream": SHARED,
    "loading": SHARED,
    "orders": LISTED,
    "bots": LISTED,
    "backtests": LISTED,
    "webhooks": LISTED,
    "logs": LISTED,
}


def described_routes() -> list[tuple[str, str]]:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return [(method.upper(), path) for path, methods in schema["paths"].items() for method in methods]


DESCRIBED = sorted(described_routes())
HEALTH = ("GET", "/api/health/")  # tries the database on a connection that it closes: no transaction around it


@dataclass
class World:
    lea: User
    max: User
    ids: dict[str, int | str]

    def client(self, who: str) -> Client:
        client = Client(raise_request_exception=False)
        if who != "nobody":
            client.force_login(getattr(self, who), backend=BACKEND)
        return client

    def call(self, who: str, method: str, path: str, *, ids: Mapping[str, Any] | None = None) -> Any:
        route, known = ROUTES[method, path], ids or self.ids
        body = json.loads(_filled(json.dumps(dict(route.body or {})), known))
        url = path.replace("{id}", str(known.get(route.kind, "")))
        if method == "GET":
            return self.client(who).get(url, body)
        return self.client(who).generic(method, url, json.dumps(body), content_type=JSON)


def _filled(text: str, ids: Mapping[str, Any]) -> str:
    for kind in ("broker", "strategy"):
        text = text.replace(f'"{{{kind}}}"', str(ids[kind]))
    return text


@pytest.fixture
def world(db: None, settings: SettingsWrapper) -> World:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # two users for each route
    return make_world()


def make_world() -> World:
    lea, other = make_user("lea"), make_user("max")
    lea.email = f"{MARK}@example.org"
    lea.ai_api_key, lea.ai_openrouter_model = secrets.encrypt(f"a-{MARK}"), MARK
    lea.save()
    broker = make_broker(lea, name=f"Compte {MARK}")
    Broker.objects.filter(pk=broker.pk).update(
        api_key=secrets.encrypt(f"k-{MARK}"), api_secret=secrets.encrypt(f"s-{MARK}")
    )
    Exchange.objects.create(id="simex", name="Simulateur", candle_source="simex:x")
    bot = make_bot(lea, broker, code=f"# {MARK}", pause_reason=MARK, is_active=False)
    StrategyVersion.objects.create(strategy=bot.strategy, number=1, code=bot.strategy.code)
    trade = _trade(lea, broker, bot)
    position = Position.objects.create(
        user=lea,
        broker=broker,
        bot=bot,
        symbol=f"{MARK}/USDT",
        owner=MARK,
        quantity=1,
        entry_price=1,
        opened_at=CLOSE,
    )
    decision = BotDecision.objects.create(
        bot=bot, feed="x", signal_id="5m_1", close_time=CLOSE, status="decided", reason=MARK, trade=trade
    )
    replayed = ParityRun.objects.create(bot=bot, day=CLOSE.date(), asked_at=CLOSE, reason=MARK)
    ParityDifference.objects.create(
        run=replayed, decision=decision, close_time=CLOSE, live={}, cause="code_changed", explanation=MARK
    )
    TwoFactor.objects.create(user=lea, secret=secrets.encrypt(MARK), created_at=CLOSE, confirmed_at=CLOSE)
    RecoveryCode.objects.create(user=lea, code_hash=MARK)
    address = AlertAddress.objects.create(user=lea, address=secrets.encrypt(f"json://{MARK}/"))
    recording.record(lea.pk, kind=AlertKind.ORDER, code="x", subject=MARK, message=MARK, now=CLOSE)
    key = SessionStore()
    key.create()
    device = UserSession.objects.create(
        user=lea, session_id=key.session_key, user_agent=MARK, created_at=CLOSE, last_seen_at=CLOSE
    )
    run = _backtest(BacktestResult, bot, final_amount=1000, trades_detail=[_round_trip()], curves=_curves())
    sweep = _backtest(BacktestSweep, bot, objective="sharpe", split_ratio=0.7, total_runs=1)
    BacktestSweepRun.objects.create(
        sweep=sweep, number=0, params={"x": MARK}, in_sample={}, out_of_sample={}, error=MARK
    )
    mine = make_broker(other)
    make_bot(other, mine)
    ids: dict[str, int | str] = {
        "exchange": "simex",
        "broker": broker.pk,
        "strategy": bot.strategy_id,
        "bot": bot.pk,
        "trade": trade.pk,
        "position": position.pk,
        "trace": trade.trace_id,
        "alert_address": address.pk,
        "device": device.pk,
        **_webhook(lea, broker),
        "backtest": run.pk,
        "sweep": sweep.pk,
    }
    return World(lea, other, ids)


def _webhook(user: User, broker: Broker) -> dict[str, int | str]:
    source = WebhookSource.objects.create(
        user=user, broker=broker, name=MARK, token_hash=MARK, token_hint=MARK[:16], secret=secrets.encrypt(MARK)
    )
    call = Webhook.objects.create(
        user=user, origin=source, source=MARK, body=MARK, reason=MARK, created_at=CLOSE, processed=True
    )
    return {"webhook": call.pk, "webhook_source": source.pk}


def _trade(user: User, broker: Broker, bot: Any) -> Trade:
    trade = Trade.objects.create(
        user=user,
        broker=broker,
        bot=bot,
        source="strategy",
        owner=f"bot:{bot.pk}",
        client_order_id=MARK,
        trace_id="order.lea",
        symbol=SYMBOL,
        side="buy",
        type="market",
        quantity=Decimal(1),
        status="open",
        profit_loss=Decimal(1),
        market_time=CLOSE,
        error_message=MARK,
        valid_until=datetime.now(UTC) + timedelta(days=1),
    )
    Fill.objects.create(
        trade=trade,
        broker=broker,
        symbol=SYMBOL,
        exchange_trade_id=MARK,
        price=1,
        quantity=1,
        fee=0,
        fee_currency="BTC",
        executed_at=CLOSE,
    )
    OrderCommand.objects.create(trade=trade, kind="amend", status="done")
    return trade


def _backtest(kind: Any, bot: Any, **fields: Any) -> Any:
    return kind.objects.create(
        user=bot.user,
        strategy=bot.strategy,
        strategy_name=MARK,
        code=MARK,
        broker=bot.broker,
        broker_name=MARK,
        exchange="simex",
        symbol=SYMBOL,
        quote_currency="USDT",
        timeframe="5m",
        start_date=CLOSE - timedelta(days=1),
        end_date=CLOSE,
        initial_amount=Decimal(1000),
        slippage_ratio=Decimal(0),
        status="done",
        **fields,
    )


def _round_trip() -> dict[str, Any]:
    amounts = ("quantity", "entry_price", "exit_price", "fees", "profit", "profit_ratio", "balance")
    facts = {"number": 1, "entry_time": 0, "exit_time": 1, "reason": "signal", "ambiguous": False}
    return {**facts, **dict.fromkeys(amounts, "1")}


def _curves() -> dict[str, Any]:
    empty: dict[str, list[float]] = {"time": [], "equity": [], "drawdown": [], "buy_and_hold": []}
    return {"curve": empty, "candles": {"candles": [], "candle_ms": 300_000}}


def rows_of(user: User) -> dict[str, list[dict[str, Any]]]:
    """Every row that belongs to the user, directly or through another of his rows."""
    ways = ("user_id", "trade__user_id", "bot__user_id", "broker__user_id", "sweep__user_id")
    found: dict[str, list[dict[str, Any]]] = {"User": list(User.objects.filter(pk=user.pk).values())}
    for model in apps.get_models():
        names = {field.name for field in model._meta.get_fields()}
        way = next((way for way in ways if way.split("_")[0] in names), None)
        if way is not None and model.__module__.startswith("apps."):
            found[model.__name__] = list(model.objects.filter(**{way: user.pk}).order_by("pk").values())
    return found


def test_every_route_is_classified() -> None:
    assert [route for route in DESCRIBED if route not in ROUTES] == []
    assert len(DESCRIBED) > 30


def test_the_snapshot_holds_all_that_a_user_owns(world: World) -> None:
    rows = rows_of(world.lea)
    assert {name for name, found in rows.items() if found} >= {
        *(
            "User",
            "Broker",
            "Strategy",
            "ActiveStrategy",
            "BotDecision",
            "ParityRun",
            "Trade",
            "Fill",
            "OrderCommand",
            "Position",
        )
    }


@pytest.mark.parametrize(("method", "path"), DESCRIBED)
def test_nobody_is_refused(world: World, method: str, path: str) -> None:
    before = rows_of(world.lea)
    answer = world.call("nobody", method, path)
    if ROUTES[method, path].access != PUBLIC:
        assert answer.status_code in (401, 403)
        assert set(answer.json()) == {"code", "message", "details"}
    assert answer.status_code < 500
    assert MARK not in answer.content.decode()
    assert rows_of(world.lea) == before


@pytest.mark.parametrize(("method", "path"), [route for route in DESCRIBED if route != HEALTH])
def test_another_user_neither_sees_nor_changes_anything(world: World, method: str, path: str) -> None:
    before = rows_of(world.lea)
    access = ROUTES[method, path].access
    answer = world.call("max", method, path)
    assert MARK not in answer.content.decode()
    assert rows_of(world.lea) == before
    if access in (ADDRESSED, NARROWED):
        assert answer.status_code == 404
        absent = world.call("max", method, path, ids=dict.fromkeys(world.ids, NEVER))
        assert (absent.status_code, absent.json()["code"]) == (404, answer.json()["code"])
    elif access == SHARED:
        hers = world.call("lea", method, path)
        assert (answer.status_code, answer.json()) == (hers.status_code, hers.json())
    elif access == LISTED:
        assert answer.status_code == 200
    else:
        assert answer.status_code < 500


@pytest.mark.parametrize(
    ("method", "path"),
    [key for key in DESCRIBED if key[0] == "GET" and key in ROUTES and ROUTES[key].access in (LISTED, ADDRESSED)],
)
def test_the_owner_sees_what_the_others_do_not(world: World, method: str, path: str) -> None:
    if not ROUTES[method, path].reads:
        return
    answer = world.call("lea", method, path)
    assert answer.status_code == 200
    assert MARK in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_health_tells_another_user_nothing_of_a_user() -> None:
    world = make_world()
    answer = world.call("max", *HEALTH)
    assert answer.status_code == 200
    assert MARK not in answer.content.decode()


@pytest.mark.parametrize("path", ["/api/trades/", "/api/positions/"])
def test_naming_anothers_broker_or_bot_in_a_filter_shows_nothing(world: World, path: str) -> None:
    for name in ("broker", "bot"):
        answer = world.client("max").get(path, {name: world.ids[name]})
        assert answer.json()["results"] == []


@pytest.mark.parametrize(
    ("path", "query"),
    [("/api/positions/", {"status": "\x00"}), ("/api/webhooks/", {"until": "0083-05-27T14:06:43-17:44"})],
)
def test_value_that_the_database_cannot_hold_is_refused_in_french(
    world: World, path: str, query: dict[str, str]
) -> None:
    answer = world.client("max").get(path, query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


@pytest.mark.parametrize("who", ["nobody", "max"])
@pytest.mark.parametrize("path", UNDESCRIBED)
def test_routes_outside_the_description_tell_nothing(world: World, path: str, who: str) -> None:
    answer = world.client(who).get(path)
    assert MARK not in b"".join(answer).decode()


# The sockets: `ws/` by its topics (below); `ws/trading/` by each of its requests (test_terminal_socket).
def test_every_topic_and_socket_is_classified() -> None:
    assert set(ACCESS_OF_TOPICS) == set(TOPICS)
    assert {topic for topic, access in ACCESS_OF_TOPICS.items() if access == LISTED} == set(USER_TOPICS)
    router: Any = websocket_application
    while not hasattr(router, "routes"):
        router = getattr(router, "application", None) or router.inner
    assert [str(route.pattern) for route in router.routes] == ["ws/", "ws/trading/"]


class SomeUser:
    is_authenticated = True

    def __init__(self, pk: int) -> None:
        self.pk = pk


async def listening(user: Any, topic: str) -> WebsocketCommunicator:
    socket = WebsocketCommunicator(EventsConsumer.as_asgi(feeds={}), "/ws/")
    socket.scope["user"] = user
    await socket.connect()
    await socket.send_json_to({"type": "subscribe", "topics": [topic]})
    return socket


@pytest.mark.parametrize("topic", TOPICS)
async def test_topic_reaches_whom_it_is_for(topic: str) -> None:
    lea, other = await listening(SomeUser(1), topic), await listening(SomeUser(2), topic)
    nobody = await listening(AnonymousUser(), topic)
    for socket in (lea, other):
        assert await socket.receive_json_from(timeout=5) == {"type": "subscribed", "topics": [topic]}
    own = ACCESS_OF_TOPICS[topic] == LISTED
    await ChannelsPublisher(SystemClock()).publish(topic, "test", {"mark": MARK}, user_id=1 if own else None)
    assert (await lea.receive_json_from(timeout=5))["data"] == {"mark": MARK}
    if own:
        assert await other.receive_nothing(timeout=0.1)
    else:
        assert (await other.receive_json_from(timeout=5))["data"] == {"mark": MARK}
    closing = await nobody.receive_output(5)
    assert (closing["type"], closing["code"]) == ("websocket.close", 4401)
    assert await nobody.receive_nothing(timeout=0.1)  # not even the answer to its subscription
    for socket in (lea, other, nobody):
        await socket.disconnect()
