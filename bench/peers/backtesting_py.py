"""backtesting.py with the specification's strategy: its stops are set from the signal's close."""

import warnings

import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from common import CASH, FAST, FEE, SHARE, SLOW, STOP, TARGET, answer, candles, measure


def ema(values: object, length: int) -> object:
    return pd.Series(values).ewm(span=length, adjust=False).mean()


class Cross(Strategy):
    def init(self) -> None:
        self.fast = self.I(ema, self.data.Close, FAST)
        self.slow = self.I(ema, self.data.Close, SLOW)

    def next(self) -> None:
        if self.position:
            if crossover(self.slow, self.fast):
                self.position.close()
        elif crossover(self.fast, self.slow):
            price = self.data.Close[-1]
            self.buy(size=SHARE, sl=price * (1 - STOP), tp=price * (1 + TARGET))


def main() -> None:
    warnings.simplefilter("ignore")
    frame = candles().frame(("Open", "High", "Low", "Close", "Volume"))
    # Prices in thousandths, so that a share of the balance buys whole units, as the library wants them.
    for name in ("Open", "High", "Low", "Close"):
        frame[name] /= 1000
    test = Backtest(frame, Cross, cash=CASH, commission=FEE, finalize_trades=True)
    stats, spent = measure(test.run)
    answer(**spent, trades=int(stats["# Trades"]))


main()
