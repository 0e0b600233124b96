"""Buys below the lower Bollinger band and leaves at the middle one."""

from apps.strategies.examples.example import Example

CODE = """\
import pandas_ta as ta


class RetourDansLesBandes(Strategy):
    STRATEGY_PARAMS = {
        "longueur": {"default": 20, "min": 5, "max": 100, "step": 1, "label": "Longueur de la moyenne"},
        "ecarts": {"default": 2.0, "min": 0.5, "max": 4.0, "step": 0.1, "label": "Nombre d'écarts types"},
        "part": {"default": 0.1, "min": 0.01, "max": 1.0, "step": 0.01, "label": "Part du solde"},
        "stop": {"default": 0.02, "min": 0.0, "max": 0.2, "step": 0.005, "label": "Stop loss"},
        "objectif": {"default": 0.04, "min": 0.0, "max": 0.5, "step": 0.005, "label": "Take profit"},
    }

    def __init__(self, candles, balance, position=None):
        self.candles = candles
        self.balance = balance
        self.position = position
        self.moyenne = candles["close"].rolling(self.params["longueur"]).mean()
        ecart = candles["close"].rolling(self.params["longueur"]).std(ddof=0)
        self.bas = self.moyenne - self.params["ecarts"] * ecart

    def should_long(self):
        cours = self.candles["close"]
        if len(cours) <= self.params["longueur"]:
            return False
        return cours.iloc[-2] < self.bas.iloc[-2] and cours.iloc[-1] > self.bas.iloc[-1]

    def should_short(self):
        if len(self.candles) <= self.params["longueur"]:
            return False
        return self.candles["close"].iloc[-1] >= self.moyenne.iloc[-1]

    def calculate_position_size(self):
        return self.balance * self.params["part"]

    def calculate_stop_loss(self):
        return self.params["stop"]

    def calculate_take_profit(self):
        return self.params["objectif"]
"""

EXAMPLE = Example(
    name="Bandes de Bollinger",
    description="Achète quand la clôture rentre dans la bande basse, vend à la moyenne.",
    timeframe="15m",
    code=CODE,
)
