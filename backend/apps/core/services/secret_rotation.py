"""Writes every stored secret again under the present SECRET_KEY.

One transaction per row, which is locked meanwhile: it may be interrupted, repeated, and run beside the
services. What is already under the present key is left as it is.
"""

from dataclasses import dataclass, field
from typing import Any

from django.db import models, transaction

from apps.core.adapters import secrets
from apps.core.fields import encrypted_columns


@dataclass
class Rotation:
    """Counts of secrets, and where those are that no known key opens: (table, id, column)."""

    renewed: int = 0
    current: int = 0
    unreadable: list[tuple[str, Any, str]] = field(default_factory=list)


def reencrypt_all() -> Rotation:
    """Go through every encrypted column of every table."""
    rotation = Rotation()
    for model, columns in encrypted_columns():
        filled = models.Q()
        for column in columns:
            filled |= ~models.Q(**{column: ""})
        for pk in list(model._base_manager.filter(filled).order_by("pk").values_list("pk", flat=True)):
            _reencrypt_row(model, pk, columns, rotation)
    return rotation


def _reencrypt_row(model: type[models.Model], pk: Any, columns: list[str], rotation: Rotation) -> None:
    with transaction.atomic():
        rows = model._base_manager.select_for_update().filter(pk=pk)
        held = rows.values(*columns).first() or {}  # deleted since: nothing to do
        renewed: dict[str, str] = {}
        current, unreadable = 0, []
        for column, token in held.items():
            if not token:
                continue
            if secrets.is_current(token):
                current += 1
                continue
            try:
                renewed[column] = secrets.encrypt(secrets.decrypt(token))
            except secrets.SecretUnreadable:
                unreadable.append((model._meta.db_table, pk, column))
        if renewed:
            rows.update(**renewed)
    rotation.renewed += len(renewed)
    rotation.current += current
    rotation.unreadable += unreadable
