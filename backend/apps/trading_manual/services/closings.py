"""*Clôturer*: leaving a position in one confirmed step, whatever protects it and whoever dies in between.

The wish is one transaction: what rests is asked to be cancelled and the position is `closing`, or the sale is
committed at once when nothing rests. `apps.orders.closing` and its driver in terminal 5 do the rest.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.brokers.models import Broker
from apps.core.adapters.database import in_database, read_database
from apps.orders import closing
from apps.orders.events import position_body, trade_body
from apps.orders.models import Position
from apps.trading_manual import selectors
from apps.trading_manual.services.replies import Asked, Reply, known_reply, once
from apps.trading_manual.services.terminal import Terminal
from domain.errors import AristobotError, NotFound


async def close(terminal: Terminal, asked: Asked, broker_id: int, *, position_id: int) -> Reply:
    """Begin to leave a position; the reply says by which step, and tells when terminal 5 is away.

    Raises:
        NotFound: the position is not one of this broker of the user.
    """
    known = await read_database(known_reply, asked)
    if known is not None:
        return known
    broker, position = await read_database(_own_position, asked.user_id, broker_id, position_id)
    price = await _price(terminal, broker, position)
    trouble = await terminal.watch.trouble()
    later = [] if trouble is None else [f"{trouble.message} La clôture est enregistrée, elle se fera à son retour."]
    return await in_database(_close, asked, position_id, price, now=terminal.clock.now(), warnings=later)


async def _price(terminal: Terminal, broker: Broker, position: Position) -> Decimal:
    """Return the last price, or the last one known: it only checks the sale against the market's minimum."""
    try:
        return await terminal.price(broker, position.symbol)
    except AristobotError:
        known: Decimal = position.entry_price if position.current_price is None else position.current_price
        return known


def _close(asked: Asked, position_id: int, price: Decimal, *, now: datetime, warnings: list[str]) -> Reply:
    def act() -> dict[str, Any]:
        progress = closing.close(position_id, user_id=asked.user_id, price=price, now=now)
        position = Position.objects.get(id=position_id)
        return {
            "step": progress.step.value,
            "position": position_body(position),
            "trade": None if progress.trade is None else trade_body(progress.trade),
            "warnings": warnings,
        }

    return once(asked, act, now=now)


def _own_position(user_id: int, broker_id: int, position_id: int) -> tuple[Broker, Position]:
    broker = selectors.broker_of(user_id, broker_id)
    position = Position.objects.filter(pk=position_id, broker=broker, user_id=user_id).first()
    if position is None:
        raise NotFound(f"Position {position_id} introuvable chez ce broker.", details={"position": position_id})
    return broker, position
