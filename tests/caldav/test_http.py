"""What is asked of every request: login, methods, bodies, headers."""

import base64
import io

import pytest

from storage import accounts, collections, credentials, passwords
from storage.db import Database
from storage.models import AppPassword
from tests.caldav.helpers import NAMESPACES, Clinic, D, Dav, event


def test_without_login_the_answer_is_401_with_a_challenge(lite: Clinic) -> None:
    for method in ("GET", "HEAD", "PROPFIND", "REPORT", "PUT", "DELETE", "MKCALENDAR", "PROPPATCH", "COPY", "MOVE"):
        answer = Dav(lite.app).request(method, "/lee/appointments/")
        assert answer.status == 401, method
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Basic /w==",
        "Bearer x",
        "Digest a=b",
        "\t",
    ],
)
def test_malformed_login_is_401(lite: Clinic, header: str) -> None:
    assert Dav(lite.app).request("PROPFIND", "/", headers={"Authorization": header}).status == 401


def test_wrong_password_is_401(lite: Clinic) -> None:
    assert Dav(lite.app, "lee", "wrong").propfind("/").status == 401
    assert Dav(lite.app, "smith", lite.passwords["lee"]).propfind("/").status == 401


def test_portal_password_is_not_taken(lite: Clinic) -> None:
    with lite.db.transaction() as session:
        account = accounts.by_username(session, "lee")
        assert account is not None
        passwords.set_password(session, account, "seven purple umbrellas", lite.clock())
    assert Dav(lite.app, "lee", "seven purple umbrellas").propfind("/").status == 401


def test_revoked_app_password_fails_on_the_next_request(lite: Clinic) -> None:
    client = lite.client("lee")
    assert client.propfind("/lee/").status == 207
    with lite.db.transaction() as session:
        for secret in session.query(AppPassword).all():
            credentials.revoke(session, secret, lite.clock())
    assert client.propfind("/lee/").status == 401


def test_what_another_process_changed_counts_from_the_next_request(clinic: Clinic) -> None:
    client = clinic.client("lee")
    assert client.propfind("/lee/", "D:displayname").xml.findtext(f".//{D}displayname") == "Lee"
    before = client.propfind("/lee/personal/", "D:getetag").prop(f"{D}getetag")
    other = Database(clinic.settings.database_url, clinic.settings)
    try:
        with other.transaction() as session:
            account = accounts.by_username(session, "lee")
            assert account is not None
            account.name = "Dr. Lee"
            calendar = collections.built_in(session, account, "personal")
            collections.set_props(session, calendar, {}, clinic.clock())
            calendar.seq += 1
        assert client.propfind("/lee/", "D:displayname").xml.findtext(f".//{D}displayname") == "Dr. Lee"
        after = client.propfind("/lee/personal/", "D:getetag").prop(f"{D}getetag")
        assert before is not None and after is not None and before.text != after.text
        with other.transaction() as session:
            for secret in session.query(AppPassword).all():
                credentials.revoke(session, secret, clinic.clock())
        assert client.propfind("/lee/", "D:displayname").status == 401
    finally:
        other.dispose()


def test_login_with_the_email_address(lite: Clinic) -> None:
    assert Dav(lite.app, "lee@test.example", lite.passwords["lee"]).propfind("/lee/").status == 207


def test_options_tells_what_is_there(lite: Clinic) -> None:
    """Thunderbird and Evolution ask without a login first; what is announced in a home depends on the app password."""
    asked = Dav(lite.app).request("OPTIONS", "/lee/appointments/")
    assert asked.status == 401 and asked.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert Dav(lite.app).request("OPTIONS", "/").status == 200
    answer = lite.client("lee").request("OPTIONS", "/lee/appointments/")
    assert answer.status == 200
    tokens = [token.strip() for token in answer.headers["DAV"].split(",")]
    assert tokens == ["1", "3", "access-control", "calendar-access", "calendar-proxy", "extended-mkcol"]
    assert "REPORT" in answer.headers["Allow"] and "LOCK" not in answer.headers["Allow"]


@pytest.mark.parametrize("method", ["LOCK", "UNLOCK", "BIND", "TRACE", "NONSENSE", "POST"])
def test_methods_we_do_not_have_are_405(lee: Dav, method: str) -> None:
    assert lee.request(method, "/lee/appointments/").status == 405


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_xml_in_any_encoding(lee: Dav, encoding: str) -> None:
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><D:propertyupdate {NAMESPACES}><D:set><D:prop>'
        "<D:displayname>Ärzte</D:displayname></D:prop></D:set></D:propertyupdate>"
    )
    assert lee.request("PROPPATCH", "/lee/personal/", text.encode(encoding)).status == 207
    name = lee.propfind("/lee/personal/", "D:displayname").prop(f"{D}displayname")
    assert name is not None and name.text == "Ärzte"


def test_paths_that_are_not_ascii(lee: Dav) -> None:
    lee.request("MKCALENDAR", "/lee/Täglich 日/")
    path, href = "/lee/Täglich 日/Mittag&Café.ics", "/dav/lee/T%C3%A4glich%20%E6%97%A5/Mittag&Caf%C3%A9.ics"
    etag = lee.put(path, event()).headers["ETag"]
    listed = lee.propfind("/lee/Täglich 日/", "D:getetag", depth="1")
    assert href in listed.hrefs and lee.get(path).headers["ETag"] == etag
    for asked in (href, href.replace("&", "%26").replace("%C3", "%c3"), f"http://test/dav{path}"):
        given = f"<D:prop><D:getetag/></D:prop><D:href>{asked.replace('&', '&amp;')}</D:href>"
        found = lee.report("/lee/Täglich 日/", "C:calendar-multiget", given)
        assert found.statuses() == {f"{D}getetag": 200}, asked
    moved = lee.request("MOVE", path, headers={"Destination": "http://test/dav/lee/personal/%C3%BC.ics"})
    assert moved.status == 201
    assert lee.get("/lee/personal/ü.ics").status == 200 and lee.get(path).status == 404


@pytest.mark.parametrize("name", ["/evil", "evil", "/lee"])
def test_script_name_and_forwarded_headers_are_not_believed(lee: Dav, name: str) -> None:
    answer = lee.propfind(
        "/lee/",
        "D:owner",
        X_Script_Name=name,
        X_Forwarded_For="127.0.0.1",
        X_Forwarded_Host="evil",
        X_Remote_User="smith",
    )
    assert answer.status == 207
    assert answer.hrefs == ["/dav/lee/"]
    # Nor by Radicale, which sees what does not take the short way.
    longer = lee.request("PROPFIND", "/lee/", "", {"X-Script-Name": name, "Depth": "0"}, QUERY_STRING="a=b")
    assert (longer.status, longer.hrefs) == (207, ["/dav/lee/"])


def test_user_whose_name_begins_like_the_mount(lite: Clinic) -> None:
    with lite.db.transaction() as session:
        account = accounts.create_account(session, role="doctor", username="david", name="David", now=lite.clock())
        lite.passwords["david"] = credentials.add_app_password(session, account, "test", "solo", lite.clock())
    answer = lite.client("david").propfind("/david/", "D:displayname", X_Forwarded_For="127.0.0.1")
    assert answer.hrefs == ["/dav/david/"]


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "٣", "0x10", " "])
def test_content_length_that_is_no_number_is_400(lee: Dav, length: str) -> None:
    answer = lee.request("PUT", "/lee/personal/a.ics", CONTENT_LENGTH=length)
    assert answer.status == 400 or length == " "


def test_body_over_the_limit_is_413(lee: Dav) -> None:
    assert lee.request("PUT", "/lee/personal/a.ics", CONTENT_LENGTH=str(2_000_000)).status == 413
    assert lee.request("PUT", "/lee/personal/a.ics", CONTENT_LENGTH="9" * 4000).status == 413


def test_body_that_ends_early_is_400(lee: Dav) -> None:
    assert lee.request("PUT", "/lee/personal/a.ics", b"BEGIN", CONTENT_LENGTH="500").status == 400


def test_chunked_body_is_read(lee: Dav) -> None:
    text = event().encode()
    environ = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(text)}
    assert lee.request("PUT", "/lee/personal/a.ics", **environ).status == 201
    assert lee.get("/lee/personal/a.ics").body == text


def test_chunked_body_over_the_limit_is_413(lee: Dav) -> None:
    environ = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(b"x" * 2_000_000)}
    assert lee.request("PUT", "/lee/personal/a.ics", **environ).status == 413


def test_path_that_is_not_utf8_is_400(lee: Dav) -> None:
    assert lee.request("GET", "/", PATH_INFO="/lee/\xff").status == 400


def test_empty_put_of_the_root_is_harmless(lee: Dav) -> None:
    assert lee.request("PUT", "/", headers={"If-Match": "nothing"}).status == 405


def test_get_and_head_of_collections(lee: Dav) -> None:
    for path in ("/", "/lee/", "/lee/inbox/"):
        assert lee.get(path).status == 200
        assert lee.request("HEAD", path).body == b""
    assert lee.get("/lee/appointments/").headers["Content-Type"].startswith("text/calendar")


def test_compressed_answer_is_the_same(lee: Dav) -> None:
    import gzip

    plain = lee.propfind("/lee/", "D:displayname", depth="1")
    packed = lee.propfind("/lee/", "D:displayname", depth="1", Accept_Encoding="gzip, deflate")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
