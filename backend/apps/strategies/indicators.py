"""The indicators of `ta` that a strategy may call, for the editor's completion.

Kept as a file, because asking the library itself would bring pandas into the web process.
`manage.py describe_indicators` writes it anew from the installed version; a test compares the two.
"""

import inspect
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("indicators.json")
_UNSAID = {"kwargs", "talib", "offset"}  # arguments every indicator takes and hardly anybody gives


@cache
def indicators() -> list[dict[str, Any]]:
    """Return [{"name", "category", "arguments", "columns"}], by name; `columns`: it answers a table."""
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def describe(library: Any) -> list[dict[str, Any]]:
    """Read the same from the imported library (pandas_ta_classic)."""
    categories: Mapping[str, Any] = library.Category
    rows = [_row(library, name, category) for category, names in categories.items() for name in names]
    return sorted((row for row in rows if row is not None), key=lambda row: str(row["name"]))


def _row(library: Any, name: str, category: str) -> dict[str, Any] | None:
    function = getattr(library, name, None)
    if not callable(function):
        return None
    signature = inspect.signature(function)
    arguments = [each for each in signature.parameters if each not in _UNSAID]
    answer = str(signature.return_annotation)
    columns = "DataFrame" in answer and "Series" not in answer
    return {"name": name, "category": category, "arguments": arguments, "columns": columns}
