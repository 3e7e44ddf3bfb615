"""The Flask app in processes that were forked after it had been used."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.support.commands import clean_environ
from tests.support.services import messages

PROGRAM = Path(__file__).with_name("flask_fork_program.py")
CHILDREN, EACH = 3, 20
VIEWS = ("/signup", "/signup/sync")


def test_every_process_enqueues_over_its_own_connections_when_forked(redis_url, raw_redis):
    connected_before = raw_redis.info()["total_connections_received"]
    command = [sys.executable, "-W", "always::ResourceWarning", str(PROGRAM), str(CHILDREN), str(EACH)]

    done = subprocess.run(
        command, env=clean_environ(ASYNCQ_REDIS_URL=redis_url), capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert Counter(answer["status"] for answer in answers) == {202: 2 + 2 * EACH * (1 + CHILDREN)}
    accepted = {(each["email"], each["view"], each["event_id"], each["task_id"]) for each in answers}
    enqueued = [
        (each["payload"]["email"], each["payload"]["name"], each["payload"]["event_id"], each["id"])
        for each in messages(raw_redis)
    ]
    assert len(enqueued) == len(accepted) == len(answers)
    assert set(enqueued) == accepted
    who = [f"child{number}" for number in range(CHILDREN)] + ["parent"]
    wanted = {(f"{name}-{number}@example.com", view) for name in who for number in range(EACH) for view in VIEWS}
    assert {(email, view) for email, view, *_ in accepted} == wanted | {
        ("before-0@example.com", view) for view in VIEWS
    }
    # One for each call of an async view, and one per process that stays.
    made = raw_redis.info()["total_connections_received"] - connected_before
    assert made == 1 + EACH * (1 + CHILDREN) + 1 + CHILDREN
