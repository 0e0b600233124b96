"""Cancelling and changing orders: one committed wish, carried out by terminal 5."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apps.brokers.models import Broker
from apps.core.adapters.database import in_database
from apps.orders import desk
from apps.orders.events import trade_body
from apps.orders.models import Trade
from apps.trading_manual import selectors
from apps.trading_manual.services.replies import Asked, Reply, once
from apps.trading_manual.services.terminal import Terminal
from domain.errors import NotFound

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


def _own_trade(user_id: int, broker_id: int, trade_id: int) -> tuple[Broker, Trade]:
    broker = selectors.broker_of(user_id, broker_id)
    trade: Trade | None = Trade.objects.filter(pk=trade_id, broker=broker, user_id=user_id).first()
    if trade is None:
        raise NotFound(f"Ordre {trade_id} introuvable chez ce broker.", details={"trade": trade_id})
    return broker, trade


async def _delays(terminal: Terminal, what: str) -> list[str]:
    trouble = await terminal.watch.trouble()
    return [] if trouble is None else [f"{trouble.message} Le souhait est enregistré, {what} à son retour."]
