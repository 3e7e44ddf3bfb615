"""The example's services as processes of their own, each on a free port, and what lies in the queue behind them."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.support.states import wait_until

ROOT = Path(__file__).resolve().parents[2]
USER = {"email": "zoe@example.com", "name": "Zoë Lefèvre", "plan": "team", "source": "partner"}


@dataclass
class Service:
    """One running service.

    Attributes:
        url: Where it answers.
        process: Its process.
        said: Path of what it wrote to standard error.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    said: Path

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send it a signal; returns its exit code and all that it wrote to standard error."""
        self.process.send_signal(number)
        return self.process.wait(30), self.said.read_text()


@contextmanager
def serving(kind: str, redis_url: str) -> Iterator[Service]:
    """`python -m examples.signup KIND` while the block runs, with every warning about resources shown."""
    command = [sys.executable, "-W", "always::ResourceWarning", "-m", "examples.signup", "--redis", redis_url]
    with tempfile.NamedTemporaryFile() as log:
        said = Path(log.name)
        process = subprocess.Popen([*command, kind, "--port", "0"], cwd=ROOT, stderr=log, env=dict(os.environ))
        try:
            wait_until(lambda: "Serving on" in said.read_text() or process.poll() is not None, 30, "serving")
            found = re.search(r"Serving on (http://\S+)\n", said.read_text())
            assert found, said.read_text()
            yield Service(found[1], process, said)
            if process.poll() is None:
                process.terminate()
                process.wait(30)
        finally:
            process.kill()  # harmless when it has ended
            process.wait()


def messages(client: redis.Redis) -> list[dict[str, Any]]:
    """What lies in the queue, oldest first."""
    return [json.loads(raw) for raw in client.lrange("task_queue", 0, -1)]
