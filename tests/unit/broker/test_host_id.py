"""The name of this host, boot and container in an incarnation."""

import io
import itertools
import re
from types import SimpleNamespace

import pytest

from asyncq.broker import redis_broker


def put(monkeypatch: pytest.MonkeyPatch, host: str, boot: str = "b", namespace: int = 1) -> None:
    """Let the system say this of itself."""
    monkeypatch.setattr(redis_broker, "socket", SimpleNamespace(gethostname=lambda: host))
    monkeypatch.setattr(redis_broker, "open", lambda *_, **__: io.StringIO(f"{boot}\n"), raising=False)
    monkeypatch.setattr(redis_broker, "os", SimpleNamespace(stat=lambda _: SimpleNamespace(st_ino=namespace)))


def test_id_is_another_when_host_boot_or_container_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for host, boot, namespace in itertools.product(("web1", "web2"), ("b1", "b2"), (1, 2)):
        put(monkeypatch, host, boot, namespace)
        seen.append(redis_broker.host_id())
        assert redis_broker.host_id() == seen[-1]
    assert len(set(seen)) == 8


@pytest.mark.parametrize(
    ("host", "name"),
    [("web-1.shop", "web-1.shop"), ("a:b{c} d", "a-b-c--d"), ("h" * 99, "h" * 64), ("", "host")],
)
def test_name_holds_no_sign_that_keys_reserve(monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    put(monkeypatch, host)
    assert re.fullmatch(re.escape(name) + "-[0-9a-f]{6}", redis_broker.host_id())


def test_name_alone_tells_hosts_apart_when_the_system_has_no_procfs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    seen = set()
    for host in ("mac1", "mac2"):
        put(monkeypatch, host)
        monkeypatch.setattr(redis_broker, "open", missing, raising=False)
        seen.add(redis_broker.host_id())
    assert len(seen) == 2
