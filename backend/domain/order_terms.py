"""From a wish to the exact terms of an order: rounded, checked against the market, with what it sets aside.

The one place for these rules: previews, submissions and amendments all pass here. Nothing is looked up; what
depends on an account (its free balance) is the desk's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal

from domain.errors import InvalidInput
from domain.french import number
from domain.markets import Market
from domain.order_abilities import OrderAbilities, PairMode
from domain.orders import TRIGGERED_TYPES, OrderRequest, OrderType, Side

MARKET_PRICE_MARGIN = Decimal("0.005")  # how far a buy at market may run above its price, for the reservation
MAX_AMOUNT = Decimal(10) ** 18  # beyond any order; the tables hold 20 digits before the point
TYPE_LABELS: Mapping[OrderType, str] = {
    OrderType.MARKET: "au marché",
    OrderType.LIMIT: "limite",
    OrderType.STOP_LOSS: "stop loss",
    OrderType.TAKE_PROFIT: "take profit",
    OrderType.STOP_LIMIT: "stop limite",
    OrderType.OCO: "stop loss + take profit",
}
_LIMITED_TYPES = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_QUOTE_PLACES = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """An order once rounded: what would be sent, what it is worth and what it holds back meanwhile.

    `notional` (quote) and `fee` are estimates, at the price that is expected to apply and at the taker's fee; the
    fee is in quote, or in base where the exchange keeps it back from what a buy brings.
    `quote_amount`: the order is sized by what it spends, `quantity` is then an estimate.
    """

    order_type: OrderType
    side: Side
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    quote_amount: Decimal | None
    notional: Decimal
    fee: Decimal
    fee_currency: str
    reserved_currency: str
    reserved_amount: Decimal


def order_terms(
    request: OrderRequest,
    market: Market,
    reference_price: Decimal,
    *,
    exchange: str,
    abilities: OrderAbilities | None = None,
) -> OrderTerms:
    """Round and check one order.

    Args:
        reference_price: last price; a trigger must lie on the side of it that its type implies.
        exchange: the name shown in refusals.
        abilities: what that exchange takes; None (not known yet) refuses nothing.

    Raises:
        InvalidInput: French, with the values; `details["field"]` names the field at fault when it is one.
    """
    head = _head(exchange, request.symbol)
    _check_market(request, market, head)
    if request.order_type is OrderType.OCO:
        raise InvalidInput(f"{head} : un stop loss + take profit se soumet par paire.", code="unsupported")
    _check_ability(request.order_type, abilities, head)
    _check_amounts(request, reference_price, head)
    _check_prices_given(request, head)
    if (request.quantity is None) == (request.quote_amount is None):
        raise InvalidInput(f"{head} : indiquer soit une quantité, soit un montant, pas les deux.")
    price = _rounded(request.price, request.side, market, head, "price")
    stop_price = _rounded(request.stop_price, request.side, market, head, "stop_price")
    if stop_price is not None:
        _check_trigger(request, stop_price, reference_price, market, head)
    valued_at = next((value for value in (price, stop_price) if value is not None), reference_price)
    quantity, spent = _sized(request, market, valued_at, abilities, exchange=exchange)
    fee_in_base = request.side is Side.BUY and abilities is not None and abilities.buy_fee_in_base
    charged = quantity if fee_in_base else quantity * valued_at
    terms = OrderTerms(
        order_type=request.order_type,
        side=request.side,
        quantity=quantity,
        price=price,
        stop_price=stop_price,
        quote_amount=spent,
        notional=quantity * valued_at,
        fee=market.round_up(charged * market.taker_fee_ratio),
        fee_currency=market.base if fee_in_base else market.quote,
        reserved_currency=market.base,
        reserved_amount=quantity,
    )
    return terms if request.side is Side.SELL else _with_quote_set_aside(terms, request, market)


def pair_terms(
    request: OrderRequest,
    market: Market,
    reference_price: Decimal,
    *,
    exchange: str,
    abilities: OrderAbilities | None = None,
) -> tuple[OrderTerms, OrderTerms]:
    """Round and check a stop loss and a take profit over the same quantity; only the first sets it aside.

    Args:
        request: an OCO sale; `stop_loss` and `take_profit` are the triggers.

    Raises:
        InvalidInput: as `order_terms`.
    """
    head = _head(exchange, request.symbol)
    _check_market(request, market, head)
    _check_amounts(request, reference_price, head)
    if request.order_type is not OrderType.OCO or request.side is not Side.SELL:
        raise InvalidInput(f"{head} : un stop loss + take profit protège un achat, il est donc à la vente.")
    if request.quantity is None or request.quote_amount is not None:
        raise InvalidInput(f"{head} : un stop loss + take profit se donne en quantité.")
    others = (request.price, request.stop_price)
    if request.stop_loss is None or request.take_profit is None or others != (None, None):
        raise InvalidInput(
            f"{head} : un stop loss + take profit demande les deux seuils de déclenchement et aucun autre prix."
        )
    mode = pair_mode(abilities)
    if mode is PairMode.NONE:
        reason = None if abilities is None else abilities.refusal(OrderType.OCO)
        raise InvalidInput(
            f"{head} : {reason or 'cet exchange ne tient pas ensemble un stop loss et un take profit.'}",
            code="order_type_unsupported",
            details={"field": "order_type"},
        )
    own = abilities if mode is PairMode.LINKED else None  # an OCO is one type of its own
    single = replace(request, stop_loss=None, take_profit=None)
    stop = replace(single, order_type=OrderType.STOP_LOSS, stop_price=request.stop_loss)
    profit = replace(single, order_type=OrderType.TAKE_PROFIT, stop_price=request.take_profit)
    first = order_terms(stop, market, reference_price, exchange=exchange, abilities=own)
    second = order_terms(profit, market, reference_price, exchange=exchange, abilities=own)
    return first, replace(second, reserved_currency="", reserved_amount=Decimal(0))


def pair_mode(abilities: OrderAbilities | None) -> PairMode:
    """Return how a pair is held; not known yet: as one OCO, which the session refuses where there is none."""
    return PairMode.OCO if abilities is None else abilities.pair


def _sized(
    request: OrderRequest, market: Market, valued_at: Decimal, abilities: OrderAbilities | None, *, exchange: str
) -> tuple[Decimal, Decimal | None]:
    """Return the quantity cut to the step and, for a buy sized by what it spends, that amount."""
    wanted = request.quantity
    if wanted is None:
        wanted = (Decimal(0) if request.quote_amount is None else request.quote_amount) / valued_at
    if wanted * valued_at >= MAX_AMOUNT:
        raise InvalidInput(f"{_head(exchange, request.symbol)} : montant démesuré.", details={"field": "quantity"})
    quantity = market.round_quantity(wanted)
    is_market_buy = request.order_type is OrderType.MARKET and request.side is Side.BUY
    if not is_market_buy or abilities is None or not abilities.market_buy_in_quote:
        market.check(quantity=quantity, price=valued_at, exchange=exchange)
        return quantity, None
    market.check(quantity=wanted, price=valued_at, exchange=exchange)  # the exchange cuts to its step, not we
    spent = quantity * valued_at if request.quote_amount is None else request.quote_amount
    return quantity, spent.quantize(_QUOTE_PLACES, rounding=ROUND_DOWN)


def _with_quote_set_aside(terms: OrderTerms, request: OrderRequest, market: Market) -> OrderTerms:
    if terms.quote_amount is not None:
        needed = terms.quote_amount
    else:
        trigger = Decimal(0) if terms.stop_price is None else terms.stop_price
        highest = max(terms.notional, terms.quantity * trigger)
        margin = Decimal(0) if terms.order_type in _LIMITED_TYPES else MARKET_PRICE_MARGIN
        extra = market.taker_fee_ratio if terms.fee_currency == market.quote else Decimal(0)
        needed = highest * (1 + margin) * (1 + extra)
        if request.quote_amount is not None:
            # Somebody who spends an amount means the fee and the price's run to come out of that amount.
            needed = min(needed, max(request.quote_amount, highest))
    return replace(terms, reserved_currency=market.quote, reserved_amount=market.round_up(needed))


def _head(exchange: str, symbol: str) -> str:
    return f"Ordre refusé avant envoi ({exchange}, {symbol})"


def _check_market(request: OrderRequest, market: Market, head: str) -> None:
    if request.symbol != market.symbol or not market.active:
        raise InvalidInput(f"{head} : marché inconnu ou fermé.", code="market_closed", details={"field": "symbol"})


def _check_ability(order_type: OrderType, abilities: OrderAbilities | None, head: str) -> None:
    reason = None if abilities is None else abilities.refusal(order_type)
    if reason is not None:
        raise InvalidInput(f"{head} : {reason}", code="order_type_unsupported", details={"field": "order_type"})


def _check_amounts(request: OrderRequest, reference_price: Decimal, head: str) -> None:
    amounts = {
        "quantity": ("quantité", request.quantity),
        "quote_amount": ("montant", request.quote_amount),
        "price": ("prix", request.price),
        "stop_price": ("prix de déclenchement", request.stop_price),
        "reference_price": ("prix de référence", reference_price),
        "stop_loss": ("stop loss", request.stop_loss),
        "take_profit": ("take profit", request.take_profit),
    }
    for field, (label, value) in amounts.items():
        if value is not None and not (value.is_finite() and 0 < value < MAX_AMOUNT):
            raise InvalidInput(
                f"{head} : {label} {value} invalide (nombre positif attendu).", details={"field": field}
            )


def _check_prices_given(request: OrderRequest, head: str) -> None:
    label = TYPE_LABELS[request.order_type]
    wants_price = request.order_type in _LIMITED_TYPES
    if wants_price != (request.price is not None):
        rule = "obligatoire" if wants_price else "interdit"
        raise InvalidInput(f"{head} : un prix est {rule} pour un ordre {label}.", details={"field": "price"})
    wants_trigger = request.order_type in TRIGGERED_TYPES
    if wants_trigger != (request.stop_price is not None):
        rule = "obligatoire" if wants_trigger else "interdit"
        raise InvalidInput(
            f"{head} : un prix de déclenchement est {rule} pour un ordre {label}.", details={"field": "stop_price"}
        )


def _rounded(price: Decimal | None, side: Side, market: Market, head: str, field: str) -> Decimal | None:
    if price is None:
        return None
    rounded = market.round_price(price, side=side)
    if rounded <= 0:
        raise InvalidInput(
            f"{head} : prix {number(price)} {market.quote} nul après arrondi au pas de "
            f"{number(market.tick_size)} {market.quote}.",
            details={"field": field, "tick_size": str(market.tick_size)},
            code="price_too_small",
        )
    return rounded


def _check_trigger(
    request: OrderRequest, stop_price: Decimal, reference_price: Decimal, market: Market, head: str
) -> None:
    """A stop follows the price's run (a sale below it), a take profit awaits its return (a sale above it)."""
    is_above = (request.side is Side.BUY) != (request.order_type is OrderType.TAKE_PROFIT)
    if stop_price > reference_price if is_above else stop_price < reference_price:
        return
    side = "d'achat" if request.side is Side.BUY else "de vente"
    place = "au-dessus" if is_above else "au-dessous"
    raise InvalidInput(
        f"{head} : le déclenchement d'un {TYPE_LABELS[request.order_type]} {side} doit être {place} du prix du "
        f"marché ; déclenchement {number(stop_price)} {market.quote}, prix du marché {number(reference_price)} "
        f"{market.quote}.",
        details={"field": "stop_price", "stop_price": str(stop_price), "reference_price": str(reference_price)},
        code="trigger_on_wrong_side",
    )
