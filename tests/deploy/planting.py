"""Plants one mistake in a file that is fine, and expects exactly the sentence that finds it."""

from __future__ import annotations

from collections.abc import Sequence


def planted(text: str, old: str, new: str) -> str:
    """The text with one mistake."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


def expect(sentence: str, found: Sequence[str]) -> None:
    """One of the problems found, and only one, is this one."""
    assert [sentence] == [sentence for problem in found if sentence in problem], found
