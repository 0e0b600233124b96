"""Columns that hold secrets."""

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import models

from apps.core.adapters.secrets import TOKEN_PREFIX


class EncryptedTextField(models.TextField):
    """Text written by `adapters.secrets.encrypt`; "" when there is none.

    The type is the registry: `encrypted_columns` finds them by it, so that a rotation of SECRET_KEY forgets
    none. Text that is not a token is refused before it reaches the database. There, and in migrations, it is
    a plain text column.
    """

    if TYPE_CHECKING:  # what an instance's attribute is; Django's own fields are Any

        def __get__(self, instance: Any, owner: Any) -> Any: ...

        def __set__(self, instance: Any, token: str) -> None: ...

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def get_prep_value(self, value: Any) -> Any:
        if value and not str(value).startswith(TOKEN_PREFIX):
            raise ValueError(
                f"{self.model.__name__}.{self.attname} takes a token of adapters.secrets, not a clear text"
            )
        return super().get_prep_value(value)


def encrypted_columns() -> list[tuple[type[models.Model], list[str]]]:
    """Return every model that has encrypted columns, with their names."""
    found = []
    for model in apps.get_models():
        names = [field.attname for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]
        if names:
            found.append((model, names))
    return found
