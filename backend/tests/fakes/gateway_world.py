"""What a `CcxtManager` needs around it in tests: accounts, a catalogue and a market store in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.core.services.ccxt_manager import CcxtManager
from domain.errors import NotFound
from domain.markets import Market
from domain.ports import BrokerAccess, Clock
from tests.fakes.publisher import FakePublisher


@dataclass
class FakeDirectory:
    """The `BrokerDirectory` port over a dictionary."""

    accesses: dict[int, BrokerAccess] = field(default_factory=dict)

    def add(self, broker_id: int, user_id: int, exchange: str, credentials: Mapping[str, str]) -> BrokerAccess:
        access = BrokerAccess(user_id, broker_id, exchange, False, dict(credentials))
        self.accesses[broker_id] = access
        return access

    async def active(self) -> Sequence[BrokerAccess]:
        return list(self.accesses.values())

    async def get(self, broker_id: int) -> BrokerAccess:
        if broker_id not in self.accesses:
            raise NotFound(f"Broker {broker_id} introuvable ou inactif.")
        return self.accesses[broker_id]


@dataclass
class FakeCatalogue:
    """Notes how often each exchange's markets were loaded."""

    loads: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def describe(self, exchange: str, facts: Mapping[str, Any]) -> None: ...

    async def loading(self, exchange: str, *, progress: int) -> None: ...

    async def loaded(self, exchange: str, *, count: int, candle_source: str, at: datetime) -> None:
        self.loads.append(exchange)

    async def failed(self, exchange: str, *, error: str) -> None:
        self.failures.append(error)


class FakeMarketStore:
    """The `MarketStore` port; keeps the last markets."""

    def __init__(self) -> None:
        self.markets: dict[str, Sequence[Market]] = {}

    async def replace_markets(self, exchange: str, markets: Sequence[Market]) -> None:
        self.markets[exchange] = markets


@dataclass
class GatewayWorld:
    """A manager on the accounts of `directory`."""

    manager: CcxtManager
    directory: FakeDirectory
    catalogue: FakeCatalogue
    store: FakeMarketStore


def make_gateway(clock: Clock, *, speed: float = 1.0, timeout_s: float = 12.0) -> GatewayWorld:
    """Return terminal 5's pool without its database, with the real limits times `speed`."""
    directory, catalogue, store = FakeDirectory(), FakeCatalogue(), FakeMarketStore()

    async def speed_of(exchange: str) -> float:
        return speed

    async def repair(broker_id: int) -> None:
        raise AssertionError(f"the simulated exchange refused the keys of broker {broker_id}")

    manager = CcxtManager(
        directory=directory,
        catalogue=catalogue,
        store=store,
        publisher=FakePublisher(),
        clock=clock,
        speed_of=speed_of,
        repair=repair,
        timeout_s=timeout_s,
    )
    return GatewayWorld(manager, directory, catalogue, store)
