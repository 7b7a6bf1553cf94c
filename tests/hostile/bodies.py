"""Good XML bodies, spoilt at random."""

import random
import re

from tests.caldav.helpers import NAMESPACES
from tests.hostile.values import NUMBERS, TIMES, ZONES, spoilt_bytes

_FILTER = '<C:filter><C:comp-filter name="VCALENDAR">{}</C:comp-filter></C:filter>'
_RANGE = '<C:time-range start="20261101T000000Z" end="20261201T000000Z"/>'
_HREF = "<D:href>/dav/lee/personal/m.ics</D:href>"
XML = (
    ("PROPFIND", "<D:propfind {ns}><D:prop><D:getetag/><D:displayname/><C:calendar-data/><CS:getctag/></D:prop></D:propfind>"),
    ("PROPFIND", "<D:propfind {ns}><D:allprop/><D:include><D:acl/><C:supported-collation-set/></D:include></D:propfind>"),
    ("PROPFIND", "<D:propfind {ns}><D:propname/></D:propfind>"),
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
XML_VALUES = (
    *TIMES,
    *NUMBERS,
    *ZONES,
    "VEVENT",
    "VALARM",
    "yes",
    "i;klingon",
    "data:,x-1",
    "/dav/lee/personal/",
    "/../..",
    "http://[",
    "%ff%00",
    "infinity",
)


def spoilt_xml(chance: random.Random) -> tuple[str, bytes]:
    """A method and its body."""
    method, body = chance.choice(XML)
    tokens = re.findall(r"<[^>]+>|[^<]+", body.replace("{ns}", NAMESPACES))
    for _ in range(chance.choice((1, 1, 2, 3, 5))):
        if tokens:
            _spoil_token(chance, tokens)
    data = "".join(tokens).encode("utf-8", "surrogatepass")
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        data = spoilt_bytes(chance, data)
    return method, data


def _spoil_token(chance: random.Random, tokens: list[str]) -> None:
    at = chance.randrange(len(tokens))
    token = tokens[at]
    match chance.randrange(10):
        case 0:
            del tokens[at]
        case 1:
            tokens[at:at] = [token] * chance.choice((1, 2, 700))
        case 2:
            other = chance.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], token
        case 3:
            tokens[at] = re.sub(r"(['\"])[^'\"]*\1", lambda m: f'"{chance.choice(XML_VALUES)}"', token, count=1)
        case 4:
            tokens[at] = re.sub(
                r"[\w-]+(?=[ />])", lambda m: chance.choice(("prop", "x", "expand", "comp", "href")), token, count=1
            )
        case 5:
            tokens[at] = token.replace("D:", chance.choice(("C:", "Z:", "", "CS:")), 1)
        case 6:
            inner = chance.choice(("<x>", "<D:prop>", "<C:comp-filter name='VEVENT'>", "<C:expand/>", "<D:href/>"))
            depth = chance.choice((1, 5, 60))
            tokens[at:at] = [inner] * depth + ["</" + re.match(r"<([\w:]+)", inner)[1] + ">"] * depth  # type: ignore[index]
        case 7:
            tokens.insert(
                at, chance.choice(("&lol;", "&#0;", "&#xD800;", "<![CDATA[x]]>", "<!-- -->", "<?x?>", "]]>", "&"))
            )
        case 8:
            tokens.insert(
                0,
                chance.choice(
                    (
                        '<?xml version="1.0" encoding="utf-7"?>',
                        "<!DOCTYPE x>",
                        '<!DOCTYPE x [<!ENTITY lol "x">]>',
                        "\ufeff",
                        '<?xml version="9"?>',
                    )
                ),
            )
        case _:
            tokens[at] = chance.choice(XML_VALUES)
