"""Redaction: what may hold a password, as people may see it. Pure.

Called wherever a Redis URL, or what somebody gave for one, goes into a sentence, a log or a table.
"""

from __future__ import annotations

import re


def redact(text: str) -> str:
    """The same text with credentials replaced by `***`.

    Everything before the last @ counts as credentials, because a password may hold any sign; so does every argument
    whose name ends in `password`.
    """
    if "@" in text:
        scheme = re.match(r"['\"]?\w+://", text)
        text = (scheme[0] if scheme else "") + "***@" + text.rpartition("@")[2]
    return re.sub(r"([?&]\w*password=)[^&'\"]*", r"\1***", text)
