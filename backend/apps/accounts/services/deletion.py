"""Deletes an account with everything it owns, unless something of it is still live."""

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import devices
from domain.errors import Conflict
from domain.orders import FINAL_STATUSES, OrderSource


def delete_account(user: User) -> None:
    """Delete the user; rows cascade and his place is free again.

    Raises:
        Conflict: a bot is active or an order is not final; an order must never lose its owner.
    """
    with transaction.atomic():
        locked: User = User.objects.select_for_update().get(pk=user.pk)
        bots = locked.bots.filter(is_active=True).count()
        own = locked.trades.exclude(source=OrderSource.EXTERNAL)  # those placed elsewhere do not need us
        orders = own.exclude(status__in=[status.value for status in FINAL_STATUSES]).count()
        if bots or orders:
            raise Conflict(
                f"Suppression du compte refusée : {bots} bot(s) actif(s) et {orders} ordre(s) en cours. "
                "Les arrêter d'abord.",
                details={"active_bots": bots, "live_orders": orders},
                code="account_in_use",
            )
        devices.close_others(locked, keep_key=None)
        locked.delete()
