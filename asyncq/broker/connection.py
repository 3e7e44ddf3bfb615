"""The one factory of Redis connections: every setting that redis-py would choose by itself is chosen here.

Called by the wires only. Never retries (redis-py's default sends a lost RPUSH twice) and never leaves a read without a
deadline (its default read time-out breaks longer blocking calls). Each connection leads to one server; which one that
is behind sentinels and in a cluster is decided in opening.py and slots.py.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import redis.asyncio.connection as async_redis
import redis.connection as sync_redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from asyncq.broker.redis_url import Address, Place, parse
from asyncq.core.redaction import redact


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Where Redis is and how long we wait for it.

    Attributes:
        url: redis://, rediss:// (TLS, certificates are verified), unix://, redis+sentinel:// or redis+cluster://.
        connect_timeout_s: Seconds until a connection must stand; default 5.
        reply_timeout_s: Seconds until the replies of one round trip must be here; default 5. Blocking calls have
            this long on top of the time they block.
        idle_check_s: A connection unused for longer is asked PING before it is used; seconds, default 30.
        place: What the URL says.
    """

    url: str = field(repr=False)
    connect_timeout_s: float = 5.0
    reply_timeout_s: float = 5.0
    idle_check_s: float = 30.0
    place: Place = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", parse(self.url))

    @property
    def address(self) -> str:
        """The URL without its password, for sentences and logs."""
        return redact(self.url)

    def server(self, address: Address) -> ConnectionSettings:
        """The same for one server of this place."""
        return replace(self, url=self.place.server_url(address))

    def sentinels(self) -> list[ConnectionSettings]:
        """One for each sentinel of this place; together they take less time than one connection may."""
        share_s = self.connect_timeout_s / (len(self.place.addresses) + 1)
        return [
            ConnectionSettings(self.place.sentinel_url(address), share_s, share_s) for address in self.place.addresses
        ]


class AsyncLink(Protocol):
    """What we use of an asyncio connection of redis-py."""

    async def connect(self) -> None: ...
    async def check_health(self) -> None: ...
    async def send_packed_command(self, command: list[bytes], check_health: bool) -> None: ...
    async def read_response(self) -> Any: ...
    async def disconnect(self, nowait: bool = False) -> None: ...


class SyncLink(Protocol):
    """What we use of a blocking connection of redis-py."""

    def connect(self) -> None: ...
    def check_health(self) -> None: ...
    def can_read(self, timeout: float) -> bool: ...
    def send_command(self, *args: Any) -> None: ...
    def send_packed_command(self, command: list[bytes], check_health: bool) -> None: ...
    def read_response(self) -> Any: ...
    def disconnect(self) -> None: ...


def _keepalive(settings: ConnectionSettings) -> dict[str, Any]:
    """Socket options that end a silently cut TCP connection within half a minute, as far as this system has them."""
    wanted = {
        "TCP_KEEPIDLE": 10,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": int((settings.reply_timeout_s + 20) * 1000),
    }
    options = {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
    return {"socket_keepalive": True, "socket_keepalive_options": options}


def _common(settings: ConnectionSettings, client_name: str) -> dict[str, Any]:
    if settings.place.kind != "server":
        raise ValueError(f"expected one server, found a place of kind {settings.place.kind}: choose one with server()")
    said = settings.place.options
    # Said here because older redis-py does not compare the host with the certificate unless asked.
    checked = settings.url.startswith("rediss://") and said.get("ssl_cert_reqs", "required") != "none"
    return {
        **({} if settings.url.startswith("unix://") else _keepalive(settings)),
        **({"ssl_check_hostname": True} if checked else {}),
        **said,
        "protocol": 2,
        "client_name": f"asyncq:{client_name}",
        "decode_responses": False,
        "socket_connect_timeout": settings.connect_timeout_s,
        "retry_on_timeout": False,
        "health_check_interval": settings.idle_check_s,
    }


def async_connection(settings: ConnectionSettings, client_name: str) -> AsyncLink:
    """A new connection for asyncio, not connected yet; shows as `asyncq:<client_name>` in CLIENT LIST.

    It has no time-out of its own: its owner gives each round trip one deadline, which is stricter than one per read
    and spares the task that redis-py otherwise makes for every write.
    """
    options = _common(settings, client_name)
    kind = options.pop("connection_class", async_redis.Connection)
    return cast("AsyncLink", kind(**options, socket_timeout=None, retry=AsyncRetry(NoBackoff(), 0)))


def sync_connection(settings: ConnectionSettings, client_name: str) -> SyncLink:
    """A new connection for threads, not connected yet; every read and write ends after `reply_timeout_s`.

    Raises:
        OSError: the host can be no name, as when it cannot be resolved; the asyncio side notices when it connects.
    """
    options = _common(settings, client_name)
    try:
        options.get("host", "").encode("idna")
    except UnicodeError as error:
        raise OSError(str(error)) from None
    kinds = {
        async_redis.SSLConnection: sync_redis.SSLConnection,
        async_redis.UnixDomainSocketConnection: sync_redis.UnixDomainSocketConnection,
    }
    kind = kinds.get(options.pop("connection_class", None), sync_redis.Connection)
    timeout_s = settings.reply_timeout_s
    return cast("SyncLink", kind(**options, socket_timeout=timeout_s, retry=SyncRetry(NoBackoff(), 0)))
