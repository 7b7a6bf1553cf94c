"""How a "no" is told to a calendar app: status and precondition element. RFC 4918 §16, RFC 4791 §1.3.

A business rule is never answered 409 or 412: Thunderbird would offer to overwrite and write again without a
condition. It is 403 with DAV:need-privileges, which DAVx5 takes as "fetch your copy again".
"""

from collections.abc import Callable, Mapping
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


def need_privileges() -> Denied:
    return denied(403, f"{{{DAV}}}need-privileges")


def of(refusal: Refusal, path_of: Callable[[str], str] | None = None) -> Answer:
    """The answer to a rule's refusal. `path_of` turns an href of the same calendar into a path."""
    if isinstance(refusal, VersionConflict):
        return text(412, refusal.sentence)
    if refusal.status == 404:
        return text(404, refusal.sentence)
    prefix, _, name = refusal.precondition.partition(":")
    inner = ""
    if isinstance(refusal, UidConflict) and path_of is not None:
        inner = render.href(path_of(refusal.href))
    return error(403, f"{{{_NAMESPACES[prefix]}}}{name}", inner)


def touches(refusal: Refusal) -> bool:
    """Whether a client that was refused so must be made to fetch its copy again."""
    return refusal.precondition == "DAV:need-privileges" and not isinstance(
        refusal, (VersionConflict, SyncTokenExpired)
    )
