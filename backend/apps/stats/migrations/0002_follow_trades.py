"""Lets PostgreSQL itself note which days of whom changed, in the transaction that changes an order."""

from django.db import migrations

# The market's day of an order: of its last execution, else of its decision, else of its making.
DAY = "(COALESCE({row}market_time, {row}created_at) AT TIME ZONE 'UTC')::date"
_WATCHED = (
    "status",
    "market_time",
    "strategy_id",
    "filled_quantity",
    "average_price",
    "profit_loss",
    "fee",
    "fee_currency",
)
_CHANGED = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in _WATCHED)

FORWARD = f"""
CREATE INDEX trades_market_day ON trades (user_id, ({DAY.format(row="")}));

CREATE FUNCTION stats_note_new_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stats_dirty (user_id, day) VALUES (NEW.user_id, {DAY.format(row="NEW.")});
    RETURN NULL;
END $$;

CREATE FUNCTION stats_note_changed_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stats_dirty (user_id, day) VALUES (NEW.user_id, {DAY.format(row="NEW.")});
    IF {DAY.format(row="OLD.")} <> {DAY.format(row="NEW.")} THEN
        INSERT INTO stats_dirty (user_id, day) VALUES (OLD.user_id, {DAY.format(row="OLD.")});
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER stats_new_order AFTER INSERT ON trades
    FOR EACH ROW EXECUTE FUNCTION stats_note_new_order();
CREATE TRIGGER stats_changed_order AFTER UPDATE ON trades
    FOR EACH ROW WHEN ({_CHANGED}) EXECUTE FUNCTION stats_note_changed_order();

INSERT INTO stats_dirty (user_id, day) SELECT DISTINCT user_id, {DAY.format(row="")} FROM trades;
"""
BACKWARD = """
DROP TRIGGER stats_changed_order ON trades;
DROP TRIGGER stats_new_order ON trades;
DROP FUNCTION stats_note_changed_order();
DROP FUNCTION stats_note_new_order();
DROP INDEX trades_market_day;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("stats", "0001_daily_results"),
        ("orders", "0004_order_types"),
    ]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
