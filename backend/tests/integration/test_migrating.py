"""Tables are migrated while terminals read them: nobody waits for long, and the migration gets there."""

import threading
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from structlog.testing import capture_logs

from apps.core.adapters.database import close_database, in_database
from apps.core.management.commands import migrate
from apps.core.services.tables import wait_for_tables
from apps.webhooks.models import Webhook
from tests.fakes.clock import FakeClock

LAST = ("webhooks", "0003_left_position")

pytestmark = pytest.mark.django_db(transaction=True)


def held_by_a_reader() -> psycopg.Connection[Any]:
    """Return a connection whose open transaction reads the webhooks, as a backup's does."""
    settings = {key: value for key, value in connection.get_connection_params().items() if key != "context"}
    for name in ("cursor_factory", "prepare_threshold"):
        settings.pop(name, None)
    reader = psycopg.connect(**settings)
    reader.execute("SELECT count(*) FROM webhooks")
    return reader


def test_migration_lets_a_reader_finish_and_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "WAITS_S", "0.1")
    call_command("migrate", "webhooks", "0002", verbosity=0)
    reader, said = held_by_a_reader(), StringIO()
    has_waited = threading.Event()

    def let_pass(_: migrate.Command) -> None:
        has_waited.set()
        reader.close()

    monkeypatch.setattr(migrate.Command, "let_others_pass", let_pass)
    call_command("migrate", "webhooks", verbosity=0, stderr=said)
    assert has_waited.is_set()
    assert "occupée" in said.getvalue()
    assert Webhook.objects.filter(left_position=None).count() == 0  # the column of the last migration is there


class MigratedMeanwhile(FakeClock):
    """A clock during whose sleep somebody migrates."""

    naps = 0

    async def sleep(self, seconds: float) -> None:
        self.naps += 1
        await in_database(lambda: MigrationRecorder(connection).record_applied(*LAST))


async def test_terminal_waits_for_the_tables_it_was_written_for_and_says_so(transactional_db: None) -> None:
    clock = MigratedMeanwhile()
    await wait_for_tables(clock=clock)
    assert clock.naps == 0  # nothing is missing
    await in_database(lambda: MigrationRecorder(connection).record_unapplied(*LAST))
    with capture_logs() as said:
        await wait_for_tables(clock=clock)
    assert clock.naps == 1
    assert [(each["event"], each["first"]) for each in said] == [("terminal.tables_behind", ".".join(LAST))]
    await close_database()


def test_process_paused_inside_a_transaction_lets_go_of_its_rows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("15s",)
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("15s",)


def test_statement_behind_a_lock_fails_instead_of_holding_its_terminal() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("10s",)
    reader = held_by_a_reader()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                cursor.execute("LOCK TABLE webhooks IN ACCESS EXCLUSIVE MODE")
    finally:
        reader.close()
