"""The If header. RFC 4918 §10.4, RFC 6578 §5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caldav_bridge.if_header import read
from caldav_bridge.refusals import Denied
from tests.caldav.helpers import Clinic, D, Dav, event


@pytest.fixture
def etag(lee: Dav) -> str:
    return lee.put("/lee/personal/a.ics", event()).headers["ETag"]


def put(lee: Dav, header: str) -> int:
    return lee.put("/lee/personal/a.ics", event("one@test", "20261124T100000", "20261124T103000"), If=header).status


@pytest.mark.parametrize(
    "header",
    [
        "([{etag}])",
        '(["stale"]) ([{etag}])',
        "(Not <DAV:no-lock> [{etag}])",
        '(Not ["stale"])',
        "</dav/lee/personal/a.ics> ([{etag}])",
        "<http://test/dav/lee/personal/> (<{token}>)",
    ],
)
def test_a_list_that_holds_lets_the_write_pass(lee: Dav, etag: str, header: str) -> None:
    told = lee.propfind("/lee/personal/", "D:sync-token").prop(f"{D}sync-token")
    assert told is not None
    assert put(lee, header.format(etag=etag, token=told.text)) == 204


@pytest.mark.parametrize(
    "header",
    [
        '(["stale"])',
        "(<DAV:no-lock>)",
        "(<urn:uuid:181d4fae-7d8c-11d0-a765-00a0c91e6bf2> [{etag}])",
        "(Not [{etag}])",
        "</dav/lee/personal/none.ics> ([{etag}])",
        "</dav/smith/personal/> (<data:,x>)",
        "<http://elsewhere/a.ics> ([{etag}])",
    ],
)
def test_no_list_holds_and_nothing_is_written(lee: Dav, etag: str, header: str) -> None:
    assert put(lee, header.format(etag=etag)) == 412
    assert lee.get("/lee/personal/a.ics").headers["ETag"] == etag


@pytest.mark.parametrize("header", ["x", "()", "(", "([etag]", "(Not)", "<a>", "([a]))", "(([a]))", "[a]"])
def test_header_that_cannot_be_read_is_400(lee: Dav, etag: str, header: str) -> None:
    assert put(lee, header) == 400
    assert lee.get("/lee/personal/a.ics").headers["ETag"] == etag


@given(st.text(alphabet='()<>[]" Not:x', max_size=40))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        lists = read(header)
    except Denied as denied:
        assert denied.answer.status == 400
    else:
        assert lists and all(lists)


def test_other_methods_that_write_heed_it(lee: Dav, etag: str) -> None:
    stale = {"If": '(["stale"])', "Destination": "/dav/lee/personal/b.ics"}
    for method, path in (
        ("DELETE", "/lee/personal/a.ics"),
        ("MOVE", "/lee/personal/a.ics"),
        ("COPY", "/lee/personal/a.ics"),
        ("PROPPATCH", "/lee/personal/"),
        ("MKCALENDAR", "/lee/x/"),
    ):
        assert lee.request(method, path, headers=stale).status == 412, method


def test_it_tells_nothing_of_others(lite: Clinic) -> None:
    smith = lite.client("smith")
    etag = smith.put("/smith/personal/a.ics", event()).headers["ETag"]
    answers = [
        lite.client("lee").put(
            "/lee/personal/b.ics", event("b@test"), If=f"</dav/{name}/personal/a.ics> (Not [{etag}])"
        )
        for name in ("smith", "nobody")
    ]
    assert [answer.status for answer in answers] == [201, 204]
