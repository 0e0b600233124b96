"""Backs up an instance under load, loses it, and restores it beside an exchange that went on without it.

The exchange's own record is the judge: every order made after the backup is found, once, and explained.
"""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.caller import calling
from tests.system.hand import trading_by_hand
from tests.system.instance import Instance, wait_until
from tests.system.judge import query
from tests.system.scenario import (
    EVERY_CLOSE,
    RECORDING,
    Desk,
    assert_clean,
    cut_recording,
    data_folder,
    open_desk,
)
from tests.system.trader import Trader

BOTS = 2
SEED = 20261126

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (data_folder() / RECORDING).exists(),
        reason=f"the recording {RECORDING} is not in ../shared/data nor in ARISTOBOT_TEST_DATA",
    ),
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return cut_recording(tmp_path / "XRPETH.parquet", hours=6)


@pytest.fixture
def desk(tmp_path: Path, recording: Path) -> Iterator[Desk]:
    instance = Instance(tmp_path / "first", feed=f"trades:{recording}", speed="60")
    try:
        instance.start(timeout_s=240.0)
        yield open_desk(instance, bots=BOTS, code=EVERY_CLOSE, amount="1")
    finally:
        instance.stop()


def test_backup_under_load_restores_to_what_the_exchange_knows(desk: Desk, recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "sauvegarde.aristobot"
    with calling(desk), trading_by_hand(desk, seed=SEED) as hand:
        wait_until(lambda: desk.count("trades WHERE status = 'filled'") >= 5, timeout_s=60, what="orders fill")
        saved = desk.instance.command("backup", str(file))
        assert saved.returncode == 0, saved.stderr
        before = desk.count("trades")
        wait_until(lambda: desk.count("trades") >= before + 8, timeout_s=60, what="orders after the backup")
    assert hand.placed > 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    desk.instance.kill_all()

    again = Instance(tmp_path / "second", feed=f"trades:{recording}", speed="60")
    restored = again.command("restore", str(file), "--simex", str(desk.instance.data_dir / "simex"))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "arrêtez-la AVANT" in restored.stdout
    try:
        again.start(timeout_s=120.0)
        _reconcile_and_resume(_same_desk(again, desk), recording)
    finally:
        again.stop()


def _same_desk(instance: Instance, desk: Desk) -> Desk:
    person = Trader(instance.url)
    person.login("lea")
    simex_url, database_url = instance.setting("SIMEX_URL"), instance.setting("DATABASE_URL")
    return Desk(instance, person, simex_url, database_url, bots=desk.bots, deposits=desk.deposits)


def _reconcile_and_resume(desk: Desk, recording: Path) -> None:
    report = _report(desk)
    assert report["found"] > 0, "orders were made after the backup"
    held = desk.trader.try_post(f"/api/bots/{desk.bots[0]}/resume/")
    assert held.status_code == 409
    assert held.json()["code"] == "restored"
    decided = desk.count("trades WHERE source <> 'external'")
    desk.wait_settled()
    assert_clean(desk.judge(recording))  # zero unexplained differences, and nothing was sent meanwhile
    assert desk.count("trades WHERE source <> 'external'") == decided
    assert desk.count("active_strategies WHERE is_active") == 0

    resumed = desk.trader.post("/api/restoration/confirm/")
    assert (resumed["resumed"], resumed["refusals"]) == (BOTS, [])
    assert desk.trader.get("/api/restoration/") == {"waiting": False}
    since = "created_at > (SELECT max(confirmed_at) FROM restorations)"
    wait_until(
        lambda: desk.count(f"trades WHERE source = 'strategy' AND {since}") > 0,
        timeout_s=60,
        what=lambda: f"the bots trade again\n{desk.instance.tail()}",
    )
    desk.stop_bots(sell=True)
    desk.wait_settled()
    assert_clean(desk.judge(recording))


def _report(desk: Desk) -> dict[str, Any]:
    """Wait until the exchange told everything: two reports in a row find as much."""
    seen: list[dict[str, Any]] = []

    def told() -> bool:
        body = desk.trader.get("/api/restoration/")
        if body["report"] is None:
            return False
        seen.append(body["report"])
        missing = query(
            desk.database_url,
            "SELECT count(*) AS n FROM trades WHERE status IN ('sending', 'unknown', 'pending')",
        )
        return bool(missing[0]["n"] == 0)

    wait_until(told, timeout_s=90, what=lambda: f"the exchange is asked\n{desk.instance.tail()}", period_s=0.5)
    return seen[-1]
