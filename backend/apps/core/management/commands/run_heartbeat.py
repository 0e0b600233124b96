"""Terminal 2: `manage.py run_heartbeat`."""

import asyncio
from argparse import ArgumentParser
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Turn the market's trades into candles and signals, until stopped."""

    help = "Construit les bougies depuis le flux de transactions et publie les signaux."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source", choices=["primary", "secondary"], default=settings.HEARTBEAT_SOURCE)
        parser.add_argument("--location", default=settings.HEARTBEAT_LOCATION)

    def handle(self, *args: Any, **options: Any) -> None:
        from aristobot.wiring import heartbeat

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(heartbeat.run(source=options["source"], location=options["location"]))
