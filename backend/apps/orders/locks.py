"""Advisory locks of PostgreSQL, held until the end of the transaction.

Order of taking, everywhere: the bot's row, the owner, the broker's money, the trades' rows, the position's key,
the position's row. Those who insert orders hold no trade row when they take the money lock.
"""

from collections.abc import Iterable

from django.db import connection


def lock_broker_money(broker_id: int) -> None:
    """Let one transaction at a time commit new orders of a broker (reservations are then exact)."""
    _lock(f"orders:money:{broker_id}")


def lock_owner(*, broker_id: int, symbol: str, owner: str) -> None:
    """Let one transaction at a time decide what an owner's position in a market needs: protection, or a sale."""
    _lock(f"orders:owner:{broker_id}:{symbol}:{owner}")


def lock_owners_and_money(*, broker_id: int, markets: Iterable[tuple[str, str]]) -> None:
    """Take in one statement the locks of several owners (symbol, owner) of a broker, then that of its money."""
    owners = sorted(f"orders:owner:{broker_id}:{symbol}:{owner}" for symbol, owner in markets)
    names = [*owners, f"orders:money:{broker_id}"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%s::text[]) name", [names]
        )


def lock_position_key(*, broker_id: int, symbol: str, owner: str) -> None:
    """Let one transaction at a time derive the positions of an owner in a market."""
    _lock(f"orders:position:{broker_id}:{symbol}:{owner}")


def _lock(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
