"""What a worked example is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A strategy to start from: texts as the strategies' page shows them."""

    name: str
    description: str
    timeframe: str
    code: str
