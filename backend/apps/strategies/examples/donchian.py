"""Buys a breakout of the highest high, as the turtles did."""

from apps.strategies.examples.example import Example

CODE = """\
class CassureDonchian(Strategy):
    STRATEGY_PARAMS = {
        "entree": {"default": 20, "min": 5, "max": 200, "step": 1, "label": "Bougies pour l'entrée"},
        "sortie": {"default": 10, "min": 3, "max": 100, "step": 1, "label": "Bougies pour la sortie"},
        "part": {"default": 0.1, "min": 0.01, "max": 1.0, "step": 0.01, "label": "Part du solde"},
        "stop": {"default": 0.02, "min": 0.0, "max": 0.2, "step": 0.005, "label": "Stop loss"},
        "objectif": {"default": 0.04, "min": 0.0, "max": 0.5, "step": 0.005, "label": "Take profit"},
    }

    def __init__(self, candles, balance, position=None):
        self.candles = candles
        self.balance = balance
        self.position = position
        # shift(1) : la bougie qui vient de fermer ne compte pas dans son propre plus haut.
        self.plus_haut = candles["high"].rolling(self.params["entree"]).max().shift(1)
        self.plus_bas = candles["low"].rolling(self.params["sortie"]).min().shift(1)

    def should_long(self):
        # Une comparaison avec une valeur absente (pas assez de bougies) est fausse.
        return self.candles["close"].iloc[-1] > self.plus_haut.iloc[-1]

    def should_short(self):
        return self.candles["close"].iloc[-1] < self.plus_bas.iloc[-1]

    def calculate_position_size(self):
        return self.balance * self.params["part"]

    def calculate_stop_loss(self):
        return self.params["stop"]

    def calculate_take_profit(self):
        return self.params["objectif"]
"""

EXAMPLE = Example(
    name="Cassure de Donchian",
    description="Achète au-dessus du plus haut des N bougies précédentes, vend sous le plus bas des M précédentes.",
    timeframe="1h",
    code=CODE,
)
