"""Names of queues and of their keys."""

import pytest
from redis.crc import key_slot

from asyncq.broker.keys import QueueKeys, queue_keys
from asyncq.core.errors import ConfigurationError

WID = "host-abc123:7:0123456789ab"


def all_keys(keys: QueueKeys) -> list[str]:
    plain = [keys.workers, keys.scheduled, keys.payloads, keys.dead, keys.dead_records, keys.due]
    return [*plain, keys.inflight(WID), keys.inbox(WID), keys.lease(WID)]


@pytest.mark.parametrize("queue", ["task_queue", "a", "mail:high", "{shop}:mail", "eu.{shop}", "{a}", "x" * 128])
def test_all_keys_share_the_slot_of_the_list_when_the_name_is_legal(queue: str) -> None:
    keys = queue_keys(queue)
    assert keys.ready == queue
    assert {key_slot(key.encode()) for key in all_keys(keys)} == {key_slot(queue.encode())}
    assert all(key.startswith("asyncq:{") for key in all_keys(keys))


def test_no_two_queues_share_a_key_when_their_names_resemble_each_other() -> None:
    queues = ["q", "{q}", "q:dead", "{q}:dead", "q{q}", "q:scheduled", "q:workers"]
    keys = [key for queue in queues for key in [queue, *all_keys(queue_keys(queue))]]
    assert len(set(keys)) == len(keys)


def test_keys_are_spelt_as_the_protocol_says_when_there_is_a_tag() -> None:
    keys = queue_keys("{shop}:mail")
    assert keys.inflight("w") == "asyncq:{shop}:{shop}:mail:inflight:w"
    assert keys.workers == "asyncq:{shop}:{shop}:mail:workers"


@pytest.mark.parametrize(
    "queue",
    ["", "a b", "a\n", "ä", "a}b", "a{b", "a{}b", "{a}{b}", "{a{b}}", "}a{", "x" * 129, "asyncq:x", "asyncq:{a}"],
)
def test_name_is_refused_with_a_sentence_when_it_is_not_legal(queue: str) -> None:
    with pytest.raises(ConfigurationError, match="queue name"):
        queue_keys(queue)
