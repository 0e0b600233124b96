"""Tables as files that French spreadsheets open: semicolons, decimal commas, a UTF-8 mark."""

import csv
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

MARK = "\ufeff"
# A cell that begins so would be run as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """A file for `csv` that gives each line back instead of keeping it."""

    def write(self, text: str) -> str:
        return text


def line_writer() -> Callable[[Iterable[Any]], str]:
    """Return what makes a line of a row's cells."""
    return csv.writer(_Line(), delimiter=";").writerow


def number(plain: str) -> str:
    """Write a plain decimal with its comma."""
    return plain.replace(".", ",")


def moment(at: datetime | None) -> str:
    """Write a date as spreadsheets read it; the column's head says its zone."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def text(words: str) -> str:
    """Disarm what a spreadsheet would run."""
    return f"'{words}" if words.startswith(_FORMULA) else words
