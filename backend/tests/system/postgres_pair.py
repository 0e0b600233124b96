"""A PostgreSQL and its standby on the loopback address, the second one made by `pg_basebackup`.

Replication is synchronous, as it must be where orders are at stake: a commit that the standby never saw could
let an order that left be taken for one that never did.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from launcher.embedded import DATABASE_NAME, Postgres, non_root_prefix, postgres_bin_dir
from launcher.processes import die_with_parent
from tests.system.instance import family_of, free_port, wait_until

_STANDBY_NAME = "second"


class PostgresPair:
    """`url` names both hosts and goes into DATABASE_URL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = (free_port(), free_port())
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"postgresql://postgres@{hosts}/{DATABASE_NAME}?target_session_attrs=read-write"

    def start(self) -> str:
        self._folder.mkdir(parents=True)
        first, second = self._folder / "first", self._folder / "second"
        Postgres(first, durable=False).prepare()
        self._run(first, 0)
        self._copy(second)
        self._run(second, 1)
        self._ask("ALTER SYSTEM SET synchronous_standby_names = 'second'", "SELECT pg_reload_conf()")
        wait_until(self._is_synchronous, timeout_s=20, what="the standby follows synchronously")
        return self.url

    def kill_primary(self) -> None:
        """`kill -9` every process of the first server at once, as when its machine dies."""
        for pid in reversed(family_of(self._processes[0].pid)):
            with suppress(ProcessLookupError):  # a connection's process that ended meanwhile
                os.kill(pid, signal.SIGKILL)
        self._processes[0].wait(10)

    def promote_standby(self) -> float:
        """Promote the second server, which no longer waits for a standby; return the monotonic time."""
        with psycopg.connect(self._one_url(1), autocommit=True) as standby:
            standby.execute("SELECT pg_promote(true, 20)")
            standby.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            standby.execute("SELECT pg_reload_conf()")
        return time.monotonic()

    def stop(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, data_dir: Path, number: int) -> None:
        options = {
            "port": str(self._ports[number]),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "wal_level": "replica",
            "max_connections": "200",
            "fsync": "off",
            "full_page_writes": "off",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [*non_root_prefix(), str(postgres_bin_dir() / "postgres"), "-D", str(data_dir), *flags]
        with (self._folder / f"{data_dir.name}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent(signal.SIGINT)
            )
        wait_until(lambda: self._answers(number), timeout_s=30, what=f"PostgreSQL {data_dir.name} answers")

    def _copy(self, target: Path) -> None:
        source = f"host=127.0.0.1 port={self._ports[0]} user=postgres application_name={_STANDBY_NAME}"
        command = [str(postgres_bin_dir() / "pg_basebackup"), "-d", source, "-D", str(target), "-R", "-X", "stream"]
        subprocess.run([*command, "-c", "fast", "--no-sync"], check=True, capture_output=True)

    def _answers(self, number: int) -> bool:
        try:
            psycopg.connect(self._one_url(number), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _is_synchronous(self) -> bool:
        rows = self._ask("SELECT sync_state FROM pg_stat_replication")
        return rows == [("sync",)]

    def _ask(self, *statements: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self._one_url(0), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _one_url(self, number: int) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._ports[number]}/{DATABASE_NAME}"
