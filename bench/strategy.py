"""The strategies of `bench signal`: one that trades at every close, and one that only takes processor time."""

from datetime import datetime

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

# As long as it may without being paused: an endless loop harms for one close only, then its bot is paused. At two
# closes of four, so that closes with and without it are compared on one and the same machine; two, because the
# others buy at one close and sell at the next.
LOOP_S = 4.8
LOOP = f"""\
import time

class Boucle(Strategy):
    def should_long(self):
        if self.candles.index[-1].minute % 4 >= 2:
            return False
        end = time.monotonic() + {LOOP_S}
        while time.monotonic() < end:
            pass
        return False

    def should_short(self):
        return False

    def calculate_position_size(self):
        return 0.0

    def calculate_stop_loss(self):
        return 0.0

    def calculate_take_profit(self):
        return 0.0
"""


def loops_at(opened: datetime) -> bool:
    """Return whether `LOOP` loops at the close of the minute that opened then."""
    return opened.minute % 4 < 2
