"""The rig: a Redis of its own, fleets on it, numbered messages into it, faults, and the verdict of the oracle.

Used by every case as `with Rig(scale, "T1") as rig`. Owns all it starts and ends it by its pid, whatever happens.
"""

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from tests.chaos import oracle
from tests.chaos.fleets import STANDING, Fleet, Running, Worker, send
from tests.chaos.oracle import Fault, Findings, Stored
from tests.chaos.records import Record
from tests.chaos.servers import Persistence, RedisServer
from tests.chaos.verdict import Scale, Verdict
from tests.support.key_leaks import leaks
from tests.support.proc import alive, state_of
from tests.support.states import wait_until

QUEUE = "task_queue"
APP = "tests.chaos.tasks"
BULK = 1000
NO_MESSAGES = (":due", ":crashes:counts")
COUNT_MESSAGES = """
local count = 0
for _, key in ipairs(redis.call('KEYS', '*')) do
  local type = redis.call('TYPE', key).ok
  if type == 'list' and not string.find(key, ':due$') then
    count = count + redis.call('LLEN', key)
  elseif type == 'hash' and not string.find(key, ':crashes:counts$') and not string.find(key, ':dead:records$') then
    count = count + redis.call('HLEN', key)
  end
end
return count
"""


def holds_within(state: Callable[[], Any], timeout_s: float) -> bool:
    """Wait for a state or for the time to pass, whichever comes first."""
    try:
        wait_until(state, timeout_s)
    except AssertionError:
        return False
    return True


def passed_s(seconds: float) -> Callable[[], bool]:
    """A state that is reached after a time."""
    end_mono = time.monotonic() + seconds
    return lambda: time.monotonic() >= end_mono


class Rig:
    """See above.

    Args:
        scale: Seed and server.
        name: Of the case; a seed gives every case its own random numbers.
        persistence, server_flags, bind: See RedisServer.

    Attributes:
        rng: For everything random.
        enqueued: Ids that Redis accepted.
        faults: What was done to processes.
        record: What the tasks wrote.
        env: Of processes that are started from now on.
    """

    def __init__(
        self,
        scale: Scale,
        name: str,
        persistence: Persistence = "none",
        server_flags: Sequence[str] = (),
        bind: str = "",
    ) -> None:
        self.scale, self.rng = scale, scale.rng(name)
        self.folder = Path(tempfile.mkdtemp(prefix="asyncq-chaos-"))
        data = self.folder / "redis"
        data.mkdir()
        self.server = RedisServer(scale.redis_server, data, persistence, server_flags, bind)
        self.record = Record(self.folder / "record")
        self.enqueued: set[str] = set()
        self.faults: list[Fault] = []
        self.running: list[Running] = []
        self.env = {"CHAOS_RECORD": str(self.folder / "record")}
        self._next = 0

    def __enter__(self) -> Self:
        try:
            self.server.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.ExitStack() as ending:  # each of them, also when another one cannot be ended
            ending.callback(shutil.rmtree, self.folder, ignore_errors=True)
            if error is not None:
                ending.callback(self._show_logs)
            ending.callback(self.server.stop)
            for running in self.running:
                ending.callback(running.end)

    def _show_logs(self) -> None:
        for path in sorted(self.folder.glob("*.log")):
            print(f"--- the end of {path.name}:", path.read_text(errors="replace")[-4000:], sep="\n")

    # -- processes

    def fleet(self, *flags: str, url: str = "", app: str = APP, **more: Any) -> Fleet:
        """Start `asyncq supervise`; a port is chosen by the system. `url` may be that of a proxy."""
        arguments = ["supervise", "--metrics-port", "0", *self._arguments(flags, url, app)]
        return self._run(Fleet(f"fleet{len(self.running)}", arguments, self.folder, self.env, **more))

    def worker(self, *flags: str, url: str = "", app: str = APP, **more: Any) -> Worker:
        """Start `asyncq worker`, which nobody supervises."""
        arguments = ["worker", *self._arguments(flags, url, app)]
        return self._run(Worker(f"worker{len(self.running)}", arguments, self.folder, self.env, **more))

    def _arguments(self, flags: Sequence[str], url: str, app: str) -> list[str]:
        return ["--app", app, "--redis", url or self.server.url, *flags]

    def registered(self, *running: Worker | Fleet) -> None:
        """Wait until each of their workers takes messages: a worker that is ready need not have reached Redis yet."""

        def missing() -> list[int]:
            wids = b"\n".join(self.server.client.zrange(f"asyncq:{{{QUEUE}}}:{QUEUE}:workers", 0, -1)).decode()
            return [pid for one in running for pid in one.workers() if f":{pid}:" not in wids]

        wait_until(lambda: not missing(), 60, "all are registered")

    def _run(self, running: Any) -> Any:
        self.running.append(running)
        return running

    # -- messages

    def message(self, name: str = "work", **payload: object) -> bytes:
        """The bytes of the next numbered message; what it is for is up to the caller."""
        payload = {"n": self._next, "sleep": 0, **payload}
        self._next += 1
        fields = {"id": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), "name": name}
        return json.dumps({**fields, "payload": payload, "timestamp": time.time()}).encode()

    def push(self, raws: Iterable[bytes], *, front: bool = False) -> list[str]:
        """Push messages of the rig; their ids count as accepted when Redis has said so."""
        raws = list(raws)
        push = self.server.client.lpush if front else self.server.client.rpush
        for first in range(0, len(raws), BULK):
            push(QUEUE, *raws[first : first + BULK])
        ids = [oracle.id_of(raw) for raw in raws]
        self.enqueued.update(ids)
        return ids

    def enqueue(self, count: int, name: str = "work", longest_s: float = 0.0, shortest_s: float = 0.0) -> list[str]:
        """Numbered messages that take a random time."""
        draw = self.rng.uniform
        return self.push([self.message(name, sleep=round(draw(shortest_s, longest_s), 4)) for _ in range(count)])

    # -- faults

    def kill(self, *pids: int, look: bool = True) -> None:
        """SIGKILL, noted for the oracle.

        To know what was in flight each victim is stopped first and Redis is asked what it has under it: the same state
        in which a kill at that moment would have left it. `look=False` where Redis cannot be asked.
        """
        self.note_kill(*pids, look=look)
        for pid in pids:
            send(pid, signal.SIGKILL)
        wait_until(lambda: not any(alive(pid) for pid in pids), what=f"{pids} are dead")

    def note_kill(self, *pids: int, look: bool = True) -> None:
        """The part of `kill` before the kill itself. One that has just died by itself has no fault noted."""
        pids = tuple(pid for pid in pids if alive(pid) and (not look or send(pid, signal.SIGSTOP)))
        for pid in pids:
            if look:
                wait_until(lambda pid=pid: state_of(pid) in STANDING, what=f"{pid} stands still")
                if state_of(pid) != "T":  # it died by itself just now, and what it held may be handed back already
                    continue
            held = self.held(pid) if look else []
            self.faults.append(Fault("kill", pid, time.time(), frozenset(held) if look else None, len(held)))

    def held(self, pid: int) -> list[str]:
        """Ids that Redis has under a process that stands still, all it had sent carried out."""
        client = self.server.client
        client.ping()  # what lay in the socket of the process before is carried out before or beside this
        for connection in client.client_list():  # a blocking move that waits would go on moving while we look
            if connection["cmd"] == "blmove":
                client.client_unblock(int(connection["id"]))  # as if its time had passed, for whoever else waits
        names = [
            key.decode() for part in ("inflight", "inbox") for key in client.scan_iter(f"asyncq:*:{part}:*:{pid}:*")
        ]
        return [oracle.id_of(raw) for name in names for raw in _values(client, name)]

    def stand_still(self, *pids: int) -> None:
        """SIGSTOP, noted for the oracle."""
        for pid in pids:
            self.faults.append(Fault("stop", pid, time.time()))
            os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            wait_until(lambda pid=pid: state_of(pid) in STANDING, what=f"{pid} stands still")

    def go_on(self, *pids: int) -> None:
        """SIGCONT."""
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def kill_tree(self, fleet: Fleet) -> None:
        """SIGKILL for a supervisor and all its processes at once."""
        self.kill(*fleet.pids())
        fleet.wait()

    def kill_while(
        self,
        victims: Callable[[], Sequence[int]],
        every_s: float,
        *,
        until: Callable[[], Any],
        most: int = 1_000_000,
        limit_s: float = 600.0,
    ) -> int:
        """SIGKILL for a random victim again and again until a state is reached. Returns how many."""
        killed, give_up_mono = 0, time.monotonic() + limit_s
        while not holds_within(until, every_s):
            assert time.monotonic() < give_up_mono, f"not within {limit_s} s: {self.progress()}"
            if (living := victims()) and killed < most:
                self.kill(self.rng.choice(living))
                killed += 1
        return killed

    # -- states

    def progress(self) -> str:
        """For a sentence about what did not come."""
        self.record.read()
        return f"{len(self.record.done)} of {len(self.enqueued)} done, in keys: {self.left()}"

    def done(self, count: int) -> bool:
        """Whether that many different messages have ended well."""
        self.record.read()
        return len(self.record.done) >= count

    def started(self, count: int) -> bool:
        """Whether there were that many executions."""
        self.record.read()
        return self.record.starts >= count

    def left(self) -> dict[str, int]:
        """Keys with messages in them, dead letters aside, and how many."""
        return {key.name: len(key.ids) for key in self.dump() if key.ids}

    def finished(self) -> bool:
        """Whether no message is anywhere any more but in the dead letters. One look, so that none moves meanwhile."""
        return not self.server.client.eval(COUNT_MESSAGES, 0)

    def drained(self) -> bool:
        """Whether nothing is ready and nothing waits for its time; suspects may."""
        client = self.server.client
        return not client.llen(QUEUE) and not client.zcard(f"asyncq:{{{QUEUE}}}:{QUEUE}:scheduled")

    def ownerless(self) -> list[str]:
        """While fleets of this host run: keys that neither end by themselves nor belong to a living process."""
        members = self.server.client.zrangebyscore(f"asyncq:{{{QUEUE}}}:{QUEUE}:workers", 0, 0)
        gone = [wid.decode() for wid in members if not alive(int(wid.split(b":")[1]))]
        return [*leaks(self.server.client), *(f"{wid}: registered, and its process is gone" for wid in gone)]

    def dead(self) -> dict[str, str]:
        """Dead letters so far, id -> reason."""
        return {id_: reason for key in self.dump() for id_, reason in key.reasons.items()}

    def dump(self) -> list[Stored]:
        """Every key that holds messages."""
        client = self.server.client
        found = []
        for name in sorted(key.decode() for key in client.scan_iter(count=1000)):
            if not name.endswith(NO_MESSAGES):
                values = _values(client, name)
                if values:
                    found.append(oracle.stored(name, values))
        return found

    # -- the end

    def findings(self) -> Findings:
        """The oracle's judgement of everything so far."""
        self.record.read()
        return oracle.judge(oracle.parse(self.record.lines), self.enqueued, self.faults, self.dump())

    def verdict(self, *, dead: Iterable[str] = ()) -> Verdict:
        """The oracle's verdict; everything must have stopped. `dead`: exactly these may be dead letters."""
        found = self.findings()
        verdict = Verdict(found.problems(dead=set(dead)))
        verdict.check(not (odd := leaks(self.server.client)), f"keys that belong to nobody: {odd[:5]}")
        verdict.figures |= {
            "n": found.enqueued,
            "kills": sum(fault.kind == "kill" for fault in self.faults),
            "executions": found.executions,
            "duplicates": found.duplicates,
            "bound": found.bound,
            "recovery_worst_s": round(found.worst_recovery_s, 3),
        }
        return verdict


def _values(client: redis.Redis, name: str) -> list[bytes]:
    """What lies in a list or in the fields of a hash; other types hold no messages."""
    match client.type(name):
        case b"list":
            return list(client.lrange(name, 0, -1))  # type: ignore[arg-type]
        case b"hash":
            return list(client.hvals(name))  # type: ignore[arg-type]
    return []
