"""What a Redis can lose, in words, for every combination of settings that makes a difference."""

import pytest

from asyncq.broker.durability import Facts, Finding, facts_in, findings

SNAPSHOTS = {"aof_enabled": "0", "rdb_last_bgsave_status": "ok"}
APPENDS = {**SNAPSHOTS, "aof_enabled": "1", "aof_last_write_status": "ok"}
UNLIMITED = {"maxmemory": "0", "maxmemory_policy": "noeviction"}
ALONE = {"role": "master", "connected_slaves": "0"}
SEEN = {"save": "3600 1 300 100", "appendfsync": "everysec", "min-replicas-to-write": "0"}


def said(config: Facts | None = None, **info: str) -> list[tuple[bool, str]]:
    facts = {**APPENDS, **UNLIMITED, **ALONE, **info}
    return [(finding.warning, finding.text) for finding in findings(facts, SEEN if config is None else config)]


@pytest.mark.parametrize(
    ("fsync", "expected"),
    [
        ("always", "loses nothing that it acknowledged, also when its machine loses power (appendfsync always)"),
        (
            "everysec",
            "can lose the last second or two of what it acknowledged, when its machine loses power or when it dies "
            "during an fsync (appendonly yes, appendfsync everysec)",
        ),
        (
            "no",
            "can lose about the last half minute of what it acknowledged, when its machine loses power; "
            "nothing when it alone dies (appendonly yes, appendfsync no)",
        ),
    ],
)
def test_append_only_file_loses_what_its_fsync_allows(fsync: str, expected: str) -> None:
    assert said({**SEEN, "appendfsync": fsync}) == [(False, expected)]


def test_fsync_that_cannot_be_seen_is_said_to_be_unseen() -> None:
    (found,) = findings({**APPENDS, **UNLIMITED, **ALONE}, None)
    assert found.text == (
        "can lose, when its machine loses power, what appendfsync allows (this user has no right to CONFIG GET: "
        "nothing with always, a second or two with everysec, half a minute with no)"
    )
    assert not found.warning


@pytest.mark.parametrize("save", ["", " "])
def test_warns_when_nothing_is_persisted(save: str) -> None:
    expected = "persists nothing: when it ends, every message and every result is lost; set appendonly yes"
    assert said({**SEEN, "save": save}, aof_enabled="0") == [(True, expected)]


def test_snapshots_lose_up_to_the_longest_of_their_periods() -> None:
    assert said(aof_enabled="0") == [
        (
            False,
            "loses all since its last snapshot when it dies, up to 3600 s of work and less when much is written "
            "(save 3600 1 300 100); set appendonly yes to lose a second or two at most",
        )
    ]


def test_periods_that_cannot_be_read_are_shown_as_they_are() -> None:
    ((warning, text),) = said({**SEEN, "save": "hourly"}, aof_enabled="0")
    assert not warning
    assert text.startswith("loses all since its last snapshot when it dies (save hourly); ")


def test_warns_when_it_cannot_be_seen_whether_snapshots_are_made() -> None:
    (found,) = findings({**SNAPSHOTS, **UNLIMITED, **ALONE}, None)
    assert found == Finding(
        True,
        "loses all since its last snapshot when it dies, or everything if it makes none "
        "(this user has no right to CONFIG GET); set appendonly yes",
    )


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ("allkeys-lru", "queues, also those that hold what is running"),
        ("allkeys-random", "queues, also those that hold what is running"),
        ("volatile-ttl", "leases and id guards"),
    ],
)
def test_warns_of_eviction_when_memory_is_limited(policy: str, what: str) -> None:
    limited = said(maxmemory="1048576", maxmemory_policy=policy)
    expected = f"deletes {what}, when its 1048576 bytes are full (maxmemory-policy {policy}); set it to noeviction"
    assert limited[0] == (True, expected)
    assert len(limited) == 2
    assert limited[1:] == said(maxmemory_policy=policy)  # without a limit nothing is evicted


def test_full_memory_without_eviction_loses_nothing() -> None:
    assert said(maxmemory="1048576") == said()


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        ({"aof_last_write_status": "err"}, "could not write its append-only file and refuses writes until it can"),
        ({"rdb_last_bgsave_status": "err"}, "could not make its last snapshot and refuses writes if"),
    ],
)
def test_warns_when_persisting_failed(failed: dict[str, str], words: str) -> None:
    first, *rest = said(**failed)
    assert first[0] is True
    assert first[1].startswith(words)
    assert rest == said()


def test_old_failure_of_an_append_only_file_that_is_off_is_no_news() -> None:
    assert said(aof_enabled="0", aof_last_write_status="err") == said(aof_enabled="0")


@pytest.mark.parametrize(
    ("least", "limit"),
    [
        ({"min-replicas-to-write": "0"}, "min-replicas-to-write 1 would limit that"),
        ({"min-replicas-to-write": "1"}, "min-replicas-to-write 1 limits that"),
        (
            {},
            "whether min-replicas-to-write limits that is unseen: this user has no right to CONFIG GET",
        ),
    ],
)
def test_failover_loses_what_was_not_copied(least: dict[str, str], limit: str) -> None:
    config = {"save": "", "appendfsync": "always", **least}
    _, found = said(config, connected_slaves="2")
    assert found == (False, f"can lose, at a failover, what its replicas had not copied yet; {limit}")


def test_warns_of_a_replica() -> None:
    first, *rest = said(role="slave")
    assert first == (True, "is a replica: it refuses writes until it is promoted; name its master instead")
    assert rest == said()


def test_replica_among_the_nodes_of_a_cluster_is_no_news() -> None:
    assert said(role="slave", cluster_enabled="1") == said()


@pytest.mark.parametrize("config", [None, SEEN])
def test_says_that_nothing_can_be_seen_without_info(config: Facts | None) -> None:
    expected = Finding(False, "does not say what it can lose: this user has no right to INFO")
    assert findings(None, config) == [expected]


def test_service_that_hides_persistence_is_said_to_hide_it() -> None:
    assert findings({**UNLIMITED, **ALONE}, None) == [Finding(False, "does not say whether it persists anything")]


def test_gravest_come_first() -> None:
    everything = said(
        connected_slaves="1",
        rdb_last_bgsave_status="err",
        aof_last_write_status="err",
        maxmemory="1",
        maxmemory_policy="allkeys-lfu",
    )
    assert [warning for warning, _ in everything] == [True, True, True, False, False]


def test_fields_of_info_are_read_with_and_without_carriage_returns() -> None:
    info = b"# Persistence\r\naof_enabled:1\r\nempty:\r\n# Memory\nmaxmemory:0\nodd:a:b\n"
    assert facts_in(info) == {"aof_enabled": "1", "empty": "", "maxmemory": "0", "odd": "a:b"}
