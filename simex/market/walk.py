"""The seeded walk: trades as a pure function of (seed, symbol, minute).

Ids stay contiguous because the number of trades of a minute is integer arithmetic on a hash,
summed from a fixed epoch in checkpoints of a day. Prices are octaves of noise rather than a
running sum, so that any range costs what its length costs. A day is always computed whole, so
that no answer depends on how the range was cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from simex.market.klines import Kline
from simex.market.tradelog import Block, Ints
from simex.units import to_units8

MINUTE_MS = 60_000
DAY_MS = 86_400_000
EPOCH_DAY = 17_532  # 2018-01-01: nothing is older
EPOCH_MS = EPOCH_DAY * DAY_MS
CHUNK_DAYS = 64
OCTAVES = 21
MINUTE_SIGMA = 0.0003
# Quantiles of an exponential of mean 8, in integers so that counts never depend on rounding.
COUNTS = np.array([min(60, (8 * 693 * k * k) // 2_000_000 + 1) for k in range(64)], dtype=np.int64)

Hashes: TypeAlias = npt.NDArray[np.uint64]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WalkShape:
    """What a market looks like: reference price, increments, usual size of a trade."""

    base_price: Decimal
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    usual_notional: Decimal


@dataclass(frozen=True)
class Shift:
    """From a market time on, every price is multiplied by a ratio (the admin's `price`)."""

    from_ms: int
    ratio: float


@dataclass(frozen=True)
class Silence:
    """Whole minutes without a trade (the admin's `halt`), as market times."""

    from_ms: int
    to_ms: int

    def covers(self, time_ms: int) -> bool:
        """Tell whether the market is halted at a time."""
        return self.from_ms <= time_ms < self.to_ms


def _mix(values: Hashes, salt: int) -> Hashes:
    with np.errstate(over="ignore"):
        x = (values + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = x ^ (x >> np.uint64(31))
    return mixed


def _bell(hashes: Hashes) -> Floats:
    total = np.zeros(len(hashes))
    for shift in (0, 16, 32, 48):
        total += ((hashes >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float64)
    scaled: Floats = (total / 65_536.0 - 2.0) * 1.7320508075688772
    return scaled


class Walk:
    """A market that never ends and whose past can be asked from 2018 on."""

    head: Sequence[Kline] = ()

    def __init__(self, seed: int, symbol: str, shape: WalkShape) -> None:
        self.symbol = symbol
        self.first_ms = EPOCH_MS
        self.last_ms: int | None = None
        self.shape = shape
        self.shifts: tuple[Shift, ...] = ()
        self.silences: tuple[Silence, ...] = ()
        digest = sha256(f"simex:{seed}:{symbol}".encode()).digest()
        self._salts = [int.from_bytes(digest[i : i + 4], "big") << 31 for i in range(0, 32, 4)]
        self._agg_before: list[int] = [0]
        self._raw_before: list[int] = [0]
        self._growing = Lock()
        self._cached_day = lru_cache(maxsize=48)(self._compute_day)

    def add_shift(self, shift: Shift) -> None:
        """Move every price from a market time on."""
        self.shifts = (*self.shifts, shift)
        self._cached_day.cache_clear()

    def add_silence(self, silence: Silence) -> None:
        """Take every trade out of a span to come; the ids after it close up."""
        with self._growing:
            self.silences = (*self.silences, silence)
            kept = silence.from_ms // DAY_MS - EPOCH_DAY + 1
            del self._agg_before[kept:], self._raw_before[kept:]
        self._cached_day.cache_clear()

    def clear_silences(self) -> None:
        """Let the market trade as it was to."""
        with self._growing:
            self.silences = ()
            del self._agg_before[1:], self._raw_before[1:]
        self._cached_day.cache_clear()

    def blocks(self, start_ms: int, end_ms: int) -> Iterator[Block]:
        """Yield whole days that touch [start_ms, end_ms)."""
        first = max(start_ms // DAY_MS, EPOCH_DAY)
        for day in range(first, (end_ms - 1) // DAY_MS + 1):
            yield self._cached_day(day)

    def blocks_back(self, time_ms: int) -> Iterator[Block]:
        """Yield whole days from the one of time_ms towards 2018."""
        for day in range(time_ms // DAY_MS, EPOCH_DAY - 1, -1):
            yield self._cached_day(day)

    def block_with(self, agg_id: int) -> Block | None:
        """Return the day that holds an aggregate id."""
        if agg_id < 1:
            return None
        with self._growing:
            while self._agg_before[-1] < agg_id:
                self._extend()
        index = int(np.searchsorted(np.asarray(self._agg_before), agg_id, side="left")) - 1
        return self._cached_day(EPOCH_DAY + index)

    def _counts(self, minutes: Hashes) -> tuple[Ints, Ints]:
        pick = _mix(minutes, self._salts[0])
        trades = COUNTS[(pick & np.uint64(63)).astype(np.int64)]
        trades = np.where((pick >> np.uint64(8)) % np.uint64(100) < 12, 0, trades)
        burst = (pick >> np.uint64(20)) & np.uint64(127)
        trades = np.where(burst == 0, trades * 12, trades)
        for silence in self.silences:
            first, last = silence.from_ms // MINUTE_MS, silence.to_ms // MINUTE_MS
            trades = np.where((minutes >= first) & (minutes < last), 0, trades)
        extra = (pick >> np.uint64(32)).astype(np.int64) % (trades // 2 + 1)
        return trades, extra

    def _extend(self) -> None:
        start = (EPOCH_DAY + len(self._agg_before) - 1) * 1440
        minutes = np.arange(start, start + CHUNK_DAYS * 1440, dtype=np.uint64)
        trades, extra = self._counts(minutes)
        by_day = trades.reshape(CHUNK_DAYS, 1440).sum(axis=1)
        raw_by_day = by_day + extra.reshape(CHUNK_DAYS, 1440).sum(axis=1)
        self._agg_before += (self._agg_before[-1] + np.cumsum(by_day)).tolist()
        self._raw_before += (self._raw_before[-1] + np.cumsum(raw_by_day)).tolist()

    def _compute_day(self, day: int) -> Block:
        with self._growing:
            while len(self._agg_before) <= day - EPOCH_DAY:
                self._extend()
        minutes = np.arange(day * 1440, (day + 1) * 1440, dtype=np.uint64)
        trades, extra = self._counts(minutes)
        total = int(trades.sum())
        starts = np.cumsum(trades) - trades
        minute = np.repeat(np.arange(1440), trades)
        rank = np.arange(total) - np.repeat(starts, trades)
        key = minutes[minute] * np.uint64(4096) + rank.astype(np.uint64)
        time_ms = np.sort(self._times(minutes[minute], key))
        sweep = self._sweeps(key, rank)
        time_ms[sweep] = time_ms[np.flatnonzero(sweep) - 1]
        maker = (_mix(key, self._salts[2]) & np.uint64(1)).astype(bool)
        maker[sweep] = maker[np.flatnonzero(sweep) - 1]
        ticks = self._ticks(minutes, minute, time_ms, key, maker, sweep)
        price8 = ticks * to_units8(self.shape.tick)
        return self._assemble(day, starts, trades, extra, key, time_ms, maker, price8)

    def _times(self, minute: Hashes, key: Hashes) -> Ints:
        offset = _mix(key, self._salts[1]) % np.uint64(MINUTE_MS)
        times: Ints = (minute * np.uint64(MINUTE_MS) + offset).astype(np.int64)
        return times

    def _sweeps(self, key: Hashes, rank: Ints) -> npt.NDArray[np.bool_]:
        """Mark the trades that are the second level of the taker just before them."""
        wanted = (_mix(key, self._salts[3]) % np.uint64(7) == 0) & (rank > 0)
        alone: npt.NDArray[np.bool_] = wanted & ~np.roll(wanted, 1)
        return alone

    def _levels(self, minutes: Hashes) -> Floats:
        grid = np.append(minutes, minutes[-1] + np.uint64(1))
        level = np.zeros(len(grid))
        for octave in range(OCTAVES):
            cell = grid >> np.uint64(octave)
            share = (grid - (cell << np.uint64(octave))).astype(np.float64) / (1 << octave)
            salt = self._salts[4] + octave * 7_919
            left, right = _bell(_mix(cell, salt)), _bell(_mix(cell + np.uint64(1), salt))
            level += MINUTE_SIGMA * 2.0 ** (octave / 2) * (left + (right - left) * share)
        return level

    def _ticks(
        self,
        minutes: Hashes,
        minute: Ints,
        time_ms: Ints,
        key: Hashes,
        maker: npt.NDArray[np.bool_],
        sweep: npt.NDArray[np.bool_],
    ) -> Ints:
        level = self._levels(minutes)
        share = (time_ms % MINUTE_MS) / float(MINUTE_MS)
        inside = level[minute] + (level[minute + 1] - level[minute]) * share
        inside += 2.4 * MINUTE_SIGMA * share * (1 - share) * _bell(_mix(key, self._salts[5]))
        base = float(self.shape.base_price / self.shape.tick)
        ticks = np.rint(np.exp(inside) * base * self._ratios(time_ms)).astype(np.int64)
        half = np.maximum(ticks // 20_000, 0)
        ticks = np.maximum(ticks + np.where(maker, -half, half), 2)
        behind = np.flatnonzero(sweep) - 1
        ticks[sweep] = ticks[behind] + np.where(maker[sweep], -1, 1)
        return ticks

    def _ratios(self, time_ms: Ints) -> Floats:
        ratio = np.ones(len(time_ms))
        for shift in self.shifts:
            ratio[time_ms >= shift.from_ms] *= shift.ratio
        return ratio

    def _assemble(
        self,
        day: int,
        starts: Ints,
        trades: Ints,
        extra: Ints,
        key: Hashes,
        time_ms: Ints,
        maker: npt.NDArray[np.bool_],
        price8: Ints,
    ) -> Block:
        total = len(key)
        size = np.exp(1.1 * _bell(_mix(key, self._salts[6])))
        step8 = to_units8(self.shape.step)
        steps = float(self.shape.usual_notional) * size * 1e16 / price8 / step8
        least = max(1, to_units8(self.shape.min_quantity) // step8)
        quantity8 = np.maximum(np.rint(steps).astype(np.int64), least) * step8
        raw = np.ones(total, dtype=np.int64)
        owner = np.repeat(np.arange(1440), extra)
        spot = _mix(np.arange(len(owner), dtype=np.uint64), self._salts[7] + day)
        np.add.at(raw, starts[owner] + spot.astype(np.int64) % trades[owner], 1)
        last_id = self._raw_before[day - EPOCH_DAY] + np.cumsum(raw)
        agg_id = self._agg_before[day - EPOCH_DAY] + 1 + np.arange(total)
        return Block(agg_id, price8, quantity8, last_id - raw + 1, last_id, time_ms, maker)
