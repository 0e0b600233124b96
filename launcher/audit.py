"""What we stand on: the licences of what an instance runs, and the weaknesses that are known of it.

`python -m launcher.audit --junit=FILE` is a stage of the gate; `--write` renews `docs/licences.md`. Licences are
read from the packages and the lock files, without network. Known weaknesses are asked of the registries' advisory
databases (pip-audit, npm audit): where they are out of reach, nothing was verified, and that is what is said.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from launcher.install import FRONTEND, ROOT, node_environment, npm_command

_LOCK = ROOT / "requirements" / "runtime.lock"
_LIST = ROOT / "docs" / "licences.md"
_ANSWER_WITHIN_S = 90
# Would bind what is distributed with it. LGPL and MPL bind changes to the package itself, of which we make none.
_STRONG = re.compile(r"\b(A?GPL|GNU (Affero )?General Public|SSPL|EUPL|OSL|CC-BY-(NC|SA))", re.IGNORECASE)
_WEAK = re.compile(r"LGPL|Lesser General Public|MPL|Mozilla", re.IGNORECASE)
_CLASSIFIER = re.compile(r"^License :: (?:OSI Approved :: )?(.+)$")


@dataclass(frozen=True)
class Verdict:
    """One case of the report: passed, failed with its words, or not verified with its reason."""

    name: str
    failed: str = ""
    unverified: str = ""


def main(arguments: Sequence[str]) -> int:
    """Check, or write the list of licences; return the exit code."""
    if "--write" in arguments:
        _LIST.write_text(licence_list(), encoding="utf-8")
        return 0
    verdicts = [licences(), known_weaknesses_of_python(), known_weaknesses_of_node()]
    for verdict in verdicts:
        state = f"ÉCHEC : {verdict.failed}" if verdict.failed else verdict.unverified or "rien à signaler"
        print(f"{verdict.name} : {'non vérifié, ' if verdict.unverified else ''}{state}", flush=True)  # noqa: T201
    for argument in arguments:
        if argument.startswith("--junit="):
            _report(verdicts, Path(argument.removeprefix("--junit=")))
    return int(any(verdict.failed for verdict in verdicts))


def licences() -> Verdict:
    """No package that an instance runs or serves is under a strong copyleft; the list in the docs is current."""
    name = "licences"
    packages = {**python_licences(), **node_licences()}
    refused = [f"{package} ({licence})" for package, licence in packages.items() if is_refused(licence)]
    if refused:
        return Verdict(name, failed=f"copyleft, ou licence inconnue : {', '.join(refused)}")
    if not _LIST.is_file() or _LIST.read_text(encoding="utf-8") != licence_list():
        return Verdict(name, failed="docs/licences.md n'est plus à jour : python -m launcher.audit --write")
    return Verdict(name)


def is_refused(licence: str) -> bool:
    """Return whether a licence is unknown, or copyleft in every way it offers (`GPL OR MIT` is MIT)."""
    choices = re.split(r"\s+or\s+|/", licence, flags=re.IGNORECASE)
    return all(not choice.strip() or (_STRONG.search(choice) and not _WEAK.search(choice)) for choice in choices)


def python_licences() -> dict[str, str]:
    """Licence by package of the lock; those of other systems, which are not installed here, are left out."""
    found = {}
    for name in re.findall(r"^([A-Za-z0-9._-]+)==", _LOCK.read_text(encoding="utf-8"), re.MULTILINE):
        try:
            about = metadata(name)
        except PackageNotFoundError:
            continue
        found[name] = _licence_of(about)
    return found


def _licence_of(about: Any) -> str:
    expression = (about.get("License-Expression") or "").strip()
    matches = [_CLASSIFIER.match(line) for line in about.get_all("Classifier") or []]
    classified = " / ".join(match[1] for match in matches if match and match[1] != "OSI Approved")
    return expression or classified or (about.get("License") or "").strip().split("\n")[0]


def node_licences() -> dict[str, str]:
    """Licence by package that the built cockpit holds; npm's lock file tells them."""
    lock = json.loads((FRONTEND / "package-lock.json").read_text(encoding="utf-8"))
    return {
        path.rpartition("node_modules/")[2]: str(entry.get("license", ""))
        for path, entry in sorted(lock["packages"].items())
        if path and not (entry.get("dev") or entry.get("optional") or entry.get("devOptional"))
    }


def licence_list() -> str:
    """Return the text of `docs/licences.md`."""
    lines = ["# Licences of what an instance runs and serves", ""]
    lines += ["Written by `python -m launcher.audit --write`; the gate fails when it is out of date.", ""]
    for title, packages in (("Python", python_licences()), ("Browser", node_licences())):
        lines += [f"## {title}", "", "| package | licence |", "|---|---|"]
        lines += [f"| {name} | {licence} |" for name, licence in sorted(packages.items())]
        lines.append("")
    return "\n".join(lines)


def known_weaknesses_of_python() -> Verdict:
    """Ask pip-audit about every locked package."""
    name = "faiblesses connues (Python)"
    options = ["--requirement", str(_LOCK), "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    answer = _asked([sys.executable, "-m", "pip_audit", *options])
    packages = answer.get("dependencies", [])
    known = [row for row in packages if "skip_reason" not in row]
    weak = [f"{row['name']} {row['version']} : {each['id']}" for row in known for each in row.get("vulns", [])]
    if weak:
        return Verdict(name, failed=", ".join(weak))
    if not packages or len(known) < len(packages):
        reason = f"{len(packages) - len(known)} paquets sur {len(packages)} inconnus du registre atteint"
        return Verdict(name, unverified=reason if packages else answer["unreachable"])
    return Verdict(name)


def known_weaknesses_of_node() -> Verdict:
    """Ask npm audit about what the built cockpit holds."""
    name = "faiblesses connues (navigateur)"
    answer = _asked(npm_command("audit", "--omit=dev", "--package-lock-only", "--json"))
    found = answer.get("vulnerabilities")
    if found is None:
        return Verdict(name, unverified=answer.get("unreachable") or "le registre n'a pas de base de faiblesses")
    weak = [f"{package} ({row['severity']})" for package, row in found.items()]
    return Verdict(name, failed=", ".join(weak))


def _asked(command: Sequence[str]) -> dict[str, Any]:
    """Run an audit tool and return its JSON, or `{"unreachable": why}`."""
    try:
        run = subprocess.run(
            command,
            cwd=FRONTEND,
            env=node_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"unreachable": f"pas de réponse en {_ANSWER_WITHIN_S} s"}
    try:
        answer: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        return {"unreachable": "base des faiblesses hors d'atteinte"}
    return answer


def _report(verdicts: Sequence[Verdict], path: Path) -> None:
    suite = ElementTree.Element("testsuite", name="dépendances")
    for verdict in verdicts:
        case = ElementTree.SubElement(suite, "testcase", name=verdict.name)
        if verdict.failed:
            ElementTree.SubElement(case, "failure", message=verdict.failed)
        elif verdict.unverified:
            ElementTree.SubElement(case, "skipped", message=verdict.unverified)
    ElementTree.ElementTree(suite).write(path, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
