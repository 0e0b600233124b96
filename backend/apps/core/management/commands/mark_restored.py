"""`manage.py mark_restored JSON`: called by `./aristobot restore` on the database it just loaded."""

import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from aristobot.wiring import restoration


class Command(BaseCommand):
    help = "Met de côté ce qui était en cours dans une sauvegarde restaurée et suspend les bots."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("facts", type=json.loads, help="moment et machine de la sauvegarde, en JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        settled = restoration.mark_restored(options["facts"], now=datetime.now(UTC))
        self.stdout.write(
            f"Ordres en attente ou en cours d'envoi à la sauvegarde : {settled['orders']} (recherchés au "
            "démarrage, jamais renvoyés) ; ceux qui étaient ouverts chez l'exchange y restent. Abandonnés : "
            f"annulations ou modifications {settled['commands']}, webhooks {settled['webhooks']}, alertes "
            f"{settled['alerts']}."
        )
