"""A memory control group of a test's own, v1 or v2."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncq.core.cgroup import lineages, read_file
from tests.support.states import wait_until


@contextlib.contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """The folder of a group with that limit, or a skip that says why there is none; to be left by all at the end."""
    found = next(lineages("memory", read_file), None)
    if found is None:
        pytest.skip("no memory hierarchy is mounted here")
    folder = Path(found.folders[-1]) / f"asyncq-test-{os.getpid()}"
    limits = ("memory.max", "memory.swap.max") if found.v2 else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no memory group of our own can be made: {error}")
    try:
        (folder / limits[0]).write_text(str(limit_bytes))
        with contextlib.suppress(OSError):  # no account of swap: then none to flee to, or the eater needs longer
            (folder / limits[1]).write_text("0" if found.v2 else str(limit_bytes))
    except OSError as error:
        folder.rmdir()
        pytest.skip(f"the memory of a group cannot be limited: {error}")
    try:
        yield folder
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), what="everybody has left the group")
        folder.rmdir()
