"""What the embedded server is told."""

from pathlib import Path

import pytest

from asyncq.broker.embedded_plan import EmbeddedPlan, config_text


@pytest.mark.parametrize(("persistent", "appendonly"), [(True, b"yes"), (False, b"no")])
def test_at_most_a_second_is_lost_and_no_port_is_open_when_it_is_started(persistent: bool, appendonly: bytes) -> None:
    plan = EmbeddedPlan(data=Path("/d"), socket="/s", running=False, binary=None, persistent=persistent)
    said = dict(line.split(b" ", 1) for line in config_text(plan).splitlines())
    wanted = {b"port": b"0", b"unixsocketperm": b"700", b"appendonly": appendonly, b"appendfsync": b"everysec"}
    assert {name: said[name] for name in wanted} == wanted
