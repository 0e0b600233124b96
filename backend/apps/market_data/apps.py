from django.apps import AppConfig


class MarketDataConfig(AppConfig):
    name = "apps.market_data"
    label = "market_data"
