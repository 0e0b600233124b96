from django.apps import AppConfig


class TradingEngineConfig(AppConfig):
    name = "apps.trading_engine"
    label = "trading_engine"
