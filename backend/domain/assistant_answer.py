"""Reads what a model answered: words, and the code of a strategy between fences. Untrusted text, never run here."""

import re
from dataclasses import dataclass

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*$", re.MULTILINE)
_CLASS = re.compile(r"^class\s+\w+\s*\(.*\bStrategy\b.*\)\s*:", re.MULTILINE)
_PYTHON = ("", "python", "py", "python3")


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` is None when there is none; `is_cut` when the last fence was never closed."""

    words: str
    code: str | None
    is_cut: bool


def read_answer(text: str) -> Answer:
    """Part an answer into its words and its code.

    A model may show fragments before the whole: the last block that defines a `Strategy` class is the code.
    Without fences, an answer that is itself such a class is code too.
    """
    spoken = _THOUGHT.sub("", text).replace("\r\n", "\n")
    words, blocks, is_cut = _parted(spoken)
    if not blocks and _CLASS.search(spoken):
        return Answer(words="", code=spoken.strip("\n") + "\n", is_cut=False)
    classes = [block for block in blocks if _CLASS.search(block)]
    return Answer(words=_tidy(words), code=classes[-1] if classes else None, is_cut=is_cut)


def _parted(text: str) -> tuple[str, list[str], bool]:
    words: list[str] = []
    blocks: list[str] = []
    at = 0
    while True:
        opened = _FENCE.search(text, at)
        if opened is None:
            words.append(text[at:])
            return "".join(words), blocks, False
        words.append(text[at : opened.start()])
        closed = _closing(text, opened.end())
        body = text[opened.end() + 1 : closed.start() if closed else len(text)]
        if opened[1].lower() in _PYTHON:
            blocks.append(body.rstrip("\n") + "\n")
        else:
            words.append(body)
        if closed is None:
            return "".join(words), blocks, True
        at = closed.end()


def _closing(text: str, at: int) -> re.Match[str] | None:
    """Return the fence that closes: one that names no language."""
    return next((found for found in _FENCE.finditer(text, at) if not found[1]), None)


def _tidy(words: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", words).strip()
