"""`bench stats`: how long each panel of the statistics takes over 10⁴, 10⁵ and 10⁶ trades.

One PostgreSQL of its own, filled by SQL with trades spread over two years, 20 strategies, three webhook sources and
ten markets. Each panel is asked through Django's own handler, session included; beside it the sum that it replaces,
taken from the orders themselves, and what one more order costs.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Cell, Outcome, table
from launcher.embedded import Postgres

SIZES = (10_000, 100_000, 1_000_000)
PANELS = ("summary", "equity", "daily", "by-strategy", "by-webhook", "by-symbol", "trades")
GOAL_MS = 300
_REPEATS = 5
_FILL = """
INSERT INTO trades (
    user_id, broker_id, strategy_id, source, owner, intent, client_order_id, exchange_order_id, symbol, side, type,
    quantity, link_id, link_mode, filled_quantity, average_price, fee, fee_currency, profit_loss, reserved_currency,
    reserved_amount, status, error_code, error_message, created_at, updated_at, valid_until, check_count, trace_id,
    market_time
)
SELECT %(user)s, %(broker)s,
    CASE WHEN n %% 10 < 8 THEN (%(strategies)s::bigint[])[1 + n / 3 %% 20] END,
    CASE WHEN n %% 10 < 8 THEN 'strategy' WHEN n %% 10 = 8 THEN 'webhook' ELSE 'manual' END,
    CASE WHEN n %% 10 < 8 THEN 'bot:' || n / 3 %% 20 WHEN n %% 10 = 8 THEN 'webhook:' || n %% 3 ELSE 'manual' END,
    'exit', md5(n::text), n::text, 'C' || n / 7 %% 10 || '/USDT', 'sell', 'market',
    1, '', '', 1, 100 + n %% 7, 0.1, 'USDT', ((n::bigint * 7919) %% 2001 - 990) / 100.0, '',
    0, 'filled', '', '', now(), now(), now(), 0, '',
    timestamptz '2024-01-01 00:00:00+00' + n * (interval '730 days' / %(count)s)
FROM generate_series(%(first)s, %(last)s) AS n
"""
_PLAIN_SUM = (
    "SELECT symbol, SUM(profit_loss), SUM(fee), COUNT(*) FROM trades "
    "WHERE user_id = %s AND profit_loss IS NOT NULL GROUP BY symbol"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """At one size: milliseconds, the middle of five."""

    count: int
    panels: dict[str, float]
    plain_sum: float
    one_more_order: float
    whole_rollup: float
    rows: int


def run(*, sizes: tuple[int, ...] = SIZES) -> Outcome:
    """Measure at each size, the same database growing."""
    folder = Path(tempfile.mkdtemp(prefix="aristobot-bench-"))
    server = Postgres(folder / "pg")
    try:
        _set_up(server.start(), folder)
        return outcome(_measure_all(sizes))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def outcome(found: list[Measured]) -> Outcome:
    """Lay out what was measured."""
    header = ("ms", *(f"{each.count:,}".replace(",", " ") for each in found))
    rows: list[list[Cell]] = [[panel, *(each.panels[panel] for each in found)] for panel in PANELS]
    rows += [
        ["somme prise des ordres", *(each.plain_sum for each in found)],
        ["un ordre de plus, puis le résumé", *(each.one_more_order for each in found)],
        ["tout calculer de nouveau", *(each.whole_rollup for each in found)],
        ["lignes de stats_daily", *(each.rows for each in found)],
    ]
    slowest = max(found[-1].panels.values())
    growth = max(found[-1].panels[panel] / found[0].panels[panel] for panel in PANELS)
    text = "\n".join(
        [
            table(header, rows),
            "",
            f"Le panneau le plus lent à {found[-1].count} trades : {slowest:.0f} ms (but : {GOAL_MS}). "
            f"Du plus petit au plus grand nombre de trades, × {found[-1].count / found[0].count:.0f}, "
            f"un panneau ralentit au plus × {growth:.1f}.",
        ]
    )
    figures = {
        "sizes": [
            {
                "trades": each.count,
                "panels_ms": {name: round(value, 2) for name, value in each.panels.items()},
                "plain_sum_ms": round(each.plain_sum, 2),
                "one_more_order_ms": round(each.one_more_order, 2),
                "whole_rollup_ms": round(each.whole_rollup, 2),
                "rows": each.rows,
            }
            for each in found
        ],
        "slowest_ms": round(slowest, 2),
        "largest_growth": round(growth, 2),
    }
    return Outcome("stats", figures, text)


def _set_up(database_url: str, folder: Path) -> None:
    os.environ |= {
        "DATABASE_URL": database_url,
        "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody is there, and nobody is asked
        "SECRET_KEY": "secret-key-of-a-measure-never-of-an-instance",
        "DJANGO_SETTINGS_MODULE": "aristobot.settings",
        "ARISTOBOT_DATA_DIR": str(folder),
        "ALLOWED_HOSTS": "testserver",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _measure_all(sizes: tuple[int, ...]) -> list[Measured]:
    from apps.accounts.models import User
    from apps.brokers.models import Broker
    from apps.strategies.models import Strategy

    user = User.objects.create(username="mesure")
    broker = Broker.objects.create(user=user, name="Binance", exchange="binance", is_default=True)
    strategies = [
        Strategy.objects.create(user=user, name=f"Stratégie {number}", code="", timeframe="5m").pk
        for number in range(20)
    ]
    facts = {"user": user.pk, "broker": broker.pk, "strategies": strategies, "count": sizes[-1]}
    found, made = [], 0
    for size in sizes:
        _execute(_FILL, {**facts, "first": made + 1, "last": size})
        made = size
        found.append(_measure(user, broker, size))
    return found


def _measure(user: Any, broker: Any, size: int) -> Measured:
    from django.test import Client

    from apps.stats.models import DailyResult
    from apps.stats.services.rollup import bring_up_to_date

    _execute("ANALYZE", [])
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    whole = _once(lambda: bring_up_to_date(user.pk))

    def ask(panel: str) -> None:
        answer = client.get(f"/api/stats/{panel}/")
        if answer.status_code != 200:
            raise RuntimeError(f"{panel}: {answer.status_code} {answer.content[:300]!r}")

    def one_more() -> None:
        _execute("UPDATE trades SET fee = fee + 0.01 WHERE id = (SELECT MAX(id) FROM trades)", [])
        ask("summary")

    panels = {panel: _middle(lambda panel=panel: ask(panel)) for panel in PANELS}  # type: ignore[misc]
    return Measured(
        count=size,
        panels=panels,
        plain_sum=_middle(lambda: _execute(_PLAIN_SUM, [user.pk])),
        one_more_order=_middle(one_more),
        whole_rollup=whole,
        rows=DailyResult.objects.count(),
    )


def _execute(statement: str, values: Any) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _once(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _middle(work: Callable[[], Any]) -> float:
    work()  # the first one also warms up
    return statistics.median(_once(work) for _ in range(_REPEATS))
