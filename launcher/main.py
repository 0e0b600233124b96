"""The launcher's command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from launcher import backup, bench, gate, inspect_instance, manage, restore, soak, up
from launcher.errors import EXIT_INTERRUPTED, LauncherError
from launcher.options import add_data_dir_argument, add_up_arguments, data_dir_of, up_options


def main(argv: Sequence[str]) -> int:
    """Run a command and return its exit code; a failure is told in French on stderr."""
    before, after = _split_at_dashes(list(argv))
    namespace = _parser().parse_args(before, argparse.Namespace(pytest=after))
    run: Callable[[argparse.Namespace], int] = namespace.run
    try:
        return run(namespace)
    except LauncherError as error:
        sys.stdout.flush()
        sys.stderr.write(f"Erreur : {error.message}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _split_at_dashes(argv: list[str]) -> tuple[list[str], list[str]]:
    """Cut `test … -- pytest arguments` in two; other commands keep their `--`."""
    if argv[:1] not in (["test"], ["_gate"]) or "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aristobot", description="Aristobot3 : installe, lance, vérifie.")
    commands = parser.add_subparsers(required=True, metavar="commande")
    _add_up(commands)
    _add_test_and_bench(commands)
    _add_inspection(commands)
    _add_backup(commands)
    _add_soak(commands)
    return parser


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("up", help="installe ce qui manque et lance tout")
    add_up_arguments(command)
    command.set_defaults(run=lambda namespace: up.up(up_options(namespace)))
    inner = commands.add_parser("_supervise")
    add_up_arguments(inner)
    inner.set_defaults(run=lambda namespace: up.supervise(up_options(namespace)))


def _add_test_and_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    test = commands.add_parser("test", help="vérifie tout (style, types, tests) ou une partie")
    test.set_defaults(run=lambda namespace: gate.run(namespace.groups, namespace.pytest))
    inside = commands.add_parser("_gate")
    inside.set_defaults(run=lambda namespace: gate.run_inside(namespace.groups, namespace.pytest))
    for parser in (test, inside):
        parser.add_argument("groups", nargs="*", metavar="étape", type=_group, help=", ".join(gate.GROUPS))
    measure = commands.add_parser("bench", help="mesure, en rapports")
    measure.add_argument("name", nargs="?", default=None)
    measure.add_argument("--json", action="store_true", help="les chiffres en JSON")
    measure.add_argument("options", nargs=argparse.REMAINDER, help="options de la mesure")
    measure.set_defaults(run=_run_bench)


def _add_soak(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("soak", help="endurance : fautes et arrêts brutaux, puis tout est rapproché")
    command.add_argument("--hours", type=float, default=24.0, help="heures de marché (24)")
    command.add_argument("--speed", type=int, default=60, help="vitesse du marché (60 : 24 h en 24 min)")
    command.add_argument("--seed", type=int, default=None, help="pour refaire les mêmes fautes (au hasard)")
    command.add_argument("--keep", metavar="DOSSIER", help="garde l'instance dans ce dossier vide")
    command.set_defaults(run=soak.run)


def _run_bench(namespace: argparse.Namespace) -> int:
    return bench.run(namespace.name, [*(["--json"] if namespace.json else []), *namespace.options])


def _group(name: str) -> str:
    if name not in gate.GROUPS:
        raise argparse.ArgumentTypeError(f"{name} : attendu {', '.join(gate.GROUPS)}")
    return name


def _add_inspection(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, help_text, run in (
        ("status", "ce qui tourne", inspect_instance.status),
        ("doctor", "ce qui manque à cette machine", inspect_instance.doctor),
    ):
        command = commands.add_parser(name, help=help_text)
        add_data_dir_argument(command)
        command.set_defaults(run=lambda namespace, run=run: run(data_dir_of(namespace)))
    django = commands.add_parser("manage", help="une commande de manage.py, dans l'instance")
    add_data_dir_argument(django)
    django.add_argument("arguments", nargs=argparse.REMAINDER)
    django.set_defaults(run=lambda namespace: manage.run(data_dir_of(namespace), namespace.arguments))


def _add_backup(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    saving = commands.add_parser("backup", help="sauvegarde tout dans un fichier, sans arrêter l'instance")
    saving.add_argument("file", metavar="FICHIER")
    add_data_dir_argument(saving)
    saving.set_defaults(run=lambda namespace: backup.run(namespace, data_dir_of(namespace)))
    restoring = commands.add_parser("restore", help="refait une instance depuis une sauvegarde")
    restoring.add_argument("file", metavar="FICHIER")
    add_data_dir_argument(restoring)
    restoring.add_argument("--replace", action="store_true", help="met de côté ce que contient déjà --data-dir")
    restoring.add_argument(
        "--simex", metavar="DOSSIER", help="échange simulé qui a continué après la sauvegarde, au lieu du sien"
    )
    restoring.set_defaults(run=lambda namespace: restore.run(namespace, data_dir_of(namespace)))
