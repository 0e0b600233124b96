"""What `./aristobot restore` says it put aside."""

import io

import pytest
from django.core.management import call_command

from aristobot.wiring import restoration


def test_orders_on_their_way_are_told_from_those_that_rest_at_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    settled = {"orders": 0, "commands": 1, "webhooks": 2, "alerts": 3}
    monkeypatch.setattr(restoration, "mark_restored", lambda facts, *, now: settled)
    told = io.StringIO()
    call_command("mark_restored", "{}", stdout=told)
    assert told.getvalue().startswith("Ordres en attente ou en cours d'envoi à la sauvegarde : 0 (recherchés")
    assert "ceux qui étaient ouverts chez l'exchange y restent" in told.getvalue()
