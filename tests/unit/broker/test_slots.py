"""The way of commands through a cluster whose nodes are only words: what is sent to whom, and what is made of it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis.exceptions import AskError, MovedError, NoScriptError, ResponseError, TryAgainError

from asyncq.broker.failures import NotSentError, ReplyLostError
from asyncq.broker.scripts import Command, script
from asyncq.broker.slots import MAX_TRIPS, SLOTS, Router, Trip, key_of, slot_of
from asyncq.core.errors import BrokerError, BrokerUnavailableError

A, B, C = ("a", 1), ("b", 2), ("c", 3)
HALF = SLOTS // 2
LOW, HIGH = (
    next(f"k{k}" for k in range(99) if slot_of(f"k{k}") < HALF),
    next(f"k{k}" for k in range(99) if slot_of(f"k{k}") >= HALF),
)
MAP = [[0, HALF - 1, [b"a", 1, b"id"]], [HALF, SLOTS - 1, [b"b", 2, b"id"], [b"replica", 9, b"id"]]]
Node = Callable[[Trip], Any]


def ok(trip: Trip) -> list[Any]:
    return [f"{trip.at[0]}:{command[0]}" for command in trip.commands]


class World:
    """Nodes by address; each answers with a list, or raises. Asked for the map, every node that is here gives MAP."""

    def __init__(self, **nodes: Node) -> None:
        self.nodes = {{"a": A, "b": B, "c": C}[name]: node for name, node in nodes.items()}
        self.map: list[Any] = MAP
        self.trips: list[tuple[str, list[str | bytes | int]]] = []

    def travel(self, router: Router, *commands: Command) -> list[Any]:
        steps = router.steps(commands)
        try:
            trip = next(steps)
            while True:
                try:
                    replies = self._reply(trip)
                except BrokerError as error:
                    trip = steps.throw(error)
                else:
                    trip = steps.send(replies)
        except StopIteration as done:
            found: list[Any] = done.value
            return found

    def _reply(self, trip: Trip) -> list[Any]:
        self.trips.append((trip.at[0], [command[0] for command in trip.commands]))
        node = self.nodes.get(trip.at)
        if node is None:
            raise NotSentError("nobody there")
        replies: list[Any] = [self.map] if trip.of_router else node(trip)
        return replies


def in_turn(*answers: Sequence[Any] | Exception) -> Node:
    left = list(answers)

    def node(trip: Trip) -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return node


def test_the_key_is_known_of_every_command_that_has_one() -> None:
    assert key_of(script("take").command(("q", "r"), 1)) == "q"
    assert [key_of(command) for command in (("LPOP", "q", 1), ("PING",), ("CLIENT", "UNBLOCK", 3), ("TIME",))] == [
        "q",
        None,
        None,
        None,
    ]
    assert slot_of("asyncq:{q}:q:inbox:w") == slot_of("q") == slot_of(b"q")


def test_commands_go_where_their_slot_lies_and_keyless_ones_beside_them() -> None:
    world, router = World(a=ok, b=ok), Router([A])
    replies = world.travel(router, ("TIME",), ("LLEN", HIGH), ("LLEN", LOW), ("HLEN", HIGH))
    assert replies == ["b:TIME", "b:LLEN", "a:LLEN", "b:HLEN"]
    assert world.trips == [("a", ["CLUSTER"]), ("b", ["TIME", "LLEN", "HLEN"]), ("a", ["LLEN"])]
    assert world.travel(router, ("PING",)) == ["a:PING"]


def test_only_what_moved_is_sent_again_and_the_map_is_asked_of_the_new_owner() -> None:
    moved = MovedError(f"{slot_of(LOW)} b:2")
    world, router = World(a=in_turn(["one", moved]), b=ok), Router([A])
    assert world.travel(router, ("LLEN", LOW), ("HLEN", LOW)) == ["one", "b:HLEN"]
    world.map = [[0, SLOTS - 1, [b"b", 2, b"id"]]]
    assert world.travel(router, ("LLEN", LOW)) == ["b:LLEN"]
    assert world.trips[3:] == [("b", ["CLUSTER"]), ("b", ["LLEN"])]
    assert router.nodes == (B,)


def test_asking_stands_before_each_command_that_was_asked_elsewhere_and_the_slot_stays() -> None:
    ask = AskError(f"{slot_of(LOW)} b:2")
    world, router = World(a=in_turn([ask, "two", ask], ["three"]), b=lambda trip: ["ok", "x"] * 2), Router([A])
    assert world.travel(router, ("GET", LOW), ("LLEN", LOW), ("HLEN", LOW)) == ["x", "two", "x"]
    assert world.trips[2] == ("b", ["ASKING", "GET", "ASKING", "HLEN"])
    assert world.travel(router, ("LLEN", LOW)) == ["three"]


def test_script_is_loaded_on_the_node_that_does_not_know_it_also_when_that_was_only_asked() -> None:
    run = script("promote").command((LOW,), 1)
    ask, unknown = AskError(f"{slot_of(LOW)} b:2"), NoScriptError("none")
    world = World(a=in_turn([ask]), b=in_turn(["ok", unknown], ["sha", "ok", "done"]))
    assert world.travel(Router([A]), run) == ["done"]
    assert world.trips[2:] == [("b", ["ASKING", "EVALSHA"]), ("b", ["SCRIPT", "ASKING", "EVALSHA"])]


def test_script_that_stays_unknown_is_an_error_in_the_end() -> None:
    world = World(a=in_turn([NoScriptError("none")], [ResponseError("no"), NoScriptError("none")]))
    (reply,) = world.travel(Router([A]), script("promote").command((LOW,), 1))
    assert isinstance(reply, NoScriptError)


def test_node_without_a_name_is_where_it_was_asked() -> None:
    world, router = World(a=in_turn([MovedError(f"{slot_of(LOW)} :3")])), Router([A])
    world.nodes["a", 3] = ok
    world.map = [[0, SLOTS - 1, [None, 1, b"id"]]]
    assert world.travel(router, ("LLEN", LOW)) == ["a:LLEN"]
    assert [at for at, _ in world.trips] == ["a", "a", "a"]


def test_others_are_asked_who_serves_the_slot_now_when_a_node_is_gone() -> None:
    world, router = World(a=ok, b=ok), Router([A, B])
    world.travel(router, ("LLEN", LOW))
    del world.nodes[A]
    world.map = [[0, SLOTS - 1, [b"b", 2, b"id"]]]
    assert world.travel(router, ("LLEN", LOW)) == ["b:LLEN"]
    assert world.trips[2:] == [("a", ["LLEN"]), ("b", ["CLUSTER"]), ("b", ["LLEN"])]


def test_nothing_was_sent_when_the_node_is_gone_and_nobody_serves_instead() -> None:
    world, router = World(b=ok), Router([B])
    with pytest.raises(NotSentError, match=r"^nobody there$"):
        world.travel(router, ("LLEN", LOW))
    assert [at for at, _ in world.trips] == ["b", "a", "b"]
    assert world.travel(router, ("LLEN", HIGH)) == ["b:LLEN"]


def test_it_does_not_sound_as_if_nothing_had_happened_when_a_part_was_carried_out() -> None:
    moved = MovedError(f"{slot_of(LOW)} c:3")
    world = World(a=in_turn(["one", moved], [moved]), b=ok)
    with pytest.raises(ReplyLostError, match="a part may have been carried out: nobody there"):
        world.travel(Router([A]), ("LLEN", LOW), ("HLEN", LOW))


def test_lost_reply_is_passed_on_and_nothing_sent_again() -> None:
    world, router = World(a=in_turn(ReplyLostError("lost"), ["later"]), b=ok), Router([A])
    with pytest.raises(ReplyLostError, match=r"^lost$"):
        world.travel(router, ("LLEN", LOW))
    assert len(world.trips) == 2
    assert world.travel(router, ("LLEN", LOW)) == ["later"]
    assert world.trips[2:] == [("b", ["CLUSTER"]), ("a", ["LLEN"])]  # whom it lost is asked last


def test_try_again_is_a_reply_and_not_followed() -> None:
    world = World(a=in_turn([TryAgainError("later"), "two"]))
    first, second = world.travel(Router([A]), ("LLEN", LOW), ("HLEN", LOW))
    assert (type(first), second) == (TryAgainError, "two")


def test_it_ends_when_two_nodes_send_each_other_the_slot() -> None:
    slot = slot_of(LOW)
    world = World(a=lambda _: [MovedError(f"{slot} b:2")], b=lambda _: [MovedError(f"{slot} a:1")])
    with pytest.raises(BrokerUnavailableError, match="moves this slot to and fro"):
        world.travel(Router([A]), ("LLEN", LOW))
    assert len(world.trips) == 1 + MAX_TRIPS


def test_it_is_said_when_nobody_serves_the_slot_and_asked_again_with_the_next_call() -> None:
    world, router = World(b=ok), Router([B])
    world.map = MAP[1:]
    with pytest.raises(BrokerUnavailableError, match=f"no node of the cluster serves slot {slot_of(LOW)}"):
        world.travel(router, ("LLEN", LOW))
    world.map = [[0, SLOTS - 1, [b"b", 2, b"id"]]]
    assert world.travel(router, ("LLEN", LOW)) == ["b:LLEN"]


def test_every_seed_is_tried_before_nobody_is_found() -> None:
    world, router = World(), Router([A, B, C])
    with pytest.raises(NotSentError, match="nobody there"):
        world.travel(router, ("LLEN", LOW))
    assert [at for at, _ in world.trips] == ["a", "b", "c"]
    world.nodes[C] = ok
    world.map = []
    with pytest.raises(BrokerUnavailableError, match="Redis at c:3 serves no slot and knows nobody who does"):
        world.travel(router, ("LLEN", LOW))


def test_keyless_commands_go_to_another_node_when_one_is_gone() -> None:
    world, router = World(a=ok, b=ok), Router([A])
    assert world.travel(router, ("PING",)) == ["a:PING"]
    del world.nodes[A]
    assert world.travel(router, ("PING",)) == ["b:PING"]
