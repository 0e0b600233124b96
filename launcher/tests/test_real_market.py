"""`--feed binance`: who listens to what, and what the screen says of it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from launcher import real_market
from launcher.options import UpOptions
from launcher.services import Plan


def plan(feed: str, **configuration: str) -> Plan:
    return Plan(UpOptions(data_dir=Path("/d"), feed=feed), {"SECRET_KEY": "x", **configuration}, 18080)


def test_real_feed_lets_heartbeat_and_simulateur_follow_binance() -> None:
    made = plan("binance")
    environment = made.environment
    assert environment["BINANCE_REST_URL"] == "https://api.binance.com"
    assert environment["BINANCE_WS_URL"] == "wss://stream.binance.com:9443"
    assert environment["SIMEX_URL"] == "http://127.0.0.1:18080"
    assert environment["SIMEX_REAL_PRICES"] == "True"
    command = " ".join(made.simex().command)
    assert "--source live:https://api.binance.com --live-ws wss://stream.binance.com:9443" in command
    assert "--speed" not in command
    assert "--wait-for-consumer" not in command


@pytest.mark.parametrize(
    ("configured", "streams"),
    [
        ({"BINANCE_REST_URL": "http://127.0.0.1:9"}, "ws://127.0.0.1:9"),
        ({"BINANCE_REST_URL": "http://127.0.0.1:9", "BINANCE_WS_URL": "ws://127.0.0.1:8"}, "ws://127.0.0.1:8"),
        ({"BINANCE_WS_URL": "wss://data-stream.binance.vision"}, "wss://data-stream.binance.vision"),
    ],
)
def test_addresses_of_binance_may_be_others(configured: dict[str, str], streams: str) -> None:
    made = plan("binance", **configured)
    assert made.environment["BINANCE_WS_URL"] == streams
    assert f"--live-ws {streams}" in " ".join(made.simex().command)


def test_simulated_feed_is_followed_at_simex() -> None:
    made = plan("walk")
    assert made.environment["BINANCE_WS_URL"] == "ws://127.0.0.1:18080"
    assert made.environment["SIMEX_REAL_PRICES"] == "False"
    assert "--source walk --speed 1 --wait-for-consumer" in " ".join(made.simex().command)


@contextmanager
def answering(body: dict[str, Any]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        (None, None),
        ({"url": "u", "state": "away", "error": ""}, None),  # not tried yet
        ({"url": "https://u", "state": "connected", "error": ""}, "Binance répond (https://u)"),
        ({"url": "https://u", "state": "away", "error": "refusé"}, "Binance ne répond pas (https://u) : refusé."),
    ],
)
def test_state_of_the_real_market_is_told(upstream: dict[str, str] | None, said: str | None) -> None:
    with answering({"run": "x", **({"upstream": upstream} if upstream else {})}) as port:
        found = real_market.ask(port)
    assert (found is None) if said is None else (found is not None and found.french().startswith(said))


def test_absent_simex_says_nothing() -> None:
    assert real_market.ask(9) is None
