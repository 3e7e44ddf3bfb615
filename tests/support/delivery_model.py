"""What the scripts promise, written a second time: a Redis of Python objects that carries out the same commands.

Called by the state machine of tests/contract: each command that the real server carried out is carried out here, and
the replies and all keys are compared. Every message copy is one object, so that what became of it can be asked for.
Written from the promises at the head of each script; never speaks Redis, never reads a clock.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from asyncq.broker.scripts import Command, script_of
from asyncq.core.blame import CONVICTING

AGED, FRESH = 1, 2  # scores of tombstones: their time has passed, or not


@dataclass(eq=False)
class Copy:
    """One message, from its push to its end.

    Attributes:
        raw: Its bytes as they are now; a retry changes them.
        executions: How often it was given to a process.
        allowed: How often it may have been.
        holder: The incarnation to which it was given and which has not settled it.
        completed_by: The incarnation and token under which it may be deleted.
    """

    raw: bytes
    executions: int = 0
    allowed: int = 1
    holder: str = ""
    completed_by: tuple[str, int] = ("", 0)

    def again(self) -> None:
        """It left an in-flight record without an end: if it was begun there, one more execution is right."""
        if self.holder:
            self.allowed += 1
        self.holder = ""


def sha1(raw: bytes) -> str:
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()


class DeliveryModel:
    """Attributes:
    db: Key -> list of copies, or dict of what the real key holds; an empty one is a missing one.
    accepted: Every message ever pushed.
    acked: Those that were completed.
    scripts: Names of the scripts that the server knows.
    evidence: Points that really were collected by bytes that were in flight alone.
    """

    def __init__(self) -> None:
        self.db: dict[str, Any] = {}
        self.accepted: list[Copy] = []
        self.acked: set[Copy] = set()
        self.scripts: set[str] = set()
        self.evidence: Counter[bytes] = Counter()

    def row(self, key: str) -> list[Copy]:
        found: list[Copy] = self.db.setdefault(key, [])
        return found

    def table(self, key: str) -> dict[Any, Any]:
        found: dict[Any, Any] = self.db.setdefault(key, {})
        return found

    def copies(self) -> Iterator[Copy]:
        """Every copy that lies anywhere."""
        for value in self.db.values():
            for item in value if isinstance(value, list) else value.values():
                if isinstance(item, Copy):
                    yield item
                elif isinstance(item, tuple) and isinstance(item[1], Copy):
                    yield item[1]

    # -- commands -----------------------------------------------------------------------------------------------

    def carry_out(self, command: Command) -> Any:
        """What the server should answer."""
        verb, *rest = command
        if verb != "EVALSHA":
            plain: Callable[..., Any] = getattr(self, f"do_{str(verb).lower()}")
            return plain(*rest)
        count = int(rest[1])
        scripted: Callable[..., Any] = getattr(self, f"run_{script_of(command).name}")
        return scripted(rest[2 : 2 + count], rest[2 + count :])

    def do_rpush(self, key: str, *raws: bytes) -> int:
        pushed = [Copy(raw) for raw in raws]
        self.accepted += pushed
        self.row(key).extend(pushed)
        return len(self.row(key))

    def do_zrem(self, key: str, *members: str) -> int:
        return sum(self.table(key).pop(member, None) is not None for member in members)

    def do_exists(self, *keys: str) -> int:
        return sum(bool(self.db.get(key)) for key in keys)

    def do_hdel(self, key: str, *tokens: int | str) -> int:
        held, count = self.table(key), 0
        if key.endswith(":counts"):  # an acquittal
            self.evidence = Counter({raw: n for raw, n in self.evidence.items() if sha1(raw) not in tokens})
            return sum(held.pop(token, None) is not None for token in tokens)
        for token in tokens:
            copy = held.pop(int(token), None)
            if copy is not None:
                wid = key.rpartition(":inflight:")[2]
                assert copy.completed_by == (wid, int(token)), f"nobody completed {copy}, and it was deleted"
                copy.holder = ""
                self.acked.add(copy)
                count += 1
        return count

    def do_hlen(self, key: str) -> int:
        return len(self.table(key))

    def do_hgetall(self, key: str) -> dict[int, bytes]:
        return {token: copy.raw for token, copy in self.table(key).items()}

    def do_pexpire(self, key: str, _ms: int) -> int:
        return len(self.table(key))

    def do_blmove(self, source: str, target: str, *_: str) -> bytes | None:
        if not self.row(source):
            return None
        copy = self.row(source).pop(0)
        self.row(target).append(copy)
        return copy.raw

    # -- scripts ------------------------------------------------------------------------------------------------

    def run_register(self, keys: list[str], argv: list[Any]) -> int:
        lease, workers = keys
        if self.table(workers).get(argv[0], 0) != 0:
            return 0
        self.table(workers)[argv[0]] = 0
        self.db[lease] = {"": 1}
        return 1

    def run_revive(self, keys: list[str], argv: list[Any]) -> int:
        lease, workers = keys
        if self.table(workers).get(argv[0]) != 0:
            return 0
        self.db[lease] = {"": 1}
        return 1

    def _hand_back(self, queue: str, inbox: str, inflight: str, suspects: str) -> int:
        held = self.table(inflight)
        running = [held[token] for token in sorted(held) if token > 0]
        alone = [held[token] for token in sorted(held) if token < 0]
        for copy in running + alone:
            copy.again()
        back = running + self.row(inbox)
        self.row(queue)[:0] = back
        self.row(suspects)[:0] = alone
        self.row(inbox).clear()
        held.clear()
        return len(back) + len(alone)

    def run_withdraw(self, keys: list[str], argv: list[Any]) -> int:
        queue, inflight, inbox, lease, workers, suspects = keys
        count = self._hand_back(queue, inbox, inflight, suspects)
        self.table(lease).clear()
        if self.table(workers).get(argv[0]) == 0:
            self.table(workers)[argv[0]] = FRESH
            if argv[1] == 0:
                del self.table(workers)[argv[0]]
        return count

    def run_take(self, keys: list[str], argv: list[Any]) -> list[Any]:
        queue, inflight, inbox, lease, workers, dead, records, suspects, accused, killed = keys
        wid, first, room, ahead, _, limit, _, _, alone, _, seasoned = argv
        self.row(queue)[:0] = self.row(inbox)
        self.row(inbox).clear()
        if self.table(workers).get(wid) != 0:
            return [-1]
        self.db[lease] = {"": 1}
        held = self.table(inflight)
        waiting = self.row(suspects) + (self.row(accused) if seasoned and not self.table(killed) else [])
        if alone:
            if not waiting or held:
                return [first, 0, len(waiting)]
            held[-first] = self.row(suspects if self.row(suspects) else accused).pop(0)
            return [first, 0, len(waiting) - 1, held[-first].raw]
        live = sum(score == 0 for score in self.table(workers).values())
        share = math.ceil(len(self.row(queue)) / live)
        wanted = room + min(ahead, max(share - room, 0))
        popped = self.row(queue)[:wanted]
        del self.row(queue)[:wanted]
        small = [copy for copy in popped if len(copy.raw) <= limit]
        for number, copy in enumerate(popped, 1):
            if copy not in small:
                self._bury(dead, records, f"{wid}:{first}.{number}", "oversized", copy)
        held.update(enumerate(small, first))
        return [first, len(popped) - len(small), len(waiting), *(copy.raw for copy in small)]

    def _bury(self, dead: str, records: str, id_: str, reason: str, copy: Copy) -> None:
        assert id_ not in self.table(dead), f"a second dead letter {id_}: the first one is overwritten"
        self.table(dead)[id_] = 1
        self.table(records)[id_] = (reason, copy)

    def _settled(self, inflight: str, token: Any) -> Copy | None:
        copy: Copy | None = self.table(inflight).pop(int(token), None)
        return copy

    def run_settle_release(self, keys: list[str], argv: list[Any]) -> int:
        copy = self._settled(keys[0], argv[0])
        if copy is None:
            return 0
        assert argv[1] == copy.raw
        copy.again()
        self.row(keys[1]).insert(0, copy)
        return 1

    def run_settle_dead(self, keys: list[str], argv: list[Any]) -> int:
        inflight, dead, records = keys
        copy = self._settled(inflight, argv[0])
        if copy is None:
            return 0
        assert argv[3] == copy.raw
        copy.holder = ""
        self._bury(dead, records, argv[1], "exhausted", copy)
        return 1

    def run_settle_reschedule(self, keys: list[str], argv: list[Any]) -> int:
        inflight, scheduled, payloads, due = keys
        copy = self._settled(inflight, argv[0])
        if copy is None:
            return 0
        assert argv[1] not in self.table(scheduled), f"a second message waits as {argv[1]}"
        copy.again()
        copy.raw = argv[3]
        self.table(scheduled)[argv[1]] = math.inf
        self.table(payloads)[argv[1]] = copy
        self.db[due] = {0: b"1"}
        return 1

    def run_promote(self, keys: list[str], argv: list[Any]) -> list[int]:
        scheduled, payloads, queue = keys
        due = sorted((score, id_) for id_, score in self.table(scheduled).items() if score < math.inf)
        for _, id_ in due[: argv[0]]:
            del self.table(scheduled)[id_]
            self.row(queue).append(self.table(payloads).pop(id_))
        left = -1 if not self.table(scheduled) else 0 if len(due) > argv[0] else 1
        return [min(len(due), argv[0]), left]

    def run_reap(self, keys: list[str], argv: list[Any]) -> list[Any]:
        queue, inflight, inbox, lease, workers, suspects, accused, crashes, counts, killed, dead, records = keys
        wid, forced, _, points, points_of_kill, *_, culprit = argv
        points = 0 if culprit else points
        if wid not in self.table(workers):
            return [-1]
        if not forced and self.table(lease):
            return [-2]
        held, landed = self.table(inflight), list(self.row(inbox))
        back: list[Copy] = []
        convicted: list[str] = []
        calm = not self.table(killed)
        dying = {sha1(copy.raw) for copy in held.values()} if points else set()
        for token in sorted(token for token in held if token != culprit):
            copy, against = held[token], points if token < 0 and len(held) == 1 else 0
            copy.again()
            deaths = self._accuse(crashes, counts, copy, dying, against) if points else 0
            if against and self._is_convicted(crashes, counts, copy, against, calm):
                convicted.append(f"{wid}:alone{len(convicted) + 1}")
                self._bury(dead, records, convicted[-1], "poison", copy)
            elif token < 0 or deaths >= 2:
                self.row(accused if against else suspects).append(copy)
            else:
                back.append(copy)
        if culprit in held and self._hung(crashes, counts, held, culprit):
            convicted.append(f"{wid}:hung")
            self._bury(dead, records, convicted[-1], "poison", held[culprit])
        elif culprit in held:
            self.row(suspects).append(held[culprit])
        suspected = len(held) - len(back) - len(convicted)
        self.row(queue)[:0] = back + landed
        found = bool(landed or held)
        for key in (inflight, inbox, lease):
            self.db.pop(key, None)
        if points == points_of_kill:
            self.db[killed] = {"": 1}
        self._entomb(workers, wid, found)
        return [len(landed) + len(back), suspected, *convicted]

    def _entomb(self, workers: str, wid: str, found: bool) -> None:
        score = self.table(workers)[wid]
        if score == 0:
            self.table(workers)[wid] = FRESH
        elif score == AGED and not found:
            del self.table(workers)[wid]

    def _hung(self, crashes: str, counts: str, held: dict[int, Copy], culprit: int) -> bool:
        """A death is counted against whoever blocked its process; whether it is convicted."""
        copy = held[culprit]
        copy.again()
        self._accuse(crashes, counts, copy, {sha1(copy.raw)}, 0)
        if culprit > 0 or len(held) > 1:
            return False
        self._forget_evidence(crashes, counts, copy)
        return True

    def _accuse(self, crashes: str, counts: str, copy: Copy, dying: set[str], against: int) -> int:
        """One death per bytes and reap: the first of equal messages takes it out of `dying`. How many there were."""
        digest = sha1(copy.raw)
        deaths, points = self.table(counts).get(digest, (0, 0))
        deaths += digest in dying
        dying.discard(digest)
        self.table(counts)[digest] = (deaths, points + against)
        self.table(crashes)[digest] = 1
        self.evidence[copy.raw] += against
        return int(deaths)

    def _is_convicted(self, crashes: str, counts: str, copy: Copy, against: int, calm: bool) -> bool:
        digest = sha1(copy.raw)
        if against < CONVICTING and not (calm and self.table(counts)[digest][1] >= CONVICTING):
            return False
        assert self.evidence[copy.raw] >= CONVICTING, f"{copy} is innocent and was convicted"
        self._forget_evidence(crashes, counts, copy)
        return True

    def _forget_evidence(self, crashes: str, counts: str, copy: Copy) -> None:
        digest = sha1(copy.raw)
        del self.table(counts)[digest], self.table(crashes)[digest], self.evidence[copy.raw]
