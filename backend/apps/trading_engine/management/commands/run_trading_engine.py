"""Terminal 3: `manage.py run_trading_engine`."""

from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from aristobot.wiring import trading_engine


class Command(BaseCommand):
    help = "Moteur de trading : évalue les stratégies à chaque signal et surveille les positions."

    def handle(self, *args: Any, **options: Any) -> None:
        uvloop.run(trading_engine.run())
