"""The two accounts every simex has, with their fixed fake keys.

They open nothing anywhere else: simex listens on the loopback and its money is invented.
"""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256


@dataclass(frozen=True)
class BuiltIn:
    """A ready-made account."""

    account_id: str
    api_key: str
    api_secret: str


def derive_keys(seed: int, name: str) -> tuple[str, str]:
    """Return a (key, secret) pair of 64 characters that depends on seed and name only."""
    key = sha256(f"simex-key:{seed}:{name}".encode()).hexdigest()
    secret = sha256(f"simex-secret:{seed}:{name}".encode()).hexdigest()
    return key, secret


BUILT_IN = (
    BuiltIn("alice", "simex-alice-" + "A" * 52, "simex-secret-alice-" + "a" * 45),
    BuiltIn("bob", "simex-bob-" + "B" * 54, "simex-secret-bob-" + "b" * 47),
)
STARTING_ASSET = "USDT"
STARTING_AMOUNT = Decimal(10_000)
