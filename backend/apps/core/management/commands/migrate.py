"""`manage.py migrate`, beside terminals at work: it never makes them wait for long.

A change of a table waits for whoever reads it (a backup, a long backtest), and meanwhile everybody else waits
behind it. So it waits for some seconds only, lets the others pass, and tries again.
"""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

WAITS_S = 3
LETS_PASS_S = 2.0
GIVES_UP_AFTER_S = 600.0


class Command(migrate.Command):
    help = "Met les tables à jour sans jamais faire attendre longtemps les terminaux qui tournent."

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        while not self._once(*args, **options):
            if time.monotonic() - began > GIVES_UP_AFTER_S:
                raise CommandError(
                    f"Mise à niveau de la base abandonnée après {GIVES_UP_AFTER_S / 60:.0f} min : une table est "
                    "lue ou écrite sans relâche (sauvegarde, backtest, autre terminal). Ce qui est fait le reste : "
                    "arrêtez les autres services, puis recommencez."
                )
            self.stderr.write("Une table à mettre à niveau est occupée : nouvel essai dans 2 s.")
            self.let_others_pass()

    def let_others_pass(self) -> None:
        time.sleep(LETS_PASS_S)

    def _once(self, *args: Any, **options: Any) -> bool:
        """Migrate; False when somebody held a table. Each migration is done whole or not at all."""
        connection = connections[options["database"]]
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{WAITS_S}s'")
                cursor.execute("SET idle_in_transaction_session_timeout = 0")  # a migration may compute for long
            super().handle(*args, **options)
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
                cursor.execute("RESET idle_in_transaction_session_timeout")
        except OperationalError as exc:
            if not isinstance(exc.__cause__, LockNotAvailable):
                raise
            connection.close()
            return False
        return True
