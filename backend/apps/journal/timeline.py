"""The steps of a trace from its signal to its last fill, from the rows: they outlive every file of lines."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.alerts.models import Alert
from apps.core.tracing import signal_of
from apps.orders.models import OrderCommand, Trade
from apps.trading_engine.models import BotDecision
from apps.webhooks.models import Webhook
from domain.french import number
from domain.orders import OrderStatus

_WEBHOOK = "webhook."
_SIDES = {"buy": "Achat", "sell": "Vente"}
_TYPES = {
    "market": "au marché",
    "limit": "limite",
    "stop_loss": "stop loss",
    "take_profit": "take profit",
    "stop_limit": "stop limite",
    "oco": "stop loss + take profit",
}
_ENDS = {
    OrderStatus.FILLED.value: "exécuté en entier",
    OrderStatus.CANCELLED.value: "annulé",
    OrderStatus.REJECTED.value: "refusé",
    OrderStatus.EXPIRED.value: "expiré sans être exécuté",
}
_BAD_ENDS = (OrderStatus.REJECTED.value, OrderStatus.EXPIRED.value)
_WISHES = {"buy": "achat", "sell": "vente", "none": "rien à faire"}
_COMMANDS = {"cancel": "Annulation", "amend": "Modification"}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened. `delay_ms`: since the step before."""

    at: datetime
    kind: str  # signal, decision, webhook, order, sent, accepted, fill, end, command, alert
    title: str
    detail: str = ""
    tone: str = ""  # "", good, bad
    trade: int | None = None
    delay_ms: float = 0.0


def steps_of(user_id: int, trace_id: str) -> list[Step]:
    """Return the steps of a user's trace in their order, with the delays between them."""
    found = [*_decided(user_id, trace_id), *_called(user_id, trace_id)]
    trades = Trade.objects.filter(user_id=user_id, trace_id=trace_id).prefetch_related("fills", "commands")
    for trade in trades.order_by("id"):
        found += _ordered(trade)
    found += _alerted(user_id, trace_id)
    return _with_delays(sorted(found, key=lambda step: step.at))


def _with_delays(steps: list[Step]) -> list[Step]:
    before = steps[:1] + steps
    return [
        replace(step, delay_ms=round((step.at - previous.at).total_seconds() * 1000, 3))
        for previous, step in zip(before, steps, strict=False)
    ]


def _decided(user_id: int, trace_id: str) -> Iterator[Step]:
    signal_id = signal_of(trace_id)
    if not signal_id:
        return
    bot_id = int(trace_id.rpartition(".bot")[2])
    rows = BotDecision.objects.filter(bot_id=bot_id, bot__user_id=user_id, signal_id=signal_id)
    row = rows.order_by("-id").first()
    if row is None:
        return
    if row.sent_at is not None:
        yield Step(row.sent_at, "signal", f"Signal {signal_id} publié par le heartbeat")
    yield Step(row.created_at, "decision", f"Signal pris en charge pour le bot {bot_id}")
    if row.decided_at is None:
        return
    took = row.details.get("duration_ms")
    asked = "" if took is None else f" (stratégie interrogée en {number(Decimal(str(took)))} ms)"
    if row.status == BotDecision.Status.DECIDED:
        title, tone = f"Décision : {_WISHES.get(row.action, row.action)}{asked}", ""
    else:
        title, tone = "Pas de décision", "bad"
    yield Step(row.decided_at, "decision", title, row.reason, tone)


def _called(user_id: int, trace_id: str) -> Iterator[Step]:
    number_ = trace_id.removeprefix(_WEBHOOK)
    if number_ == trace_id or not number_.isdigit():
        return
    row = Webhook.objects.filter(user_id=user_id, pk=int(number_)).first()
    if row is None:
        return
    yield Step(
        row.created_at, "webhook", f"Appel de webhook reçu ({row.source})", f"{row.action} {row.symbol}".strip()
    )
    if row.processed_at is not None:
        tone = "bad" if row.status == Webhook.Status.REFUSED else ""
        yield Step(row.processed_at, "webhook", "Appel traité", row.reason, tone)


def _ordered(trade: Trade) -> Iterator[Step]:
    name = f"{_SIDES.get(trade.side, trade.side)} {_TYPES.get(trade.type, trade.type)} {trade.symbol} n° {trade.pk}"

    def step(at: datetime, kind: str, what: str, detail: str = "", tone: str = "") -> Step:
        return Step(at, kind, f"{name} : {what}", detail, tone, trade.pk)

    asked = f"quantité {number(trade.quantity)}" + (f" à {number(trade.price)}" if trade.price is not None else "")
    yield step(trade.created_at, "order", "enregistré", asked)
    if trade.sending_at is not None:
        yield step(trade.sending_at, "sent", "envoyé à l'exchange", f"identifiant {trade.client_order_id}")
    if trade.acknowledged_at is not None:
        yield step(trade.acknowledged_at, "accepted", "accepté", f"n° {trade.exchange_order_id} chez l'exchange")
    fills = list(trade.fills.all())
    for fill in fills:
        fee = f", frais {number(fill.fee)} {fill.fee_currency}" if fill.fee else ""
        market = f" (heure du marché {fill.executed_at:%d/%m %H:%M:%S} UTC)"
        what = f"exécution de {number(fill.quantity)} à {number(fill.price)}"
        yield step(fill.received_at, "fill", what, f"exécution n° {fill.exchange_trade_id}{fee}{market}", "good")
    if trade.closed_at is not None and trade.status in _ENDS:
        tone = "bad" if trade.status in _BAD_ENDS else ""
        # The executions of an end are stamped by the database, a little later than the end itself.
        ended_at = max([trade.closed_at, *(fill.received_at for fill in fills)])
        yield step(ended_at, "end", _ENDS[trade.status], trade.error_message, tone)
    elif trade.status == OrderStatus.UNKNOWN:
        yield step(trade.updated_at, "end", "statut inconnu, recherché", trade.error_message, "bad")
    for command in trade.commands.all():
        yield from _commanded(command, step)


def _commanded(command: OrderCommand, step: Any) -> Iterator[Step]:
    word = _COMMANDS.get(command.kind, command.kind)
    yield step(command.created_at, "command", f"{word.lower()} demandée")
    if command.done_at is not None and command.error_message:
        yield step(command.done_at, "command", f"{word.lower()} sans effet", command.error_message, "bad")


def _alerted(user_id: int, trace_id: str) -> Iterator[Step]:
    for alert in Alert.objects.filter(user_id=user_id, trace_id=trace_id).order_by("created_at"):
        times = f" (×{alert.count})" if alert.count > 1 else ""
        yield Step(alert.created_at, "alert", f"Alerte{times}", alert.message, "bad")
