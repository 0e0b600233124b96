"""Positions and realised P&L from fills, by the average-cost method.

Invariants:
- quantity = bought − sold − fees taken in base (+ what was sold beyond the holding, counted apart);
- realised P&L + value of the holding − its cost = cash flow + value of the holding, in quote, net of fees;
- the same fills give the same positions, whatever the order in which they were learned (they are sorted
  by market time, then by the exchange's trade id).

Fees: in base they lower the quantity held (so raise its unit cost), in quote they add to the cost or lower
the proceeds. A fee in a third currency (BNB) is counted apart in `other_fees` and is not part of the P&L:
no rate is known here.

Dust: once a selling order is over, a remainder that cannot be sold (below the step, or worth less than the
minimum notional) closes the position. It is not written off: the next position of the same owner starts
with it and with its cost. What its purchases had paid in fees goes with the sale that closed the position, so
that the fees of a position's sales add up to all that it paid.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from domain.orders import FillReport, Side

ZERO = Decimal(0)
_STORED = Decimal("1e-18")  # what the tables keep
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)  # products and sums of stored amounts stay exact


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill with what the position needs to know of its order."""

    side: Side
    fill: FillReport
    ends_order: bool  # the last fill of an order that is over: only then may a remainder be dust


@dataclass(frozen=True, slots=True)
class DustRule:
    """What cannot be sold any more. None = that limit does not exist."""

    step_size: Decimal | None = None
    min_notional: Decimal | None = None

    def is_dust(self, quantity: Decimal, *, price: Decimal) -> bool:
        """Tell whether a remainder is too small to be sold at `price`."""
        below_step = self.step_size is not None and quantity < self.step_size
        return below_step or (self.min_notional is not None and quantity * price < self.min_notional)


@dataclass(frozen=True, slots=True)
class Holding:
    """One position after some fills. `cost` is in quote and belongs to `quantity`, fees included."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    unmatched_sold: Decimal = ZERO  # sold without having been bought here: no cost known, no P&L
    other_fees: Mapping[str, Decimal] = field(default_factory=dict)
    realized_by_fill: tuple[Decimal | None, ...] = ()  # one per fill; None for a buy
    entry_fees: Decimal = ZERO  # what the purchases of `quantity` paid, in quote, 18 places; part of `cost`
    entry_fee_by_fill: tuple[Decimal | None, ...] = ()  # the share of it that each sale carries; None for a buy
    opened_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def entry_price(self) -> Decimal:
        """Return the average cost per unit held, fees included, rounded to 18 places; 0 when nothing is held."""
        return average(self.cost, self.quantity)

    def unrealized_pnl(self, price: Decimal) -> Decimal:
        """Return what selling all at `price` would add, in quote, before the fees of that sale."""
        return self.quantity * price - self.cost


def average(total: Decimal, quantity: Decimal) -> Decimal:
    """Return total / quantity at the precision of the tables (18 places, half even); 0 for no quantity."""
    return ZERO if quantity == 0 else stored(_EXACT.divide(total, quantity))


def stored(amount: Decimal) -> Decimal:
    """Round an amount to what the tables keep: 18 places, half even."""
    return amount.quantize(_STORED, context=_EXACT)


def execution_order(fill: FillReport) -> tuple[datetime, int, str]:
    """Sort key of fills: market time, then trade id (numeric ids compare as numbers)."""
    return fill.executed_at, len(fill.exchange_trade_id), fill.exchange_trade_id


def apply_execution(holding: Holding, execution: Execution, *, base: str, quote: str) -> Holding:
    """Return the holding after one fill (the dust rule is applied by `replay`)."""
    fill = execution.fill
    with localcontext(_EXACT):
        after = (
            _buy(holding, fill, base, quote) if execution.side is Side.BUY else _sell(holding, fill, base, quote)
        )
        if fill.fee and fill.fee_currency not in (base, quote):
            known = holding.other_fees.get(fill.fee_currency, ZERO)
            after = replace(after, other_fees={**holding.other_fees, fill.fee_currency: known + fill.fee})
    return replace(after, opened_at=holding.opened_at or fill.executed_at)


def replay(
    executions: Iterable[Execution], *, base: str, quote: str, dust: DustRule, carried: Holding | None = None
) -> list[Holding]:
    """Replay fills into the successive positions of one owner in one market.

    Args:
        executions: in any order; they are sorted by market time.
        carried: the last closed position before them, whose dust the first one starts with.

    Returns:
        Each position in turn; only the last one may be open (`closed_at` None). Empty without fills.
    """
    positions: list[Holding] = []
    current = _start(carried)
    ordered = sorted(executions, key=lambda execution: execution_order(execution.fill))
    for execution in ordered:
        current = apply_execution(current, execution, base=base, quote=quote)
        if _closes(current, execution, dust):
            positions.append(_close(current, at=execution.fill.executed_at))
            current = _start(positions[-1])
    if current.realized_by_fill:
        positions.append(current)
    return positions


def fee_total(executions: Sequence[Execution], *, base: str, quote: str) -> tuple[Decimal, str]:
    """Return the fees of one order as (amount, currency).

    Fees all in one currency stay in it; mixed ones are expressed in quote, base fees at their fill's price,
    those of a third currency left out (the fills keep them).
    """
    currencies = {execution.fill.fee_currency for execution in executions if execution.fill.fee}
    if not currencies:
        return ZERO, ""
    if len(currencies) == 1:
        return sum((execution.fill.fee for execution in executions), ZERO), currencies.pop()
    fills = [execution.fill for execution in executions]
    in_quote = sum((fill.fee for fill in fills if fill.fee_currency == quote), ZERO)
    in_base = sum((fill.fee * fill.price for fill in fills if fill.fee_currency == base), ZERO)
    return in_quote + in_base, quote


def _start(previous: Holding | None) -> Holding:
    return Holding() if previous is None else Holding(quantity=previous.quantity, cost=previous.cost)


def _close(holding: Holding, *, at: datetime) -> Holding:
    *before, last = holding.entry_fee_by_fill
    with localcontext(_EXACT):
        fees = (*before, (last or ZERO) + holding.entry_fees)
    return replace(holding, closed_at=at, entry_fee_by_fill=fees, entry_fees=ZERO)


def _buy(holding: Holding, fill: FillReport, base: str, quote: str) -> Holding:
    fee_in_quote = fill.fee if fill.fee_currency == quote else ZERO
    fee_in_base = fill.fee if fill.fee_currency == base else ZERO
    return replace(
        holding,
        quantity=holding.quantity + fill.quantity - fee_in_base,
        cost=holding.cost + fill.price * fill.quantity + fee_in_quote,
        realized_by_fill=(*holding.realized_by_fill, None),
        entry_fees=holding.entry_fees + stored(fee_in_quote + fee_in_base * fill.price),
        entry_fee_by_fill=(*holding.entry_fee_by_fill, None),
    )


def _sell(holding: Holding, fill: FillReport, base: str, quote: str) -> Holding:
    fee_in_quote = fill.fee if fill.fee_currency == quote else ZERO
    leaving = fill.quantity + (fill.fee if fill.fee_currency == base else ZERO)
    matched = min(leaving, holding.quantity)
    cost = holding.cost if matched == holding.quantity else holding.cost * matched / holding.quantity
    entry_fee = _share(holding.entry_fees, matched, holding.quantity)
    proceeds = fill.price * fill.quantity - fee_in_quote
    realized = (proceeds if matched == leaving else proceeds * matched / leaving) - cost
    return replace(
        holding,
        quantity=holding.quantity - matched,
        cost=holding.cost - cost,
        realized_pnl=holding.realized_pnl + realized,
        unmatched_sold=holding.unmatched_sold + leaving - matched,
        realized_by_fill=(*holding.realized_by_fill, realized),
        entry_fees=holding.entry_fees - entry_fee,
        entry_fee_by_fill=(*holding.entry_fee_by_fill, entry_fee),
    )


def _share(fees: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    return fees if part == whole else stored(fees * part / whole)


def _closes(holding: Holding, execution: Execution, dust: DustRule) -> bool:
    if execution.side is Side.BUY:
        return False
    if holding.quantity == 0:
        return True
    return execution.ends_order and dust.is_dust(holding.quantity, price=execution.fill.price)
