"""Reads of the heartbeat's tables, in the shapes that browsers receive (REST and events alike)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min

from apps.core.models import CandleHeartbeat, HeartbeatIncident, HeartbeatStatus
from domain.candles import Candle
from domain.heartbeat_sources import PRIMARY, SECONDARY
from domain.timeframes import HEARTBEAT_TIMEFRAMES, Timeframe

CANDLES_SHOWN = 60
INCIDENTS_SHOWN = 50
RUNS_SHOWN = 20
LIVE_FIELDS = ("latency_ms_p50", "latency_ms_p99", "messages_per_minute")


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def amount(value: Decimal) -> str:
    """Write a stored amount without the zeros of its column."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def candle_wire(row: CandleHeartbeat) -> dict[str, Any]:
    """Return a closed candle."""
    return {
        "id": row.pk,
        "timeframe": row.signal_type,
        "symbol": row.symbol,
        "open_time": iso(row.open_time),
        "close_time": iso(row.dhm_candle),
        "open": amount(row.open_price),
        "high": amount(row.high_price),
        "low": amount(row.low_price),
        "close": amount(row.close_price),
        "volume": amount(row.volume),
        "trade_count": row.trade_count,
        "revision": row.revision,
        "is_late": row.is_late,
        "source": row.source,
        "received_at": iso(row.dhm_reception),
    }


def forming_wire(candle: Candle, *, source: str, now: datetime) -> dict[str, Any]:
    """Return an open candle in the shape of a row: no id, revision 0."""
    return {
        "id": None,
        "timeframe": candle.timeframe.value,
        "symbol": candle.symbol,
        "open_time": iso(candle.open_time),
        "close_time": iso(candle.close_time),
        "open": amount(candle.open),
        "high": amount(candle.high),
        "low": amount(candle.low),
        "close": amount(candle.close),
        "volume": amount(candle.volume),
        "trade_count": candle.trade_count,
        "revision": 0,
        "is_late": False,
        "source": source,
        "received_at": iso(now),
    }


def incident_wire(row: HeartbeatIncident) -> dict[str, Any]:
    return {
        "id": row.pk,
        "kind": row.kind,
        "symbol": row.symbol,
        "market_time": iso(row.market_time),
        "missing_trades": row.missing_trades,
        "message": row.message,
        "detected_at": iso(row.detected_at),
        "mended_at": iso(row.mended_at),
    }


def status_wire(row: HeartbeatStatus, *, live: Mapping[str, Any], candles_24h: Mapping[str, int]) -> dict[str, Any]:
    """Return a run's state; `live` holds what only the process knows (latency, rate), absent when it is dead."""
    return {
        "id": row.pk,
        "source": row.source,
        "location": row.location,
        "feed": row.feed,
        "is_connected": row.is_connected,
        "is_coherent": row.is_coherent,
        "last_application_start": iso(row.last_application_start),
        "last_application_stop": iso(row.last_application_stop),
        "last_error": row.last_error,
        "last_error_at": iso(row.last_error_at),
        "last_message_at": iso(row.last_message_at),
        "market_time": iso(row.market_time),
        "symbols_monitored": row.symbols_monitored,
        **{field: live.get(field) for field in LIVE_FIELDS},
        "candles_24h": dict(candles_24h),
    }


def candles_24h(row: HeartbeatStatus) -> dict[str, int]:
    """Return how many minutes of the reference market are stored of those that closed in 24 market hours.

    The span begins at the first stored minute when the feed is younger.
    """
    if row.market_time is None or not row.symbols_monitored:
        return {"closed": 0, "expected": 0}
    end = Timeframe.M1.open_time(row.market_time)
    found = _minutes(row).filter(open_time__gte=end - timedelta(hours=24), dhm_candle__lte=end)
    facts = found.aggregate(first=Min("open_time"), closed=Count("id"))
    if facts["first"] is None:
        return {"closed": 0, "expected": 0}
    return {"closed": facts["closed"], "expected": round((end - facts["first"]).total_seconds() / 60)}


def _minutes(row: HeartbeatStatus) -> Any:
    return CandleHeartbeat.objects.filter(
        feed=row.feed, symbol=row.symbols_monitored[0], source=row.source, signal_type=Timeframe.M1.value
    )


def current_status(source: str = PRIMARY) -> HeartbeatStatus | None:
    """Return the newest run of a heartbeat."""
    return HeartbeatStatus.objects.filter(source=source).order_by("-last_application_start").first()


def overview(*, live: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what `GET /api/heartbeat/` answers.

    Args:
        live: by source, `details` of its heartbeat's presence; absent when it never spoke.
    """
    row, second = current_status(), current_status(SECONDARY)
    forming = (live.get(source, {}).get("forming") for source in (PRIMARY, SECONDARY))
    return {
        "status": _status(row, live),
        "secondary": _status(second, live),
        "candles": {t.value: _latest(row or second, t) for t in HEARTBEAT_TIMEFRAMES},
        "forming": next(filter(None, forming), {}),
        "incidents": [incident_wire(i) for i in HeartbeatIncident.objects.order_by("-id")[:INCIDENTS_SHOWN]],
        "runs": [
            {
                "id": run.pk,
                "source": run.source,
                "last_application_start": iso(run.last_application_start),
                "last_application_stop": iso(run.last_application_stop),
            }
            for run in HeartbeatStatus.objects.order_by("-last_application_start")[:RUNS_SHOWN]
        ],
    }


def _status(row: HeartbeatStatus | None, live: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    if row is None:
        return None
    return status_wire(row, live=live.get(row.source, {}), candles_24h=candles_24h(row))


def _latest(row: HeartbeatStatus | None, timeframe: Timeframe) -> list[dict[str, Any]]:
    """Return the newest candles of the reference market, the primary's where both heartbeats have one."""
    if row is None or not row.symbols_monitored:
        return []
    rows = CandleHeartbeat.objects.filter(
        feed=row.feed, symbol=row.symbols_monitored[0], signal_type=timeframe.value
    )
    newest = rows.order_by("-open_time", "source").distinct("open_time")  # "primary" sorts before "secondary"
    return [candle_wire(candle) for candle in newest[:CANDLES_SHOWN]]
