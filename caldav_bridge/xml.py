"""Reading request bodies: XML without entities, of bounded size and depth. RFC 4918 §8.2, §17, §20.6."""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate

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


class _Builder:
    """Builds the tree from the events of the parser, and gives up before a hostile body costs anything."""

    def __init__(self) -> None:
        self._tree = TreeBuilder()
        self._depth = 0
        self._elements = 0
        self._parser = ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._tree.data
        # Entities are declared in a document type, and WebDAV has no use for either.
        self._parser.StartDoctypeDeclHandler = self._refuse

    def build(self, body: bytes) -> Element:
        self._parser.Parse(body, True)
        return self._tree.close()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS or len(tag) > MAX_NAME:
            raise MalformedXml("The XML is too deep or too large.")
        if attributes:
            attributes = {_clark(name): value for name, value in attributes.items()}
        self._tree.start(_clark(tag), attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._tree.end(_clark(tag))

    @staticmethod
    def _refuse(*_declared: object) -> None:
        raise MalformedXml("The XML has a document type.")


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def parse(body: bytes) -> Element | None:
    """The root element; None for an empty body. Raises MalformedXml."""
    if not body.strip():
        return None
    try:
        return _Builder().build(body)
    except (ExpatError, ValueError, LookupError) as error:
        raise MalformedXml("The body is not well-formed XML.") from error


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
