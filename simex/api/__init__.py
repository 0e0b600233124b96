"""Binance's REST and WebSocket protocol around the engine."""
