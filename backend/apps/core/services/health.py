"""The state of every service, from what each last said and from a question to PostgreSQL and Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from domain.heartbeat_sources import PRIMARY, SECONDARY
from domain.ports import Clock

DEAD_AFTER_S = 8.0
TERMINALS = ("heartbeat", "trading_engine", "ccxt_service")
OPTIONAL = ("heartbeat_secondary", "ccxt_service_standby")
HEARTBEAT_NAMES = {PRIMARY: "heartbeat", SECONDARY: "heartbeat_secondary"}


class Report(Protocol):
    @property
    def since(self) -> datetime: ...
    @property
    def sent_at(self) -> datetime: ...
    @property
    def details(self) -> Mapping[str, Any]: ...


class PresenceReader(Protocol):
    """Reads the services' last words; None when Redis does not answer (implemented by an adapter)."""

    async def read(self, names: Sequence[str]) -> tuple[Mapping[str, Report], float] | None:
        """Return (reports, round trip in ms)."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """`body()` is what `/api/health/` answers."""

    services: Mapping[str, Mapping[str, Any]]

    @property
    def is_ready(self) -> bool:
        """True when a person can trade: every service answers, of two heartbeats one, whoever stands by."""
        up = {name for name, entry in self.services.items() if entry["state"] == "up"}
        heartbeats = set(HEARTBEAT_NAMES.values())
        return self.services.keys() - heartbeats - set(OPTIONAL) <= up and bool(up & heartbeats)

    def body(self) -> dict[str, Any]:
        stores = [self.services[name]["state"] for name in ("postgresql", "redis")]
        is_whole = all(entry["state"] == "up" for entry in self.services.values())
        status = "ok" if is_whole else "degraded"
        return {"status": "down" if "down" in stores else status, "services": dict(self.services)}


class HealthService:
    """Computes the health at a moment; keeps since when each store is in its state."""

    def __init__(self, *, presences: PresenceReader, clock: Clock) -> None:
        self._presences = presences
        self._clock = clock
        self._started = clock.now()
        self._states: dict[str, tuple[str, datetime]] = {}

    async def read(self) -> Health:
        now = self._clock.now()
        database_ms = await sync_to_async(_ping_database)()
        answer = await self._presences.read([*TERMINALS, *OPTIONAL])
        reports, redis_ms = answer if answer is not None else ({}, None)
        services = {
            "web": _entry("up", since=self._started, last_seen=now, lag_ms=0.0),
            **{name: _terminal(reports.get(name), now, name) for name in (*TERMINALS, *OPTIONAL)},
            "postgresql": self._store("postgresql", database_ms, now),
            "redis": self._store("redis", redis_ms, now),
        }
        return Health({name: entry for name, entry in services.items() if entry["state"] != "unknown"})

    def _store(self, name: str, lag_ms: float | None, now: datetime) -> dict[str, Any]:
        state = "down" if lag_ms is None else "up"
        known, since = self._states.get(name, ("", now))
        if known != state:
            since = now
            self._states[name] = (state, now)
        return _entry(state, since=since, last_seen=now if lag_ms is not None else None, lag_ms=lag_ms)


def _terminal(report: Report | None, now: datetime, name: str) -> dict[str, Any]:
    if report is None:
        return _entry("unknown" if name in OPTIONAL else "absent")
    age_s = (now - report.sent_at).total_seconds()
    state = "up" if age_s <= DEAD_AFTER_S else "down"
    lag = report.details.get("lag_ms")
    return _entry(state, since=report.since, last_seen=report.sent_at, lag_ms=lag, details=report.details)


def _entry(
    state: str,
    *,
    since: datetime | None = None,
    last_seen: datetime | None = None,
    lag_ms: float | None = None,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "state": state,
        "since": since.isoformat() if since else None,
        "last_seen": last_seen.isoformat() if last_seen else None,
        "lag_ms": None if lag_ms is None else round(float(lag_ms), 2),
        "details": dict(details or {}),
    }


def _ping_database() -> float | None:
    close_old_connections()
    started = perf_counter()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        connection.close()
        return None
    return (perf_counter() - started) * 1000
