"""Scripts: the Lua files beside this module, each as one value with its text and its SHA-1.

Called by whoever builds a command; files are read on first use, never at import. Every script is the prelude (helpers
shared by all) followed by its own file. Never speaks Redis: the wires load what a server does not know.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

NAMES: Final = (
    "enqueue",
    "register",
    "take",
    "settle_reschedule",
    "settle_dead",
    "settle_release",
    "revive",
    "promote",
    "reap",
    "withdraw",
)

Argument = str | bytes | int
Command = tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """One script as Redis knows it.

    Attributes:
        name: File name without `.lua`.
        source: The whole text sent to Redis.
        sha: Its SHA-1, what EVALSHA asks for.
    """

    name: str
    source: str
    sha: str

    def command(self, keys: tuple[str, ...], *arguments: Argument) -> Command:
        """The EVALSHA that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


@cache
def script(name: str) -> Script:
    """The script in `lua/<name>.lua`."""
    folder = resources.files("asyncq.broker") / "lua"
    texts = [(folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("prelude", name)]
    source = "\n".join(texts)
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def script_of(command: Command) -> Script:
    """Which script an EVALSHA command runs."""
    return next(known for known in map(script, NAMES) if known.sha == command[1])
