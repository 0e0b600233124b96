"""Cancelling and changing orders: one committed wish, carried out by terminal 5."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.brokers.models import Broker
from apps.core.adapters.database import in_database, read_database
from apps.market_data.selectors import market_for
from apps.orders import desk
from apps.orders.events import trade_body
from apps.orders.models import Trade
from apps.trading_manual import selectors
from apps.trading_manual.services.replies import Asked, Reply, client_order_id, known_reply, once
from apps.trading_manual.services.short_memory import Dated
from apps.trading_manual.services.terminal import Terminal
from domain.errors import NotFound
from domain.orders import Side
from domain.ports import Balance

BY_HAND: tuple[str | None, ...] = ("manual", "external")  # owners whose orders a person placed


async def cancel(terminal: Terminal, asked: Asked, broker_id: int, *, trade_id: int) -> Reply:
    """Ask for an order of the broker to be cancelled; the reply tells when terminal 5 is away."""
    warnings = await _delays(terminal, "l'annulation partira")
    return await in_database(_cancel, asked, broker_id, trade_id, now=terminal.clock.now(), warnings=warnings)


async def cancel_all(
    terminal: Terminal, asked: Asked, broker_id: int, *, symbol: str | None, everybody: bool
) -> Reply:
    """Ask for the orders placed by hand there (here or elsewhere) to be cancelled, in one market or in all.

    Args:
        everybody: those of bots and webhooks too, whose positions may lose their protection.
    """
    warnings = await _delays(terminal, "les annulations partiront")
    owners: tuple[str | None, ...] = (None,) if everybody else BY_HAND
    return await in_database(
        _cancel_all, asked, broker_id, symbol, owners, now=terminal.clock.now(), warnings=warnings
    )


async def amend(
    terminal: Terminal,
    asked: Asked,
    broker_id: int,
    *,
    trade_id: int,
    quantity: Decimal | None,
    price: Decimal | None,
    stop_price: Decimal | None,
) -> Reply:
    """Ask for an order to be replaced by another of these terms (`quantity`: its new total).

    Raises:
        NotFound: the order is not one of this broker of the user.
        Unavailable, ExchangeError: no price or no balance to check the new terms against; nothing was asked.
    """
    known = await read_database(known_reply, asked)
    if known is not None:
        return known
    broker, trade = await read_database(_own_trade, asked.user_id, broker_id, trade_id)
    reference, balance = await asyncio.gather(
        terminal.price(broker, trade.symbol), terminal.balance(broker, fresh=True)
    )
    wanted = {"quantity": quantity, "price": price, "stop_price": stop_price}
    return await in_database(
        _amend, asked, broker, trade, wanted, reference=reference, balance=balance, now=terminal.clock.now()
    )


def _cancel(asked: Asked, broker_id: int, trade_id: int, *, now: datetime, warnings: list[str]) -> Reply:
    def act() -> dict[str, Any]:
        _own_trade(asked.user_id, broker_id, trade_id)
        trade = desk.cancel(trade_id=trade_id, user_id=asked.user_id, now=now)
        return {"trade": trade_body(trade), "warnings": warnings}

    return once(asked, act, now=now)


def _cancel_all(
    asked: Asked,
    broker_id: int,
    symbol: str | None,
    owners: Sequence[str | None],
    *,
    now: datetime,
    warnings: list[str],
) -> Reply:
    def act() -> dict[str, Any]:
        broker = selectors.broker_of(asked.user_id, broker_id)
        trades = [
            trade
            for owner in owners
            for trade in desk.cancel_all(
                user_id=asked.user_id, broker_id=broker.pk, now=now, symbol=symbol, owner=owner
            )
        ]
        return {"trades": [trade_body(each) for each in trades], "warnings": warnings}

    return once(asked, act, now=now)


def _amend(
    asked: Asked,
    broker: Broker,
    trade: Trade,
    wanted: dict[str, Decimal | None],
    *,
    reference: Decimal,
    balance: Dated[Balance],
    now: datetime,
) -> Reply:
    def act() -> dict[str, Any]:
        market = market_for(broker.exchange, trade.symbol)
        currency = market.quote if trade.side == Side.BUY else market.base
        command = desk.amend(
            trade_id=trade.pk,
            user_id=asked.user_id,
            market=market,
            reference_price=reference,
            free=balance.value.free.get(currency, Decimal(0)),
            balance_as_of=balance.as_of,
            now=now,
            client_order_id=client_order_id(asked.user_id, asked.request_id),
            **wanted,
        )
        return {"command": {"id": command.pk}, "client_order_id": command.params["client_order_id"]}

    return once(asked, act, now=now)


def _own_trade(user_id: int, broker_id: int, trade_id: int) -> tuple[Broker, Trade]:
    broker = selectors.broker_of(user_id, broker_id)
    trade: Trade | None = Trade.objects.filter(pk=trade_id, broker=broker, user_id=user_id).first()
    if trade is None:
        raise NotFound(f"Ordre {trade_id} introuvable chez ce broker.", details={"trade": trade_id})
    return broker, trade


async def _delays(terminal: Terminal, what: str) -> list[str]:
    trouble = await terminal.watch.trouble()
    return [] if trouble is None else [f"{trouble.message} Le souhait est enregistré, {what} à son retour."]
