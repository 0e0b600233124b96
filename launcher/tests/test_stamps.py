"""A step is skipped exactly when what it came from is unchanged."""

from pathlib import Path

import pytest

from launcher.stamps import content_stamp, is_current, write_stamp


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "src" / "views").mkdir(parents=True)
    (tmp_path / "src" / "views" / "Login.vue").write_text("login")
    (tmp_path / "src" / "main.ts").write_text("main")
    return tmp_path / "src"


def test_same_content_gives_the_same_stamp(tree: Path) -> None:
    assert content_stamp([tree]) == content_stamp([tree])


def test_changed_renamed_or_added_file_changes_the_stamp(tree: Path) -> None:
    stamps = [content_stamp([tree])]
    (tree / "main.ts").write_text("changed")
    stamps.append(content_stamp([tree]))
    (tree / "main.ts").rename(tree / "other.ts")
    stamps.append(content_stamp([tree]))
    (tree / "views" / "New.vue").write_text("")
    stamps.append(content_stamp([tree]))
    assert len(set(stamps)) == len(stamps)


def test_skipped_names_do_not_count(tree: Path) -> None:
    before = content_stamp([tree], skip=frozenset({"node_modules"}))
    (tree / "node_modules").mkdir()
    (tree / "node_modules" / "x.js").write_text("x")
    assert content_stamp([tree], skip=frozenset({"node_modules"})) == before


def test_stamp_is_current_only_after_the_same_one_was_written(tmp_path: Path) -> None:
    file = tmp_path / "stamp"
    assert not is_current(file, "a")
    write_stamp(file, "a")
    assert is_current(file, "a")
    assert not is_current(file, "b")
