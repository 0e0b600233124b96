"""The export of a run's trades, as the one of Statistiques."""

from apps.backtest.trades import CsvRenderer, TradesFile

TRADE = {
    "number": 1,
    "entry_time": 1_772_459_100_000,  # 2026-03-02 13:45
    "exit_time": 1_772_460_000_000,
    "quantity": "0.5",
    "entry_price": "43159.5",
    "exit_price": "44000",
    "fees": "43.58",
    "profit": "-376.67",
    "profit_ratio": "-0.0174",
    "balance": "9623.33",
    "reason": "stop_loss",
    "ambiguous": True,
}


def test_trades_are_exported_as_a_french_spreadsheet_reads_them() -> None:
    lines = CsvRenderer().render(TradesFile([TRADE], "BTC/USDT")).decode().split("\r\n")
    assert lines[0].startswith(
        "\ufeffn°;entrée (UTC);sortie (UTC);quantité BTC;prix d'entrée;prix de sortie;frais USDT;"
    )
    assert lines[1] == (
        "1;2026-03-02 13:45:00;2026-03-02 14:00:00;0,5;43159,5;44000;43,58;-376,67;-1,7400;9623,33;Stop Loss;oui"
    )
