"""A toxic proxy in a process of its own, for fleets: the test's event loop and the proxy's do not slow each other.

`ProxyProcess` is the test's side. `python -m tests.support.proxy_process TARGET LISTEN SEED` is the other: one JSON
line says the URL, then each line that comes in is an order and is answered by one line.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.support.toxic_proxy import ToxicProxy
from tests.support.toxics import Toxic, Way, as_json, from_json

ROOT = Path(__file__).resolve().parents[2]


class ProxyProcess:
    """See ToxicProxy, whose methods these are; usable from any thread but one at a time."""

    def __init__(self, target: str, *toxics: Toxic, listen: Literal["unix", "tcp"] = "tcp", seed: int = 0) -> None:
        command = [sys.executable, "-m", "tests.support.proxy_process", target, listen, str(seed)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self.url: str = self._answer()["url"]
        self.set(*toxics)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._process.communicate(timeout=5)  # the end of its orders is its end
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"expected an answer of the proxy, its process ended with {self._process.wait()}")
        return json.loads(line)

    def _order(self, name: str, **fields: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": name, **fields}) + "\n")
        return self._answer()["done"]

    def set(self, *toxics: Toxic) -> None:
        self._order("set", toxics=[as_json(toxic) for toxic in toxics])

    def black_hole(self, marker: str = "", ways: Sequence[Way] = ("up", "down")) -> int:
        return int(self._order("black_hole", marker=marker, ways=list(ways)))

    def cut(self, marker: str = "", reset: bool = False) -> int:
        return int(self._order("cut", marker=marker, reset=reset))

    def part(self) -> None:
        self._order("part")

    def heal(self) -> None:
        self._order("heal")

    def struck(self) -> dict[str, int]:
        return dict(self._order("struck"))

    def accepted(self) -> int:
        return int(self._order("accepted"))


def carry_out(proxy: ToxicProxy, order: dict[str, Any]) -> Any:
    """One order; what the answer holds."""
    match order:
        case {"order": "set", "toxics": toxics}:
            return proxy.set(*map(from_json, toxics))
        case {"order": "black_hole", "marker": marker, "ways": ways}:
            return proxy.black_hole(marker.encode(), ways)
        case {"order": "cut", "marker": marker, "reset": reset}:
            return proxy.cut(marker.encode(), reset)
        case {"order": "part"}:
            return proxy.part()
        case {"order": "heal"}:
            return proxy.heal()
        case {"order": "struck"}:
            return dict(proxy.struck)
        case {"order": "accepted"}:
            return proxy.accepted
    raise ValueError(f"expected an order, found {order!r}")


async def _run(target: str, listen: Any, seed: int) -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with ToxicProxy(target, listen=listen, seed=seed) as proxy:
        print(json.dumps({"url": proxy.url}), flush=True)
        while line := await orders.readline():
            print(json.dumps({"done": carry_out(proxy, json.loads(line))}), flush=True)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
