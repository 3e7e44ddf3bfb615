"""Slots: which node of a cluster a command belongs to, and where it goes when nodes say that it lies elsewhere.

Called by both kinds of cluster wire: `Router.steps` says what to send to whom, they carry it there and give back what
came. Follows MOVED and ASK, because a command answered so surely did not run; loads scripts on nodes that do not know
them. Opens no connection, and repeats nothing that may have run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, NoScriptError, ResponseError

from asyncq.broker.failures import NotSentError, ReplyLostError, translate
from asyncq.broker.redis_url import Address, shown
from asyncq.broker.scripts import Argument, Command, script_of
from asyncq.core.errors import BrokerError, BrokerUnavailableError

SLOTS: Final = 16384
MAX_TRIPS: Final = 8
_KEYLESS: Final = frozenset({"CLIENT", "CLUSTER", "CONFIG", "INFO", "PING", "SCRIPT", "TIME"})
_ASKING: Final[Command] = ("ASKING",)
_MAP: Final[Command] = ("CLUSTER", "SLOTS")


@dataclass(frozen=True, slots=True)
class Trip:
    """One round trip.

    Attributes:
        at: The node.
        commands: What is sent.
        of_router: Asked for its own sake, and never one that blocks.
    """

    at: Address
    commands: Sequence[Command]
    of_router: bool = False


Steps = Generator[Trip, list[Any], list[Any]]


def key_of(command: Command) -> Argument | None:
    """The first key of a command; None if it has none. All keys of a command of ours lie in one slot."""
    name = command[0]
    if name == "EVALSHA":
        return command[3] if int(command[2]) else None
    return None if name in _KEYLESS or len(command) < 2 else command[1]


def slot_of(key: Argument) -> int:
    """The slot of a key."""
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


class Router:
    """Knows which node serves which slot, as far as the nodes have told it.

    Args:
        seeds: Whom to ask while nobody else is known.

    Attributes:
        nodes: Those that serve a slot; changes with the map.
    """

    def __init__(self, seeds: Sequence[Address]) -> None:
        self.nodes: tuple[Address, ...] = ()
        self._seeds = tuple(seeds)
        self._owners: list[Address | None] = [None] * SLOTS
        self._outdated = True
        self._best: tuple[Address, ...] = ()  # who surely knows what changed last
        self._lost: tuple[Address, ...] = ()  # who did not answer last
        self._turn = 0

    def steps(self, commands: Sequence[Command]) -> Steps:
        """The way of these commands: yields trips, takes the replies of each, returns one reply for each command.

        Errors of a trip are thrown into it. Replies that are errors, but for those it follows, are returned.

        Raises:
            NotSentError: nothing was carried out.
            ReplyLostError: some of it may have been carried out.
            BrokerUnavailableError: no node serves the slot, or it moved too often meanwhile.
        """
        return _Journey(self, commands).steps()

    def node(self, slot: int | None) -> Address | None:
        """Who serves this slot; without a slot any node."""
        if slot is not None:
            return self._owners[slot]
        return self.nodes[self._turn % len(self.nodes)] if self.nodes else None

    def moved(self, slot: int, node: Address) -> None:
        """A node said so. The rest of the map is asked for with the next call, of the new owner first."""
        self._owners[slot] = node
        self._best, self._outdated = (node,), True

    def lost(self, node: Address) -> None:
        """A node did not answer."""
        self._best, self._lost, self._outdated = (), (node,), True
        self._turn += 1

    def ask_again(self) -> None:
        """The map has a hole."""
        self._outdated = True

    def learn_if_outdated(self) -> Generator[Trip, list[Any], None]:
        """Ask for the map if something said that it changed; one call at a time does, others use what is known."""
        if not self._outdated:
            return
        if self.nodes:
            self._outdated = False
        try:
            yield from self.learn()
        except BaseException:
            self._outdated = True
            raise

    def learn(self) -> Generator[Trip, list[Any], None]:
        """Ask one node after the other for the map, the one that was lost last of all."""
        why: BrokerError = BrokerUnavailableError("no node of the cluster is known")
        for node in self._whom_to_ask():
            try:
                (reply,) = yield Trip(node, (_MAP,), of_router=True)
            except BrokerError as error:
                # A lost reply is one of the map alone: no command of the caller was sent.
                why = NotSentError(str(error)) if isinstance(error, ReplyLostError) else error
                continue
            if isinstance(reply, ResponseError):
                why = translate(reply, shown(node), sent=True)
            elif self._adopt(reply, node):
                return
            else:
                why = BrokerUnavailableError(f"Redis at {shown(node)} serves no slot and knows nobody who does")
        raise why

    def _whom_to_ask(self) -> Iterator[Address]:
        known = dict.fromkeys((*self._best, *self.nodes, *self._seeds))
        return iter(sorted(known, key=lambda node: node in self._lost))

    def _adopt(self, reply: list[Any], asked: Address) -> bool:
        """Take over what CLUSTER SLOTS said; False if it said nothing."""
        owners: list[Address | None] = [None] * SLOTS
        nodes = {}
        for first, last, (host, port, *_), *_ in reply:
            node = _address(host, port, asked)
            nodes[node] = True
            owners[first : last + 1] = [node] * (last + 1 - first)
        if not nodes:
            return False
        self._owners, self.nodes = owners, tuple(nodes)
        self._best, self._lost, self._outdated = (), (), False
        return True


def _address(host: bytes | str | None, port: int, asked: Address) -> Address:
    """A node's address; one that does not know its own name is where it was asked."""
    text = host.decode() if isinstance(host, bytes) else host
    return (text if text and text != "?" else asked[0]), port


class _Journey:
    """Some commands under way."""

    def __init__(self, router: Router, commands: Sequence[Command]) -> None:
        keys = [key_of(command) for command in commands]
        slots = [None if key is None else slot_of(key) for key in keys]
        beside = next((slot for slot in slots if slot is not None), None)
        self._router = router
        self._commands = commands
        self._slots = [beside if slot is None else slot for slot in slots]
        self._replies: list[Any] = [None] * len(commands)
        self._left = list(range(len(commands)))
        self._asked: dict[int, Address] = {}
        self._loading: set[tuple[int, Address]] = set()
        self._ran = False
        self._learned = False

    def steps(self) -> Steps:
        yield from self._router.learn_if_outdated()
        trips = 0
        while self._left:
            if trips == MAX_TRIPS:
                raise self._because(BrokerUnavailableError("the cluster moves this slot to and fro"))
            trips += 1
            at = self._target(self._left[0])
            numbers = [k for k in self._left if self._target(k) == at]
            marked = list(self._with_preludes(numbers, at))
            try:
                replies = yield Trip(at, [command for _, command in marked])
            except NotSentError as error:
                yield from self._go_round(at, numbers, error)
            except ReplyLostError:
                self._router.lost(at)
                raise
            else:
                self._sort([(k, reply) for (k, _), reply in zip(marked, replies, strict=True) if k is not None], at)
        return self._replies

    def _target(self, k: int) -> Address:
        node = self._asked.get(k) or self._router.node(self._slots[k])
        if node is None:
            self._router.ask_again()
            raise self._because(BrokerUnavailableError(f"no node of the cluster serves slot {self._slots[k]}"))
        return node

    def _with_preludes(self, numbers: list[int], at: Address) -> Iterator[tuple[int | None, Command]]:
        """The commands with what has to be said right before each of them."""
        for k in numbers:
            if (k, at) in self._loading:
                yield None, ("SCRIPT", "LOAD", script_of(self._commands[k]).source)
            if k in self._asked:
                yield None, _ASKING
            yield k, self._commands[k]

    def _sort(self, replies: list[tuple[int, Any]], at: Address) -> None:
        """Keep what is final; remember where the rest has to go."""
        for k, reply in replies:
            if isinstance(reply, MovedError):  # for redis-py a kind of AskError
                self._asked.pop(k, None)
                self._router.moved(reply.slot_id, _address(reply.host, reply.port, at))
            elif isinstance(reply, AskError):
                self._asked[k] = _address(reply.host, reply.port, at)
            elif isinstance(reply, NoScriptError) and (k, at) not in self._loading:
                self._loading.add((k, at))
            else:
                self._replies[k] = reply
                self._left.remove(k)
                self._ran = True

    def _go_round(self, at: Address, numbers: list[int], error: NotSentError) -> Generator[Trip, list[Any], None]:
        """A node is not there, so that nothing was sent: ask the others, once, who serves its slots now."""
        self._router.lost(at)
        if self._learned:
            raise self._because(error)
        self._learned = True
        for k in numbers:
            self._asked.pop(k, None)
        try:
            yield from self._router.learn()
        except BrokerError:
            raise self._because(error) from error
        if any(self._router.node(self._slots[k]) == at for k in numbers):
            self._router.lost(at)
            raise self._because(error)

    def _because(self, error: BrokerError) -> BrokerError:
        """The error, which must not sound as if nothing had happened when a part did."""
        return ReplyLostError(f"a part may have been carried out: {error}") if self._ran else error
