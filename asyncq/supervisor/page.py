"""One child's page in the shared memory: cells of 8 bytes and three texts, written without locks or system calls.

The child writes beat, load, Redis and texts (it is a `core.doors.Slot`); the arbiter writes what it knows about the
process; admin reads. One writer per cell; stores go through `memoryview.cast("Q")` because `struct.pack_into` lets
readers see half of a number. A writer killed in the middle of a text leaves the text before it in place.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncq.core.errors import ConfigurationError
from asyncq.supervisor.child import State

PAGE_BYTES: Final = 20 * 1024  # two copies of three texts; untouched pages of anonymous memory cost nothing
_CELL_BYTES: Final = 8
_HEADER_BYTES: Final = 256

# Cells of the header. The first group is written by the arbiter, the second by the child.
_ROLE, _PID, _STATE, _STATE_SINCE, _ROLE_INDEX, _EXCUSED = range(6)
_BEAT, _REDIS_SEEN, _IN_FLIGHT, _SETTLED, _TAKEN, _ALONE = range(8, 14)
_OWN_HAND: Final = 2  # in _ALONE, beside no and yes

_CULPRIT_BYTES: Final = 4 * 1024
_TEXT_BYTES: Final = (PAGE_BYTES - _HEADER_BYTES - _CULPRIT_BYTES) // 2
_READ_ATTEMPTS: Final = 8

# A slot whose start fails goes to and fro between these: for whoever waits for a child they are one state.
_COMING: Final = (State.STARTING, State.BACKOFF)


class Text:
    """A JSON value in shared memory with one writer.

    Two copies; `version` says which one holds (its lowest bit) and is stored last, in one 8-byte write. Whoever dies
    before that store has changed nothing that a reader looks at. The checksum includes the version, so a reader
    overtaken by two writes notices and looks again, a bounded number of times.
    """

    # version | length, checksum | length, checksum | copy 0 | copy 1
    _CELLS = 5

    def __init__(self, area: memoryview) -> None:
        self._bytes = area
        self._cells = area[: self._CELLS * _CELL_BYTES].cast("Q")
        self.limit_bytes = (len(area) - self._CELLS * _CELL_BYTES) // 2

    @property
    def version(self) -> int:
        """Changes with every write, never goes back."""
        return self._cells[0]

    def write(self, value: Any) -> None:
        """Publish a new value.

        Raises:
            ConfigurationError: it does not fit.
        """
        raw = json.dumps(value, separators=(",", ":")).encode()
        if len(raw) > self.limit_bytes:
            raise ConfigurationError(
                f"this process's list of queues or incarnations needs {len(raw)} bytes in the supervisor's memory, "
                f"the limit is {self.limit_bytes}; consume fewer queues per process or shorten their names"
            )
        version = self._cells[0] + 1
        copy = version & 1
        start = self._start(copy)
        self._bytes[start : start + len(raw)] = raw
        self._cells[1 + 2 * copy] = len(raw)
        self._cells[2 + 2 * copy] = zlib.crc32(raw, version & 0xFFFFFFFF)
        self._cells[0] = version

    def read(self) -> Any:
        """The value last published, or None: never written, or not legible."""
        for _ in range(_READ_ATTEMPTS):
            version = self._cells[0]
            if version == 0:
                return None
            copy = version & 1
            length, checksum = self._cells[1 + 2 * copy], self._cells[2 + 2 * copy]
            start = self._start(copy)
            if length <= self.limit_bytes:
                raw = bytes(self._bytes[start : start + length])
                if zlib.crc32(raw, version & 0xFFFFFFFF) == checksum:
                    return json.loads(raw)
        return None

    def _start(self, copy: int) -> int:
        return self._CELLS * _CELL_BYTES + copy * self.limit_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """What ran in the event loop of a child when it was asked why it does not beat.

    Attributes:
        activity: The asyncio task that was current; empty when it was a callback, or nothing.
        task, id: Name and id of the message's task; empty when no message is known to be behind it.
        queue, wid, token: Which message it is: the in-flight record of that incarnation; token 0 = none, or delivered
            at most once.
        ran_s: For how long the message had been running.
    """

    activity: str
    task: str
    id: str
    queue: str
    wid: str
    token: int
    ran_s: float


class SlotPage:
    """One slot's page; outlives the children of the slot.

    Attributes:
        index: The slot's position in the scoreboard, from 0.
    """

    def __init__(self, index: int, area: memoryview) -> None:
        self.index = index
        self._cells = area[:_HEADER_BYTES].cast("Q")
        self._incarnations = Text(area[_HEADER_BYTES : _HEADER_BYTES + _TEXT_BYTES])
        self._queues = Text(area[_HEADER_BYTES + _TEXT_BYTES : _HEADER_BYTES + 2 * _TEXT_BYTES])
        self._culprit = Text(area[PAGE_BYTES - _CULPRIT_BYTES : PAGE_BYTES])

    # -- the child writes

    def beat(self) -> None:
        """The event loop lives."""
        self._cells[_BEAT] = time.monotonic_ns()

    def set_redis_seen(self) -> None:
        """Redis answered just now."""
        self._cells[_REDIS_SEEN] = time.monotonic_ns()

    def set_taken(self) -> None:
        """A take was answered just now, with messages or without."""
        self._cells[_TAKEN] = time.monotonic_ns()

    def set_alone(self, alone: bool) -> None:
        """Whether a suspect runs here alone."""
        self._cells[_ALONE] = alone

    def set_own_hand(self) -> None:
        """That suspect sends this process SIGKILL."""
        self._cells[_ALONE] = _OWN_HAND

    def set_load(self, in_flight: int, settled: int) -> None:
        """Messages held now, and settled since this process started."""
        self._cells[_IN_FLIGHT] = in_flight
        self._cells[_SETTLED] = settled

    def set_incarnations(self, incarnations: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Publish the (wid, queues) that this process is about to register; call it before registering.

        Raises:
            ConfigurationError: more than fits; register nothing then, for nobody could hand it back.
        """
        self._incarnations.write(incarnations)

    def set_queues(self, queues: Sequence[str]) -> None:
        """Publish the queues of the app that this process has loaded."""
        self._queues.write(queues)

    def set_culprit(
        self, *, activity: str, task: str, id_: str, queue: str, wid: str, token: int, ran_s: float
    ) -> None:
        """What runs right now, see Culprit; said of the last beat. Called in a signal handler.

        Raises:
            ConfigurationError: texts that are too long together (about 2,000 bytes).
        """
        self._culprit.write([self._cells[_BEAT], activity, task, id_, queue, wid, token, ran_s])

    # -- the arbiter writes

    def begin(self, role: str, role_index: int) -> None:
        """A new child is about to be forked here; called while no process writes."""
        for cell in (_BEAT, _REDIS_SEEN, _IN_FLIGHT, _SETTLED, _TAKEN, _ALONE, _PID, _EXCUSED):
            self._cells[cell] = 0
        self._incarnations.write([])
        self._culprit.write(None)
        self._cells[_ROLE] = int.from_bytes(role.encode(), "big")
        self._cells[_ROLE_INDEX] = role_index

    def set_process(self, pid: int, state: State) -> None:
        """Who is in the slot (0 = nobody), and how far in its life."""
        before = self.state
        if state is not before and not (state in _COMING and before in _COMING):
            self._cells[_STATE_SINCE] = time.monotonic_ns()
        self._cells[_PID] = pid
        self._cells[_STATE] = state

    def set_excused(self, excused: bool) -> None:
        """Whether its silence, if it is silent, is not held against it."""
        self._cells[_EXCUSED] = excused

    def clear_incarnations(self) -> None:
        """They are in the arbiter's hands now; called when the child is dead. Its load goes with them."""
        self._incarnations.write([])
        self._cells[_IN_FLIGHT] = self._cells[_ALONE] = 0

    # -- anybody reads

    @property
    def incarnations(self) -> list[tuple[str, list[str]]]:
        """What the child published last; empty means: reap nothing."""
        return [(wid, queues) for wid, queues in self._incarnations.read() or ()]

    @property
    def incarnations_version(self) -> int:
        """Changes whenever the list changes; one cell to look at."""
        return self._incarnations.version

    @property
    def queues(self) -> list[str]:
        """The queues of the app, as the last child of this slot published them."""
        return self._queues.read() or []

    @property
    def culprit(self) -> Culprit | None:
        """What the child was busy with when it was asked; None when it was not, could not say, or has beaten since."""
        return self.culprit_at(self.beat_ns)

    def culprit_at(self, beat_ns: int) -> Culprit | None:
        """What the child was busy with when it was asked after this beat, also if it has beaten since."""
        at_ns, *said = self._culprit.read() or (None,)
        if at_ns != beat_ns:
            return None
        activity, task, id_, queue, wid, token, ran_s = said
        return Culprit(activity=activity, task=task, id=id_, queue=queue, wid=wid, token=token, ran_s=ran_s)

    @property
    def role(self) -> str:
        """The role of the child; empty before the first one."""
        packed = self._cells[_ROLE]
        return packed.to_bytes((packed.bit_length() + 7) // 8, "big").decode()

    @property
    def role_index(self) -> int:
        """Its position among the children of its role."""
        return self._cells[_ROLE_INDEX]

    @property
    def pid(self) -> int:
        """0 when no process is here."""
        return self._cells[_PID]

    @property
    def state(self) -> State:
        """Where the slot is in its life."""
        return State(self._cells[_STATE])

    @property
    def state_since_ns(self) -> int:
        """Since when it is there, monotonic, STARTING and BACKOFF being one; 0 = never used."""
        return self._cells[_STATE_SINCE]

    @property
    def beat_ns(self) -> int:
        """The last beat, monotonic; 0 = none yet."""
        return self._cells[_BEAT]

    @property
    def excused(self) -> bool:
        """It does not beat, and is not to blame: it is given no CPU, or somebody holds it in a debugger."""
        return bool(self._cells[_EXCUSED])

    @property
    def redis_seen_ns(self) -> int:
        """The last answer of Redis, monotonic; 0 = none yet."""
        return self._cells[_REDIS_SEEN]

    @property
    def taken_ns(self) -> int:
        """The last answered take, monotonic; 0 = none yet. Old beside free consumers: the worker is deaf."""
        return self._cells[_TAKEN]

    @property
    def alone(self) -> bool:
        """A suspect runs here alone."""
        return bool(self._cells[_ALONE])

    @property
    def own_hand(self) -> bool:
        """That suspect sent this process SIGKILL."""
        return self._cells[_ALONE] == _OWN_HAND

    @property
    def in_flight(self) -> int:
        """Messages held now."""
        return self._cells[_IN_FLIGHT]

    @property
    def settled(self) -> int:
        """Messages settled by this child."""
        return self._cells[_SETTLED]
