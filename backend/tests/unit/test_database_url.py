"""DATABASE_URL with one host, a socket, several hosts."""

import re
from datetime import timedelta

from apps.orders.lease import LASTS, SPAN
from aristobot.database_url import database_settings


def test_several_hosts_are_tried_in_order_for_the_one_that_writes() -> None:
    settings = database_settings("postgresql://me:p%40ss@10.0.0.1:5433,db2,[::1]:5434/aristobot?sslmode=require")
    options = settings["OPTIONS"]
    assert (settings["NAME"], settings["USER"], settings["PASSWORD"]) == ("aristobot", "me", "p@ss")
    assert (options["host"], options["port"]) == ("10.0.0.1,db2,::1", "5433,5432,5434")
    assert (options["target_session_attrs"], options["sslmode"]) == ("read-write", "require")


def test_one_host_is_not_asked_whether_it_writes_and_is_watched_by_the_kernel() -> None:
    settings = database_settings("postgres://me@127.0.0.1:5432/aristobot?connect_timeout=9")
    assert (settings["HOST"], settings["PORT"]) == ("127.0.0.1", 5432)
    assert "target_session_attrs" not in settings["OPTIONS"]
    assert settings["OPTIONS"]["tcp_user_timeout"] == 10_000
    assert int(settings["OPTIONS"]["connect_timeout"]) == 9


def test_socket_folder_in_the_query_keeps_its_case() -> None:
    settings = database_settings("postgresql://postgres@/aristobot?host=/tmp/A-b%2Fc")
    assert settings["OPTIONS"]["host"] == "/tmp/A-b/c"  # noqa: S108 — a path, nothing is written there


def test_nobody_waits_or_holds_without_end_unless_the_address_says_otherwise() -> None:
    options = database_settings("postgres://me@127.0.0.1:5432/aristobot")["OPTIONS"]["options"]
    assert "lock_timeout=10s" in options
    held = re.search(r"idle_in_transaction_session_timeout=(\d+)s", options)
    assert held is not None
    assert timedelta(seconds=int(held[1])) < LASTS + SPAN  # a successor finds its rows free
    settings = database_settings("postgres://me@127.0.0.1:5432/aristobot?options=-c%20lock_timeout%3D1s")
    assert settings["OPTIONS"]["options"] == "-c lock_timeout=1s"
