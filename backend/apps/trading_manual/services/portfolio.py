"""What a broker holds, valued in USDT at the exchange's last prices."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog

from apps.brokers.models import Broker
from apps.core.adapters.database import read_database
from apps.orders.events import amount
from apps.trading_manual import selectors
from apps.trading_manual.services.terminal import READ_TIMEOUT_S, Terminal
from domain.errors import AristobotError

log = structlog.get_logger(__name__)

VALUATION = "USDT"
# Currencies through which a price is found where an asset has no market with the first.
_BRIDGES = ("USDC", "BTC", "ETH", "EUR", "USD")
_MAX_MARKETS = 200

Prices = Mapping[str, Decimal]


async def portfolio(terminal: Terminal, user_id: int, broker_id: int) -> dict[str, Any]:
    """Return every asset of the broker with its value; an asset without a price has none, and is not summed.

    Raises:
        NotFound: the broker is not this user's.
        Unavailable, ExchangeError: the balance could not be read.
    """
    broker = await read_database(selectors.broker_of, user_id, broker_id)
    balance = await terminal.balance(broker, fresh=True)
    held = _held(balance.value.free, balance.value.locked)
    prices, warnings = await _prices(terminal, broker, list(held))
    assets = [_asset(currency, *amounts, prices=prices) for currency, amounts in held.items()]
    assets.sort(key=lambda each: (each["value"] is None, -(each["value"] or 0), each["currency"]))
    total = sum((each["value"] for each in assets if each["value"] is not None), Decimal(0))
    return {
        "as_of": balance.as_of.isoformat(),
        "valuation_currency": VALUATION,
        "total": amount(total),
        "assets": [_as_text(each) for each in assets],
        "warnings": warnings,
    }


def price_in_valuation(currency: str, prices: Prices) -> Decimal | None:
    """Return the value of one unit, by a direct market, an inverse one or one bridge; None without any.

    Args:
        prices: last prices by symbol; those that are not positive count as unknown.
    """
    direct = _between(currency, VALUATION, prices)
    if direct is not None:
        return direct
    for bridge in _BRIDGES:
        first = _between(currency, bridge, prices)
        second = _between(bridge, VALUATION, prices)
        if first is not None and second is not None:
            return first * second
    return None


def _between(currency: str, target: str, prices: Prices) -> Decimal | None:
    if currency == target:
        return Decimal(1)
    price = prices.get(f"{currency}/{target}")
    if price is not None and price > 0:
        return price
    inverse = prices.get(f"{target}/{currency}")
    return 1 / inverse if inverse is not None and inverse > 0 else None


def _held(free: Mapping[str, Decimal], locked: Mapping[str, Decimal]) -> dict[str, tuple[Decimal, Decimal]]:
    both = {name: (free.get(name, Decimal(0)), locked.get(name, Decimal(0))) for name in {*free, *locked}}
    return {name: amounts for name, amounts in both.items() if any(amounts)}


async def _prices(terminal: Terminal, broker: Broker, held: Sequence[str]) -> tuple[Prices, list[str]]:
    """Return last prices; without them the assets are still shown, with the reason in the warnings."""
    if all(currency == VALUATION for currency in held):
        return {}, []
    wanted = await read_database(_wanted_symbols, broker.exchange, held)
    if not wanted:
        return {}, []
    try:
        prices = await terminal.gateway.tickers(
            broker.pk, user_id=broker.user_id, symbols=wanted, timeout_s=READ_TIMEOUT_S
        )
    except AristobotError as exc:
        log.warning("terminal.portfolio_without_prices", broker_id=broker.pk, error=exc.message)
        return {}, [f"Valeurs absentes : {exc.message}"]
    return prices, []


def _wanted_symbols(exchange: str, held: Sequence[str]) -> list[str]:
    """The markets that may serve: each asset against USDT or a bridge, and the bridges against USDT."""
    targets = {VALUATION, *_BRIDGES}
    rows = selectors.priced_symbols(exchange, [*held, *targets])
    pairs = {row.symbol for row in rows if {row.base, row.quote} & targets}
    direct = [symbol for symbol in pairs if VALUATION in symbol.split("/")]
    others = sorted(pairs.difference(direct))
    return [*sorted(direct), *others][:_MAX_MARKETS]


def _asset(currency: str, free: Decimal, locked: Decimal, *, prices: Prices) -> dict[str, Any]:
    price = price_in_valuation(currency, prices)
    total = free + locked
    value = None if price is None else total * price
    return {"currency": currency, "free": free, "locked": locked, "total": total, "price": price, "value": value}


def _as_text(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {name: amount(value) if isinstance(value, Decimal) else value for name, value in asset.items()}
