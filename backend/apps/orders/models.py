"""The life of an order: rows of intent, executions, commands and positions.

`apps.orders.desk` inserts trades and commands (`apps.orders.external` the rows of orders placed elsewhere);
`apps.orders.executor` claims them; `apps.orders.ledger` alone applies what an exchange says (trades' state,
fills, positions).
"""

from django.conf import settings
from django.db import models

from apps.core.tracing import TRACE_LENGTH
from domain.order_abilities import PairMode
from domain.orders import OrderSource, OrderStatus, OrderType, Side

AMOUNT = {"max_digits": 38, "decimal_places": 18}


def _choices(enumeration: type) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enumeration]  # type: ignore[attr-defined]


class Trade(models.Model):
    """One order, from intent to its last fill. PostgreSQL is the queue: `pending` rows wait for terminal 5."""

    class Intent(models.TextChoices):
        ENTRY = "entry"
        EXIT = "exit"
        PROTECTION = "protection"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="trades")
    broker = models.ForeignKey("brokers.Broker", on_delete=models.CASCADE, related_name="trades")
    strategy = models.ForeignKey("strategies.Strategy", on_delete=models.SET_NULL, null=True, related_name="trades")
    bot = models.ForeignKey(
        "trading_engine.ActiveStrategy", on_delete=models.SET_NULL, null=True, related_name="trades"
    )
    webhook = models.ForeignKey("webhooks.Webhook", on_delete=models.SET_NULL, null=True, related_name="trades")
    source = models.CharField(max_length=16, choices=_choices(OrderSource))
    owner = models.CharField(max_length=32)  # key of the position: "manual", "bot:12", "webhook:3"
    trace_id = models.CharField(max_length=TRACE_LENGTH, blank=True)  # `apps.core.tracing`: where it came from
    intent = models.CharField(max_length=16, choices=Intent.choices, default=Intent.ENTRY)
    client_order_id = models.CharField(max_length=36, unique=True)
    exchange_order_id = models.CharField(max_length=64, blank=True)
    symbol = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=_choices(Side))
    type = models.CharField(max_length=16, choices=_choices(OrderType))
    quantity = models.DecimalField(**AMOUNT)
    price = models.DecimalField(**AMOUNT, null=True)
    stop_price = models.DecimalField(**AMOUNT, null=True)  # trigger of a stop loss, take profit or stop limit
    quote_amount = models.DecimalField(**AMOUNT, null=True)  # sized by what it spends: `quantity` is an estimate
    # The two legs of a stop loss + take profit share a link: held by the exchange (oco) or by us (linked).
    link_id = models.CharField(max_length=36, blank=True, db_index=True)
    link_mode = models.CharField(max_length=8, blank=True, choices=_choices(PairMode))
    # The position that this order protects or leaves; empty: an order that some person or signal asked for.
    position = models.ForeignKey("orders.Position", on_delete=models.SET_NULL, null=True, related_name="orders")
    replaces = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="replacements")
    stop_loss = models.DecimalField(**AMOUNT, null=True)  # price of the protection wanted once filled
    take_profit = models.DecimalField(**AMOUNT, null=True)
    filled_quantity = models.DecimalField(**AMOUNT, default=0)
    average_price = models.DecimalField(**AMOUNT, null=True)
    fee = models.DecimalField(**AMOUNT, default=0)
    fee_currency = models.CharField(max_length=32, blank=True)
    profit_loss = models.DecimalField(**AMOUNT, null=True)  # realised by this order, quote, net of fees
    entry_fee = models.DecimalField(**AMOUNT, null=True)  # quote: what the purchases of what it sold had paid
    reserved_currency = models.CharField(max_length=32, blank=True)
    reserved_amount = models.DecimalField(**AMOUNT, default=0)  # counts while the order is not final
    status = models.CharField(max_length=20, choices=_choices(OrderStatus), default=OrderStatus.PENDING.value)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    valid_until = models.DateTimeField()  # wall time after which it must not be sent
    sending_at = models.DateTimeField(null=True)  # when it was claimed
    claimed_by = models.CharField(max_length=32, null=True)  # by which process, the last time
    next_check_at = models.DateTimeField(null=True)  # when open or unknown orders are looked up again
    check_count = models.IntegerField(default=0)  # look-ups in a row without news (back-off)
    acknowledged_at = models.DateTimeField(null=True)  # wall time at which the exchange was known to have it
    absent_after = models.DateTimeField(null=True)  # unknown orders: before this, "not found" proves nothing
    step_size = models.DecimalField(**AMOUNT, null=True)  # of the market when submitted (dust rule)
    min_notional = models.DecimalField(**AMOUNT, null=True)
    reference_price = models.DecimalField(**AMOUNT, null=True)  # what the decision saw
    market_time = models.DateTimeField(null=True)  # of the decision, then of the last fill
    closed_at = models.DateTimeField(null=True)  # wall time of the final status

    class Meta:
        db_table = "trades"
        indexes = [
            models.Index(fields=["user", "-created_at"]),
            models.Index(fields=["broker", "symbol", "status"]),
            models.Index(fields=["bot", "-created_at"]),
            models.Index(fields=["trace_id"], name="trades_trace", condition=~models.Q(trace_id="")),
            models.Index(
                fields=["id"],
                name="trades_live",
                condition=models.Q(status__in=["pending", "sending", "unknown", "open", "partially_filled"]),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                check=models.Q(filled_quantity__gte=0)
                & (models.Q(filled_quantity__lte=models.F("quantity")) | models.Q(quote_amount__isnull=False)),
                name="trades_filled_within_quantity",
            )
        ]


class Fill(models.Model):
    """One execution at the exchange; its id makes applying it twice harmless."""

    trade = models.ForeignKey(Trade, on_delete=models.CASCADE, related_name="fills")
    broker = models.ForeignKey("brokers.Broker", on_delete=models.CASCADE, related_name="fills")
    symbol = models.CharField(max_length=64)
    exchange_trade_id = models.CharField(max_length=64)
    price = models.DecimalField(**AMOUNT)
    quantity = models.DecimalField(**AMOUNT)
    fee = models.DecimalField(**AMOUNT)
    fee_currency = models.CharField(max_length=32)
    is_maker = models.BooleanField(default=False)
    executed_at = models.DateTimeField()  # market time
    received_at = models.DateTimeField(auto_now_add=True)
    position = models.ForeignKey("orders.Position", on_delete=models.SET_NULL, null=True, related_name="fills")
    realized_pnl = models.DecimalField(**AMOUNT, null=True)  # closing fills: quote, net of fees
    entry_fee = models.DecimalField(**AMOUNT, null=True)  # closing fills: the purchases' fees they carry, quote

    class Meta:
        db_table = "fills"
        constraints = [
            # Binance numbers its trades per symbol; an account that trades with itself has both orders
            # under one trade id, so the order is part of the key.
            models.UniqueConstraint(fields=["broker", "symbol", "exchange_trade_id", "trade"], name="fills_once")
        ]


class OrderCommand(models.Model):
    """A durable wish to cancel or amend an order, claimed and carried out by terminal 5."""

    class Kind(models.TextChoices):
        CANCEL = "cancel"
        AMEND = "amend"

    class Status(models.TextChoices):
        PENDING = "pending"
        CLAIMED = "claimed"
        DONE = "done"
        FAILED = "failed"

    trade = models.ForeignKey(Trade, on_delete=models.CASCADE, related_name="commands")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    params = models.JSONField(default=dict)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    error_message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    claimed_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)  # not before, after an attempt without an answer
    attempts = models.IntegerField(default=0)

    class Meta:
        db_table = "order_commands"
        indexes = [
            models.Index(
                fields=["id"],
                name="order_commands_live",
                condition=models.Q(status__in=["pending", "claimed"]),
            )
        ]


class Position(models.Model):
    """Net holding of one owner in one market, from fills, average cost."""

    class Status(models.TextChoices):
        OPEN = "open"
        CLOSING = "closing"
        CLOSED = "closed"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="positions")
    broker = models.ForeignKey("brokers.Broker", on_delete=models.CASCADE, related_name="positions")
    bot = models.ForeignKey(
        "trading_engine.ActiveStrategy", on_delete=models.SET_NULL, null=True, related_name="positions"
    )
    symbol = models.CharField(max_length=64)
    owner = models.CharField(max_length=32)
    side = models.CharField(max_length=8, default="long")
    quantity = models.DecimalField(**AMOUNT)  # base, net of fees taken in base; closed: the dust left
    entry_price = models.DecimalField(**AMOUNT)  # average cost per unit held, fees included
    current_price = models.DecimalField(**AMOUNT, null=True)
    stop_loss = models.DecimalField(**AMOUNT, null=True)
    take_profit = models.DecimalField(**AMOUNT, null=True)
    realized_pnl = models.DecimalField(**AMOUNT, default=0)
    unrealized_pnl = models.DecimalField(**AMOUNT, null=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    closing_reason = models.CharField(max_length=64, blank=True)
    closing_trace = models.CharField(max_length=TRACE_LENGTH, blank=True)  # of whoever wanted out
    opened_at = models.DateTimeField()  # market time of the first fill
    closed_at = models.DateTimeField(null=True)  # market time of the last fill
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "positions"
        constraints = [
            models.UniqueConstraint(
                fields=["broker", "symbol", "owner"],
                condition=~models.Q(status="closed"),
                name="positions_one_live_per_owner",
            )
        ]


class SenderLease(models.Model):
    """Which terminal 5 may send orders: one row. Written by `apps.orders.lease` only."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    holder = models.CharField(max_length=160)  # a process mark; empty: released
    renewed_at = models.DateTimeField()  # by the database's clock
    before_renewed_at = models.DateTimeField(null=True)  # the last renewal before the holder took it

    class Meta:
        db_table = "sender_lease"
