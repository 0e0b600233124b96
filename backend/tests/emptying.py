"""Empties the database between two tests in a fifth of the time of Django's `flush`.

`flush` truncates every table, which makes and removes the files of each, and then writes content types and
permissions anew: 0.22 s after each of a thousand tests. Here rows are deleted, and those that Django wrote when
it made the tables stay.
"""

from django.db import connection, transaction
from django.test import TransactionTestCase

_KEPT = {"django_content_type", "auth_permission"}  # written by `migrate`; no test changes them


def empty_database() -> None:
    """Delete all rows; waits for whoever still writes, as a truncation does. Sequences go on.

    Raises:
        django.db.ProgrammingError: the role is not a superuser, who alone may silence triggers.
    """
    names = [name for name in connection.introspection.django_table_names(only_existing=True) if name not in _KEPT]
    tables = [connection.ops.quote_name(name) for name in names]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # neither foreign keys nor our triggers
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(";".join(f"DELETE FROM {table}" for table in tables))  # noqa: S608 — Django's own names


def empty_after_tests() -> None:
    """Let every test that commits end with `empty_database`."""
    TransactionTestCase._fixture_teardown = lambda self: empty_database()
