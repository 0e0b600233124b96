"""The trades of backtesting.py under our own rules, as far as it lets one set them.

`python SCRIPT CANDLES.npz TICKS STEPS WARM_UP`: one line of JSON. Sizes are whole steps, worked out at the
signal's close; protections are cut to the tick. Prices are given to the library per step: it trades whole units.
"""

import math
import sys
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from common import CASH, FAST, FEE, SHARE, SLOW, STOP, TARGET, answer, candles

TICKS, STEPS, WARM_UP = (int(each) for each in sys.argv[2:5])  # ticks in one quote, steps in one base, candles
_ROUNDING = 1e-9  # of a tick: floats are that far at most from the whole number they stand for


def ema(values: object, length: int) -> object:
    """An EMA that starts from the mean of its first values."""
    line = pd.Series(values).copy()
    first = line.iloc[:length].mean()
    line.iloc[: length - 1] = np.nan
    line.iloc[length - 1] = first
    return line.ewm(span=length, adjust=False).mean()


def tick_under(price: float) -> float:
    return math.floor(price * TICKS + _ROUNDING) / TICKS


class Cross(Strategy):
    def init(self) -> None:
        self.closes = self.data.df["Price"].to_numpy()
        self.fast = self.I(ema, self.closes, FAST)
        self.slow = self.I(ema, self.closes, SLOW)

    def next(self) -> None:
        bar = len(self.data) - 1
        if bar < WARM_UP:
            return
        if self.position:
            if crossover(self.slow, self.fast):
                self.position.close()
        elif crossover(self.fast, self.slow):
            price = float(self.closes[bar])
            steps = int(self.equity * SHARE / price * STEPS)
            low, high = tick_under(price * (1 - STOP)), tick_under(price * (1 + TARGET))
            if steps:
                self.buy(size=steps, sl=low / STEPS, tp=high / STEPS)


def main() -> None:
    warnings.simplefilter("ignore")
    frame = candles().frame(("Open", "High", "Low", "Close", "Volume"))
    frame["Price"] = frame["Close"]
    for name in ("Open", "High", "Low", "Close"):
        frame[name] /= STEPS
    stats = Backtest(frame, Cross, cash=CASH, commission=FEE).run()
    closed = stats["_trades"]
    rows = [
        [int(row.EntryBar), int(row.ExitBar), int(row.Size), row.EntryPrice * STEPS, row.ExitPrice * STEPS]
        for row in closed.itertuples()
    ]
    held = [
        [trade.entry_bar, None, trade.size, trade.entry_price * STEPS, None] for trade in stats["_strategy"].trades
    ]
    answer(trades=rows + held)


main()
