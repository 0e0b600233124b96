"""Orders of one broker that one transaction commits: its facts are read once, its rows written in one statement.

Part of the desk, for a caller who knows that no other request bears his orders' client ids and who sizes each
order by what the account holds: the engine, which decides for all the bots of an account at a close.
"""

from decimal import Decimal

from apps.brokers.selectors import exchange_terms
from apps.orders import admission, events
from apps.orders.context import OrderContext
from apps.orders.models import Trade
from domain.errors import InvalidInput
from domain.markets import Market
from domain.order_terms import order_terms
from domain.orders import OrderRequest


class OrderBatch:
    """Gathers orders inside the caller's transaction, which holds the broker's money lock.

    Raises:
        NotFound: the broker is not this user's.
    """

    def __init__(self, *, broker_id: int, user_id: int) -> None:
        broker = admission.own_broker(broker_id, user_id)
        self._name, self._abilities = exchange_terms(broker.exchange)
        self._trades: list[Trade] = []

    def reserved(self, currency: str) -> Decimal:
        """Return what the orders gathered so far hold of a currency."""
        held = (trade.reserved_amount for trade in self._trades if trade.reserved_currency == currency)
        return sum(held, Decimal(0))

    def add(
        self, context: OrderContext, request: OrderRequest, *, market: Market, reference_price: Decimal
    ) -> Trade:
        """Check an order and gather it; its row is written by `write`.

        Args and errors are those of `desk.submit`: a refused order is kept as a `rejected` row.
        """
        row = context.row(request, market, reference_price, intent=Trade.Intent.ENTRY)
        try:
            terms = order_terms(request, market, reference_price, exchange=self._name, abilities=self._abilities)
        except InvalidInput as refusal:
            admission.record_refusal(row, request, refusal, now=context.now)
            raise
        protection = {"stop_loss": request.stop_loss, "take_profit": request.take_profit}
        trade = admission.drawn_up({**row, **protection}, terms)
        self._trades.append(trade)
        return trade

    def write(self) -> None:
        """Write what was gathered as `pending`; terminal 5 is woken once it is committed."""
        if not self._trades:
            return
        Trade.objects.bulk_create(self._trades)
        for trade in self._trades:
            admission.announce(trade)
        events.wake_executor()
