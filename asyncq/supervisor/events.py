"""What the arbiter tells its `on_event` callback. Values only.

The roof prints them; nothing in here is needed for supervision itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChildReady:
    """A child said it is ready. `info` is whatever else its message carried; `boot_s` counts from the fork."""

    role: str
    index: int
    pid: int
    info: Mapping[str, Any]
    boot_s: float


@dataclass(frozen=True, slots=True)
class ChildDied:
    """A child is gone.

    Attributes:
        cause: "exit code 3" or "killed by SIGSEGV".
        reason: asked, boot, external, crash, killed, hang or oom.
        counted: Whether it counts for back-off and brake.
        task, message_id: What its loop was stuck in, if it hung and that is known.
        stack: What it left in its black box.
        last_lines: Of its standard error, if it was on probation.
        again_in_s: Until the next start in its slot, if nothing else forbids it then; None when there will be none.
    """

    role: str
    index: int
    pid: int
    cause: str
    reason: str
    counted: bool
    task: str = ""
    message_id: str = ""
    stack: str = ""
    last_lines: tuple[str, ...] = ()
    again_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class ChildHung:
    """A child's event loop has not turned for some time. Told once per stall; the child lives.

    Attributes:
        silent_s: For how long.
        task, message_id, queue: What it is stuck in; empty when that cannot be known.
        stack: Where all its threads stand.
    """

    role: str
    index: int
    pid: int
    silent_s: float
    task: str
    message_id: str
    queue: str
    stack: str


@dataclass(frozen=True, slots=True)
class Dumped:
    """A child was asked where it stands."""

    role: str
    index: int
    pid: int
    stack: str


@dataclass(frozen=True, slots=True)
class AllReady:
    """The first full set of children is ready. Told once."""


@dataclass(frozen=True, slots=True)
class Draining:
    """Stopping has begun or was made harder: `urgency` is DRAIN, CANCEL or KILL."""

    urgency: str


@dataclass(frozen=True, slots=True)
class Degraded:
    """Too many counted deaths: from now on one probe at a time.

    Attributes:
        deaths: In the last `window_s` seconds.
        limit: So many would have been borne.
        gives_up_after_s: If all probes fail for so long the supervisor ends.
    """

    deaths: int
    window_s: float
    limit: int
    gives_up_after_s: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """A probe held: the brake is released."""


@dataclass(frozen=True, slots=True)
class Quieted:
    """No worker takes messages any more; what runs goes on."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Workers take messages again."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The supervisor stops by itself: a first boot that another try cannot cure, or a crash loop. Told once.

    Attributes:
        exit_code: What `run` will return.
        last_words: What the newest children said before they died, each sentence once.
        last_lines: The end of what the last of them wrote to standard error.
        sentence: What a person is told on standard error.
    """

    exit_code: int
    last_words: tuple[str, ...]
    sentence: str
    last_lines: tuple[str, ...] = ()


Event = (
    ChildReady
    | ChildDied
    | ChildHung
    | Dumped
    | AllReady
    | Draining
    | Degraded
    | Recovered
    | Quieted
    | Resumed
    | GaveUp
)
