"""The series of `bench signal`, and what is said of them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bench.figures import Outcome, Spread, percentile, plain, ratio, spread, table

MANY = 20
LOOPED = f"bots_{MANY}_loop"  # the same bots beside one of another user's that loops …
RESTING = f"bots_{MANY}_rest"  # … and between those closes, beside it while it rests
STEPS = (
    "signal → bail pris",
    "bail → réponse de la stratégie",  # candles and balance asked, code run
    "réponse → ordre écrit",  # the locks of bot and account taken, the row inserted
    "ordre écrit → ordre réclamé",  # committed, terminal 5 woken, earlier orders of that market out of the way
    "ordre réclamé → arrivée",
)


@dataclass(slots=True)
class Series:
    """Latencies of one kind of trader, in ms, over all rounds."""

    latencies: list[float] = field(default_factory=list)
    slowest: dict[float, float] = field(default_factory=dict)  # of each close, by its wall time
    steps: list[list[float]] = field(default_factory=lambda: [[] for _ in STEPS])
    evaluations: list[float] = field(default_factory=list)
    without_order: int = 0  # closes at which a trader sent nothing (its last order was still under way)
    missed: int = 0
    cpu_ms: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # by service, idle part taken off
    decisions: int = 0  # warm-up included, as the CPU time does

    def add(self, row: Mapping[str, Any], arrivals: Mapping[str, float]) -> None:
        """Add one decision.

        Args:
            row: of `bot_decisions` and its trade; moments in ms of wall time.
            arrivals: ms of wall time at the exchange, by client order id.
        """
        if row["status"] == "missed":
            self.missed += 1
            return
        arrived = arrivals.get(row["client_order_id"] or "")
        if arrived is None:
            self.without_order += 1
            return
        stamps = ("sent_ms", "leased_ms", "decided_ms", "written_ms", "claimed_ms")
        moments = [row[name] for name in stamps] + [arrived]
        self.latencies.append(arrived - moments[0])
        self.slowest[moments[0]] = max(self.slowest.get(moments[0], 0.0), arrived - moments[0])
        self.evaluations.append(float(row["evaluation_ms"] or 0))
        for step, (before, after) in zip(self.steps, pairwise(moments), strict=True):
            step.append(after - before)


def outcome(series: Mapping[str, Series], *, speed: int) -> Outcome:
    """Compare the six series: `bots_1`, `bare_1`, `bots_20`, `bare_20`, `bots_20_loop`, `bots_20_rest`."""
    spreads = {name: spread(each.latencies) for name, each in series.items()}
    one, many = "bots_1", f"bots_{MANY}"
    cpu_each = {name: _cpu_each(each) for name, each in series.items() if name not in (LOOPED, RESTING)}
    ratios = {
        "1_bot_to_1_bare": ratio(spreads[one], spreads["bare_1"]),
        f"{MANY}_bots_to_{MANY}_bare": ratio(spreads[many], spreads[f"bare_{MANY}"]),
        f"{MANY}_bots_to_1_bot": ratio(spreads[many], spreads[one]),
        f"{MANY}_bare_to_1_bare": ratio(spreads[f"bare_{MANY}"], spreads["bare_1"]),
        f"{MANY}_bots_beside_a_loop": ratio(spreads[LOOPED], spreads[RESTING]),
    }
    last = {name: percentile(list(series[name].slowest.values()), 0.5) for name in (LOOPED, RESTING)}
    figures = {
        "seconds_between_closes": round(60 / speed, 3),
        "signal_to_order_ms": {name: plain(each) for name, each in spreads.items()},
        "ratios": {name: plain(each) for name, each in ratios.items()},
        "steps_ms": {name: _steps(series[name]) for name in (one, many, LOOPED, RESTING)},
        "last_order_of_a_close": {
            **{name: round(each, 1) for name, each in last.items()},
            "ratio": round(last[LOOPED] / last[RESTING], 2),
        },
        "cpu_ms_per_decision": cpu_each,
        "cpu_ratios": {
            count: round(sum(cpu_each[f"bots_{count}"].values()) / cpu_each[f"bare_{count}"]["script"], 2)
            for count in (1, MANY)
        },
        "without_order": {name: each.without_order for name, each in series.items()},
        "missed": {name: each.missed for name, each in series.items()},
    }
    return Outcome("signal", figures, _text(series, spreads, figures))


def _cpu_each(series: Series) -> dict[str, float]:
    return {service: round(used / max(1, series.decisions), 1) for service, used in series.cpu_ms.items()}


def _steps(series: Series) -> dict[str, dict[str, float]]:
    found = {name: plain(spread(values)) for name, values in zip(STEPS, series.steps, strict=True)}
    return {**found, "dont code de la stratégie": plain(spread(series.evaluations))}


_LABELS = {
    "bots_1": "1 bot",
    "bare_1": "1 script nu",
    f"bots_{MANY}": f"{MANY} bots",
    f"bare_{MANY}": f"{MANY} scripts nus",
    LOOPED: f"{MANY - 1} bots, et un qui boucle",
    RESTING: f"{MANY - 1} bots, celui-là au repos",
}


def _text(series: Mapping[str, Series], spreads: Mapping[str, Spread], figures: Mapping[str, Any]) -> str:
    latencies = [
        (label, s.count, s.p50, s.p99, s.highest, series[name].without_order, series[name].missed)
        for name, label in _LABELS.items()
        for s in (spreads[name],)
    ]
    ratios = [(name.replace("_", " "), each["p50"], each["p99"]) for name, each in figures["ratios"].items()]
    steps = [
        (f"{_LABELS[name]} : {step}", each["p50"], each["p99"])
        for name, found in figures["steps_ms"].items()
        for step, each in found.items()
    ]
    costs = [
        (_LABELS[name], round(sum(each.values()), 1), ", ".join(f"{key} {ms:.1f}" for key, ms in each.items()))
        for name, each in figures["cpu_ms_per_decision"].items()
    ]
    return "\n\n".join(
        (
            table(
                ("Signal → arrivée de l'ordre (ms)", "n", "p50", "p99", "max", "sans ordre", "manqués"), latencies
            ),
            table(("Rapport", "p50", "p99"), ratios),
            table(("Étape (ms)", "p50", "p99"), steps),
            table(("CPU par décision (ms)", "total", "par service"), costs),
            _last_orders(figures["last_order_of_a_close"]),
            "CPU, rapport au script nu : " + ", ".join(f"{k} : {v}" for k, v in figures["cpu_ratios"].items()),
            f"Une clôture toutes les {figures['seconds_between_closes']} s.",
        )
    )


def _last_orders(last: Mapping[str, float]) -> str:
    return (
        f"Dernier ordre d'une clôture, au milieu des clôtures : {last[LOOPED]} ms à côté de la boucle, "
        f"{last[RESTING]} ms sans elle, rapport {last['ratio']}."
    )
