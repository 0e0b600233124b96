"""`bench backtest --service`: what the cockpit adds to the engine from click to result, and how soon a run stops.

An instance of its own plays the specification's class over candles that SQL put into its database. A run's
delay is from the request's start to the answer that shows it done; the engine's own seconds are taken off.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench import desk
from bench.backtest_child import CODE
from bench.figures import Outcome, plain, spread, table
from tests.system.instance import Instance, family_of, wait_until
from tests.system.judge import query
from tests.system.trader import Trader

SYMBOL, OTHER_SYMBOL = "BTC/USDT", "ETH/USDT"
GOAL_S, GOAL_CANCEL_S = 2.0, 0.5
_RUNS, _CANCELS = 3, 5
_LONG = 2_000_000  # candles: more are played once
_WARM_UP = 500
# What terminal 3 says of a run's time, in its order.
_STEPS = {
    "sandbox": "bac à sable",
    "candles": "bougies",
    "transfer": "transfert",
    "play": "jeu",
    "columns": "mise en forme",
    "write": "écriture",
}
_TIMEOUT_S = 900.0
_LOOK_EVERY_S = 0.05  # a look costs the web server and PostgreSQL what the run would have had
TUNED = CODE.replace(
    "class EmaCrossStrategy(Strategy):\n",
    """class EmaCrossStrategy(Strategy):
    STRATEGY_PARAMS = {
        "fast": {"default": 10, "min": 2, "max": 20, "step": 1, "type": "int"},
        "slow": {"default": 20, "min": 20, "max": 60, "step": 1, "type": "int"},
    }

""",
).replace("length=10", 'length=self.params["fast"]').replace("length=20", 'length=self.params["slow"]')  # fmt: skip
EXACT = CODE.replace(
    "        ema10_now", "        sum(self.candles.values[-1])\n        ema10_now", 1
)  # no fast way
# What is cancelled: by name, where it is asked for and with what besides.
_PHASES: dict[str, tuple[str, dict[str, Any]]] = {
    "loading": ("", {}),
    "running": ("", {}),
    "sweep": ("sweeps/", {"space": {"fast": list(range(4, 20)), "slow": list(range(20, 50))}}),
}
_FILL = """
INSERT INTO candles (source, symbol, timeframe, open_time, close_time, open_price, high_price, low_price,
                     close_price, volume, is_flat)
SELECT %(source)s, %(symbol)s, '1m', %(start)s + i * interval '1 minute', %(start)s + (i + 1) * interval '1 minute',
       o, round(greatest(o, c) * 1.0003, 2), round(least(o, c) * 0.9997, 2), c, 10, false
FROM (SELECT i, c, coalesce(lag(c) OVER (ORDER BY i), 30000) AS o
      FROM (SELECT i, round((30000 * exp(sum(random_normal(0, 0.0007)) OVER (ORDER BY i)))::numeric, 2) AS c
            FROM generate_series(0, %(count)s - 1) AS i) AS walk) AS candles
ON CONFLICT DO NOTHING
"""


@dataclass(slots=True)
class Bench:
    """The instance, the person and the stretch that is played."""

    instance: Instance
    person: Trader
    broker: int
    end: datetime

    def body(self, strategy: int, bars: int, *, symbol: str = SYMBOL, **more: Any) -> dict[str, Any]:
        start = self.end - timedelta(minutes=bars)
        return {
            "strategy": strategy, "broker": self.broker, "symbol": symbol, "timeframe": "1m",
            "start_date": start.isoformat(), "end_date": self.end.isoformat(), "initial_amount": "10000", **more,
        }  # fmt: skip

    def strategy(self, name: str, code: str) -> int:
        made = self.person.post("/api/strategies/", name=name, description="", code=code, timeframe="1m")
        return int(made["id"])


def run(*, bars: int, combinations: int, sizes: Sequence[int] = ()) -> Outcome:
    """Measure.

    Args:
        bars: candles of a run.
        combinations: of the sweep; 0 = no sweep.
        sizes: other numbers of candles, each played once at the end: is it linear?
    """
    with desk.instance(speed=1) as instance:
        bench = open_bench(instance, "dev")
        filled_s = fill(bench, max(bars, *sizes, 0))
        runs = [_one_run(bench, bars) for _ in range(_RUNS if bars <= _LONG else 1)]
        longer = {size: _one_run(bench, size) for size in sizes}
        cancels = {phase: _cancels(bench, phase) for phase in _PHASES}
        sweep = _sweep(bench, bars, combinations) if combinations else None
    return _outcome(bars, filled_s, runs, longer, cancels, sweep)


def open_bench(instance: Instance, name: str) -> Bench:
    """Sign in and wait for the markets."""
    person = Trader(instance.url)
    person.login(name)
    broker = int(person.simulateur()["id"])
    wait_until(
        lambda: any(row["symbol"] == SYMBOL for row in person.all("/api/symbols/", broker=broker)),
        timeout_s=_TIMEOUT_S,
        what="the markets are loaded",
    )
    offer = person.get("/api/backtests/offer/", broker=broker, symbol=SYMBOL, timeframe="1m")
    present = datetime.fromisoformat(offer["candles"]["available_until"])
    return Bench(instance, person, broker, present - timedelta(hours=1))


def fill(bench: Bench, bars: int) -> float:
    """Put that many candles and the warm-up into the database, as verified; return the seconds it took."""
    began = time.monotonic()
    url = bench.instance.setting("DATABASE_URL")
    source = query(url, "SELECT candle_source FROM exchanges WHERE id = 'simex'")[0]["candle_source"]
    start = bench.end - timedelta(minutes=bars + _WARM_UP)
    key = {"source": source, "symbol": SYMBOL, "start": start, "end": bench.end, "count": bars + _WARM_UP}
    with psycopg.connect(url) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_FILL, key)
        connection.execute(
            "DELETE FROM candle_ranges WHERE source = %(source)s AND symbol = %(symbol)s AND timeframe = '1m'", key
        )
        connection.execute(
            'INSERT INTO candle_ranges (source, symbol, timeframe, start, "end", updated_at)'
            " VALUES (%(source)s, %(symbol)s, '1m', %(start)s, %(end)s, now())",
            key,
        )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE candles")
    return time.monotonic() - began


def _one_run(bench: Bench, bars: int) -> dict[str, float]:
    strategy = bench.strategy(f"Mesure {time.monotonic_ns()}", CODE)
    peak = _Peak(bench.instance)
    began = time.monotonic()
    made = bench.person.post("/api/backtests/", **bench.body(strategy, bars))
    done = _until(bench, made["id"], lambda row: row["status"] in ("done", "failed"), each=peak.look)
    lasted = time.monotonic() - began
    if done["status"] != "done":
        raise RuntimeError(done["error"])
    engine = done["engine"]["total_s"]
    return {
        "total_s": lasted,
        "engine_s": engine,
        "added_s": lasted - engine,
        "trades": done["total_trades"],
        "worker_mb": peak.mb,
        **_steps_of(bench.instance, made["id"]),
    }


def _steps_of(instance: Instance, run_id: int) -> dict[str, float]:
    """Return the seconds of each step of a run, as terminal 3 logged them just after its end."""

    def logged() -> dict[str, float] | None:
        for file in (instance.data_dir / "logs").glob("*.jsonl"):
            for line in reversed(file.read_text(encoding="utf-8").splitlines()):
                if "backtests.done" not in line:
                    continue
                fields = json.loads(line)["fields"]
                if (fields["kind"], fields["id"]) == ("BacktestResult", run_id):
                    return dict(fields["seconds"])
        return None

    wait_until(lambda: logged() is not None, timeout_s=30.0, what="the steps are logged")
    steps = logged() or {}
    return {step: float(steps.get(step, 0.0)) for step in _STEPS}


class _Peak:
    """The most memory that one process of terminal 3 held while it was looked at."""

    def __init__(self, instance: Instance) -> None:
        self._roots = instance.pids("trading_engine")
        self.mb = 0.0

    def look(self) -> None:
        for pid in {each for root in self._roots for each in family_of(root)}:
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue  # it ended while we read
            held = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
            self.mb = max(self.mb, held / 1024)


def _cancels(bench: Bench, phase: str) -> list[float]:
    """Return the seconds from the request to the answer that shows the run, or the sweep, cancelled."""
    strategy = bench.strategy(f"Annulation {phase}", TUNED if phase == "sweep" else EXACT)
    folder, more = _PHASES[phase]
    status = "loading" if phase == "loading" else "running"
    symbol = OTHER_SYMBOL if phase == "loading" else SYMBOL
    found = []
    for _ in range(_CANCELS):
        made = bench.person.post(f"/api/backtests/{folder}", **bench.body(strategy, 100_000, symbol=symbol, **more))
        name = f"{folder}{made['id']}"
        _until(bench, name, lambda row: row["status"] == status and row["phase_progress"] > 0)
        began = time.monotonic()
        bench.person.post(f"/api/backtests/{name}/cancel/")
        _until(bench, name, lambda row: row["status"] == "cancelled")
        found.append(time.monotonic() - began)
    return found


def _sweep(bench: Bench, bars: int, combinations: int) -> dict[str, Any]:
    strategy = bench.strategy("Balayage", TUNED)
    space = {
        "fast": [4 + number for number in range(4)],
        "slow": [20 + 5 * number for number in range(combinations // 4)],
    }
    began = time.monotonic()
    made = bench.person.post("/api/backtests/sweeps/", **bench.body(strategy, bars, space=space))
    done = _until(bench, f"sweeps/{made['id']}", lambda row: row["status"] in ("done", "failed"))
    lasted = time.monotonic() - began
    return {
        "combinations": done["total_runs"],
        "seconds": lasted,
        "per_minute": done["total_runs"] / lasted * 60,
        "proved": done["results"]["proof"]["runs"],
        "status": done["status"],
    }


def _until(
    bench: Bench, name: Any, check: Callable[[Mapping[str, Any]], bool], each: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    until = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < until:
        row: dict[str, Any] = bench.person.get(f"/api/backtests/{name}/")
        if check(row):
            return row
        each()
        time.sleep(_LOOK_EVERY_S)
    raise TimeoutError(f"backtest {name}: {row['status']} after {_TIMEOUT_S:g} s\n{bench.instance.tail()}")


def _outcome(
    bars: int,
    filled_s: float,
    runs: list[dict[str, float]],
    longer: dict[int, dict[str, float]],
    cancels: dict[str, list[float]],
    sweep: dict[str, Any] | None,
) -> Outcome:
    names = ("à froid (le premier de l'instance)", *(f"à chaud, {number}" for number in range(1, len(runs))))
    named = [*zip(names, runs, strict=True), *((f"{size} bougies", each) for size, each in longer.items())]
    rows: list[list[str | float]] = [
        [
            name,
            *(run[key] for key in ("total_s", "engine_s", "added_s")),
            run["total_s"] / run["engine_s"],
            round(run["worker_mb"]),
            *(run[step] for step in _STEPS),
        ]
        for name, run in named
    ]
    cold, least = runs[0]["added_s"], min(run["added_s"] for run in runs[1:] or runs)
    text = [
        f"{bars} bougies d'une minute en base (mises en {filled_s:.0f} s), du clic au résultat.",
        table(("", "s", "moteur", "ajouté", "clic/moteur", "Mo au plus", *_STEPS.values()), rows),
        f"Ajouté au moteur : {cold:.2f} s à froid, {least:.2f} s au mieux à chaud (but {GOAL_S:g}).",
        table(
            ("Annulation, s", "n", "p50", "la plus longue"),
            [(phase, len(each), spread(each).p50, max(each)) for phase, each in cancels.items()],
        ),
    ]
    if sweep is not None:
        text.append(
            f"Balayage : {sweep['combinations']} combinaisons en {sweep['seconds']:.0f} s, soit "
            f"{sweep['per_minute']:.1f} par minute ; {sweep['proved']} prouvées en entier."
        )
    figures = {
        "bars": bars,
        "runs": runs,
        "longer": longer,
        "added_s": round(least, 3),
        "cold_added_s": round(cold, 3),
        "cancel_s": {phase: plain(spread(each)) for phase, each in cancels.items()},
        "sweep": sweep,
        "goals": {
            "added": least <= GOAL_S,
            "cold_added": cold <= GOAL_S,
            "cancel": max(max(each) for each in cancels.values()) <= GOAL_CANCEL_S,
        },
    }
    return Outcome("backtest --service", figures, "\n\n".join(text))
