"""Redis URLs: one server, the master that sentinels name, or a cluster. Pure.

Called by ConnectionSettings, which refuses a wrong URL when it is made. No sentence holds the URL: it may hold a
password. Opens no connection and looks no host up.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import redis.asyncio.connection as async_redis

from asyncq.core.errors import ConfigurationError

Address = tuple[str, int]

_URL_OPTIONS: Final = ("db", "username", "password")
# What the redis-py at hand takes (each version adds some), but for the one whose value it does not check: a number of
# OpenSSL's, read as a text by older versions.
_TLS_OPTIONS: Final = tuple(
    option
    for option in inspect.signature(async_redis.SSLConnection).parameters
    if option.startswith("ssl_") and option != "ssl_min_version"
)
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")
_CERT_REQS: Final = ("none", "optional", "required")
_SCHEMES: Final = ("redis", "rediss", "unix")
_SPREAD_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_EXAMPLES: Final = (
    "redis://host:6379/0, rediss://user:password@host:6379/0, unix:///path/to/socket?db=0, "
    "redis+sentinel://host:26379,host:26379/service or redis+cluster://host:6379,host:6379"
)
_SPREAD: Final = re.compile(
    r"(?P<scheme>rediss?)\+\w+://(?:(?P<user>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?P<path>/[^?#@]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]]+):(?P<port>\d{1,5})")
_SERVICE: Final = re.compile(r"/(?P<service>[\w.-]+)(?:/(?P<db>\d+))?/?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where Redis is, as a URL says it.

    Attributes:
        kind: One server, the master of a service that sentinels know, or a cluster.
        addresses: The sentinels, or the first nodes; none of a single server.
        service: What the sentinels call the master.
        options: What redis-py's connections take; of a single server only.
        server: (before, after) the address in the URL of one server of this place.
        sentinel: The same for one sentinel.
    """

    kind: Literal["server", "sentinel", "cluster"]
    addresses: tuple[Address, ...] = ()
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    server: tuple[str, str] = field(default=("", ""), repr=False)
    sentinel: tuple[str, str] = field(default=("", ""), repr=False)

    def server_url(self, address: Address) -> str:
        """The URL of this server alone, with credentials and options of the place."""
        return shown(address).join(self.server)

    def sentinel_url(self, address: Address) -> str:
        """The URL of this sentinel alone."""
        return shown(address).join(self.sentinel)


def shown(address: Address) -> str:
    """`host:port`, with brackets where a host holds colons."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse(url: str) -> Place:
    """What the URL says.

    Raises:
        ConfigurationError: it is none of the forms.
    """
    scheme = url.partition("://")[0]
    if "://" in url and scheme in _SPREAD_SCHEMES:
        return _spread(url, scheme)
    if "://" not in url or scheme not in _SCHEMES:
        raise ConfigurationError(f"Redis URL: expected {_EXAMPLES}; found something that begins otherwise")
    return Place("server", options=_server(url, scheme, _URL_OPTIONS))


def _server(url: str, scheme: str, known: tuple[str, ...]) -> dict[str, Any]:
    """What redis-py makes of the URL of one server; `scheme` is what people wrote."""
    kind = url.partition("://")[0]
    try:
        path, query = urlsplit(url)[2:4]
        said: dict[str, Any] = dict(async_redis.parse_url(url))
    except ValueError:
        raise _refused(scheme, "host, port or options cannot be read; in a password write @ : / ? # as %XX") from None
    if kind == "unix" and not path:
        raise _refused(scheme, "the path of the socket is missing")
    if kind != "unix" and path.strip("/") and not path.strip("/").isdigit():
        raise _refused(scheme, "the path must be the number of a database as in /0")
    options = known + (_TLS_OPTIONS if kind == "rediss" else ())
    for option in parse_qs(query):
        if option not in options:
            raise _refused(scheme, f"the option {option!r} is not one of {', '.join(options)}")
    if said.get("ssl_cert_reqs", "required") not in _CERT_REQS:
        raise _refused(scheme, f"ssl_cert_reqs is not one of {', '.join(_CERT_REQS)}")
    if "ssl_keyfile" in said and "ssl_certfile" not in said:
        raise _refused(scheme, "ssl_keyfile is given without ssl_certfile")
    return said


def _spread(url: str, scheme: str) -> Place:
    """A place of several addresses."""
    found = _SPREAD.fullmatch(url)
    if found is None:
        raise _refused(scheme, "it cannot be read; in a password write @ : / ? # as %XX")
    addresses = tuple(_address(part, scheme) for part in found["hosts"].split(","))
    make = _cluster if scheme.endswith("cluster") else _behind_sentinels
    place = make(found, scheme, addresses)
    _server(place.server_url(addresses[0]), scheme, _URL_OPTIONS[1:])
    return place


def _cluster(found: re.Match[str], scheme: str, addresses: tuple[Address, ...]) -> Place:
    if (found["path"] or "/") not in ("/", "/0"):
        raise _refused(scheme, "a cluster has one database, 0, and no path")
    query = f"?{found['query']}" if found["query"] else ""
    return Place("cluster", addresses, server=(_before(found), f"/0{query}"))


def _behind_sentinels(found: re.Match[str], scheme: str, addresses: tuple[Address, ...]) -> Place:
    path = _SERVICE.fullmatch(found["path"] or "")
    if path is None:
        raise _refused(scheme, "the name of the service is missing, as in host:26379/mymaster or host:26379/mymaster/0")
    pairs = parse_qsl(found["query"] or "", keep_blank_values=True)
    own = {name: value for name, value in pairs if name in _SENTINEL_OPTIONS}
    if "sentinel_username" in own and "sentinel_password" not in own:
        raise _refused(scheme, "sentinel_username is given without sentinel_password")
    user, password = (quote(own.get(name, ""), safe="") for name in _SENTINEL_OPTIONS)
    # The sentinels have credentials of their own, but the same kind of TLS.
    before = f"{found['scheme']}://{user}:{password}@" if password else f"{found['scheme']}://"
    tls = _query([pair for pair in pairs if pair[0].startswith("ssl_")])
    rest = _query([pair for pair in pairs if pair[0] not in own])
    return Place(
        "sentinel",
        addresses,
        path["service"],
        server=(_before(found), f"/{path['db'] or 0}{rest}"),
        sentinel=(before, tls),
    )


def _before(found: re.Match[str]) -> str:
    return f"{found['scheme']}://" + ("" if found["user"] is None else f"{found['user']}@")


def _query(pairs: list[tuple[str, str]]) -> str:
    return f"?{urlencode(pairs)}" if pairs else ""


def _address(text: str, scheme: str) -> Address:
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise _refused(scheme, "each address must be host:port, with commas between them")
    return found["host"].strip("[]"), int(found["port"])


def _refused(scheme: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"Redis URL {scheme}://...: {what}; expected {_EXAMPLES}")
