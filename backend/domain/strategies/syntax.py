"""Says in French whether a text is Python, without running it."""

import ast
import re
from collections.abc import Callable

from domain.strategies.contract import CodeError

MAX_CODE_BYTES = 100_000

_FRENCH: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"expected ':'"), "il manque « : » à la fin de l'instruction"),
    (re.compile(r"expected '(.+)'"), lambda found: f"« {found[1]} » attendu"),
    (re.compile(r"unexpected indent"), "indentation inattendue (ligne trop décalée)"),
    (re.compile(r"expected an indented block after (.+) on line (\d+)"), "bloc indenté attendu après la ligne {2}"),
    (re.compile(r"unindent does not match"), "l'indentation ne correspond à aucun bloc ouvert"),
    (re.compile(r"inconsistent use of tabs"), "tabulations et espaces mélangés dans l'indentation"),
    (re.compile(r"'(.)' was never closed"), "« {1} » n'est jamais refermé"),
    (re.compile(r"unmatched '(.)'"), "« {1} » n'a pas été ouvert"),
    (re.compile(r"unterminated (?:triple-quoted )?string"), "chaîne de caractères non terminée"),
    (re.compile(r"Maybe you meant '=='"), "« = » affecte une valeur ; pour comparer, écrire « == »"),
    (re.compile(r"Perhaps you forgot a comma"), "syntaxe invalide : une virgule manque peut-être"),
    (re.compile(r"'return' outside function"), "« return » hors d'une fonction"),
    (re.compile(r"null bytes"), "le texte contient un octet nul"),
    (re.compile(r"too many nested parentheses"), "trop de parenthèses imbriquées"),
    (re.compile(r"^invalid syntax$"), "syntaxe invalide"),
)


def check_syntax(code: str) -> list[CodeError]:
    """Return the syntax errors of `code`: at most one (Python stops at the first), none when it parses."""
    try:
        size = len(code.encode())
        if size > MAX_CODE_BYTES:
            return [CodeError(f"Code trop long : {size} octets, maximum {MAX_CODE_BYTES}.")]
        # Compiling also finds what parsing alone lets through: « return » outside a function.
        compile(ast.parse(code), "<stratégie>", "exec")
    except SyntaxError as exc:
        return [_code_error(exc)]
    except (RecursionError, MemoryError):
        return [CodeError("Code trop imbriqué pour être analysé : simplifier les expressions.")]
    except ValueError as exc:
        return [CodeError(f"Texte illisible comme code Python : {exc}.")]
    return []


def _code_error(error: SyntaxError) -> CodeError:
    # Python numbers lines and columns from 1; 0 or a negative value means that it does not know.
    line = error.lineno if error.lineno and error.lineno > 0 else None
    column = error.offset if line and error.offset and error.offset > 0 else None
    return CodeError(f"Erreur de syntaxe : {_in_french(error.msg)}.", line=line, column=column)


def _in_french(message: str) -> str:
    for pattern, french in _FRENCH:
        found = pattern.search(message)
        if found:
            return french(found) if callable(french) else french.format(found[0], *found.groups())
    return f"syntaxe invalide ({message})"
