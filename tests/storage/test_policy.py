"""Who may do what: the table, role by role."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from ical.errors import Forbidden, NotFound
from storage.models import Account, Appointment, Collection, Feed, FollowUp, Patient, WaitlistEntry
from storage.policy import RULES, SYSTEM, VISITOR, Actor, PatientOf, can, require

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MARIA, PETER = uuid4(), uuid4()

LEE = Account(id=1, role="doctor", username="lee", approves_own_leave=False)
SMITH = Account(id=2, role="doctor", username="smith", approves_own_leave=True)
DESK = Account(id=3, role="receptionist", username="desk")

lee = Actor("account", "doctor", 1, "lee")
smith = Actor("account", "doctor", 2, "smith")
desk = Actor("account", "receptionist", 3, "desk")
admin = Actor("account", "admin", 4, "root")
maria = Actor("account", "patient", 5, "maria", patient_id=MARIA)
peter = Actor("account", "patient", 6, "peter", patient_id=PETER)

VISIT = Appointment(id=uuid4(), doctor_id=1, patient_id=MARIA)
link = Actor("link", link_to=VISIT.id)
other_link = Actor("link", link_to=uuid4())
ENTRY = WaitlistEntry(id=uuid4(), doctor_id=1, patient_id=MARIA)
FOLLOW_UP = FollowUp(id=uuid4(), doctor_id=1, patient_id=MARIA)
OPEN_ENTRY = WaitlistEntry(id=uuid4(), doctor_id=None, patient_id=MARIA)
SET_ENTRY = WaitlistEntry(id=uuid4(), doctor_set="1,2", patient_id=MARIA)
OTHER_SET_ENTRY = WaitlistEntry(id=uuid4(), doctor_set="1,22", patient_id=MARIA)

EVERYBODY = {"lee": lee, "smith": smith, "desk": desk, "admin": admin, "maria": maria, "peter": peter}
EVERYBODY |= {"visitor": VISITOR, "link": link, "other_link": other_link}


def allowed(action: str, obj: object) -> set[str]:
    return {name for name, actor in EVERYBODY.items() if can(actor, action, obj)}


@pytest.mark.parametrize(
    "action,obj,who",
    [
        ("slots.read", LEE, "lee smith desk admin maria peter visitor link other_link"),
        ("appointment.book", LEE, "lee desk admin maria peter visitor link other_link"),
        ("appointment.overrule", LEE, "lee desk admin"),
        ("appointment.read", VISIT, "lee desk admin maria link"),
        ("appointment.change", VISIT, "lee desk admin maria link"),
        ("appointment.status", VISIT, "lee desk admin"),
        ("request.read", VISIT, "lee desk admin maria link"),
        ("request.decide", VISIT, "lee desk admin"),
        ("request.withdraw", VISIT, "lee desk admin maria link"),
        ("bulk.change", LEE, "lee desk admin"),
        ("doctor_notes.read", VISIT, "lee"),
        ("doctor_notes.write", VISIT, "lee"),
        ("patient.read", Patient(id=MARIA), "desk maria"),
        ("patient.read", PatientOf(MARIA, frozenset({1})), "lee desk maria"),
        ("patient.search", None, "lee smith desk"),
        ("no_show.waive", PatientOf(MARIA, frozenset({1})), "lee desk"),
        ("calendar.read", Collection(owner_id=1, kind="appointments"), "lee desk"),
        ("calendar.write", Collection(owner_id=1, kind="hours"), "lee desk"),
        ("calendar.read", Collection(owner_id=1, kind="plain"), "lee"),
        ("calendar.read", Collection(owner_id=3, kind="plain"), "desk"),
        ("calendar.read", Collection(owner_id=1, kind="inbox"), "lee"),
        ("calendar.create", LEE, "lee"),
        ("calendar.create", DESK, "desk"),
        ("leave.request", LEE, "lee desk admin"),
        ("leave.approve", LEE, "desk admin"),
        ("leave.approve", SMITH, "smith desk admin"),
        ("waitlist.read", ENTRY, "lee desk admin maria"),
        ("waitlist.read", OPEN_ENTRY, "lee smith desk admin maria"),
        ("waitlist.read", SET_ENTRY, "lee smith desk admin maria"),
        ("waitlist.read", OTHER_SET_ENTRY, "lee desk admin maria"),
        ("waitlist.change", ENTRY, "lee desk admin maria"),
        ("waitlist.offer", LEE, "lee desk admin"),
        ("offer.answer", ENTRY, "lee desk admin maria"),
        ("follow_up.read", FOLLOW_UP, "lee desk admin maria"),
        ("follow_up.book", FOLLOW_UP, "lee desk admin maria"),
        ("follow_up.write", FOLLOW_UP, "lee desk admin"),
        ("versions.read", LEE, "lee desk admin"),
        ("versions.restore", LEE, "lee desk admin"),
        ("types.write", None, "admin"),
        ("users.write", LEE, "admin"),
        ("audit.read", None, "admin"),
        ("app_passwords.write", LEE, "lee admin"),
        ("account.write", LEE, "lee"),
        ("feeds.write", LEE, "lee desk admin"),
        ("feeds.write", Feed(patient_id=MARIA), "desk admin maria"),
        ("analytics.read", LEE, "lee desk admin"),
        ("analytics.read", None, "desk admin"),
    ],
)
def test_the_table_lets_in_whom_it_should_and_nobody_else(action: str, obj: object, who: str) -> None:
    assert allowed(action, obj) == set(who.split())


@pytest.mark.parametrize("action", sorted(RULES))
def test_every_action_denies_a_stranger_without_a_role(action: str) -> None:
    stranger = Actor("account", "", 99, "x")
    assert not can(stranger, action, None) and not can(stranger, action, LEE)


@pytest.mark.parametrize("action", sorted(RULES))
def test_the_system_may_do_everything(action: str) -> None:
    assert can(SYSTEM, action, None)


def test_an_unknown_action_is_a_mistake_in_the_program() -> None:
    with pytest.raises(KeyError):
        can(SYSTEM, "appointment.eat", None)


def test_what_somebody_may_not_even_see_looks_as_if_it_did_not_exist() -> None:
    with pytest.raises(NotFound):
        require(peter, "appointment.change", VISIT)
    with pytest.raises(NotFound):
        require(smith, "calendar.write", Collection(owner_id=1, kind="appointments"))


def test_what_somebody_may_see_but_not_do_is_forbidden() -> None:
    with pytest.raises(Forbidden):
        require(maria, "appointment.status", VISIT)
    with pytest.raises(Forbidden):
        require(lee, "types.write")
    with pytest.raises(Forbidden):
        require(lee, "leave.approve", LEE)


def test_an_object_without_a_policy_is_a_mistake_in_the_program() -> None:
    with pytest.raises(TypeError):
        can(lee, "appointment.read", "something")
