"""Follows the trend as Supertrend draws it."""

from apps.strategies.examples.example import Example

CODE = """\
import pandas_ta as ta


class SuiviSupertrend(Strategy):
    STRATEGY_PARAMS = {
        "longueur": {"default": 10, "min": 5, "max": 50, "step": 1, "label": "Longueur de l'ATR"},
        "facteur": {"default": 3.0, "min": 1.0, "max": 6.0, "step": 0.5, "label": "Facteur"},
        "part": {"default": 0.1, "min": 0.01, "max": 1.0, "step": 0.01, "label": "Part du solde"},
        "stop": {"default": 0.02, "min": 0.0, "max": 0.2, "step": 0.005, "label": "Stop loss"},
        "objectif": {"default": 0.04, "min": 0.0, "max": 0.5, "step": 0.005, "label": "Take profit"},
    }

    def __init__(self, candles, balance, position=None):
        self.candles = candles
        self.balance = balance
        self.position = position
        self.sens = None
        if len(candles) > 3 * self.params["longueur"]:
            tableau = ta.supertrend(
                candles["high"],
                candles["low"],
                candles["close"],
                length=self.params["longueur"],
                multiplier=self.params["facteur"],
            )
            # La colonne SUPERTd vaut 1 en hausse, -1 en baisse.
            self.sens = tableau.filter(like="SUPERTd").iloc[:, 0]

    def should_long(self):
        if self.sens is None:
            return False
        return self.sens.iloc[-2] < 0 < self.sens.iloc[-1]

    def should_short(self):
        if self.sens is None:
            return False
        return self.sens.iloc[-1] < 0

    def calculate_position_size(self):
        return self.balance * self.params["part"]

    def calculate_stop_loss(self):
        return self.params["stop"]

    def calculate_take_profit(self):
        return self.params["objectif"]
"""

EXAMPLE = Example(
    name="Supertrend",
    description="Achète quand Supertrend passe à la hausse, vend quand il passe à la baisse.",
    timeframe="1h",
    code=CODE,
)
