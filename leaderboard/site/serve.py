"""A built site over HTTP, for this machine only."""

from __future__ import annotations

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ...core.errors import DetoxbenchError
from .build import MARK


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are not printed."""

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")  # the next build replaces the site under the same address
        super().end_headers()

    def list_directory(self, path):
        self.send_error(404)


def server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of the folder on 127.0.0.1, not started yet.

    Raises:
        DetoxbenchError: where there is no site, or the port is taken.
    """
    if not (site / MARK).is_file():
        raise DetoxbenchError(
            f"'{site}': no site of detoxbench; build one with: detoxbench leaderboard RESULTS --out {site}"
        )
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Handler, directory=str(site)))
    except OSError as error:
        raise DetoxbenchError(f"port {port}: {error.strerror}; choose another with --port, 0 for any") from None
