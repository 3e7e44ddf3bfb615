"""The one factory of Redis connections: every setting that redis-py would choose by itself is chosen here.

Called by the wires only. Never retries (redis-py's default sends a lost RPUSH twice) and never leaves a read without a
deadline (its default read time-out breaks longer blocking calls). Sentinel and Cluster would be added here.
"""

from __future__ import annotations

import inspect
import socket
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qs, urlsplit

import redis.asyncio.connection as async_redis
import redis.connection as sync_redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from asyncq.core.errors import ConfigurationError
from asyncq.core.redaction import redact

_URL_OPTIONS: Final = ("db", "username", "password")
# What the redis-py at hand takes (each version adds some), but for the one whose value it does not check: a number of
# OpenSSL's, read as a text by older versions.
_TLS_OPTIONS: Final = tuple(
    option
    for option in inspect.signature(async_redis.SSLConnection).parameters
    if option.startswith("ssl_") and option != "ssl_min_version"
)
_CERT_REQS: Final = ("none", "optional", "required")
_EXAMPLES: Final = "redis://host:6379/0, rediss://user:password@host:6379/0 or unix:///path/to/socket?db=0"


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Where Redis is and how long we wait for it.

    Attributes:
        url: redis://, rediss:// (TLS, certificates are verified) or unix://.
        connect_timeout_s: Seconds until a connection must stand; default 5.
        reply_timeout_s: Seconds until the replies of one round trip must be here; default 5. Blocking calls have
            this long on top of the time they block.
        idle_check_s: A connection unused for longer is asked PING before it is used; seconds, default 30.
    """

    url: str = field(repr=False)
    connect_timeout_s: float = 5.0
    reply_timeout_s: float = 5.0
    idle_check_s: float = 30.0

    def __post_init__(self) -> None:
        _parse(self.url)

    @property
    def address(self) -> str:
        """The URL without its password, for sentences and logs."""
        return redact(self.url)


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


def _parse(url: str) -> dict[str, Any]:
    """What the URL says, or ConfigurationError. No sentence holds the URL: it may hold a password."""
    scheme = url.partition("://")[0]
    if "://" not in url or scheme not in ("redis", "rediss", "unix"):
        raise ConfigurationError(f"Redis URL: expected {_EXAMPLES}; found something that begins otherwise")
    try:
        path, query = urlsplit(url)[2:4]
        said: dict[str, Any] = dict(async_redis.parse_url(url))
    except ValueError:
        raise _refused(scheme, "host, port or options cannot be read; in a password write @ : / ? # as %XX") from None
    if scheme == "unix" and not path:
        raise _refused(scheme, "the path of the socket is missing")
    if scheme != "unix" and path.strip("/") and not path.strip("/").isdigit():
        raise _refused(scheme, "the path must be the number of a database as in /0")
    options = _URL_OPTIONS + (_TLS_OPTIONS if scheme == "rediss" else ())
    for option in parse_qs(query):
        if option not in options:
            raise _refused(scheme, f"the option {option!r} is not one of {', '.join(options)}")
    if said.get("ssl_cert_reqs", "required") not in _CERT_REQS:
        raise _refused(scheme, f"ssl_cert_reqs is not one of {', '.join(_CERT_REQS)}")
    if "ssl_keyfile" in said and "ssl_certfile" not in said:
        raise _refused(scheme, "ssl_keyfile is given without ssl_certfile")
    return said


def _refused(scheme: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"Redis URL {scheme}://...: {what}; expected {_EXAMPLES}")


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
    said = _parse(settings.url)
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
