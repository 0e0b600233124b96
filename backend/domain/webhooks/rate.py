"""A token bucket: so many calls a minute, all of them at once if they like."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Full at its beginning. Times are monotonic seconds."""

    per_minute: int
    level: float
    at: float

    @classmethod
    def full(cls, per_minute: int, *, at: float) -> "Bucket":
        return cls(per_minute, float(per_minute), at)

    def take(self, *, at: float, per_minute: int) -> bool:
        """Take one if there is one; `per_minute` may have changed since the last time."""
        self.per_minute = per_minute
        grown = self.level + (at - self.at) * per_minute / 60
        self.level, self.at = min(grown, float(per_minute)), at
        if self.level < 1:
            return False
        self.level -= 1
        return True
