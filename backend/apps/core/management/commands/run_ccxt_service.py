"""Terminal 5: the only process that talks to the exchanges."""

from typing import Any

from django.core.management.base import BaseCommand

from aristobot.wiring import ccxt_service


class Command(BaseCommand):
    help = "Lance le service CCXT (terminal 5) : exchanges, ordres, marchés."

    def handle(self, *args: Any, **options: Any) -> None:
        ccxt_service.run()
