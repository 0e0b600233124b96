"""`bench heartbeat`: what a trade costs up to its eight candles, and how late a signal is after its close."""

import asyncio
from typing import Any

from bench import close_to_signal, desk, throughput
from bench.close_to_signal import Stamps
from bench.figures import Cell, Outcome, Spread, plain, ratio, spread, table
from bench.throughput import Throughput
from tests.system.instance import Instance
from tests.system.trader import Trader

_FLOOR_COUNT = 200
OwnLatency = dict[str, float | None]
_RATES = (8, 500)  # trades a minute: a quiet market closes a candle every few trades, a busy one seldom


def run(*, trades: int, minutes: int) -> Outcome:
    """Measure both.

    Args:
        trades: messages of the walk for the throughput.
        minutes: one-minute closes to time.
    """
    walks = [throughput.walk_sample(trades, per_minute=rate) for rate in _RATES]
    samples = [*walks, throughput.recorded_sample()]
    rates = [throughput.measure(sample) for sample in samples if sample is not None]
    with desk.instance() as instance:
        stamps, floor = asyncio.run(_delays(instance, minutes))
        own = _own_latency(instance)
    return _outcome(rates, stamps, floor, own)


async def _delays(instance: Instance, minutes: int) -> tuple[Stamps, list[float]]:
    stamps = await close_to_signal.watch(instance, minutes=minutes)
    return stamps, await close_to_signal.floor(instance, count=_FLOOR_COUNT)


def _own_latency(instance: Instance) -> OwnLatency:
    """What the heartbeat says of itself: from the batch that closes a candle to its signals sent."""
    person = Trader(instance.url)
    try:
        person.login("dev")
        status = person.get("/api/heartbeat/")["status"]
        return {name: status.get(f"latency_ms_{name}") for name in ("p50", "p99")}
    finally:
        person.close()


def _outcome(rates: list[Throughput], stamps: Stamps, floor: list[float], own: OwnLatency) -> Outcome:
    delay, least = spread(stamps.delays_ms()), spread(floor)
    figures: dict[str, Any] = {
        "throughput": [_rate_figures(rate) for rate in rates],
        "close_to_signal_ms": plain(delay),
        "floor_ms": plain(least),
        "times_floor": plain(ratio(delay, least)),
        "share_of_close_interval": {
            "p50": round(delay.p50 / _interval_ms(), 4),
            "p99": round(delay.p99 / _interval_ms(), 4),
        },
        "heartbeat_own_ms": own,
        "signals_unread": len(stamps.unread()),
    }
    return Outcome("heartbeat", figures, _text(rates, delay, least, own, len(stamps.unread())))


def _rate_figures(rate: Throughput) -> dict[str, Any]:
    return {
        "sample": rate.label,
        "trades": rate.trades,
        "candles": rate.candles,
        "trades_per_cpu_s": round(rate.trades_per_s),
        "ratio_of_orjson_rate": round(rate.share_of_orjson_rate, 4),
        "cost_times_orjson": round(rate.times_orjson, 2),
        "parse_times_orjson": round(rate.parse_s / rate.orjson_s, 2),
    }


def _text(rates: list[Throughput], delay: Spread, least: Spread, own: OwnLatency, unread: int) -> str:
    header = ("Débit", "messages", "bougies", "par s de CPU", "/ orjson seul", "coût × orjson", "dont lecture ×")
    rows = [
        (
            r.label,
            r.trades,
            r.candles,
            round(r.trades_per_s),
            f"{r.share_of_orjson_rate:.3f}",
            r.times_orjson,
            r.parse_s / r.orjson_s,
        )
        for r in rates
    ]
    times = ratio(delay, least)
    interval = _interval_ms()
    delays: list[tuple[Cell, ...]] = [
        ("message de clôture → signal lisible", delay.count, delay.p50, delay.p99, delay.highest),
        ("plancher : INSERT validé + XADD", least.count, least.p50, least.p99, least.highest),
        ("rapport au plancher", "", times.p50, times.p99, ""),
        (f"part de l'intervalle ({interval:.0f} ms)", "", delay.p50 / interval, delay.p99 / interval, ""),
        ("selon le heartbeat lui-même", "", own["p50"] or "?", own["p99"] or "?", ""),
    ]
    return "\n\n".join(
        (
            table(header, rows),
            table(("Délai (ms)", "n", "p50", "p99", "max"), delays),
            f"Signaux attendus et jamais lus : {unread}.",
        )
    )


def _interval_ms() -> float:
    """Wall time between two one-minute closes."""
    return 60_000 / desk.SPEED
