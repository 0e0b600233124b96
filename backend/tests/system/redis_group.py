"""A Redis with a replica and three Sentinels, each a process of its own on the loopback address."""

import signal
import subprocess
from functools import partial
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from launcher.embedded import valkey_binary
from launcher.processes import die_with_parent
from tests.system.instance import free_port, wait_until

SERVICE = "aristobot"
DOWN_AFTER_MS = 1000


class RedisGroup:
    """Start with `start`; `url` is what goes into REDIS_URL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True)
        self.servers: dict[int, subprocess.Popen[bytes] | None] = {free_port(): None, free_port(): None}
        self.sentinels: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"sentinel://{hosts}/{SERVICE}"

    def start(self) -> str:
        first, second = self.servers
        self.servers[first] = self._server(first)
        self.servers[second] = self._server(second, "--replicaof", "127.0.0.1", str(first))
        wait_until(lambda: self._follows(second), timeout_s=20, what="the replica follows")
        for _ in range(3):
            port = free_port()
            self.sentinels[port] = self._sentinel(port, first)
        wait_until(self._agree, timeout_s=20, what="three Sentinels know each other and the replica")
        return self.url

    def stop(self) -> None:
        for process in (*self.sentinels.values(), *self.servers.values()):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait(10)

    def primary(self) -> int:
        """The port of the server that the Sentinels call the primary."""
        with server(next(iter(self.sentinels))) as sentinel:
            _, port = sentinel.sentinel_get_master_addr_by_name(SERVICE)
        return int(port)

    def send(self, port: int, number: signal.Signals) -> None:
        """Send a signal to a server."""
        process = self.servers[port]
        if process is None:
            raise AssertionError(f"the server {port} was never started")
        process.send_signal(number)

    def start_missing(self) -> None:
        """Bring back a server that was killed; the Sentinels make it a replica."""
        for port, process in self.servers.items():
            if process is not None and process.poll() is not None:
                self.servers[port] = self._server(port)
                wait_until(partial(self._follows, port), timeout_s=40, what=f"the server {port} is a replica")

    def _agree(self) -> bool:
        return all(self._knows_all(port) for port in self.sentinels)

    @staticmethod
    def _knows_all(port: int) -> bool:
        try:
            with server(port) as sentinel:
                state = sentinel.sentinel_master(SERVICE)
        except RedisError:
            return False
        return (state["num-slaves"], state["num-other-sentinels"]) == (1, 2)

    @staticmethod
    def _follows(port: int) -> bool:
        try:
            with server(port) as replica:
                return replica.info("replication").get("master_link_status") == "up"
        except RedisError:
            return False

    def _server(self, port: int, *options: str) -> "subprocess.Popen[bytes]":
        folder = self._folder / f"server-{port}"
        folder.mkdir(exist_ok=True)
        command = [str(valkey_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        durable = ["--appendonly", "yes", "--save", "", "--repl-diskless-sync-delay", "0"]
        return self._process([*command, *durable, *options], folder / "log")

    def _sentinel(self, port: int, primary: int) -> "subprocess.Popen[bytes]":
        folder = self._folder / f"sentinel-{port}"
        folder.mkdir()
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        return self._process([str(valkey_binary()), str(configuration), "--sentinel"], folder / "log")

    def _process(self, command: list[str], log_file: Path) -> "subprocess.Popen[bytes]":
        with log_file.open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )


def server(port: int) -> Redis:
    return Redis(port=port, socket_timeout=2.0, decode_responses=True)
