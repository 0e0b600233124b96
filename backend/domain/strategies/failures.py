"""Tells a user where his own code failed: his lines only, never ours."""

import errno
import traceback
from dataclasses import dataclass
from types import TracebackType

FILENAME = "<stratégie>"
MAX_MESSAGE = 500
MAX_FRAMES = 20
# What Python says in English, for who does not read it; the first that fits.
_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (ZeroDivisionError, "division par zéro"),
    (OverflowError, "nombre trop grand"),
    (RecursionError, "une fonction s'appelle elle-même sans fin"),
    (MemoryError, "mémoire épuisée"),
    (UnboundLocalError, "variable lue avant d'avoir reçu une valeur"),
    (NameError, "nom inconnu, ni défini ni importé"),
    (KeyError, "clé ou colonne absente"),
    (IndexError, "position hors de la liste, souvent par manque de bougies"),
    (AttributeError, "cet objet n'a pas cet attribut ni cette méthode"),
    (TypeError, "opération impossible entre ces types de valeurs"),
    (ImportError, "module absent du bac à sable"),
    (ValueError, "valeur impossible à cet endroit"),
    (SyntaxError, "texte qui n'est pas du Python"),
    (AssertionError, "une vérification de la stratégie a échoué"),
    (OSError, "accès refusé"),
    (SystemExit, "la stratégie demande à sortir"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What to show of an exception raised by user code; `line` is in the user's text, from 1."""

    message: str
    line: int | None
    exception: str
    traceback: str


def describe(error: BaseException, code: str, *, candle_count: int | None = None) -> Failure:
    """Return the failure of user code as a French sentence with its line.

    Args:
        candle_count: how many candles the strategy saw; explains indicators that gave None.
    """
    lines = _user_lines(error.__traceback__)
    line = lines[-1][0] if lines else None
    name = type(error).__name__
    text = _text(error)
    where = f"ligne {line} : " if line else ""
    hint = _hint(error, text, candle_count)
    cause = next((said for kind, said in _CAUSES if isinstance(error, kind)), "erreur de Python")
    return Failure(
        message=f"Erreur dans la stratégie, {where}{cause} ({name} : {text}){hint}",
        line=line,
        exception=f"{name}: {text}",
        traceback=_render(lines, code, f"{name}: {text}"),
    )


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 — __str__ is user code here, anything may come out of it
        text = "(message illisible)"
    return text[:MAX_MESSAGE] or "(sans message)"


def _user_lines(trace: TracebackType | None) -> list[tuple[int, str]]:
    frames = traceback.walk_tb(trace)
    return [(number, frame.f_code.co_name) for frame, number in frames if frame.f_code.co_filename == FILENAME]


def _render(lines: list[tuple[int, str]], code: str, last: str) -> str:
    source = code.splitlines()
    shown = lines if len(lines) <= MAX_FRAMES else lines[: MAX_FRAMES // 2] + lines[-MAX_FRAMES // 2 :]
    rows = []
    for number, function in shown:
        text = source[number - 1].strip()[:200] if 0 < number <= len(source) else ""
        rows.append(f"  ligne {number}, dans {function} : {text}")
    if len(shown) < len(lines):
        rows.insert(MAX_FRAMES // 2, f"  … {len(lines) - len(shown)} appels non montrés …")
    return "\n".join([*rows, last])


def _hint(error: BaseException, text: str, candle_count: int | None) -> str:
    if isinstance(error, (TypeError, AttributeError)) and "NoneType" in text:
        seen = f" ({candle_count} bougies)" if candle_count is not None else ""
        return (
            " — une valeur est None : un indicateur (ta.ema…) renvoie None quand la série"
            f"{seen} est plus courte que sa période ; tester len(self.candles) avant."
        )
    if isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        return " — refusé par le bac à sable : une stratégie n'a ni réseau, ni fichier, ni processus."
    if isinstance(error, RuntimeError) and "new thread" in text:
        return " — refusé par le bac à sable : une stratégie n'a qu'un seul fil d'exécution."
    if isinstance(error, OSError) and error.errno in (errno.EFBIG, errno.EMFILE):
        return " — limite du bac à sable atteinte : pas d'écriture, peu de fichiers ouverts."
    return ""
