"""What must be right about a request before Radicale sees it. RFC 9110, RFC 9112 §6, RFC 7617.

Radicale believes X-Script-Name and X-Forwarded-* from anybody, reads a chunked body as empty, answers 500 to a
malformed login, and takes the path for text where WSGI gives bytes. Behind proxies, web.wsgi has applied ProxyFix
before this, with the configured number of hops.
"""

import base64
import binascii
import io
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

StartResponse = Callable[..., Any]
App = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_NOT_BELIEVED = ("HTTP_X_SCRIPT_NAME", "HTTP_X_FORWARDED_", "HTTP_X_REMOTE_", "HTTP_FORWARDED")
_CHUNK = 65_536

# Where the charset that a body claims is found behind the shim.
CHARSET = "clinicdav.charset"
# … and the name and the password that came with the request.
LOGIN = "clinicdav.login"


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, sentence: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers


def shim(app: App, max_body: int, realm: str) -> App:
    """`app` behind the checks. `max_body` in bytes."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ = _checked(environ, max_body, realm)
        except _Refused as refused:
            body = refused.sentence.encode()
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
            start_response(f"{refused.status.value} {refused.status.phrase}", [*headers, *refused.headers])
            return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
        return app(environ, start_response)

    return answer


def _checked(environ: dict[str, Any], max_body: int, realm: str) -> dict[str, Any]:
    checked = {name: value for name, value in environ.items() if not name.startswith(_NOT_BELIEVED)}
    try:
        checked["PATH_INFO"] = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise _Refused(HTTPStatus.BAD_REQUEST, "The path is not UTF-8.") from None
    _hide_charset(checked)
    header = environ.get("HTTP_AUTHORIZATION", "")
    if header:
        checked[LOGIN] = _login(header, realm)
    _bound_body(checked, max_body)
    return checked


def _hide_charset(environ: dict[str, Any]) -> None:
    """Radicale would read the login, too, in the charset of the body."""
    kind, *parameters = str(environ.get("CONTENT_TYPE", "")).split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            environ[CHARSET] = value.strip().strip('"').lower()
    environ["CONTENT_TYPE"] = kind.strip()


def _login(header: str, realm: str) -> tuple[str, str]:
    scheme, _, credentials = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        name, colon, password = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
        if not colon or not name or "\0" in name:
            raise ValueError
    except (ValueError, binascii.Error):
        challenge = (("WWW-Authenticate", f'Basic realm="{realm}", charset="UTF-8"'),)
        raise _Refused(HTTPStatus.UNAUTHORIZED, "Log in with an app password.", challenge) from None
    return name, password


def _bound_body(environ: dict[str, Any], max_body: int) -> None:
    """Give the request a Content-Length that is true and within the limit."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length and not (length.isascii() and length.isdigit()):
        raise _Refused(HTTPStatus.BAD_REQUEST, "The Content-Length is not a number.")
    if length and (len(length) > 12 or int(length) > max_body):
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
    stream = environ["wsgi.input"]
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower() and not length:
        body = _read(stream, max_body + 1)
        if len(body) > max_body:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
        del environ["HTTP_TRANSFER_ENCODING"]
    elif length:
        body = _read(stream, int(length))
        if len(body) < int(length):
            raise _Refused(HTTPStatus.BAD_REQUEST, "The body ended early.")
    else:
        body = b""
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = io.BytesIO(body)


def _read(stream: Any, most: int) -> bytes:
    parts = []
    while most > 0:
        part = stream.read(min(_CHUNK, most))
        if not part:
            break
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
