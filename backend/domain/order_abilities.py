"""What our orders can be at an exchange: decided by its adapter, stored for the web process, shown with reasons."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.orders import OrderType


class PairMode(enum.StrEnum):
    """How a stop loss and a take profit over the same quantity are held together."""

    OCO = "oco"  # the exchange holds both and cancels one when the other executes
    LINKED = "linked"  # two orders there; we cancel one when the other executes
    NONE = "none"  # the exchange would lock the quantity twice: refused


class AmendMode(enum.StrEnum):
    """How an open order is changed."""

    ATOMIC = "atomic"  # the exchange cancels and replaces in one request
    CANCEL_FIRST = "cancel_first"  # cancelled, its final word awaited, then what remains is sent anew


@dataclass(frozen=True, slots=True)
class OrderAbilities:
    """Which orders of ours an exchange takes.

    Args:
        refusals: the French reason of each type that cannot be sent there; an absent type can.
        market_buy_in_quote: a market buy is sized by what it spends, not by what it buys.
        buy_fee_in_base: a buy's fee is kept back from what it buys, and costs nothing beside its price.
        refused_late: types that the exchange itself refuses once the validity we sign them with is over.
    """

    refusals: Mapping[OrderType, str] = field(default_factory=dict)
    market_buy_in_quote: bool = False
    buy_fee_in_base: bool = False
    refused_late: frozenset[OrderType] = frozenset()
    pair: PairMode = PairMode.NONE
    amend: AmendMode = AmendMode.CANCEL_FIRST

    def refusal(self, order_type: OrderType) -> str | None:
        """Return why that type cannot be sent, or None when it can."""
        return self.refusals.get(order_type)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form kept in the catalogue of exchanges."""
        return {
            "refusals": {kind.value: self.refusals[kind] for kind in sorted(self.refusals)},
            "market_buy_in_quote": self.market_buy_in_quote,
            "buy_fee_in_base": self.buy_fee_in_base,
            "refused_late": sorted(kind.value for kind in self.refused_late),
            "pair": self.pair.value,
            "amend": self.amend.value,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "OrderAbilities":
        """Read what `to_wire` wrote."""
        return cls(
            refusals={OrderType(kind): str(reason) for kind, reason in wire["refusals"].items()},
            market_buy_in_quote=bool(wire["market_buy_in_quote"]),
            # Kept before they were known: the cautious sum, the cautious wait.
            buy_fee_in_base=bool(wire.get("buy_fee_in_base", False)),
            refused_late=frozenset(OrderType(kind) for kind in wire.get("refused_late", ())),
            pair=PairMode(wire["pair"]),
            amend=AmendMode(wire["amend"]),
        )
