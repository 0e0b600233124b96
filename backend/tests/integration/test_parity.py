"""What a bot decided live comes out the same over the stored candles, or the difference is shown with its cause."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pandas_ta_classic as ta
import pytest

from apps.core.adapters.strategy_host.child import user_scope
from apps.market_data.models import Candle as CandleRow
from apps.market_data.selectors import closed_window
from apps.market_data.services import candle_store
from apps.strategies.models import StrategyVersion
from apps.trading_engine.database import Database
from apps.trading_engine.models import ActiveStrategy, BotDecision, ParityDifference, ParityRun
from apps.trading_engine.parity import book
from apps.trading_engine.parity.watch import ParityWatch
from domain.candles import Candle
from domain.errors import Conflict
from domain.strategies.contract import Evaluation, EvaluationJob
from domain.strategies.evaluate import evaluate
from domain.strategies.loader import load
from domain.strategies.replay import ReplayAnswer, ReplayJob, replay
from domain.timeframes import Timeframe
from tests.engine_world import CLOSE, FEED, World, candles, make_bot, make_broker, make_user
from tests.fakes.strategy_host import FakeStrategyHost

pytestmark = pytest.mark.django_db(transaction=True)
STEP = timedelta(minutes=5)
WINDOW = 20

# Wants to buy above the threshold; the account holds nothing, so no order comes of it.
ABOVE = """
class Above(Strategy):
    calls = 0

    def should_long(self):
        Above.calls += 1  # starts at 0 each time: the text is read anew
        return self.candles["close"].iloc[-1] * Above.calls > 100.5 and self.balance == 0

    def should_short(self):
        return False

    def calculate_position_size(self):
        return 50.0

    def calculate_stop_loss(self):
        return 0.02

    def calculate_take_profit(self):
        return 0.0
"""


class HonestHost(FakeStrategyHost):
    """Runs the text in this process: it is ours."""

    def __init__(self) -> None:
        super().__init__()
        with patch.dict(sys.modules):  # other tests of this process read recordings with pyarrow
            self.scope: Mapping[str, Any] = user_scope()
        sys.modules["pandas_ta"] = ta

    async def evaluate(self, job: EvaluationJob, *, timeout_s: float = 5.0) -> Evaluation:
        strategy = load(job.code, self.scope)
        return evaluate(strategy, job.candles, job.balance, job.position, job.params, code=job.code)

    async def replay(self, job: ReplayJob, *, timeout_s: float = 60.0) -> list[ReplayAnswer]:
        return replay(job, self.scope)


class StoredCandles:
    """A `CandleReader` over the table alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, *, source: str, symbol: str, timeframe: Timeframe, until: datetime, **_: Any
    ) -> Sequence[Candle]:
        return await self._database.run(closed_window, source, symbol, timeframe, until=until, count=WINDOW)


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    database = Database()
    yield World(database, host=HonestHost())
    database.close()


@pytest.fixture
def watch(world: World) -> Iterator[ParityWatch]:
    database = Database(threads=1)
    yield ParityWatch(host=world.host, publisher=world.publisher, database=database, clock=world.clock)
    database.close()


@pytest.fixture
def bot(world: World) -> ActiveStrategy:
    """A bot that has not decided yet; the close of 12:10 is at 101, all others at 100."""
    rows = candles(CLOSE + 2 * STEP, count=30)
    rows[-2] = replace(rows[-2], high=Decimal(101), close=Decimal(101))
    candle_store.save(FEED, rows)
    user = make_user()
    made = make_bot(user, make_broker(user))
    made.strategy.code = ABOVE
    made.strategy.save()
    world.fund(made.broker_id, 0)
    return made


async def live(world: World) -> None:
    """Let the bot decide at 12:05, 12:10 and 12:15."""
    engine = world.engine(candles=StoredCandles(world.database))
    for index in range(3):
        await engine.receive(world.signal(CLOSE + index * STEP))
        await engine.idle()


async def results(world: World) -> tuple[list[ParityRun], list[ParityDifference]]:
    return await world.database.run(
        lambda: (list(ParityRun.objects.order_by("day")), list(ParityDifference.objects.order_by("close_time")))
    )


async def test_an_honest_bot_shows_no_difference_once_its_day_is_over(
    world: World, watch: ParityWatch, bot: ActiveStrategy
) -> None:
    await live(world)
    assert [row.details["should_long"] for row in await world.decisions()] == [False, True, False]

    await watch.look()  # the clock says 2026: the day of 2025 is over

    (run,), differences = await results(world)
    assert (run.day, run.status, run.is_complete) == (date(2025, 6, 1), "done", True)
    assert (run.checked, run.differing, run.unverifiable, differences) == (3, 0, 0, [])
    assert [event[1] for event in world.publisher.events][-1] == "parity"


async def test_a_revised_candle_shows_the_one_decision_that_it_changes(
    world: World, watch: ParityWatch, bot: ActiveStrategy
) -> None:
    await live(world)
    revised = CandleRow.objects.filter(source=FEED, open_time=CLOSE)  # opened 12:05, decided upon at 12:10
    await world.database.run(lambda: revised.update(close_price=Decimal(100), high_price=Decimal(100)))

    await watch.look()

    (run,), (difference,) = await results(world)
    assert (run.checked, run.differing) == (3, 1)
    assert difference.close_time == CLOSE + STEP
    assert (difference.live["should_long"], difference.live["position_size"]) == (True, "50.0")
    assert difference.replayed["should_long"] is False
    assert difference.cause == "candle_revised"
    assert difference.explanation == (
        "Bougie ouverte à 01/06/2025 12:05 UTC révisée depuis : plus haut 101 → 100, clôture 101 → 100."
    )


async def test_a_missing_candle_is_said_and_not_guessed(
    world: World, watch: ParityWatch, bot: ActiveStrategy
) -> None:
    await live(world)
    await world.database.run(lambda: CandleRow.objects.filter(source=FEED, open_time=CLOSE).delete())

    await watch.look()

    (run,), (difference,) = await results(world)  # 12:15 lacks it too, and decides the same
    assert (run.differing, difference.close_time) == (1, CLOSE + STEP)
    assert (difference.cause, difference.replayed) == ("candle_missing", None)
    assert "1 bougie(s)" in difference.explanation


async def test_changed_code_is_replayed_as_it_was_while_its_version_is_kept(
    world: World, watch: ParityWatch, bot: ActiveStrategy
) -> None:
    await live(world)

    def rewrite() -> None:
        StrategyVersion.objects.create(strategy=bot.strategy, number=1, code=ABOVE)
        type(bot.strategy).objects.update(code=ABOVE.replace("100.5", "1000"))

    await world.database.run(rewrite)
    await watch.look()
    (run,), differences = await results(world)
    assert (run.checked, differences) == (3, [])

    await world.database.run(StrategyVersion.objects.all().delete)
    await world.database.run(book.ask, bot, now=world.clock.now())
    await watch.look()
    (run,), (difference,) = await results(world)
    assert (run.is_complete, difference.cause, difference.close_time) == (True, "code_changed", CLOSE + STEP)


async def test_code_that_fails_now_is_a_difference_with_its_error(
    world: World, watch: ParityWatch, bot: ActiveStrategy
) -> None:
    await live(world)
    broken = ABOVE.replace("return False", "return 1 / 0")
    await world.database.run(lambda: type(bot.strategy).objects.update(code=broken))

    await watch.look()

    _, differences = await results(world)
    assert len(differences) == 3
    assert "ZeroDivisionError" in differences[0].replayed["error"]


async def test_decisions_of_unknown_inputs_are_counted_apart_and_old_inputs_forgotten(
    world: World, watch: ParityWatch, bot: ActiveStrategy
) -> None:
    await live(world)

    def age() -> None:
        BotDecision.objects.filter(close_time=CLOSE).update(seen=None)
        BotDecision.objects.filter(close_time=CLOSE + STEP).update(close_time=CLOSE - timedelta(days=8))

    await world.database.run(age)
    await watch.look()

    (run,), _ = await results(world)
    assert (run.checked, run.unverifiable) == (1, 1)
    assert [row.seen is None for row in await world.decisions()] == [True, True, False]


async def test_a_day_is_replayed_once_by_itself_and_again_on_demand(
    world: World, watch: ParityWatch, bot: ActiveStrategy
) -> None:
    with pytest.raises(Conflict, match="aucune décision"):
        await world.database.run(book.ask, bot, now=world.clock.now())
    await live(world)
    await watch.look()
    world.clock.advance(120)
    await watch.look()
    (run,), _ = await results(world)
    first = run.done_at

    world.clock.advance(1)
    await world.database.run(book.ask, bot, now=world.clock.now())
    await watch.look()

    (run,), _ = await results(world)
    assert (first, run.done_at - first) == (world.clock.now() - timedelta(seconds=121), timedelta(seconds=121))
