"""Where the handlers deliver to: the SMTP server and the HTTP services.

Read by `tasks` on the first delivery and by `__main__` for the sinks' default ports.
The only module of the example that reads the environment; never at import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from asyncq.core.errors import ConfigurationError

DEFAULT_SMTP: Final = "127.0.0.1:8025"
DEFAULT_HTTP: Final = "http://127.0.0.1:8026"


@dataclass(frozen=True, slots=True, kw_only=True)
class Downstreams:
    """Addresses of what the handlers talk to.

    Attributes:
        smtp_host: Name or address of the mail server.
        smtp_port: Its port.
        http_url: Scheme, host and port of the service behind /analytics and /crm, without a trailing slash.
    """

    smtp_host: str
    smtp_port: int
    http_url: str

    @property
    def http_port(self) -> int:
        """The port in `http_url`; the scheme's own when it names none."""
        parts = urlsplit(self.http_url)
        return parts.port or (443 if parts.scheme == "https" else 80)


def read_downstreams(environ: Mapping[str, str] | None = None) -> Downstreams:
    """Addresses from SIGNUP_SMTP (`host:port`) and SIGNUP_HTTP (a URL), with defaults on this machine.

    Args:
        environ: Default the process's environment.

    Raises:
        ConfigurationError: a variable is not an address.
    """
    env = os.environ if environ is None else environ
    smtp = env.get("SIGNUP_SMTP") or DEFAULT_SMTP
    host, _, port = smtp.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(f"SIGNUP_SMTP: expected host:port such as {DEFAULT_SMTP}, found {smtp!r}")
    http_url = _http_url(env.get("SIGNUP_HTTP") or DEFAULT_HTTP)
    return Downstreams(smtp_host=host, smtp_port=int(port), http_url=http_url)


def _http_url(text: str) -> str:
    problem = f"SIGNUP_HTTP: expected a URL such as {DEFAULT_HTTP}, found {text!r}"
    try:
        parts = urlsplit(text)
        _ = parts.port  # a port that is no number raises only when it is asked for
    except ValueError:
        raise ConfigurationError(problem) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(problem)
    return text.rstrip("/")
