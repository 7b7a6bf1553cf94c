"""Rows as CSV that a spreadsheet may open."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def csv_text(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A head line and a line for each row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names))
    writer.writeheader()
    for row in rows:
        writer.writerow({name: inert(row[name]) for name in names})
    return text.getvalue()


def inert(value: object) -> object:
    """A name that begins like a formula must not be one in a spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
