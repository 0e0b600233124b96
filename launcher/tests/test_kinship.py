"""A copy of an instance does not start beside it, unless somebody asks for that."""

from pathlib import Path

import pytest

from launcher import kinship
from launcher.errors import EXIT_DATA_IN_USE, LauncherError
from launcher.screen import counted

KEY = "the key that both folders hold"


def test_copy_is_refused_while_the_other_runs_and_names_it(tmp_path: Path) -> None:
    first = kinship.hold(KEY, Path("/first"), folder=tmp_path)
    assert first is not None
    with pytest.raises(LauncherError, match=r"/copy est une copie de l'instance qui tourne dans /first") as caught:
        kinship.hold(KEY, Path("/copy"), folder=tmp_path)
    assert caught.value.exit_code == EXIT_DATA_IN_USE
    assert "--beside" in caught.value.message
    assert kinship.hold(KEY, Path("/copy"), beside=True, folder=tmp_path) is None
    first.close()
    again = kinship.hold(KEY, Path("/copy"), folder=tmp_path)
    assert again is not None
    again.close()


def test_instances_with_keys_of_their_own_run_side_by_side(tmp_path: Path) -> None:
    held = [kinship.hold(key, tmp_path / key, folder=tmp_path) for key in ("one", "two")]
    assert all(held)
    assert not any("one" in path.name or "two" in path.name for path in tmp_path.iterdir())
    for each in held:
        if each is not None:
            each.close()


def test_machine_without_a_folder_for_locks_starts_all_the_same(tmp_path: Path) -> None:
    assert kinship.hold(KEY, tmp_path, folder=tmp_path / "nowhere") is None


@pytest.mark.parametrize(("count", "told"), [(0, "0 ordre"), (1, "1 ordre"), (2, "2 ordres")])
def test_things_are_counted_as_the_french_do(count: int, told: str) -> None:
    assert counted(count, "ordre") == told
