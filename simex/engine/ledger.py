"""Balances. Invariant: for each asset, what accounts and the house hold is what was deposited.

The house is the other side of the synthetic book and takes the commissions; it alone may be
negative. Nothing moves except from one holder to another; the invariant is checked after every
event on the assets that moved.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from simex.units import ZERO, money

HOUSE = "house"


class ConservationError(RuntimeError):
    """Money appeared or vanished: a defect of simex, never of a client."""


@dataclass
class Balance:
    """What one account holds of one asset."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass
class Ledger:
    """All balances of all accounts."""

    holdings: dict[str, dict[str, Balance]] = field(default_factory=lambda: {HOUSE: {}})
    deposited: dict[str, Decimal] = field(default_factory=dict)
    touched: set[tuple[str, str]] = field(default_factory=set)

    def balance(self, account_id: str, asset: str) -> Balance:
        """Return the (mutable) balance of an account, made at zero when new."""
        assets = self.holdings.setdefault(account_id, {})
        if asset not in assets:
            assets[asset] = Balance()
        return assets[asset]

    def deposit(self, account_id: str, asset: str, amount: Decimal) -> None:
        """Bring money in from outside."""
        self.balance(account_id, asset).free += amount
        self.deposited[asset] = self.deposited.get(asset, ZERO) + amount
        self.touched.add((account_id, asset))

    def pay(self, payer: str, receiver: str, asset: str, amount: Decimal) -> None:
        """Move free money between two holders."""
        self.balance(payer, asset).free -= amount
        self.balance(receiver, asset).free += amount
        self.touched |= {(payer, asset), (receiver, asset)}

    def lock(self, account_id: str, asset: str, amount: Decimal) -> None:
        """Set free money aside for an order; a negative amount releases it."""
        balance = self.balance(account_id, asset)
        balance.free -= amount
        balance.locked += amount
        self.touched.add((account_id, asset))

    def check(self, assets: Iterable[str] | None = None) -> None:
        """Verify the invariant on some assets, all when None.

        Raises:
            ConservationError: a sum is wrong or an account is overdrawn.
        """
        for asset in set(self.deposited if assets is None else assets):
            total = ZERO
            for account_id, held in self.holdings.items():
                balance = held.get(asset)
                if balance is None:
                    continue
                total += balance.free + balance.locked
                if account_id != HOUSE and (balance.free < ZERO or balance.locked < ZERO):
                    raise ConservationError(f"{account_id} holds {balance} {asset}")
            expected = self.deposited.get(asset, ZERO)
            if total != expected:
                raise ConservationError(f"{asset}: {total} held, {expected} deposited")

    def describe(self, account_id: str) -> list[dict[str, str]]:
        """Return an account's balances as Binance lists them."""
        return [
            {"asset": asset, "free": money(held.free), "locked": money(held.locked)}
            for asset, held in sorted(self.holdings.get(account_id, {}).items())
        ]
