"""A whole life of `worker.main` in the test's own process, which sends itself the signals."""

import asyncio
import os
import signal
from collections.abc import Callable

from asyncq.core.hooks import Crash, Hooks
from asyncq.worker import main
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until
from tests.unit.worker.bench import Bench


class Process:
    """One life of `worker.main` in this process, and what happened in it, in order."""

    def __init__(self, *raws: bytes) -> None:
        self.hooks, self.did = Hooks(), list[str]()
        self._raws = raws
        self._ending: asyncio.Future[None] | None = None
        self.broker = MemoryBroker()
        self.bench: Bench | None = None

    def run(
        self, crash: Crash | None = None, ends_when: Callable[[], bool] = lambda: True, *, quiet: bool = False
    ) -> int:
        """Drained as soon as it is ready and `ends_when` is true."""

        def build() -> main.Life:
            self.broker.queues["q"].push(*self._raws)
            self.bench = Bench(self.broker)
            self.bench.registry.task("did")(self._run)
            return main.Life(worker=self.bench.worker, service=None, close=self._close)

        def on_ready() -> None:
            self.did.append("ready")
            self._ending = asyncio.ensure_future(self._end(ends_when))

        return main.run(build, on_ready=on_ready, hooks=self.hooks, crash=crash, quiet=quiet)

    async def _run(self, payload: str) -> None:
        self.did.append(payload)

    async def _end(self, ends_when: Callable[[], bool]) -> None:
        await until(ends_when)
        os.kill(os.getpid(), signal.SIGTERM)

    async def _close(self) -> None:
        self.did.append("closed")
