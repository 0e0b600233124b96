"""Orders that an exchange places when a trigger of ours is reached, told as the orders that they come from.

Bitget and OKX keep a waiting order in a list of its own and place another one, with a number of its own, when
it is triggered. Whoever follows the first one must find it again in reports, lists and executions.
"""

from collections import OrderedDict
from dataclasses import replace

from domain.orders import FillReport, OrderReport, OrderStatus

_MOST_REMEMBERED = 5_000


class SpawnedOrders:
    """Remembers which order came from which, by the exchange's numbers."""

    def __init__(self) -> None:
        self._originals: OrderedDict[str, tuple[str, str | None]] = OrderedDict()

    def learn(self, spawned_id: str, *, original_id: str, client_order_id: str | None) -> None:
        self._originals[spawned_id] = (original_id, client_order_id)
        while len(self._originals) > _MOST_REMEMBERED:
            self._originals.popitem(last=False)

    def knows(self, spawned_id: str) -> bool:
        return spawned_id in self._originals

    def is_resolved(self, original_id: str) -> bool:
        """Tell whether an order that came from this one is known."""
        return any(original == original_id for original, _ in self._originals.values())

    def as_original(self, report: OrderReport) -> OrderReport:
        """Return the report under its original's ids; unchanged when it comes from none that is known."""
        found = self._originals.get(report.exchange_order_id)
        if found is None:
            return report
        original_id, client_order_id = found
        fills = tuple(replace(each, exchange_order_id=original_id) for each in report.fills)
        return replace(report, exchange_order_id=original_id, client_order_id=client_order_id, fills=fills)

    def fill_of_original(self, fill: FillReport) -> FillReport:
        found = self._originals.get(fill.exchange_order_id)
        return fill if found is None else replace(fill, exchange_order_id=found[0])


def carried_out(original: OrderReport, spawned: OrderReport) -> OrderReport:
    """Return what is known of an order once another one was placed for it."""
    # Refused when it was triggered: it was open before, so it ended without effect.
    status = OrderStatus.EXPIRED if spawned.status is OrderStatus.REJECTED else spawned.status
    fills = tuple(replace(each, exchange_order_id=original.exchange_order_id) for each in spawned.fills)
    return replace(
        original,
        status=status,
        filled_quantity=spawned.filled_quantity,
        average_price=spawned.average_price,
        fills=fills,
        market_time=spawned.market_time or original.market_time,
    )
