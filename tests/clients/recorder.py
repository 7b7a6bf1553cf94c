"""Stands between an app and the server, hands everything on unchanged, and remembers what was said."""

import gzip
import http.client
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

HOST = "127.0.0.1"
_PATIENCE_SECONDS = 60
# Of one connection, so each side of the recorder says its own.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    headers: dict[str, str]
    body: str
    status: int
    answer_headers: dict[str, str]
    answer: str

    def __str__(self) -> str:
        conditions = [f"{name}: {self.headers[name]}" for name in ("if-match", "if-none-match") if name in self.headers]
        etag = self.answer_headers.get("etag", "no ETag")
        refused = self.answer[:300] if self.status >= 400 and self.status != 401 else ""
        return f"{self.method} {self.path} [{', '.join(conditions)}] -> {self.status} [{etag}] {refused}".rstrip()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # An app that ends does not close its connections first.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Recorder:
    """What was exchanged so far, in the order in which it was answered."""

    def __init__(self, upstream_port: int) -> None:
        self.exchanges: list[Exchange] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
                upstream = http.client.HTTPConnection(HOST, upstream_port, timeout=_PATIENCE_SECONDS)
                upstream.request(self.command, self.path, body or None, kept)
                answer = upstream.getresponse()
                content = answer.read()
                recorder._remember(self, body, answer, content)
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                        self.send_header(name, value)
                if self.command == "HEAD":
                    self.send_header("Content-Length", answer.getheader("Content-Length", "0"))
                elif answer.status not in (204, 304):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                upstream.close()

            do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_DELETE = forward
            do_PROPFIND = do_PROPPATCH = do_REPORT = do_MKCALENDAR = do_MKCOL = do_MOVE = do_COPY = forward
            do_LOCK = do_UNLOCK = forward

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server((HOST, 0), Handler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def _remember(
        self, handler: BaseHTTPRequestHandler, body: bytes, answer: http.client.HTTPResponse, content: bytes
    ) -> None:
        if answer.getheader("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        self.exchanges.append(
            Exchange(
                handler.command,
                unquote(handler.path),
                {name.lower(): value for name, value in handler.headers.items() if name.lower() != "authorization"},
                body.decode(errors="replace"),
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                content.decode(errors="replace"),
            )
        )

    @contextmanager
    def listening(self) -> Iterator[list[Exchange]]:
        """What is said from here on; the list is complete at the end of the block."""
        begin = len(self.exchanges)
        heard: list[Exchange] = []
        yield heard
        heard += self.exchanges[begin:]

    def wait_for(self, method: str, path_end: str, since: int = 0, seconds: float = 20) -> Exchange:
        """The next exchange of this kind after the first `since`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for exchange in self.exchanges[since:]:
                if exchange.method == method and exchange.path.endswith(path_end):
                    return exchange
            time.sleep(0.05)
        raise AssertionError(f"no {method} of …{path_end} within {seconds:g} s; heard:\n{self.tail()}")

    def tail(self, count: int = 30) -> str:
        return "\n".join(str(exchange) for exchange in self.exchanges[-count:])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
