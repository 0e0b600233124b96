"""nautilus_trader with the specification's strategy: bars as market data, brackets of a stop and a limit.

An order sent at a bar's close fills at that close: this engine has no later price to fill it at.
"""

import warnings
from decimal import Decimal

from common import CASH, FAST, SHARE, SLOW, STOP, TARGET, answer, candles, measure
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

INSTRUMENT = TestInstrumentProvider.btcusdt_binance()
BARS = BarType.from_str(f"{INSTRUMENT.id}-1-MINUTE-LAST-EXTERNAL")


class Cross(Strategy):
    def __init__(self) -> None:
        super().__init__(StrategyConfig(strategy_id="CROSS-1"))
        self.fast, self.slow = ExponentialMovingAverage(FAST), ExponentialMovingAverage(SLOW)
        self.was_above: bool | None = None

    def on_start(self) -> None:
        for average in (self.fast, self.slow):
            self.register_indicator_for_bars(BARS, average)
        self.subscribe_bars(BARS)

    def on_bar(self, bar: Bar) -> None:
        if not self.indicators_initialized():
            return
        above = self.fast.value > self.slow.value
        crossed, self.was_above = self.was_above is not None and above is not self.was_above, above
        if not crossed:
            return
        held = self.portfolio.is_net_long(INSTRUMENT.id)
        if held and not above:
            self.cancel_all_orders(INSTRUMENT.id)
            self.close_all_positions(INSTRUMENT.id)
        elif above and not held:
            self.buy(float(bar.close))

    def buy(self, price: float) -> None:
        free = self.portfolio.account(INSTRUMENT.venue).balance_free(USDT)
        self.submit_order_list(
            self.order_factory.bracket(
                instrument_id=INSTRUMENT.id,
                order_side=OrderSide.BUY,
                quantity=INSTRUMENT.make_qty(float(free) * SHARE / price),
                sl_trigger_price=INSTRUMENT.make_price(price * (1 - STOP)),
                tp_price=INSTRUMENT.make_price(price * (1 + TARGET)),
                tp_post_only=False,
            )
        )


def main() -> None:
    warnings.simplefilter("ignore")
    frame = candles().frame().rename_axis("timestamp").tz_localize("UTC")
    frame["volume"] = 1e6  # as much as anyone asks: what is there limits a fill
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True))
    )
    engine.add_venue(
        INSTRUMENT.venue, OmsType.NETTING, AccountType.MARGIN, [Money(CASH, USDT)], default_leverage=Decimal(1)
    )
    engine.add_instrument(INSTRUMENT)
    engine.add_data(BarDataWrangler(BARS, INSTRUMENT).process(frame))
    engine.add_strategy(Cross())
    _, spent = measure(engine.run)
    positions = len(engine.cache.positions_closed()) + len(engine.cache.position_snapshots())
    answer(**spent, trades=positions)


main()
