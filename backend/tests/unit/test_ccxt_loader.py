"""The asynchronous half of ccxt, loaded without the synchronous one."""

import subprocess
import sys
from pathlib import Path

BACKEND = Path(__file__).resolve().parents[2]

CHECK = """
import sys
from apps.core.adapters.ccxt_loader import load_ccxt
ccxt = load_ccxt()
assert load_ccxt() is ccxt
assert len(ccxt.exchanges) > 90
assert "ccxt.binance" not in sys.modules and "ccxt.async_support.binance" in sys.modules
import ccxt as package
assert issubclass(package.InsufficientFunds, package.BaseError)
assert ccxt.InsufficientFunds is package.InsufficientFunds
assert {ccxt.bitget().id, ccxt.kraken().id, ccxt.binance().id} == {"bitget", "kraken", "binance"}
print("loaded")
"""


def test_only_the_asynchronous_half_is_imported_and_its_errors_are_the_package_s() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=BACKEND, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stdout == "loaded\n", done.stderr
