"""freqtrade's back-test with the specification's strategy; its exchange is told its market, not asked for it."""

import logging
import os
import tempfile
from pathlib import Path

from common import CASH, FAST, FEE, SHARE, SLOW, STOP, TARGET, answer, candles, measure

FOLDER = tempfile.mkdtemp()
os.chdir(FOLDER)  # freqtrade writes where it stands

from freqtrade.data import history  # noqa: E402
from freqtrade.enums import CandleType, RunMode  # noqa: E402
from freqtrade.exchange import Exchange  # noqa: E402
from freqtrade.optimize.backtesting import Backtesting  # noqa: E402

PAIR = "BTC/USDT"
CODE = f"""
from freqtrade.strategy import IStrategy


class Cross(IStrategy):
    timeframe = "1m"
    stoploss = -{STOP}
    minimal_roi = {{"0": {TARGET}}}
    startup_candle_count = 0

    def populate_indicators(self, frame, metadata):
        frame["fast"] = frame["close"].ewm(span={FAST}, adjust=False).mean()
        frame["slow"] = frame["close"].ewm(span={SLOW}, adjust=False).mean()
        return frame

    def populate_entry_trend(self, frame, metadata):
        before, now = (frame["fast"] < frame["slow"]).shift(1, fill_value=False), frame["fast"] > frame["slow"]
        frame.loc[before & now, "enter_long"] = 1
        return frame

    def populate_exit_trend(self, frame, metadata):
        before, now = (frame["fast"] > frame["slow"]).shift(1, fill_value=False), frame["fast"] < frame["slow"]
        frame.loc[before & now, "exit_long"] = 1
        return frame

    def custom_stake_amount(self, *args, **kwargs):
        return self.wallets.get_total_stake_amount() * {SHARE}
"""
MARKET = {
    "id": "BTCUSDT", "symbol": PAIR, "base": "BTC", "quote": "USDT", "spot": True, "active": True, "type": "spot",
    "swap": False, "future": False, "contract": False, "linear": None, "taker": FEE, "maker": FEE, "info": {},
    "precision": {"amount": 0.00001, "price": 0.01},
    "limits": {"amount": {"min": None, "max": None}, "cost": {"min": None, "max": None}, "leverage": {}},
}  # fmt: skip


def config() -> dict[str, object]:
    Path(FOLDER, "cross.py").write_text(CODE)
    prices = {"price_side": "same", "use_order_book": False}
    return {
        "runmode": RunMode.BACKTEST, "dry_run": True, "dry_run_wallet": CASH, "stake_currency": "USDT",
        "stake_amount": CASH * SHARE, "max_open_trades": 1, "timeframe": "1m", "strategy": "Cross",
        "strategy_path": FOLDER, "user_data_dir": Path(FOLDER), "datadir": Path(FOLDER), "fee": FEE,
        "exchange": {"name": "binance", "pair_whitelist": [PAIR], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}], "entry_pricing": prices, "exit_pricing": prices,
        "dataformat_ohlcv": "feather", "export": "none", "candle_type_def": CandleType.SPOT, "internals": {},
        "original_config": {}, "unfilledtimeout": {"entry": 10, "exit": 10},
    }  # fmt: skip


def main() -> None:
    logging.disable(logging.CRITICAL)
    facts = config()
    exchange = Exchange(facts, validate=False)
    exchange._markets = {PAIR: MARKET}
    for api in (exchange._api, exchange._api_async):
        api.set_markets([MARKET])
    frame = candles().frame().reset_index()
    frame["date"] = frame["date"].dt.tz_localize("UTC")
    test = Backtesting(facts, exchange)
    strategy = test.strategylist[0]
    test._set_strategy(strategy)

    def play() -> object:
        processed = strategy.advise_all_indicators({PAIR: frame})
        first, last = history.get_timerange(processed)
        return test.backtest(processed=processed, start_date=first, end_date=last)

    found, spent = measure(play)
    answer(**spent, trades=len(found["results"]))


main()
