"""Answers as strings: multistatus, properties and errors. RFC 4918 §13, §14, §16.

Strings rather than a tree of elements: an answer of 10,000 members is one join.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.utils import formatdate
from urllib.parse import quote

from caldav_bridge.xml import APPLE, CALDAV, CALENDARSERVER, DAV, split

PREFIXES = {DAV: "D", CALDAV: "C", CALENDARSERVER: "CS", APPLE: "A"}
_DECLARED = " ".join(f'xmlns:{prefix}="{namespace}"' for namespace, prefix in PREFIXES.items())
_HEAD = f'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus {_DECLARED}>'

XML = "application/xml; charset=utf-8"
OK = "<D:status>HTTP/1.1 200 OK</D:status>"
_MISSING = "<D:status>HTTP/1.1 404 Not Found</D:status>"
_GONE = "<D:status>HTTP/1.1 404 Not Found</D:status>"

# RFC 3986 pchar: a client finds the href that it wrote, not a differently quoted one.
_SAFE = "/~!$&'()*+,;=:@"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/@:+=,;!$()*-]*")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r")
_REFERENCES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"))
_REASONS = {
    200: "OK",
    201: "Created",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    424: "Failed Dependency",
    507: "Insufficient Storage",
}


def escape(text: str) -> str:
    """Character data. A carriage return is written as a reference, for a parser would turn it into a line feed."""
    for character, reference in _REFERENCES:
        # Most texts have none of the first three, and to look is faster than to replace nothing.
        if character in text:
            text = text.replace(character, reference)
    return text


def is_plain(path: str) -> bool:
    """Whether a path, or several one after the other, stand in an href as they are."""
    return _PLAIN_PATH.fullmatch(path) is not None


def quote_path(path: str) -> str:
    """A path as it stands in an href: percent-encoded, and safe as character data."""
    if is_plain(path):
        return path
    return quote(path, safe=_SAFE).replace("&", "&amp;")


def href(path: str) -> str:
    return f"<D:href>{quote_path(path)}</D:href>"


def element(clark: str, inner: str = "") -> str:
    """An element of any namespace, without attributes."""
    namespace, name = split(clark)
    prefix = PREFIXES.get(namespace)
    if prefix is not None:
        tag, declared = f"{prefix}:{name}", ""
    elif namespace:
        tag, declared = f"X:{name}", f' xmlns:X="{_attribute(namespace)}"'
    else:
        tag, declared = name, ""
    return f"<{tag}{declared}>{inner}</{tag}>" if inner else f"<{tag}{declared}/>"


def _attribute(text: str) -> str:
    return escape(text).replace('"', "&quot;")


def status(code: int) -> str:
    return f"<D:status>HTTP/1.1 {code} {_REASONS[code]}</D:status>"


def propstat(inner: str, code: int = 200, error: str = "") -> str:
    told = f"<D:error>{error}</D:error>" if error else ""
    return f"<D:propstat><D:prop>{inner}</D:prop>{status(code)}{told}</D:propstat>"


def response(path: str, found: str, missing: Sequence[str] = (), *, minimal: bool = False) -> str:
    """One member of a PROPFIND or REPORT: the elements found, the Clark names that are missing."""
    parts = ["<D:response>", href(path)]
    lacks = missing and not minimal
    if found or not lacks:
        parts += ["<D:propstat><D:prop>", found, "</D:prop>", OK, "</D:propstat>"]
    if lacks:
        parts.append(not_found(missing))
    parts.append("</D:response>")
    return "".join(parts)


def not_found(missing: Sequence[str]) -> str:
    """The propstat of the properties that a resource does not have."""
    return f"<D:propstat><D:prop>{''.join(element(name) for name in missing)}</D:prop>{_MISSING}</D:propstat>"


def gone(path: str) -> str:
    """A member that is no longer there (RFC 6578 §3.5)."""
    return f"<D:response>{href(path)}{_GONE}</D:response>"


def multistatus(responses: Iterable[str], tail: str = "") -> bytes:
    return _encoded(f"{_HEAD}{''.join(responses)}{tail}</D:multistatus>")


def error(inner: str) -> bytes:
    """The body of a refusal: `inner` names the precondition (RFC 4918 §16)."""
    return _encoded(f'<?xml version="1.0" encoding="utf-8"?>\n<D:error {_DECLARED}>{inner}</D:error>')


def document(clark: str, inner: str) -> bytes:
    """An answer whose root is neither a multistatus nor an error."""
    namespace, name = split(clark)
    tag = f"{PREFIXES[namespace]}:{name}"
    return _encoded(f'<?xml version="1.0" encoding="utf-8"?>\n<{tag} {_DECLARED}>{inner}</{tag}>')


def _encoded(document: str) -> bytes:
    """UTF-8. Characters that XML cannot hold, wherever they come from, are replaced."""
    data = document.encode(errors="surrogatepass")
    # Bytes are looked through in half the time; what might not be XML is looked at again.
    if len(data.translate(None, _CONTROLS)) == len(data) and b"\xed" not in data and b"\xef\xbf" not in data:
        return data
    return _NOT_XML.sub("\ufffd", document).encode()


def http_date(instant: datetime | None) -> str:
    assert instant is not None
    return formatdate(instant.timestamp(), usegmt=True)
