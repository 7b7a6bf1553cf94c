"""Accounts, passwords, app passwords, tokens, browser sessions, one-shot links and patients."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from ical.errors import InvalidInput, TooManyAttempts
from storage import accounts, collections, credentials, logins, passwords
from storage.db import Database
from storage.models import Account, AppPassword, Collection, LoginAttempt, Patient, Resource, WebSession

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
GOOD = "violet tractor 9 lanterns"


@pytest.fixture(autouse=True)
def fresh_stamps() -> Iterator[None]:
    yield
    credentials._stamped.clear()


def create(db: Database, username: str = "lee", role: str = "doctor", **more: Any) -> Account:
    with db.transaction() as session:
        return accounts.create_account(
            session, role=role, username=username, name=more.pop("name", "Dr. Kim Lee"), now=NOW, **more
        )


def test_a_doctor_gets_a_resource_and_all_calendars(database: Database) -> None:
    account = create(database)
    with database.reading() as session:
        assert session.scalar(select(Resource.account_id)) == account.id
        names = {collection.name: collection.kind for collection in collections.home(session, account)}
    assert names == {
        "appointments": "appointments",
        "hours": "hours",
        "leave": "leave",
        "waitlist": "waitlist",
        "inbox": "inbox",
        "personal": "plain",
    }


def test_a_receptionist_gets_a_home_without_clinical_calendars(database: Database) -> None:
    account = create(database, "desk", "receptionist")
    with database.reading() as session:
        assert {c.name for c in collections.home(session, account)} == {"inbox", "personal"}
        assert session.scalar(select(func.count()).select_from(Resource)) == 0


def test_a_patient_gets_a_record_and_no_home(database: Database) -> None:
    account = create(database, "maria", "patient", name="Maria Huber", email="Maria@Mail.Example")
    with database.reading() as session:
        assert collections.home(session, account) == []
        patient = accounts.patient_of(session, account)
        assert patient is not None and (patient.name, patient.email) == ("Maria Huber", "Maria@mail.example")


@pytest.mark.parametrize("username", ["lee", "dr.lee", "lee-2", "x", "maria@mail.example", "a" * 64])
def test_a_username_of_letters_and_signs_is_taken(database: Database, username: str) -> None:
    assert create(database, username).username == username


@pytest.mark.parametrize("username", ["", "Lee", "any", "dav", "-lee", "lee.", "l/ee", "le e", "lée", "a" * 65, ".."])
def test_a_username_that_would_break_paths_is_refused(database: Database, username: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(database, username)
    assert refused.value.field == "username"


def test_a_username_is_given_once(database: Database) -> None:
    create(database)
    with pytest.raises(InvalidInput):
        create(database)


@pytest.mark.parametrize("field,value", [("role", "king"), ("timezone", "Mars/Olympus"), ("email", "nobody")])
def test_a_field_that_cannot_be_used_is_named(database: Database, field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(database, **{field: value})
    assert refused.value.field == field


# Passwords


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "aaaaaaaaaaaaaaaa",
        "passwordpassword",
        "Password12345!",
        "qwertyuiop1234",
        "123456789012345",
        "kimleekimlee1",
        "testpractice2026",
        "admin-admin-admin",
        "x" * 300,
    ],
)
def test_a_weak_password_is_refused(database: Database, password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(database, password=password)
    assert refused.value.field == "password"


@pytest.mark.parametrize("password", [GOOD, "9f3kq71mx0zw", "4815162342108", "übermäßig große Öfen", "пароль из слов"])
def test_a_good_password_is_taken(database: Database, password: str) -> None:
    create(database, password=password)
    found = passwords.check_password(database, "lee", password, "192.0.2.1", NOW)
    assert found is not None and found.username == "lee"


def test_patients_need_longer_passwords(database: Database) -> None:
    with pytest.raises(InvalidInput):
        create(database, "maria", "patient", password="velvetdrum42")
    create(database, "lee", password="velvetdrum42")


def test_a_wrong_password_an_unknown_name_and_a_disabled_account_are_all_nobody(database: Database) -> None:
    create(database, password=GOOD)
    create(database, "smith", password=GOOD)
    create(database, "desk", "receptionist")
    with database.transaction() as session:
        account = accounts.by_username(session, "smith")
        assert account is not None
        accounts.disable(session, account, NOW)
    for username, password in [("lee", "wrong"), ("nobody", GOOD), ("smith", GOOD), ("desk", GOOD), ("desk", "")]:
        assert passwords.check_password(database, username, password, "192.0.2.1", NOW) is None


def test_an_unknown_name_costs_as_much_hashing_as_a_known_one() -> None:
    assert not passwords._HASHER.check_needs_rehash(passwords._NOBODY)


def test_the_name_is_typed_in_any_case(database: Database) -> None:
    create(database, password=GOOD)
    assert passwords.check_password(database, " Lee ", GOOD, "192.0.2.1", NOW) is not None


def test_failed_logins_make_the_next_one_wait_longer_and_longer(database: Database) -> None:
    create(database, password=GOOD)
    now, waits = NOW, []
    for _ in range(12):
        try:
            passwords.check_password(database, "lee", "wrong", "192.0.2.1", now)
        except TooManyAttempts as error:
            waits.append(error.seconds)
            now += timedelta(seconds=error.seconds)
    assert waits == sorted(waits) and len(waits) >= 4 and waits[0] <= 3
    with pytest.raises(TooManyAttempts):
        passwords.check_password(database, "lee", "wrong", "192.0.2.1", now)
        passwords.check_password(database, "lee", GOOD, "198.51.100.7", now)
    assert passwords.check_password(database, "lee", GOOD, "192.0.2.1", now + timedelta(minutes=5)) is not None


def test_no_account_is_locked_for_good(database: Database) -> None:
    create(database, password=GOOD)
    now = NOW
    for _ in range(60):
        try:
            passwords.check_password(database, "lee", "wrong", f"192.0.2.{_}", now)
        except TooManyAttempts as error:
            assert error.seconds <= 301
            now += timedelta(seconds=error.seconds)
    assert passwords.check_password(database, "lee", GOOD, "198.51.100.7", now + timedelta(minutes=6)) is not None


def test_one_address_that_tries_many_names_is_slowed_down(database: Database) -> None:
    with pytest.raises(TooManyAttempts):
        for number in range(30):
            passwords.check_password(database, f"name{number}", "wrong", "192.0.2.1", NOW)


def test_a_clock_that_jumps_back_locks_nobody_out(database: Database) -> None:
    create(database, password=GOOD)
    for number in range(6):
        with pytest.raises(TooManyAttempts) if number > 3 else _nothing():
            passwords.check_password(database, "lee", "wrong", "192.0.2.1", NOW)
    with pytest.raises(TooManyAttempts) as refused:
        passwords.check_password(database, "lee", GOOD, "192.0.2.1", NOW - timedelta(hours=3))
    assert refused.value.seconds <= 301


def test_a_login_clears_the_failures_before_it(database: Database) -> None:
    create(database, password=GOOD)
    for _ in range(4):
        passwords.check_password(database, "lee", "wrong", "192.0.2.1", NOW)
    later = NOW + timedelta(minutes=6)
    assert passwords.check_password(database, "lee", GOOD, "192.0.2.1", later) is not None
    for _ in range(4):
        assert passwords.check_password(database, "lee", "wrong", "192.0.2.1", later) is None


def test_what_was_typed_as_a_name_is_not_kept(database: Database) -> None:
    passwords.check_password(database, GOOD, "oops", "192.0.2.1", NOW)
    with database.reading() as session:
        assert not any("violet" in key or "192" in key for key in session.scalars(select(LoginAttempt.key)))


# App passwords and tokens


def test_an_app_password_lets_in_with_name_or_email_however_it_is_typed(database: Database) -> None:
    account = create(database, email="kim@clinic.example")
    with database.transaction() as session:
        secret = credentials.add_app_password(session, account, "Phone", "full", NOW)
    assert len(secret.replace("-", "")) == 8 + 26
    for username in ("lee", "Lee", "kim@clinic.example"):
        for typed in (secret, secret.upper(), secret.replace("-", ""), f" {secret} "):
            with database.reading() as session:
                found = credentials.check_app_password(session, username, typed, "DAVx5", NOW)
                assert found is not None and (found[0].id, found[1].profile) == (account.id, "full")


def test_a_wrong_revoked_or_foreign_app_password_lets_nobody_in(database: Database) -> None:
    account = create(database)
    create(database, "smith")
    with database.transaction() as session:
        secret = credentials.add_app_password(session, account, "Phone", "solo", NOW)
    changed = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    with database.reading() as session:
        for username, typed in [("lee", changed), ("smith", secret), ("lee", ""), ("", secret), ("lee", secret[:8])]:
            assert credentials.check_app_password(session, username, typed, "", NOW) is None
    with database.transaction() as session:
        credentials.revoke(session, credentials.app_passwords(session, account)[0], NOW)
    with database.reading() as session:
        assert credentials.check_app_password(session, "lee", secret, "", NOW) is None


def test_the_secret_itself_is_not_in_the_database(database: Database) -> None:
    account = create(database)
    with database.transaction() as session:
        secret = credentials.add_app_password(session, account, "Phone", "solo", NOW)
        row = session.scalars(select(AppPassword)).one()
        assert secret.startswith(row.prefix) and row.digest not in secret and secret[9:] not in str(vars(row))


def test_the_last_use_is_stamped_at_most_once_a_minute(database: Database) -> None:
    account = create(database)
    with database.transaction() as session:
        secret = credentials.add_app_password(session, account, "Phone", "solo", NOW)

    def last_use(at: datetime, agent: str) -> tuple[datetime | None, str]:
        with database.reading() as session:
            assert credentials.check_app_password(session, "lee", secret, agent, at)
        with database.reading() as session:
            row = session.scalars(select(AppPassword)).one()
            return row.last_used_at, row.last_agent

    assert last_use(NOW, "DAVx5/4.5\r\nX: y") == (NOW, "DAVx5/4.5  X: y")
    assert last_use(NOW + timedelta(seconds=59), "other")[0] == NOW
    assert last_use(NOW + timedelta(seconds=60), "other") == (NOW + timedelta(seconds=60), "other")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_reader_does_not_wait_for_a_writer_to_stamp_the_last_use(database: Database, settings: Any) -> None:
    account = create(database)
    with database.transaction() as session:
        secret = credentials.add_app_password(session, account, "Phone", "solo", NOW)
    other = Database(settings.database_url, settings)
    with other.transaction():
        began = datetime.now(UTC)
        with database.reading() as session:
            assert credentials.check_app_password(session, "lee", secret, "", NOW)
        assert datetime.now(UTC) - began < timedelta(seconds=2)
    with database.reading() as session:
        assert credentials.check_app_password(session, "lee", secret, "", NOW)
    with database.reading() as session:
        assert session.scalars(select(AppPassword)).one().last_used_at == NOW
    other.dispose()


def test_an_api_token_lets_in_until_it_is_revoked(database: Database) -> None:
    account = create(database)
    with database.transaction() as session:
        token = credentials.add_api_token(session, account, "Lab", NOW)
    with database.reading() as session:
        found = credentials.check_api_token(session, token, NOW)
        assert found is not None and found.id == account.id
        assert credentials.check_api_token(session, token + "x", NOW) is None
    with database.transaction() as session:
        row = credentials.api_tokens(session, account)[0]
        assert row.last_used_at == NOW
        credentials.revoke(session, row, NOW)
        assert credentials.check_api_token(session, token, NOW) is None


def test_the_secrets_of_a_disabled_account_let_nobody_in(database: Database) -> None:
    account = create(database)
    with database.transaction() as session:
        secret = credentials.add_app_password(session, account, "Phone", "solo", NOW)
        token = credentials.add_api_token(session, account, "Lab", NOW)
        cookie = logins.new_session(session, account, {}, NOW)
    with database.transaction() as session:
        accounts.disable(session, session.get_one(Account, account.id), NOW)
    with database.reading() as session:
        assert credentials.check_app_password(session, "lee", secret, "", NOW) is None
        assert credentials.check_api_token(session, token, NOW) is None
        assert logins.load_session(session, cookie, NOW) is None


# Browser sessions and links


def test_a_session_ends_when_idle_and_when_old(database: Database) -> None:
    staff, patient = create(database), create(database, "maria", "patient", name="Maria")
    with database.transaction() as session:
        for account, idle in ((staff, 15), (patient, 30), (None, 30)):
            token = logins.new_session(session, account, {"a": 1}, NOW)
            assert logins.load_session(session, token, NOW + timedelta(minutes=idle - 1)) is not None
            assert logins.load_session(session, token, NOW + timedelta(minutes=idle)) is None
            for hour in range(1, 60):
                logins.save_session(session, token, {"a": 2}, NOW + timedelta(minutes=12 * hour))
            assert logins.load_session(session, token, NOW + timedelta(hours=11, minutes=50)) is not None
            assert logins.load_session(session, token, NOW + timedelta(hours=12)) is None


def test_a_new_password_ends_the_sessions(database: Database) -> None:
    account = create(database, password=GOOD)
    with database.transaction() as session:
        token = logins.new_session(session, account, {}, NOW)
        passwords.set_password(session, session.get_one(Account, account.id), "another fine passphrase", NOW)
        assert logins.load_session(session, token, NOW) is None
    assert passwords.check_password(database, "lee", GOOD, "192.0.2.1", NOW) is None


def test_a_session_that_has_ended_is_not_revived_by_saving_it(database: Database) -> None:
    with database.transaction() as session:
        token = logins.new_session(session, None, {}, NOW)
        logins.end_session(session, token, NOW)
        logins.save_session(session, token, {}, NOW)
        assert session.scalar(select(func.count()).select_from(WebSession)) == 0


def test_a_login_link_works_once_and_for_half_an_hour(database: Database) -> None:
    account = create(database, "root", "admin")
    with database.transaction() as session:
        token = logins.create_login_link(session, account, NOW)
        late = logins.create_login_link(session, account, NOW)
    with database.transaction() as session:
        assert logins.use_login_link(session, token, NOW, kind="password") is None
        assert logins.find_login_link(session, token, NOW) is not None
        used = logins.use_login_link(session, token, NOW + timedelta(minutes=29))
        assert used is not None and used.id == account.id
        assert logins.use_login_link(session, token, NOW + timedelta(minutes=29)) is None
        assert logins.use_login_link(session, late, NOW + timedelta(minutes=30)) is None
        assert logins.use_login_link(session, "guess", NOW) is None


# Patients


def test_the_same_person_is_found_again(database: Database) -> None:
    with database.transaction() as session:
        first = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "+43 1 5550100", NOW)
        for name, email, phone in [
            ("Maria Huber", "maria@mail.example", "+4315550100"),
            (" maria  huber", "maria@MAIL.example", ""),
        ]:
            assert accounts.find_or_create_patient(session, name, email, phone, NOW).id == first.id


def test_another_person_with_the_same_address_is_another_patient(database: Database) -> None:
    with database.transaction() as session:
        first = accounts.find_or_create_patient(session, "Maria Huber", "family@mail.example", "", NOW)
        child = accounts.find_or_create_patient(session, "Paul Huber", "family@mail.example", "", NOW)
        assert first.id != child.id


def test_a_visitor_cannot_put_their_phone_number_on_somebody_else(database: Database) -> None:
    with database.transaction() as session:
        first = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", NOW)
        other = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "+436641234567", NOW)
        assert other.id != first.id
        assert session.get_one(Patient, first.id).phone == ""


def test_walk_ins_without_any_contact_stay_apart(database: Database) -> None:
    with database.transaction() as session:
        first = accounts.find_or_create_patient(session, "Maria Huber", "", "", NOW)
        assert accounts.find_or_create_patient(session, "Maria Huber", "", "", NOW).id != first.id


@pytest.mark.parametrize(
    "email", ["a@b\r\nBcc: c@d", "a b@c.example", "a@", "@b", "a@b@c", "a,b@c.example", "<a@b>", "ü@b.example"]
)
def test_an_address_that_could_do_harm_is_refused(email: str) -> None:
    with pytest.raises(InvalidInput):
        accounts.clean_email(email)


def test_an_international_domain_is_kept_as_ascii() -> None:
    assert accounts.clean_email("info@Müller.example") == "info@xn--mller-kva.example"


@pytest.mark.parametrize(
    "typed,kept",
    [("+43 (1) 555-01.00", "+4315550100"), ("0664 / 123 45 67", "06641234567"), ("+1 202-555-0143", "+12025550143")],
)
def test_a_phone_number_is_kept_without_ornaments(typed: str, kept: str) -> None:
    assert accounts.clean_phone(typed) == kept


@pytest.mark.parametrize("phone", ["call me", "+43 1 555 0100; rm", "123", "+" * 10, "1" * 40])
def test_what_is_no_phone_number_is_refused(phone: str) -> None:
    with pytest.raises(InvalidInput):
        accounts.clean_phone(phone)


def test_a_name_is_one_line() -> None:
    assert accounts.clean_name(" Maria\r\nBcc: x\u2028 Huber\x00 ") == "Maria Bcc: x Huber"
    for name in ("", " \n", "x" * 201):
        with pytest.raises(InvalidInput):
            accounts.clean_name(name)


# Collections


def test_a_plain_calendar_is_made_and_removed_with_all_that_is_in_it(database: Database) -> None:
    account = create(database)
    with database.transaction() as session:
        made = collections.create(session, account, "holidays", {}, "VEVENT", NOW)
        assert collections.find(session, "lee", "holidays") is made and made.kind == "plain"
        collections.remove(session, made)
        assert collections.find(session, "lee", "holidays") is None


def test_every_calendar_has_a_name_a_colour_and_a_time_zone(database: Database) -> None:
    create(database)
    with database.reading() as session:
        for collection in session.scalars(select(Collection)):
            assert collection.props[collections.DISPLAYNAME] and collection.props[collections.COLOUR]
            assert "BEGIN:VTIMEZONE" in collection.props[collections.TIMEZONE]
            assert len(collection.epoch) == 16


class _nothing:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass
