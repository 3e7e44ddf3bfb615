"""docs/reference/protocol.md as its tests read it: text, tables, code."""

import re
from pathlib import Path

import asyncq

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(asyncq.__file__).parent  # in a checkout, or installed from a wheel
PAGE = (ROOT / "docs/reference/protocol.md").read_text(encoding="utf-8")


def table(first_column: str) -> list[list[str]]:
    """The cells of every row below the heads of the table whose first column is called so."""
    rows = PAGE.partition(f"\n| {first_column} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def code_block(beginning: str) -> str:
    """The indented block that begins so, as one line."""
    (block,) = [found for found in re.findall(r"(?:^ {4}.*\n)+", PAGE, re.MULTILINE) if beginning in found]
    return " ".join(line.strip() for line in block.splitlines())
