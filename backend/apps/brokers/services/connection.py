"""Talks to an exchange for a view, through terminal 5: balances, tests of keys, the markets' reload."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from asgiref.sync import async_to_sync

from apps.brokers.models import Broker
from apps.brokers.services import credentials as keys
from apps.core.services.gateway_access import short_lived_gateway
from domain.errors import AristobotError
from domain.ports import Balance


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """What a successful test saw."""

    balance: Balance
    elapsed_ms: int


def try_keys(*, user_id: int, exchange: str, credentials: Mapping[str, str], is_testnet: bool) -> ConnectionTest:
    """Read the balance with these credentials on a one-off connection; nothing is stored.

    Raises:
        AuthenticationFailed: the exchange refused them, in its own words.
        AristobotError: the exchange or terminal 5 does not answer.
    """
    started = time.monotonic()
    try:
        balance = _test(user_id, exchange, credentials, is_testnet)
    except AristobotError as exc:
        exc.message = keys.without_secrets(exc.message, credentials)
        exc.details = {
            name: keys.without_secrets(value, credentials) if isinstance(value, str) else value
            for name, value in exc.details.items()
        }
        raise
    return ConnectionTest(balance, round((time.monotonic() - started) * 1000))


def try_broker(broker: Broker) -> ConnectionTest:
    """Test the stored credentials of a broker, active or not. Raises as `try_keys`."""
    return try_keys(
        user_id=broker.user_id,
        exchange=broker.exchange,
        credentials=keys.stored(broker),
        is_testnet=broker.is_testnet,
    )


@async_to_sync
async def read_balance(broker_id: int, user_id: int, *, timeout_s: float = 10.0) -> Balance:
    """Read the balance by the broker's pooled connection."""
    async with short_lived_gateway() as gateway:
        return await gateway.balance(broker_id, user_id=user_id, timeout_s=timeout_s)


@async_to_sync
async def load_markets(broker_id: int, user_id: int) -> int:
    """Load the markets of the broker's exchange anew; return how many."""
    async with short_lived_gateway() as gateway:
        return await gateway.load_markets(broker_id, user_id=user_id)


@async_to_sync
async def _test(user_id: int, exchange: str, credentials: Mapping[str, str], is_testnet: bool) -> Balance:
    async with short_lived_gateway() as gateway:
        return await gateway.test_credentials(
            user_id=user_id, exchange=exchange, credentials=credentials, is_testnet=is_testnet
        )
