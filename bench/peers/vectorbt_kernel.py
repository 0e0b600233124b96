"""vectorbt's compiled kernel: signals as arrays, then `Portfolio.from_signals`, the second time (warm)."""

import numpy as np
import vectorbt as vbt
from common import CASH, FAST, FEE, SHARE, SLOW, STOP, TARGET, answer, candles, measure


def main() -> None:
    frame = candles().frame()

    def play() -> object:
        fast = frame["close"].ewm(span=FAST, adjust=False).mean().to_numpy()
        slow = frame["close"].ewm(span=SLOW, adjust=False).mean().to_numpy()
        up, down = fast > slow, fast < slow
        entries, exits = np.zeros(len(up), bool), np.zeros(len(up), bool)
        entries[1:], exits[1:] = up[1:] & down[:-1], down[1:] & up[:-1]
        # A decision trades at the next open: signals one bar later, at the open's price.
        entries, exits = np.roll(entries, 1), np.roll(exits, 1)
        return vbt.Portfolio.from_signals(
            frame["close"], entries, exits, price=frame["open"], open=frame["open"], high=frame["high"],
            low=frame["low"], sl_stop=STOP, tp_stop=TARGET, size=SHARE, size_type="percent", init_cash=CASH,
            fees=FEE, freq="1min",
        ).order_records  # fmt: skip

    _, cold = measure(play)
    orders, spent = measure(play)
    answer(**spent, cold_s=cold["wall_s"], trades=len(orders) // 2)


main()
