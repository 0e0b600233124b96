"""The manual terminal's socket on fakes: one reply a request, own data only, what is computed, what is refused."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import User
from apps.core.models import HeartbeatStatus
from apps.market_data.models import ExchangeSymbol
from apps.orders.models import OrderCommand, Trade
from apps.trading_manual.consumers import MAX_IN_FLIGHT, TerminalConsumer
from apps.trading_manual.requests import KINDS
from domain.errors import ExchangeUnavailable
from domain.timeframes import Timeframe, to_ms
from tests.engine_world import CLOSE, SYMBOL, candles
from tests.terminal_world import Page, TerminalWorld, terminal_world

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = {"symbol": SYMBOL, "side": "buy", "order_type": "limit", "quantity": "0.5", "price": "90"}
MARKET = {"symbol": SYMBOL, "side": "sell", "order_type": "market", "quantity": "1"}


@pytest.fixture
async def world(db: None) -> AsyncIterator[TerminalWorld]:
    async with terminal_world() as made:
        yield made


@pytest.fixture
async def page(world: TerminalWorld) -> Page:
    return await world.page()


async def trades() -> list[Trade]:
    return await sync_to_async(list)(Trade.objects.order_by("id"))


async def test_anonymous_socket_is_closed_with_its_code(world: TerminalWorld) -> None:
    socket = WebsocketCommunicator(TerminalConsumer.as_asgi(terminal=lambda: world.terminal), "/ws/trading/")
    socket.scope["user"] = AnonymousUser()
    await socket.connect()
    closing = await socket.receive_output(5)
    assert (closing["type"], closing["code"]) == ("websocket.close", 4401)
    await socket.disconnect()


async def test_malformed_messages_are_answered_in_french_and_the_socket_lives(page: Page) -> None:
    named = '{"request_id": "%s", "type": "orders", "broker": NaN}'
    for text in ("{", "[]", "1", '{"type": "orders"}', named % "é", named % "ok", "a" * 20_000):
        await page.socket.send_to(text_data=text)
        refusal = await page.reply(None)
        assert (refusal["ok"], refusal["error"]["code"]) == (False, "invalid_message")
        assert "Message refusé" in refusal["error"]["message"]
    error = await page.error("fortune")
    assert error["code"] == "unknown_type"
    assert "preview" in error["message"]


async def test_select_tells_what_the_exchange_takes(world: TerminalWorld, page: Page) -> None:
    data = await page.data("select", broker=world.broker.pk)
    assert (data["broker"]["name"], data["broker"]["mode"]) == ("Simulateur", "simulation")
    kinds = {each["type"]: each["supported"] for each in data["abilities"]["order_types"]}
    assert kinds == dict.fromkeys(("market", "limit", "stop_loss", "take_profit", "oco", "stop_limit"), True)
    # 1m, 5m and 1h are the exchange's; the others are made of them.
    assert data["candle_timeframes"] == ["1m", "3m", "5m", "10m", "15m", "1h", "2h", "4h"]


async def test_symbols_put_the_likeliest_first(world: TerminalWorld, page: Page) -> None:
    def add() -> None:
        for base, quote in (("WBTC", "USDT"), ("BTC", "USDC"), ("BTCDOM", "USDT"), ("ETH", "BTC")):
            ExchangeSymbol.objects.create(
                exchange="simex",
                symbol=f"{base}/{quote}",
                exchange_symbol=f"{base}{quote}",
                base=base,
                quote=quote,
                price_precision=1,
                amount_precision=1,
            )

    await sync_to_async(add)()
    found = await page.data("symbols", broker=world.broker.pk, search="btc")
    assert [row["symbol"] for row in found["results"]] == [
        "BTC/USDC",
        "BTC/USDT",
        "BTCDOM/USDT",
        "ETH/BTC",
        "WBTC/USDT",
    ]
    assert found["total"] == 5
    only = await page.data("symbols", broker=world.broker.pk, quote="USDT", search="btcus", limit=1)
    assert (only["results"][0]["symbol"], only["total"]) == ("BTC/USDT", 2)  # and WBTCUSDT
    assert (await page.data("symbols", broker=world.broker.pk, search="nulle part"))["total"] == 0


async def test_market_facts_are_plain_strings(world: TerminalWorld, page: Page) -> None:
    data = await page.data("market", broker=world.broker.pk, symbol=SYMBOL)
    assert (data["tick_size"], data["step_size"], data["min_notional"]) == ("0.01", "0.00001", "5")
    error = await page.error("market", broker=world.broker.pk, symbol="RIEN/USDT")
    assert error["code"] == "unknown_symbol"


async def test_portfolio_is_valued_and_sorted(world: TerminalWorld, page: Page) -> None:
    world.gateway.free[world.broker.pk] = {"USDT": Decimal(150), "BTC": Decimal(2), "XYZ": Decimal(3)}
    data = await page.data("portfolio", broker=world.broker.pk)
    assert data["total"] == "350"  # 2 BTC at 100, and 150
    assert [(each["currency"], each["value"]) for each in data["assets"]] == [
        ("BTC", "200"),
        ("USDT", "150"),
        ("XYZ", None),
    ]


async def test_portfolio_without_prices_still_shows_the_assets(world: TerminalWorld, page: Page) -> None:
    world.gateway.failures["tickers"] = ExchangeUnavailable("Simulateur ne répond pas.")
    data = await page.data("portfolio", broker=world.broker.pk)
    assert (data["total"], data["assets"][1]["value"]) == ("10000", None)
    assert "Simulateur ne répond pas" in data["warnings"][0]


async def test_preview_of_a_limit_buy(world: TerminalWorld, page: Page) -> None:
    data = await page.data("preview", broker=world.broker.pk, **LIMIT)
    # 0.5 at 90 = 45; 0.1 % of the 0.5 bought for the fee, worth 0.045.
    assert (data["quantity"], data["price"], data["notional"], data["quote_amount"]) == ("0.5", "90", "45", "45")
    assert (data["fee"], data["needed"], data["available"]) == ("0.0005", "45", "10000")
    assert data["reference_price"] == "100"
    assert data["summary"] == [
        {"label": "Achat limite", "value": "0,5 BTC à 90"},
        {"label": "Valeur", "value": "45 USDT"},
        {"label": "Frais estimés", "value": "0,0005 BTC (≈ 0,045 USDT)"},
        {"label": "Vous recevrez", "value": "0,4995 BTC"},
        {"label": "Montant retenu", "value": "45 USDT"},
        {"label": "Restera disponible", "value": "9\u202f955 USDT"},
    ]
    assert "10 % au-dessous" in data["warnings"][0]
    assert await trades() == []


async def test_preview_turns_an_amount_into_a_quantity(world: TerminalWorld, page: Page) -> None:
    wanted = {**LIMIT, "quantity": None, "quote_amount": "45"}
    data = await page.data("preview", broker=world.broker.pk, **wanted)
    assert (data["quantity"], data["quote_amount"]) == ("0.5", "45")


async def test_preview_takes_a_share_of_the_balance(world: TerminalWorld, page: Page) -> None:
    buy = {"symbol": SYMBOL, "side": "buy", "order_type": "market", "balance_ratio": "0.25"}
    assert (await page.data("preview", broker=world.broker.pk, **buy))["quantity"] == "25"  # 2,500 at 100
    sell = {"symbol": SYMBOL, "side": "sell", "order_type": "market", "balance_ratio": "1"}
    assert (await page.data("preview", broker=world.broker.pk, **sell))["quantity"] == "2"


async def test_preview_says_what_was_rounded(world: TerminalWorld, page: Page) -> None:
    wanted = {**LIMIT, "quantity": "0.500000000000000001", "price": "99.999"}
    data = await page.data("preview", broker=world.broker.pk, **wanted)
    assert (data["quantity"], data["price"]) == ("0.5", "100")
    assert "Quantité arrondie" in data["warnings"][0]
    assert "Prix arrondi de 99,999 à 100 USDT" in data["warnings"][1]
    assert "tout de suite" in data["warnings"][2]


async def test_a_form_asks_terminal_5_once_while_one_types(world: TerminalWorld, page: Page) -> None:
    await asyncio.gather(*[page.send("preview", broker=world.broker.pk, **LIMIT) for _ in range(5)])
    for _ in range(5):
        assert (await page.socket.receive_json_from(timeout=10))["ok"]
    assert sorted(world.gateway.calls) == ["balance", "price"]
    world.clock.advance(3.5)
    await page.data("preview", broker=world.broker.pk, **LIMIT)
    assert sorted(world.gateway.calls) == ["balance", "balance", "price", "price"]


HOSTILE: list[tuple[dict[str, Any], str, str]] = [
    ({"quantity": "abc"}, "quantity", "« abc » n'est pas un nombre"),
    ({"quantity": "NaN"}, "quantity", "n'est pas un nombre"),
    ({"quantity": "Infinity"}, "quantity", "n'est pas un nombre"),
    ({"quantity": True}, "quantity", "n'est pas un nombre"),
    ({"quantity": {"a": 1}}, "quantity", "n'est pas un nombre"),
    ({"quantity": ""}, "quantity", "n'est pas un nombre"),
    ({"quantity": "1e400"}, "quantity", "démesuré"),
    ({"quantity": "-1"}, "quantity", "supérieur à 0"),
    ({"quantity": "0"}, "quantity", "supérieur à 0"),
    ({"quantity": "0.0000000000000000001"}, "quantity", "18 décimales au plus"),
    ({"quantity": None}, "quantity", "soit une quantité, soit un montant"),
    ({"quote_amount": "5"}, "quantity", "soit une quantité, soit un montant"),
    ({"price": "12.3.4"}, "price", "n'est pas un nombre"),
    ({"price": None}, "price", "un prix est obligatoire"),
    ({"price": "0.00000123"}, "quantity", "inférieure au minimum"),
    ({"price": "0.001", "side": "sell"}, "price", "nul après arrondi"),
    ({"stop_price": "90"}, "stop_price", "interdit"),
    ({"stop_loss": "80"}, "stop_loss", "SL + TP"),
    ({"side": "prendre"}, "side", "prendre"),
    ({"order_type": "iceberg"}, "order_type", "iceberg"),
    ({"quantity": "0.00001"}, "quantity", "inférieure au minimum 5 USDT"),
    ({"quantity": "0.000001"}, "quantity", "quantité nulle après arrondi"),
    ({"quantity": "9001"}, "quantity", "supérieure au maximum"),
    ({"quantity": "112"}, "quantity", "solde insuffisant"),
    ({"symbol": "RIEN/USDT"}, "symbol", "introuvable"),
]


async def test_hostile_or_impossible_tickets_are_refused_at_their_field(world: TerminalWorld, page: Page) -> None:
    for change, field, said in HOSTILE:
        error = await page.error("preview", broker=world.broker.pk, **{**LIMIT, **change})
        assert said in error["message"], change
        assert error["details"]["field"] == field, change


async def test_a_price_in_tiny_units_is_kept_exact(world: TerminalWorld, page: Page) -> None:
    await ExchangeSymbol.objects.acreate(
        exchange="simex",
        symbol="PEPE/USDT",
        exchange_symbol="PEPEUSDT",
        base="PEPE",
        quote="USDT",
        min_notional=Decimal(1),
        price_precision=Decimal("0.00000001"),
        amount_precision=Decimal(1),
        taker_fee_ratio=Decimal("0.001"),
        maker_fee_ratio=Decimal("0.001"),
    )
    world.gateway.prices["PEPE/USDT"] = Decimal("0.00000125")
    wanted = {**LIMIT, "symbol": "PEPE/USDT", "quantity": "10000000", "price": "0.00000123"}
    data = await page.data("preview", broker=world.broker.pk, **wanted)
    assert (data["price"], data["notional"]) == ("0.00000123", "12.3")


async def test_halted_market_and_empty_account_are_said(world: TerminalWorld, page: Page) -> None:
    world.gateway.free[world.broker.pk] = {}
    error = await page.error("preview", broker=world.broker.pk, **LIMIT)
    assert (error["code"], error["details"]["free"]) == ("insufficient_funds", "0")
    share = {"symbol": SYMBOL, "side": "sell", "order_type": "market", "balance_ratio": "1"}
    nothing = await page.error("preview", broker=world.broker.pk, **share)
    assert (nothing["code"], nothing["details"]["field"]) == ("insufficient_funds", "balance_ratio")
    await ExchangeSymbol.objects.filter(symbol=SYMBOL).aupdate(active=False)
    halted = await page.error("preview", broker=world.broker.pk, **LIMIT)
    assert (halted["code"], halted["details"]["field"]) == ("market_closed", "symbol")


async def test_submit_commits_one_manual_order_and_the_event_follows(world: TerminalWorld, page: Page) -> None:
    data = await page.data("submit", broker=world.broker.pk, **LIMIT)
    assert (data["trade"]["status"], data["trade"]["source"]) == ("pending", "manual")
    (row,) = await trades()
    assert (row.client_order_id, row.owner) == (data["trade"]["client_order_id"], "manual")
    assert (row.quantity, row.price, row.reserved_amount) == (Decimal("0.5"), Decimal(90), Decimal("45"))


@pytest.mark.parametrize("restarted", [False, True])
async def test_repeated_request_gets_the_same_reply_and_does_nothing_twice(
    world: TerminalWorld, page: Page, restarted: bool
) -> None:
    first = await page.ask("submit", request_id="same", broker=world.broker.pk, **LIMIT)
    await page.socket.disconnect()
    if restarted:
        world.restart()
    again = await world.page()
    assert await again.ask("submit", request_id="same", broker=world.broker.pk, **LIMIT) == first
    assert len(await trades()) == 1
    cancelled = await again.ask(
        "cancel", request_id="stop", broker=world.broker.pk, trade=first["data"]["trade"]["id"]
    )
    assert cancelled["data"]["trade"]["status"] == "cancelled"
    repeated = await again.ask(
        "cancel", request_id="stop", broker=world.broker.pk, trade=first["data"]["trade"]["id"]
    )
    assert repeated == cancelled


async def test_two_that_arrive_together_make_one_order(world: TerminalWorld, page: Page) -> None:
    other = await world.page()
    asked = [each.ask("submit", request_id="twice", broker=world.broker.pk, **LIMIT) for each in (page, other)]
    first, second = await asyncio.gather(*asked)
    assert first == second
    assert len(await trades()) == 1


async def test_one_id_is_one_request(world: TerminalWorld, page: Page) -> None:
    await page.data("submit", request_id="mine", broker=world.broker.pk, **LIMIT)
    error = await page.error("submit", request_id="mine", broker=world.broker.pk, **{**LIMIT, "quantity": "0.6"})
    assert error["code"] == "request_id_reused"
    assert len(await trades()) == 1


async def test_refused_submission_is_kept_and_answered_the_same_again(world: TerminalWorld, page: Page) -> None:
    wanted = {**LIMIT, "quantity": "112"}
    error = await page.error("submit", request_id="poor", broker=world.broker.pk, **wanted)
    assert error["code"] == "insufficient_funds"
    (row,) = await trades()
    assert (row.status, row.source, row.error_code) == ("rejected", "manual", "insufficient_funds")
    assert await page.error("submit", request_id="poor", broker=world.broker.pk, **wanted) == error
    history = await page.data("history", broker=world.broker.pk)
    assert [(each["id"], each["status"]) for each in history["results"]] == [(row.pk, "rejected")]


async def test_attempt_without_a_price_is_kept_as_a_failure(world: TerminalWorld, page: Page) -> None:
    world.gateway.failures["price"] = ExchangeUnavailable("Simulateur ne répond pas.")
    error = await page.error("submit", broker=world.broker.pk, **MARKET)
    assert error["code"] == "exchange_unavailable"
    (row,) = await trades()
    assert (row.status, row.error_message, row.quantity) == ("rejected", "Simulateur ne répond pas.", Decimal(1))


async def test_validation_freezes_the_terms(world: TerminalWorld, page: Page) -> None:
    amount = {"symbol": SYMBOL, "side": "buy", "order_type": "market", "quote_amount": "1000"}
    validated = await page.data("validate", broker=world.broker.pk, **amount)
    assert (validated["quantity"], len(validated["validation_id"]) < 2000) == ("10", True)
    world.gateway.prices[SYMBOL] = Decimal(200)
    world.clock.advance(29)
    calls = list(world.gateway.calls)
    done = await page.data("submit", broker=world.broker.pk, validation_id=validated["validation_id"])
    assert done["trade"]["quantity"] == "10"  # at 100, as validated
    assert world.gateway.calls == calls  # nothing is asked from terminal 5


async def test_a_validation_makes_one_order_however_often_it_is_used(world: TerminalWorld, page: Page) -> None:
    token = (await page.data("validate", broker=world.broker.pk, **LIMIT))["validation_id"]
    first = await page.data("submit", broker=world.broker.pk, validation_id=token)
    world.clock.advance(60)
    world.restart()
    second = await page.data("submit", broker=world.broker.pk, validation_id=token)
    assert second["trade"]["id"] == first["trade"]["id"]
    assert len(await trades()) == 1


async def test_pair_validated_before_a_bots_was_cancelled_is_checked_with_the_money_of_now(
    world: TerminalWorld, page: Page
) -> None:
    """0.68 BTC, of which a bot's pair locks 0.18; it is cancelled and the bot sells them at the market."""
    world.gateway.free[world.broker.pk] = {"BTC": Decimal("0.5")}
    own: dict[str, Any] = {"user": world.lea, "broker": world.broker, "symbol": SYMBOL, "side": "sell"}
    own |= {"quantity": Decimal("0.18")}
    own |= {"source": "strategy", "owner": "bot:3", "valid_until": world.clock.now()}
    own |= {"reserved_currency": "BTC", "reserved_amount": Decimal("0.18")}
    create = sync_to_async(Trade.objects.create)
    began = world.clock.now()
    leg = await create(**own, type="stop_loss", client_order_id="leg", status="open", acknowledged_at=began)
    world.clock.advance(1)
    pair = {"symbol": SYMBOL, "side": "sell", "order_type": "oco", "quantity": "0.5"}
    pair |= {"stop_loss": "90", "take_profit": "120"}
    seen = await page.data("validate", broker=world.broker.pk, **pair)
    assert seen["available"] == "0.5"

    world.clock.advance(2)
    await Trade.objects.filter(pk=leg.pk).aupdate(status="cancelled", closed_at=world.clock.now())
    await create(**own, type="market", client_order_id="sale", status="pending")
    world.gateway.free[world.broker.pk] = {"BTC": Decimal("0.68")}
    done = await page.data("submit", broker=world.broker.pk, validation_id=seen["validation_id"])
    assert [each["type"] for each in done["trades"]] == ["stop_loss", "take_profit"]


async def test_expired_forged_or_borrowed_validation_makes_nothing(world: TerminalWorld, page: Page) -> None:
    token = (await page.data("validate", broker=world.broker.pk, **LIMIT))["validation_id"]
    other = await world.page(world.max)
    for error in (
        await page.error("submit", broker=world.broker.pk, validation_id=token[:-2]),
        await other.error("submit", broker=world.other_broker.pk, validation_id=token),
    ):
        assert error["code"] == "validation_unknown"
    world.clock.advance(30)
    error = await page.error("submit", broker=world.broker.pk, validation_id=token)
    assert error["code"] == "validation_expired"
    assert "30 s" in error["message"]
    assert await trades() == []


async def test_absent_terminal_5_is_said_at_once_and_the_order_still_committed(
    world: TerminalWorld, page: Page
) -> None:
    token = (await page.data("validate", broker=world.broker.pk, **LIMIT))["validation_id"]
    world.presences.is_alive = False
    world.clock.advance(9)
    calls = list(world.gateway.calls)
    for kind in ("preview", "portfolio", "book", "candles"):
        error = await page.error(kind, broker=world.broker.pk, timeframe="1m", **LIMIT)
        assert error["code"] == "ccxt_service_down"
        assert "terminal 5" in error["message"]
    assert world.gateway.calls == calls  # nobody waits for a time-out
    done = await page.data("submit", broker=world.broker.pk, validation_id=token)
    assert done["trade"]["status"] == "pending"
    assert "expirera sans avoir été envoyé" in done["warnings"][0]


def _log_out(page: Page, user: User) -> None:
    page.socket.scope["session"].flush()


def _change_password(page: Page, user: User) -> None:
    user.set_password("une-autre-phrase-42")
    user.save()


def _deactivate(page: Page, user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.parametrize("end", [_log_out, _change_password, _deactivate])
async def test_page_whose_session_ended_elsewhere_places_no_order(
    world: TerminalWorld, page: Page, end: Callable[[Page, User], None], settings: SettingsWrapper
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    await sync_to_async(end)(page, world.lea)
    error = await page.error("submit", broker=world.broker.pk, **LIMIT)
    assert error["code"] == "signed_out"
    closing = await page.socket.receive_output(5)
    assert (closing["type"], closing["code"]) == ("websocket.close", 4401)
    assert await trades() == []


async def test_a_request_that_waits_holds_up_no_other(world: TerminalWorld, page: Page) -> None:
    gate = asyncio.Event()

    async def slow(broker_id: int, **_: Any) -> Any:
        await gate.wait()
        raise ExchangeUnavailable("Simulateur ne répond pas.")

    world.gateway.balance = slow  # type: ignore[method-assign]
    waiting = [await page.send("portfolio", broker=world.broker.pk) for _ in range(MAX_IN_FLIGHT - 1)]
    assert await page.data("orders", broker=world.broker.pk) == {"results": []}
    waiting.append(await page.send("portfolio", broker=world.broker.pk))
    error = await page.error("orders", broker=world.broker.pk)
    assert error["code"] == "too_many_requests"
    gate.set()
    answered = {(await page.socket.receive_json_from(timeout=10))["request_id"] for _ in waiting}
    assert answered == set(waiting)
    assert await page.data("orders", broker=world.broker.pk) == {"results": []}


async def test_stop_loss_and_take_profit_are_one_ticket_and_two_orders(world: TerminalWorld, page: Page) -> None:
    pair = {"symbol": SYMBOL, "side": "sell", "order_type": "oco", "quantity": "1"}
    pair |= {"stop_loss": "90", "take_profit": "120"}
    seen = await page.data("validate", broker=world.broker.pk, **pair)
    assert [(leg["order_type"], leg["stop_price"]) for leg in seen["legs"]] == [
        ("stop_loss", "90"),
        ("take_profit", "120"),
    ]
    assert {"label": "Take profit", "value": "120 USDT"} in seen["summary"]
    token = seen["validation_id"]
    first = await page.ask("submit", request_id="pair", broker=world.broker.pk, validation_id=token)
    assert [leg["type"] for leg in first["data"]["trades"]] == ["stop_loss", "take_profit"]
    assert await page.ask("submit", request_id="pair", broker=world.broker.pk, validation_id=token) == first
    again = await page.data("submit", broker=world.broker.pk, validation_id=token)
    assert [leg["id"] for leg in again["trades"]] == [leg["id"] for leg in first["data"]["trades"]]
    assert len(await trades()) == 2


async def test_cancel_all_spares_the_orders_of_bots_unless_told(world: TerminalWorld, page: Page) -> None:
    for _ in range(2):
        await page.data("submit", broker=world.broker.pk, **LIMIT)
    await Trade.objects.filter(pk=(await trades())[0].pk).aupdate(owner="bot:1", source="strategy")
    data = await page.data("cancel_all", broker=world.broker.pk)
    assert [each["status"] for each in data["trades"]] == ["cancelled"]
    assert [each.status for each in await trades()] == ["pending", "cancelled"]
    other = await page.data("cancel_all", broker=world.broker.pk, everybody=True, symbol="ETH/USDT")
    assert other["trades"] == []
    await page.data("cancel_all", broker=world.broker.pk, everybody=True)
    assert [each.status for each in await trades()] == ["cancelled", "cancelled"]


async def test_amendment_is_asked_once_and_names_its_replacement(world: TerminalWorld, page: Page) -> None:
    made = await page.data("submit", broker=world.broker.pk, **LIMIT)
    await Trade.objects.aupdate(status="open", exchange_order_id="77", acknowledged_at=world.clock.now())
    wanted = {"broker": world.broker.pk, "trade": made["trade"]["id"], "price": "85"}
    first = await page.ask("amend", request_id="change", **wanted)
    assert first["ok"], first
    command = await OrderCommand.objects.aget()
    assert first["data"]["command"] == {"id": command.pk}
    assert command.params["client_order_id"] == first["data"]["client_order_id"]
    world.restart()
    assert await page.ask("amend", request_id="change", **wanted) == first
    assert await OrderCommand.objects.acount() == 1
    refused = await page.error("amend", **{**wanted, "price": "0"})
    assert (refused["details"]["field"], "supérieur à 0" in refused["message"]) == ("price", True)


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(hours=4)])
async def test_candles_of_a_simulated_market_go_by_its_own_clock(
    world: TerminalWorld, page: Page, behind: timedelta
) -> None:
    world.gateway.candle_rows = candles(CLOSE, timeframe=Timeframe.M5, count=100)  # the market's present: CLOSE
    await HeartbeatStatus.objects.acreate(
        source="primary",
        location="ici",
        feed="simex:test",
        market_time=CLOSE - behind,
        last_application_start=world.clock.now(),
    )
    data = await page.data("candles", broker=world.broker.pk, symbol=SYMBOL, timeframe="5m", limit=60)
    opens = [candle[0] for candle in data["candles"]]
    assert (len(opens), opens[-1]) == (60, to_ms(CLOSE - timedelta(minutes=5)))
    assert data["candles"][0][1:] == [100.0, 100.0, 100.0, 100.0, 1.0]


REQUESTS: dict[str, dict[str, Any]] = {
    "select": {},
    "symbols": {},
    "market": {"symbol": SYMBOL},
    "portfolio": {},
    "preview": LIMIT,
    "validate": LIMIT,
    "submit": LIMIT,
    "cancel": {"trade": "{trade}"},
    "cancel_all": {},
    "close": {"position": 1},
    "amend": {"trade": "{trade}", "price": "85"},
    "orders": {},
    "history": {},
    "positions": {},
    "book": {"symbol": SYMBOL},
    "candles": {"symbol": SYMBOL, "timeframe": "1m"},
}


async def test_anothers_broker_is_as_absent_as_a_missing_one(world: TerminalWorld, page: Page) -> None:
    made = await page.data("submit", broker=world.broker.pk, **LIMIT)
    before, calls = await trades(), list(world.gateway.calls)
    other = await world.page(world.max)
    for kind, wanted in REQUESTS.items():
        params = {name: made["trade"]["id"] if value == "{trade}" else value for name, value in wanted.items()}
        theirs = await other.error(kind, broker=world.broker.pk, **params)
        missing = await other.error(kind, broker=999_999, **params)
        assert theirs["code"] == missing["code"] == "not_found", kind
        assert theirs["message"].replace(str(world.broker.pk), "?") == missing["message"].replace("999999", "?")
    assert [(each.pk, each.status) for each in await trades()] == [(each.pk, each.status) for each in before]
    assert world.gateway.calls == calls


def test_every_request_is_tried_with_anothers_broker() -> None:
    assert set(REQUESTS) == set(KINDS)


async def test_anothers_order_is_absent_through_ones_own_broker(world: TerminalWorld, page: Page) -> None:
    made = await page.data("submit", broker=world.broker.pk, **LIMIT)
    other = await world.page(world.max)
    for kind in ("cancel", "amend"):
        wanted = {"broker": world.other_broker.pk, "price": "85"}
        theirs = await other.error(kind, trade=made["trade"]["id"], **wanted)
        missing = await other.error(kind, trade=999_999, **wanted)
        assert theirs["code"] == missing["code"] == "not_found"
    assert (await trades())[0].status == "pending"
    assert (await other.data("orders", broker=world.other_broker.pk))["results"] == []


async def test_search_among_3000_symbols_answers_while_one_types(world: TerminalWorld, page: Page) -> None:
    def fill() -> None:
        names = [f"X{a}{b}{c}" for a in "ABCDEFGHIJ" for b in "KLMNOPQRST" for c in "UVWXYZABCD"]
        ExchangeSymbol.objects.bulk_create(
            ExchangeSymbol(
                exchange="simex",
                symbol=f"{base}/{quote}",
                exchange_symbol=f"{base}{quote}",
                base=base,
                quote=quote,
                price_precision=1,
                amount_precision=1,
            )
            for base in names
            for quote in ("USDT", "USDC", "EUR")
        )

    await sync_to_async(fill)()

    async def best(kind: str, **asked: Any) -> float:
        """The best of five: the others meet whatever else the machine does."""
        taken = []
        for _ in range(5):
            started = time.perf_counter()
            await page.data(kind, broker=world.broker.pk, **asked)
            taken.append(time.perf_counter() - started)
        return min(taken)

    # On a machine that is busy throughout, as many times what the shortest answer of the same server takes.
    bare = await best("orders")
    for text in ("", "x", "xak", "xaku", "usd", "k", "btcusdt", "zzz"):
        assert await best("symbols", search=text, limit=200) < max(0.05, 12 * bare), text
