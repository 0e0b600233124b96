"""Reads the JSON that people write in an alert's message: quotes forgotten, commas too many, comments.

Values keep their text: "1.10" is not 1.1, and no number passes through a float. What strict JSON accepts is
read as strict JSON; the loose reader agrees with it there.
"""

import json
from collections.abc import Sequence
from typing import Any

from domain.webhooks.refusal import CallRefused

MAX_DEPTH = 20
_QUOTES = {'"': '"', "'": "'", "“": "”", "”": "”", "«": "»", "‘": "’", "’": "’"}
_CLOSERS = "}]"


def read_object(text: str) -> dict[str, Any]:
    """Return the object that `text` holds: strings, lists and objects of them; null is None.

    Raises:
        CallRefused: it is not an object, is nested too deep, says a field twice, or goes on after its end.
    """
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_once)
    except RecursionError as exc:
        raise _too_deep() from exc
    except json.JSONDecodeError:
        found = _Reader(text).read()
    if not isinstance(found, dict):
        raise CallRefused("Message illisible : un objet { … } est attendu.", code="unreadable")
    return found


def sound(text: str) -> str:
    """Return a text that can be stored: halves of characters joined or replaced, no NUL."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "�")


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found and found[key] != value:
            raise CallRefused(f"Message ambigu : le champ « {key[:40]} » est donné deux fois.", code="ambiguous")
        found[key] = value
    return found


def _too_deep() -> CallRefused:
    return CallRefused(f"Message illisible : plus de {MAX_DEPTH} niveaux imbriqués.", code="unreadable")


class _Reader:
    """A reader of one text, from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> Any:
        found = self._value(depth=0)
        self._skip()
        while self._peek() in (",", ";"):
            self._at += 1
            self._skip()
        if self._at < len(self._text):
            raise self._unreadable("texte après la fin de l'objet")
        return found

    def _value(self, *, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise _too_deep()
        self._skip()
        mark = self._peek()
        if mark == "{":
            return self._object(depth)
        if mark == "[":
            return self._list(depth)
        if mark in _QUOTES:
            return self._quoted()
        return _plain(self._bare(stops=",\n" + _CLOSERS))

    def _object(self, depth: int) -> dict[str, Any]:
        pairs: list[tuple[str, Any]] = []
        self._at += 1
        while not self._ends("}"):
            key = self._quoted() if self._peek() in _QUOTES else self._bare(stops=":={},\n")
            self._skip()
            if self._peek() not in (":", "="):
                raise self._unreadable(f"« : » attendu après « {key[:40]} »")
            self._at += 1
            pairs.append((key, self._value(depth=depth + 1)))
        return _once(pairs)

    def _list(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self._at += 1
        while not self._ends("]"):
            items.append(self._value(depth=depth + 1))
        return items

    def _ends(self, closer: str) -> bool:
        """Pass over separators; tell whether the closer came, which is passed too."""
        self._skip()
        while self._peek() == ",":
            self._at += 1
            self._skip()
        mark = self._peek()
        if mark == "":
            raise self._unreadable(f"« {closer} » manquant à la fin")
        if mark in _CLOSERS:
            if mark != closer:
                raise self._unreadable(f"« {mark} » à la place de « {closer} »")
            self._at += 1
            return True
        return False

    def _quoted(self) -> str:
        closer = _QUOTES[self._peek()]
        opened, self._at = self._at, self._at + 1
        parts: list[str] = []
        while (mark := self._peek()) != closer:
            if mark == "":
                self._at = opened
                raise self._unreadable("guillemet jamais refermé")
            parts.append(self._escape() if mark == "\\" else mark)
            self._at += 1
        self._at += 1
        text = "".join(parts)
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _escape(self) -> str:
        """Return what an escape stands for, leaving the position on its last character."""
        self._at += 1
        mark = self._peek()
        if mark == "u":
            digits = self._text[self._at + 1 : self._at + 5]
            try:
                character = chr(int(digits, 16))
            except ValueError:
                raise self._unreadable("échappement \\u invalide") from None
            self._at += 4
            return character
        return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(mark, mark)

    def _bare(self, *, stops: str) -> str:
        began = self._at
        while self._at < len(self._text) and self._text[self._at] not in stops:
            self._at += 1
        found = self._text[began : self._at].strip()
        if not found:
            raise self._unreadable("valeur manquante")
        return found

    def _skip(self) -> None:
        while self._at < len(self._text):
            if self._text[self._at].isspace():
                self._at += 1
            elif self._text.startswith(("//", "#"), self._at):
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _unreadable(self, why: str) -> CallRefused:
        return CallRefused(f"JSON illisible au caractère {self._at + 1} : {why}.", code="unreadable")


def _plain(text: str) -> Any:
    lowered = text.lower()
    if lowered in ("null", "none"):
        return None
    if lowered in ("true", "false"):
        return lowered == "true"
    return text
