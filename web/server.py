"""The server in process: waitress on one listening socket, in this process or in several that share it."""

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer, create_server
from waitress.task import WSGITask

_DRAIN_SECONDS = 20
_RESPAWN_SECONDS = 1
_THREADS = 8


class CannotListen(Exception):
    """The address cannot be used. The text is one line that says what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises CannotListen."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except socket.gaierror:
        raise CannotListen(f"{host} is no address of this machine: choose another --host.") from None
    except PermissionError:
        raise CannotListen(f"Port {port} may not be opened by this user: choose a --port above 1023.") from None
    except OSError as error:
        raise CannotListen(f"Cannot listen on {host} port {port} ({error.strerror}): choose another --port.") from None
    except OverflowError:
        raise CannotListen(f"{port} is no port: choose a --port up to 65535.") from None


class _Task(WSGITask):
    """Keeps the connection behind a 204 or 304, which need no length (RFC 9112 §6.3); waitress would close it."""

    def set_close_on_finish(self) -> None:
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or asked or self.version != "1.1":
            super().set_close_on_finish()


class _Channel(HTTPChannel):
    task_class = _Task


class Server:
    """Serves until `stop` is called; then finishes what it has begun, and nobody's request is dropped."""

    def __init__(self, application: Callable[..., Any], listener: socket.socket) -> None:
        self._channels: dict[int, Any] = {}
        self._stopping = False
        server = create_server(
            application,
            map=self._channels,
            sockets=[listener],
            threads=_THREADS,
            ident="clinicdav",
            clear_untrusted_proxy_headers=False,
            # Larger bodies than any route takes are refused while they come in.
            max_request_body_size=16 * 1024 * 1024,
            channel_timeout=60,
            # A first synchronisation is megabytes: beyond this they would go through a file.
            outbuf_overflow=16 * 1024 * 1024,
        )
        assert isinstance(server, TcpWSGIServer)
        server.channel_class = _Channel
        self._server = server

    def stop(self, *_signal: Any) -> None:
        """May be called from a signal handler or another thread."""
        self._stopping = True
        self._server.pull_trigger()

    def run(self) -> None:
        # What has been loaded by now lives as long as the process; the collector need not look through it for ever.
        gc.collect()
        gc.freeze()
        while not self._stopping:
            self._turn(1.0)
        self._drain()
        self._server.task_dispatcher.shutdown(timeout=5)
        wasyncore.close_all(self._channels)

    def _drain(self) -> None:
        """Take what has already connected, listen no more, and answer all that was asked."""
        for _ in range(1024):
            before = len(self._channels)
            self._server.handle_accept()
            if len(self._channels) == before:
                break
        self._server.accepting = False
        self._server.del_channel()
        self._server.socket.close()
        deadline = time.monotonic() + _DRAIN_SECONDS
        quiet = 0
        while quiet < 2 and time.monotonic() < deadline:
            self._turn(0.05)
            quiet = 0 if self._busy() else quiet + 1

    def _busy(self) -> bool:
        return any(
            channel.requests or channel.request is not None or channel.total_outbufs_len
            for channel in list(self._server.active_channels.values())
        )

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, map=self._channels, use_poll=True, count=1)


def serve_here(application: Callable[..., Any], listener: socket.socket) -> None:
    """Serve in this process until SIGTERM or SIGINT."""
    server = Server(application, listener)
    _on_stop(server.stop)
    server.run()


def wait_for_stop() -> None:
    """Return at SIGTERM or SIGINT."""
    stopped = threading.Event()
    _on_stop(lambda *_signal: stopped.set())
    stopped.wait()


def serve_in_processes(jobs: list[Callable[[], None]], listener: socket.socket) -> None:
    """Run each job in a process of its own until SIGTERM or SIGINT. One that dies is started again.

    Each job that does not serve closes its copy of `listener`: whoever connects while a copy is open but nobody
    accepts would be cut off. Called before there is any thread or database connection here: neither survives a fork.
    """
    stopping = False
    running: dict[int, Callable[[], None]] = {}
    lifeline = os.pipe()

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        listener.close()
        for pid in running:
            os.kill(pid, signal.SIGTERM)

    def start(job: Callable[[], None]) -> None:
        pid = _fork(job, lifeline)
        running[pid] = job
        if stopping:
            os.kill(pid, signal.SIGTERM)

    _on_stop(stop)
    for each in jobs:
        start(each)
    while running:
        pid, _status = os.waitpid(-1, 0)
        job = running.pop(pid, None)
        if job is not None and not stopping:
            time.sleep(_RESPAWN_SECONDS)
            if not stopping:
                start(job)


def _fork(job: Callable[[], None], lifeline: tuple[int, int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _on_stop(signal.SIG_DFL)
        os.close(lifeline[1])
        threading.Thread(target=_end_with_parent, args=(lifeline[0],), daemon=True).start()
        job()
        code = 0
    except Exception as error:
        print(f"clinicdav: a process ended: {error!r}", file=sys.stderr, flush=True)
    finally:
        # Not sys.exit: the parent's clean-up is not the child's.
        os._exit(code)


def _end_with_parent(lifeline: int) -> None:
    """A parent that was killed can tell nobody; the end of its pipe does."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _on_stop(handler: Callable[..., None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)
