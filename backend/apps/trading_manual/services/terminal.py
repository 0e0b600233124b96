"""What every request of the manual terminal may use: terminal 5 and what it said a moment ago."""

from decimal import Decimal

from apps.brokers.models import Broker
from apps.trading_manual.services.liveness import ServiceWatch
from apps.trading_manual.services.short_memory import Dated, ShortMemory
from domain.ports import Balance, Clock, Gateway

PRICE_AGE_S = 2.0
BALANCE_AGE_S = 3.0
READ_TIMEOUT_S = 8.0

PriceKey = tuple[str, bool, str]  # exchange, testnet, symbol


class Terminal:
    """The terminal's side of terminal 5, one per process.

    A price up to two seconds old, and a balance up to three, serve to compute a form: quantities, the
    minimum notional, the money set aside with a margin. That is safe because neither decides an execution:
    the desk subtracts what orders took since the balance was asked for (`balance_as_of`), a market order
    executes at the exchange's price whatever we showed, and the exchange checks price and money again.
    """

    def __init__(self, gateway: Gateway, *, clock: Clock, watch: ServiceWatch) -> None:
        self.gateway = gateway
        self.clock = clock
        self.watch = watch
        self._prices: ShortMemory[PriceKey, Decimal] = ShortMemory(clock=clock, ttl_s=PRICE_AGE_S)
        self._balances: ShortMemory[int, Balance] = ShortMemory(clock=clock, ttl_s=BALANCE_AGE_S)

    async def price(self, broker: Broker, symbol: str) -> Decimal:
        """Return the last price, at most two seconds old.

        Raises:
            Unavailable: terminal 5 is away or late.
            ExchangeError: what the exchange answered.
        """

        async def read() -> Decimal:
            await self.watch.check()
            return await self.gateway.price(
                broker.pk, user_id=broker.user_id, symbol=symbol, timeout_s=READ_TIMEOUT_S
            )

        return (await self._prices.get(_price_key(broker, symbol), read)).value

    def note_price(self, broker: Broker, symbol: str, price: Decimal) -> None:
        """Keep a price that the live market feed brought."""
        self._prices.note(_price_key(broker, symbol), price)

    async def balance(self, broker: Broker, *, fresh: bool = False) -> Dated[Balance]:
        """Return the balance with the time before it was asked for. Raises as `price`."""

        async def read() -> Balance:
            await self.watch.check()
            return await self.gateway.balance(broker.pk, user_id=broker.user_id, timeout_s=READ_TIMEOUT_S)

        return await self._balances.get(broker.pk, read, fresh=fresh)


def _price_key(broker: Broker, symbol: str) -> PriceKey:
    return broker.exchange, broker.is_testnet, symbol
