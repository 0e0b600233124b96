"""Changing an order: by one request where the exchange offers it, else cancelled first and placed anew."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from apps.orders import desk, selectors
from apps.orders.models import OrderCommand, Trade
from apps.orders.signals import order_event
from domain.errors import (
    Conflict,
    ExchangeRateLimited,
    ExchangeUnavailable,
    InvalidInput,
    NotFound,
    OrderNotExecuted,
    OrderOutcomeUnknown,
)
from domain.order_abilities import AmendMode, OrderAbilities
from domain.orders import OrderRequest, OrderType, Side
from tests.fakes.exchange import BTC_USDT
from tests.fakes.orders_room import OrdersRoom, make_room, orders_room, refreshed

pytestmark = pytest.mark.django_db(transaction=True)
ATOMIC = OrderAbilities(amend=AmendMode.ATOMIC)
CANCEL_FIRST = OrderAbilities(amend=AmendMode.CANCEL_FIRST)
BOTH = pytest.mark.parametrize("mode", [ATOMIC, CANCEL_FIRST], ids=["atomic", "cancel first"])
TIMEOUT = OrderOutcomeUnknown("Délai dépassé.")


@pytest_asyncio.fixture
async def room() -> AsyncIterator[OrdersRoom]:
    async with orders_room() as made:
        yield made


@pytest.fixture
def alerts() -> Iterator[list[str]]:
    codes: list[str] = []

    def receive(*, event_type: str, data: Any, **_: Any) -> None:
        if event_type == "alert":
            codes.append(data["code"])

    order_event.connect(receive)
    yield codes
    order_event.disconnect(receive)


def ask(room: OrdersRoom, trade: Trade, **changes: Any) -> OrderCommand:
    arguments: dict[str, Any] = {
        "trade_id": trade.id,
        "user_id": room.user.id,
        "market": BTC_USDT,
        "reference_price": room.exchange.prices["BTC/USDT"],
        "now": room.clock.now(),
    }
    return desk.amend(**{**arguments, **changes})


async def asked(room: OrdersRoom, trade: Trade, **changes: Any) -> OrderCommand:
    command: OrderCommand = await sync_to_async(ask)(room, trade, **changes)
    return command


async def resting(room: OrdersRoom, mode: OrderAbilities, quantity: str = "3", price: str = "90") -> Trade:
    await sync_to_async(room.become)(mode)
    trade = await room.submitted(quantity=quantity, price=price)
    await room.executor()[0].cycle()
    return await refreshed(trade)


async def settled(room: OrdersRoom, command: OrderCommand, seconds: float = 6) -> tuple[OrderCommand, Trade | None]:
    await room.settle(room.executor()[0], seconds=seconds)
    new = await Trade.objects.filter(client_order_id=command.params["client_order_id"]).afirst()
    return await OrderCommand.objects.aget(id=command.id), new


@BOTH
async def test_a_change_leaves_one_order_with_the_new_terms(room: OrdersRoom, mode: OrderAbilities) -> None:
    old = await resting(room, mode)
    command, new = await settled(room, await asked(room, old, quantity=Decimal(2), price=Decimal("85.001")))
    assert (command.status, command.error_message) == ("done", "")
    assert new is not None
    assert (new.status, new.quantity, new.price, new.replaces_id) == ("open", 2, Decimal("85.01"), old.id)
    assert (await refreshed(old)).status == "cancelled"
    (order,) = [one for one in room.exchange.accepted if one.rests]
    assert (order.ticket.client_order_id, order.ticket.price) == (new.client_order_id, Decimal("85.01"))
    # 2 × 85.01 + 0.1 %
    held = await sync_to_async(selectors.reserved_by_currency)(room.broker.id)
    assert held == {"USDT": Decimal("170.19002")}
    assert room.conserved()


async def test_a_change_that_the_account_cannot_pay_leaves_the_order_as_it_was(room: OrdersRoom) -> None:
    old = await resting(room, ATOMIC)  # 3 × 90 + 0.1 % = 270.27
    asked_at = room.clock.now() + timedelta(seconds=1)
    with pytest.raises(InvalidInput, match="solde insuffisant, 360,36 USDT nécessaires, 90 USDT disponibles"):
        await asked(room, old, quantity=Decimal(4), free=Decimal(90), balance_as_of=asked_at)
    assert not await OrderCommand.objects.aexists()
    assert (await refreshed(old)).status == "open"
    command, new = await settled(
        room, await asked(room, old, quantity=Decimal(4), free=Decimal("90.09"), balance_as_of=asked_at)
    )
    assert (command.status, new and new.quantity) == ("done", 4)  # what the order itself holds counts


@BOTH
async def test_a_trigger_is_changed_like_a_price(room: OrdersRoom, mode: OrderAbilities) -> None:
    await sync_to_async(room.become)(mode)
    stop = OrderRequest("BTC/USDT", Side.SELL, OrderType.STOP_LOSS, Decimal(2), stop_price=Decimal(90))
    trade = await room.submitted(request=stop)
    await room.executor()[0].cycle()
    _, new = await settled(room, await asked(room, trade, stop_price=Decimal(95)))
    assert new is not None
    assert (new.status, new.type, new.stop_price, new.price) == ("open", "stop_loss", 95, None)
    room.exchange.move_price("BTC/USDT", 94)
    await room.settle(room.executor()[0], seconds=4)
    assert (await refreshed(new)).status == "filled"


@BOTH
async def test_what_has_executed_counts_in_the_new_total(room: OrdersRoom, mode: OrderAbilities) -> None:
    old = await resting(room, mode)
    room.exchange.trade(old.client_order_id, "1")
    await room.settle(room.executor()[0], seconds=3)
    command, new = await settled(room, await asked(room, old, quantity=Decimal(5), price=Decimal(80)))
    assert command.status == "done"
    assert new is not None
    assert (new.quantity, new.price, new.status) == (4, 80, "open")
    old = await refreshed(old)
    assert (old.status, old.filled_quantity) == ("cancelled", 1)
    assert "replace_order" not in room.exchange.calls  # nothing atomic once some of it has executed


async def test_an_execution_that_comes_first_leaves_the_order_as_it_was(room: OrdersRoom) -> None:
    old = await resting(room, ATOMIC)
    command = await asked(room, old, price=Decimal(80))
    room.exchange.trade(old.client_order_id, "1")
    command, new = await settled(room, command)
    assert command.status == "failed"
    assert "cancel restrictions" in command.error_message
    assert new is not None
    assert new.status == "rejected"
    assert (await refreshed(old)).status == "partially_filled"


@BOTH
async def test_a_change_of_an_order_that_filled_meanwhile_fails(room: OrdersRoom, mode: OrderAbilities) -> None:
    old = await resting(room, mode)
    command = await asked(room, old, price=Decimal(80))
    room.exchange.move_price("BTC/USDT", 89)
    command, _ = await settled(room, command)
    assert command.status == "failed"
    assert (await refreshed(old)).status == "filled"
    assert [one.ticket.client_order_id for one in room.exchange.accepted] == [old.client_order_id]


async def test_a_fill_during_the_cancellation_is_taken_off_what_is_placed_anew(
    room: OrdersRoom, alerts: list[str]
) -> None:
    old = await resting(room, CANCEL_FIRST, quantity="3")
    command = await asked(room, old, price=Decimal(80))
    executor, _ = room.executor()
    gate = room.exchange.gate("cancel_order")
    working = asyncio.create_task(executor.cycle())
    async with asyncio.timeout(10):
        while "cancel_order" not in room.exchange.calls:  # noqa: ASYNC110 — what is awaited has no event
            await asyncio.sleep(0)
    room.exchange.trade(old.client_order_id, "2.96")
    gate.set()
    await working
    command, new = await settled(room, command)
    # 0.04 × 80 = 3.2 USDT are left, under the exchange's minimum of 5.
    assert (command.status, new) == ("failed", None)
    assert "le reste de 0,04 (à 80) est sous le minimum" in command.error_message
    assert alerts == ["amend_lost"]
    assert (await refreshed(old)).status == "cancelled"


@BOTH
async def test_an_order_cancelled_elsewhere_before_us_is_not_placed_anew(
    room: OrdersRoom, mode: OrderAbilities, alerts: list[str]
) -> None:
    old = await resting(room, mode)
    command = await asked(room, old, price=Decimal(80))
    room.exchange.cancel(room.broker.id, old.client_order_id)
    command, _ = await settled(room, command)
    assert (command.status, alerts) == ("failed", ["amend_lost"])
    assert [one.ticket.client_order_id for one in room.exchange.accepted] == [old.client_order_id]
    assert (await refreshed(old)).status == "cancelled"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_replacement_of_unknown_outcome_is_looked_up_with_the_old_one(room: OrdersRoom, when: str) -> None:
    old = await resting(room, ATOMIC)
    room.exchange.fail("replace_order", TIMEOUT, when=when)
    command = await asked(room, old, price=Decimal(80))
    await room.executor()[0].cycle()
    command, new = await settled(room, command, seconds=60)
    assert room.exchange.calls.count("replace_order") == 1
    assert new is not None
    old = await refreshed(old)
    outcome = (command.status, new.status, old.status)
    assert outcome == (("done", "open", "cancelled") if when == "after" else ("failed", "expired", "open"))


async def test_a_replacement_not_executed_is_asked_for_again_while_valid(room: OrdersRoom) -> None:
    old = await resting(room, ATOMIC)
    room.exchange.fail("replace_order", OrderNotExecuted("429", retry_after_s=3))
    command = await asked(room, old, price=Decimal(80))
    executor, _ = room.executor()
    await executor.cycle()
    assert room.exchange.calls.count("create_order") == 1
    command, new = await settled(room, command)
    assert (command.status, room.exchange.calls.count("replace_order")) == ("done", 2)
    assert new is not None
    assert new.status == "open"


async def test_a_replacement_never_executed_in_time_leaves_the_old_order(room: OrdersRoom) -> None:
    old = await resting(room, ATOMIC)
    room.exchange.fail("replace_order", OrderNotExecuted("429", retry_after_s=60))
    command, new = await settled(room, await asked(room, old, price=Decimal(80)), seconds=30)
    assert command.status == "failed"
    assert "429" in command.error_message
    assert new is not None
    assert (new.status, (await refreshed(old)).status) == ("expired", "open")
    assert room.exchange.calls.count("create_order") == 1  # the replacement never left by itself


async def test_a_replacement_that_waits_never_leaves_beside_an_order_that_executes(room: OrdersRoom) -> None:
    old = await resting(room, ATOMIC)
    room.exchange.fail("replace_order", OrderNotExecuted("429", retry_after_s=4))
    command = await asked(room, old, price=Decimal(80))
    executor, _ = room.executor()
    await executor.cycle()
    room.exchange.move_price("BTC/USDT", 89)
    command, new = await settled(room, command, seconds=12)
    assert (command.status, (await refreshed(old)).status) == ("failed", "filled")
    assert new is not None
    assert new.status == "cancelled"
    assert len(room.exchange.accepted) == 1


async def test_a_cancellation_that_went_through_and_a_refused_replacement_raise_an_alarm(
    room: OrdersRoom, alerts: list[str]
) -> None:
    old = await resting(room, ATOMIC, quantity="1")
    command = await asked(room, old, quantity=Decimal(500))  # more than the account holds
    command, new = await settled(room, command)
    assert command.status == "failed"
    assert "est annulé et son remplaçant n'existe pas" in command.error_message
    assert new is not None
    assert (new.status, (await refreshed(old)).status) == ("rejected", "cancelled")
    assert alerts == ["amend_lost"]


@pytest.mark.parametrize(
    ("error", "when"),
    [
        (ExchangeUnavailable("504"), "before"),
        (ExchangeUnavailable("504"), "after"),
        (ExchangeRateLimited("429"), "before"),
    ],
)
async def test_a_cancellation_without_an_answer_is_made_again(
    room: OrdersRoom, error: Exception, when: str
) -> None:
    old = await resting(room, CANCEL_FIRST)
    room.exchange.fail("cancel_order", error, when=when)
    command, new = await settled(room, await asked(room, old, price=Decimal(80)))
    assert command.status == "done"
    assert new is not None
    assert (new.status, (await refreshed(old)).status) == ("open", "cancelled")


@BOTH
async def test_a_change_past_its_time_is_never_begun(room: OrdersRoom, mode: OrderAbilities) -> None:
    old = await resting(room, mode)
    command = await asked(room, old, price=Decimal(80))
    room.clock.advance(21)
    command, new = await settled(room, command)
    assert (command.status, new) == ("failed", None)
    assert "délai dépassé" in command.error_message
    assert (await refreshed(old)).status == "open"


@BOTH
async def test_a_cancellation_supersedes_a_change_that_waits(room: OrdersRoom, mode: OrderAbilities) -> None:
    old = await resting(room, mode)
    command = await asked(room, old, price=Decimal(80))
    now = room.clock.now()
    await sync_to_async(desk.cancel)(trade_id=old.id, user_id=room.user.id, now=now)
    command, new = await settled(room, command)
    assert (command.status, new) == ("failed", None)
    assert "annulation" in command.error_message
    assert (await refreshed(old)).status == "cancelled"


async def test_a_cancellation_also_reaches_a_replacement_on_its_way(room: OrdersRoom) -> None:
    old = await resting(room, ATOMIC)
    room.exchange.fail("replace_order", TIMEOUT, when="after")
    command = await asked(room, old, price=Decimal(80))
    room.exchange.hidden[command.params["client_order_id"]] = 2  # its reads lag behind
    executor, _ = room.executor()
    await executor.cycle()
    assert (await refreshed(old)).status == "cancelled"
    await Trade.objects.filter(id=old.id).aupdate(status="open", closed_at=None)  # as if not heard of yet
    now = room.clock.now()
    await sync_to_async(desk.cancel)(trade_id=old.id, user_id=room.user.id, now=now)
    command, new = await settled(room, command, seconds=12)
    assert new is not None
    assert (new.status, command.status) == ("cancelled", "failed")
    assert not [one for one in room.exchange.accepted if one.rests]


async def test_a_change_that_waits_holds_what_it_needs_beyond_its_order(room: OrdersRoom) -> None:
    old = await resting(room, CANCEL_FIRST, quantity="1")  # 90.09 with its fee
    await asked(room, old, quantity=Decimal(3))  # 270.27
    held = sync_to_async(selectors.reserved_by_currency)
    room.clock.advance(1)
    assert await held(room.broker.id) == {"USDT": Decimal("270.27")}
    assert await held(room.broker.id, as_of=room.clock.now()) == {"USDT": Decimal("180.18")}  # the rest is locked
    await Trade.objects.filter(id=old.id).aupdate(status="cancelled", closed_at=room.clock.now())
    room.clock.advance(1)
    assert await held(room.broker.id, as_of=room.clock.now()) == {"USDT": Decimal("270.27")}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({}, InvalidInput, "rien ne change"),
        ({"price": Decimal("89.999"), "quantity": Decimal("3.000001")}, InvalidInput, "rien ne change"),
        ({"quantity": Decimal(1)}, InvalidInput, "1 BTC déjà exécutés"),
        ({"quantity": Decimal("NaN")}, InvalidInput, "quantité NaN"),
        ({"quantity": Decimal("1.01")}, InvalidInput, "valeur 0,9 USDT inférieure au minimum"),
        ({"price": Decimal(-1)}, InvalidInput, "Modification refusée avant envoi"),
        ({"stop_price": Decimal(120)}, InvalidInput, "un prix de déclenchement est interdit"),
        ({"user_id": 0}, NotFound, "n'existe pas"),
    ],
)
def test_a_senseless_change_is_refused(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    room = make_room()
    trade = room.submit(quantity="3", price="90")
    Trade.objects.filter(id=trade.id).update(status="partially_filled", filled_quantity=1)
    with pytest.raises(error) as refusal:
        ask(room, trade, **changes)
    assert words in str(refusal.value)
    assert OrderCommand.objects.count() == 0


def test_what_cannot_be_changed_is_refused() -> None:
    room = make_room()
    leg, _ = room.submit_pair()
    with pytest.raises(InvalidInput, match="les annuler puis les replacer"):
        ask(room, leg, stop_price=Decimal(80))
    with pytest.raises(InvalidInput, match="au marché ne se modifie pas"):
        ask(room, room.submit(), quantity=Decimal(2))
    over = room.submit(price="80")
    Trade.objects.filter(id=over.id).update(status="filled")
    with pytest.raises(Conflict, match="déjà terminé"):
        ask(room, over, price=Decimal(70))
    changed = room.submit(price="80")
    command = ask(room, changed, price=Decimal(70), client_order_id="abc")
    assert ask(room, changed, price=Decimal(70), client_order_id="abc").id == command.id
    with pytest.raises(Conflict, match="une autre modification"):
        ask(room, changed, price=Decimal(60))
    with pytest.raises(Conflict, match="déjà utilisé"):
        ask(room, room.submit(price="80"), price=Decimal(70), client_order_id=over.client_order_id)
    cancelled = room.submit(price="80")
    Trade.objects.filter(id=cancelled.id).update(status="open")
    desk.cancel(trade_id=cancelled.id, user_id=room.user.id, now=room.clock.now())
    with pytest.raises(Conflict, match="une annulation"):
        ask(room, cancelled, price=Decimal(70))
