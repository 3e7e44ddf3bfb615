"""Observer and Slot that do nothing: what a worker gets when nobody supervises or measures it."""

from __future__ import annotations

from collections.abc import Sequence


class NullObserver:
    """Implements core.doors.Observer."""

    def started(self, queue: str) -> None: ...

    def finished(self, queue: str, task: str, outcome: str, duration_s: float, error_type: str) -> None: ...

    def not_run(self, queue: str) -> None: ...

    def dead_lettered(self, queue: str, task: str, reason: str) -> None: ...

    def counted(self, metric: str, queue: str, amount: int) -> None: ...


class NullSlot:
    """Implements core.doors.Slot."""

    index = 0

    def beat(self) -> None: ...

    def set_incarnations(self, incarnations: Sequence[tuple[str, Sequence[str]]]) -> None: ...

    def set_load(self, in_flight: int, settled: int) -> None: ...

    def set_redis_seen(self) -> None: ...

    def set_taken(self) -> None: ...

    def set_alone(self, alone: bool) -> None: ...

    def set_culprit(
        self, *, activity: str, task: str, id_: str, queue: str, wid: str, token: int, ran_s: float
    ) -> None: ...
