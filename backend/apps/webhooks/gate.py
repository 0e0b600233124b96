"""Judges a call at the door and commits it, in one go: whose address, from where, how often, how long."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, connection

from apps.webhooks.models import Webhook
from apps.webhooks.services import reception, tokens
from apps.webhooks.services.reception import Address, Arrival
from domain.webhooks.origins import TRADINGVIEW_ADDRESSES
from domain.webhooks.parse import MAX_BYTES
from domain.webhooks.rate import Bucket

DatabaseDown = (OperationalError, InterfaceError)
_REFUSALS_PER_MINUTE = 20  # written down per source; a flood of them is a line in the log


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A call refused at the door. `status` is all that its sender learns; the rest is for the source's owner."""

    status: int
    address: Address | None = None
    code: str = "not_found"
    reason: str = ""


class Limits:
    """How often each source was called; asked from several threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, int], Bucket] = {}

    def take(self, kind: str, source_id: int, per_minute: int) -> bool:
        """Tell whether one more is within the limit, and count it."""
        at = self._monotonic()
        with self._lock:
            bucket = self._buckets.setdefault((kind, source_id), Bucket.full(per_minute, at=at))
            return bucket.take(at=at, per_minute=per_minute)


class Gate:
    """Synchronous; each call holds its own transaction."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def receive(self, token: str, call: Arrival) -> Webhook | TurnedAway:
        """Commit a call, or tell why not.

        Raises:
            OperationalError, InterfaceError: PostgreSQL does not answer on a new connection either.
        """
        try:
            return self._receive(token, call)
        except DatabaseDown:
            # The connection may have died while idle. The call's reference makes keeping it again harmless.
            connection.close()
            return self._receive(token, call)

    def write_down(self, refused: TurnedAway, call: Arrival) -> Webhook | None:
        """Keep a refused call of a known source for its owner; None when there were too many of late."""
        address = refused.address
        if address is None or not self._limits.take("refusal", address.source_id, _REFUSALS_PER_MINUTE):
            return None
        return reception.keep_refused(address, call, code=refused.code, reason=refused.reason)

    def _receive(self, token: str, call: Arrival) -> Webhook | TurnedAway:
        address = reception.find(tokens.hash_of(token))
        if address is None:
            return TurnedAway(404)
        if address.obstacle is not None:
            return TurnedAway(404, address, *address.obstacle)
        if address.tradingview_only and call.remote_address not in TRADINGVIEW_ADDRESSES:
            reason = f"Adresse {call.remote_address} refusée : la source n'accepte que celles de TradingView."
            return TurnedAway(404, address, "wrong_address", reason)
        if not self._limits.take("call", address.source_id, address.rate_per_minute):
            reason = f"Cadence dépassée : {address.rate_per_minute} appels par minute au plus pour cette source."
            return TurnedAway(429, address, "too_many", reason)
        if len(call.body) > MAX_BYTES:
            return TurnedAway(413, address, "too_long", f"Message trop long : plus de {MAX_BYTES} octets.")
        return reception.keep(address, call)
