"""Creates « dev » and « dac » at the first launch; their passwords are printed once."""

import os
import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.accounts.models import User
from apps.accounts.services import debug_mode
from aristobot.wiring.logs import start_logs
from aristobot.wiring.web import join_registration


class Command(BaseCommand):
    help = "Crée les utilisateurs « dev » et « dac » s'ils n'existent pas."

    def handle(self, *args: Any, **options: Any) -> None:
        start_logs("manage")
        join_registration()
        debug_mode.force_off_unless_allowed()
        for name in ("dev", "dac"):
            self._create(name)

    def _create(self, name: str) -> None:
        from apps.accounts.services.registration import register

        if User.objects.filter(username=name).exists():
            return
        if User.objects.count() >= settings.MAX_USERS:
            self.stdout.write(f"Compte « {name} » non créé : les {settings.MAX_USERS} places sont prises.")
            return
        given = os.environ.get(f"ARISTOBOT_{name.upper()}_PASSWORD", "")
        password = given or secrets.token_urlsafe(12)
        register(username=name, password=password)
        shown = "celui de l'environnement" if given else f"« {password} » (affiché cette seule fois)"
        self.stdout.write(f"Compte « {name} » créé, mot de passe : {shown}.")
