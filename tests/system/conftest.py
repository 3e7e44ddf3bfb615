"""Supervisors of a test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Fleet


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Callable[..., Fleet]]:
    """Start supervisors on the test's database, each in a folder of its own; end them whatever happens."""
    fleets: list[Fleet] = []

    def begin(*flags: str, url: str | None = redis_url, **more: Any) -> Fleet:
        folder = tmp_path / str(len(fleets))
        folder.mkdir()
        fleets.append(Fleet(folder, url, *flags, **more))
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.end()
