"""Timeframes: how long a candle lasts and where it starts, aligned on the UTC epoch."""

import enum
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Timeframe(enum.Enum):
    """A candle's length. The value is ccxt's name; members are in order of length."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M10 = "10m"
    M15 = "15m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"

    @property
    def milliseconds(self) -> int:
        """Length in milliseconds."""
        return _MILLISECONDS[self.value]

    @property
    def duration(self) -> timedelta:
        return timedelta(milliseconds=self.milliseconds)

    def open_ms(self, at_ms: int) -> int:
        """Return the opening time (ms since the epoch) of the candle that contains `at_ms`."""
        return at_ms - at_ms % self.milliseconds

    def open_time(self, at: datetime) -> datetime:
        """Return the opening time of the candle that contains `at` (aware)."""
        return from_ms(self.open_ms(to_ms(at)))

    @classmethod
    def parse(cls, value: str) -> "Timeframe":
        """Return the timeframe named `value`.

        Raises:
            InvalidInput: the name is not one of the eight.
        """
        try:
            return cls(value)
        except ValueError as exc:
            from domain.errors import InvalidInput

            known = ", ".join(t.value for t in cls)
            raise InvalidInput(
                f"Unité de temps « {value} » inconnue : choisir parmi {known}.", details={"timeframe": value}
            ) from exc


_MILLISECONDS = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "10m": 600_000,
    "15m": 900_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
}

HEARTBEAT_TIMEFRAMES: tuple[Timeframe, ...] = tuple(Timeframe)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime, exact (no float)."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def from_ms(milliseconds: int) -> datetime:
    """Aware UTC datetime of milliseconds since the epoch, exact."""
    return _EPOCH + timedelta(milliseconds=milliseconds)
