"""backtrader with the specification's strategy: market orders at the next open, a stop and a limit as brackets."""

import backtrader as bt
from common import CASH, FAST, FEE, SHARE, SLOW, STOP, TARGET, answer, candles, measure


class Cross(bt.Strategy):
    def __init__(self) -> None:
        self.fast, self.slow = bt.ind.EMA(period=FAST), bt.ind.EMA(period=SLOW)
        self.cross = bt.ind.CrossOver(self.fast, self.slow)
        self.orders: list[bt.Order] = []
        self.closed = 0

    def notify_trade(self, trade: bt.Trade) -> None:
        self.closed += trade.isclosed

    def next(self) -> None:
        if self.position:
            if self.cross[0] < 0:
                for order in self.orders[1:]:
                    self.cancel(order)
                self.close()
        elif self.cross[0] > 0:
            price = self.data.close[0]
            self.orders = self.buy_bracket(
                size=self.broker.getcash() * SHARE / price,
                exectype=bt.Order.Market,
                stopprice=price * (1 - STOP),
                limitprice=price * (1 + TARGET),
            )


def main() -> None:
    engine = bt.Cerebro()
    engine.adddata(bt.feeds.PandasData(dataname=candles().frame()))
    engine.addstrategy(Cross)
    engine.broker.setcash(CASH)
    engine.broker.setcommission(FEE)
    (strategy,), spent = measure(engine.run)
    answer(**spent, trades=strategy.closed)


main()
