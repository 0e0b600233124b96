"""simex: a simulated exchange that speaks Binance Spot's REST and WebSocket protocol.

Run with ``python -m simex --help``. The README of this folder says what is simulated and how.
"""
