"""A real server that speaks TLS, with an authority, certificates and a port of its own.

Used through the fixture `tls`. The port is switched on at run time, over the unix socket that the launcher made.
"""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import redis
import trustme

from asyncq.broker import embedded
from tests.support.nodes import HOST, free_port

OTHER_HOST = "localhost"  # the same machine; the certificate does not name it


@dataclass(frozen=True)
class Files:
    """Certificates in PEM files.

    Attributes:
        ca: Who signed the server's and the client's.
        other_ca: Signed nothing here.
        server, client: Certificate and private key in one file.
    """

    ca: Path
    other_ca: Path
    server: Path
    client: Path


def issue(folder: Path) -> Files:
    """An authority, a certificate for HOST, one for a client, and an authority that nobody knows."""
    authority = trustme.CA()
    files = Files(*(folder / f"{name}.pem" for name in ("ca", "other_ca", "server", "client")))
    authority.cert_pem.write_to_path(files.ca)
    trustme.CA().cert_pem.write_to_path(files.other_ca)
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(files.server)
    authority.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(files.client)
    return files


class TlsServer:
    """A running server with a TLS port on HOST; on exit from the `with` it is gone.

    Attributes:
        binary: Which server it is.
        files: Its certificates.
        port: Where it speaks TLS.
        clear_port: Where it does not.
        admin: A client on its unix socket, for looking at keys and for settings.
    """

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary = binary
        self.files = issue(folder)
        self._server = embedded.start_ephemeral(binary)
        self.admin = redis.Redis(unix_socket_path=self._server.plan.socket)
        self.port = self.clear_port = 0

    def __enter__(self) -> Self:
        certificate = str(self.files.server)
        self.admin.config_set("bind", HOST)
        names = {"tls-cert-file": certificate, "tls-key-file": certificate, "tls-ca-cert-file": str(self.files.ca)}
        self._set({**names, "tls-auth-clients": "no", "tls-port": str(free_port())})
        self._set({"port": str(free_port())})
        self.port, self.clear_port = (int(self.admin.config_get(name)[name]) for name in ("tls-port", "port"))
        return self

    def _set(self, values: dict[str, str]) -> None:
        """All of them in one command: a certificate without its key would be refused."""
        self.admin.config_set(*(part for pair in values.items() for part in pair))

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.admin.close()
        self._server.stop()

    def url(self, *, host: str = HOST, scheme: str = "rediss", user: str = "", **options: object) -> str:
        """For example `rediss://127.0.0.1:12345/0?ssl_ca_certs=/tmp/ca.pem`; options without value are left out."""
        given = {name: str(value) for name, value in options.items() if value is not None}
        query = f"?{urlencode(given)}" if given else ""
        return f"{scheme}://{user}{'@' if user else ''}{host}:{self.port}/0{query}"

    def ask_for_certificates(self, wanted: bool) -> None:
        """Whether clients must show a certificate."""
        self.admin.config_set("tls-auth-clients", "yes" if wanted else "no")
