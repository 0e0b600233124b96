"""Runs a simulated exchange of the test's own on a free port."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
_READY = "simex ready on "
_MINUTE_MS = 60_000
_QUIET_MINUTES = 60  # far more in a row than a walk ever has without a trade


class SimexProcess:
    """A running simex; `admin` calls its `/__sim/` routes."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url
        self._http = httpx.Client(timeout=10.0)  # one: each makes a TLS context, which costs more than the request

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, f"{self.url}/__sim/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def new_account(self) -> dict[str, str]:
        """Return the credentials of a new account by ccxt's names."""
        made = self.admin("POST", "accounts", {})
        return {"apiKey": made["api_key"], "secret": made["api_secret"]}

    def move_price(self, symbol: str, price: str) -> None:
        """Move a market at speed `step`, and let it go on until somebody has traded at the new price.

        A tenth of a walk's minutes are without a trade, so no span of time is sure to hold one; which ones they
        are depends on the day the market starts, that is on when the tests are run.
        """
        before = self._newest_trade(symbol)
        self.admin("POST", "price", {"symbol": symbol, "price": price})
        for _ in range(_QUIET_MINUTES):
            self.admin("POST", "clock", {"advance_ms": _MINUTE_MS})
            if self._newest_trade(symbol) != before:
                return
        raise RuntimeError(f"nobody traded {symbol} in {_QUIET_MINUTES} minutes")

    def _newest_trade(self, symbol: str) -> int:
        answer = self._http.get(f"{self.url}/api/v3/aggTrades", params={"symbol": symbol, "limit": 1})
        answer.raise_for_status()
        (newest,) = answer.json()
        return int(newest["a"])

    def orders_logged(self, client_order_id: str) -> list[dict[str, Any]]:
        """Return the requests that placed an order of that client id, by the exchange's own log."""
        log = self.admin("GET", "log")
        entries = log["entries"] if isinstance(log, dict) else log
        return [
            entry
            for entry in entries
            if entry.get("method") == "POST"
            and entry.get("path") == "/api/v3/order"
            and client_order_id in str(entry)
        ]


@contextlib.contextmanager
def running_simex(*options: str, port: int = 0) -> Iterator[SimexProcess]:
    """Start `python -m simex` and wait until it says where it listens."""
    command = [sys.executable, "-m", "simex", "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield SimexProcess(process, _address(process))
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _address(process: "subprocess.Popen[str]") -> str:
    if process.stdout is None:
        raise RuntimeError("simex was started without its output")
    for line in process.stdout:
        if line.startswith(_READY):
            return line.removeprefix(_READY).split()[0]
    raise RuntimeError(f"simex ended with code {process.wait()} before it was ready")
