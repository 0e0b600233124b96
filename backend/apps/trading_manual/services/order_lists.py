"""The lists of the page: open orders, history, positions with what they are worth now."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog

from apps.brokers.models import Broker
from apps.core.adapters.database import read_database
from apps.orders.events import amount, trade_body
from apps.trading_manual import selectors
from apps.trading_manual.services.terminal import READ_TIMEOUT_S, Terminal
from domain.errors import AristobotError
from domain.positions import stored

log = structlog.get_logger(__name__)


def open_orders(user_id: int, broker_id: int, *, symbol: str | None) -> dict[str, Any]:
    """Return the broker's orders that are not over, newest first. Raises NotFound."""
    broker = selectors.broker_of(user_id, broker_id)
    return {"results": [trade_body(each) for each in selectors.live_orders(broker, symbol=symbol)]}


def history(
    user_id: int, broker_id: int, *, symbol: str | None, before: int | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return the broker's orders of the last 30 days, refused ones included, newest first. Raises NotFound."""
    broker = selectors.broker_of(user_id, broker_id)
    rows = selectors.history(broker, symbol=symbol, before=before, limit=limit, now=now)
    return {"results": [trade_body(each) for each in rows]}


async def positions(terminal: Terminal, user_id: int, broker_id: int) -> dict[str, Any]:
    """Return what is held on the broker, valued at the last prices; without them, as they were last valued.

    Raises:
        NotFound: the broker is not this user's.
    """
    broker = await read_database(selectors.broker_of, user_id, broker_id)
    bodies = await read_database(selectors.open_positions, broker)
    prices, warnings = await _last_prices(terminal, broker, sorted({body["symbol"] for body in bodies}))
    return {"results": [valued(body, prices.get(body["symbol"])) for body in bodies], "warnings": warnings}


def valued(body: Mapping[str, Any], price: Decimal | None) -> dict[str, Any]:
    """Return a position's body at `price`, in quote: its value, and its profit before the fees of a sale.

    Without a price it is valued as it last was; what follows from a price is null when there never was one.
    """
    known = price if price is not None else _decimal(body["current_price"])
    if known is None:
        return {**body, "market_value": None, "unrealized_pnl_ratio": None}
    quantity, entry_price = Decimal(body["quantity"]), Decimal(body["entry_price"])
    return {
        **body,
        "current_price": amount(known),
        "market_value": amount(stored(quantity * known)),
        "unrealized_pnl": amount(stored(quantity * (known - entry_price))),
        "unrealized_pnl_ratio": amount(stored(known / entry_price - 1)) if entry_price else None,
    }


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


async def _last_prices(
    terminal: Terminal, broker: Broker, symbols: Sequence[str]
) -> tuple[Mapping[str, Decimal], list[str]]:
    if not symbols:
        return {}, []
    try:
        await terminal.watch.check()
        prices = await terminal.gateway.tickers(
            broker.pk, user_id=broker.user_id, symbols=symbols, timeout_s=READ_TIMEOUT_S
        )
    except AristobotError as exc:
        log.warning("terminal.positions_without_prices", broker_id=broker.pk, error=exc.message)
        return {}, [f"Valeurs des positions non rafraîchies : {exc.message}"]
    return prices, []
