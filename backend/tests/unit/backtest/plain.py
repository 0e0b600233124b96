"""The rules of a backtest played candle by candle in Decimals: slow, short, and the measure of the engine."""

from dataclasses import dataclass, field
from decimal import Decimal

from domain.backtest.contract import (
    BacktestSettings,
    BacktestTrade,
    CandleSeries,
    Decisions,
    ExitReason,
    Refusal,
)
from domain.errors import InvalidInput
from domain.orders import Side
from domain.sizing import Funds, NoOrder, size_entry
from tests.unit.backtest.scripted import HeldByHand


def exact(price: float) -> Decimal:
    return Decimal(str(float(price)))


@dataclass
class Plain:
    """Plays at once; `trades`, `refusals`, `cash` and `equity` are what came of it."""

    candles: CandleSeries
    decisions: Decisions
    settings: BacktestSettings
    held: HeldByHand | None = None
    fee: Decimal = Decimal(0)
    trades: list[BacktestTrade] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cash = self.settings.initial_amount
        last = len(self.candles) - 1
        for bar in range(self.settings.first_bar, last + 1):
            wanted = self.close_of(bar - 1) if bar > self.settings.first_bar else ""
            if wanted:
                self.at_open(bar, wanted)
            if self.held is not None:
                self.inside(bar)
            if self.held is not None and bar < last and self.hole_after(bar):
                self.leave(bar, self.sold(exact(self.candles.close[bar])), ExitReason.HOLE)
            held = 0.0 if self.held is None else float(self.held.quantity) * float(self.candles.close[bar])
            self.equity.append(float(self.cash) + held)

    def hole_after(self, bar: int) -> bool:
        times = self.candles.open_time_ms
        return bool(times[bar + 1] - times[bar] != self.candles.step_ms)

    def close_of(self, bar: int) -> str:
        """What the strategy wants at a close that has a next open."""
        if self.hole_after(bar):
            return ""
        balance = float(self.cash)
        if self.held is None:
            return "buy" if self.decisions.next_entry(bar, bar, balance) == bar else ""
        return "sell" if self.decisions.next_exit(self.held, bar, bar, balance) == bar else ""

    def at_open(self, bar: int, wanted: str) -> None:
        opened = exact(self.candles.open[bar])
        if wanted == "sell":
            self.leave(bar, self.sold(opened), ExitReason.SIGNAL)
            # The open is the close of the bar before it: flat again, the strategy is asked at this bar's close.
            return
        try:
            self.buy(bar, opened)
        except (ValueError, InvalidInput) as exc:
            text = exc.message if isinstance(exc, InvalidInput) else str(exc)
            self.refusals.append(Refusal(bar - 1, int(self.candles.open_time_ms[bar - 1]), text))

    def buy(self, bar: int, opened: Decimal) -> None:
        market, seen = self.settings.market, exact(self.candles.close[bar - 1])
        terms = self.decisions.entry_terms(bar - 1, float(self.cash))
        sizes = (terms.position_size, terms.stop_loss, terms.take_profit)
        entry = size_entry(market, seen, sizes, Funds(self.cash, Decimal(0), self.settings.amount_cap))
        if isinstance(entry, NoOrder):
            raise ValueError(entry.reason)
        amount, stop, target = entry
        quantity = market.round_quantity(amount / seen)
        for price in (seen, stop):
            if price is not None:
                market.check(quantity=quantity, price=price, exchange="backtest")
        price = market.round_price(opened * (1 + self.settings.slippage_ratio), side=Side.BUY)
        fee = market.round_up(quantity * price * self.settings.taker_fee_ratio)
        if quantity * price + fee > self.cash:
            raise ValueError("solde insuffisant à l'ouverture")
        self.cash -= quantity * price + fee
        self.held, self.fee = HeldByHand(bar, quantity, price, stop, target), fee

    def sold(self, price: Decimal) -> Decimal:
        return self.settings.market.round_price(price * (1 - self.settings.slippage_ratio), side=Side.SELL)

    def inside(self, bar: int) -> None:
        """The stop before the take profit."""
        held = self.held
        assert held is not None
        stop, target = held.stop_loss, held.take_profit
        stopped = stop is not None and exact(self.candles.low[bar]) <= stop
        reached = target is not None and exact(self.candles.high[bar]) > target
        opened = exact(self.candles.open[bar])
        if stopped and stop is not None:
            unclear = reached and opened > stop
            self.leave(bar, self.sold(min(opened, stop)), ExitReason.STOP_LOSS, ambiguous=unclear)
        elif reached and target is not None:
            self.leave(bar, target, ExitReason.TAKE_PROFIT)

    def leave(self, bar: int, price: Decimal, reason: ExitReason, *, ambiguous: bool = False) -> None:
        held, settings = self.held, self.settings
        assert held is not None
        maker = reason is ExitReason.TAKE_PROFIT
        received = held.quantity * price
        fee = settings.market.round_up(received * (settings.maker_fee_ratio if maker else settings.taker_fee_ratio))
        profit = received - fee - held.quantity * held.entry_price - self.fee
        self.cash += received - fee
        times = self.candles.open_time_ms
        entered, bought = int(times[held.entry_bar]), held.entry_price
        self.trades.append(
            BacktestTrade(
                held.entry_bar, bar, entered, int(times[bar]), held.quantity, bought, price,
                self.fee + fee, profit, self.cash, reason, ambiguous,
            )
        )  # fmt: skip
        self.held = None
