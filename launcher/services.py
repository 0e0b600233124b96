"""What `up` runs: each service's command, environment and sign of readiness."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launcher import health
from launcher.embedded import EmbeddedServer, Postgres, Valkey
from launcher.install import FRONTEND, ROOT, node_command, node_environment
from launcher.options import BINANCE, UpOptions, feed_symbols
from launcher.supervisor import Service

BACKEND = ROOT / "backend"
_SERVER_STOP_S = 15.0
_BINANCE_REST, _BINANCE_STREAMS = "https://api.binance.com", "wss://stream.binance.com:9443"


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """One of the specification's terminals that is a management command.

    Args:
        command: the management command and its arguments.
        presence: the name under which it announces itself.
        role: another name, when it depends on who came first.
    """

    name: str
    label: str
    command: tuple[str, ...]
    presence: str
    role: str = ""


_STANDBY = "ccxt_service_standby"
TERMINALS = (
    Terminal(
        name="ccxt", label="Terminal 5 — service CCXT", command=("run_ccxt_service",), presence="ccxt_service"
    ),
    Terminal(name="heartbeat", label="Terminal 2 — Heartbeat", command=("run_heartbeat",), presence="heartbeat"),
    Terminal(
        name="engine",
        label="Terminal 3 — moteur de trading",
        command=("run_trading_engine",),
        presence="trading_engine",
    ),
)
SECOND_HEARTBEAT = Terminal(
    name="heartbeat2",
    label="Terminal 2 bis — Heartbeat secondaire",
    command=("run_heartbeat", "--source", "secondary"),
    presence="heartbeat_secondary",
)
SECOND_GATEWAY = Terminal(
    name="ccxt2",
    label="Terminal 5 bis — service CCXT de secours",
    command=("run_ccxt_service",),
    presence="ccxt_service",
    role=_STANDBY,
)


class Plan:
    """Builds the services of one instance from its options and configuration.

    Args:
        options: the options of `up`.
        configuration: the merged `.env` files and environment.
        simex_port: a free port for the simulated exchange.
    """

    def __init__(self, options: UpOptions, configuration: dict[str, str], simex_port: int) -> None:
        self._options = options
        self._configuration = configuration
        self.simex_port = simex_port
        self.symbols = feed_symbols(options.feed, configuration.get("HEARTBEAT_SYMBOLS"))
        self.host = configuration.get("ARISTOBOT_HOST", "127.0.0.1")
        self.postgres = None if "DATABASE_URL" in configuration else Postgres(options.data_dir / "postgres")
        self.valkey = None if "REDIS_URL" in configuration else Valkey(options.data_dir / "valkey")
        self.web_health = health.WebHealth(options.port, self.loopback_host())
        self.environment = self._environment()

    def loopback_host(self) -> str:
        """The address at which this machine reaches the web process."""
        return "127.0.0.1" if self.host in {"0.0.0.0", ""} else self.host  # noqa: S104 - compared

    @property
    def url(self) -> str:
        """What the user opens."""
        return f"http://{self.loopback_host()}:{self._options.port}"

    @property
    def is_real_market(self) -> bool:
        """Whether the heartbeat and the Simulateur follow the real Binance."""
        return self._options.feed == BINANCE

    def _real_market(self) -> tuple[str, str]:
        """REST and stream addresses of Binance; another REST address brings its own streams along."""
        rest = self._configuration.get("BINANCE_REST_URL", _BINANCE_REST)
        streams = _BINANCE_STREAMS if rest == _BINANCE_REST else rest.replace("http", "ws", 1)
        return rest, streams

    def _environment(self) -> dict[str, str]:
        simex = f"127.0.0.1:{self.simex_port}"
        followed = (f"http://{simex}", f"ws://{simex}") if not self.is_real_market else self._real_market()
        defaults = {
            "BINANCE_WS_URL": followed[1],
            "BINANCE_REST_URL": followed[0],
            "ARISTOBOT_HOST": self.host,
            "FRONTEND_DIST": str(FRONTEND / "dist"),
            "PYTHONUNBUFFERED": "1",
        }
        fixed = {
            "SIMEX_URL": f"http://{simex}",
            "SIMEX_REAL_PRICES": str(self.is_real_market),
            "HEARTBEAT_SYMBOLS": ",".join(self.symbols),
            "ARISTOBOT_DATA_DIR": str(self._options.data_dir),
            "PYTHONPATH": os.pathsep.join([str(BACKEND), str(ROOT)]),
        }
        embedded = {"DATABASE_URL": self.postgres, "REDIS_URL": self.valkey}
        fixed |= {name: server.url for name, server in embedded.items() if server is not None}
        return {**os.environ, **defaults, **self._configuration, **fixed}

    def shared_environment(self) -> dict[str, str]:
        """What `manage` needs to join the running instance; no secret (the key is in `.env`)."""
        names = ["DATABASE_URL", "REDIS_URL", "SIMEX_URL", "BINANCE_WS_URL", "BINANCE_REST_URL"]
        names += ["ARISTOBOT_DATA_DIR", "ARISTOBOT_HOST", "FRONTEND_DIST", "HEARTBEAT_SYMBOLS", "SIMEX_REAL_PRICES"]
        embedded = {"DATABASE_URL": self.postgres, "REDIS_URL": self.valkey}
        kept = [name for name in names if name not in embedded or embedded[name] is not None]
        return {name: self.environment[name] for name in kept if name in self.environment}

    def servers(self) -> list[Service]:
        """PostgreSQL and Valkey, unless the configuration names others."""
        labels = ((self.postgres, "PostgreSQL"), (self.valkey, "Valkey (Redis)"))
        return [self._server(server, label) for server, label in labels if server is not None]

    def _server(self, server: EmbeddedServer, label: str) -> Service:
        return Service(
            name=server.name,
            label=label,
            command=server.command(),
            cwd=self._options.data_dir,
            prepare=server.prepare,
            ready=lambda _pid: server.ready(),
            stop_signal=server.stop_signal,
            stop_timeout_s=_SERVER_STOP_S,
            tier=0,
            stable_after_s=2.0,
            shown=False,
        )

    def simex(self) -> Service:
        """The simulated exchange."""
        options = self._options
        command = [sys.executable, "-m", "simex", "--port", str(self.simex_port)]
        command += ["--symbols", ",".join(self.symbols)]
        if self.is_real_market:
            command += ["--source", f"live:{self.environment['BINANCE_REST_URL']}"]
            command += ["--live-ws", self.environment["BINANCE_WS_URL"]]
        else:
            command += ["--source", options.feed, "--speed", options.speed]
            command += ["--wait-for-consumer"]  # nothing happens before the heartbeat listens
        if options.speed == "max":
            command += ["--pause-without-consumer"]  # or hours would pass while it restarts
        return Service(
            name="simex",
            label="Échange simulé",
            command=[*command, "--data-dir", str(options.data_dir / "simex")],
            cwd=ROOT,
            env=self.environment,
            ready=lambda _pid: health.get(self.simex_port, "/api/v3/ping") is not None,
            tier=1,
            stable_after_s=2.0,
            shown=False,
        )

    def workers(self) -> list[Service]:
        """Terminals 5, 2 and 3, and what stands by."""
        standing_by = [SECOND_HEARTBEAT] if self._options.heartbeats > 1 else []
        standing_by += [SECOND_GATEWAY] if self._options.gateways > 1 else []
        return [self._worker(terminal) for terminal in (*TERMINALS, *standing_by)]

    def web_services(self) -> list[Service]:
        """Terminal 1, and terminal 4 (Vite) when it is wanted."""
        return [self._web(), *([self._vite()] if self._options.dev else [])]

    def database_stamp_file(self, name: str) -> Path | None:
        """Where the embedded database notes a step done; a server of the user's has no such place."""
        return None if self.postgres is None else self.postgres.data_dir / f"aristobot-{name}"

    def _worker(self, terminal: Terminal) -> Service:
        return Service(
            name=terminal.name,
            label=terminal.label,
            command=[sys.executable, "manage.py", *terminal.command],
            cwd=BACKEND,
            env=self.environment,
            ready=self._presence(terminal),
            tier=2,
        )

    def _presence(self, terminal: Terminal) -> Callable[[int], bool]:
        """The terminal's own announcement; through the web process when Redis is not ours."""
        names = [name for name in (terminal.presence, terminal.role) if name]
        if names == ["heartbeat"] and self._configuration.get("HEARTBEAT_SOURCE") == "secondary":
            names = ["heartbeat_secondary"]
        if self.valkey is None:
            return lambda _pid: any(self.web_health.is_up(name) for name in names)
        keys = health.PresenceKeys(self.valkey.socket_path)
        return lambda pid: any(keys.is_announced_by(name, pid) for name in names)

    def _web(self) -> Service:
        daphne = [sys.executable, "-m", "daphne", "-b", self.host, "-p", str(self._options.port), "-v", "0"]
        return Service(
            name="web",
            label="Terminal 1 — serveur web",
            command=[*daphne, "aristobot.asgi:application"],
            cwd=BACKEND,
            env=self.environment,
            ready=lambda _pid: self.web_health.answers(),
            tier=2,
        )

    def _vite(self) -> Service:
        vite = node_command(Path("node_modules") / "vite" / "bin" / "vite.js")
        env = {**self.environment, "PATH": node_environment()["PATH"], "ARISTOBOT_BACKEND": self.url}
        return Service(
            name="vite",
            label="Terminal 4 — Vite",
            command=vite,
            cwd=FRONTEND,
            env=env,
            stop_signal=signal.SIGTERM,
            tier=2,
        )
