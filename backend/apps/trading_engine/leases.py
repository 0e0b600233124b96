"""Who evaluates which bot at which close: one row per (bot, feed, close), taken before any work.

A lease names its attempt (`leased_by`). Only the attempt that still holds it may write the decision, so
two engines, or one that comes back from the dead, never decide twice.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import transaction
from django.db.models import Max

from apps.core.models import CandleHeartbeat
from apps.trading_engine.jobs import Job, build_jobs, matching_bots
from apps.trading_engine.models import ActiveStrategy, BotDecision, SignalCursor
from domain.messages import Signal

_READER = "trading_engine"
_EXPIRED_AT_ONCE = 100
TOO_SLOW = "too_slow"  # the cause of a missed close that is the bot's own, not of a service that was stopped


def load_cursor() -> str:
    """Return the last stream id that was dealt with, "0" when there is none."""
    cursor = SignalCursor.objects.filter(reader=_READER).first()
    return cursor.last_id if cursor is not None else "0"


def save_cursor(stream_id: str) -> None:
    SignalCursor.objects.update_or_create(reader=_READER, defaults={"last_id": stream_id})


def claim_signal(signal: Signal, *, engine: str, now: datetime, lease: timedelta) -> list[Job]:
    """Lease every bot that this close concerns and that nobody took yet; return what to evaluate."""
    token = _new_token(engine)
    with transaction.atomic():
        bots = {bot.id: bot for bot in matching_bots(signal)}
        if not bots:
            return []
        BotDecision.objects.bulk_create(
            [
                _row(bot.id, signal, status="leased", leased_by=token, lease_until=now + lease)
                for bot in bots.values()
            ],
            ignore_conflicts=True,
        )
        won = BotDecision.objects.filter(
            bot_id__in=bots, feed=signal.feed, close_time=signal.close_time, leased_by=token
        )
        return build_jobs(list(won.order_by("bot_id")), bots)


def renew(job: Job) -> Job | None:
    """Read the job again after a wait. None when the lease was lost or the bot is gone."""
    decisions = list(BotDecision.objects.filter(id=job.decision_id, status="leased", leased_by=job.token))
    jobs = build_jobs(decisions, _bots(decisions))
    return jobs[0] if jobs else None


def take_expired(*, engine: str, now: datetime, lease: timedelta, max_age: timedelta) -> list[Job]:
    """Take again the leases that ran out without a decision, while their signal is fresh."""
    token = _new_token(engine)
    rows = BotDecision.objects.filter(status="leased", lease_until__lt=now, sent_at__gte=now - max_age)
    with transaction.atomic():
        ids = [row.id for row in rows.select_for_update(skip_locked=True).order_by("close_time")[:_EXPIRED_AT_ONCE]]
        if not ids:
            return []
        BotDecision.objects.filter(id__in=ids).update(leased_by=token, lease_until=now + lease)
        decisions = list(BotDecision.objects.filter(id__in=ids).order_by("close_time"))
        return build_jobs(decisions, _bots(decisions))


def give_up_stale(*, engine: str, now: datetime, max_age: timedelta) -> list[BotDecision]:
    """Record as missed the leases that ran out and whose signal is too old to be traded.

    Args:
        engine: the leases of this engine ran out while it was alive, those of others when they died.
    """
    stale = BotDecision.objects.filter(status="leased", lease_until__lt=now, sent_at__lt=now - max_age)
    with transaction.atomic():
        ids = list(stale.select_for_update(skip_locked=True).values_list("id", flat=True)[:_EXPIRED_AT_ONCE])
        if not ids:
            return []
        rows = BotDecision.objects.filter(id__in=ids)
        rows.filter(leased_by__startswith=f"{engine}:").update(details={"cause": TOO_SLOW})
        rows.update(
            status="missed",
            action="none",
            reason="manqué : l'évaluation a été interrompue et n'a pas pu reprendre à temps",
            lease_until=None,
            decided_at=now,
        )
        return list(BotDecision.objects.filter(id__in=ids).select_related("bot"))


def record_missed(signal: Signal, *, reason: str, now: datetime) -> list[BotDecision]:
    """Record that the bots which were on at that close did not decide. They never trade it."""
    bots = [bot for bot in matching_bots(signal) if _was_on(bot, signal.close_time)]
    return _insert_missed([(bot, signal) for bot in bots], reason=reason, now=now)


def record_gap(signal: Signal, *, reason: str, now: datetime) -> list[BotDecision]:
    """Record as missed the closes before `signal` that were published and that its bots never saw.

    The heartbeat's rows say which closes there were; a row not yet stamped is still to be published.
    """
    bots = matching_bots(signal)
    last = _last_closes(bots, signal)
    since = {bot.id: max(last.get(bot.id, bot.active_since), bot.active_since) for bot in bots if bot.active_since}
    if not since:
        return []
    closes = _published_closes(signal, after=min(since.values()))
    missed = [
        (bot, _signal_at(signal, close))
        for bot in bots
        for close in closes
        if bot.id in since and since[bot.id] < close and bot.start_date <= close
    ]
    return _insert_missed(missed, reason=reason, now=now)


def _insert_missed(
    missed: Sequence[tuple[ActiveStrategy, Signal]], *, reason: str, now: datetime
) -> list[BotDecision]:
    if not missed:
        return []
    token = _new_token("missed")
    rows = [
        _row(bot.id, signal, status="missed", leased_by=token, action="none", reason=reason, decided_at=now)
        for bot, signal in missed
    ]
    BotDecision.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    ids = {bot.id for bot, _ in missed}
    inserted = BotDecision.objects.filter(bot_id__in=ids, leased_by=token, status="missed")
    return list(inserted.select_related("bot").order_by("close_time"))


def _row(bot_id: int, signal: Signal, **fields: object) -> BotDecision:
    return BotDecision(
        bot_id=bot_id,
        feed=signal.feed,
        signal_id=signal.signal_id,
        close_time=signal.close_time,
        sent_at=signal.sent_at,
        **fields,
    )


def _bots(decisions: Iterable[BotDecision]) -> dict[int, ActiveStrategy]:
    ids = {decision.bot_id for decision in decisions}
    return ActiveStrategy.objects.select_related("strategy", "broker").in_bulk(ids)


def _was_on(bot: ActiveStrategy, close_time: datetime) -> bool:
    return bot.active_since is not None and bot.active_since < close_time


def _last_closes(bots: Sequence[ActiveStrategy], signal: Signal) -> dict[int, datetime]:
    rows = BotDecision.objects.filter(bot__in=bots, feed=signal.feed, close_time__lt=signal.close_time)
    rows = rows.order_by().values_list("bot_id")
    return dict(rows.annotate(last=Max("close_time")))


def _published_closes(signal: Signal, *, after: datetime) -> list[datetime]:
    candles = CandleHeartbeat.objects.filter(
        feed=signal.feed,
        symbol=signal.symbol,
        signal_type=signal.timeframe.value,
        is_signal=True,
        published_at__isnull=False,
        dhm_candle__gt=after,
        dhm_candle__lt=signal.close_time,
    )
    return sorted(set(candles.values_list("dhm_candle", flat=True)))


def _signal_at(signal: Signal, close_time: datetime) -> Signal:
    return Signal(
        timeframe=signal.timeframe,
        close_time=close_time,
        symbol=signal.symbol,
        feed=signal.feed,
        source=signal.source,
        location=signal.location,
        sent_at=signal.sent_at,
        late=True,
    )


def _new_token(engine: str) -> str:
    return f"{engine}:{uuid4().hex[:16]}"
