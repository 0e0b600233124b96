"""The window of closed candles: what is stored, what is fetched, what is never shown."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.core.adapters.database import close_database, in_database
from apps.market_data import selectors
from apps.market_data.models import Candle as CandleRow
from apps.market_data.services import candle_store
from apps.market_data.services.window import SETTLE_S, ensure_window
from domain.candles import Candle
from domain.errors import AuthenticationFailed, DeadlineExceeded, ExchangeUnavailable, Unavailable
from domain.messages import Priority
from domain.timeframes import Timeframe
from tests.fakes.clock import FakeClock
from tests.fakes.gateway import FakeGateway

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BTC = "BTC/USDT"


@pytest.fixture(autouse=True)
async def database_thread() -> AsyncIterator[None]:
    yield
    await close_database()


class Exchange(FakeGateway):
    """Remembers from where candles were asked; says when the first question came."""

    def __init__(self, *candles: Candle) -> None:
        super().__init__(source="fake")
        self.candle_rows = list(candles)
        self.asked_since: list[datetime] = []
        self.asked = asyncio.Event()

    async def candles(
        self,
        broker_id: int,
        *,
        user_id: int,
        symbol: str,
        timeframe: Timeframe,
        since: datetime,
        until: datetime,
        timeout_s: float = 15.0,
        priority: Priority = Priority.CANDLES,
    ) -> tuple[str, Sequence[Candle]]:
        self.asked_since.append(since)
        self.asked.set()
        return await super().candles(
            broker_id, user_id=user_id, symbol=symbol, timeframe=timeframe, since=since, until=until
        )


async def passing_time(clock: FakeClock, running: "asyncio.Task[list[Candle]]") -> None:
    """Let the clock run in small steps until the task is done."""
    async with asyncio.timeout(5):
        while not running.done():
            clock.advance(0.05)
            await asyncio.wait([running], timeout=0.001)


def candle(index: int, price: int = 100) -> Candle:
    value = Decimal(price + index)
    return Candle(BTC, Timeframe.M1, START + index * MINUTE, value, value, value, value, Decimal(1), 3)


async def window(gateway: Exchange, *, until: int, count: int, clock: FakeClock | None = None) -> list[Candle]:
    clock = clock or FakeClock()
    return await ensure_window(
        gateway,
        broker_id=1,
        user_id=1,
        source="fake",
        symbol=BTC,
        timeframe=Timeframe.M1,
        until=START + until * MINUTE,
        count=count,
        deadline=clock.now() + timedelta(seconds=10),
        clock=clock,
    )


async def stored_count() -> int:
    return await in_database(CandleRow.objects.count)


async def test_first_call_fetches_stores_and_hides_the_open_candle() -> None:
    gateway = Exchange(*(candle(n) for n in range(6)))  # the sixth is open: until is its opening
    found = await window(gateway, until=5, count=5)
    assert [each.open for each in found] == [Decimal(100 + n) for n in range(5)]
    assert await stored_count() == 5


async def test_second_call_reads_postgresql_only() -> None:
    gateway = Exchange(*(candle(n) for n in range(6)))
    await window(gateway, until=5, count=5)
    again = await window(gateway, until=5, count=5)
    assert gateway.calls == ["candles"]
    assert [each.close for each in again] == [Decimal(100 + n) for n in range(5)]


async def test_next_close_asks_for_the_missing_candle_only() -> None:
    gateway = Exchange(*(candle(n) for n in range(7)))
    await window(gateway, until=5, count=5)
    await window(gateway, until=6, count=5)
    assert gateway.asked_since == [START, START + 5 * MINUTE]


async def test_just_closed_candle_is_waited_for() -> None:
    gateway = Exchange(*(candle(n) for n in range(4)))  # the exchange still lacks the fifth
    clock = FakeClock()
    running = asyncio.create_task(window(gateway, until=5, count=5, clock=clock))
    await asyncio.wait_for(gateway.asked.wait(), 5)
    gateway.candle_rows += [candle(4), candle(5)]
    await passing_time(clock, running)
    found = await running
    assert [each.open for each in found] == [Decimal(100 + n) for n in range(5)]
    assert gateway.calls == ["candles", "candles"]


async def test_without_a_successor_the_last_candle_is_given_after_the_bound_but_not_stored() -> None:
    gateway = Exchange(*(candle(n) for n in range(5)))
    clock = FakeClock()
    running = asyncio.create_task(window(gateway, until=5, count=5, clock=clock))
    await passing_time(clock, running)
    assert len(await running) == 5
    assert clock.monotonic() >= SETTLE_S
    assert await stored_count() == 4


async def test_quiet_minutes_become_flagged_flat_candles() -> None:
    gateway = Exchange(candle(0), candle(1), candle(4), candle(5))
    found = await window(gateway, until=5, count=5)
    assert [each.close for each in found] == [Decimal(n) for n in (100, 101, 101, 101, 104)]
    assert [each.trade_count == 0 for each in found] == [False, False, True, True, False]
    rows = await in_database(
        lambda: list(CandleRow.objects.order_by("open_time").values_list("is_flat", flat=True))
    )
    assert rows == [False, False, True, True, False]


async def test_recent_listing_gives_fewer_candles() -> None:
    gateway = Exchange(*(candle(n) for n in range(3, 6)))
    assert len(await window(gateway, until=5, count=5)) == 2


async def test_exchange_without_any_candle_is_refused_in_french() -> None:
    clock = FakeClock()
    running = asyncio.create_task(window(Exchange(), until=5, count=5, clock=clock))
    await passing_time(clock, running)
    with pytest.raises(Unavailable, match="l'exchange n'en donne aucune"):
        await running


async def test_silent_gateway_is_refused_in_french() -> None:
    gateway = Exchange(candle(0))
    gateway.failures["candles"] = DeadlineExceeded("x")
    with pytest.raises(Unavailable, match="dans le délai"):
        await window(gateway, until=5, count=5)


async def test_exchange_error_passes_unchanged() -> None:
    gateway = Exchange(candle(0))
    gateway.failures["candles"] = ExchangeUnavailable("Binance en maintenance")
    with pytest.raises(ExchangeUnavailable, match="maintenance"):
        await window(gateway, until=5, count=5)


async def test_candles_of_another_run_are_refused() -> None:
    gateway = Exchange(*(candle(n) for n in range(6)))
    gateway.source = "simex:other"
    with pytest.raises(Unavailable, match="simex:other"):
        await window(gateway, until=5, count=5)
    assert await stored_count() == 0


async def test_stored_values_come_back_exact_and_a_correction_replaces() -> None:
    tiny = Decimal("0.000000123456789012")
    exact = Candle(BTC, Timeframe.M1, START, tiny, tiny, tiny, tiny, Decimal("1.5"), 2)
    await in_database(candle_store.save, "fake", [exact])
    await in_database(candle_store.save, "fake", [candle(0)])
    await in_database(candle_store.save, "other", [exact])
    read = await in_database(selectors.closed_window, "other", BTC, Timeframe.M1, until=START + MINUTE, count=1)
    assert read[0].close == Decimal("0.000000123456789012")
    mine = await in_database(selectors.closed_window, "fake", BTC, Timeframe.M1, until=START + MINUTE, count=1)
    assert mine[0].close == 100
    assert await stored_count() == 2


async def test_twenty_bots_on_one_signal_cost_one_fetch() -> None:
    gateway = Exchange(*(candle(n) for n in range(6)))
    found = await asyncio.gather(*(window(gateway, until=5, count=5) for _ in range(20)))
    assert gateway.calls == ["candles"]
    assert all(each == found[0] for each in found)


async def test_one_users_trouble_is_not_the_others() -> None:
    gateway = Exchange(*(candle(n) for n in range(6)))
    gateway.failures["candles"] = AuthenticationFailed("clés refusées")
    first = asyncio.create_task(window(gateway, until=5, count=5))
    await asyncio.wait_for(gateway.asked.wait(), 5)
    second = asyncio.create_task(window(gateway, until=5, count=5))
    await asyncio.wait([first], timeout=5)
    gateway.failures.clear()
    with pytest.raises(AuthenticationFailed):
        await first
    assert len(await second) == 5
