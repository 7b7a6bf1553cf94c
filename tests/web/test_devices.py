"""Connecting a device: what each app is told, the profile for Apple's devices, what is connected, and its end."""

import plistlib
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask

from storage import accounts, credentials, logins
from storage.db import Database
from storage.models import AppPassword
from storage.settings import Settings, SettingsError, load_settings
from tests.conftest import missing
from web.app import create_app
from web.clinic import mobileconfig
from web.clinic.apps import APPS, signed_by

from .conftest import MONDAY, Clock, Person, said

WITH_PASSWORD = [slug for slug, app in APPS.items() if app.profiles]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"public_url": "https://clinic.example"})


@pytest.fixture(autouse=True)
def nothing_stamped_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses are noted once a minute in a process, and here every test has the same minute."""
    monkeypatch.setattr(credentials, "_stamped", {})


def shown(page: str) -> str:
    """The password on the page."""
    found = re.search(r'id="app-password">([^<]+)<', page)
    assert found
    return found[1]


def known(db: Database, username: str = "lee") -> list[AppPassword]:
    with db.reading() as session:
        account = accounts.by_username(session, username)
        assert account is not None
        return credentials.app_passwords(session, account)


def comes(db: Database, password: str, agent: str, now: datetime, username: str = "lee") -> bool:
    with db.transaction() as session:
        return credentials.check_app_password(session, username, password, agent, now) is not None


@pytest.mark.parametrize("slug", WITH_PASSWORD)
def test_each_app_gets_a_password_that_is_shown_once(lee: Person, db: Database, slug: str) -> None:
    page = lee.get(f"/devices/{slug}/")
    label = re.search(r'name="label"[^>]* value="([^"]+)"', page.text)
    assert label and known(db) == []
    page = lee.post(f"/devices/{slug}/", label=label[1])
    assert page.headers["Cache-Control"] == "no-store"
    assert comes(db, shown(page.text), "", MONDAY)
    assert [(each.label, each.profile) for each in known(db)] == [(label[1], "solo")]
    assert "<code id=" in page.text and "lee" in said(page)
    for path in (f"/devices/{slug}/", "/devices/"):
        assert shown(page.text) not in lee.get(path).text


def test_the_way_people_are_shown_is_chosen_where_the_app_can(lee: Person, db: Database) -> None:
    for slug in ("thunderbird", "android", "apple", "outlook"):
        lee.get(f"/devices/{slug}/")
        lee.post(f"/devices/{slug}/", label=slug, profile="full")
    lee.post("/devices/thunderbird/", label="nonsense", profile="nonsense")
    assert {each.label: each.profile for each in known(db)} == {
        "thunderbird": "full",
        "android": "full",
        "apple": "full",
        "outlook": "solo",
        "nonsense": "solo",
    }


def test_a_device_needs_a_name(lee: Person, db: Database) -> None:
    lee.get("/devices/thunderbird/")
    for path in ("/devices/thunderbird/", "/devices/apple/profile/"):
        answer = lee.post(path, label=" ")
        assert answer.status_code == 422 and "Give the device a name" in said(answer)
    assert known(db) == []


def test_davx5_is_opened_with_everything_filled_in(lee: Person) -> None:
    lee.get("/devices/android/")
    page = lee.post("/devices/android/", label="Phone")
    link = f"davx5://lee:{shown(page.text)}@clinic.example/dav/lee/"
    assert f'href="{link}"' in unescape(page.text)
    assert 'src="data:image/svg+xml' in page.text
    assert "lee@practice.example" in said(page)


def test_a_profile_adds_the_calendars_to_an_apple_device(lee: Person, db: Database) -> None:
    lee.get("/devices/apple/")
    answer = lee.post("/devices/apple/profile/", label="My iPad", profile="full")
    assert answer.mimetype == "application/x-apple-aspen-config"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="calendars.mobileconfig"'
    profile = plistlib.loads(answer.data)
    (account,) = profile.pop("PayloadContent")
    assert comes(db, account.pop("CalDAVPassword"), "", MONDAY)
    assert account == account | {
        "PayloadType": "com.apple.caldav.account",
        "PayloadVersion": 1,
        "CalDAVHostName": "clinic.example",
        "CalDAVPort": 443,
        "CalDAVUseSSL": True,
        "CalDAVPrincipalURL": "https://clinic.example/dav/lee/",
        "CalDAVUsername": "lee",
        "CalDAVAccountDescription": "Test Practice",
    }
    assert profile["PayloadType"] == "Configuration"
    assert account["PayloadIdentifier"].startswith(profile["PayloadIdentifier"] + ".")
    assert profile["PayloadIdentifier"].startswith("example.clinic.")
    assert [(each.label, each.profile) for each in known(db)] == [("My iPad", "full")]


def test_a_profile_is_signed_with_the_certificate_of_the_settings(settings: Settings, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        missing("no openssl")
    certificate, key = certified(tmp_path)
    told = settings.model_copy(update={"profile_certificate": certificate, "profile_key": key})
    (tmp_path / "signed").write_bytes(mobileconfig.signed(told, b"<plist/>"))
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", "signed", "-CAfile", "cert.pem", "-purpose", "any"]
    assert subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout == b"<plist/>"


def test_a_profile_goes_out_unsigned_when_the_certificate_cannot_be_used(
    db: Database, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    certificate, _key = certified(tmp_path)
    (tmp_path / "other").mkdir()
    _certificate, other = certified(tmp_path / "other")
    for key in (other, certificate, tmp_path / "gone.pem"):
        told = settings.model_copy(update={"profile_certificate": certificate, "profile_key": key})
        with pytest.raises(SettingsError):
            mobileconfig.signed(told, b"")
    person = Person(create_app(db, told, clock))
    person.log_in("lee")
    person.get("/devices/apple/")
    assert plistlib.loads(person.post("/devices/apple/profile/", label="iPhone").data)


def test_a_certificate_without_its_key_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="profile_certificate"):
        load_settings(home=tmp_path, profile_certificate=tmp_path / "cert.pem")


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "clinic.example")])
    begin = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def scanned(lee: Person, **form: str) -> str:
    """The path behind the code for a camera."""
    lee.get("/devices/apple/")
    page = lee.post("/devices/apple/code/", label="iPhone", **form)
    found = re.search(r'id="link">https://clinic.example(/connect/[^<]+/)<', page.text)
    assert found and 'src="data:image/svg+xml' in page.text
    return found[1]


def test_a_phone_gets_the_calendars_by_its_camera_once(lee: Person, visitor: Person, db: Database, app: Flask) -> None:
    link = scanned(lee, profile="full")
    assert known(db) == []
    assert "Dr. Min Lee" in said(visitor.get(link, User_Agent="Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X)"))
    assert visitor.post(link, label="").status_code == 422
    answer = visitor.post(link, label="My iPad")
    (account,) = plistlib.loads(answer.data)["PayloadContent"]
    assert comes(db, account["CalDAVPassword"], "", MONDAY)
    assert [(each.label, each.profile) for each in known(db)] == [("My iPad", "full")]
    again = visitor.post(link, label="My iPad")
    assert again.status_code == 404 and "works once" in said(again)
    assert visitor.get(link).status_code == 404
    # Nobody is logged in by it.
    assert visitor.get("/devices/").status_code == 302


def test_the_code_for_a_camera_ends_after_fifteen_minutes(lee: Person, visitor: Person, clock: Clock) -> None:
    link = scanned(lee)
    clock.forward(minutes=14)
    assert visitor.get(link).status_code == 200
    clock.forward(minutes=1)
    assert visitor.post(link, label="iPhone").status_code == 404


def test_a_login_link_is_no_code_for_a_camera(db: Database, visitor: Person) -> None:
    with db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        token = logins.create_login_link(session, lee, MONDAY)
    assert visitor.get(f"/connect/{token}/").status_code == 404
    assert visitor.get(f"/first-login/{token}").status_code == 200


def test_a_receptionist_connects_all_calendars_or_those_of_a_doctor(desk: Person, db: Database) -> None:
    def choices(slug: str) -> list[str]:
        return re.findall(r'<option value="(\w+)"', desk.get(f"/devices/{slug}/").text)

    assert choices("thunderbird") == choices("android") == ["desk", "smith", "lee"]
    assert choices("outlook") == choices("other") == ["smith", "lee", "desk"]
    assert choices("apple") == []
    page = desk.post("/devices/outlook/", label="Front desk", whose="lee")
    assert "https://clinic.example/dav/lee/" in page.text
    assert comes(db, shown(page.text), "", MONDAY, "desk")
    (account,) = plistlib.loads(desk.post("/devices/apple/profile/", label="Mac").data)["PayloadContent"]
    assert account["CalDAVPrincipalURL"] == "https://clinic.example/dav/desk/"
    assert desk.get("/devices/google/").status_code == 404


def test_a_doctor_connects_nobody_elses_calendars(lee: Person) -> None:
    lee.get("/devices/thunderbird/")
    page = lee.post("/devices/thunderbird/", label="Mine", whose="smith")
    assert "/dav/lee/" in page.text and "/dav/smith/" not in page.text


def test_patients_connect_no_devices(maria: Person) -> None:
    assert {maria.get(path).status_code for path in ("/devices/", "/devices/apple/")} == {404}


def test_the_list_says_which_app_used_a_password_and_when(lee: Person, db: Database, clock: Clock) -> None:
    lee.get("/devices/android/")
    password = shown(lee.post("/devices/android/", label="My phone").text)
    assert "Never used · made just now" in said(lee.get("/devices/"))
    comes(db, password, "DAVx5/4.4.3-ose (dav4jvm; okhttp/4.12) Android/14", clock.now)
    clock.forward(minutes=3)
    page = lee.get("/devices/")
    assert "My phone DAVx5 · 3 minutes ago" in said(page)
    assert 'title="Monday, 23 November 2026, 08:00"' in page.text


def test_a_password_is_revoked_with_one_click(lee: Person, db: Database) -> None:
    lee.get("/devices/other/")
    password = shown(lee.post("/devices/other/", label="My phone").text)
    revoke = re.search(r'action="(/devices/\d+/revoke/)"', lee.get("/devices/").text)
    assert revoke
    page = lee.follow(lee.post(revoke[1]))
    assert "The device can no longer connect." in said(page) and "My phone" not in page.text
    assert not comes(db, password, "", MONDAY)


def test_nobody_sees_or_revokes_the_password_of_another(lee: Person, app: Flask, db: Database) -> None:
    lee.get("/devices/other/")
    lee.post("/devices/other/", label="My phone")
    (mine,) = known(db)
    smith = Person(app)
    smith.log_in("smith")
    assert "My phone" not in smith.get("/devices/").text
    assert smith.post(f"/devices/{mine.id}/revoke/").status_code == 404
    assert smith.get(f"/devices/{mine.id}/state/").status_code == 404
    assert known(db) != []


def test_the_page_notices_when_the_app_has_signed_in(lee: Person, db: Database, clock: Clock) -> None:
    lee.get("/devices/thunderbird/")
    page = lee.post("/devices/thunderbird/", label="Mine")
    watch = re.search(r'hx-get="([^"]+)"', page.text)
    assert watch
    assert lee.get(watch[1]).status_code == 204
    comes(db, shown(page.text), "Mozilla/5.0 Gecko/20100101 Thunderbird/128.0", clock.now)
    answer = lee.get(watch[1])
    # 286 tells htmx to ask no more.
    assert answer.status_code == 286 and "Thunderbird has signed in" in said(answer)


def test_the_page_stops_asking_after_ten_minutes(lee: Person, clock: Clock) -> None:
    lee.get("/devices/thunderbird/")
    watch = re.search(r'hx-get="([^"]+)"', lee.post("/devices/thunderbird/", label="Mine").text)
    clock.forward(minutes=11)
    assert watch and lee.get(watch[1]).status_code == 286


def test_a_server_that_phones_cannot_reach_says_so(db: Database, settings: Settings, clock: Clock) -> None:
    for url, sentence in (
        ("http://127.0.0.1:8000", "A phone cannot reach this server yet."),
        ("http://clinic.example", "This server has no TLS."),
    ):
        person = Person(create_app(db, settings.model_copy(update={"public_url": url}), clock))
        person.log_in("lee")
        for slug in ("apple", "android"):
            assert sentence in said(person.get(f"/devices/{slug}/"))
    page = person.post("/devices/android/", label="Phone")
    assert "caldav://lee:" in page.text and "davx5://" not in page.text


def test_a_doctor_shares_busy_times_by_a_secret_address(lee: Person) -> None:
    page = lee.get("/devices/google/")
    assert re.search(r'value="busy" checked', page.text)
    page = lee.post("/devices/feeds/", level="busy", label="Google Calendar")
    address = re.search(r'id="feed-url">https://clinic.example(/feeds/[^<]+)<', page.text)
    assert address
    assert "BEGIN:VCALENDAR" in lee.get(address[1], User_Agent="Google-Calendar-Importer").text
    page = lee.get("/devices/")
    assert address[1] not in page.text and "Google Calendar · busy times only" in said(page)
    remove = re.search(r'action="(/devices/feeds/\d+/revoke/)"', page.text)
    assert remove
    lee.follow(lee.post(remove[1]))
    assert lee.get(address[1]).status_code == 404


def test_the_records_for_the_dns_are_there_to_copy(admin: Person, lee: Person) -> None:
    page = said(admin.get("/admin/discovery/"))
    assert "_caldavs._tcp.practice.example. 3600 IN SRV 0 1 443 clinic.example." in page
    assert '_caldavs._tcp.practice.example. 3600 IN TXT "path=/dav/"' in page
    assert "_caldavs._tcp.mail.example. 3600 IN SRV" in said(admin.get("/admin/discovery/?domain=Mail.Example."))
    bad = admin.get("/admin/discovery/?domain=a.example%20IN%20A")
    assert bad.status_code == 422 and "3600 IN" not in said(bad)
    assert lee.get("/admin/discovery/").status_code == 404


def test_without_tls_there_is_nothing_to_announce(db: Database, settings: Settings, clock: Clock) -> None:
    person = Person(create_app(db, settings.model_copy(update={"public_url": "http://127.0.0.1:8000"}), clock))
    person.log_in("admin")
    page = said(person.get("/admin/discovery/"))
    assert "nothing to announce yet" in page and "3600 IN" not in page


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("iOS/18.1 (22B83) dataaccessd/1.0", "iPhone or iPad"),
        ("macOS/15.0 (24A335) dataaccessd/1.0", "Calendar on a Mac"),
        ("Mac+OS+X/10.15.7 (19H2) CalendarAgent/930.5.1", "Calendar on a Mac"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0", "Thunderbird"),
        ("DAVx5/4.4.3-ose (2024/10/16; dav4jvm; okhttp/4.12.0) Android/14", "DAVx5"),
        ("Evolution/3.46.4", "Evolution or GNOME Calendar"),
        ("CalDavSynchronizer/4.4", "Outlook with CalDav Synchronizer"),
        ("vdirsyncer/0.19.0", "vdirsyncer"),
        ("Something/1.0 (<b>)", "Something"),
        ("", ""),
    ],
)
def test_apps_are_recognised_by_how_they_sign_themselves(agent: str, name: str) -> None:
    assert signed_by(agent) == name
