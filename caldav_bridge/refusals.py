"""How a "no" is told to a calendar app: status and precondition element. RFC 4918 §16, RFC 4791 §1.3.

A business rule is never answered 409 or 412: Thunderbird would offer to overwrite and write again without a
condition. It is 403 with DAV:need-privileges, which DAVx5 takes as "fetch your copy again".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from caldav_bridge import render
from caldav_bridge.xml import CALDAV, DAV
from ical.errors import Refusal, SyncTokenExpired, UidConflict, VersionConflict

_NAMESPACES = {"DAV": DAV, "CALDAV": CALDAV}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: what a handler returns."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Denied(Exception):
    """Stop here and answer so. The transaction is rolled back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


def text(status: int, sentence: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, sentence.encode(), "text/plain; charset=utf-8", named)


def error(status: int, clark: str, inner: str = "") -> Answer:
    return Answer(status, render.error(render.element(clark, inner)), render.XML)


def denied(status: int, clark: str, inner: str = "") -> Denied:
    return Denied(error(status, clark, inner))


def not_found() -> Denied:
    return Denied(text(404, "There is nothing here, or it is not for you."))


def need_privileges(path: str, privilege: str) -> Denied:
    """RFC 3744 §7.1.1: what is missing at `path`."""
    return denied(403, f"{{{DAV}}}need-privileges", _missing(path, privilege))


def _missing(path: str, privilege: str) -> str:
    return f"<D:resource>{render.href(path)}<D:privilege><{privilege}/></D:privilege></D:resource>"


def of(refusal: Refusal, path: str) -> Answer:
    """The answer to a rule's refusal of what was asked at `path`."""
    if isinstance(refusal, VersionConflict):
        return text(412, refusal.sentence)
    if refusal.status == 404:
        return text(404, refusal.sentence)
    prefix, _, name = refusal.precondition.partition(":")
    inner = ""
    if isinstance(refusal, UidConflict):
        inner = render.href(f"{path.rpartition('/')[0]}/{refusal.href}")
    elif name == "need-privileges":
        inner = _missing(path, "D:write-content")
    return error(403, f"{{{_NAMESPACES[prefix]}}}{name}", inner)


def touches(refusal: Refusal) -> bool:
    """Whether a client that was refused so must be made to fetch its copy again."""
    return refusal.precondition == "DAV:need-privileges" and not isinstance(
        refusal, (VersionConflict, SyncTokenExpired)
    )
