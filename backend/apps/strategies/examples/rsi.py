"""Buys what was sold too much, by the relative strength index."""

from apps.strategies.examples.example import Example

CODE = """\
import pandas_ta as ta


class RetourDeSurvente(Strategy):
    STRATEGY_PARAMS = {
        "longueur": {"default": 14, "min": 2, "max": 50, "step": 1, "label": "Longueur du RSI"},
        "survente": {"default": 30, "min": 5, "max": 50, "step": 1, "label": "Seuil de survente"},
        "surachat": {"default": 70, "min": 50, "max": 95, "step": 1, "label": "Seuil de surachat"},
        "part": {"default": 0.1, "min": 0.01, "max": 1.0, "step": 0.01, "label": "Part du solde"},
        "stop": {"default": 0.02, "min": 0.0, "max": 0.2, "step": 0.005, "label": "Stop loss"},
        "objectif": {"default": 0.04, "min": 0.0, "max": 0.5, "step": 0.005, "label": "Take profit"},
    }

    def __init__(self, candles, balance, position=None):
        self.candles = candles
        self.balance = balance
        self.position = position
        # ta.rsi renvoie None tant qu'il n'y a pas assez de bougies.
        self.rsi = ta.rsi(candles["close"], length=self.params["longueur"])

    def should_long(self):
        if self.rsi is None:
            return False
        avant, maintenant = self.rsi.iloc[-2], self.rsi.iloc[-1]
        return avant < self.params["survente"] <= maintenant

    def should_short(self):
        if self.rsi is None:
            return False
        avant, maintenant = self.rsi.iloc[-2], self.rsi.iloc[-1]
        return avant > self.params["surachat"] >= maintenant

    def calculate_position_size(self):
        return self.balance * self.params["part"]

    def calculate_stop_loss(self):
        return self.params["stop"]

    def calculate_take_profit(self):
        return self.params["objectif"]
"""

EXAMPLE = Example(
    name="RSI, retour de survente",
    description="Achète quand le RSI quitte la zone de survente, vend quand il quitte la zone de surachat.",
    timeframe="15m",
    code=CODE,
)
