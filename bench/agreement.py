"""`bench backtest --agreement`: our trades beside those of backtesting.py, each difference under a named rule.

The peer runs in its own environment, by its own script, and plays our rules as far as it lets one set them (size
in steps from the signal's close, protections cut to the tick, no slippage, the same fee on both legs). What
remains is what it does otherwise; a difference that none of these rules explains is shown as it is.
"""

import json
import subprocess
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from apps.core.adapters.strategy_host.child import user_scope
from bench.backtest import PEERS, PEERS_FOLDER, WITHIN_S, PeerAbsent, python_of, write_candles
from bench.backtest_child import CODE, MARKET, WARM_UP
from bench.figures import Cell, Outcome, table
from domain.backtest.contract import BacktestJob, BacktestReport, BacktestSettings, CandleSeries, ExitReason
from domain.backtest.run import run as play
from domain.markets import Market

RECORDED = Path(__file__).resolve().parents[2] / "shared/data/freqtrade_11pairs_5m_2018-01.parquet"
_SCRIPT = "backtesting_py_trades.py"
CASH, SHARE, FEE = 10_000.0, 0.1, 0.001  # as in the peer's script
_CLOSE = 1e-9  # relative: what floats may add to a price

TOUCHED = "objectif touché sans être traversé : exécuté chez lui, pas chez nous"
BETTER = "ouverture au-delà de l'objectif : exécuté à l'ouverture chez lui, à son prix chez nous"
HOLE = "bougies manquantes : tenu ou ouvert à travers chez lui, jamais chez nous"
SIZE = (
    "même position, autre taille : chacun 10 % de son solde ; nos frais sont arrondis vers le haut à 8 décimales, "
    "et une différence passée reste dans les soldes"
)
TIED = "moyennes égales à l'arrondi près au signal"
AFTER = "suite d'une différence : l'un était encore en position"
RULES = (TOUCHED, BETTER, HOLE, SIZE, TIED, AFTER)


@dataclass(frozen=True, slots=True)
class Ride:
    """One position of either engine; `left` and `sold` are None while it is open. Bars, steps, quote."""

    entered: int
    left: int | None
    steps: int
    bought: float
    sold: float | None
    target: float | None = None  # ours only, as the next one
    reason: str = ""


@dataclass
class Comparison:
    """How many trades are the same, how many differ under each rule, and what no rule explains."""

    ours: int
    theirs: int
    same: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    unexplained: list[tuple[Ride | None, Ride | None]] = field(default_factory=list)


def compare(
    ours: Sequence[Ride], theirs: Sequence[Ride], candles: CandleSeries, gaps: Any, *, step: float
) -> Comparison:
    """Compare position by position.

    Args:
        gaps: at each bar |fast - slow| over slow, of the two averages that signal.
        step: in base.
    """
    return _Comparer(ours, theirs, candles, gaps, step).result()


class _Comparer:
    def __init__(
        self, ours: Sequence[Ride], theirs: Sequence[Ride], candles: CandleSeries, gaps: Any, step: float
    ) -> None:
        self._ours, self._theirs, self._candles, self._gaps, self._step = ours, theirs, candles, gaps, step
        self._balances = [_balances(rides, step) for rides in (ours, theirs)]
        self._found = Comparison(len(ours), len(theirs))
        self._explained: set[int] = set()  # bars at which a position that differs by a known rule began

    def result(self) -> Comparison:
        ours, theirs = ({ride.entered: ride for ride in rides} for rides in (self._ours, self._theirs))
        for entered in sorted(ours.keys() | theirs.keys()):
            one, other = ours.get(entered), theirs.get(entered)
            if one is not None and other is not None and self._same(one, other):
                self._found.same += 1
                continue
            rule = self._both(one, other) if one and other else self._single(entered, one, other)
            if rule is None:
                self._found.unexplained.append((one, other))
                continue
            self._found.rules[rule] += 1
            self._explained.add(entered)
        return self._found

    def _same(self, one: Ride, other: Ride) -> bool:
        prices = ((one.bought, other.bought), (one.sold, other.sold))
        return (one.left, one.steps) == (other.left, other.steps) and all(_close(*pair) for pair in prices)

    def _both(self, one: Ride, other: Ride) -> str | None:
        """Both bought at the same open."""
        if not _close(one.bought, other.bought):
            return None
        if one.reason == ExitReason.HOLE:
            return HOLE
        if one.left == other.left and _close(one.sold, other.sold):
            return SIZE if self._sized_alike(one, other) else None
        if not self._sized_alike(one, other) or other.left is None or one.target is None:
            return None
        if one.left == other.left:
            opened = float(self._candles.open[other.left])
            return (
                BETTER
                if _close(one.sold, one.target) and _close(other.sold, opened) and opened > one.target
                else None
            )
        earlier = one.left is None or other.left < one.left
        return TOUCHED if earlier and _close(float(self._candles.high[other.left]), one.target) else None

    def _sized_alike(self, one: Ride, other: Ride) -> bool:
        """Tell whether each size is the share of its balance, and the balances as close as what is known allows."""
        worth = float(self._candles.close[one.entered - 1]) * self._step
        balances = [known[one.entered] for known in self._balances]
        wanted = [balance * SHARE / worth for balance in balances]
        if abs(one.steps - wanted[0]) > 1.01 or abs(other.steps - wanted[1]) > 1.01:
            return False
        differed = any(self._found.rules[rule] for rule in RULES if rule is not SIZE)
        orders = 2 * bisect_right(self._ours, one.entered, key=lambda ride: ride.entered)
        return differed or abs(balances[0] - balances[1]) <= orders * 1e-8 + _CLOSE

    def _single(self, entered: int, one: Ride | None, other: Ride | None) -> str | None:
        """One of them bought, the other did not."""
        times, signal = self._candles.open_time_ms, entered - 1
        if one is None and times[entered] - times[signal] != self._candles.step_ms:
            return HOLE
        busy = _holding(self._theirs if one else self._ours, signal)
        if busy is not None and busy.entered in self._explained:
            return AFTER
        return TIED if busy is None and self._gaps[signal - 1 : signal + 1].min() < _CLOSE else None


def _balances(rides: Sequence[Ride], step: float) -> dict[int, float]:
    """Return the balance before each position, by the bar of its entry."""
    found, balance = {}, CASH
    for ride in rides:
        found[ride.entered] = balance
        if ride.sold is not None:
            balance += ride.steps * step * (ride.sold * (1 - FEE) - ride.bought * (1 + FEE))
    return found


def _holding(rides: Sequence[Ride], bar: int) -> Ride | None:
    """Return the position held at a bar's close."""
    at = bisect_right(rides, bar, key=lambda ride: ride.entered) - 1
    return rides[at] if at >= 0 and (rides[at].left is None or bar < (rides[at].left or 0)) else None


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _CLOSE * max(abs(one), abs(other))


def run(*, bars: int, peers_dir: Path, install: bool = False) -> Outcome:
    """Compare on the bench's walk, and on the recorded pairs where they are.

    Raises:
        PeerAbsent: backtesting.py is not installed, or failed.
    """
    found: dict[str, Comparison] = {}
    python = python_of(PEERS[0], peers_dir, install=install)
    with tempfile.TemporaryDirectory() as folder:
        markets = list(_markets(Path(folder), bars))  # before the sandbox's imports, which leave pyarrow out
        for name, market, path, step_ms in markets:
            found[name] = _one(market, path, step_ms, python)
    return summary(found)


def _markets(folder: Path, bars: int) -> Iterator[tuple[str, Market, Path, int]]:
    yield f"marche aléatoire, {bars} bougies 1m", MARKET, write_candles(folder / "walk.npz", bars), 60_000
    if not RECORDED.exists():
        return
    import pandas as pd

    market = replace(MARKET, tick_size=Decimal("1e-8"), step_size=Decimal(1), min_notional=None)
    for pair, rows in pd.read_parquet(RECORDED).groupby("pair"):
        path = folder / f"{pair}.npz"
        times = rows["date"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
        prices = {name: np.round(rows[name].to_numpy("float64"), 8) for name in ("open", "high", "low", "close")}
        np.savez(path, time_ms=times, volume=rows["volume"].to_numpy("float64"), **prices)
        yield f"{pair}, {len(rows)} bougies 5m", market, path, 300_000


def _one(market: Market, path: Path, step_ms: int, python: Path) -> Comparison:
    with np.load(path) as stored:
        columns = [stored[name] for name in ("time_ms", "open", "high", "low", "close", "volume")]
    candles = CandleSeries(step_ms, *columns)
    step = float(market.step_size)
    return compare(_ours(market, candles), _theirs(market, path, python), candles, _gaps(candles), step=step)


def _ours(market: Market, candles: CandleSeries) -> list[Ride]:
    settings = BacktestSettings(
        market=market, initial_amount=Decimal(int(CASH)), slippage_ratio=Decimal(0), first_bar=WARM_UP
    )
    report = play(BacktestJob(CODE, {}, settings, seed=1), candles, scope=user_scope())
    return list(_rides(report, market, candles))


def _rides(report: BacktestReport, market: Market, candles: CandleSeries) -> Iterator[Ride]:
    def target(entered: int) -> float:
        wanted = (
            Decimal(str(float(candles.close[entered - 1]))) * Decimal("1.04") // market.tick_size * market.tick_size
        )
        return float(wanted)

    for trade in report.outcome.trades:
        entry, steps = trade.entry_bar, int(trade.quantity / market.step_size)
        prices = float(trade.entry_price), float(trade.exit_price)
        yield Ride(entry, trade.exit_bar, steps, *prices, target(entry), trade.reason.value)
    held = report.outcome.open_position
    if held is not None:
        steps = int(held.quantity / market.step_size)
        yield Ride(held.entry_bar, None, steps, float(held.entry_price), None, target(held.entry_bar))


def _theirs(market: Market, candles: Path, python: Path) -> list[Ride]:
    inverse = [str(int(1 / size)) for size in (market.tick_size, market.step_size)]
    done = subprocess.run(
        [str(python), str(PEERS_FOLDER / _SCRIPT), str(candles), *inverse, str(WARM_UP)],
        check=False, capture_output=True, text=True, timeout=WITHIN_S,
    )  # fmt: skip
    if done.returncode:
        raise PeerAbsent(f"{PEERS[0].name} a échoué : {(done.stderr.strip() or done.stdout.strip())[-300:]}")
    rows = json.loads(done.stdout.splitlines()[-1])["trades"]
    return sorted((Ride(*row) for row in rows), key=lambda ride: ride.entered)


def _gaps(candles: CandleSeries) -> Any:
    import pandas as pd

    closes = pd.Series(candles.close)
    fast, slow = (closes.ewm(span=span, adjust=False).mean().to_numpy() for span in (10, 20))
    return np.abs(fast - slow) / slow


def summary(found: Mapping[str, Comparison]) -> Outcome:
    """Count under each rule; a difference that none explains is written out."""
    counts = [
        (each.ours, each.theirs, each.same, *(each.rules[rule] for rule in RULES), len(each.unexplained))
        for each in found.values()
    ]
    rows: list[tuple[Cell, ...]] = [(name, *count) for name, count in zip(found, counts, strict=True)]
    rows.append(("Total", *(sum(column) for column in zip(*counts, strict=True))))
    letters = [chr(ord("a") + number) for number in range(len(RULES))]
    head = ("Marché", "chez nous", "chez lui", "identiques", *letters, "inexpliquées")
    odd = [
        f"Inexpliquée, {name} : {one} / {other}" for name, each in found.items() for one, other in each.unexplained
    ]
    named = "\n".join(f"{letter} : {rule}." for letter, rule in zip(letters, RULES, strict=True))
    figures = {
        name: {
            "ours": each.ours,
            "theirs": each.theirs,
            "same": each.same,
            "rules": dict(each.rules),
            "unexplained": len(each.unexplained),
        }
        for name, each in found.items()
    }
    text = (f"{PEERS[0].packages[0]}, mêmes règles.", table(head, rows), named, *odd[:20])
    return Outcome("backtest", {"agreement": figures}, "\n\n".join(text))
