"""Lets the list of closed trades, newest first, read a page and no more."""

from django.db import migrations

FORWARD = """
CREATE INDEX trades_closed ON trades (user_id, market_time DESC, id DESC) WHERE profit_loss IS NOT NULL;
"""


class Migration(migrations.Migration):

    dependencies = [("stats", "0002_follow_trades")]

    operations = [migrations.RunSQL(FORWARD, "DROP INDEX trades_closed;")]
