"""The only writer of `exchanges`: what terminal 5 learned of an exchange, for the web process to read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.brokers.models import Exchange
from apps.core.adapters.database import in_database


class DjangoExchangeCatalogue:
    """The `ExchangeCatalogue` of apps.core.services.ccxt_manager."""

    async def describe(self, exchange: str, facts: Mapping[str, Any]) -> None:
        """Store name, required_credentials, has, timeframes, has_sandbox."""
        await in_database(_save, exchange, facts)

    async def loading(self, exchange: str, *, progress: int) -> None:
        state = {"load_state": Exchange.LoadState.LOADING, "load_progress": progress, "load_error": ""}
        await in_database(_save, exchange, state)

    async def loaded(self, exchange: str, *, count: int, candle_source: str, at: datetime) -> None:
        state = {
            "load_state": Exchange.LoadState.LOADED,
            "load_progress": 100,
            "load_error": "",
            "market_count": count,
            "candle_source": candle_source,
            "markets_loaded_at": at,
        }
        await in_database(_save, exchange, state)

    async def failed(self, exchange: str, *, error: str) -> None:
        await in_database(_save, exchange, {"load_state": Exchange.LoadState.FAILED, "load_error": error})


def _save(exchange: str, facts: Mapping[str, Any]) -> None:
    # The name falls back to the id until the exchange's facts are stored.
    with transaction.atomic():
        row, _ = Exchange.objects.select_for_update().get_or_create(pk=exchange, defaults={"name": exchange})
        for field, value in facts.items():
            setattr(row, field, value)
        row.save()
