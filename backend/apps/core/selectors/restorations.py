"""Who has not confirmed yet that the restored instance may act for him."""

from typing import Any

from django.db.models import QuerySet

from apps.core.models import Restoration


def held_users() -> "QuerySet[Any, Any]":
    """Return the ids of the users for whom nothing may leave by itself, as a subquery."""
    return Restoration.objects.filter(confirmed_at=None).values("user_id")


def waiting_of(user_id: int) -> Restoration | None:
    """Return the newest restoration that the user has not confirmed."""
    found: Restoration | None = (
        Restoration.objects.filter(user_id=user_id, confirmed_at=None).order_by("-id").first()
    )
    return found
