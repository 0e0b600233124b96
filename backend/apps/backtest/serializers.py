"""What a page sends to have a strategy tried, and gets back."""

from typing import Any

from rest_framework import serializers

from domain.strategies.syntax import MAX_CODE_BYTES
from domain.timeframes import Timeframe

TIMEFRAMES = [timeframe.value for timeframe in Timeframe]


class QuickTestInputSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=MAX_CODE_BYTES, trim_whitespace=False)
    broker = serializers.IntegerField()
    symbol = serializers.CharField(max_length=64)
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)
    amount = serializers.DecimalField(max_digits=30, decimal_places=12, default=1000)
    params = serializers.DictField(default=dict)
    id = serializers.UUIDField(
        required=False,
        help_text="chosen by the caller: names it in `quick_test` events and in its cancellation",
    )


class QuickTestCancelSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()


class QuickTradeSerializer(serializers.Serializer[Any]):
    """One round trip; times are opening times of candles in ms, amounts in quote currency."""

    entry_time = serializers.IntegerField()
    exit_time = serializers.IntegerField()
    quantity = serializers.CharField()
    entry_price = serializers.CharField()
    exit_price = serializers.CharField()
    fees = serializers.CharField()
    profit = serializers.CharField()
    reason = serializers.ChoiceField(choices=["stop_loss", "take_profit", "signal", "hole"])


class QuickRefusalSerializer(serializers.Serializer[Any]):
    time = serializers.IntegerField()
    reason = serializers.CharField()


class QuickTestSerializer(serializers.Serializer[Any]):
    """`candles` are [open time in ms, open, high, low, close]; `open_since` a position still held at the end."""

    candles = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))
    trades = QuickTradeSerializer(many=True)
    refusals = QuickRefusalSerializer(many=True)
    trade_count = serializers.IntegerField()
    ambiguous_count = serializers.IntegerField()
    open_since = serializers.IntegerField(allow_null=True)
    quote = serializers.CharField()
    initial_amount = serializers.CharField()
    final_balance = serializers.CharField()
    profit = serializers.CharField()
    profit_ratio = serializers.CharField()


LOOK_AHEAD_VERDICTS = ["ok", "biased", "unproven"]
STATUSES = ["queued", "loading", "running", "done", "cancelled", "failed"]
TRADE_ORDERINGS = [
    *("number", "entry_time", "exit_time", "quantity", "entry_price", "exit_price"),
    *("fees", "profit", "profit_ratio", "balance", "reason"),
]
_AMOUNT = {"max_digits": 30, "decimal_places": 12}


class BacktestInputSerializer(serializers.Serializer[Any]):
    """What is played. `timeframe` is the strategy's by default; `fee_ratio` the account's own."""

    strategy = serializers.IntegerField(source="strategy_id")
    broker = serializers.IntegerField(source="broker_id")
    symbol = serializers.CharField(max_length=64)
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES, required=False)
    start_date = serializers.DateTimeField()
    end_date = serializers.DateTimeField()
    initial_amount = serializers.DecimalField(**_AMOUNT)
    fee_ratio = serializers.DecimalField(**_AMOUNT, required=False, allow_null=True)
    slippage_ratio = serializers.DecimalField(**_AMOUNT, required=False, allow_null=True)
    params = serializers.DictField(required=False)


class BacktestQuery(serializers.Serializer[Any]):
    """Filters of the list."""

    strategy = serializers.IntegerField(required=False)
    status = serializers.ChoiceField(choices=STATUSES, required=False)


class OfferQuery(serializers.Serializer[Any]):
    broker = serializers.IntegerField()
    symbol = serializers.CharField(max_length=64)
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)


class OfferMarketSerializer(serializers.Serializer[Any]):
    """What the exchange refuses to go below."""

    symbol = serializers.CharField()
    base = serializers.CharField()
    quote = serializers.CharField()
    min_quantity = serializers.CharField(allow_null=True)
    min_notional = serializers.CharField(allow_null=True)


class OfferFeesSerializer(serializers.Serializer[Any]):
    """`words` says in French where the ratios come from."""

    maker_ratio = serializers.CharField()
    taker_ratio = serializers.CharField()
    origin = serializers.ChoiceField(choices=["account", "market"])
    words = serializers.CharField()


class OfferAmountSerializer(serializers.Serializer[Any]):
    """The account's free balance, or an example where it is unknown or too small for an order."""

    value = serializers.CharField()
    origin = serializers.ChoiceField(choices=["balance", "example"])


class OfferSpanSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class OfferCandlesSerializer(serializers.Serializer[Any]):
    """Stretches that are kept whole, newest first; the exchange has candles up to `available_until`."""

    exchange_name = serializers.CharField()
    kept = OfferSpanSerializer(many=True)
    kept_count = serializers.IntegerField()
    available_until = serializers.DateTimeField()


class OfferSerializer(serializers.Serializer[Any]):
    """What a form proposes for a backtest of a market."""

    market = OfferMarketSerializer()
    fees = OfferFeesSerializer()
    amount = OfferAmountSerializer()
    slippage_ratio = serializers.CharField()
    candles = OfferCandlesSerializer()


class JobSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    strategy = serializers.IntegerField(allow_null=True)
    strategy_name = serializers.CharField()
    strategy_version = serializers.IntegerField(allow_null=True)
    broker = serializers.IntegerField(allow_null=True)
    broker_name = serializers.CharField()
    exchange = serializers.CharField()
    symbol = serializers.CharField()
    quote_currency = serializers.CharField()
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)
    start_date = serializers.DateTimeField()
    end_date = serializers.DateTimeField()
    initial_amount = serializers.CharField()
    fee_ratio = serializers.CharField(allow_null=True)
    slippage_ratio = serializers.CharField()
    params = serializers.DictField()
    status = serializers.ChoiceField(choices=STATUSES)
    phase_progress = serializers.FloatField()
    cancel_requested = serializers.BooleanField()
    error = serializers.CharField()
    error_details = serializers.DictField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class ColumnDifferenceSerializer(serializers.Serializer[Any]):
    """A column whose value depends on which candles are known: `whole` with all, `seen` at that bar."""

    column = serializers.CharField()
    bar = serializers.IntegerField()
    time_ms = serializers.IntegerField()
    whole = serializers.FloatField(allow_null=True)
    seen = serializers.FloatField(allow_null=True)
    relative_gap = serializers.FloatField(allow_null=True)


class LookAheadSerializer(serializers.Serializer[Any]):
    """Whether the indicators know the future; `reason` is French."""

    verdict = serializers.ChoiceField(choices=LOOK_AHEAD_VERDICTS)
    columns = ColumnDifferenceSerializer(many=True)
    bars_checked = serializers.IntegerField()
    prefixes_checked = serializers.IntegerField()
    reason = serializers.CharField()


class WindowCheckSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=["ok", "too_short", "unproven"])
    size = serializers.IntegerField()
    columns = ColumnDifferenceSerializer(many=True)


class AmbiguityCheckSerializer(serializers.Serializer[Any]):
    """Candles that met stop and target; `worst` and `best` final amounts."""

    count = serializers.IntegerField()
    decided = serializers.IntegerField()
    worst = serializers.CharField()
    best = serializers.CharField()


class HoleSerializer(serializers.Serializer[Any]):
    from_ms = serializers.IntegerField()
    to_ms = serializers.IntegerField()
    missing = serializers.IntegerField()


class CoverageSerializer(serializers.Serializer[Any]):
    """`verified`: what is missing, the exchange itself lacks."""

    ratio = serializers.FloatField()
    present = serializers.IntegerField()
    expected = serializers.IntegerField()
    hole_count = serializers.IntegerField()
    holes = HoleSerializer(many=True)
    verified = serializers.BooleanField()


class BacktestChecksSerializer(serializers.Serializer[Any]):
    look_ahead = LookAheadSerializer()
    window = WindowCheckSerializer()
    ambiguous_candles = AmbiguityCheckSerializer()
    coverage = CoverageSerializer()


class OpenPositionSerializer(serializers.Serializer[Any]):
    entry_bar = serializers.IntegerField()
    entry_time_ms = serializers.IntegerField()
    quantity = serializers.CharField()
    entry_price = serializers.CharField()
    entry_fee = serializers.CharField()
    value = serializers.CharField()
    unrealized_profit = serializers.CharField()


class BacktestMetricsSerializer(serializers.Serializer[Any]):
    """Amounts in quote as text, ratios as fractions; null is « n/a »."""

    initial_amount = serializers.CharField()
    final_balance = serializers.CharField()
    net_profit = serializers.CharField()
    net_return = serializers.FloatField(allow_null=True)
    fees = serializers.CharField()
    trade_count = serializers.IntegerField()
    won = serializers.IntegerField()
    lost = serializers.IntegerField()
    win_rate = serializers.FloatField(allow_null=True)
    average_win = serializers.CharField(allow_null=True)
    average_loss = serializers.CharField(allow_null=True)
    largest_win = serializers.CharField(allow_null=True)
    largest_loss = serializers.CharField(allow_null=True)
    expectancy = serializers.CharField(allow_null=True)
    profit_factor = serializers.FloatField(allow_null=True)
    max_drawdown = serializers.FloatField(allow_null=True)
    max_drawdown_amount = serializers.FloatField(allow_null=True)
    max_drawdown_duration_ms = serializers.IntegerField(allow_null=True)
    recovery_factor = serializers.FloatField(allow_null=True)
    sharpe = serializers.FloatField(allow_null=True)
    sortino = serializers.FloatField(allow_null=True)
    calmar = serializers.FloatField(allow_null=True)
    cagr = serializers.FloatField(allow_null=True)
    sqn = serializers.FloatField(allow_null=True)
    exposure = serializers.FloatField(allow_null=True)
    buy_and_hold = serializers.FloatField(allow_null=True)
    open_position = OpenPositionSerializer(allow_null=True)
    refused_count = serializers.IntegerField()
    refusals = QuickRefusalSerializer(many=True)
    skipped_at_holes = serializers.IntegerField()


class AssumptionSerializer(serializers.Serializer[Any]):
    """One rule of the run, French, in the order to show them."""

    name = serializers.CharField()
    value = serializers.CharField()


class BacktestEngineSerializer(serializers.Serializer[Any]):
    """How it was computed; `fallback` is French, why a faster path was not taken."""

    path = serializers.ChoiceField(choices=["vectorised", "prefix_view", "literal"])
    fallback = serializers.CharField()
    bars = serializers.IntegerField()
    engine_s = serializers.FloatField()
    proof_s = serializers.FloatField()
    total_s = serializers.FloatField()


class BacktestHashesSerializer(serializers.Serializer[Any]):
    """SHA-256 of the inputs, and of the result: the same run gives the same one."""

    code = serializers.CharField()
    candles = serializers.CharField()
    params = serializers.CharField()
    settings = serializers.CharField()
    finer = serializers.CharField()
    result = serializers.CharField()


class BacktestSerializer(JobSerializer):
    """One run; what it gave is null or empty until `status` is `done`."""

    final_amount = serializers.CharField(allow_null=True)
    total_trades = serializers.IntegerField(allow_null=True)
    winning_trades = serializers.IntegerField(allow_null=True)
    losing_trades = serializers.IntegerField(allow_null=True)
    max_drawdown = serializers.FloatField(allow_null=True)
    sharpe_ratio = serializers.FloatField(allow_null=True)
    metrics = BacktestMetricsSerializer(allow_null=True)
    checks = BacktestChecksSerializer(allow_null=True)
    assumptions = AssumptionSerializer(many=True)
    hashes = BacktestHashesSerializer(allow_null=True)
    engine = BacktestEngineSerializer(allow_null=True)


class BacktestDetailSerializer(BacktestSerializer):
    """With the text of the strategy that was played."""

    code = serializers.CharField()


class TradeQuery(serializers.Serializer[Any]):
    page = serializers.IntegerField(min_value=1, default=1)
    limit = serializers.IntegerField(min_value=1, max_value=5000, default=50)
    ordering = serializers.ChoiceField(
        choices=[*TRADE_ORDERINGS, *(f"-{name}" for name in TRADE_ORDERINGS)], default="number"
    )


class BacktestTradeSerializer(serializers.Serializer[Any]):
    """One round trip; times are opening times of candles in ms, amounts in quote currency."""

    number = serializers.IntegerField()
    entry_time = serializers.IntegerField()
    exit_time = serializers.IntegerField()
    quantity = serializers.CharField()
    entry_price = serializers.CharField()
    exit_price = serializers.CharField()
    fees = serializers.CharField()
    profit = serializers.CharField()
    profit_ratio = serializers.CharField()
    balance = serializers.CharField()
    reason = serializers.ChoiceField(choices=["stop_loss", "take_profit", "signal", "hole"])
    ambiguous = serializers.BooleanField()


class TradePageSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    next = serializers.IntegerField(allow_null=True)
    previous = serializers.IntegerField(allow_null=True)
    results = BacktestTradeSerializer(many=True)


class CurveQuery(serializers.Serializer[Any]):
    """Candles of a part of the run only, in more detail."""

    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class CurveSerializer(serializers.Serializer[Any]):
    """Columns of equal length; `time` in ms, `drawdown` a positive ratio from the peak."""

    time = serializers.ListField(child=serializers.IntegerField())
    equity = serializers.ListField(child=serializers.FloatField())
    drawdown = serializers.ListField(child=serializers.FloatField())
    buy_and_hold = serializers.ListField(child=serializers.FloatField())


class MarkerSerializer(serializers.Serializer[Any]):
    time = serializers.IntegerField()
    side = serializers.ChoiceField(choices=["buy", "sell"])
    price = serializers.CharField()
    reason = serializers.CharField()
    trade = serializers.IntegerField()


class BacktestCurvesSerializer(serializers.Serializer[Any]):
    """`candles` are [open time in ms, open, high, low, close, volume], each of `candle_ms`."""

    curve = CurveSerializer()
    candles = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))
    candle_ms = serializers.IntegerField()
    markers = MarkerSerializer(many=True)
