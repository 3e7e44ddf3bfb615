"""The toxic proxy as contract tests use it: one named fault at a time, to see what a client makes of it."""

from typing import Any

from tests.support.toxic_proxy import ToxicProxy
from tests.support.toxics import Kind, Toxic, Way


class _Fault:
    """An attribute: the marker of one toxic, empty when there is none or it struck as often as it may."""

    def __init__(self, kind: Kind, way: Way, limit: int | None = 1) -> None:
        self._kind, self._way, self._limit = kind, way, limit

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, proxy: Any, owner: type | None = None) -> bytes:
        toxic: Toxic | None = proxy.__dict__.get(self._name)
        return toxic.marker if toxic is not None and proxy.dice.waits(toxic) else b""

    def __set__(self, proxy: Any, marker: bytes) -> None:
        toxic = Toxic(kind=self._kind, way=self._way, marker=marker, limit=self._limit)
        proxy.dice.remove(proxy.__dict__.get(self._name))
        proxy.__dict__[self._name] = toxic
        if marker:
            proxy.dice.add(toxic)


class FaultyProxy(ToxicProxy):
    """Passes everything through until told otherwise. A fault strikes at the next request with these bytes, once.

    Attributes:
        lose_reply_to: The server carries it out, its reply is dropped and the client's connection cut.
        lose_every_reply_to: The same, again and again.
        hold_request: It is kept and the client's connection cut; `release` delivers it to the server.
        swallow_request: Nobody ever hears of it again; the connection stays open.
    """

    lose_reply_to = _Fault("cut", "down")
    lose_every_reply_to = _Fault("cut", "down", None)
    hold_request = _Fault("hold", "up")
    swallow_request = _Fault("swallow", "up")

    @property
    def lost(self) -> int:
        """How many replies were dropped."""
        return self.struck["cut"]
