"""Serves the Flask app until SIGTERM or Ctrl-C, with werkzeug's threaded server: good enough for the example.

Called by `__main__` in the main thread. A real deployment uses a WSGI server.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from typing import Final

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from examples.signup.flask_app import app, client

CLIENT_TIMEOUT_S: Final = 10.0
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_TIMEOUT_S  # whoever connects and says nothing must not hold up the end

    def log_request(self, *_: object) -> None:
        """No line per request."""


class _Server(ThreadedWSGIServer):
    daemon_threads = False  # closing waits for the requests that are being answered


def serve(sock: socket.socket, ready: Callable[[str, int], None]) -> None:
    """Answer the requests at a listening socket; return when told to end and all are answered.

    Args:
        sock: Closed here, so that nobody else holds it open: whoever comes after the end is told at once.
        ready: Called with host and port when a signal would end it cleanly.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # in all threads: only the wait below gets them
    host, port = sock.getsockname()
    server = _Server(host, port, app, _Handler, fd=sock.fileno())
    sock.close()  # the server has a copy
    serving = threading.Thread(target=server.serve_forever, name="flask")
    serving.start()
    ready(host, port)
    signal.sigwait(_ENDING)
    server.shutdown()
    serving.join()
    client.close()
