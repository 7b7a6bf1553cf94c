"""HTTP requests that no library would send."""

import random

from tests.caldav.helpers import event
from tests.hostile.values import spoilt_bytes

METHODS = (
    "GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS", "PROPFIND", "PROPPATCH", "REPORT", "MKCALENDAR", "MKCOL", "MOVE",
    "COPY", "LOCK", "UNLOCK", "ACL", "PATCH", "TRACE", "CONNECT", "get", "G\xc4T", "A" * 5000, "",
)  # fmt: skip
PATHS = (
    "/dav/", "/dav/lee/", "/dav/lee/personal/", "/dav/lee/personal/m.ics", "/dav/lee/appointments/", "/dav/smith/personal/",
    "/dav/lee/outbox/", "/dav/lee/inbox/", "/dav/lee/personal/%2e%2e/hours/", "/dav/lee/personal/..%2f..%2f", "//dav//lee//",
    "/dav/%00", "/dav/%ff%fe", "/dav/lee/personal/%E2%80%AE.ics", "/dav/lee/personal/" + "a" * 6000, "/dav/" + "a/" * 2000,
    "/dav/lee/personal/m.ics?" + "x=1&" * 900, "/dav/lee/personal/m.ics#x", "*", "http://other.example/dav/", "dav", "/dav/%",
    "/dav/lee/personal/a%0d%0aX:%20y", "/.well-known/caldav", "/", "/feeds/x.ics", "/api/v1/appointments", "/login", "/\x7f",
)  # fmt: skip
HEADERS = (
    "Depth: 0", "Depth: 1", "Depth: infinity", "Depth: -1", "Depth: \xff", "Destination: /dav/lee/personal/n.ics",
    "Destination: http://other.example/x", "Destination: //[", "Destination: /dav/lee/personal/%ff", "Destination: ",
    "Overwrite: F", "Overwrite: x", "If-Match: *", 'If-Match: "x"', 'If-Match: W/"x", "y', "If-None-Match: *",
    'If-None-Match: "' + "x" * 8000 + '"', "If-Schedule-Tag-Match: x", "If: (<urn:x> [\"y\"])", "If: ((((((((", "Prefer: return=minimal",
    "Prefer: " + "x;" * 2000, "Brief: t", "Content-Type: text/calendar; charset=klingon", "Content-Type: " + "x" * 5000,
    "Content-Type: multipart/form-data", "Content-Encoding: gzip", "Expect: 100-continue", "Expect: x", "Range: bytes=0-5,9-",
    "Accept: " + "*/*," * 2000, "Accept-Encoding: gzip;q=x", "Cookie: session=x", "X-Forwarded-For: 1, 2",
    "X-Script-Name: /x", "X-Remote-User: lee", "Timezones: T", "If-Modified-Since: yesterday", "Connection: close", "Upgrade: h2c",
    "Originator: mailto:x", "Recipient: mailto:" + "x" * 3000,
)  # fmt: skip
# What a server must not take for a header, and what must not come twice.
BROKEN = (
    ": x", "no colon", " folded", "X: \x00", "X" * 3000 + ": y", "Host: x y", "Host: ", "Authorization: Basic =",
    "Authorization: Basic " + "A" * 9000, "Authorization: Digest x", "Authorization: Bearer x", "Content-Length: 1",
)  # fmt: skip
_ALL = b"<D:propfind xmlns:D='DAV:'><D:allprop/></D:propfind>"
BODIES = (b"", b"x", b"<", _ALL, b"\0" * 1000, event("m@test").encode())


def spoilt_request(chance: random.Random, login: str) -> bytes:
    """The bytes of one request."""
    # Mostly something that the application, and not only the server before it, gets to see.
    method = chance.choice(METHODS[:13] if chance.random() < 0.8 else METHODS)
    path = chance.choice(PATHS[:8] if chance.random() < 0.6 else PATHS)
    version = chance.choice(("HTTP/1.1",) * 30 + ("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9", "", "X"))
    headers = ["Host: 127.0.0.1"] if chance.random() < 0.95 else []
    if chance.random() < 0.9:
        headers.append(f"Authorization: {login}")
    headers += chance.sample(HEADERS, chance.choice((0, 1, 2, 3, 6)))
    if chance.random() < 0.15:
        headers.append(chance.choice(BROKEN))
    if chance.random() < 0.02:
        headers += [f"X-{n}: y" for n in range(3000)]
    body = chance.choice(BODIES)
    if chance.random() < 0.4:
        body = spoilt_bytes(chance, body)
    framing, sent = _framed(chance, body)
    chance.shuffle(headers)
    head = "\r\n".join([f"{method} {path} {version}", *headers, *framing]).encode("latin-1", "replace")
    data = head + b"\r\n\r\n" + sent
    return spoilt_bytes(chance, data) if chance.random() < 0.1 else data


def _framed(chance: random.Random, body: bytes) -> tuple[list[str], bytes]:
    """Headers that tell the length, right or wrong, and the body as it is sent."""
    size = len(body)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if body else b"0\r\n\r\n"
    return chance.choice(
        (
            *(([f"Content-Length: {size}"], body),) * 24,
            *((["Transfer-Encoding: chunked"], chunked),) * 6,
            ([], body),
            ([f"Content-Length: {size + 5}"], body),
            ([f"Content-Length: {max(0, size - 3)}"], body),
            (["Content-Length: -1"], body),
            (["Content-Length: " + "9" * 40], body),
            (["Content-Length: 0x10"], body),
            (["Content-Length: 1048577"], body),
            ([f"Content-Length: {size}", f"Content-Length: {size + 1}"], body),
            ([f"Content-Length: {size}", "Transfer-Encoding: chunked"], chunked),
            (["Transfer-Encoding: gzip, chunked"], chunked),
            (["Transfer-Encoding: identity"], body),
            (["Transfer-Encoding: chunked"], b"zz\r\nx\r\n0\r\n\r\n"),
            (["Transfer-Encoding: chunked"], b"ffffffffffffffff\r\nx"),
            (["Transfer-Encoding: chunked"], b"5;" + b"x" * 9000 + b"\r\nhello\r\n0\r\n\r\n"),
            (["Transfer-Encoding: chunked"], b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n"),
            (["Transfer-Encoding: chunked"], b"5\r\nhel"),
        )
    )
