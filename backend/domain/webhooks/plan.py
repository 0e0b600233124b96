"""From what a call asks for to what is done about it, given the market, the money and the position.

A target is the whole position wanted: planning it twice gives nothing the second time. Exits are never capped
by a source's limit; a purchase is.
"""

from dataclasses import dataclass
from decimal import Decimal

from domain.french import number
from domain.markets import Market
from domain.order_terms import MARKET_PRICE_MARGIN
from domain.orders import OrderRequest, OrderType, Side
from domain.webhooks.call import Action, Call, Level, Size, Unit
from domain.webhooks.refusal import CallRefused

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a source allows: `max_quote` per purchase, and the size of a purchase that names none."""

    max_quote: Decimal | None = None
    default_size: Size | None = None


@dataclass(frozen=True, slots=True)
class Holdings:
    """What there is: available money of the account, and the position of this source (base)."""

    quote: Decimal
    base: Decimal
    held: Decimal = _NOTHING


@dataclass(frozen=True, slots=True)
class Submit:
    """One order."""

    request: OrderRequest
    is_exit: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """The whole position is left, its protection first."""


@dataclass(frozen=True, slots=True)
class CancelOrders:
    """The source's live orders in that market are cancelled."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """What was asked for is already so; French."""

    reason: str


Plan = Submit | Leave | CancelOrders | Nothing


def plan(call: Call, *, market: Market, price: Decimal, holdings: Holdings, rules: Rules) -> Plan:
    """Return what to do about a call.

    Args:
        price: last price; a limit order is sized by its own.

    Raises:
        CallRefused: it cannot be done, French with the values.
    """
    if call.action is Action.CANCEL:
        return CancelOrders()
    if call.action is Action.BUY:
        return _buy(call, market=market, price=price, holdings=holdings, rules=rules)
    if call.action is Action.SELL:
        return _sell(call, market=market, price=price, holdings=holdings)
    if call.action is Action.CLOSE:
        return _close(call, market=market, price=price, holdings=holdings)
    return _target(call, market=market, price=price, holdings=holdings, rules=rules)


def _buy(call: Call, *, market: Market, price: Decimal, holdings: Holdings, rules: Rules) -> Plan:
    size = call.size or rules.default_size
    if size is None:
        raise CallRefused(
            "Achat sans taille : le message ne donne ni quote_amount, ni quantity, ni percent, et la source n'a "
            "pas de taille par défaut.",
            code="no_size",
        )
    valued_at = _valued_at(call, price)
    quote = _quote_of(size, valued_at, available=_payable(holdings.quote, market, call.order_type))
    return _purchase(call, quote, market=market, price=price, rules=rules, quantity=_exact(size))


def _purchase(
    call: Call, quote: Decimal, *, market: Market, price: Decimal, rules: Rules, quantity: Decimal | None
) -> Submit:
    """Buy a quantity when one was asked for, else what `quote` pays."""
    if rules.max_quote is not None and quote > rules.max_quote:
        raise CallRefused(
            f"Achat de {number(round(quote, 8))} {market.quote} refusé : plafond de la source "
            f"{number(rules.max_quote)} {market.quote} par ordre.",
            code="over_limit",
        )
    valued_at = _valued_at(call, price)
    by_quote = quantity is None and call.order_type is OrderType.MARKET
    request = OrderRequest(
        symbol=market.symbol,
        side=Side.BUY,
        order_type=call.order_type,
        quantity=None if by_quote else (quote / valued_at if quantity is None else quantity),
        quote_amount=quote if by_quote else None,
        price=call.price,
        stop_loss=_protection(call.stop_loss, valued_at, market, sign=-1),
        take_profit=_protection(call.take_profit, valued_at, market, sign=1),
    )
    _check_protection(request, valued_at, market)
    return Submit(request, is_exit=False)


def _sell(call: Call, *, market: Market, price: Decimal, holdings: Holdings) -> Plan:
    size, held = call.size, holdings.held
    if size is None:
        if held <= 0:
            raise CallRefused(
                f"Vente sans taille : cette source n'a pas de position sur {market.symbol}.", code="no_size"
            )
        return _leave_or_sell(call, held, market=market, held=held)
    wanted = _base_of(size, _valued_at(call, price), available=holdings.base)
    if held > 0 and size.unit is not Unit.PERCENT:
        wanted = min(wanted, held)  # 500 USDT of a position worth 495 means all of it
    return _leave_or_sell(call, wanted, market=market, held=held)


def _close(call: Call, *, market: Market, price: Decimal, holdings: Holdings) -> Plan:
    held = holdings.held
    if held <= 0:
        return Nothing(f"aucune position de cette source sur {market.symbol}")
    if call.size is None:
        return _leave_or_sell(call, held, market=market, held=held)
    wanted = _base_of(call.size, _valued_at(call, price), available=held)
    return _leave_or_sell(call, min(wanted, held), market=market, held=held)


def _target(call: Call, *, market: Market, price: Decimal, holdings: Holdings, rules: Rules) -> Plan:
    if call.size is None:
        raise CallRefused("Cible sans taille.", code="no_size")
    valued_at, held = _valued_at(call, price), holdings.held
    wanted = _base_of(call.size, valued_at, available=held + holdings.quote / valued_at)
    step = market.round_quantity(abs(wanted - held))
    if step == 0 or (wanted > 0 and market.min_notional is not None and step * valued_at < market.min_notional):
        return Nothing(f"cible déjà atteinte : {number(held)} {market.base} détenus")
    if wanted < held:
        return _leave_or_sell(call, held - wanted, market=market, held=held)
    payable = _payable(holdings.quote, market, call.order_type)
    quantity = min(step, payable / valued_at) if call.size.unit is Unit.PERCENT else step
    return _purchase(call, quantity * valued_at, market=market, price=price, rules=rules, quantity=quantity)


def _leave_or_sell(call: Call, quantity: Decimal, *, market: Market, held: Decimal) -> Plan:
    """Selling all that is held, to the step, is leaving the position."""
    is_whole = held > 0 and market.round_quantity(quantity) == market.round_quantity(held)
    if is_whole and call.order_type is OrderType.MARKET:
        return Leave()
    request = OrderRequest(
        symbol=market.symbol, side=Side.SELL, order_type=call.order_type, quantity=quantity, price=call.price
    )
    return Submit(request, is_exit=held > 0)


def _valued_at(call: Call, price: Decimal) -> Decimal:
    return price if call.price is None else call.price


def _exact(size: Size) -> Decimal | None:
    return size.value if size.unit is Unit.BASE else None


def _quote_of(size: Size, price: Decimal, *, available: Decimal) -> Decimal:
    if size.unit is Unit.PERCENT:
        return available * size.value / 100
    return size.value if size.unit is Unit.QUOTE else size.value * price


def _base_of(size: Size, price: Decimal, *, available: Decimal) -> Decimal:
    if size.unit is Unit.PERCENT:
        return available * size.value / 100
    return size.value if size.unit is Unit.BASE else size.value / price


def _payable(available: Decimal, market: Market, order_type: OrderType) -> Decimal:
    """Return what may be ordered so that the fee, and a market price that ran away, are still paid for."""
    margin = MARKET_PRICE_MARGIN if order_type is OrderType.MARKET else _NOTHING
    return max(available, _NOTHING) / ((1 + margin) * (1 + market.taker_fee_ratio))


def _protection(level: Level | None, entry: Decimal, market: Market, *, sign: int) -> Decimal | None:
    if level is None:
        return None
    price = entry * (1 + sign * level.value / 100) if level.is_percent else level.value
    return market.round_price(price, side=Side.SELL)


def _check_protection(request: OrderRequest, entry: Decimal, market: Market) -> None:
    stop, profit = request.stop_loss, request.take_profit
    told = f"pour un achat vers {number(entry)} {market.quote}"
    if stop is not None and not 0 < stop < entry:
        raise CallRefused(
            f"Stop loss {number(stop)} {market.quote} refusé {told} : il doit être au-dessous.",
            code="bad_protection",
        )
    if profit is not None and profit <= entry:
        raise CallRefused(
            f"Take profit {number(profit)} {market.quote} refusé {told} : il doit être au-dessus.",
            code="bad_protection",
        )
