"""The public address: what is accepted is committed first, and whoever has no right to it learns nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from apps.trading_engine.database import Database
from apps.webhooks.gate import TurnedAway
from apps.webhooks.models import Webhook
from apps.webhooks.services import sources
from domain.webhooks.parse import MAX_BYTES
from tests.engine_world import until
from tests.webhook_world import BUY, WebhookWorld, knock

pytestmark = pytest.mark.django_db(transaction=True)
TRADINGVIEW = "52.89.214.238"


@pytest.fixture
async def world(transactional_db: None) -> AsyncIterator[WebhookWorld]:
    database = Database(threads=2)
    world = WebhookWorld(database)
    await world.prepare()
    yield world
    database.close()


async def journal(world: WebhookWorld, count: int) -> list[Webhook]:
    """Return the journal once refusals, which are written after the answer, are in it."""

    async def complete() -> bool:
        return len(await world.calls()) >= count

    await until(complete)
    return await world.calls()


async def test_accepted_call_is_committed_before_the_answer(world: WebhookWorld) -> None:
    status, answer = await world.post(BUY)
    assert (status, answer["status"]) == (202, "accepted")
    (call,) = await world.calls()
    assert (str(call.reference), call.status, call.processed) == (answer["id"], "received", False)
    assert (call.source, call.remote_address, call.created_at) == ("TradingView", "203.0.113.9", world.clock.now())
    assert [heard.id for heard in world.heard.calls] == [call.id]


NOT_FOUND = (404, {"code": "not_found", "message": "Adresse inconnue.", "details": {}})


@pytest.mark.parametrize("token", ["", "wh_nimporte", "../../session", "é" * 500, "wh_x\x00"])
async def test_unknown_address_answers_one_thing_and_keeps_nothing(world: WebhookWorld, token: str) -> None:
    assert await world.post(BUY, token=token) == NOT_FOUND
    assert await world.calls() == []


async def revoked(world: WebhookWorld) -> None:
    await world.run(lambda: sources.revoke(world.user_id, world.source_id, now=world.clock.now()))


async def rotated(world: WebhookWorld) -> None:
    await world.run(sources.rotate, world.user_id, world.source_id)


async def disabled(world: WebhookWorld) -> None:
    await world.change(is_enabled=False)


async def elsewhere(world: WebhookWorld) -> None:
    await world.change(tradingview_only=True)


@pytest.mark.parametrize(
    ("make", "code"),
    [(revoked, "revoked"), (rotated, "old_token"), (disabled, "disabled"), (elsewhere, "wrong_address")],
)
async def test_who_may_not_call_gets_the_answer_of_an_unknown_address(
    world: WebhookWorld, make: Any, code: str
) -> None:
    await make(world)
    assert await world.post(BUY) == NOT_FOUND
    (call,) = await journal(world, 1)  # its owner sees why
    assert (call.status, call.code, call.processed) == ("refused", code, True)


async def test_refusal_is_written_after_the_answer_left(world: WebhookWorld) -> None:
    await revoked(world)
    door = world.door()
    written: list[str] = []
    write_down = door._gate.write_down

    def noted(refused: TurnedAway, call: Any) -> Any:
        written.append("written")
        return write_down(refused, call)

    door._gate.write_down = noted  # type: ignore[method-assign]
    answered, _ = await world.post(BUY, door=door)
    assert (answered, written) == (404, [])
    await journal(world, 1)


async def test_tradingview_s_addresses_come_through_a_trusted_proxy_only(world: WebhookWorld) -> None:
    await world.change(tradingview_only=True)
    assert (await world.post(BUY, peer=TRADINGVIEW))[0] == 202
    assert (await world.post(BUY, forwarded=TRADINGVIEW))[0] == 404  # anybody writes that header
    world.trusted = ("127.0.0.1",)
    assert (await world.post(BUY, peer="127.0.0.1", forwarded=TRADINGVIEW))[0] == 202
    assert (await world.post(BUY, peer="127.0.0.1", forwarded=f"{TRADINGVIEW}, 203.0.113.9"))[0] == 404


async def test_flood_is_stopped_at_the_source_s_pace_and_written_down_sparingly(world: WebhookWorld) -> None:
    await world.change(rate_per_minute=3)
    door = world.door()
    statuses = [(await world.post(BUY, door=door))[0] for _ in range(60)]
    assert statuses == [202] * 3 + [429] * 57
    calls = await journal(world, 23)
    assert [call.code for call in calls].count("too_many") == 20
    world.clock.advance(60)
    assert (await world.post(BUY, door=door))[0] == 202


async def test_long_body_is_refused_and_64_kb_are_not(world: WebhookWorld) -> None:
    assert (await world.post(b"x" * MAX_BYTES))[0] == 202
    assert (await world.post(b"x" * (MAX_BYTES + 1)))[0] == 413
    assert [call.code for call in await journal(world, 2)] == ["", "too_long"]


async def test_caller_that_hangs_up_has_sent_nothing(world: WebhookWorld) -> None:
    assert await world.post(b"buy BTCUSDT 1", hangs_up=True) == (0, {})
    assert await world.calls() == []


async def test_other_methods_do_not_say_whether_the_address_exists(world: WebhookWorld) -> None:
    known = await world.post(b"", method="GET")
    assert known == await world.post(b"", method="GET", token="wh_inconnu")
    assert known[0] == 405


class Failing:
    """A database that does not answer."""

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        raise OperationalError("connexion perdue")


async def test_database_away_says_to_come_back(world: WebhookWorld) -> None:
    door = world.door()
    door._database = Failing()
    assert (await knock(door, world.token, b"{}"))[0] == 503


@pytest.mark.usefixtures("sessions_may_be_cut")
async def test_connection_that_died_while_idle_costs_nothing(world: WebhookWorld) -> None:
    def cut() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    door = world.door()
    await asyncio.gather(*(world.post(BUY, door=door) for _ in range(8)))
    await world.run(cut)
    statuses = [(await world.post(BUY, door=door))[0] for _ in range(8)]
    assert statuses == [202] * 8
    assert len(await world.calls()) == 16
