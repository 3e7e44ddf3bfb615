"""Mutations: what happens to delivery when one mechanism is taken away, and the test that must notice.

Read by `python -m tests.mutations`. Each names exact text of the source and what is put in its place; whoever changes
that text changes it here, too. Only values, nothing is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LUA: Final = "asyncq/broker/lua"
LEDGER: Final = "asyncq/broker/ledger.py"
REGISTRATION: Final = "asyncq/broker/registration.py"
FENCE: Final = "if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 and ARGV[1] ~= '' then return 0 end"


@dataclass(frozen=True, slots=True)
class Change:
    """In the file at `path`, below the root, `old` stands exactly once; `new` takes its place."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mechanism less.

    Attributes:
        name: What is missing, in a few words.
        test: The pytest id that must fail with it, and pass without.
        changes: How it is taken away.
        quick: Whether the test fails in less than three seconds.
    """

    name: str
    test: str
    changes: tuple[Change, ...]
    quick: bool = True


def lua(script: str, old: str, new: str) -> Change:
    return Change(f"{LUA}/{script}.lua", old, new)


def one(name: str, test: str, *changes: Change, quick: bool = True) -> Mutation:
    return Mutation(name, test, changes, quick)


_LUA_TESTS: Final = "tests/lua/test_lua_"
_EXCHANGE: Final = "tests/contract/test_registration_exchange.py::test_"
_LOST: Final = "tests/contract/test_registration_lost_replies.py::test_"
_SUSPECTS: Final = "tests/contract/test_registration_suspects.py::test_"
_UPKEEP: Final = "tests/integration/test_upkeep.py::test_"
_WORKER: Final = "tests/unit/worker/test_"
_NOT_OURS: Final = "::test_nothing_changes_when_the_message_is_not_ours_any_more"

FENCES: Final = (
    *(
        one(
            f"the fence of {script}",
            f"{_LUA_TESTS}{script}.py{_NOT_OURS}",
            lua(script, FENCE, "redis.call('HDEL', KEYS[1], ARGV[1])"),
        )
        for script in ("settle_release", "settle_reschedule", "settle_dead")
    ),
    one(
        "take asks the register",
        f"{_LUA_TESTS}take.py::test_inbox_goes_back_and_nothing_is_taken_when_not_registered",
        lua("take", "if not score or tonumber(score) ~= 0 then return {-1} end", ""),
    ),
    one(
        "revive asks the register",
        f"{_LUA_TESTS}revive.py::test_lease_stays_gone_when_the_incarnation_was_reaped",
        lua("revive", "if not score or tonumber(score) ~= 0 then return 0 end", ""),
    ),
    one(
        "register refuses the reaped",
        f"{_LUA_TESTS}register.py::test_request_is_refused_when_the_incarnation_was_reaped",
        lua("register", "if score and tonumber(score) > 0 then return 0 end", ""),
    ),
    one(
        "late settlements are counted",
        f"{_LOST}late_settlements_are_counted_exactly_when_a_reap_comes_between_the_commands",
        Change(REGISTRATION, "self._lost(len(batch) - sum(replies))", "self._lost(len(batch))"),
    ),
)

RECORDS: Final = (
    one(
        "take records what it pops",
        f"{_EXCHANGE}messages_are_in_flight_in_redis_when_they_are_taken",
        lua("take", "    redis.call('HSET', KEYS[2], unpack(record))\n", ""),
    ),
    one(
        "take records a suspect",
        f"{_LUA_TESTS}take.py::test_one_suspect_and_nothing_else_comes_under_a_token_below_zero_when_alone",
        lua("take", "    redis.call('HSET', KEYS[2], -reply[1], raw)\n", ""),
    ),
    one(
        "messages are taken into the record, not popped into memory",
        f"{_LOST}messages_come_with_the_next_exchange_when_the_reply_to_their_take_was_lost",
        Change(
            REGISTRATION,
            "        commands.append(self._take(tokens.start, room, ahead, alone))\n",
            '        commands.append(("LPOP", self._keys.ready, max(len(tokens), 1)))\n',
        ),
        Change(
            REGISTRATION,
            "        reply = replies.pop()\n",
            "        reply = [tokens.start, 0, 0, *(replies.pop() or [])]\n",
        ),
    ),
    one(
        "take brings back the inbox",
        f"{_LUA_TESTS}take.py::test_inbox_is_taken_first_when_there_is_room",
        lua("take", "hand_back(KEYS[1], KEYS[3])\n", ""),
    ),
    one(
        "ranges of lost takes stay open",
        f"{_LOST}messages_come_with_the_next_exchange_when_the_reply_to_their_take_was_lost",
        Change(LEDGER, "            self._open.append(tokens)\n", "            pass\n"),
    ),
    one(
        "ranges stay open after they were looked into",
        f"{_LOST}messages_are_found_when_a_take_is_carried_out_long_after_its_deadline",
        Change(
            LEDGER,
            "        self._adopted.update(stray)\n",
            "        self._adopted.update(stray)\n        self._open.clear()\n",
        ),
    ),
    one(
        "tokens outside open ranges are not run",
        f"{_LOST}settled_message_is_deleted_and_never_run_when_it_is_recorded_again",
        Change(LEDGER, "return any(abs(token) in tokens for tokens in self._open)", "return True"),
    ),
    one(
        "a stray is run once",
        "tests/unit/broker/test_ledger.py::test_settled_is_never_run_again_when_it_is_still_recorded",
        Change(LEDGER, "        self._adopted.update(stray)\n", ""),
    ),
    one(
        "what is recorded is compared with what is held",
        f"{_LOST}messages_are_found_when_a_take_is_carried_out_long_after_its_deadline",
        Change(
            REGISTRATION,
            "        self._compare = self._compare or replies[1] > len(self._ledger.held)\n",
            "",
        ),
    ),
    one(
        "a suspect that strayed is released until that succeeds",
        f"{_SUSPECTS}suspect_goes_back_when_take_and_release_are_both_unanswered",
        Change(
            REGISTRATION,
            "            await self._commands.call(*self._released(*self._unwanted[0]))\n"
            "            self._ledger.settle([self._unwanted.popleft()[0]])\n",
            "            token, raw = self._unwanted.popleft()\n"
            "            await self._commands.call(*self._released(token, raw))\n"
            "            self._ledger.settle([token])\n",
        ),
    ),
    one(
        "a group commit is put back when the exchange failed",
        f"{_UPKEEP}outcomes_are_written_when_the_exchange_that_carried_them_failed",
        Change(
            "asyncq/worker/feeder.py",
            "        except BrokerError as error:\n            lane.put_back(batch)\n",
            "        except BrokerError as error:\n",
        ),
        quick=False,
    ),
    one(
        "a group commit is put back until redis is back",
        f"{_WORKER}worker.py::TestRedisTrouble::test_outcomes_are_written_when_redis_is_back",
        Change(
            "asyncq/worker/feeder.py",
            "        except BrokerError as error:\n            lane.put_back(batch)\n",
            "        except BrokerError as error:\n",
        ),
        quick=False,
    ),
    one(
        "a group commit is put back when the worker is cancelled",
        f"{_UPKEEP}outcomes_are_written_when_the_exchange_that_carried_them_was_cancelled",
        Change(
            "asyncq/worker/feeder.py",
            "        except asyncio.CancelledError:\n            lane.put_back(batch)",
            "        except asyncio.CancelledError:\n            pass",
        ),
    ),
)

LEASES: Final = (
    one(
        "the worker renews its leases",
        f"{_UPKEEP}a_worker_prolongs_its_lease_although_nobody_else_does",
        Change("asyncq/worker/leases.py", "                await self._renew(feeder)\n", ""),
        quick=False,
    ),
    one(
        "the keeper renews the leases of the living",
        f"{_UPKEEP}the_keeper_prolongs_the_lease_of_a_worker_that_cannot",
        Change(
            "asyncq/maintenance/keeper.py", "            group.create_task(forever(self._renew, self._contact))\n", ""
        ),
        quick=False,
    ),
    one(
        "a lease is long missing before its owner is reaped",
        "tests/unit/maintenance/test_reaper.py::test_a_lease_must_be_missing_in_six_samples_in_a_row",
        Change("asyncq/maintenance/reaper.py", "SAMPLES: Final = 6", "SAMPLES: Final = 1"),
    ),
    one(
        "whoever holds a lease is not reaped",
        f"{_LUA_TESTS}reap.py::test_nothing_changes_when_the_lease_exists_and_it_is_not_forced",
        lua("reap", "if ARGV[2] ~= '1' and redis.call('EXISTS', KEYS[4]) == 1 then return {-2} end", ""),
    ),
    one(
        "an expired lease comes back",
        "tests/contract/test_registration_wait.py::test_lease_is_revived_when_it_expired_and_nobody_reaped",
        Change(
            REGISTRATION,
            "bool(replies[0]) or await revive(self._commands, self._keys, self.wid, self._limits.lease_ms)",
            "bool(replies[0])",
        ),
    ),
    one(
        "a reap leaves a tombstone",
        f"{_LUA_TESTS}reap.py::test_everything_returns_in_order_and_a_tombstone_stays_when_the_lease_is_missing",
        lua(
            "reap",
            "  redis.call('ZADD', KEYS[5], now + tonumber(ARGV[3]), ARGV[1])\n",
            "  redis.call('ZREM', KEYS[5], ARGV[1])\n",
        ),
    ),
    one(
        "tombstones are drained again",
        f"{_UPKEEP}what_lands_behind_a_reap_is_handed_back_by_the_reaper",
        Change("asyncq/maintenance/reaper.py", "            await self._reap_tombstones(rows)\n", ""),
        quick=False,
    ),
    one(
        "a withdrawal leaves a tombstone when a wait ended unclearly",
        "tests/contract/test_registration_wait.py::test_tombstone_catches_what_lands_later_when_a_wait_was_cut_off",
        Change(REGISTRATION, "TOMBSTONE_MS if unclear else 0)", "0)"),
    ),
)

_HANG: Final = f"{_LUA_TESTS}reap_hang.py::test_"
SOLO: Final = (
    one(
        "who ran beside a hang is innocent",
        f"{_HANG}those_beside_it_never_become_suspects",
        lua("reap", "  points = 0\n", ""),
    ),
    one(
        "a first hang convicts nobody",
        f"{_HANG}first_hang_makes_a_suspect_and_accuses_nobody_else",
        lua("reap", "if held == 1 and tonumber(ARGV[12]) < 0 then", "if true then"),
    ),
    one(
        "a hang beside others convicts nobody",
        f"{_HANG}nobody_is_convicted_when_others_were_in_flight_beside_it",
        lua("reap", "if held == 1 and tonumber(ARGV[12]) < 0 then", "if tonumber(ARGV[12]) < 0 then"),
    ),
    one(
        "a hang alone convicts",
        f"{_HANG}second_hang_convicts_when_it_ran_alone",
        lua("reap", "if held == 1 and tonumber(ARGV[12]) < 0 then", "if false then"),
    ),
    one(
        "the culprit of another stall is not held to account",
        "tests/unit/supervisor/test_scoreboard_pages.py::test_culprit_holds_until_the_next_beat",
        Change("asyncq/supervisor/page.py", "        if at_ns != beat_ns:", "        if at_ns is None:"),
    ),
    one(
        "the keeper hands the culprit on",
        "tests/unit/maintenance/test_keeper.py::test_only_the_culprit_is_blamed_when_one_is_named",
        Change("asyncq/maintenance/keeper.py", 'return Blame.NOBODY, int(culprit["token"])', "return Blame.NOBODY, 0"),
    ),
    one(
        "only what died alone is convicted",
        f"{_SUSPECTS}suspect_is_not_convicted_when_it_came_late_and_others_ran",
        lua("reap", "local against = #running == 0 and points or 0", "local against = points"),
    ),
    one(
        "what died beside others is a suspect and no more",
        f"{_LUA_TESTS}reap_blame.py::test_the_second_death_makes_a_suspect_when_it_accuses",
        lua(
            "reap",
            "for k = 1, #alone do\n",
            "for k = 1, #running do alone[#alone + 1] = running[k] end\nrunning = {}\nfor k = 1, #alone do\n",
        ),
    ),
    one(
        "a suspect is taken only while nothing else is in flight",
        f"{_LUA_TESTS}take.py::test_no_suspect_comes_when_something_else_is_in_flight_here",
        lua("take", "if reply[3] > 0 and redis.call('HLEN', KEYS[2]) == 0 then", "if reply[3] > 0 then"),
    ),
    one(
        "nothing else is taken while a suspect runs",
        f"{_WORKER}solitude.py::test_nothing_else_is_taken_while_a_suspect_runs",
        Change("asyncq/worker/solitude.py", "        if self.running:\n            return True\n", ""),
    ),
    one(
        "the feeder asks whether it may take",
        f"{_WORKER}suspects.py::test_a_busy_worker_makes_room_for_suspects_and_works_on",
        Change("asyncq/worker/feeder.py", "if not self._taking or self._suspects.holds():", "if not self._taking:"),
        quick=False,
    ),
    one(
        "suspects are taken",
        f"{_WORKER}suspects.py::test_suspects_run_alone_one_after_the_other_when_the_queue_is_empty",
        Change("asyncq/worker/suspects.py", "return self.solitude.suspected and", "return False and"),
        quick=False,
    ),
    one(
        "a kill convicts only in calm",
        f"{_LUA_TESTS}reap_blame.py::test_a_kill_accuses_and_convicts_nobody_while_others_are_killed",
        lua("reap", "(calm and evidence >= convicting)", "evidence >= convicting"),
    ),
    one(
        "the accused are taken only in calm",
        f"{_LUA_TESTS}take.py::test_the_accused_come_after_the_suspects_and_only_in_calm",
        lua(
            "take",
            "(ARGV[11] == '1' and is_calm(KEYS[10], now_ms(), tonumber(ARGV[10])))",
            "true",
        ),
    ),
    one(
        "an end that accuses nobody leaves no trace",
        f"{_LUA_TESTS}reap_blame.py::test_nobody_becomes_a_suspect_when_the_end_accuses_nobody",
        lua("reap", "if points > 0 and crashes.add(running[k], 0) >= 2", "if crashes.add(running[k], 0) >= 2"),
    ),
    one(
        "who leaves in order accuses nobody",
        f"{_LUA_TESTS}withdraw.py::test_only_the_queue_remains_when_it_leaves_cleanly",
        lua(
            "withdraw",
            "hand_back(KEYS[1], KEYS[3], KEYS[2], KEYS[6])",
            "hand_back(KEYS[6], KEYS[3], KEYS[2], KEYS[6])",
        ),
    ),
    one(
        "a release goes to the head of the queue",
        f"{_LUA_TESTS}settle_release.py::test_message_returns_to_the_head_when_it_was_ours",
        lua("settle_release", "'LPUSH'", "'RPUSH'"),
    ),
    one(
        "a suspect that was released is not acquitted",
        f"{_SUSPECTS}a_suspect_is_acquitted_when_it_came_to_an_end_and_not_when_it_was_given_back",
        Change(REGISTRATION, " if settlement is not RELEASE)]", ")]"),
    ),
    one(
        "a suspect that lived is acquitted",
        f"{_SUSPECTS}a_suspect_is_acquitted_when_it_came_to_an_end_and_not_when_it_was_given_back",
        Change(REGISTRATION, "return acquittal(self._keys, raw) if token in ended else []", "return []"),
    ),
)

_DRAINS: Final = f"{_EXCHANGE}worker_drains_when_redis_is_at_maxmemory"
MEMORY: Final = (
    one(
        "take writes first what may not grow memory",
        _DRAINS,
        lua("take", "hand_back(KEYS[1], KEYS[3])\n", "redis.call('SET', KEYS[4], 1)\nhand_back(KEYS[1], KEYS[3])\n"),
    ),
    one(
        "reap writes first what may not grow memory",
        f"{_EXCHANGE}dead_are_reaped_and_others_enter_when_redis_is_at_maxmemory",
        lua(
            "reap",
            "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n",
            "redis.call('ZADD', KEYS[5], 0, ARGV[1])\nredis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n",
        ),
    ),
    one(
        "register writes first what may not grow memory",
        f"{_EXCHANGE}dead_are_reaped_and_others_enter_when_redis_is_at_maxmemory",
        lua("register", "redis.call('DEL', KEYS[1])\n", ""),
    ),
    one(
        "revive writes first what may not grow memory",
        _DRAINS,
        lua("revive", "redis.call('DEL', KEYS[1])\n", ""),
    ),
    one(
        "promote writes first what may not grow memory",
        f"{_LUA_TESTS}promote.py::test_due_ones_move_when_redis_is_at_maxmemory",
        lua(
            "promote",
            "redis.call('ZREM', KEYS[1], unpack(ids))\n",
            "redis.call('RPUSH', KEYS[3], unpack(raws))\nraws = {}\nredis.call('ZREM', KEYS[1], unpack(ids))\n",
        ),
    ),
    *(
        one(
            f"{script} writes first what may not grow memory",
            test,
            lua(script, FENCE, f"redis.call('SET', KEYS[2] .. ':x', 1, 'PX', 1)\n{FENCE}"),
        )
        for script, test in (
            ("settle_reschedule", _DRAINS),
            ("settle_dead", _DRAINS),
            ("settle_release", f"{_LUA_TESTS}settle_release.py::test_message_returns_when_redis_is_at_maxmemory"),
        )
    ),
    one(
        "withdraw writes first what may not grow memory",
        _DRAINS,
        lua("withdraw", "local count = hand_back", "redis.call('SET', KEYS[4], 1)\nlocal count = hand_back"),
    ),
)

MUTATIONS: Final = (*FENCES, *RECORDS, *LEASES, *SOLO, *MEMORY)
