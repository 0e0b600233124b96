"""Counts a trade's fees whole, purchase and sale, on the day it was closed; every day is computed anew."""

from django.db import migrations, models

DAY = "(COALESCE({row}market_time, {row}created_at) AT TIME ZONE 'UTC')::date"
_WATCHED = (
    "status",
    "market_time",
    "strategy_id",
    "filled_quantity",
    "average_price",
    "profit_loss",
    "entry_fee",
    "fee",
    "fee_currency",
)
_TRIGGER = """
DROP TRIGGER stats_changed_order ON trades;
CREATE TRIGGER stats_changed_order AFTER UPDATE ON trades
    FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION stats_note_changed_order();
"""


def _trigger(columns):
    return _TRIGGER.format(changed=" OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in columns))


class Migration(migrations.Migration):

    dependencies = [("stats", "0004_other_fees"), ("orders", "0008_entry_fees")]

    operations = [
        migrations.RunSQL(
            _trigger(_WATCHED), _trigger([name for name in _WATCHED if name != "entry_fee"])
        ),
        migrations.AddField(
            model_name="dailyresult",
            name="closed_fee",
            field=models.DecimalField(decimal_places=36, default=0, max_digits=60),
            preserve_default=False,
        ),
        migrations.RunSQL(
            f"INSERT INTO stats_dirty (user_id, day) SELECT DISTINCT user_id, {DAY.format(row='')} FROM trades",
            migrations.RunSQL.noop,
        ),
    ]
