"""Candles and symbols, shared by all users and keyed by exchange, not by account."""

from django.db import models

PRICE = {"max_digits": 38, "decimal_places": 18}


class Candle(models.Model):
    """A closed candle of an exchange. Written by apps.market_data.services.candle_store only."""

    source = models.CharField(max_length=64)  # "binance", "binance-testnet", "bitget", "simex:<run>"
    symbol = models.CharField(max_length=64)  # ccxt name
    timeframe = models.CharField(max_length=4)
    open_time = models.DateTimeField()
    close_time = models.DateTimeField()
    open_price = models.DecimalField(**PRICE)
    high_price = models.DecimalField(**PRICE)
    low_price = models.DecimalField(**PRICE)
    close_price = models.DecimalField(**PRICE)
    volume = models.DecimalField(**PRICE)
    is_flat = models.BooleanField(default=False)  # nobody traded: carried forward, flagged

    class Meta:
        db_table = "candles"
        constraints = [
            models.UniqueConstraint(fields=["source", "symbol", "timeframe", "open_time"], name="candles_once")
        ]
        indexes = [models.Index(fields=["source", "symbol", "timeframe", "close_time"])]


class ExchangeSymbol(models.Model):
    """A market of an exchange. Written by apps.market_data.services.symbols only, replaced per exchange."""

    exchange = models.CharField(max_length=64)
    symbol = models.CharField(max_length=64)  # ccxt name "BTC/USDT"
    exchange_symbol = models.CharField(max_length=64)  # the exchange's own "BTCUSDT"
    base = models.CharField(max_length=32)
    quote = models.CharField(max_length=32)
    active = models.BooleanField(default=True)
    type = models.CharField(max_length=16, default="spot")
    min_amount = models.DecimalField(**PRICE, null=True)
    max_amount = models.DecimalField(**PRICE, null=True)
    min_notional = models.DecimalField(**PRICE, null=True)
    price_precision = models.DecimalField(**PRICE)  # tick size
    amount_precision = models.DecimalField(**PRICE)  # step size
    maker_fee_ratio = models.DecimalField(**PRICE, null=True)
    taker_fee_ratio = models.DecimalField(**PRICE, null=True)

    class Meta:
        db_table = "exchange_symbols"
        constraints = [models.UniqueConstraint(fields=["exchange", "symbol"], name="exchange_symbols_once")]
        indexes = [models.Index(fields=["exchange", "active"]), models.Index(fields=["symbol"])]


class CandleRange(models.Model):
    """A stretch of time of which every candle that the exchange has is in `candles`.

    A place without a candle inside it is a hole of the market itself, not to be asked for again. Ranges of
    one market neither overlap nor touch. Written by apps.market_data.services.candle_history only.
    """

    source = models.CharField(max_length=64)
    symbol = models.CharField(max_length=64)
    timeframe = models.CharField(max_length=4)
    start = models.DateTimeField()
    end = models.DateTimeField()  # exclusive
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "candle_ranges"
        constraints = [
            models.UniqueConstraint(fields=["source", "symbol", "timeframe", "start"], name="candle_ranges_once"),
            models.CheckConstraint(check=models.Q(end__gt=models.F("start")), name="candle_ranges_forwards"),
        ]
