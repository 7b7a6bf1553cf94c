"""Reading request bodies: XML without entities, of bounded size and depth. RFC 4918 §8.2, §17, §20.6."""

from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

DAV = "DAV:"
CALDAV = "urn:ietf:params:xml:ns:caldav"
CALENDARSERVER = "http://calendarserver.org/ns/"
APPLE = "http://apple.com/ns/ical/"
OWNCLOUD = "http://owncloud.org/ns"

MAX_DEPTH = 40
# An element for each href of the longest multiget, and those around them
MAX_ELEMENTS = 11_000
MAX_NAME = 600


class MalformedXml(Exception):
    """The body is not XML that we read: 400."""


class _Bounded(TreeBuilder):
    """A tree builder that gives up before a hostile body costs anything."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS or len(tag) > MAX_NAME:
            raise MalformedXml("The XML is too deep or too large.")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(tag)


def parse(body: bytes) -> Element | None:
    """The root element; None for an empty body. Raises MalformedXml."""
    if not body.strip():
        return None
    parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=True)
    try:
        parser.feed(body)
        root: Element = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise MalformedXml("The body is not well-formed XML.") from error
    return root


def dav(name: str) -> str:
    return f"{{{DAV}}}{name}"


def caldav(name: str) -> str:
    return f"{{{CALDAV}}}{name}"


def split(clark: str) -> tuple[str, str]:
    """(namespace, local name) of "{namespace}name"."""
    if clark.startswith("{"):
        namespace, _, name = clark[1:].partition("}")
        return namespace, name
    return "", clark
