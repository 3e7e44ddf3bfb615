"""One incarnation as its process sees it: what it was given, and what it has decided about that.

Used by the state machine of tests/contract beside the real registration, which it never calls itself.
"""

from dataclasses import dataclass, field

from asyncq.broker.keys import QueueKeys
from asyncq.core.doors import Batch, Registration
from asyncq.core.settlement import RELEASE, DeadLetter, Reschedule
from tests.support.delivery_model import Copy


@dataclass
class Worker:
    """One incarnation as its process sees it.

    Attributes:
        held: What it was given and has not settled, as far as it knows.
        batch: Decided, and not known to be written.
        gone: It has heard that it was reaped.
    """

    registration: Registration
    keys: QueueKeys
    held: dict[int, Copy] = field(default_factory=dict)
    batch: Batch = field(default_factory=Batch)
    gone: bool = False

    @property
    def wid(self) -> str:
        return self.registration.wid

    @property
    def decided(self) -> set[int]:
        return {*self.batch.completed, *(token for token, _, _ in self.batch.others)}

    @property
    def running(self) -> set[int]:
        return set(self.held) - self.decided

    def decide(self, outcomes: list[str]) -> None:
        """What runs comes to an end, the first token first."""
        for token, outcome in zip(sorted(self.running), outcomes, strict=False):
            copy = self.held[token]
            if outcome == "c":
                copy.completed_by = (self.wid, token)
                self.batch.completed.append(token)
            elif outcome != "-":
                settlement = {
                    "r": Reschedule(1000.0, copy.raw + b"'"),
                    "d": DeadLetter("exhausted", {}),
                    "b": RELEASE,
                }[outcome]
                self.batch.others.append((token, copy.raw, settlement))
