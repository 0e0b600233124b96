"""Options of `up` and refusals of the command line."""

from pathlib import Path

import pytest

from launcher.errors import EXIT_USAGE, LauncherError
from launcher.install import ROOT
from launcher.main import main
from launcher.options import UpOptions, feed_symbols, parse_feed


def test_feed_file_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trades.parquet").write_text("")
    monkeypatch.chdir(tmp_path)
    assert parse_feed("trades:trades.parquet") == f"trades:{tmp_path / 'trades.parquet'}"


@pytest.mark.parametrize("feed", ["trades:", "trades", "ticks:x", "", "walk:1"])
def test_unknown_feed_is_refused_with_the_choices(feed: str) -> None:
    with pytest.raises(LauncherError, match="attendu walk, trades:FICHIER"):
        parse_feed(feed)


def test_absent_recording_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match=f"{tmp_path}/none.csv n'existe pas"):
        parse_feed(f"candles:{tmp_path}/none.csv")


def test_real_market_has_no_file_and_the_usual_symbols() -> None:
    assert parse_feed("binance") == "binance"
    assert feed_symbols("binance", None) == ("BTCUSDT", "ETHUSDT")
    assert feed_symbols("binance", "solusdt") == ("SOLUSDT",)


@pytest.mark.parametrize(
    ("feed", "configured", "expected"),
    [
        ("walk", None, ("BTCUSDT", "ETHUSDT")),
        ("walk", " xrpeth, BTCUSDT ", ("XRPETH", "BTCUSDT")),
        ("trades:/d/binance_XRPETH_aggTrades_2019-10-11_13.parquet", None, ("XRPETH",)),
        ("candles:/d/BTCUSDT-5m.csv", None, ("BTCUSDT",)),
        ("candles:/d/BTCUSDT-5m.csv", "ETHUSDT", ("ETHUSDT",)),
    ],
)
def test_symbols_come_from_the_configuration_or_the_feed(
    feed: str, configured: str | None, expected: tuple[str, ...]
) -> None:
    assert feed_symbols(feed, configured) == expected


def test_recording_without_a_symbol_in_its_name_asks_for_it() -> None:
    with pytest.raises(LauncherError, match="indiquez-le par HEARTBEAT_SYMBOLS"):
        feed_symbols("candles:/USDT/freqtrade_11pairs_5m.parquet", None)


def test_options_survive_the_passage_to_the_supervised_process() -> None:
    options = UpOptions(port=9, data_dir=Path("/d"), feed="walk", speed="60", dev=True, browser=False)
    line = ["--port", "9", "--data-dir", "/d", "--feed", "walk", "--speed", "60", "--dev", "--no-browser"]
    assert options.arguments() == line


def test_default_data_folder_is_in_the_repository() -> None:
    assert UpOptions().data_dir == ROOT / ".aristobot"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["up", "--port", "70000"], "--port 70000"),
        (["up", "--feed", "binance", "--speed", "60"], "à sa propre vitesse"),
        (["up", "--feed", "binance", "--speed", "max"], "à sa propre vitesse"),
        (["bench", "nothing"], "attendu backtest"),
        (["manage"], "indiquez une commande"),
    ],
)
def test_refused_command_says_why_and_exits_2(
    line: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == EXIT_USAGE
    assert said in capsys.readouterr().err


def test_status_of_a_stopped_instance_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--data-dir", str(tmp_path)]) == 1
    assert f"aucune instance n'utilise {tmp_path}" in capsys.readouterr().out
