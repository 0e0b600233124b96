from typing import Any

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Whatever deletes a session ends its sockets: a sign-out, a closing, a new key, an operator's command."""
        from django.contrib.sessions.models import Session
        from django.db import transaction
        from django.db.models.signals import post_delete

        from apps.core.adapters import session_ends

        def end_sockets(sender: Any, *, instance: Session, **_: Any) -> None:
            key = instance.session_key
            transaction.on_commit(lambda: session_ends.tell(key))

        post_delete.connect(end_sockets, sender=Session, weak=False, dispatch_uid="session_ends")
