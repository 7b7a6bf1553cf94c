"""Good XML bodies, spoilt at random."""

import random
import re
from copy import deepcopy
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tests.caldav.helpers import NAMESPACES
from tests.hostile.values import NUMBERS, TIMES, ZONES, spoilt_bytes

_FILTER = '<C:filter><C:comp-filter name="VCALENDAR">{}</C:comp-filter></C:filter>'
_RANGE = '<C:time-range start="20261101T000000Z" end="20261201T000000Z"/>'
_HREF = "<D:href>/dav/lee/personal/m.ics</D:href>"
XML = (
    ("PROPFIND", "<D:propfind {ns}><D:prop><D:getetag/><D:displayname/><C:calendar-data/><CS:getctag/></D:prop></D:propfind>"),
    ("PROPFIND", "<D:propfind {ns}><D:allprop/><D:include><D:acl/><C:supported-collation-set/></D:include></D:propfind>"),
    ("PROPFIND", "<D:propfind {ns}><D:propname/></D:propfind>"),
    ("PROPFIND", "<D:propfind {ns}><D:prop><C:calendar-availability/><C:schedule-default-calendar-URL/><CS:calendar-proxy-write-for/><D:acl/></D:prop></D:propfind>"),
    ("PROPPATCH", "<D:propertyupdate {ns}><D:set><D:prop><C:calendar-availability>BEGIN:VCALENDAR</C:calendar-availability><A:calendar-order>1</A:calendar-order></D:prop></D:set></D:propertyupdate>"),
    ("PROPPATCH", "<D:propertyupdate {ns}><D:set><D:prop><D:displayname>x</D:displayname><A:calendar-color>#fff</A:calendar-color><C:calendar-timezone>BEGIN:VCALENDAR</C:calendar-timezone></D:prop></D:set><D:remove><D:prop><X:y xmlns:X='urn:x'/></D:prop></D:remove></D:propertyupdate>"),
    ("REPORT", "<C:calendar-query {ns}><D:prop><C:calendar-data><C:expand start='20261101T000000Z' end='20261201T000000Z'/></C:calendar-data></D:prop>" + _FILTER.format(f"<C:comp-filter name='VEVENT'>{_RANGE}</C:comp-filter>") + "</C:calendar-query>"),
    ("REPORT", "<C:calendar-query {ns}><D:prop><C:calendar-data><C:limit-recurrence-set start='20261101T000000Z' end='20261201T000000Z'/></C:calendar-data></D:prop>" + _FILTER.format("<C:comp-filter name='VEVENT'><C:prop-filter name='ATTENDEE'><C:text-match collation='i;unicode-casemap' negate-condition='yes'>x</C:text-match><C:param-filter name='PARTSTAT'><C:is-not-defined/></C:param-filter></C:prop-filter></C:comp-filter>") + "<C:timezone>BEGIN:VCALENDAR</C:timezone></C:calendar-query>"),
    ("REPORT", "<C:calendar-query {ns}><D:prop><C:calendar-data><C:comp name='VCALENDAR'><C:prop name='VERSION'/><C:comp name='VEVENT'><C:allprop/></C:comp></C:comp></C:calendar-data></D:prop>" + _FILTER.format("<C:comp-filter name='VTODO'><C:is-not-defined/></C:comp-filter>") + "</C:calendar-query>"),
    ("REPORT", "<C:calendar-multiget {ns}><D:prop><D:getetag/><C:calendar-data content-type='text/calendar' version='2.0'/></D:prop>" + _HREF * 3 + "</C:calendar-multiget>"),
    ("REPORT", "<C:free-busy-query {ns}>" + _RANGE + "</C:free-busy-query>"),
    ("REPORT", "<D:sync-collection {ns}><D:sync-token/><D:sync-level>1</D:sync-level><D:limit><D:nresults>5</D:nresults></D:limit><D:prop><D:getetag/></D:prop></D:sync-collection>"),
    ("REPORT", "<D:principal-property-search {ns} test='anyof'><D:property-search><D:prop><D:displayname/></D:prop><D:match>lee</D:match></D:property-search><D:prop><D:displayname/></D:prop></D:principal-property-search>"),
    ("REPORT", "<D:expand-property {ns}><D:property name='current-user-principal'><D:property name='displayname'/></D:property></D:expand-property>"),
    ("REPORT", "<D:principal-search-property-set {ns}/>"),
    ("REPORT", "<D:acl-principal-prop-set {ns}><D:prop><D:displayname/></D:prop></D:acl-principal-prop-set>"),
    ("MKCALENDAR", "<C:mkcalendar {ns}><D:set><D:prop><D:displayname>x</D:displayname><C:supported-calendar-component-set><C:comp name='VEVENT'/></C:supported-calendar-component-set></D:prop></D:set></C:mkcalendar>"),
    ("MKCOL", "<D:mkcol {ns}><D:set><D:prop><D:resourcetype><D:collection/><C:calendar/></D:resourcetype></D:prop></D:set></D:mkcol>"),
)  # fmt: skip
REFERENCES = ("&lol;", "&#0;", "&#xD800;", "&amp;", "<![CDATA[x]]>", "<!-- -->", "<?x?>", "]]>", "&")
PROLOGUES = (
    '<?xml version="1.0" encoding="utf-7"?>', "<!DOCTYPE x>", '<!DOCTYPE x [<!ENTITY lol "x">]>', "\ufeff", '<?xml version="9"?>',
)  # fmt: skip
# As they can stand in XML at all.
_TEXTS = tuple(
    text
    for text in (*TIMES, *NUMBERS, *ZONES, "VEVENT", "VALARM", "yes", "i;klingon", "data:,x-1", "/dav/lee/personal/",
                 "/../..", "http://[", "%ff%00", "infinity", "<x/>", "*")
    if text.isprintable()
)  # fmt: skip
_TAGS = tuple(
    sorted(
        {element.tag for _, body in XML for element in ElementTree.fromstring(body.replace("{ns}", NAMESPACES)).iter()}
    )
)


def spoilt_xml(chance: random.Random) -> tuple[str, bytes]:
    """A method and its body: mostly still well-formed, so that somebody has to understand it."""
    method, body = chance.choice(XML)
    body = body.replace("{ns}", NAMESPACES)
    if chance.random() < 0.7:
        root = ElementTree.fromstring(body)
        for _ in range(chance.choice((1, 1, 2, 3, 5))):
            _spoil_element(chance, root)
        return method, ElementTree.tostring(root)
    tokens = re.findall(r"<[^>]+>|[^<]+", body)
    for _ in range(chance.choice((1, 1, 2))):
        _spoil_token(chance, tokens)
    data = "".join(tokens).encode("utf-8", "surrogatepass")
    return method, spoilt_bytes(chance, data) if chance.random() < 0.4 else data


def _spoil_element(chance: random.Random, root: Element) -> None:
    parents = [element for element in root.iter() if len(element)]
    parent = chance.choice(parents) if parents else root
    at = chance.randrange(len(parent)) if len(parent) else 0
    element = parent[at] if len(parent) else root
    match chance.randrange(9):
        case 0 if len(parent):
            parent.remove(element)
        case 1:
            for _ in range(chance.choice((1, 2, 700))):
                parent.append(deepcopy(element) if element is not root else Element("{DAV:}prop"))
        case 2:
            parent[:] = chance.sample(list(parent), len(parent))
        case 3 if element.attrib:
            element.set(chance.choice(list(element.attrib)), chance.choice(_TEXTS))
        case 4:
            element.set(chance.choice(("name", "start", "end", "collation", "version", "x")), chance.choice(_TEXTS))
        case 5:
            element.tag = chance.choice(_TAGS)
        case 6:
            for _ in range(chance.choice((1, 5, 60))):
                inner = Element(chance.choice((element.tag, element.tag, chance.choice(_TAGS))), element.attrib)
                inner[:] = list(element)
                element[:] = [inner]
        case 7:
            chance.choice(list(root.iter())).append(deepcopy(chance.choice(list(root.iter()))))
        case _:
            element.text = chance.choice(_TEXTS)


def _spoil_token(chance: random.Random, tokens: list[str]) -> None:
    at = chance.randrange(len(tokens))
    match chance.randrange(5):
        case 0:
            tokens[at] = ""
        case 1:
            tokens[at:at] = [tokens[at]] * chance.choice((1, 2, 700))
        case 2:
            tokens[at] = tokens[at].replace("D:", chance.choice(("C:", "Z:", "", "CS:")), 1)
        case 3:
            tokens.insert(at, chance.choice(REFERENCES))
        case _:
            tokens.insert(0, chance.choice(PROLOGUES))
