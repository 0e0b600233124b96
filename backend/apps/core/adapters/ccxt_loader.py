"""Imports the asynchronous half of ccxt only.

`import ccxt` runs the package's own `__init__`, which imports a synchronous class for each of its hundred
exchanges before the asynchronous ones: half of the seconds that terminal 5 takes to start, for classes that
nothing here uses. The package is entered without that file, with the names its asynchronous half asks it for.

`ccxt.pro` (the same classes with WebSocket calls added) is entered in the same way, one exchange at a time:
its own `__init__` imports all of them. One class costs some 20 to 70 ms once and less than 1 MiB.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

_PACKAGE = "ccxt"
_PRO = f"{_PACKAGE}.pro"


def load_ccxt() -> Any:
    """Return `ccxt.async_support`. Takes seconds the first time."""
    if _PACKAGE not in sys.modules:
        try:
            _enter_package()
            importlib.import_module(f"{_PACKAGE}.async_support")
        except ImportError:
            # A version that asks its package for more: the ordinary way, only slower.
            for name in [each for each in sys.modules if each.split(".")[0] == _PACKAGE]:
                del sys.modules[name]
    return importlib.import_module(f"{_PACKAGE}.async_support")


def load_ccxt_pro(exchange: str) -> Any | None:
    """Return the WebSocket class of one exchange, a subclass of its asynchronous one; None where ccxt has none.

    Only that exchange's module is imported. Its calls besides `watch…` are those of the asynchronous class.
    """
    package = sys.modules[load_ccxt().__package__.split(".")[0]]
    if _PRO not in sys.modules:
        pro = ModuleType(_PRO)
        pro.__path__ = [f"{folder}/pro" for folder in package.__path__]
        sys.modules[_PRO] = package.pro = pro  # type: ignore[attr-defined]
    try:
        module = importlib.import_module(f"{_PRO}.{exchange}")
    except ModuleNotFoundError as exc:
        if exc.name != f"{_PRO}.{exchange}":
            raise
        return None
    return getattr(module, exchange)


def _enter_package() -> None:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{_PACKAGE} is not installed")
    package = ModuleType(_PACKAGE)
    package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations)
    sys.modules[_PACKAGE] = package
    errors = importlib.import_module(f"{_PACKAGE}.base.errors")
    for name in errors.__all__:
        setattr(package, name, getattr(errors, name))
    package.Exchange = importlib.import_module(f"{_PACKAGE}.base.exchange").Exchange  # type: ignore[attr-defined]
