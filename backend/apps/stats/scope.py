"""Which results a page asks for: whose, of which brokers, when, from which sources, in which currency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import Q, QuerySet, Sum

from apps.brokers.models import Broker
from apps.brokers.selectors import own_broker, trading_mode
from apps.core.api_fields import TRADING_MODES
from apps.market_data.selectors import market_now
from apps.stats.models import DailyResult
from domain.errors import InvalidInput
from domain.orders import OrderSource

MODES = TRADING_MODES[::-1]  # real money comes first
SOURCES = tuple(source.value for source in OrderSource)
_DEFAULT_QUOTE = "USDT"


@dataclass(frozen=True, slots=True)
class Scope:
    """Results that may be added up: one kind of money (`mode`) and one currency.

    Args:
        mode: real, testnet or simulation; None when the user has no broker.
        today: the day it is on the market's clock of these brokers, UTC.
        since, until: first and last day, None = open.
    """

    user_id: int
    brokers: tuple[Broker, ...]
    mode: str | None
    modes: tuple[str, ...]
    today: date
    since: date | None
    until: date | None
    sources: tuple[str, ...]
    quote: str

    @property
    def broker_ids(self) -> list[int]:
        return [broker.pk for broker in self.brokers]

    def results(self) -> "QuerySet[DailyResult]":
        """Return the daily sums in scope."""
        return DailyResult.objects.filter(
            self.days("day"),
            user_id=self.user_id,
            broker_id__in=self.broker_ids,
            source__in=self.sources,
            quote=self.quote,
        )

    def days(self, name: str) -> Q:
        """Return the condition that a date column lies between the first and the last day."""
        wanted = Q()
        if self.since is not None:
            wanted &= Q(**{f"{name}__gte": self.since})
        if self.until is not None:
            wanted &= Q(**{f"{name}__lte": self.until})
        return wanted


def scope_of(user: Any, wanted: Mapping[str, Any], *, now: datetime) -> Scope:
    """Return the scope of a validated query.

    Without a broker, those of one mode are taken together; without a mode, that of the default broker:
    simulated and real money are never added up. Without a currency, the most traded one is taken.

    Raises:
        NotFound: the broker is not this user's.
        InvalidInput: the period ends before it begins.
    """
    since, until = wanted.get("since"), wanted.get("until")
    if since is not None and until is not None and until < since:
        raise InvalidInput(f"Statistiques refusées : la période finit le {until} avant de commencer le {since}.")
    owned = tuple(Broker.objects.filter(user=user).order_by("-is_default", "id"))
    modes = tuple(mode for mode in MODES if any(trading_mode(broker) == mode for broker in owned))
    if wanted.get("broker") is not None:
        brokers: tuple[Broker, ...] = (own_broker(user, wanted["broker"]),)
        mode: str | None = trading_mode(brokers[0])
    else:
        mode = wanted.get("mode") or (trading_mode(owned[0]) if owned else None)
        brokers = tuple(broker for broker in owned if trading_mode(broker) == mode)
    quote = wanted.get("quote") or next(iter(quotes_of(user.pk, brokers)), _DEFAULT_QUOTE)
    return Scope(
        user_id=user.pk,
        brokers=brokers,
        mode=mode,
        modes=modes,
        today=_today(brokers, now=now),
        since=since,
        until=until,
        sources=tuple(wanted.get("source") or SOURCES),
        quote=quote,
    )


def quotes_of(user_id: int, brokers: Sequence[Broker]) -> list[str]:
    """Return every quote currency in which these brokers have orders, the most traded first."""
    found = DailyResult.objects.filter(user_id=user_id, broker__in=brokers).values("quote")
    counted = found.annotate(trades=Sum("trade_count"), orders=Sum("order_count"))
    return [row["quote"] for row in counted.order_by("-trades", "-orders", "quote")]


def _today(brokers: tuple[Broker, ...], *, now: datetime) -> date:
    clocks = [market_now(exchange, now=now) for exchange in {broker.exchange for broker in brokers}]
    return max(clocks, default=now).astimezone(UTC).date()
