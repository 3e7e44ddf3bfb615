"""Reads one section of a Markdown page as the steps a reader would take: files to write, lines to type, code to run.

Pure. It refuses what it cannot place, so that a page that changes is not half executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "shell", "python"]
NAMES_A_FILE = re.compile(r"`([\w./-]+\.py)`:$")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        kind: A file to write, one line for a shell, or Python to run.
        text: Its content.
        name: Of the file.
    """

    kind: Kind
    text: str
    name: str = ""


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next heading of any level; what is fenced is no heading."""
    kept: list[str] = []
    inside = fenced = seen = False
    for line in page.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            inside = line.lstrip("#").strip() == title
            seen |= inside
        elif inside:
            kept.append(line)
    if not seen:
        raise ValueError(f"expected a heading {title!r}, found none")
    return "".join(kept)


def steps(text: str) -> list[Step]:
    """The code of a section in its order: indented lines are typed in a shell, fenced Python is a file or runs.

    Raises:
        ValueError: a fence of another language, or one that does not end.
    """
    found: list[Step] = []
    prose = ""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("```"):
            found.append(_fenced(line.removeprefix("```"), _until_fence(lines), prose))
        elif line.startswith("    "):
            found.append(Step("shell", line.strip()))
        prose = line.strip() or prose
    return found


def _until_fence(lines: Iterator[str]) -> str:
    code: list[str] = []
    for line in lines:
        if line.startswith("```"):
            return "".join(code)
        code.append(line + "\n")
    raise ValueError(f"expected the end of a fence, found the end of the section: {''.join(code)}")


def _fenced(language: str, code: str, prose: str) -> Step:
    if language != "python":
        raise ValueError(f"expected Python in a fence, found {language!r}: {code}")
    named = NAMES_A_FILE.search(prose)
    return Step("file", code, named[1]) if named else Step("python", code)
