"""The only writer of `stats_daily`: computes anew the days of a user on which an order changed.

Exact at every moment: an order and the note of its day are committed together, and a day is computed after its
notes were taken, so it holds every order whose note is gone.
"""

from collections.abc import Sequence
from datetime import date

from django.db import connection, transaction

from apps.stats.models import DirtyDay

# The trigger of the migration and the index on `trades` say the day in these words.
_DAY = "(COALESCE(market_time, created_at) AT TIME ZONE 'UTC')::date"
# "BTC/USDT" and "BTC/USDT:USDT" both count in USDT.
_BASE = "split_part(symbol, '/', 1)"
_QUOTE = "split_part(split_part(symbol, '/', 2), ':', 1)"
_EXECUTED = "filled_quantity * COALESCE(average_price, 0)"
# Nothing in a third currency: no rate is known.
_FEE_IN_QUOTE = f"""CASE
        WHEN fee = 0 OR fee_currency = {_QUOTE} THEN fee
        WHEN fee_currency = {_BASE} THEN fee * COALESCE(average_price, 0)
    END"""

_COMPUTE = f"""
INSERT INTO stats_daily (
    user_id, broker_id, day, source, owner, strategy_id, symbol, quote, fee_currency,
    order_count, refused_count, trade_count, win_count, loss_count,
    gross_profit, gross_loss, best_trade, worst_trade, fee, fee_in_quote, closed_fee, volume
)
SELECT
    user_id, broker_id, {_DAY}, source, owner, strategy_id, symbol, {_QUOTE}, fee_currency,
    COUNT(*),
    COUNT(*) FILTER (WHERE status IN ('rejected', 'expired')),
    COUNT(profit_loss),
    COUNT(*) FILTER (WHERE profit_loss > 0),
    COUNT(*) FILTER (WHERE profit_loss < 0),
    COALESCE(SUM(profit_loss) FILTER (WHERE profit_loss > 0), 0),
    COALESCE(SUM(profit_loss) FILTER (WHERE profit_loss < 0), 0),
    MAX(profit_loss),
    MIN(profit_loss),
    SUM(fee),
    SUM({_FEE_IN_QUOTE}),
    COALESCE(SUM(COALESCE(entry_fee, 0) + COALESCE({_FEE_IN_QUOTE}, 0)) FILTER (WHERE profit_loss IS NOT NULL), 0),
    SUM({_EXECUTED})
FROM trades
WHERE user_id = %s AND {_DAY} = ANY(%s)
GROUP BY user_id, broker_id, {_DAY}, source, owner, strategy_id, symbol, fee_currency
"""  # noqa: S608 - no value of anybody is put into the text


@transaction.atomic
def bring_up_to_date(user_id: int) -> int:
    """Compute the days of a user whose orders changed since the last time; return how many there were."""
    _lock(user_id)
    days = _take_notes(user_id)
    if days:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM stats_daily WHERE user_id = %s AND day = ANY(%s)", [user_id, days])
            cursor.execute(_COMPUTE, [user_id, days])
    return len(days)


def bring_everybody_up_to_date() -> int:
    """Do so for every user with changed orders; return how many users there were."""
    waiting = list(DirtyDay.objects.values_list("user_id", flat=True).distinct())
    for user_id in waiting:
        bring_up_to_date(user_id)
    return len(waiting)


def _take_notes(user_id: int) -> Sequence[date]:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM stats_dirty WHERE user_id = %s RETURNING day", [user_id])
        return sorted({day for (day,) in cursor.fetchall()})


def _lock(user_id: int) -> None:
    """One computation at a time: a second one would not see the rows of the first and insert them again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"stats:{user_id}"])
