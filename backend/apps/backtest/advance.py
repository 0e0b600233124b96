"""How far a phase is, as one measure that never goes back, whatever its steps say."""

_FELL = 0.5  # of what was said: a step that says less than that has begun again, one that says more only wavers


class Advance:
    """One phase. A step that begins again (the exact way after the fast one) fills what was left."""

    def __init__(self) -> None:
        self.share = 0.0
        self._base = 0.0
        self._said = 0.0

    def to(self, said: float) -> float:
        """Take what the step says, 0..1; return the share of the phase."""
        if said < self._said * _FELL:
            self._base = self.share
        self._said = said
        self.share = max(self.share, self._base + (1 - self._base) * said)
        return self.share
