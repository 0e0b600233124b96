"""Two timeframes in one strategy: the trend of the larger, the entry of the smaller."""

from apps.strategies.examples.example import Example

CODE = """\
import pandas_ta as ta


class DeuxUnitesDeTemps(Strategy):
    STRATEGY_PARAMS = {
        "rapide": {"default": 8, "min": 2, "max": 50, "step": 1, "label": "EMA rapide"},
        "lente": {"default": 21, "min": 5, "max": 100, "step": 1, "label": "EMA lente"},
        "tendance": {"default": 20, "min": 5, "max": 100, "step": 1, "label": "EMA de la grande unité"},
        "part": {"default": 0.1, "min": 0.01, "max": 1.0, "step": 0.01, "label": "Part du solde"},
        "stop": {"default": 0.02, "min": 0.0, "max": 0.2, "step": 0.005, "label": "Stop loss"},
        "objectif": {"default": 0.04, "min": 0.0, "max": 0.5, "step": 0.005, "label": "Take profit"},
    }

    def __init__(self, candles, balance, position=None):
        self.candles = candles
        self.balance = balance
        self.position = position
        self.rapide = ta.ema(candles["close"], length=self.params["rapide"])
        self.lente = ta.ema(candles["close"], length=self.params["lente"])
        # Une heure n'est utilisable qu'une fois finie : la dernière, peut-être en cours, est écartée.
        heures = candles["close"].resample("1h").last().dropna().iloc[:-1]
        self.cloture_heure = heures
        self.moyenne_heure = ta.ema(heures, length=self.params["tendance"])

    def en_hausse(self):
        if self.moyenne_heure is None:
            return False
        return self.cloture_heure.iloc[-1] > self.moyenne_heure.iloc[-1]

    def should_long(self):
        if self.rapide is None or self.lente is None:
            return False
        croise = self.rapide.iloc[-2] <= self.lente.iloc[-2] and self.rapide.iloc[-1] > self.lente.iloc[-1]
        return croise and self.en_hausse()

    def should_short(self):
        if self.rapide is None or self.lente is None:
            return False
        return self.rapide.iloc[-1] < self.lente.iloc[-1]

    def calculate_position_size(self):
        return self.balance * self.params["part"]

    def calculate_stop_loss(self):
        return self.params["stop"]

    def calculate_take_profit(self):
        return self.params["objectif"]
"""

EXAMPLE = Example(
    name="Deux unités de temps",
    description="Achète un croisement haussier sur 15 minutes seulement si la tendance d'une heure est haussière.",
    timeframe="15m",
    code=CODE,
)
