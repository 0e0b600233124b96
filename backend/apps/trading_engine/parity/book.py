"""The rows of parity: which market days are to be replayed, what was shown then, what came of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import transaction

from apps.market_data.selectors import closed_window, market_now
from apps.strategies.models import StrategyVersion
from apps.trading_engine.models import ActiveStrategy, BotDecision, ParityDifference, ParityRun
from domain.candles import Candle
from domain.errors import Conflict
from domain.strategies.contract import Evaluation
from domain.strategies.parity import NUMBERS, Seen, read_seen, text_digest
from domain.timeframes import Timeframe, from_ms

KEPT_DAYS = 90  # market days of results
KEPT_SEEN_DAYS = 7  # market days for which what a strategy was shown is kept, for a replay on demand
MAX_DIFFERENCES = 500  # rows of one day; the count goes on
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Past:
    """A decision as it was made. `seen` is None when it is not known what the strategy was shown."""

    decision_id: int
    close_time: datetime
    live: Evaluation
    seen: Seen | None


@dataclass(frozen=True, slots=True)
class Found:
    """One difference, ready to be written."""

    decision_id: int
    close_time: datetime
    live: dict[str, Any]
    replayed: dict[str, Any] | None
    cause: str
    explanation: str


def ask(bot: ActiveStrategy, *, now: datetime) -> ParityRun:
    """Queue the newest market day of a bot. Raises Conflict when it has decided nothing yet."""
    newest = _decided(bot.id).order_by("-close_time").values_list("close_time", flat=True).first()
    if newest is None:
        raise Conflict(
            f"Parité du bot n° {bot.id} : aucune décision à rejouer pour l'instant.", code="nothing_to_replay"
        )
    return _queue(bot.id, _day_of(newest), now=now)


def queue_finished_days(*, now: datetime) -> int:
    """Queue each bot's last finished market day that was not replayed as a whole; return how many."""
    queued = 0
    clocks: dict[str, datetime] = {}
    for bot in ActiveStrategy.objects.select_related("broker").order_by("id"):
        exchange = bot.broker.exchange
        if exchange not in clocks:
            clocks[exchange] = market_now(exchange, now=now)
        midnight = _midnight(clocks[exchange].date())
        last = _decided(bot.id).filter(close_time__lte=midnight, seen__isnull=False)
        close_time = last.order_by("-close_time").values_list("close_time", flat=True).first()
        if close_time is None:
            continue
        day = _day_of(close_time)
        if not ParityRun.objects.filter(bot=bot, day=day, is_complete=True).exists():
            _queue(bot.id, day, now=now, is_complete=True)
            queued += 1
    return queued


def next_queued() -> ParityRun | None:
    """Return the day that has waited longest, with its bot."""
    return ParityRun.objects.filter(status="queued").select_related("bot__strategy").order_by("asked_at").first()


def decisions_from(run: ParityRun, offset: int, *, limit: int) -> list[Past]:
    """Return some decisions of a day, oldest first."""
    start = _midnight(run.day)
    rows = _decided(run.bot_id).filter(close_time__gt=start, close_time__lte=start + _DAY)
    return [_past(row) for row in rows.order_by("close_time", "id")[offset : offset + limit]]


def stored_candles(seen: Sequence[Seen], *, until: datetime) -> list[Candle]:
    """Return the stored candles that windows of the same market cover, up to `until`."""
    timeframe = Timeframe(seen[0].timeframe)
    first = from_ms(min(each.first_ms for each in seen))
    count = (until - first) // timeframe.duration
    return closed_window(seen[0].source, seen[0].symbol, timeframe, until=until, count=count)


def text_of(bot: ActiveStrategy, digest: str) -> tuple[str, bool]:
    """Return the text that decided and True; failing that the present one and False."""
    current: str = bot.strategy.code
    if text_digest(current) == digest:
        return current, True
    for code in (
        StrategyVersion.objects.filter(strategy=bot.strategy).order_by("-number").values_list("code", flat=True)
    ):
        if text_digest(code) == digest:
            return code, True
    return current, False


def close(run: ParityRun, *, checked: int, unverifiable: int, found: Sequence[Found], now: datetime) -> None:
    """Write a day's result in place of an earlier one, and forget what is too old."""
    with transaction.atomic():
        _settle(run, status="done", reason="", now=now)
        ParityRun.objects.filter(id=run.id).update(checked=checked, differing=len(found), unverifiable=unverifiable)
        ParityDifference.objects.filter(run=run).delete()
        ParityDifference.objects.bulk_create(
            [ParityDifference(run=run, **asdict(each)) for each in found[:MAX_DIFFERENCES]]
        )
        _forget(run)


def fail(run: ParityRun, *, reason: str, now: datetime) -> None:
    """Write that a day could not be replayed, with the French reason."""
    _settle(run, status="failed", reason=reason, now=now)


def _settle(run: ParityRun, *, status: str, reason: str, now: datetime) -> None:
    # Asked for again meanwhile: then the row stays queued and is done once more.
    ParityRun.objects.filter(id=run.id).update(reason=reason, done_at=now)
    ParityRun.objects.filter(id=run.id, asked_at=run.asked_at).update(status=status)


def _queue(bot_id: int, day: date, *, now: datetime, is_complete: bool = False) -> ParityRun:
    wanted: dict[str, Any] = {"status": "queued", "asked_at": now}
    if is_complete:
        wanted["is_complete"] = True
    run, _ = ParityRun.objects.update_or_create(bot_id=bot_id, day=day, defaults=wanted)
    return run


def _forget(run: ParityRun) -> None:
    ParityRun.objects.filter(bot=run.bot_id, day__lt=run.day - KEPT_DAYS * _DAY).delete()
    old = BotDecision.objects.filter(bot=run.bot_id, close_time__lte=_midnight(run.day) - KEPT_SEEN_DAYS * _DAY)
    old.filter(seen__isnull=False).update(seen=None)


def _decided(bot_id: int) -> Any:
    """Return the decisions that a strategy answered for (an obstacle has no answer)."""
    return BotDecision.objects.filter(bot=bot_id, status="decided", details__has_key="should_long")


def _past(row: BotDecision) -> Past:
    details = row.details
    live = Evaluation(
        should_long=details["should_long"],
        should_short=details["should_short"],
        **{name: float(details[name]) for name in NUMBERS},
        duration_ms=0.0,
    )
    return Past(decision_id=row.id, close_time=row.close_time, live=live, seen=read_seen(row.seen))


def _day_of(close_time: datetime) -> date:
    """Return the market day of a close: midnight ends the day before."""
    return (close_time - timedelta(microseconds=1)).astimezone(UTC).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
