"""Columns that hold secrets."""

from typing import TYPE_CHECKING, Any

from django.db import models


class EncryptedTextField(models.TextField):
    """Text written by `adapters.secrets.encrypt`; "" when there is none.

    The type is the registry: whatever walks secrets (re-encryption after a rotation of SECRET_KEY) finds the
    columns by it. In the database and in migrations it is a plain text column.
    """

    if TYPE_CHECKING:  # what an instance's attribute is; Django's own fields are Any

        def __get__(self, instance: Any, owner: Any) -> Any: ...

        def __set__(self, instance: Any, token: str) -> None: ...

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs
