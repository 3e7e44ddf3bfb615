"""Redaction: what may hold a password, as people may see it. Pure.

Called wherever a Redis URL goes into a sentence, a log or a table.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_SCHEME: Final = re.compile(r"['\"]?[\w+]+://")
_ARGUMENT: Final = re.compile(r"([?&])([^=&]+)(=[^&]*)?")
# "redis://user:password" where a port belongs: somebody forgot @host.
_NO_PORT: Final = re.compile(r"(://)[^/?#@\[]*:(?!\d*(?:[/?#]|$))[^/?#]*")
# Where several addresses may stand: all of them are host:port, or one is no address.
_SPREAD: Final = re.compile(r"(['\"]?\w+\+\w+://)([^/?#]*)(.*)", re.DOTALL)
_HOST: Final = r"(?:\*\*\*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]]+):\d{1,5}"
_HOSTS: Final = re.compile(rf"{_HOST}(?:,{_HOST})*['\"]?")


def redact(text: str) -> str:
    """The same URL with credentials replaced by `***`.

    Everything before the last @ counts as credentials, because a password may hold any sign; so does what stands in
    the place of a port and is none, and every argument whose name holds `pass` or that has no value.
    """
    if "@" in text:
        scheme = _SCHEME.match(text)
        text = (scheme[0] if scheme else "") + "***@" + text.rpartition("@")[2]
    spread = _SPREAD.fullmatch(text)
    if spread is None:
        text = _NO_PORT.sub(r"\1***", text)
    elif not _HOSTS.fullmatch(spread[2]):
        text = f"{spread[1]}***{spread[3]}"
    return _ARGUMENT.sub(_argument, text)


def _argument(found: re.Match[str]) -> str:
    sign, name, value = found.groups()
    if value is None:  # the rest of a password that holds a bare &
        return f"{sign}***"
    return f"{sign}{name}=***" if "pass" in unquote(name).lower() else found[0]
