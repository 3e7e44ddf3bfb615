"""What the commands print: data on standard output, talk on standard error, JSON on request."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest

from asyncq import __version__ as version
from asyncq import create_task
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.settlement import DeadLetter
from tests.support.commands import NOBODY, asyncq, clean_environ, start_asyncq
from tests.support.lua import redis_ms
from tests.support.states import wait_until

SCHEDULED = "asyncq:{q}:q:scheduled"
TASKS = """
from asyncq.core.registry import default_registry
print("user code prints at import")
@default_registry.task("track", queue="analytics")
async def track(payload): ...
"""


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def messages(raw_redis, queue: str) -> list[dict]:
    return [json.loads(raw) for raw in raw_redis.lrange(queue, 0, -1)]


def test_enqueue_prints_the_id_of_the_message_it_put(tmp_path, redis_url, raw_redis):
    printed = ok(asyncq("enqueue", "greet", '{"to": "ann"}', "--queue", "mail", "--redis", redis_url, folder=tmp_path))
    (message,) = messages(raw_redis, "mail")
    assert printed == f"{uuid.UUID(message['id'])}\n"
    assert (message["name"], message["payload"], message.keys()) == (
        "greet", {"to": "ann"}, {"id", "name", "payload", "timestamp"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "said", "expected"),
    [(None, "", {}), ("-", "[1, 2]", [1, 2]), ("@payload.json", "", {"from": "file"}), ('"text"', "", "text")],
)
def test_payload_comes_from_argument_standard_input_or_file(tmp_path, redis_url, raw_redis, argument, said, expected):
    (tmp_path / "payload.json").write_text('{"from": "file"}')
    given = [] if argument is None else [argument]
    ok(asyncq("enqueue", "t", *given, "--queue", "q", folder=tmp_path, said=said, ASYNCQ_REDIS_URL=redis_url))
    assert [message["payload"] for message in messages(raw_redis, "q")] == [expected]


def test_queue_is_the_one_the_app_registered_the_task_for(tmp_path, redis_url, raw_redis):
    (tmp_path / "tasks.py").write_text(TASKS)
    printed = ok(asyncq("enqueue", "track", "--json", folder=tmp_path, REDIS_URL=redis_url))
    (message,) = messages(raw_redis, "analytics")
    assert json.loads(printed) == {"id": message["id"], "queue": "analytics"}


def test_queue_is_the_default_one_when_nobody_knows_the_task(tmp_path, redis_url, raw_redis):
    ok(asyncq("enqueue", "unheard-of", folder=tmp_path, REDIS_URL=redis_url))
    assert len(messages(raw_redis, "task_queue")) == 1


def test_count_enqueues_that_many_with_an_id_each(tmp_path, redis_url, raw_redis):
    done = asyncq("enqueue", "t", "7", "--count", "1203", "--queue", "q", folder=tmp_path, REDIS_URL=redis_url)
    assert ok(done).split() == [message["id"] for message in messages(raw_redis, "q")]
    assert len(set(done.stdout.split())) == 1203


def test_messages_wait_for_the_delay_or_the_time_that_was_asked_for(tmp_path, redis_url, raw_redis):
    before_ms = redis_ms(raw_redis)
    ok(asyncq("enqueue", "t", "1", "--delay", "90.5", "--queue", "q", folder=tmp_path, REDIS_URL=redis_url))
    after_ms = redis_ms(raw_redis)
    eta = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    here = eta.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
    (tmp_path / "many").write_text("2\n3\n")
    given = ("--bulk", "many", "--eta", here, "--queue", "q")
    assert ok(asyncq("enqueue", "t", *given, folder=tmp_path, REDIS_URL=redis_url)) == "2\n"
    ok(asyncq("enqueue", "t", "4", "--eta", "2020-01-01T00:00Z", "--queue", "q", folder=tmp_path, REDIS_URL=redis_url))

    (first, second, third) = (due_ms for _, due_ms in raw_redis.zrange(SCHEDULED, 0, -1, withscores=True))
    assert before_ms + 90_500 <= first <= after_ms + 90_500
    assert eta.timestamp() * 1000 == second == third
    assert [message["payload"] for message in messages(raw_redis, "q")] == [4]


def test_bulk_enqueues_a_message_per_line_in_order(tmp_path, redis_url, raw_redis):
    lines = "".join(f'{{"n": {n}}}\n' for n in range(2500)) + "\n"
    (tmp_path / "many.ndjson").write_text(lines)
    done = asyncq("enqueue", "t", "--bulk", "many.ndjson", "--queue", "q", folder=tmp_path, REDIS_URL=redis_url)
    assert ok(done) == "2500\n"
    assert [message["payload"]["n"] for message in messages(raw_redis, "q")] == list(range(2500))


def test_bulk_stops_at_a_bad_line_and_says_how_many_went_before(tmp_path, redis_url, raw_redis):
    lines = "1\n" * 1500 + "oops\n" + "1\n" * 10
    done = asyncq("enqueue", "t", "--bulk", "-", "--queue", "q", folder=tmp_path, said=lines, REDIS_URL=redis_url)
    assert (done.returncode, done.stdout, raw_redis.llen("q")) == (2, "", 1000)
    assert "1000 messages were enqueued on q before this failed" in done.stderr
    assert "found 'oops' in - line 1501" in done.stderr


def test_interrupted_bulk_says_how_many_went_before(tmp_path, redis_url, raw_redis):
    process = start_asyncq("enqueue", "t", "--bulk", "-", "--queue", "q", folder=tmp_path, REDIS_URL=redis_url)
    try:
        process.stdin.write("1\n" * 2500)
        process.stdin.flush()
        wait_until(lambda: raw_redis.llen("q") == 2000)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    last = re.search("asyncq: interrupted: (.*)", err)  # the second reply may not have been read yet
    assert last is not None
    assert last[1] in (
        "2000 messages were enqueued on q",
        "1000 messages were enqueued on q; the fate of the next 1000 is unknown",
    )
    assert "Traceback" not in err


def test_too_large_a_payload_is_refused(tmp_path, redis_url, raw_redis):
    done = asyncq(
        "enqueue", "t", "-", "--queue", "q", "--max-message-bytes", "2KiB",
        folder=tmp_path, said=json.dumps("x" * 3000), REDIS_URL=redis_url,
    )  # fmt: skip
    assert (done.returncode, raw_redis.llen("q")) == (2, 0)
    assert "the limit is 2048" in done.stderr


def test_stats_show_each_queue_as_a_row(tmp_path, redis_url, raw_redis):
    raw_redis.rpush("mail", *(b"not json",) * 3)
    done = asyncq("stats", "--queue", "mail", "--queue", "other", folder=tmp_path, REDIS_URL=redis_url)
    heads, mail, other = ok(done).splitlines()
    assert heads.split() == [
        "queue",
        "ready",
        "scheduled",
        "due",
        "in",
        "flight",
        "suspects",
        "dead",
        "workers",
        "oldest",
    ]
    assert mail.split() == ["mail", "3", "0", "0", "0", "0", "0", "0", "-"]
    assert other.split()[:2] == ["other", "0"]


def test_stats_take_the_queues_of_the_app_and_print_only_json(tmp_path, redis_url):
    (tmp_path / "tasks.py").write_text(TASKS)
    done = asyncq("stats", "--json", folder=tmp_path, REDIS_URL=redis_url)
    (found,) = [json.loads(line) for line in ok(done).splitlines()]
    assert (found["queue"], found["ready"], found["oldest_age_s"]) == ("analytics", 0, None)


def test_watched_stats_go_on_until_interrupted(tmp_path, redis_url):
    process = start_asyncq("stats", "--queue", "q", "--json", "--watch", "0.1", folder=tmp_path, REDIS_URL=redis_url)
    try:
        for _ in range(3):
            assert json.loads(process.stdout.readline())["queue"] == "q"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_config_shows_value_and_origin_and_no_password(tmp_path):
    (tmp_path / "asyncq.toml").write_text('lease = "20s"\n')
    environ = {"ASYNCQ_REDIS_URL": "redis://me:secret@host/0", "ASYNCQ_QUEUE": "a,b"}
    table = ok(asyncq("config", "--procs", "3", folder=tmp_path, **environ))
    rows = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in table.splitlines()}
    squeezed = {key: " ".join(rest.split()) for key, rest in rows.items()}
    assert squeezed["procs"] == "3 the command line"
    assert squeezed["lease"] == "20 s asyncq.toml"
    assert squeezed["queue"] == "a,b ASYNCQ_QUEUE"
    assert squeezed["redis"] == "redis://***@host/0 ASYNCQ_REDIS_URL"
    assert squeezed["per-proc"] == "50 default"
    as_json = json.loads(ok(asyncq("config", "--json", folder=tmp_path, **environ)))
    assert as_json["redis"] == {"value": "redis://***@host/0", "unit": "", "from": "ASYNCQ_REDIS_URL"}
    assert as_json["queue"]["value"] == ["a", "b"]
    assert as_json["lease"] == {"value": 20.0, "unit": "s", "from": "asyncq.toml"}


@pytest.mark.parametrize(
    ("expected", "flags", "environ"),
    [
        ("true default", (), {}),
        ("false ASYNCQ_PRELOAD", (), {"ASYNCQ_PRELOAD": "off"}),
        ("false the command line", ("--no-preload",), {"ASYNCQ_PRELOAD": "on"}),
        ("true the command line", ("--preload",), {"ASYNCQ_PRELOAD": "off"}),
    ],
)
def test_a_switch_that_nobody_gave_leaves_the_word_to_its_variable(tmp_path, expected, flags, environ):
    lines = ok(asyncq("config", *flags, folder=tmp_path, **environ)).splitlines()
    (row,) = [line.split() for line in lines if line.startswith("preload ")]
    assert " ".join(row) == f"preload {expected}"


SHOUTING = """
import asyncq, json
@asyncq.task("shout")
async def shout(payload):
    try:
        await asyncq.enqueue_task("other", asyncq.create_task("heard", "x" * payload))
    except asyncq.AsyncqError as error:
        print(json.dumps({"event": "too long", "error": str(error)}), flush=True)
"""


def test_a_worker_says_what_it_runs_in_one_event_and_its_tasks_enqueue_under_its_settings(
    tmp_path, redis_url, raw_redis
):
    (tmp_path / "tasks.py").write_text(SHOUTING)
    flags = ("--redis", redis_url, "--max-message-bytes", "2KiB", "--log-format", "json", "--per-proc", "3")
    process = start_asyncq("worker", *flags, folder=tmp_path)
    try:
        for size in (1, 3000):
            raw_redis.rpush("task_queue", json.dumps(create_task("shout", size)))
        refused = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out, raw_redis.llen("other")) == (0, "", 1)
    assert "the limit is 2048" in refused["error"]
    events = [json.loads(line) for line in err.splitlines()]
    (said,) = [event for event in events if event["event"] == "working"]
    assert (said["app"], said["per_proc"], said["queues"], said["delivery"]) == (
        "tasks", 3, ["task_queue"], "at-least-once",
    )  # fmt: skip


def test_version_names_the_server_when_it_answers(tmp_path, redis_url):
    found = json.loads(ok(asyncq("version", "--json", "--redis", redis_url, folder=tmp_path)))
    assert list(found) == ["asyncq", "python", "redis-py", "uvloop", "server"]
    assert found["server"].startswith(("Valkey ", "Redis "))
    assert found["asyncq"] == version
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_version_is_told_without_a_server_too(tmp_path):
    done = asyncq("version", "--redis", NOBODY, folder=tmp_path)
    assert ok(done).splitlines()[-1].split() == ["server", "-"]
    assert "127.0.0.1:1" in done.stderr


def test_bare_command_prints_help_with_every_command(tmp_path):
    printed = ok(asyncq(folder=tmp_path))
    for command in ("supervise", "worker", "enqueue", "stats", "config", "version"):
        assert f"\n  {command} " in printed


def test_nothing_is_coloured_even_when_colour_is_forced(tmp_path):
    printed = ok(asyncq("supervise", "--help", folder=tmp_path, FORCE_COLOR="1", CLICOLOR_FORCE="1"))
    assert "\x1b" not in printed


def test_reader_that_leaves_early_gets_no_traceback(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m asyncq config | head -n 0",
        shell=True, cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_command_line_brings_nothing_heavy(tmp_path):
    heavy = ["asyncio", "redis", "orjson", "uvloop", "prometheus_client", "starlette", "multiprocessing", "subprocess"]
    code = f"import sys, asyncq.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


async def test_dead_shows_reason_message_and_traceback(tmp_path, redis_url):
    broker = RedisBroker(ConnectionSettings(redis_url))
    failed = {"id": "7", "name": "track", "attempt": 3, "error": "ValueError: no", "traceback": "Traceback\n  in track"}
    letters = [
        (b'{"id":"7"}', DeadLetter("exhausted", failed)),
        (b"\xff", DeadLetter("malformed", {"error": "not JSON"})),
    ]
    for letter in letters:
        await broker.settle_popped("mail", [letter])
    await broker.close()

    text = ok(asyncq("dead", "--queue", "mail", "--redis", redis_url, folder=tmp_path))
    assert (
        'mail exhausted name=track id=7 attempt=3\n  ValueError: no\n  {"id":"7"}\n  | Traceback\n  |   in track'
        in text
    )
    assert "mail malformed\n  not JSON\n  \\xff" in text
    lines = ok(asyncq("dead", "--json", "--queue", "mail", "--redis", redis_url, folder=tmp_path)).splitlines()
    assert [("exhausted", "7"), ("malformed", None)] == sorted(
        (row["reason"], row.get("id")) for row in map(json.loads, lines)
    )
    assert (
        len(
            ok(
                asyncq("dead", "--limit", "1", "--json", "--queue", "mail", "--redis", redis_url, folder=tmp_path)
            ).splitlines()
        )
        == 1
    )


async def test_dead_spells_out_what_a_terminal_would_obey(tmp_path, redis_url):
    broker = RedisBroker(ConnectionSettings(redis_url))
    details = {"id": "\x9b2J", "name": "\x1b[2J", "error": "a\rb", "traceback": "in \u202etrack\nends"}
    await broker.settle_popped("mail", [(b"\x1b]0;title\x07", DeadLetter("malformed", details))])
    await broker.close()

    text = ok(asyncq("dead", "--queue", "mail", "--redis", redis_url, folder=tmp_path))
    _, _, said = text.partition(" mail ")
    assert said == (
        "malformed name=\\x1b[2J id=\\x9b2J\n  a\\rb\n  \\x1b]0;title\\x07\n  | in \\u202etrack\n  | ends\n"
    )
