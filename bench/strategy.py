"""The strategy of `bench signal`: two indicators, then an order at every close, whatever they say."""

SIZE_QUOTE = 50.0

CODE = f"""\
class AcheteVend(Strategy):
    def __init__(self, candles, balance, position=None):
        super().__init__(candles, balance, position)
        self.candles["ema10"] = ta.ema(self.candles["close"], length=10)
        self.candles["ema20"] = ta.ema(self.candles["close"], length=20)

    def should_long(self):
        return self.position is None

    def should_short(self):
        return self.position is not None

    def calculate_position_size(self):
        return {SIZE_QUOTE}

    def calculate_stop_loss(self):
        return 0.0

    def calculate_take_profit(self):
        return 0.0
"""
