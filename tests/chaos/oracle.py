"""The oracle: says from what was written down whether a run kept the guarantee. Pure: lines, dump and faults are given.

Called by the rig at the end of a run. An execution that is followed by another one of the same message needs an
excuse: its handler said so (it failed, or was cancelled), or its process was killed, or stood still, while it ran and
before its settlement can have reached Redis: the message lay in the in-flight record of the killed process, or, where
nobody could look, its handler had not ended or had ended just before. Tells what is lost from what is stranded:
stranded messages still lie in some key.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

# A handler writes its last line before its settlement is sent: what ended this long before a kill may run again.
SETTLE_WINDOW_S = 0.1


@dataclass(slots=True)
class Execution:
    """One start of a message.

    Attributes:
        end: How the handler ended: D done, F failed, C cancelled; "" if it never said.
    """

    id: str
    pid: int
    start_at: float
    end_at: float = math.inf
    end: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A process was killed or stood still.

    Attributes:
        kind: "kill" or "stop".
        at: Wall clock, just before.
        held: Ids that Redis had under the process when it was killed; None if nobody could look.
        count: How many messages those were: two may have the same id.
        stuck_at: Since then the process wrote nothing to Redis any more; None if it worked until the end.
    """

    kind: str
    pid: int
    at: float
    held: frozenset[str] | None = None
    count: int = 0
    stuck_at: float | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """One key of the dump at the end.

    Attributes:
        ids: Of the messages that lie in it, "?" for bytes that are no message.
        reasons: Of dead letters, message id -> reason.
    """

    name: str
    ids: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What became of a run.

    Attributes:
        completed: Ids with at least one execution that ended well.
        executions: Starts.
        duplicates: Starts beyond the first that no handler asked for.
        bound: Executions that were in flight, started and not surely settled, at the faults.
        unexplained: Ids that ran again without an excuse.
        lost: Accepted, never completed, in no key.
        stranded: Id -> the key in which it still lies.
        dead: Id -> reason.
        strangers: Completed ids that nobody enqueued.
        recoveries_s: From each kill to the next start of each message that it hit, ascending.
    """

    enqueued: int
    completed: int
    executions: int
    duplicates: int
    bound: int
    unexplained: list[str]
    lost: list[str]
    stranded: dict[str, str]
    dead: dict[str, str]
    strangers: list[str]
    recoveries_s: list[float]

    @property
    def worst_recovery_s(self) -> float:
        return self.recoveries_s[-1] if self.recoveries_s else 0.0

    def recovery_s(self, share: float) -> float:
        """The time within which this share of the hit messages started again."""
        if not self.recoveries_s:
            return 0.0
        return self.recoveries_s[min(len(self.recoveries_s) - 1, int(share * len(self.recoveries_s)))]

    def problems(self, *, dead: Collection[str] = ()) -> list[str]:
        """One sentence per broken promise; `dead` are the ids that must be the dead letters, and no others."""
        wrong = sorted(set(self.dead) ^ set(dead))
        checks = [
            (self.lost, f"lost {len(self.lost)}: {self.lost[:5]}"),
            (self.stranded, f"stranded {len(self.stranded)}: {dict(list(self.stranded.items())[:5])}"),
            (self.unexplained, f"ran again without an excuse {len(self.unexplained)}: {self.unexplained[:5]}"),
            (self.duplicates > self.bound, f"{self.duplicates} duplicates, {self.bound} in flight at the faults"),
            (wrong, f"dead letters: {len(wrong)} other than expected: {[(i, self.dead.get(i)) for i in wrong[:5]]}"),
            (self.strangers, f"executed, never enqueued: {self.strangers[:5]}"),
        ]
        return [sentence for broken, sentence in checks if broken]


def parse(lines: Iterable[str]) -> list[Execution]:
    """Executions from the recorder's lines `S|D|F|C id time pid`; half a line of a killed writer counts as none.

    Raises:
        ValueError: an end without a start: the record itself is broken.
    """
    found: list[Execution] = []
    open_: dict[tuple[str, int], list[Execution]] = defaultdict(list)
    for line in lines:
        parts = line.split()
        if len(parts) != 4:
            continue
        kind, id_, at, pid = parts[0], parts[1], float(parts[2]), int(parts[3])
        if kind == "S":
            found.append(Execution(id_, pid, at))
            open_[id_, pid].append(found[-1])
            continue
        if not open_[id_, pid]:
            raise ValueError(f"the record has an end without a start: {line!r}")
        run = open_[id_, pid].pop(0)
        run.end, run.end_at = kind, at
    return found


def judge(
    executions: Iterable[Execution],
    enqueued: Collection[str],
    faults: Sequence[Fault] = (),
    stored: Iterable[Stored] = (),
    settle_window_s: float = SETTLE_WINDOW_S,
) -> Findings:
    """Judge a run. `stored` is the dump of every key that holds messages, after everything has stopped."""
    runs: dict[str, list[Execution]] = defaultdict(list)
    for execution in executions:
        runs[execution.id].append(execution)
    hits = _hits(faults, settle_window_s)
    completed = {id_ for id_, found in runs.items() if any(run.end == "D" for run in found)}
    dead, kept = _kept(stored)
    wanted = set(enqueued)
    missing = wanted - completed - set(dead)
    asked = sum(run.end in ("F", "C") for found in runs.values() for run in found)
    starts = sum(len(found) for found in runs.values())
    return Findings(
        enqueued=len(wanted),
        completed=len(completed & wanted),
        executions=starts,
        duplicates=max(0, starts - len(runs) - asked),
        bound=sum(bool(_hit(run, hits)) for found in runs.values() for run in found if run.end not in ("F", "C")),
        unexplained=sorted(id_ for id_, found in runs.items() if _unexplained(found, hits)),
        lost=sorted(missing - set(kept)),
        stranded=kept,
        dead=dead,
        strangers=sorted(set(runs) - wanted),
        recoveries_s=sorted(_recoveries(runs.values(), hits)),
    )


def _hits(faults: Sequence[Fault], window_s: float) -> dict[int, list[tuple[Fault, float]]]:
    """Pid -> its faults, each with the moment from which on an end proves nothing."""
    found: dict[int, list[tuple[Fault, float]]] = defaultdict(list)
    for fault in faults:
        until = fault.at if fault.stuck_at is None else fault.stuck_at
        found[fault.pid].append((fault, until - window_s))
    return found


def _hit(run: Execution, hits: Mapping[int, list[tuple[Fault, float]]]) -> Fault | None:
    """The first fault that found this execution started and not surely settled."""
    for fault, since in hits.get(run.pid, ()):
        if fault.held is not None:
            if run.id in fault.held:
                return fault
            continue
        before = run.start_at <= fault.at or fault.kind == "kill"  # the last lines of a killed process cross the kill
        if before and run.end_at >= since:
            return fault
    return None


def _unexplained(found: list[Execution], hits: Mapping[int, list[tuple[Fault, float]]]) -> bool:
    """Whether one of the executions before the last had ended for good."""
    earlier = sorted(found, key=lambda run: run.start_at)[:-1]
    return any(run.end not in ("F", "C") and _hit(run, hits) is None for run in earlier)


def _recoveries(
    everything: Iterable[list[Execution]], hits: Mapping[int, list[tuple[Fault, float]]]
) -> Iterable[float]:
    for found in everything:
        for run, again in pairwise(sorted(found, key=lambda run: run.start_at)):
            fault = _hit(run, hits)
            if fault is not None and again.start_at >= fault.at:
                yield again.start_at - fault.at


def _kept(stored: Iterable[Stored]) -> tuple[dict[str, str], dict[str, str]]:
    """(dead letters: id -> reason, everything else: id -> key)."""
    dead: dict[str, str] = {}
    kept: dict[str, str] = {}
    for key in stored:
        dead |= key.reasons
        kept |= dict.fromkeys(key.ids, key.name)
    return dead, kept


def id_of(raw: bytes) -> str:
    """The id under which the tasks of the chaos tests record a message: the `n` of its payload."""
    try:
        return str(json.loads(raw)["payload"]["n"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "?"


def stored(name: str, values: Iterable[bytes]) -> Stored:
    """A key of the dump; records of dead letters are a header line before the message."""
    if not name.endswith(":dead:records"):
        return Stored(name, tuple(id_of(value) for value in values))
    reasons = {}
    for value in values:
        header, _, raw = value.partition(b"\n")
        reasons[id_of(raw)] = str(json.loads(header)["reason"])
    return Stored(name, (), reasons)
