"""Looks at a call before anything is asked from an exchange: its text, its secret, its age, its market.

Runs under the lock of its source, so that two of its calls are never told apart wrongly.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Upper

from apps.core.adapters import secrets
from apps.market_data.models import ExchangeSymbol
from apps.market_data.selectors import market_for
from apps.orders.events import amount
from apps.webhooks.models import Webhook, WebhookSource
from apps.webhooks.services import verdicts
from domain.errors import AristobotError
from domain.markets import Market
from domain.webhooks import admission, symbols
from domain.webhooks.call import Action, Call, Size, Unit
from domain.webhooks.parse import parse
from domain.webhooks.plan import Rules
from domain.webhooks.refusal import CallRefused

_LOOKED_AT = 50  # calls of one source, oldest first; those behind so many that wait do too


@dataclass(frozen=True, slots=True)
class Job:
    """A call that may be acted upon, with what that needs."""

    webhook_id: int
    source_id: int
    user_id: int
    broker_id: int
    exchange: str
    call: Call
    market: Market
    received_at: datetime

    @property
    def needs_money(self) -> bool:
        return self.call.action is not Action.CANCEL


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at the waiting calls of a source gave: a job, and the calls that were settled on the way."""

    job: Job | None
    settled: tuple[int, ...]


def next_job(source_id: int, *, now: datetime) -> Looked:
    """Return the oldest call of a source that may be acted upon now.

    Calls about one market are acted upon in the order of their arrival: while one waits, later ones do.
    """
    held_up: set[str] = set()
    settled: list[int] = []
    waiting = Webhook.objects.filter(origin_id=source_id, processed=False).order_by("id")
    for row in waiting.values("id", "symbol", "not_before")[:_LOOKED_AT]:
        if row["not_before"] is not None and row["not_before"] > now:
            held_up.add(row["symbol"])
            continue
        if row["symbol"] in held_up and row["symbol"]:
            continue
        job = _look_at(row["id"], source_id, now=now)
        if job is None:
            settled.append(row["id"])
        elif job.market.symbol not in held_up:
            return Looked(job, tuple(settled))
    return Looked(None, tuple(settled))


@transaction.atomic
def _look_at(webhook_id: int, source_id: int, *, now: datetime) -> Job | None:
    """Return the job that a call makes; None when it is settled instead."""
    source = (
        WebhookSource.objects.select_for_update(no_key=True).select_related("broker").filter(id=source_id).first()
    )
    row = Webhook.objects.select_for_update(of=("self",)).filter(id=webhook_id, processed=False).first()
    if source is None or row is None:
        return None
    try:
        row.origin = source
        call = read(row.body, source, from_outside=not row.is_test)
        _note(row, call)
        if _is_repeated(row, call, source, now=now):
            return None
        max_age = timedelta(seconds=source.max_age_s)
        admission.check_sent_at(call, received_at=row.created_at, max_age=max_age)
        market = market_of(call, source)
    except CallRefused as refusal:
        verdicts.refuse(row, refusal, now=now)
        return None
    row.symbol = market.symbol
    row.save(update_fields=["call_id", "symbol", "action", "payload"])
    return Job(
        webhook_id=row.id,
        source_id=source.id,
        user_id=source.user_id,
        broker_id=source.broker_id,
        exchange=source.broker.exchange,
        call=call,
        market=market,
        received_at=row.created_at,
    )


def read(body: str, source: WebhookSource, *, from_outside: bool) -> Call:
    """Return what a body asks for; from outside, its secret is checked. Raises CallRefused."""
    if source.revoked_at is not None or not source.is_enabled:
        raise CallRefused("Source révoquée ou désactivée avant l'exécution.", code="disabled")
    call = parse(body)
    if from_outside:
        admission.check_secret(call, secrets.decrypt(source.secret) if source.secret else "")
    return call


def market_of(call: Call, source: WebhookSource) -> Market:
    """Return the market that a call names on the source's broker. Raises CallRefused."""
    exchange = source.broker.exchange
    names = symbols.spellings(call.ticker)
    rows = ExchangeSymbol.objects.filter(exchange=exchange).annotate(
        compact=Upper(Concat(F("base"), F("quote"), Value(""))), own=Upper(F("exchange_symbol"))
    )
    near = rows.filter(compact__in=names) | rows.filter(own__in=names)
    listed = [
        symbols.Listed(row.symbol, row.exchange_symbol, row.base, row.quote, row.active, row.type) for row in near
    ]
    symbol = symbols.resolve(call.ticker, listed, exchange=exchange)
    admission.check_symbol(symbol, source.allowed_symbols)
    try:
        return market_for(exchange, symbol)
    except AristobotError as exc:  # its markets were replaced since
        raise CallRefused(exc.message, code=exc.error_code) from exc


def rules_of(source: WebhookSource) -> Rules:
    """Return what a source allows."""
    default = None
    if source.default_quote_amount is not None:
        default = Size(source.default_quote_amount, Unit.QUOTE)
    elif source.default_percent is not None:
        default = Size(source.default_percent, Unit.PERCENT)
    return Rules(max_quote=source.max_quote_amount, default_size=default)


def payload_of(call: Call) -> dict[str, Any]:
    """Return what was understood, without the secret."""
    size, levels = call.size, {"stop_loss": call.stop_loss, "take_profit": call.take_profit}
    told = {
        "ticker": call.ticker,
        "action": call.action.value,
        "type": call.order_type.value,
        "size": None if size is None else {"value": amount(size.value), "unit": size.unit.value},
        "price": amount(call.price),
        "is_short": call.is_short or None,
        **{
            name: None if level is None else {"value": amount(level.value), "is_percent": level.is_percent}
            for name, level in levels.items()
        },
        "id": call.call_id or None,
        "time": None if call.sent_at is None else call.sent_at.isoformat(),
        "ignored": list(call.ignored) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _note(row: Webhook, call: Call) -> None:
    row.action, row.payload = call.action.value, payload_of(call)


def _is_repeated(row: Webhook, call: Call, source: WebhookSource, *, now: datetime) -> bool:
    """Settle a call that came before: under the same id, else with the same text a moment ago."""
    earlier = Webhook.objects.filter(origin_id=source.id, id__lt=row.id).exclude(status=Webhook.Status.DUPLICATE)
    if call.call_id:
        first = earlier.filter(call_id=call.call_id).order_by("id").first()
        reason = (
            f"Même identifiant « {call.call_id[:40]} » que l'appel n° {first.id if first else ''}, non exécuté."
        )
    else:
        since = row.created_at - timedelta(seconds=source.duplicate_window_s)
        same = earlier.filter(body_hash=row.body_hash, created_at__gt=since, call_id="").exclude(
            code__in=verdicts.AT_THE_DOOR
        )
        first = same.order_by("id").first()
        reason = (
            f"Même message que l'appel n° {first.id if first else ''} il y a moins de "
            f"{source.duplicate_window_s} s, non exécuté."
        )
    if first is None:
        row.call_id = call.call_id
        return False
    verdicts.repeat(row, first, call_id=call.call_id, reason=reason, now=now)
    return True
