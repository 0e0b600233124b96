"""Keeps with each closing fill, and with its order, what the purchases it sold had paid in fees."""

from itertools import groupby

from django.db import migrations, models
from django.db.models import Sum

from domain.markets import split_symbol
from domain.orders import FillReport, Side
from domain.positions import DustRule, Execution, replay

_AMOUNT = {"max_digits": 38, "decimal_places": 18, "null": True}


def fill_in(apps, schema_editor):
    Fill, Trade = apps.get_model("orders", "Fill"), apps.get_model("orders", "Trade")
    placed = Fill.objects.filter(position__isnull=False).select_related("trade", "position")
    by_position = groupby(placed.order_by("position_id", "executed_at", "id").iterator(), lambda fill: fill.position_id)
    for _, fills in by_position:
        Fill.objects.bulk_update(_shared_out(list(fills)), ["entry_fee"])
    sums = Fill.objects.filter(entry_fee__isnull=False).values("trade_id").annotate(total=Sum("entry_fee"))
    for row in sums.iterator():
        Trade.objects.filter(id=row["trade_id"]).update(entry_fee=row["total"])


def _shared_out(fills):
    """Set the share of each sale of one position; dust is told from the position's end, not from the rules."""
    base, quote = split_symbol(fills[0].symbol)
    executions = [Execution(side=Side(fill.trade.side), fill=_report(fill, at), ends_order=False) for at, fill in enumerate(fills)]
    holdings = replay(executions, base=base, quote=quote, dust=DustRule())
    shares = [share for holding in holdings for share in holding.entry_fee_by_fill]
    sales = [fill for fill, share in zip(fills, shares, strict=True) if share is not None]
    for fill, share in zip(fills, shares, strict=True):
        fill.entry_fee = share
    if sales and fills[0].position.status == "closed":
        sales[-1].entry_fee += holdings[-1].entry_fees
    return sales


def _report(fill, at):
    return FillReport(
        exchange_trade_id=str(at), exchange_order_id="", price=fill.price, quantity=fill.quantity, fee=fill.fee,
        fee_currency=fill.fee_currency, executed_at=fill.executed_at, is_maker=fill.is_maker,
    )


class Migration(migrations.Migration):

    dependencies = [("orders", "0007_sender_lease")]

    operations = [
        migrations.AddField(model_name="fill", name="entry_fee", field=models.DecimalField(**_AMOUNT)),
        migrations.AddField(model_name="trade", name="entry_fee", field=models.DecimalField(**_AMOUNT)),
        migrations.RunPython(fill_in, migrations.RunPython.noop),
    ]
