"""The user's *Vendre* on a bot: its position is left, the strategy goes on."""

from datetime import datetime

from apps.orders import closing
from apps.orders.closing import Progress
from apps.orders.models import Position
from apps.trading_engine.models import ActiveStrategy
from domain.errors import Conflict


def sell_now(bot: ActiveStrategy, *, now: datetime) -> Progress:
    """Leave the bot's open position because its user asks for it.

    Raises:
        Conflict: no open position, or one that is being left already.
        InvalidInput: refused by the exchange's filters.
    """
    position = Position.objects.filter(bot=bot).exclude(status=Position.Status.CLOSED).first()
    target = f"Vente impossible (bot {bot.id}, {bot.symbol})"
    if position is None:
        raise Conflict(f"{target} : aucune position ouverte.", code="no_position")
    price = position.current_price or position.entry_price
    if position.status == Position.Status.CLOSING:
        raise Conflict(f"{target} : la sortie de position est déjà en cours.", code="order_in_progress")
    return closing.close(position.id, user_id=bot.user_id, price=price, now=now)
