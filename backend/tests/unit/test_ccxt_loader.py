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


CHECK_PRO = """
import sys
from apps.core.adapters.ccxt_loader import load_ccxt, load_ccxt_pro
Pro = load_ccxt_pro("bitget")
assert load_ccxt_pro("bitget") is Pro
assert issubclass(Pro, load_ccxt().bitget)
assert Pro().has["watchOrders"] is True and not load_ccxt().bitget().has["watchOrders"]
assert load_ccxt_pro("bit2c") is None  # has no stream
assert [name for name in sys.modules if name.startswith("ccxt.pro.")] == ["ccxt.pro.bitget"]
print("loaded")
"""


def test_pro_class_of_one_exchange_is_loaded_without_the_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK_PRO], cwd=BACKEND, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stdout == "loaded\n", done.stderr
