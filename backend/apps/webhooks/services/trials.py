"""The page's tests: how a message would be read, and a real call on simulated money."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.brokers.selectors import trading_mode
from apps.orders import desk
from apps.orders.admission import Purse
from apps.orders.events import amount
from apps.orders.selectors import live_position, reserved_by_currency
from apps.webhooks.models import Webhook, WebhookSource
from apps.webhooks.selectors import owner_of
from apps.webhooks.services import examination, reception
from domain.errors import AristobotError, Conflict
from domain.markets import Market
from domain.orders import OrderRequest, Side
from domain.ports import Balance
from domain.sizing import exit_request
from domain.webhooks.call import Action, Call
from domain.webhooks.plan import CancelOrders, Holdings, Leave, Nothing, plan
from domain.webhooks.refusal import CallRefused

AskExchange = Callable[[int, int, str], tuple[Decimal, Balance]]  # broker, user, symbol → last price, balance


@dataclass(slots=True)
class Reading:
    """How a message would be read now."""

    verdict: str  # order, leave, cancel, nothing, refused, unsure
    reason: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    symbol: str = ""
    order: dict[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("verdict", "reason", "payload", "symbol", "order")}


def read(source: WebhookSource, text: str, *, ask: AskExchange, now: datetime) -> Reading:
    """Read a message as terminal 3 would, and write nothing."""
    reading = Reading("refused")
    try:
        call = examination.read(text, source, from_outside=False)
        reading.payload = examination.payload_of(call)
        market = examination.market_of(call, source)
        reading.symbol = market.symbol
        if call.action is Action.CANCEL:
            reading.verdict, reading.reason = "cancel", "Les ordres en cours de cette source sont annulés."
            return reading
        _judge(reading, source, call, market, ask=ask, now=now)
    except CallRefused as refusal:
        reading.verdict, reading.reason = "refused", refusal.message
    except AristobotError as error:
        unsure = error.retryable
        reading.verdict, reading.reason = ("unsure" if unsure else "refused"), error.message
    return reading


def send(source: WebhookSource, text: str, *, remote_address: str, now: datetime) -> Webhook:
    """Keep a message as if it had come from outside. Raises Conflict where real money would move."""
    if trading_mode(source.broker) == "real":
        raise Conflict(
            f"Ordre d'essai refusé : « {source.broker.name} » est un compte réel. Choisir une source en simulation "
            "ou sur un testnet, ou appeler l'adresse soi-même.",
            code="real_money",
        )
    if source.revoked_at is not None or not source.is_enabled:
        raise Conflict(f"Essai refusé : la source « {source.name} » est révoquée ou désactivée.", code="disabled")
    address = reception.address_of(source)
    call = reception.arrival(text.encode("utf-8", "replace"), remote_address=remote_address, received_at=now)
    return reception.keep(address, call, is_test=True)


def _judge(
    reading: Reading, source: WebhookSource, call: Call, market: Market, *, ask: AskExchange, now: datetime
) -> None:
    price, balance = ask(source.broker_id, source.user_id, market.symbol)
    reserved = reserved_by_currency(source.broker_id, as_of=now)
    position = live_position(source.broker_id, market.symbol, owner_of(source.id))
    holdings = Holdings(
        quote=balance.free.get(market.quote, Decimal(0)) - reserved.get(market.quote, Decimal(0)),
        base=balance.free.get(market.base, Decimal(0)) - reserved.get(market.base, Decimal(0)),
        held=Decimal(0) if position is None else position.quantity,
    )
    wanted = plan(call, market=market, price=price, holdings=holdings, rules=examination.rules_of(source))
    if isinstance(wanted, Nothing):
        reading.verdict, reading.reason = "nothing", f"Rien à faire : {wanted.reason}."
        return
    if isinstance(wanted, CancelOrders):
        return
    request = exit_request(market, held=holdings.held) if isinstance(wanted, Leave) else wanted.request
    reading.verdict = "leave" if isinstance(wanted, Leave) else "order"
    reserved_in = market.quote if request.side is Side.BUY else market.base
    known = Purse(balance.free.get(reserved_in, Decimal(0)), now)
    # What protects a position holds its base until it is cancelled: leaving frees it first.
    purse = Purse() if isinstance(wanted, Leave) else known
    reading.order = _order(source, request, market, price, purse=purse)


def _order(
    source: WebhookSource, request: OrderRequest, market: Market, price: Decimal, *, purse: Purse
) -> dict[str, Any]:
    shown = desk.preview(
        user_id=source.user_id,
        broker_id=source.broker_id,
        request=request,
        market=market,
        reference_price=price,
        purse=purse,
    )
    return {
        "side": request.side.value,
        "type": request.order_type.value,
        "quantity": amount(shown.quantity),
        "price": amount(shown.price),
        "notional": amount(shown.notional),
        "fee": amount(shown.fee),
        "fee_currency": shown.fee_currency,
        "stop_loss": amount(request.stop_loss),
        "take_profit": amount(request.take_profit),
    }
