"""Asks the running services how they are, over HTTP on the loopback address, without any proxy."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

_TIMEOUT_S = 3.0
_CACHE_S = 0.2


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, bytes] | None:
    """GET a path; None when nothing answers."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(_TIMEOUT_S)
        return probe.connect_ex((host, port)) == 0


class WebHealth:
    """The web process's `/api/health/ready`, asked at most every 0.2 s whoever asks.

    Args:
        port: the web process's port.
        host: the address it is reached at.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port = port
        self._host = host
        self._lock = threading.Lock()
        self._asked_at = -_CACHE_S
        self._answer: tuple[int, bytes] | None = None

    def answers(self) -> bool:
        """Whether the web process speaks HTTP."""
        return get(self._port, "/api/health/live", self._host) is not None

    def all_ready(self) -> bool:
        """Whether every service that trading needs is up."""
        answer = self._ask()
        return answer is not None and answer[0] == http.HTTPStatus.OK

    def is_up(self, service: str) -> bool:
        """Whether one service is up; without a list of services, whether all are."""
        states = self.states()
        return states[service] == "up" if service in states else self.all_ready()

    def states(self) -> dict[str, str]:
        """The state of each service that the answer lists (`up`, `down`, `starting`, `absent`)."""
        answer = self._ask()
        try:
            body: Any = json.loads(answer[1]) if answer else {}
        except ValueError:
            return {}
        services = body.get("services") if isinstance(body, dict) else None
        if not isinstance(services, dict):
            return {}
        return {name: str(state) for name, state in services.items()}

    def _ask(self) -> tuple[int, bytes] | None:
        with self._lock:
            if time.monotonic() - self._asked_at >= _CACHE_S:
                self._answer = get(self._port, "/api/health/ready", self._host)
                self._asked_at = time.monotonic()
            return self._answer


class PresenceKeys:
    """The keys by which terminals say in Redis that they live, read from the embedded Valkey.

    Args:
        socket_path: Valkey's Unix socket.
    """

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def is_announced_by(self, service: str, pid: int) -> bool:
        """Whether the key `service:<name>` was written by that very process."""
        try:
            announced: Any = json.loads(self._get(f"service:{service}"))
        except (OSError, ValueError):
            return False
        return isinstance(announced, dict) and announced.get("pid") == pid

    def _get(self, key: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_TIMEOUT_S)
            client.connect(str(self._socket_path))
            client.sendall(f"GET {key}\r\n".encode())
            with client.makefile("rb") as reply:
                length = int(reply.readline().removeprefix(b"$") or b"-1")  # "-1": no such key
                return reply.read(length) if length >= 0 else b""
