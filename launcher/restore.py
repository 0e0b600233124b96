"""`./aristobot restore FILE`: an instance made again from its backup, whose bots wait for their user.

Everything is built in a folder beside the wanted one and renamed at the end, so what is interrupted leaves no
half instance. With a database of the user's own (`DATABASE_URL`), the tables come back in one transaction.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from launcher.archive import CHUNK, ArchiveReader
from launcher.backup import BACKUP_FORMAT, DATABASE, ENVIRONMENT, JOURNAL, UPSTREAM, Meter
from launcher.database_copy import (
    bring_tables_back,
    forget_tables_aside,
    load,
    migrations_of,
    rows_of,
    set_tables_aside,
)
from launcher.environment import load_configuration, read_configuration, read_env_file
from launcher.errors import EXIT_DATA_IN_USE, EXIT_DATA_VERSION, EXIT_FAILURE, EXIT_USAGE, LauncherError
from launcher.install import ROOT
from launcher.instance import DATA_FORMAT, Instance, check_free_space
from launcher.manage import django, in_virtual_environment, start_servers
from launcher.options import UpOptions
from launcher.schema import unknown_migrations
from launcher.screen import Screen, counted, french_seconds
from launcher.services import Plan
from launcher.stamps import write_stamp
from launcher.up import accounts_stamp, migrations_stamp

_MAY_BE_THERE = {"logs", "lock"}
_TOLD = {
    "users": "utilisateur",
    "brokers": "broker",
    "active_strategies": "bot",
    "trades": "ordre",
    "fills": "exécution",
    "candles": "bougie",
}
_SPACE_FACTOR = 2  # a dump against the tables and indexes it becomes


def run(namespace: argparse.Namespace, data_dir: Path) -> int:
    """Restore a backup into a data folder; return the exit code."""
    path = Path(namespace.file).resolve()
    more = ["--replace"] if namespace.replace else []
    more += ["--simex", str(Path(namespace.simex).resolve())] if namespace.simex else []
    in_virtual_environment("restore", str(path), "--data-dir", str(data_dir), *more)
    simex = Path(namespace.simex).resolve() if namespace.simex else None
    with closing(ArchiveReader(path)) as archive:
        return Restoration(archive, data_dir, replace=namespace.replace, simex=simex).run()


class Restoration:
    """One restoration, from its checks to the words at its end.

    Args:
        replace: whether what is there may be set aside (folder) or emptied (a database of the user's own).
        simex: folder of a simulated exchange that went on after the backup; None takes the backup's.
    """

    def __init__(self, archive: ArchiveReader, data_dir: Path, *, replace: bool, simex: Path | None) -> None:
        self._archive = archive
        self._manifest = archive.manifest
        self._data_dir = data_dir
        self._replace = replace
        self._simex = simex
        self._screen = Screen(total_steps=5)
        self._draft = data_dir.with_name(f"{data_dir.name}.restauration")
        self._aside = ""  # a database whose former tables are set aside
        self._own_database = "DATABASE_URL" in read_configuration(ROOT, self._draft, os.environ)

    def run(self) -> int:
        """Check, build, put in place; return the exit code.

        Raises:
            LauncherError: nothing was restored.
        """
        began = time.monotonic()
        self._check_version()
        self._check_target()
        with self._screen.step("Vérification de la sauvegarde (SHA-256)"):
            self._archive.verify(Meter(self._screen, "Lu"))
        shutil.rmtree(self._draft, ignore_errors=True)
        try:
            self._build()
            self._put_in_place()
        except BaseException:
            if self._aside:
                bring_tables_back(self._aside)
            raise
        finally:
            shutil.rmtree(self._draft, ignore_errors=True)
        if self._aside:
            forget_tables_aside(self._aside)
        self._say(french_seconds(time.monotonic() - began))
        return 0

    def _check_version(self) -> None:
        found = (self._manifest.get("product"), self._manifest.get("format"))
        newer = unknown_migrations(self._manifest.get("migrations", []))
        too_new = found[1] != BACKUP_FORMAT or self._manifest["data_format"] > DATA_FORMAT or bool(newer)
        if found[0] != "aristobot3" or too_new:
            reason = f"migration {newer[0]} inconnue ici" if newer else f"format {found[1]}"
            raise LauncherError(
                f"Cette sauvegarde vient d'une version plus récente d'Aristobot ({reason}) : "
                "mettez d'abord le programme à jour. Rien n'a été restauré.",
                EXIT_DATA_VERSION,
            )

    def _check_target(self) -> None:
        if Instance(self._data_dir).is_running():
            raise LauncherError(
                f"Restauration refusée : une instance tourne sur {self._data_dir}, arrêtez-la d'abord.",
                EXIT_DATA_IN_USE,
            )
        there = self._data_dir.iterdir() if self._data_dir.is_dir() else []
        strangers = sorted(each.name for each in there if each.name not in _MAY_BE_THERE)
        if strangers and not self._replace:
            raise LauncherError(
                f"Restauration refusée : {self._data_dir} n'est pas vide (il contient « {strangers[0]} »). "
                "Choisissez un autre --data-dir, ou ajoutez --replace : l'ancien dossier sera gardé, renommé.",
                EXIT_USAGE,
            )
        if self._simex is not None and not (self._simex / "journal.jsonl").is_file():
            raise LauncherError(f"--simex {self._simex} : aucun journal d'échange simulé ici.", EXIT_USAGE)
        size = sum(part["bytes"] for part in self._archive.parts.values())
        check_free_space(self._data_dir, size * _SPACE_FACTOR)

    def _build(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(Instance(self._draft).open())
            self._put_files()
            configuration = load_configuration(ROOT, self._draft, os.environ)
            self._check_key(configuration)
            with self._screen.step("Démarrage des serveurs"):
                environment = start_servers(self._draft, configuration, stack)
            with self._screen.step("Restauration de la base"):
                self._load_database(environment["DATABASE_URL"])
            with self._screen.step("Migrations"):
                self._manage(environment, "migrate", "--no-input", "-v", "0")
            with self._screen.step("Bots en attente, ordres en cours d'envoi mis de côté"):
                facts = {key: self._manifest[key] for key in ("taken_at", "host")}
                self._manage(environment, "mark_restored", json.dumps(facts))
            self._note_steps_done(configuration)

    def _check_key(self, configuration: Mapping[str, str]) -> None:
        """Another key from the environment would make the brokers' keys unreadable."""
        if configuration["SECRET_KEY"] != read_env_file(self._draft / ".env").get("SECRET_KEY"):
            raise LauncherError(
                "Restauration refusée : la variable d'environnement SECRET_KEY n'est pas celle de la sauvegarde, "
                "les clés de vos brokers seraient illisibles. Retirez-la de l'environnement, puis recommencez.",
                EXIT_USAGE,
            )

    def _note_steps_done(self, configuration: dict[str, str]) -> None:
        """The next `up` migrates nothing and makes no first accounts: those of the backup are there."""
        plan = Plan(UpOptions(data_dir=self._draft), configuration, simex_port=0)
        for name, stamp in (("migrations", migrations_stamp()), ("accounts", accounts_stamp())):
            file = plan.database_stamp_file(name)
            if file is not None:
                write_stamp(file, stamp)

    def _put_files(self) -> None:
        self._extract(ENVIRONMENT, self._draft / ".env")
        if self._simex is not None:
            shutil.copytree(self._simex, self._draft / "simex")
            return
        for part in (JOURNAL, UPSTREAM):
            if part in self._archive.parts:
                self._extract(part, self._draft / part)

    def _extract(self, part: str, target: Path) -> None:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file, self._archive.open(part) as source:
            shutil.copyfileobj(source, file, CHUNK)

    def _load_database(self, url: str) -> None:
        if self._own_database and migrations_of(url):
            if not self._replace:
                raise LauncherError(
                    "Restauration refusée : la base de DATABASE_URL contient déjà les tables d'une instance. "
                    "Indiquez une base vide, ou ajoutez --replace pour les remplacer.",
                    EXIT_USAGE,
                )
            set_tables_aside(url)
            self._aside = url
        total = self._archive.parts[DATABASE]["bytes"]
        with self._archive.open(DATABASE) as source:
            load(url, source, Meter(self._screen, "Base", total=total))
        expected, found = self._manifest["rows"], rows_of(url)
        wrong = [
            f"{name} : {found.get(name)} au lieu de {count}"
            for name, count in expected.items()
            if found.get(name) != count
        ]
        if wrong:
            raise LauncherError(f"Restauration incomplète ({'; '.join(wrong[:5])}).", EXIT_FAILURE)

    def _manage(self, environment: dict[str, str], *arguments: str) -> None:
        code = django(arguments, environment)
        if code:
            raise LauncherError(f"Échec de « manage.py {arguments[0]} » (code {code}) : rien n'a été restauré.")

    def _put_in_place(self) -> None:
        (self._draft / "lock").unlink(missing_ok=True)
        if self._data_dir.exists():
            stamp = time.strftime("%Y%m%d-%H%M%S")
            aside = self._data_dir.with_name(f"{self._data_dir.name}.avant-restauration-{stamp}")
            if any(each.name not in _MAY_BE_THERE for each in self._data_dir.iterdir()):
                self._data_dir.rename(aside)
                self._screen.line(f"L'ancien dossier est gardé : {aside}")
            else:
                shutil.rmtree(self._data_dir)
        self._draft.rename(self._data_dir)

    def _say(self, duration: str) -> None:
        rows: dict[str, Any] = self._manifest["rows"]
        feed = self._manifest.get("feed", "walk")
        option = "" if feed == "walk" else f" --feed {feed}"
        held = ", ".join(counted(rows.get(table, 0), name) for table, name in _TOLD.items())
        lines = (
            f"Restauré dans {self._data_dir} en {duration} : l'état du {self._manifest['taken_at']} de la machine "
            f"« {self._manifest['host']} ».",
            f"  {held} ; les lignes de chaque table sont comptées et égales.",
            "DANGER : si l'ancienne instance tourne encore, arrêtez-la AVANT de démarrer celle-ci. Deux instances "
            "avec les mêmes clés passeraient les ordres en double. Sur cette machine, le démarrage est refusé tant "
            "que l'ancienne tourne ; sur une autre, rien ne peut le voir à votre place.",
            "Vos comptes ont pu changer depuis la sauvegarde. Au premier démarrage, ce qui s'y est passé est "
            "recherché et montré ; aucun bot, webhook ni protection n'agit avant votre confirmation dans le "
            "cockpit (« Instance restaurée »).",
            f"Ensuite : ./aristobot up --data-dir {self._data_dir}{option}",
        )
        for line in lines:
            self._screen.line(line)
