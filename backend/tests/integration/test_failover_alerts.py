"""What stepped in is told once: another server behind a store's name, and a replication that may lose commits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections

from apps.alerts.models import Alert
from apps.alerts.services.failovers import StoreWatch, postgresql_place, tell_if_lossy
from apps.core.adapters.database import close_database
from apps.core.adapters.redis_connection import primary_place
from tests.engine_world import make_user
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest_asyncio.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Leave no connection in the database thread that later tests share."""
    yield
    await close_database()


async def told() -> list[str]:
    return await sync_to_async(lambda: list(Alert.objects.order_by("pk").values_list("message", flat=True)))()


async def test_another_server_in_the_same_name_is_told_once_and_silence_is_not_another_server() -> None:
    await sync_to_async(make_user)()
    places: list[str | None] = ["10.0.0.1:5432", "10.0.0.1:5432", None, "10.0.0.2:5432", "10.0.0.2:5432"]

    async def place() -> str | None:
        return places.pop(0)

    watch = StoreWatch({"PostgreSQL": place}, clock=FakeClock(datetime(2026, 11, 26, 12, 0, tzinfo=UTC)))
    while places:
        await watch.look_at("PostgreSQL")
    (message,) = await told()
    assert message.startswith("Basculement : PostgreSQL est passé de 10.0.0.1:5432 à 10.0.0.2:5432.")


async def test_one_server_on_a_socket_has_but_one_place() -> None:
    assert await postgresql_place() == ""
    assert await primary_place("unix:///nowhere?db=0") == ""


async def test_sentinels_that_do_not_answer_tell_no_place() -> None:
    assert await primary_place("sentinel://127.0.0.1:1/aristobot") is None


async def test_several_servers_without_a_synchronous_standby_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    await sync_to_async(make_user)()
    clock = FakeClock(datetime(2026, 11, 26, 12, 0, tzinfo=UTC))
    await tell_if_lossy(clock=clock)
    assert await told() == []  # one server
    monkeypatch.setitem(connections["default"].settings_dict["OPTIONS"], "host", "first,second")
    await tell_if_lossy(clock=clock)  # on the connection that is open
    (message,) = await told()
    assert "synchronous_standby_names" in message
