"""Sums of what was traded, kept beside the orders so that a page over a million of them stays quick.

`trades` is the truth. A trigger of the database notes in `stats_dirty` the day of every order that changes, in the
same transaction; `services.rollup` computes those days anew. Nothing else writes either table, and both may be
emptied and rebuilt at any time.
"""

from django.conf import settings
from django.db import models

_SUM = {"max_digits": 40, "decimal_places": 18}  # sums of amounts of `trades`, exact
_PRODUCT = {"max_digits": 60, "decimal_places": 36}  # of a price and a quantity of `trades`, exact


class DailyResult(models.Model):
    """What one owner did in one market on one UTC day of the market's clock.

    A trade here is an order with a realised result, on the day of its last execution.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    broker = models.ForeignKey("brokers.Broker", on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    source = models.CharField(max_length=16)
    owner = models.CharField(max_length=32)  # "manual", "bot:12", "webhook:3"
    strategy_id = models.BigIntegerField(null=True)
    symbol = models.CharField(max_length=64)
    quote = models.CharField(max_length=32)
    fee_currency = models.CharField(max_length=32, blank=True)
    order_count = models.IntegerField()  # attempts, refused ones included
    refused_count = models.IntegerField()
    trade_count = models.IntegerField()
    win_count = models.IntegerField()
    loss_count = models.IntegerField()
    gross_profit = models.DecimalField(**_SUM)  # quote, net of fees, of the trades that won
    gross_loss = models.DecimalField(**_SUM)  # the same of those that lost, negative
    best_trade = models.DecimalField(**_SUM, null=True)
    worst_trade = models.DecimalField(**_SUM, null=True)
    fee = models.DecimalField(**_SUM)  # in `fee_currency`
    fee_in_quote = models.DecimalField(**_PRODUCT, null=True)  # None: paid in a third currency, no rate is known
    closed_fee = models.DecimalField(**_PRODUCT)  # quote: of the trades that were closed, purchase and sale
    volume = models.DecimalField(**_PRODUCT)  # quote

    class Meta:
        db_table = "stats_daily"
        indexes = [
            models.Index(fields=["user", "day"]),
            models.Index(
                fields=["user"], name="stats_daily_other_fees", condition=models.Q(fee_in_quote__isnull=True)
            ),
        ]


class DirtyDay(models.Model):
    """A day of a user whose sums no longer follow from his orders. Written by the database's trigger.

    No foreign key: a row may outlive its user, whose orders are deleted after him.
    """

    user_id = models.BigIntegerField(db_index=True)
    day = models.DateField()

    class Meta:
        db_table = "stats_dirty"
