"""After SECRET_KEY was replaced: writes every stored key and address again under the new one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.services.secret_rotation import reencrypt_all


class Command(BaseCommand):
    help = (
        "Chiffre à nouveau tous les secrets enregistrés sous la SECRET_KEY présente ; l'ancienne clé doit être "
        "dans SECRET_KEY_FALLBACKS. Peut être interrompu et relancé."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        rotation = reencrypt_all()
        self.stdout.write(
            f"Secrets : {rotation.renewed} chiffrés à nouveau, {rotation.current} déjà sous la clé présente, "
            f"{len(rotation.unreadable)} illisibles."
        )
        if not rotation.unreadable:
            self.stdout.write("Les anciennes clés peuvent être retirées de SECRET_KEY_FALLBACKS.")
            return
        places = "\n".join(
            f"  table {table}, id {pk}, colonne {column}" for table, pk, column in rotation.unreadable
        )
        raise CommandError(
            f"Aucune clé connue n'ouvre ces secrets, laissés tels quels :\n{places}\n"
            "Ajouter l'ancienne SECRET_KEY à SECRET_KEY_FALLBACKS et relancer, ou les saisir à nouveau dans "
            "« Mon Compte »."
        )
