"""The backtest: honest first, then fast. Pure functions of candles, decisions and settings."""
