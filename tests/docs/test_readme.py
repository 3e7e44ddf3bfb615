"""What README.md shows of the typed API is run as it stands there; only the address of Redis is another."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

import asyncq
from asyncq.core.options import TaskOptions
from asyncq.core.retry import RetryPolicy
from tests.support.commands import clean_environ, start_asyncq
from tests.support.states import wait_until

README = Path(__file__).resolve().parents[2] / "README.md"
PRODUCE = "import asyncio, tasks; asyncio.run(tasks.produce()); tasks.produce_from_a_thread()"


def block(section: str) -> str:
    """The Python of a section."""
    found = re.search(rf"^#+ {section}\n.*?^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert found, section
    return found[1]


WORDS = re.findall(
    r"^\| (.*?) \| (`.*`) \|$", README.read_text().partition("### Where each word lives")[2], re.MULTILINE
)


@pytest.mark.parametrize(("words", "files"), WORDS, ids=[words for words, _ in WORDS])
def test_each_word_lives_where_it_is_said_to(words: str, files: str) -> None:
    texts = [place(name).read_text() for name in re.findall(r"`(.*?)`", files)]

    assert texts
    for word in re.findall(r"`(.*?)`", words):
        parts = [part.strip('"@- ') for part in re.split(r"[, ]", word)]
        assert all(any(part in text for text in texts) for part in parts if part), word


def place(name: str) -> Path:
    """A file that the table names: of the package, else of the project."""
    package = Path(asyncq.__file__).parent / name
    return package if package.exists() else README.parent / name


def test_the_table_of_words_is_seen() -> None:
    assert 19 == len(WORDS)


def test_the_delays_of_retries_are_those_of_the_default_policy() -> None:
    base_s = RetryPolicy().base_s
    said = f"runs again after {base_s / 2:g} to {base_s:g} s, then {base_s:g} to {2 * base_s:g} s, ...;"
    assert f"| raises | {said} after `max_attempts` ({TaskOptions().max_attempts}) a dead letter" in README.read_text()


def test_the_typed_example_enqueues_and_runs(tmp_path: Path, redis_url: str, raw_redis: redis.Redis) -> None:
    source = block("Enqueue with types")
    assert "redis://localhost:6379/0" in source
    (tmp_path / "tasks.py").write_text(source.replace("redis://localhost:6379/0", redis_url))
    environ = clean_environ(ASYNCQ_REDIS_URL=redis_url)
    subprocess.run([sys.executable, "-c", PRODUCE], cwd=tmp_path, env=environ, check=True, timeout=30)
    assert (2504, 1) == (raw_redis.llen("analytics"), raw_redis.zcard("asyncq:{analytics}:analytics:scheduled"))

    worker = start_asyncq("worker", folder=tmp_path, ASYNCQ_REDIS_URL=redis_url)
    try:
        assert worker.stdout is not None
        wait_until(lambda: not raw_redis.llen("analytics") and not raw_redis.keys("*:inflight:*"))  # all have run
        worker.send_signal(signal.SIGTERM)
        out, err = worker.communicate(timeout=20)
    finally:
        worker.kill()
        worker.wait()

    assert 0 == worker.returncode, err
    lines = out.splitlines()
    assert {"ada free", "bob free", *(f"user{number} free" for number in range(2500))} == set(lines)
    assert 2504 == len(lines)
