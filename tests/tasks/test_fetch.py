"""Fetching from the open internet alone, a little, soon, and not for ever."""

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from tasks import fetch as module
from tasks.fetch import MAX_BYTES, FetchFailed, fetch, is_public


class _Handler(http.server.BaseHTTPRequestHandler):
    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(f"{self.headers['Host']}{self.path}")
        kind, _, rest = self.path[1:].partition("/")
        if kind == "to":
            self.send_response(302)
            self.send_header("Location", rest if "://" in rest else f"/{rest}")
            self.end_headers()
            return
        self.send_response(200 if kind != "missing" else 404)
        if kind == "packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if kind == "large":
            for _ in range(MAX_BYTES // 1000 + 2):
                self.wfile.write(b"x" * 1000)
        elif kind == "slow":
            for _ in range(50):
                self.wfile.write(b"x")
                self.wfile.flush()
                self.server.pause.wait(0.1)  # type: ignore[attr-defined]
        else:
            self.wfile.write(b"BEGIN:VCALENDAR")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running.pause = threading.Event()  # type: ignore[attr-defined]
    _Handler.seen.clear()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{running.server_address[1]}"
    running.pause.set()  # type: ignore[attr-defined]
    running.shutdown()
    running.server_close()


def anywhere(_address: str) -> bool:
    return True


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"]
    + ["255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1"]
    + ["::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "240.0.0.1"],
)
def test_an_address_within_a_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def test_what_stands_there_is_fetched_with_the_name_that_was_asked_for(server: str) -> None:
    assert fetch(f"{server}/plain", allowed=anywhere) == b"BEGIN:VCALENDAR"
    assert _Handler.seen == [f"{server.removeprefix('http://')}/plain"]


def test_this_machine_is_not_asked(server: str) -> None:
    with pytest.raises(FetchFailed):
        fetch(f"{server}/plain")
    assert _Handler.seen == []


def test_a_redirect_into_the_network_is_not_followed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = server.rpartition(":")[2]
    real = socket.getaddrinfo

    def resolve(host: str, *more: object, **named: object) -> object:
        return real("127.0.0.1" if host == "outside.example" else host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module.socket, "getaddrinfo", resolve)
    judged: list[str] = []

    def first_alone(address: str) -> bool:
        judged.append(address)
        return len(judged) == 1

    with pytest.raises(FetchFailed, match="open internet"):
        fetch(f"http://outside.example:{port}/to/http://localhost:{port}/plain", allowed=first_alone)
    assert len(_Handler.seen) == 1


def test_a_name_that_changes_its_meaning_is_asked_once(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was judged is the one that is connected to."""
    port = int(server.rpartition(":")[2])
    asked: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(module.socket, "getaddrinfo", resolve)
    fetch(f"http://rebinding.example:{port}/plain", allowed=anywhere)
    assert [host for host in asked if host == "rebinding.example"] == ["rebinding.example"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing", "404"),
        ("packed", "packs"),
        ("large", "larger"),
        ("to/to/to/to/plain", "too often"),
        ("to/file:///etc/passwd", "no web address"),
    ],
)
def test_what_is_too_much_is_left(server: str, path: str, why: str) -> None:
    with pytest.raises(FetchFailed, match=why):
        fetch(f"{server}/{path}", allowed=anywhere)


def test_three_redirects_are_followed(server: str) -> None:
    assert fetch(f"{server}/to/to/to/plain", allowed=anywhere) == b"BEGIN:VCALENDAR"


def test_a_server_that_dawdles_is_left(server: str) -> None:
    with pytest.raises(FetchFailed):
        fetch(f"{server}/slow", allowed=anywhere, seconds=0.5)


@pytest.mark.parametrize("url", ["http://u:p@1.1.1.1/", "gopher://1.1.1.1/", "http:///x", "http://nothing.invalid/"])
def test_what_is_no_address_of_a_calendar_is_refused(url: str) -> None:
    with pytest.raises(FetchFailed):
        fetch(url)
