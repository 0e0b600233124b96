"""A fast market on a folder begun at speed 1: the walk may not overtake the clock, so it is said and not hidden."""

from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import EXIT_USAGE, LauncherError
from launcher.market_pace import check_speed, walk_time_ms
from launcher.options import UpOptions
from simex.options import Options
from simex.simulation import Simulation

NOW_MS = 1_750_000_000_000
HOUR_MS = 3_600_000


def begun(data_dir: Path, speed: str, wall_ms: int = NOW_MS) -> UpOptions:
    """A folder whose market was begun at a speed, and the options that go on with it at speed 60."""
    Simulation(Options(speed=speed, data_dir=data_dir / "simex"), lambda: wall_ms).close()
    return UpOptions(data_dir=data_dir, speed="60")


def test_speed_up_of_a_folder_begun_at_speed_1_is_refused_with_the_way_out(tmp_path: Path) -> None:
    options = begun(tmp_path, "1")
    with pytest.raises(LauncherError, match=f"--speed 60 --data-dir {tmp_path}-60") as caught:
        check_speed(options, NOW_MS)
    assert "est déjà à l'heure de l'horloge" in caught.value.message
    assert caught.value.exit_code == EXIT_USAGE
    with pytest.raises(LauncherError, match="n'a que 9 h de retard"):  # 540 min at 59 a minute: 9 min
        check_speed(options, NOW_MS + 9 * HOUR_MS)
    with pytest.raises(LauncherError, match="--speed max impossible"):
        check_speed(replace(options, speed="max"), NOW_MS)


def test_speed_up_of_a_market_far_behind_is_allowed_and_says_until_when(tmp_path: Path) -> None:
    options = begun(tmp_path, "1")
    said = check_speed(options, NOW_MS + 59 * HOUR_MS)  # caught up in an hour
    assert "2 jours de retard" in said
    assert "la rejoint dans 1 h environ" in said


def test_speed_of_a_new_folder_of_a_fast_one_and_of_speed_1_is_fine(tmp_path: Path) -> None:
    assert check_speed(UpOptions(data_dir=tmp_path / "new", speed="60"), NOW_MS) == ""
    assert check_speed(begun(tmp_path / "fast", "60"), NOW_MS) == ""
    slowed = replace(begun(tmp_path / "slow", "1"), speed="1")
    assert check_speed(slowed, NOW_MS) == ""
    assert check_speed(replace(slowed, feed="trades:x.csv", speed="60"), NOW_MS) == ""


def test_time_of_the_walk_is_its_last_one_not_a_recording_s_nor_a_torn_line_s(tmp_path: Path) -> None:
    folder = tmp_path / "simex"
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(
        b'{"run":"a","key":"walk::42:","generation":0,"start":1,"clock":1}\n{"clock":7}\n{"clock":9}\n'
        b'{"run":"b","key":"trades:x:42:","generation":0,"start":3,"clock":3}\n{"clock":5}\n{"clock":99'
    )
    assert walk_time_ms(tmp_path) == 9
