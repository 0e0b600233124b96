from django.apps import AppConfig


class TradingManualConfig(AppConfig):
    name = "apps.trading_manual"
    label = "trading_manual"
