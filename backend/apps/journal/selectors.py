"""Reads the terminals' lines for one user."""

from pathlib import Path
from typing import Any

from django.conf import settings

from apps.brokers.models import Broker
from apps.core.logs.owners import Viewer
from apps.core.logs.reading import Found, Wanted, search
from apps.core.logs.setup import FOLDER
from apps.trading_engine.models import ActiveStrategy
from apps.webhooks.models import WebhookSource


def folder() -> Path:
    """Return where this machine's terminals write."""
    return Path(settings.ARISTOBOT_DATA_DIR) / FOLDER


def viewer_of(user_id: int) -> Viewer:
    """Return what lines a user may see."""

    def ids(model: Any) -> frozenset[int]:
        return frozenset(model.objects.filter(user_id=user_id).values_list("pk", flat=True))

    own = {"broker_id": ids(Broker), "bot_id": ids(ActiveStrategy), "source_id": ids(WebhookSource)}
    return Viewer(user_id, own)


def lines_of(user_id: int, wanted: Wanted, *, limit: int) -> Found:
    """Return the newest lines that are wanted and that the user may see."""
    return search(folder(), wanted, visible=viewer_of(user_id).shown, limit=limit)
