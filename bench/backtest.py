"""`bench backtest`: one strategy class over a year of one-minute candles, beside other back-testers.

The peers live in environments of their own, one each, that `--install-peers` makes under `--peers-dir`; those that
are not there, or fail, are named and left out. Every program runs in a process of its own on the same
candles; ratios are of CPU seconds of one run of this bench, so that a busy machine weighs on all alike.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures import Cell, Outcome, table

YEAR = 525_600  # one-minute candles
_ROOT = Path(__file__).resolve().parents[1]
PEERS_FOLDER = Path(__file__).parent / "peers"
_WARM_UP = 499
WITHIN_S = 3600
DEFAULT_DIR = Path(tempfile.gettempdir()) / "aristobot-bench-peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another back-tester: what to install for it and the script that plays the strategy with it.

    Args:
        share: how much of the year it plays; slow ones play a part, which is counted up.
    """

    name: str
    packages: tuple[str, ...]
    script: str
    share: float = 1.0


PEERS = (
    Peer("backtesting.py", ("backtesting==0.6.6",), "backtesting_py.py"),
    Peer("vectorbt", ("vectorbt==1.2.0",), "vectorbt_kernel.py"),
    Peer("backtrader", ("backtrader==1.9.78.123", "pandas"), "backtrader_loop.py", share=0.1),
    Peer("jesse", ("jesse",), "jesse_research.py", share=0.1),
    Peer("freqtrade", ("freqtrade==2026.9",), "freqtrade_loop.py", share=0.1),
    Peer("nautilus_trader", ("nautilus_trader==1.221.0",), "nautilus_engine.py", share=0.1),
)


def run(
    *, bars: int = YEAR, sizes: Sequence[int] = (), peers_dir: Path = DEFAULT_DIR, install: bool = False
) -> Outcome:
    """Measure our engine and the peers that are there.

    Args:
        bars: candles of the comparison.
        sizes: other numbers of candles for our engine alone, to see whether it is linear.
        install: make the peers' environments first.
    """
    with tempfile.TemporaryDirectory() as folder:
        year = write_candles(Path(folder) / "year.npz", bars)
        ours = best([_ours(year) for _ in range(3)])
        found: dict[str, dict[str, Any]] = {}
        absent: dict[str, str] = {}
        for peer in PEERS:
            try:
                found[peer.name] = _peer(peer, Path(folder), bars, peers_dir, install=install)
            except PeerAbsent as exc:
                absent[peer.name] = str(exc)
        linear = {size: _ours(write_candles(Path(folder) / f"{size}.npz", size)) for size in sizes}
    return summary(bars, ours, found, absent, linear)


class PeerAbsent(Exception):
    """A peer that could not be measured; the text says why."""


def write_candles(path: Path, count: int) -> Path:
    """Write a seeded walk of one-minute candles, prices to the cent, with our warm-up before them."""
    random = np.random.default_rng(1)
    total = count + _WARM_UP
    closes = np.round(30_000 * np.exp(np.cumsum(random.normal(0, 0.0007, total))), 2)
    opens = np.concatenate(([30_000.0], closes[:-1]))
    wicks = 1 + np.abs(random.normal(0, 0.0003, (2, total)))
    highs, lows = (
        np.round(np.maximum(opens, closes) * wicks[0], 2),
        np.round(np.minimum(opens, closes) / wicks[1], 2),
    )
    times: Any = 1_577_836_800_000 + 60_000 * np.arange(total, dtype="int64")
    volumes = np.round(random.uniform(1, 100, total), 3)
    np.savez(path, time_ms=times, open=opens, high=highs, low=lows, close=closes, volume=volumes)
    return path


def best(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the runs' figures, of each the least."""
    return {
        key: min(each[key] for each in runs) if key.endswith(("_s", "_mb")) else runs[0][key] for key in runs[0]
    }


def _ours(candles: Path) -> dict[str, Any]:
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_ROOT / "backend"), str(_ROOT)]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.backtest_child", str(candles)],
        cwd=_ROOT, env=env, check=True, capture_output=True, timeout=WITHIN_S,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _peer(peer: Peer, folder: Path, bars: int, peers_dir: Path, *, install: bool) -> dict[str, Any]:
    python = python_of(peer, peers_dir, install=install)
    part = write_candles(folder / "part.npz", int(bars * peer.share))
    try:
        done = subprocess.run(
            [str(python), str(PEERS_FOLDER / peer.script), str(part)],
            cwd=folder, check=False, capture_output=True, text=True, timeout=WITHIN_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        raise PeerAbsent(f"plus de {WITHIN_S} s") from exc
    if done.returncode:
        raise PeerAbsent(f"échec : {(done.stderr.strip() or done.stdout.strip())[-160:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    counted_up = {key: value / peer.share for key, value in found.items() if key in ("wall_s", "cpu_s", "trades")}
    return {**found, **counted_up, "share": peer.share}


def python_of(peer: Peer, peers_dir: Path, *, install: bool) -> Path:
    """Return the interpreter of a peer's environment. Raises PeerAbsent."""
    python = peers_dir / peer.name / "bin" / "python"
    if install and not python.exists():
        _install(peer, python)
    if not python.exists():
        raise PeerAbsent("pas installé (--install-peers)")
    return python


def _install(peer: Peer, python: Path) -> None:
    """Make a peer's environment with the user's own package index."""
    uv = Path(sys.executable).with_name("uv")
    for command in (
        [str(uv), "venv", "--quiet", "--python", sys.executable, str(python.parents[1])],
        [str(uv), "pip", "install", "--quiet", "--python", str(python), *peer.packages],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WITHIN_S)
        if done.returncode:
            raise PeerAbsent(f"installation impossible : {done.stderr.strip()[-160:]}")


def summary(
    bars: int,
    ours: dict[str, Any],
    peers: dict[str, dict[str, Any]],
    absent: dict[str, str],
    linear: dict[int, dict[str, Any]],
) -> Outcome:
    """Compare CPU seconds; a ratio above 1 is how many times slower the peer is."""
    ratios = {
        name: {
            "fast": round(each["cpu_s"] / ours["cpu_s"], 2),
            "proved": round(each["cpu_s"] / ours["proved_cpu_s"], 2),
        }
        for name, each in peers.items()
    }
    rows: list[tuple[Cell, ...]] = [
        ("aristobot, sans preuve", ours["wall_s"], ours["cpu_s"], ours["trades"], round(ours["peak_mb"]), 1.0, ""),
        ("aristobot, avec preuve", ours["proved_wall_s"], ours["proved_cpu_s"], ours["trades"], "", "", 1.0),
    ]
    rows += [
        (_label(name, each), each["wall_s"], each["cpu_s"], round(each["trades"]), round(each["peak_mb"]),
         ratios[name]["fast"], ratios[name]["proved"])
        for name, each in peers.items()
    ]  # fmt: skip
    per_candle = {size: each["cpu_s"] / size * 1e6 for size, each in linear.items()}
    head = ("Moteur", "s", "s CPU", "trades", "Mo", "× sans preuve", "× avec preuve")
    text = [
        f"{bars} bougies d'une minute, chemin {ours['path']}, {ours['checked']} bougies vérifiées.",
        table(head, rows),
    ]
    if linear:
        measured = [
            (f"{size} bougies", each["cpu_s"], per_candle[size], round(each["peak_mb"]))
            for size, each in linear.items()
        ]
        text.append(table(("Linéarité", "s CPU", "µs par bougie", "Mo"), measured))
    text += [f"Absent : {name}, {why}." for name, why in absent.items()]
    figures = {"bars": bars, "ours": ours, "peers": peers, "ratios": ratios, "absent": absent, "linear": linear}
    return Outcome("backtest", figures, "\n\n".join(text))


def _label(name: str, each: dict[str, Any]) -> str:
    return name if each["share"] == 1 else f"{name} (sur {each['share']:.0%}, ramené)"
