"""Jesse's research back-test with the specification's strategy; it fills at the signal's close."""

import os
import tempfile

import numpy as np
from common import CASH, FAST, FEE, SHARE, SLOW, STOP, TARGET, answer, candles, measure

os.chdir(tempfile.mkdtemp())  # Jesse writes where it stands

import jesse.helpers as jh  # noqa: E402
import jesse.indicators as ta  # noqa: E402
from jesse.research import backtest  # noqa: E402
from jesse.strategies import Strategy  # noqa: E402

EXCHANGE, SYMBOL = "Bench", "BTC-USDT"


class Cross(Strategy):
    def _lines(self) -> tuple[np.ndarray, np.ndarray]:
        return ta.ema(self.candles, FAST, sequential=True), ta.ema(self.candles, SLOW, sequential=True)

    def should_long(self) -> bool:
        fast, slow = self._lines()
        return bool(fast[-2] < slow[-2] and fast[-1] > slow[-1])

    def go_long(self) -> None:
        quantity = self.balance * SHARE / self.price
        self.buy = quantity, self.price

    def on_open_position(self, order: object) -> None:
        self.stop_loss = self.position.qty, self.position.entry_price * (1 - STOP)
        self.take_profit = self.position.qty, self.position.entry_price * (1 + TARGET)

    def update_position(self) -> None:
        fast, slow = self._lines()
        if fast[-2] > slow[-2] and fast[-1] < slow[-1]:
            self.liquidate()

    def should_cancel_entry(self) -> bool:
        return True


def main() -> None:
    read = candles()
    table = np.column_stack((read.time_ms, read.open, read.close, read.high, read.low, read.volume)).astype(float)
    config = {
        "starting_balance": CASH, "fee": FEE, "type": "futures", "futures_leverage": 1,
        "futures_leverage_mode": "cross", "exchange": EXCHANGE, "warm_up_candles": 210,
    }  # fmt: skip
    routes = [{"exchange": EXCHANGE, "strategy": Cross, "symbol": SYMBOL, "timeframe": "1m"}]
    key = jh.key(EXCHANGE, SYMBOL)
    warm_up = {key: {"exchange": EXCHANGE, "symbol": SYMBOL, "candles": table[:500]}}
    played = {key: {"exchange": EXCHANGE, "symbol": SYMBOL, "candles": table[500:]}}
    result, spent = measure(lambda: backtest(config, routes, [], played, warm_up, generate_equity_curve=False))
    answer(**spent, trades=int(result["metrics"].get("total", 0)))


main()
