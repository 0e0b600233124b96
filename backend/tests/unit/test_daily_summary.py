"""When a summary is due, and what it says."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from domain.daily_summary import Due, Facts, OpenPositions, Result, checked_zone, compose, due_at
from domain.errors import InvalidInput

DUE = Due(date(2026, 11, 26), datetime(2026, 11, 26, 19, 0, tzinfo=UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-26T18:59:59", None),  # 19:59:59 in Paris
        ("2026-11-26T19:00:00", ("2026-11-26", "2026-11-26T19:00:00")),
        ("2026-11-26T22:59:00", ("2026-11-26", "2026-11-26T19:00:00")),  # after a restart, the same day still
        ("2026-11-26T23:30:00", None),  # it is the 27th there: the 26th has none any more
        ("2026-07-14T18:30:00", ("2026-07-14", "2026-07-14T18:00:00")),  # summer time
    ],
)
def test_summary_is_due_from_its_hour_until_the_local_day_ends(now: str, expected: tuple[str, str] | None) -> None:
    due = due_at(at(now), hour=20, zone="Europe/Paris")
    assert (None if due is None else (due.day.isoformat(), due.end)) == (
        None if expected is None else (expected[0], at(expected[1]))
    )


def test_unknown_zone_is_refused() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(InvalidInput):
            checked_zone(name)


def test_quiet_day_says_so() -> None:
    assert compose(DUE, Facts()) == (
        "Résumé du 26/11/2026, 24 heures jusqu'à 19:00 UTC.\n"
        "Résultat : aucun trade clos.\n"
        "Ordres : 0.\n"
        "Positions ouvertes : aucune.\n"
        "Bots actifs : 0.\n"
        "Incidents : aucun."
    )


def test_full_day_tells_results_positions_and_incidents() -> None:
    facts = Facts(
        results=[Result("real", "USDT", Decimal("-12.345"), 3, 1), Result("simulation", "USDC", Decimal(7), 1, 1)],
        positions=[OpenPositions("real", "USDT", 2, Decimal("1.5"))],
        orders=9,
        refused=2,
        incidents=[f"Incident {n}" for n in range(7)],
        active_bots=4,
        paused_bots=["EMA (BTC/USDT)"],
    )
    assert compose(DUE, facts).splitlines()[1:] == [
        "Réel : −12,35 USDT net, 3 trades clos, 1 gagnant.",  # half up
        "Simulation : +7 USDC net, 1 trade clos, 1 gagnant.",
        "Ordres : 9, dont 2 refusés.",
        "Positions ouvertes (Réel) : 2, latent +1,5 USDT.",
        "Bots actifs : 4.",
        "En pause sur erreur : EMA (BTC/USDT).",
        "Incidents : 7.",
        *(f"• Incident {n}" for n in range(5)),
        "… et 2 autres, dans « Mon Compte ».",
    ]
