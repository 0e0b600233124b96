"""What a terminal counts of itself, for Prometheus. No user, account or order is named by any of it.

Each process counts in its own registry; `Presence` leaves a snapshot in Redis every 2 s, and the web process
shows those of all terminals at `/metrics`. A terminal that starts anew counts from zero, as Prometheus expects.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

REGISTRY = CollectorRegistry()
_FAST = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

SIGNAL_DELAY = Histogram(
    "aristobot_signal_delay_seconds",
    "From the publication of a signal by the heartbeat to its reception by the engine.",
    buckets=_FAST,
    registry=REGISTRY,
)
DECISION = Histogram(
    "aristobot_decision_duration_seconds",
    "From the reception of a signal to the committed decision of one bot.",
    buckets=_FAST,
    registry=REGISTRY,
)
DECISIONS = Counter("aristobot_decisions", "Closes of bots, by what became of them.", ["status"], registry=REGISTRY)
ORDER_STATES = Counter(
    "aristobot_order_states", "Orders that came into a status, by status.", ["status"], registry=REGISTRY
)
RECONNECTS = Counter(
    "aristobot_reconnects", "Connections lost and opened again, by what they serve.", ["link"], registry=REGISTRY
)

Wire = list[Any]


def snapshot() -> list[Wire]:
    """Return everything that this process counts, as JSON can hold it."""
    return [
        [metric.name, metric.documentation, metric.type, [[s.name, s.labels, s.value] for s in metric.samples]]
        for metric in REGISTRY.collect()
    ]


def merged(snapshots: Mapping[str, Sequence[Wire]]) -> Iterator[Metric]:
    """Return the families of several terminals' snapshots, each sample with its terminal's label.

    What a terminal never counted is left out: most families are one terminal's.
    """
    families: dict[str, Metric] = {}
    for terminal, wires in snapshots.items():
        for name, documentation, kind, samples in wires:
            if kind in ("histogram", "counter") and not any(value for _, _, value in samples):
                continue  # another terminal's business
            family = families.setdefault(name, Metric(name, documentation, kind))
            # `_created` would double every series for nothing.
            family.samples += [
                Sample(sample, {**labels, "terminal": terminal}, value)
                for sample, labels, value in samples
                if not sample.endswith("_created")
            ]
    yield from families.values()


class Gauges:
    """Values that are asked for when they are shown: `(labels, value)` pairs by name."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], read: Callable[[], Sequence[tuple[Any, float]]]
    ) -> None:
        self._name, self._documentation, self._labels, self._read = name, documentation, labels, read

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, value in self._read():
            family.add_metric([str(label) for label in labels], value)
        yield family
