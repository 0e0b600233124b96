"""The options of `./aristobot up`, checked before anything is installed or started."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import EXIT_USAGE, LauncherError
from launcher.install import ROOT

DEFAULT_PORT = 8000
_FILE_FEEDS = ("trades", "candles")
BINANCE = "binance"
_USUAL_SYMBOLS = ("BTCUSDT", "ETHUSDT")
_SYMBOL = re.compile(r"^[A-Z0-9]{2,12}(?:USDT|USDC|FDUSD|BUSD|TUSD|EUR|TRY|BTC|ETH|BNB)$")


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """What to start. Paths are absolute; `feed` is `walk`, `binance`, `trades:FILE` or `candles:FILE`."""

    port: int = DEFAULT_PORT
    data_dir: Path = ROOT / ".aristobot"
    feed: str = "walk"
    speed: str = "1"
    dev: bool = False
    browser: bool = True
    heartbeats: int = 1
    gateways: int = 1
    beside: bool = False

    def arguments(self) -> list[str]:
        """The same options as a command line."""
        line = ["--port", str(self.port), "--data-dir", str(self.data_dir), "--feed", self.feed]
        line += ["--speed", self.speed]
        line += ["--heartbeats", str(self.heartbeats)] if self.heartbeats > 1 else []
        line += ["--gateways", str(self.gateways)] if self.gateways > 1 else []
        line += ["--dev"] if self.dev else []
        line += ["--beside"] if self.beside else []
        return line + ([] if self.browser else ["--no-browser"])


_FASTEST = 3600  # market seconds per second; beyond it, `max` paces the market by its listeners


def add_up_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `up`."""
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port de l'interface (8000)")
    add_data_dir_argument(parser)
    parser.add_argument(
        "--feed",
        default="walk",
        help="walk (sans internet) | trades:FICHIER | candles:FICHIER | binance (prix réels, argent simulé)",
    )
    parser.add_argument("--speed", default="1", type=market_speed, help="vitesse du marché simulé : 1, 60, max (1)")
    parser.add_argument("--dev", action="store_true", help="Vite en terminal 4, rechargement à chaud")
    parser.add_argument(
        "--heartbeats", type=int, choices=(1, 2), default=1, help="2 : un heartbeat secondaire prend le relais (1)"
    )
    parser.add_argument(
        "--gateways",
        type=int,
        choices=(1, 2),
        default=1,
        help="2 : un service CCXT de secours (1)",
    )
    parser.add_argument(
        "--beside", action="store_true", help="démarre une copie à côté de son instance d'origine (danger)"
    )
    parser.add_argument("--no-browser", action="store_true", help="n'ouvre pas le navigateur")


def add_data_dir_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir`."""
    parser.add_argument("--data-dir", default=None, help="dossier de tout ce que l'instance écrit (.aristobot)")


def data_dir_of(namespace: argparse.Namespace) -> Path:
    """The data folder of a command: the caller's path, or `.aristobot` in the repository."""
    given: str | None = namespace.data_dir
    return Path(given).resolve() if given else ROOT / ".aristobot"


def up_options(namespace: argparse.Namespace) -> UpOptions:
    """Check the options of `up`.

    Raises:
        LauncherError: a port out of range, an unknown feed, a recording that is not there, or a speed that the
            real market does not have.
    """
    if not 1 <= namespace.port <= 65535:
        raise LauncherError(f"--port {namespace.port} : attendu un nombre de 1 à 65535.", EXIT_USAGE)
    feed = parse_feed(namespace.feed)
    if feed == BINANCE and namespace.speed != "1":
        raise LauncherError(
            f"--speed {namespace.speed} : le vrai marché va à sa propre vitesse, --feed binance n'accepte que "
            "--speed 1 (sa valeur par défaut).",
            EXIT_USAGE,
        )
    return UpOptions(
        port=namespace.port,
        data_dir=data_dir_of(namespace),
        feed=feed,
        speed=namespace.speed,
        dev=namespace.dev,
        browser=not namespace.no_browser,
        heartbeats=namespace.heartbeats,
        gateways=namespace.gateways,
        beside=namespace.beside,
    )


def market_speed(text: str) -> str:
    """Check a speed: `max`, or market seconds per second."""
    if text == "max" or (text.isdigit() and 1 <= int(text) <= _FASTEST):
        return text
    raise argparse.ArgumentTypeError(f"vitesse « {text} » inconnue : 1, 60, max, ou un nombre jusqu'à {_FASTEST}")


def parse_feed(feed: str) -> str:
    """Check a feed and make its path absolute.

    Raises:
        LauncherError: see `up_options`.
    """
    if feed in ("walk", BINANCE):
        return feed
    kind, _, name = feed.partition(":")
    if kind not in _FILE_FEEDS or not name:
        raise LauncherError(
            f"--feed {feed} : attendu walk, trades:FICHIER, candles:FICHIER ou binance.", EXIT_USAGE
        )
    path = Path(name).resolve()
    if not path.is_file():
        raise LauncherError(f"--feed {feed} : le fichier {path} n'existe pas.", EXIT_USAGE)
    return f"{kind}:{path}"


def feed_symbols(feed: str, configured: str | None) -> tuple[str, ...]:
    """Which symbols the simulated exchange trades and the heartbeat follows.

    Args:
        feed: a checked feed.
        configured: `HEARTBEAT_SYMBOLS`, which wins; else a recording's file name says which
            (`binance_XRPETH_aggTrades.parquet`).

    Raises:
        LauncherError: the file name holds no symbol.
    """
    named = tuple(each.strip().upper() for each in (configured or "").split(",") if each.strip())
    if named:
        return named
    if feed in ("walk", BINANCE):
        return _USUAL_SYMBOLS
    path = Path(feed.partition(":")[2])
    found = tuple(part for part in re.split(r"[^A-Za-z0-9]+", path.name) if _SYMBOL.match(part))
    if not found:
        raise LauncherError(
            f"--feed {feed} : le nom du fichier ne contient aucun symbole (comme XRPETH) ; "
            "indiquez-le par HEARTBEAT_SYMBOLS=XRPETH.",
            EXIT_USAGE,
        )
    return tuple(dict.fromkeys(found))
