"""The synthetic order book around the last price: deterministic, consumed until the next trade."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from hashlib import blake2b

from simex.market.symbols import SymbolRules
from simex.market.tradelog import AggTrade
from simex.units import ZERO, decimal8, floor_to

LEVELS = 50
DEPTH = {"BTC": "0.05", "ETH": "1", "BNB": "6"}
BASIS_POINT = Decimal("0.0001")


@dataclass(frozen=True)
class Level:
    """A price and what may be had there."""

    price: Decimal
    quantity: Decimal


@dataclass
class SyntheticBook:
    """Depth of one market. The best levels are one spread apart around the last trade.

    A taker's executions are remembered until the next public trade, which brings a new book:
    two orders between two trades do not meet the same liquidity twice.
    """

    rules: SymbolRules
    seed: int
    last: AggTrade | None = None
    _taken: dict[tuple[str, Decimal], Decimal] = field(default_factory=dict)

    def on_trade(self, trade: AggTrade) -> None:
        """Move the book to a new last trade."""
        self.last = trade
        self._taken.clear()

    @property
    def last_price(self) -> Decimal | None:
        """Price of the last trade, None before any."""
        return None if self.last is None else decimal8(self.last.price8)

    def best(self, side: str) -> Decimal | None:
        """Return the best price of a side ("BUY" for bids), untouched by takers."""
        price = self.last_price
        if self.last is None or price is None:
            return None
        spread = max(self.rules.tick, self._to_tick(price * BASIS_POINT, up=True))
        anchor = self._to_tick(price, up=not self.last.buyer_is_maker)
        if self.last.buyer_is_maker:  # the last taker sold: it hit the bid
            return anchor if side == "BUY" else anchor + spread
        return anchor if side == "SELL" else anchor - spread

    def levels(self, side: str) -> Iterator[Level]:
        """Yield what is left of a side ("BUY" for bids), best first."""
        best = self.best(side)
        if best is None:
            return
        gap = max(self.rules.tick, self._to_tick(best * BASIS_POINT, up=True))
        for rank in range(LEVELS):
            price = best - gap * rank if side == "BUY" else best + gap * rank
            if price <= ZERO:
                return
            left = self._size(side, rank, price) - self._taken.get((side, price), ZERO)
            if left > ZERO:
                yield Level(price, left)

    def take(self, side: str, price: Decimal, quantity: Decimal) -> None:
        """Remember that a taker had so much at a price of a side."""
        self._taken[side, price] = self._taken.get((side, price), ZERO) + quantity

    def _size(self, side: str, rank: int, price: Decimal) -> Decimal:
        agg_id = self.last.agg_id if self.last else 0
        name = f"{self.seed}:{self.rules.symbol}:{agg_id}:{side}:{rank}".encode()
        share = Decimal(blake2b(name, digest_size=2).digest()[0]) / 255
        notional = Decimal(DEPTH.get(self.rules.quote, "3000")) * (1 + share) * (1 + rank)
        return max(self.rules.step, floor_to(notional / price, self.rules.step))

    def _to_tick(self, price: Decimal, *, up: bool) -> Decimal:
        rounding = ROUND_CEILING if up else ROUND_FLOOR
        return (price / self.rules.tick).to_integral_value(rounding) * self.rules.tick
