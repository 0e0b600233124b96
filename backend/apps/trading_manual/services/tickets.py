"""The ticket of the page: preview while typing, *Valider*, *Exécuter*. Everything is computed here.

An attempt to execute leaves a row in `trades` (source `manual`) whatever comes of it: the desk keeps the
refusals of its rules, and what stops an order before the desk (no price, no balance) is kept as well.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog

from apps.brokers.models import Broker
from apps.core.adapters.database import in_database, read_database
from apps.market_data.selectors import market_for
from apps.orders import admission, desk
from apps.orders import selectors as order_selectors
from apps.orders.admission import Purse
from apps.orders.context import OrderContext
from apps.orders.events import trade_body
from apps.orders.models import Trade
from apps.orders.preview import Preview
from apps.trading_manual import selectors
from apps.trading_manual.services import ticket_summary, validations
from apps.trading_manual.services.replies import Asked, Reply, client_order_id, known_reply, once
from apps.trading_manual.services.terminal import Terminal
from apps.trading_manual.services.validations import Terms, Validation
from domain.errors import AristobotError, InvalidInput, NotFound
from domain.markets import Market
from domain.orders import OrderRequest, OrderSource, OrderStatus, OrderType, Side

log = structlog.get_logger(__name__)

OWNER = "manual"  # key of the positions that are traded by hand


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the form holds. `balance_ratio` (0 to 1) sizes the order by the money that is free."""

    request: OrderRequest
    balance_ratio: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the desk needs besides the wish. `currency`: the one that the order spends."""

    market: Market
    currency: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class _Checked:
    facts: _Facts
    body: dict[str, Any]


# Refusals that are about how much, whichever field said it.
_ABOUT_SIZE = frozenset({"quantity_too_small", "quantity_too_large", "notional_too_small", "insufficient_funds"})


async def preview(terminal: Terminal, user_id: int, broker_id: int, ticket: Ticket) -> dict[str, Any]:
    """Compute what the order would be. Raises InvalidInput with what is wrong, as *Exécuter* would say it."""
    return (await _check(terminal, user_id, broker_id, ticket, fresh=False)).body


async def validate(terminal: Terminal, user_id: int, broker_id: int, ticket: Ticket) -> dict[str, Any]:
    """Preview with the balance of this moment, and freeze the terms for 30 seconds."""
    checked = await _check(terminal, user_id, broker_id, ticket, fresh=True)
    token, valid_until = validations.freeze(checked.facts.terms, now=terminal.clock.now())
    return {**checked.body, "validation_id": token, "valid_until": valid_until.isoformat()}


async def submit(
    terminal: Terminal, asked: Asked, broker_id: int, *, validation_id: str | None, ticket: Ticket | None
) -> Reply:
    """Commit the order of a validation, or of the ticket itself; its outcome arrives as events.

    With a validation the row is committed even when terminal 5 is away, waits for it until `valid_until`, and
    expires visibly if nobody sends it; the reply says so. Nothing is asked from terminal 5, but for the balance
    when orders ended since the validation.
    """
    known = await read_database(known_reply, asked)
    if known is not None:
        return known
    if validation_id is not None:
        validation = validations.read(validation_id, user_id=asked.user_id, broker_id=broker_id)
        terms, name = await _with_present_money(terminal, validation.terms), validation.name
    else:
        if ticket is None:
            raise InvalidInput("Ordre refusé : ni validation ni ordre dans la demande.")
        validation, name = None, asked.request_id
        try:
            terms = (await _facts(terminal, asked.user_id, broker_id, ticket, fresh=True)).terms
        except AristobotError as failure:
            return await in_database(
                _keep_failure, asked, broker_id, ticket.request, failure, now=terminal.clock.now()
            )
    warnings = await _warnings_of_absence(terminal)
    return await in_database(_commit, asked, terms, name, validation, now=terminal.clock.now(), warnings=warnings)


async def _with_present_money(terminal: Terminal, terms: Terms) -> Terms:
    """Return the terms with the balance of this moment where orders ended since theirs was asked for.

    A cancelled order's money is not in that balance, while whatever took it since is deducted from it: a bot
    that cancels its pair to sell would count twice. Without an answer the terms stay, which only refuses more.
    """
    if not await read_database(order_selectors.money_moved_since, terms.broker_id, terms.balance_as_of):
        return terms
    broker, market = await read_database(_broker_and_market, terms.user_id, terms.broker_id, terms.request.symbol)
    try:
        balance = await terminal.balance(broker, fresh=True)
    except AristobotError as failure:
        log.info("terminal.balance_not_renewed", broker_id=broker.pk, error=failure.message)
        return terms
    free = balance.value.free.get(_spent(terms.request, market), Decimal(0))
    return replace(terms, free=free, balance_as_of=balance.as_of)


async def _check(terminal: Terminal, user_id: int, broker_id: int, ticket: Ticket, *, fresh: bool) -> _Checked:
    try:
        facts = await _facts(terminal, user_id, broker_id, ticket, fresh=fresh)
        found, available = await read_database(_preview, facts)
    except (InvalidInput, NotFound) as refusal:
        _name_field(refusal, ticket)
        raise
    body = ticket_summary.preview_body(
        found,
        request=facts.terms.request,
        market=facts.market,
        reference_price=facts.terms.reference_price,
        available=available,
    )
    return _Checked(facts, body)


async def _facts(terminal: Terminal, user_id: int, broker_id: int, ticket: Ticket, *, fresh: bool) -> _Facts:
    broker, market = await read_database(_broker_and_market, user_id, broker_id, ticket.request.symbol)
    balance, price = await asyncio.gather(
        terminal.balance(broker, fresh=fresh), terminal.price(broker, market.symbol)
    )
    currency = _spent(ticket.request, market)
    free = balance.value.free.get(currency, Decimal(0))
    terms = Terms(user_id, broker_id, ticket.request, price, free, balance.as_of)
    if ticket.balance_ratio is not None:
        terms = await read_database(_sized_by_balance, terms, ticket.balance_ratio, currency)
    return _Facts(market, currency, terms)


def _spent(request: OrderRequest, market: Market) -> str:
    return market.quote if request.side is Side.BUY else market.base


def _name_field(refusal: AristobotError, ticket: Ticket) -> None:
    """Say which field of the form is at fault where the rule that refused does not know the form."""
    if refusal.error_code == "unknown_symbol":
        refusal.details.setdefault("field", "symbol")
    if refusal.error_code in _ABOUT_SIZE:
        given = "quantity" if ticket.request.quantity is not None else "quote_amount"
        refusal.details["field"] = given if ticket.balance_ratio is None else "balance_ratio"


def _broker_and_market(user_id: int, broker_id: int, symbol: str) -> tuple[Broker, Market]:
    broker = selectors.broker_of(user_id, broker_id)
    return broker, market_for(broker.exchange, symbol)


def _available(terms: Terms, currency: str) -> Decimal:
    """What the balance left free, minus what orders took since."""
    held = order_selectors.reserved_by_currency(terms.broker_id, as_of=terms.balance_as_of)
    return max(terms.free - held.get(currency, Decimal(0)), Decimal(0))


def _sized_by_balance(terms: Terms, ratio: Decimal, currency: str) -> Terms:
    share = _available(terms, currency) * ratio
    if share <= 0:
        raise InvalidInput(
            f"Ordre refusé avant envoi ({terms.request.symbol}) : aucun {currency} disponible.",
            code="insufficient_funds",
            details={"free": str(terms.free)},
        )
    if terms.request.side is Side.BUY:
        return replace(terms, request=replace(terms.request, quote_amount=share))
    return replace(terms, request=replace(terms.request, quantity=share))


def _preview(facts: _Facts) -> tuple[Preview, Decimal]:
    terms = facts.terms
    found = desk.preview(
        user_id=terms.user_id,
        broker_id=terms.broker_id,
        request=terms.request,
        market=facts.market,
        reference_price=terms.reference_price,
        purse=Purse(terms.free, terms.balance_as_of),
    )
    return found, _available(terms, facts.currency)


def _commit(
    asked: Asked,
    terms: Terms,
    name: str,
    validation: Validation | None,
    *,
    now: datetime,
    warnings: list[str],
) -> Reply:
    order_id = client_order_id(asked.user_id, name)

    def act() -> dict[str, Any]:
        known = Trade.objects.filter(client_order_id=order_id, user_id=asked.user_id).first()
        if known is not None:
            return _body_of_known(known)
        if validation is not None and now >= validation.valid_until:
            raise validations.expired(validation)
        return {**_submit(terms, order_id, now=now), "warnings": warnings}

    return once(asked, act, now=now)


def _submit(terms: Terms, order_id: str, *, now: datetime) -> dict[str, Any]:
    broker, market = _broker_and_market(terms.user_id, terms.broker_id, terms.request.symbol)
    context = OrderContext(
        user_id=terms.user_id,
        broker_id=broker.pk,
        source=OrderSource.MANUAL,
        owner=OWNER,
        now=now,
        client_order_id=order_id,
        purse=Purse(terms.free, terms.balance_as_of),
    )
    price = terms.reference_price
    if terms.request.order_type is OrderType.OCO:
        legs = desk.submit_pair(context, terms.request, market=market, reference_price=price)
        return {"trades": [trade_body(each) for each in legs]}
    return {"trade": trade_body(desk.submit(context, terms.request, market=market, reference_price=price))}


def _keep_failure(
    asked: Asked, broker_id: int, request: OrderRequest, failure: AristobotError, *, now: datetime
) -> Reply:
    """Keep an attempt that did not reach the desk, for want of a price or of a balance, as a refused order."""
    broker = selectors.broker_of(asked.user_id, broker_id)

    def act() -> dict[str, Any]:
        row = {
            "user_id": asked.user_id,
            "broker_id": broker.pk,
            "source": OrderSource.MANUAL.value,
            "owner": OWNER,
            "client_order_id": client_order_id(asked.user_id, asked.request_id),
            "symbol": request.symbol,
            "valid_until": now,
        }
        admission.record_refusal(row, request, failure, now=now)
        raise failure

    return once(asked, act, now=now)


def _body_of_known(trade: Trade) -> dict[str, Any]:
    """The order was made by an earlier request (another use of the same validation): tell what it became."""
    if trade.status == OrderStatus.REJECTED and trade.sending_at is None:
        raise InvalidInput(trade.error_message, code=trade.error_code, details={"trade_id": trade.pk})
    if not trade.link_id:
        return {"trade": trade_body(trade), "warnings": []}
    legs = Trade.objects.filter(link_id=trade.link_id, user_id=trade.user_id).order_by("id")
    return {"trades": [trade_body(each) for each in legs], "warnings": []}


async def _warnings_of_absence(terminal: Terminal) -> list[str]:
    trouble = await terminal.watch.trouble()
    if trouble is None:
        return []
    return [
        f"{trouble.message} L'ordre est enregistré : il partira à son retour, ou expirera sans avoir été envoyé "
        "si ce retour tarde."
    ]
