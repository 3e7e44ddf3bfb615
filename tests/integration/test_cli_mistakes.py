"""A person's mistake at the command line: one sentence on standard error, the right exit code, never a traceback."""

from __future__ import annotations

import pytest

from tests.support.commands import NOBODY, asyncq, skip_if_redis_on_localhost


def refused(done, code: int, *parts: str) -> None:
    """It ended with this code and one sentence that holds these parts; nothing on standard output."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("asyncq: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize("command", ["supervise", "worker"])
def test_wrong_flag_is_refused_before_anything_starts(tmp_path, command):
    done = asyncq(command, "--per-proc", "many", folder=tmp_path)
    refused(done, 2, "--per-proc: expected a whole number", "found 'many' (from the command line)")


@pytest.mark.parametrize("flag", ["--procs", "--watchdog", "--boot-timeout", "--metrics-host"])
def test_a_single_worker_takes_no_flag_that_only_a_supervisor_uses(tmp_path, flag):
    refused(asyncq("worker", flag, "1", folder=tmp_path), 2, "No such option", flag)


def test_wrong_variable_is_refused_by_its_name(tmp_path):
    done = asyncq("supervise", folder=tmp_path, ASYNCQ_LEASE="soon")
    refused(done, 2, "--lease: expected seconds", "found 'soon' (from ASYNCQ_LEASE)")


def test_unknown_key_in_a_file_is_refused_with_a_suggestion(tmp_path):
    (tmp_path / "asyncq.toml").write_text("per_prc = 3\n")
    refused(asyncq("supervise", folder=tmp_path), 2, "asyncq.toml: unknown setting 'per_prc'; did you mean 'per-proc'?")


def test_unreadable_secret_file_is_refused(tmp_path):
    done = asyncq("stats", folder=tmp_path, ASYNCQ_REDIS_URL_FILE="/no/such")
    refused(done, 2, "ASYNCQ_REDIS_URL_FILE: expected a readable file")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("supervise", "--proc", "4"), ("No such option", "--proc", "asyncq supervise --help")),
        (("superwise",), ("No such command", "superwise")),
        (("enqueue",), ("Missing argument", "TASK")),
        (("enqueue", "t", "--count", "0"), ("--count", "0")),
        (("enqueue", "t", "--delay", "soon"), ("--delay", "'soon' is not a valid float range")),
        (("enqueue", "t", "--delay", "-1"), ("--delay", "-1.0 is not in the range x>=0")),
        (("enqueue", "t", "--delay", "nan"), ("--delay", "'nan' is not a number")),
        (("enqueue", "t", "--delay", "316224001"), ("delay_s: expected seconds from 0 to ten years, found 316224001",)),
        (("enqueue", "t", "--eta", "tomorrow"), ("--eta", "expected a time with its offset such as", "'tomorrow'")),
        (("enqueue", "t", "--eta", "2026-12-01T08:00"), ("--eta", "expected a time with its offset", "12-01T08:00'")),
        (("enqueue", "t", "--eta", "9999-12-31T23:59Z"), ("eta: expected a time at most ten years ahead",)),
        (
            ("enqueue", "t", "--eta", "2026-12-01T08:00Z", "--delay", "5"),
            ("--eta: expected either --eta or --delay, found both",),
        ),
        (("stats", "--watch", "often"), ("--watch", "often")),
        (("stats", "--watch", "nan"), ("--watch", "'nan' is not a number")),
        (("stats", "--watch", "1e9"), ("--watch", "0.1<=x<=86400")),
        (("dead", "--limit", "100001"), ("--limit", "1<=x<=100000")),
        (("enqueue", "t", "--count", "9" * 20), ("--count", "1<=x<=1000000000")),
        (("enqueue", "t", "1e400", "--queue", "q"), ("payload: expected JSON, found '1e400'", "larger than any float")),
        (("enqueue", "t", "@raw", "--queue", "q"), ("payload: expected UTF-8 text, found other bytes in raw",)),
        (("stats", "--redis", "secret"), ("--redis: expected a URL", "found something else")),
        (("enqueue", "t", "{", "--queue", "q"), ("payload: expected JSON, found '{' in the command line",)),
        (("enqueue", "t", "NaN", "--queue", "q"), ("payload: expected JSON, found 'NaN'",)),
        (("enqueue", "t", "@none.json", "--queue", "q"), ("expected a readable file, found none.json",)),
        (("enqueue", "t", "{}", "--bulk", "x"), ("--bulk: expected neither a payload nor --count",)),
        (("enqueue", "t", "--queue", "a,b"), ("--queue: expected one queue to enqueue on, found a, b",)),
        (("enqueue", "t", "--queue", "a{b", "--redis", NOBODY), ("a{b",)),
        (("stats", "--redis", "localhost:6379"), ("--redis: expected a URL such as redis://host:6379/0",)),
    ],
)
def test_wrong_use_is_refused(tmp_path, arguments, parts):
    (tmp_path / "raw").write_bytes(b'"\xff"')
    refused(asyncq(*arguments, folder=tmp_path), 2, *parts)


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path, redis_url):
    (tmp_path / "many").write_bytes(b'1\n"\xff"\n')
    done = asyncq("enqueue", "t", "--bulk", "many", "--queue", "q", "--redis", redis_url, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "asyncq: payload: expected UTF-8 text, found other bytes in many line 2: " in done.stderr


@pytest.mark.parametrize("payload", ["18446744073709551616", '"\\ud800"'])
def test_a_payload_that_no_worker_could_read_is_refused(tmp_path, redis_url, raw_redis, payload):
    done = asyncq("enqueue", "t", payload, "--queue", "q", "--redis", redis_url, folder=tmp_path)
    refused(done, 2, "payload 1: the payload ")
    assert raw_redis.llen("q") == 0


def test_a_name_that_no_worker_would_take_is_refused(tmp_path, redis_url, raw_redis):
    done = asyncq("enqueue", "t" * 257, "--queue", "q", "--redis", redis_url, folder=tmp_path)
    refused(done, 2, "'name' must be a text of 1 to 256 characters")
    assert raw_redis.llen("q") == 0


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a" * 64, "::g"])
def test_a_metrics_host_that_is_not_of_this_machine_is_a_wrong_setting(tmp_path, host):
    (tmp_path / "tasks.py").touch()
    done = asyncq("supervise", "--metrics-host", host, "--redis", NOBODY, folder=tmp_path)
    refused(done, 2, f"--metrics-host: expected an address of this machine, found {host!r} (")


@pytest.mark.parametrize("command", ["supervise", "worker"])
def test_nothing_to_run_is_refused(tmp_path, command):
    done = asyncq(command, "--redis", NOBODY, folder=tmp_path)
    refused(done, 2, "--app: expected the module that registers your tasks, found none and no tasks.py")


def test_embedded_server_that_cannot_be_run_is_refused(tmp_path):
    skip_if_redis_on_localhost()
    (tmp_path / "tasks.py").touch()
    done = asyncq("worker", "--redis-server", "/no/such", folder=tmp_path)
    refused(done, 2, "--redis-server: expected a program that can be run, found '/no/such'")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (None, ("there is no module 'shop'", "--app")),
        ("import no_such_package", ("ModuleNotFoundError: No module named 'no_such_package'", "shop.py:1)")),
        ("\n\ndef broken(:\n", ("SyntaxError", "shop.py:3)")),
        ("import json\ndef read():\n    json.loads('{')\nread()\n", ("JSONDecodeError", "shop.py:3)")),
        ("import sys\nsys.exit('not today')\n", ("SystemExit: not today", "shop.py:2)")),
        (
            "from asyncq.core.registry import default_registry as r\n@r.task('a', colour=1)\ndef a(p): ...\n",
            ("unknown option 'colour'", "shop.py:2)"),
        ),
    ],
)
def test_app_that_cannot_be_imported_is_named_with_the_users_own_line(tmp_path, source, parts):
    if source is not None:
        (tmp_path / "shop.py").write_text(source)
    done = asyncq("worker", "--app", "shop", "--redis", NOBODY, folder=tmp_path)
    refused(done, 3, "cannot import the app 'shop'", *parts)


REGISTRIES = """
from dataclasses import dataclass
from typing import TYPE_CHECKING
from asyncq import Registry
if TYPE_CHECKING:
    from decimal import Decimal
number, good, odd = 5, Registry(), Registry()
@odd.task("pay")
async def pay(amount: "Decimal"): ...
"""


@pytest.mark.parametrize("command", [("worker",), ("supervise", "--metrics-port", "0"), ("enqueue", "pay")])
@pytest.mark.parametrize(
    ("app", "parts"),
    [
        ("shop:gone", ("expected a Registry named 'gone' in shop, found nothing",)),
        ("shop:number", ("expected a Registry named 'number' in shop, found int",)),
        ("shop:odd", ("task 'pay': the payload's type 'Decimal' cannot be checked: NameError",)),
    ],
)
def test_registry_that_cannot_be_run_is_named(tmp_path, redis_url, command, app, parts):
    (tmp_path / "shop.py").write_text(REGISTRIES)
    done = asyncq(*command, "--app", app, "--redis", redis_url, folder=tmp_path)
    assert done.returncode == 3
    sentence = f"cannot load the app '{app}': {parts[0]}"
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_traceback_is_shown_when_debugging(tmp_path):
    (tmp_path / "shop.py").write_text("import no_such_package")
    done = asyncq("enqueue", "t", "--app", "shop", "--redis", NOBODY, "--log-level", "DEBUG", folder=tmp_path)
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("asyncq: cannot import the app 'shop'")


@pytest.mark.parametrize("arguments", [("enqueue", "t", "--queue", "q"), ("stats", "--queue", "q")])
def test_named_redis_that_does_not_answer_is_said_and_not_replaced(tmp_path, arguments):
    done = asyncq(*arguments, "--redis", "redis://me:secret@127.0.0.1:1/0", folder=tmp_path)
    refused(done, 69, "127.0.0.1:1")
    assert "secret" not in done.stderr


@pytest.mark.parametrize("arguments", [("enqueue", "t", "--queue", "q"), ("stats", "--queue", "q")])
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64])
def test_host_that_cannot_be_resolved_is_said(tmp_path, arguments, host):
    refused(asyncq(*arguments, "--redis", f"redis://{host}/0", folder=tmp_path), 69, f"redis://{host}/0")


@pytest.mark.parametrize("arguments", [("enqueue", "t", "--queue", "q"), ("stats", "--queue", "q")])
def test_no_redis_at_all_is_said_with_ways_out(tmp_path, arguments):
    skip_if_redis_on_localhost()
    refused(asyncq(*arguments, folder=tmp_path), 69, "start asyncq-supervise here", "ASYNCQ_REDIS_URL")
    assert list(tmp_path.iterdir()) == []
