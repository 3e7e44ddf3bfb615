"""Printing: data to standard output, talk to standard error. No colour anywhere, so NO_COLOR is always respected."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import click


def data(line: str) -> None:
    """One line of what the command was asked for."""
    click.echo(line)


def data_json(value: Any) -> None:
    """One JSON value on one line."""
    click.echo(json.dumps(value))


def talk(line: str) -> None:
    """One line for the person who watches."""
    with contextlib.suppress(OSError):  # nobody reads it any more
        click.echo(line, err=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns, numbers to the right, no trailing blanks. Pure."""
    cells = [[str(head) for head in heads], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    right = [bool(rows) and all(isinstance(row[column], int | float) for row in rows) for column in range(len(heads))]
    lines = (
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )
    return "\n".join(lines)
