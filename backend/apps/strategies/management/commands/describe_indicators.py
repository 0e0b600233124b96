"""Writes down which indicators the installed library has, after it was changed."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from apps.strategies.indicators import FILE, describe


class Command(BaseCommand):
    help = "Écrit la liste des indicateurs que l'éditeur de stratégies propose."

    def handle(self, *args: Any, **options: Any) -> None:
        import pandas_ta_classic

        rows = describe(pandas_ta_classic)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        self.stdout.write(f"{len(rows)} indicateurs écrits.")
