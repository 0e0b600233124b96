"""From a strategy's floats to an exact order request: the one door between the two.

Nothing here knows an exchange's filters: `Market` rounds and checks once, when the order is committed.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from domain.french import number
from domain.markets import Market
from domain.orders import OrderRequest, OrderType, Side
from domain.strategies.contract import Evaluation

# A float that went through `Decimal(str(x))` may exceed the balance it came from by its last digit.
_SLACK = 1 + Decimal("1e-9")


# How far a market buy may run above the price that sized it: the balance must still pay for it.
MARKET_PRICE_MARGIN = Decimal("0.005")
_WITH_MARGIN = 1 + MARKET_PRICE_MARGIN
_SELL = Side.SELL
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Funds:
    """Quote currency of the account. `cap` is what the bot may spend at most, None = no cap."""

    free: Decimal
    reserved: Decimal
    cap: Decimal | None = None

    @property
    def available(self) -> Decimal:
        """Free minus what committed orders will still take, never below zero."""
        left = self.free - self.reserved
        return left if left > 0 else _ZERO


@dataclass(frozen=True, slots=True)
class NoOrder:
    """Why nothing is ordered, in French, shown to the user as it is."""

    reason: str


def size_order(
    evaluation: Evaluation, *, market: Market, price: Decimal, funds: Funds, held: Decimal | None
) -> OrderRequest | NoOrder:
    """Turn a strategy's answer into a market order, or say why there is none.

    Args:
        price: last known price, in quote; the protection's prices are fractions of it.
        held: base quantity of the bot's open position, None when it has none.

    Returns:
        A buy in quote currency, a sell of the whole position, or the reason for neither.
    """
    if held is not None:
        return _leave(evaluation, market=market, held=held)
    if not evaluation.should_long:
        return NoOrder("aucun signal d'achat")
    return _enter(evaluation, market=market, price=price, funds=funds)


def exit_request(market: Market, *, held: Decimal) -> OrderRequest:
    """Return the market order that sells a whole long position."""
    return OrderRequest(symbol=market.symbol, side=Side.SELL, order_type=OrderType.MARKET, quantity=held)


def _leave(evaluation: Evaluation, *, market: Market, held: Decimal) -> OrderRequest | NoOrder:
    if not evaluation.should_short:
        return NoOrder("position conservée : aucun signal de vente")
    return exit_request(market, held=held)


def _enter(evaluation: Evaluation, *, market: Market, price: Decimal, funds: Funds) -> OrderRequest | NoOrder:
    terms = (evaluation.position_size, evaluation.stop_loss, evaluation.take_profit)
    entry = size_entry(market, price, terms, funds)
    if isinstance(entry, NoOrder):
        return entry
    quote_amount, stop_loss, take_profit = entry
    return OrderRequest(
        symbol=market.symbol,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quote_amount=quote_amount,
        stop_loss=stop_loss,
        take_profit=take_profit,
    )


# What to spend in quote, the stop's price and the take profit's; None = no such protection.
Entry = tuple[Decimal, Decimal | None, Decimal | None]


def size_entry(market: Market, price: Decimal, terms: tuple[float, float, float], funds: Funds) -> Entry | NoOrder:
    """Turn a strategy's terms into the amounts of a market buy: live orders and backtests pass through here.

    Args:
        terms: quote amount wanted, stop loss and take profit as fractions of `price` (0.0 = none).
    """
    size, stop, target = terms
    available, cap = funds.available, funds.cap
    wanted = _decimal(size)
    if wanted <= 0:
        return NoOrder(f"taille nulle : la stratégie demande {_text(wanted)} {market.quote}")
    spend = wanted if cap is None or wanted <= cap else cap
    if spend > available * _SLACK:
        return NoOrder(
            f"solde insuffisant : {_text(spend)} {market.quote} demandés, {_text(available)} disponibles "
            f"({_text(funds.free)} libres, {_text(funds.reserved)} réservés)"
        )
    if stop >= 1:
        return NoOrder(f"stop loss de {_text(_ratio(stop) * 100)} % impossible : il doit rester sous 100 %")
    payable = _payable(available, market)
    return (
        spend if spend <= payable else payable,
        _exit_price(market, price=price, change=-_ratio(stop)),
        _exit_price(market, price=price, change=_ratio(target)),
    )


def _payable(available: Decimal, market: Market) -> Decimal:
    """Return what may be ordered so that the fee and a price that ran away are still paid for."""
    return available / (_WITH_MARGIN * (1 + market.taker_fee_ratio))


def _exit_price(market: Market, *, price: Decimal, change: Decimal) -> Decimal | None:
    return None if change == 0 else market.round_price(price * (1 + change), side=_SELL)


def _decimal(value: float) -> Decimal:
    return Decimal(str(value))


# Stops and take profits are mostly the same few fractions.
_ratio = lru_cache(maxsize=256)(_decimal)


def _text(value: Decimal) -> str:
    return number(round(value, 8))
