"""`.env` files and where the configuration comes from."""

from pathlib import Path

import pytest

from launcher.environment import load_configuration, parse_env, read_configuration
from launcher.errors import EXIT_USAGE, LauncherError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("  A = two words ", {"A": "two words"}),
        ("A='quoted # kept'", {"A": "quoted # kept"}),
        ('A="quoted"', {"A": "quoted"}),
        ("A=value # comment", {"A": "value"}),
        ("A=url#fragment", {"A": "url#fragment"}),
        ("A=", {"A": ""}),
        ("A=b=c", {"A": "b=c"}),
        ("# comment", {}),
        ("", {}),
    ],
)
def test_line_of_an_env_file_is_read(line: str, expected: dict[str, str]) -> None:
    assert parse_env(line, "test") == expected


def test_bad_line_is_named_without_its_content() -> None:
    with pytest.raises(LauncherError) as caught:
        parse_env("A=1\nmy secret words\n", "/x/.env")
    assert caught.value.message == "/x/.env, ligne 2 : attendu « NOM=valeur »."
    assert caught.value.exit_code == EXIT_USAGE


def test_environment_wins_over_data_folder_which_wins_over_repository(tmp_path: Path) -> None:
    root, data = tmp_path / "root", tmp_path / "data"
    for folder, text in ((root, "A=root\nB=root\nC=root\n"), (data, "B=data\nC=data\n")):
        folder.mkdir()
        (folder / ".env").write_text(text)
    assert read_configuration(root, data, {"C": "process"}) == {"A": "root", "B": "data", "C": "process"}


def test_variable_set_to_nothing_counts_as_absent(tmp_path: Path) -> None:
    assert "DATABASE_URL" not in read_configuration(tmp_path, tmp_path, {"DATABASE_URL": ""})


def test_first_run_generates_a_private_secret_key_that_later_runs_keep(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1")
    first = load_configuration(tmp_path / "root", tmp_path, {})
    again = load_configuration(tmp_path / "root", tmp_path, {})
    assert len(first["SECRET_KEY"]) >= 50
    assert again == first
    assert first["A"] == "1"
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_given_secret_key_is_not_replaced(tmp_path: Path) -> None:
    assert load_configuration(tmp_path, tmp_path, {"SECRET_KEY": "given"})["SECRET_KEY"] == "given"
    assert not (tmp_path / ".env").exists()
