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
        """Store name, required_credentials, has, order_features, order_abilities, timeframes, has_sandbox."""
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

    async def is_described(self, version: str) -> bool:
        """Tell whether the whole catalogue was written from that version."""
        return await in_database(lambda: Exchange.objects.filter(catalogue_version=version).exists())

    async def describe_all(self, facts: Mapping[str, Mapping[str, Any]], *, version: str) -> None:
        """Store the whole catalogue in one transaction; what was loaded of an exchange stays."""
        await in_database(_save_all, facts, version)


_FACTS = ("name", "required_credentials", "has", "order_features", "order_abilities", "timeframes", "has_sandbox")


@transaction.atomic
def _save_all(facts: Mapping[str, Mapping[str, Any]], version: str) -> None:
    Exchange.objects.exclude(pk__in=facts).update(catalogue_version="")  # no longer offered
    rows = [Exchange(id=exchange, catalogue_version=version, **known) for exchange, known in facts.items()]
    Exchange.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=[*_FACTS, "catalogue_version"]
    )


def _save(exchange: str, facts: Mapping[str, Any]) -> None:
    # The name falls back to the id until the exchange's facts are stored.
    with transaction.atomic():
        row, _ = Exchange.objects.select_for_update().get_or_create(pk=exchange, defaults={"name": exchange})
        for field, value in facts.items():
            setattr(row, field, value)
        row.save()
