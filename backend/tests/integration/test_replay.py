"""Recorded trades become candles, signals, decisions and orders; everybody's record agrees.

`ARISTOBOT_REPLAY_HOURS=59 ARISTOBOT_REPLAY_SPEED=60` replays the whole recording, in an hour.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.system.instance import Instance, wait_until
from tests.system.judge import query
from tests.system.scenario import RECORDING, Desk, assert_clean, cut_recording, data_folder, open_desk

HOURS = float(os.environ.get("ARISTOBOT_REPLAY_HOURS", "4.2"))  # by default one candle of 4 h closes
SPEED = os.environ.get("ARISTOBOT_REPLAY_SPEED", "240")
LASTS_S = HOURS * 3600 / float(SPEED)
BOTS = 2

pytestmark = [
    pytest.mark.timeout(600 + LASTS_S),
    pytest.mark.skipif(
        not (data_folder() / RECORDING).exists(),
        reason=f"the recording {RECORDING} is not in ../shared/data nor in ARISTOBOT_TEST_DATA",
    ),
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return cut_recording(tmp_path / "XRPETH.parquet", hours=HOURS)


@pytest.fixture
def desk(tmp_path: Path, recording: Path) -> Iterator[Desk]:
    instance = Instance(tmp_path / "instance", feed=f"trades:{recording}", speed=SPEED)
    try:
        instance.start(timeout_s=240.0)
        yield open_desk(instance, bots=BOTS, amount="1")
    finally:
        instance.stop()


def test_replayed_market_is_traded_and_every_record_agrees(desk: Desk, recording: Path) -> None:
    wait_until(lambda: _ended(desk.simex_url), timeout_s=240 + LASTS_S, what="the recording ends", period_s=1.0)
    wait_until(
        lambda: desk.count("candles_heartbeat WHERE signal_type = '4h'") >= 1,
        timeout_s=60,
        what=lambda: f"the 4 h candle closes\n{desk.instance.tail()}",
    )
    desk.stop_bots()
    desk.wait_settled()
    compared = assert_clean(desk.judge(recording))
    # How often they trade depends on how many closes the machine keeps up with at this speed.
    assert desk.count("trades WHERE status = 'filled'") >= BOTS, compared
    _screen_agrees(desk)
    print(f"\ncompared: {compared}")  # noqa: T201 — the figures of the run


def _ended(simex_url: str) -> bool:
    return bool(httpx.get(f"{simex_url}/__sim/run", timeout=10.0).json().get("ended"))


def _screen_agrees(desk: Desk) -> None:
    """What the API shows of each order is the row, to the last decimal."""
    shown = {row["client_order_id"]: row for row in desk.trader.all("/api/trades/")}
    rows = query(desk.database_url, "SELECT client_order_id, status, filled_quantity, profit_loss FROM trades")
    assert len(shown) == len(rows)
    for row in rows:
        body = shown[row["client_order_id"]]
        assert body["status"] == row["status"]
        assert Decimal(body["filled_quantity"]) == row["filled_quantity"]
        assert (body["profit_loss"] is None) == (row["profit_loss"] is None)
