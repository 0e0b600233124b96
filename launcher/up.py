"""`./aristobot up`: from a fresh clone to « Aristobot est prêt », then until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import webbrowser
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager

from launcher import kinship, real_market
from launcher.environment import load_configuration, read_configuration
from launcher.errors import EXIT_INTERRUPTED, LauncherError
from launcher.guardian import run_guarded
from launcher.install import (
    FRONTEND,
    ROOT,
    VENV_PYTHON,
    build_front_end,
    install_node_packages,
    install_python_packages,
    installation_lock,
    lock_stamp,
)
from launcher.instance import Instance, check_free_space, check_port_free, free_port
from launcher.market_pace import check_speed
from launcher.options import UpOptions
from launcher.processes import become_subreaper
from launcher.screen import Screen, french_seconds
from launcher.services import BACKEND, Plan
from launcher.stamps import content_stamp, is_current, write_stamp
from launcher.supervisor import Service, Supervisor
from launcher.upgrade import how_to_go_back, save_before_migrating

_READY_TIMEOUT_S = 120.0
_POLL_S = 0.1
_NO_SOURCE = frozenset({"__pycache__"})
_ACCOUNTS = BACKEND / "apps" / "accounts" / "management" / "commands" / "init_aristobot.py"


def count_steps(options: UpOptions, configuration: Mapping[str, str]) -> int:
    """How many numbered steps the screen will show."""
    servers = sum(name not in configuration for name in ("DATABASE_URL", "REDIS_URL"))
    installation = 2 if options.dev else 3
    terminals = 2 + options.heartbeats + options.gateways + options.dev
    return installation + servers + len(("migrations", "accounts", "simex")) + terminals


def up(options: UpOptions) -> int:
    """Install the Python packages, then run the rest in the virtual environment, guarded."""
    configuration = read_configuration(ROOT, options.data_dir, os.environ)
    with installation_lock():
        install_python_packages("runtime", Screen(total_steps=count_steps(options, configuration)))
    command = [str(VENV_PYTHON), str(ROOT / "aristobot"), "_supervise", *options.arguments()]
    return run_guarded(command, os.environ)


def supervise(options: UpOptions) -> int:
    """Start the instance and keep it until it is asked to stop (runs in the virtual environment)."""
    began = time.monotonic()
    instance = Instance(options.data_dir)
    check_free_space(options.data_dir)
    with ExitStack() as held:
        held.enter_context(instance.open())
        configuration = load_configuration(ROOT, options.data_dir, os.environ)
        if kin := kinship.hold(configuration["SECRET_KEY"], options.data_dir, beside=options.beside):
            held.enter_context(kin)
        (options.data_dir / "static").mkdir(exist_ok=True)  # Django's, looked at when the web server starts
        pace = check_speed(options)
        screen = Screen(total_steps=count_steps(options, configuration), done_steps=1)
        plan = Plan(options, configuration, free_port())
        check_port_free(plan.host, options.port)
        if pace:
            screen.line(pace)
        try:
            _install_front_end(options, screen)
            become_subreaper()
            return asyncio.run(_Run(options, plan, instance, screen, began).run())
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        finally:
            instance.run_file.unlink(missing_ok=True)


def _install_front_end(options: UpOptions, screen: Screen) -> None:
    with installation_lock():
        install_node_packages(FRONTEND, screen)
        if not options.dev:
            build_front_end(screen)


class _Run:
    """One run of an instance, from its first service to its last."""

    def __init__(self, options: UpOptions, plan: Plan, instance: Instance, screen: Screen, began: float) -> None:
        self._options = options
        self._plan = plan
        self._instance = instance
        self._screen = screen
        self._began = began
        self._supervisor = Supervisor(screen, instance.log_dir)
        self._new_accounts = ""  # with their one-time passwords: for the screen only

    async def run(self) -> int:
        """Start everything, wait for a signal, stop everything.

        Raises:
            LauncherError: a service could not be started; what was started is stopped first.
        """
        self._listen_to_signals()
        startup = asyncio.create_task(self._start_everything())
        stop_asked = asyncio.create_task(self._supervisor.stopping.wait())
        market: asyncio.Task[None] | None = None
        try:
            await asyncio.wait({startup, stop_asked}, return_when=asyncio.FIRST_COMPLETED)
            if startup.done():
                await startup
                if self._plan.is_real_market:
                    market = asyncio.create_task(real_market.watch(self._plan.simex_port, self._screen.line))
                await stop_asked
        finally:
            startup.cancel()
            if market is not None:
                market.cancel()
            await self._stop()
        return 0

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._supervisor.stopping.is_set():
            self._screen.line("Arrêt immédiat.")
            self._supervisor.kill_all()
            return
        self._screen.line("Arrêt en cours (Ctrl-C une seconde fois pour tuer) …")
        self._supervisor.stopping.set()

    async def _stop(self) -> None:
        began = time.monotonic()
        await self._supervisor.stop_all()
        self._screen.line(f"Aristobot est arrêté ({french_seconds(time.monotonic() - began)}).")

    async def _start_everything(self) -> None:
        await asyncio.gather(self._start(self._plan.simex()), self._prepare_database())
        workers = [self._start(service) for service in self._plan.workers()]
        await asyncio.gather(*workers, self._start_web())
        self._publish_run()
        await self._wait_all_ready()
        self._announce()

    async def _prepare_database(self) -> None:
        await asyncio.gather(*(self._start(service) for service in self._plan.servers()))
        async with self._once("Base de données", "migrations", migrations_stamp()) as needed:
            if needed:
                await self._migrate()

    async def _migrate(self) -> None:
        """Save what an older version left before its tables change."""
        environment, folder = self._plan.environment, self._options.data_dir
        saved = await asyncio.to_thread(save_before_migrating, folder, environment, self._screen)
        try:
            await self._manage("migrate", "--no-input", "-v", "0")
        except LauncherError as error:
            if saved is None:
                raise
            raise LauncherError(f"{error.message}\n{how_to_go_back(saved)}", error.exit_code) from error
        if saved is not None:
            self._screen.line("Base mise à niveau.")

    async def _start_web(self) -> None:
        """The first accounts get their Simulateur at simex, so it answers by now."""
        async with self._once("Comptes", "accounts", accounts_stamp()) as needed:
            output = await self._manage("init_aristobot") if needed else ""
        self._new_accounts = output.strip()
        if self._new_accounts:
            self._screen.line(self._new_accounts)
        await asyncio.gather(*(self._start(service) for service in self._plan.web_services()))

    @asynccontextmanager
    async def _once(self, label: str, name: str, stamp: str) -> AsyncIterator[bool]:
        """A step that the embedded database remembers; on another server it is done at each start."""
        file = self._plan.database_stamp_file(name)
        needed = file is None or not is_current(file, stamp)
        with self._screen.step(label if needed else f"{label} (déjà à jour)"):
            yield needed
        if file is not None and needed:
            write_stamp(file, stamp)

    async def _start(self, service: Service) -> None:
        finish = self._screen.begin(service.label)
        try:
            await self._supervisor.start(service)
        except LauncherError:
            finish("échec")
            raise
        finish("prêt")

    async def _manage(self, *arguments: str) -> str:
        """Run a management command once. What it says may hold a password: never logged."""
        code, output = await run_manage(arguments, self._plan.environment)
        if code:
            raise LauncherError(f"Échec de « manage.py {arguments[0]} » (code {code}).\n{output[-2000:]}")
        return output

    async def _wait_all_ready(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not await asyncio.to_thread(self._plan.web_health.all_ready):
            if time.monotonic() > deadline:
                states = ", ".join(f"{name} : {state}" for name, state in self._plan.web_health.states().items())
                raise LauncherError(
                    f"Les services ne sont pas tous prêts après {_READY_TIMEOUT_S:.0f} s "
                    f"({states or 'aucune réponse de /api/health/ready'}). Journaux : {self._instance.log_dir}"
                )
            await asyncio.sleep(_POLL_S)

    def _publish_run(self) -> None:
        self._instance.write_run(
            {
                "pid": os.getpid(),
                "url": self._plan.url,
                "port": self._options.port,
                "host": self._plan.loopback_host(),
                "feed": self._options.feed,
                "environment": self._plan.shared_environment(),
            }
        )

    def _announce(self) -> None:
        self._screen.line(f"Démarrage en {french_seconds(time.monotonic() - self._began)}.")
        if self._options.feed == "walk":
            self._screen.line(
                "Marché simulé, sans internet. Pour rejouer un enregistrement : --feed trades:FICHIER ; "
                "pour les prix réels de Binance : --feed binance."
            )
        if self._new_accounts:  # the services' lines have pushed them out of sight
            self._screen.line(f"À noter maintenant :\n{self._new_accounts}")
        self._screen.line(f"Aristobot est prêt : {self._plan.url}")
        if self._options.browser and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
            webbrowser.open(self._plan.url)


def migrations_stamp() -> str:
    """What the database's tables come from: our migrations and the installed packages'."""
    return content_stamp(sorted(BACKEND.glob("apps/*/migrations")), extra=lock_stamp("runtime"), skip=_NO_SOURCE)


def accounts_stamp() -> str:
    """What the first accounts are made by."""
    return content_stamp([_ACCOUNTS])


async def run_manage(arguments: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
    """Run `manage.py` to its end; killed when the caller is cancelled."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "manage.py",
        *arguments,
        cwd=BACKEND,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    return process.returncode or 0, output.decode(errors="replace")
