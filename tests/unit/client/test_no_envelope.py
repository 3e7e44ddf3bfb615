"""What a client says when it is given something else than an envelope: nobody's type checker need have run."""

import pytest

from asyncq import Client, ConfigurationError, Envelope, SyncClient, Task, create_task

NOWHERE = "unix:///nowhere/redis.sock"  # refused before anybody connects
GOOD = Envelope("q", create_task("t", None))


async def handler(payload: object) -> None:
    """Never run."""


@pytest.mark.parametrize(
    ("found", "thing"), [("dict", create_task("t", None)), ("Task", Task("t", handler)), ("NoneType", None)]
)
async def test_one_sentence_comes_when_it_is_no_envelope(found: str, thing: object) -> None:
    sentence = f"^enqueue: expected an Envelope, as task.envelope\\(payload\\) makes it, found {found}$"

    with pytest.raises(ConfigurationError, match=sentence):
        await Client(NOWHERE).enqueue_many([GOOD, thing])  # type: ignore[list-item] # the mistake
    with pytest.raises(ConfigurationError, match=sentence):
        SyncClient(NOWHERE).enqueue_many([GOOD, thing])  # type: ignore[list-item] # the mistake
