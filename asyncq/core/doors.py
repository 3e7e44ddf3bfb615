"""Doors: the small interfaces through which rooms reach each other. No code, only promises.

`broker` implements Broker, Registration, Popper and Inspector; `client` implements Enqueuer; `supervisor` implements
Slot; `metrics` implements Observer. Worker, maintenance and admin receive them as arguments and so never see Redis or
shared memory.
Unless said otherwise every coroutine raises BrokerUnavailableError (trying again can help) or
BrokerRefusedError (it cannot), and never retries by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from asyncq.core.blame import Blame
from asyncq.core.envelope import Envelope, Handle
from asyncq.core.settlement import Settlement


@dataclass(slots=True)
class Taken:
    """What one exchange brought.

    Attributes:
        tokens: One number per message; together with the registration it names the message until it is settled.
        raws: The messages' bytes, same order.
        late: Settlements of this exchange that were refused because the message was no longer ours.
        oversized: Messages above the size limit that went straight to the dead letters.
        suspects: Messages that wait to be run alone.
    """

    tokens: Sequence[int]
    raws: Sequence[bytes]
    late: int = 0
    oversized: int = 0
    suspects: int = 0


@dataclass(slots=True)
class Batch:
    """Settlements to be carried out in one round trip.

    Attributes:
        completed: Tokens of messages that are done.
        others: (token, raw, settlement) for everything that is not a plain completion.
    """

    completed: list[int] = field(default_factory=list)
    others: list[tuple[int, bytes, Settlement]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.completed) + len(self.others)


class Registration(Protocol):
    """One incarnation of a worker process, registered on one queue (at-least-once).

    The in-flight record of everything taken here lives in Redis under this incarnation, so that a reap can hand it
    back. A registration is used by one event loop; its methods are not called concurrently, its caller sees to that;
    only `wait` runs beside the others, on a connection of its own, and `wake` and `close` end it.
    """

    queue: str
    wid: str

    async def exchange(self, batch: Batch, room: int, ahead: int, *, alone: bool = False) -> Taken:
        """Settle `batch`, then take up to `room` + `ahead` messages: one round trip.

        Args:
            batch: Settled first. Each is fenced: it happens only if the message is still ours. An exchange that
                raises may be repeated with the same batch: what already happened does not happen twice.
            room: Free consumers; 0 takes nothing (what lies in the inbox goes back to the head of the queue).
            ahead: Look-ahead wanted beyond `room`; bounded by this process's fair share of the queue.
            alone: Take one suspect and nothing else; its token is below zero. Only when nothing is in flight here
                once `batch` is settled, in any queue: whatever dies with it is held against it.

        Returns:
            Messages are recorded as in flight before they are returned. When a reply was lost earlier, messages that
            were taken by that call appear here.

        Raises:
            RegistrationLostError: this incarnation is no longer registered (it was reaped): take a new one. Says how
                many of the batch came too late; what an earlier exchange settled whose reply was lost is among them.

        Cost: one pipeline: 1 HDEL for all completions, 1 EVALSHA per other settlement, 1 EVALSHA to take.
        """

    async def wait(self, timeout_s: float) -> bool:
        """Block until a message arrives or the time-out passes. True if the bell rang.

        The message that rang it lies in our inbox; the next exchange brings it. Never start it from here.
        Cost: 1 BLMOVE on a connection of its own.
        """

    async def wake(self) -> None:
        """End a running `wait` early. Cost: usually 1 CLIENT UNBLOCK. Harmless when nobody waits."""

    async def renew(self) -> bool:
        """Prolong the lease; False when the registration is gone (reaped): take a new one.

        Cost: 1 pipeline of 2 or 3 commands; 1 script more when the lease had expired and is revived.
        """

    async def withdraw(self) -> int:
        """Leave in order: everything still in flight goes back to the head of the queue, the registration ends.

        Returns: how many messages went back. Cost: 1 script.
        """

    async def close(self) -> None:
        """Close the waiting connection. No Redis call."""


class Popper(Protocol):
    """One at-most-once consumer: a popped message exists only in this process."""

    async def pop(self, timeout_s: float) -> tuple[str, bytes] | None:
        """Block until a message arrives on any of our queues: (queue, raw), or None at the time-out.

        Cost: 1 BLPOP on a connection of its own.
        """

    async def pop_many(self, queue: str, count: int) -> list[bytes]:
        """Up to `count` messages without waiting. Cost: 1 LPOP."""

    async def wake(self) -> None:
        """End a running `pop` early. Cost: usually 1 CLIENT UNBLOCK."""

    async def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a reap found.

    Attributes:
        handed_back: Messages that went back to the head of the queue.
        suspected: Messages that were in flight at an earlier death, too: they wait to be run alone.
        dead: Ids of the dead letters: of messages that ran alone and killed their process.
    """

    handed_back: int = 0
    suspected: int = 0
    dead: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many messages it found."""
        return self.handed_back + self.suspected + len(self.dead)


@dataclass(frozen=True, slots=True)
class Registered:
    """One row of a queue's register.

    Attributes:
        wid: host:pid:random.
        tombstone_ms: 0 while registered; the Redis time until which a reaped one is remembered otherwise.
        leased: Whether its lease exists right now.
    """

    wid: str
    tombstone_ms: int
    leased: bool


class Broker(Protocol):
    """Everything a worker and the maintenance loops ask of Redis."""

    def incarnation(self) -> str:
        """A new worker id `host:pid:random`, never used before. No Redis call."""

    async def register(self, queue: str, wid: str) -> Registration:
        """Enter an incarnation into the queue's register with a fresh lease. Cost: 1 script.

        Raises:
            RegistrationLostError: it was reaped before; take a new one.
        """

    def popper(self, queues: Sequence[str]) -> Popper:
        """An at-most-once consumer of these queues. No Redis call."""

    async def settle_popped(self, queue: str, others: Sequence[tuple[bytes, Settlement]]) -> None:
        """Carry out retries, releases and dead letters of at-most-once messages. Cost: 1 pipeline of scripts."""

    async def renew(self, queue: str, wid: str) -> bool:
        """Prolong another process's lease (the keeper, for children that live). False if it is not registered."""

    async def promote(self, queue: str, limit: int = 200) -> tuple[int, int | None]:
        """Move what is due from `scheduled` to the tail of the queue.

        Returns: how many moved, and milliseconds until the next one is due (0 = more is due now, None = none waits).
        Cost: 1 script; when none waited last time 1 EXISTS before it, or instead of it while that is so.
        """

    async def due_bell(self, queue: str, timeout_s: float) -> bool:
        """Block until a message was scheduled that is due earlier than every other, or the time-out passes.

        Cost: 1 BLPOP on a connection of its own.
        """

    async def registered(self, queue: str) -> list[Registered]:
        """Everybody in the queue's register; who was reaped has no lease.

        Cost: 1 ZRANGE + 1 EXISTS; 1 pipeline of EXISTS more when a lease is missing.
        """

    async def reap(
        self, queue: str, wid: str, *, forced: bool, blame: Blame = Blame.NOBODY, culprit: int = 0
    ) -> Reaped | None:
        """Hand back everything an incarnation held and fence it off.

        Args:
            forced: True when its process is known to be dead; False refuses (None) while its lease exists.
            blame: What its end says against the messages that were in flight; see Blame.
            culprit: Token of the message whose handler was seen to block the process for ever: it alone is to blame,
                and `blame` is not asked. 0 = nobody saw that.

        Returns: what was found, or None when refused or unknown.
        Cost: 1 script, O(messages held).
        """

    async def close(self) -> None:
        """Close every connection. No Redis call."""


class Enqueuer(Protocol):
    """Puts messages on queues, from whatever event loop it is called in."""

    async def enqueue(self, envelope: Envelope) -> Handle:
        """Put one message on its queue. Cost: 1 RPUSH; 1 script if it waits or is retry-safe.

        Raises:
            OutcomeUnknownError: sent, and the reply was lost.
            MessageTooLargeError, ConfigurationError: refused before it was sent.
        """

    async def enqueue_many(self, envelopes: Iterable[Envelope]) -> list[Handle]:
        """Put many messages on their queues, in order. Cost: 1 RPUSH or script per thousand and queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """The size of one queue, by state."""

    queue: str
    ready: int
    scheduled: int
    due: int
    in_flight: int
    suspects: int
    dead: int
    workers: int
    oldest_age_s: float | None


class Inspector(Protocol):
    """Read-only questions about queues."""

    async def stats(self, queue: str) -> QueueStats:
        """Sizes of one queue. Cost: 2 pipelines, O(registered workers)."""

    async def ping(self) -> None:
        """One PING."""

    async def close(self) -> None:
        """Close the connections."""


class Slot(Protocol):
    """A worker process's own page in the supervisor's shared memory. Plain writes, no system call."""

    index: int

    def beat(self) -> None:
        """The event loop lives: write the monotonic time."""

    def set_incarnations(self, incarnations: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Which (wid, queues) this process is about to register; written before registering."""

    def set_load(self, in_flight: int, settled: int) -> None:
        """How many messages this process holds, and how many it has settled since it started."""

    def set_redis_seen(self) -> None:
        """Redis answered just now."""

    def set_taken(self) -> None:
        """A take (or pop) was answered just now, also with nothing: this process is not deaf."""

    def set_alone(self, alone: bool) -> None:
        """Whether a suspect runs here alone: its death is no sign that workers cannot live."""

    def set_own_hand(self) -> None:
        """The suspect that runs here alone sends this process SIGKILL: nobody outside is to blame for what follows."""

    def set_culprit(
        self, *, activity: str, task: str, id_: str, queue: str, wid: str, token: int, ran_s: float
    ) -> None:
        """What runs right now in a loop that does not turn; holds until the next beat.

        Args:
            activity: The current asyncio task; empty = none.
            task: Name of the message's task; this and the next four are empty or 0 when no message is behind it.
            id_: Of the message.
            queue: Where it came from.
            wid: The incarnation that holds it.
            token: Its token there; 0 = delivered at most once.
            ran_s: For how long it has been running.
        """


class Observer(Protocol):
    """Is told what happens to tasks; must be cheap and must not raise."""

    def started(self, queue: str) -> None:
        """An attempt begins."""

    def finished(self, queue: str, task: str, outcome: str, duration_s: float, error_type: str) -> None:
        """An attempt ended.

        `outcome` is one of succeeded, failed, retried, timed_out, snoozed, discarded, cancelled.
        """

    def not_run(self, queue: str) -> None:
        """What `started` announced was no attempt after all: malformed, unknown task or expired."""

    def dead_lettered(self, queue: str, task: str, reason: str) -> None:
        """A message became a dead letter."""

    def counted(self, metric: str, queue: str, amount: int) -> None:
        """Something without a task happened `amount` times; `metric` is a key of `metrics.catalogue.COUNTED`."""
