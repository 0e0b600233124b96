"""For who lost his telephone and his recovery codes: removes the second factor of a user's sign-in."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import User
from apps.accounts.services import devices, two_factor


class Command(BaseCommand):
    help = (
        "Retire la double authentification d'un utilisateur et ferme ses sessions ; son mot de passe ne change pas."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="UTILISATEUR")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["user"]
        user = User.objects.filter(username__iexact=name).first()
        if user is None:
            raise CommandError(f"Aucun utilisateur « {name} ».")
        if not two_factor.forget(user):
            self.stdout.write(f"« {user.username} » n'a pas de double authentification : rien n'a changé.")
            return
        closed = devices.close_others(user, keep_key=None)
        self.stdout.write(
            f"Double authentification de « {user.username} » retirée, {closed} session(s) fermée(s). "
            "Se connecter par le mot de passe, puis l'activer à nouveau dans « Mon Compte »."
        )
