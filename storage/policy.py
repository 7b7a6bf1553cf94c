"""Who may do what: one table, deny by default, asked by pages, the API, CalDAV, tasks and commands alike.

Patients reach what is theirs, doctors their own calendar and the patients in it, receptionists the calendars of
all doctors but no clinical notes, admins the configuration. Admins may also book and read appointments as staff
(their API tokens are what other programs use), but no patient's record and no clinical notes. A link in a mail
reaches the one appointment or waitlist entry that it was made for.
"""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from ical.errors import Forbidden, NotFound
from storage.models import Account, Appointment, Collection, Feed, FollowUp, Patient, WaitlistEntry

Kind = Literal["account", "link", "visitor", "system"]
Scope = Literal["own", "any"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever acts. `label` is what the history and the audit show; `link_to` is all that a link reaches."""

    kind: Kind
    role: str = ""
    account_id: int | None = None
    username: str = ""
    patient_id: UUID | None = None
    via: str = ""
    label: str = ""
    link_to: UUID | None = None

    @property
    def is_staff(self) -> bool:
        return self.kind == "system" or (self.kind == "account" and self.role in STAFF)


@dataclass(frozen=True, slots=True)
class PatientOf:
    """A patient with the doctors who treat them (`accounts.doctors_of`)."""

    patient_id: UUID
    doctor_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Facts:
    doctor_ids: frozenset[int] = frozenset()
    owner_id: int | None = None
    patient_id: UUID | None = None
    link_id: UUID | None = None
    # Every doctor's alike
    any_doctor: bool = False
    # Its existence is known to everybody
    public: bool = False
    # Nobody but its owner reaches it, whatever their role
    private: bool = False


STAFF = frozenset({"doctor", "receptionist", "admin"})
VISITOR = Actor("visitor", label="visitor")
SYSTEM = Actor("system", via="task", label="ClinicDAV")

_EVERYBODY: dict[str, Scope] = {
    "visitor": "any",
    "link": "any",
    "patient": "any",
    "doctor": "any",
    "receptionist": "any",
    "admin": "any",
}
_PARTIES: dict[str, Scope] = {
    "link": "own",
    "patient": "own",
    "doctor": "own",
    "receptionist": "any",
    "admin": "any",
}
_STAFF: dict[str, Scope] = {"doctor": "own", "receptionist": "any", "admin": "any"}
_DESK: dict[str, Scope] = {"doctor": "own", "receptionist": "any"}
_OWN: dict[str, Scope] = {"patient": "own", "doctor": "own", "receptionist": "own", "admin": "own"}
_COLLEAGUES: dict[str, Scope] = {"doctor": "any", "receptionist": "any", "admin": "any"}
_ADMIN: dict[str, Scope] = {"admin": "any"}

# action → role → which objects. A role that is missing may not.
RULES: dict[str, dict[str, Scope]] = {
    "doctors.read": _EVERYBODY,
    "types.read": _EVERYBODY,
    "slots.read": _EVERYBODY,
    "hold.create": _EVERYBODY,
    "hold.release": _EVERYBODY,
    "appointment.book": {**_EVERYBODY, "doctor": "own"},
    # outside the hours, on leave, over another appointment, types that are staff only
    "appointment.overrule": _STAFF,
    "appointment.read": _PARTIES,
    "appointment.change": _PARTIES,
    "appointment.confirm": _PARTIES,
    # arrive, start, complete, no-show, cancel in the doctor's name
    "appointment.status": _STAFF,
    # what patients ask for: staff answer, and whoever asked may take it back
    "request.read": _PARTIES,
    "request.decide": _STAFF,
    "request.withdraw": _PARTIES,
    # the visits of a doctor who cannot come, all at once
    "bulk.change": _STAFF,
    "doctor_notes.read": {"doctor": "own"},
    "doctor_notes.write": {"doctor": "own"},
    # ORGANIZER and ATTENDEE in a calendar app: in another account's app the event would be somebody else's, and locked
    "attendees.read": {"doctor": "own"},
    # of doctors; of anybody else but oneself nobody's
    "free_busy.read": _COLLEAGUES,
    "patient.read": {"patient": "own", **_DESK},
    "patient.write": {"patient": "own", **_DESK},
    # what a patient has missed counts no more
    "no_show.waive": _DESK,
    "patient.search": {"doctor": "any", "receptionist": "any"},
    "home.read": {"doctor": "own", "receptionist": "any", "admin": "own"},
    "calendar.read": {"doctor": "own", "receptionist": "any", "admin": "own"},
    "calendar.write": {"doctor": "own", "receptionist": "any", "admin": "own"},
    "calendar.create": {"doctor": "own", "receptionist": "own", "admin": "own"},
    "calendar.delete": {"doctor": "own", "receptionist": "own", "admin": "own"},
    # rooms, machines and assistants, whom nobody logs in as; `schedule`: what is written into their calendars
    "resources.read": _COLLEAGUES,
    "resources.schedule": {"receptionist": "any"},
    "resources.write": _ADMIN,
    "hours.read": _STAFF,
    "hours.write": _STAFF,
    "leave.read": _STAFF,
    "leave.request": _STAFF,
    "leave.approve": _STAFF,
    "follow_up.read": _PARTIES,
    "follow_up.book": _PARTIES,
    # propose, dismiss
    "follow_up.write": _STAFF,
    # former texts of a doctor's calendars: who changed what, and how a day stood
    "versions.read": _STAFF,
    "versions.restore": _STAFF,
    "waitlist.join": _EVERYBODY,
    "waitlist.read": _PARTIES,
    "waitlist.change": _PARTIES,
    "waitlist.withdraw": _PARTIES,
    # a time by hand, or one agreed on the telephone: of this doctor
    "waitlist.offer": _STAFF,
    "offer.answer": _PARTIES,
    "types.write": _ADMIN,
    "users.read": _ADMIN,
    "users.write": _ADMIN,
    "settings.write": _ADMIN,
    "rules.read": {"doctor": "any", "receptionist": "any", "admin": "any"},
    "audit.read": _ADMIN,
    "account.write": _OWN,
    "app_passwords.write": {"doctor": "own", "receptionist": "own", "admin": "any"},
    "tokens.write": {"doctor": "own", "receptionist": "own", "admin": "any"},
    "feeds.write": {"patient": "own", "doctor": "own", "receptionist": "any", "admin": "any"},
    "analytics.read": _STAFF,
}

CALENDARS_OF_THE_PRACTICE = frozenset({"appointments", "hours", "leave", "waitlist"})


def can(actor: Actor, action: str, obj: object = None) -> bool:
    """Whether `actor` may do `action` to `obj`: an Account (the doctor, or the owner), Appointment, Patient,
    PatientOf, WaitlistEntry, Collection or Feed; None for the action as such. KeyError for an unknown action."""
    scopes = RULES[action]
    if actor.kind == "system":
        return True
    facts = _facts(obj)
    role = actor.role if actor.kind == "account" else actor.kind
    scope = scopes.get(role)
    if scope is None:
        return False
    own = _is_own(actor, facts)
    if action == "leave.approve" and actor.role == "doctor":
        return own and isinstance(obj, Account) and obj.approves_own_leave
    if facts.private or (action in ("home.read", "free_busy.read") and not facts.public):
        return own
    return scope == "any" or own


def require(actor: Actor, action: str, obj: object = None) -> None:
    """Raises NotFound where the object's very existence is not for this actor, Forbidden otherwise."""
    if can(actor, action, obj):
        return
    read = action.split(".")[0] + ".read"
    hidden = obj is not None and not _facts(obj).public and not (read in RULES and can(actor, read, obj))
    raise NotFound() if hidden else Forbidden()


def _is_own(actor: Actor, facts: _Facts) -> bool:
    if actor.kind == "link":
        return facts.link_id is not None and facts.link_id == actor.link_to
    if actor.role == "patient" and facts.patient_id is not None:
        return facts.patient_id == actor.patient_id
    if actor.account_id is None:
        return False
    if facts.any_doctor and actor.role == "doctor":
        return True
    if facts.owner_id is not None:
        return facts.owner_id == actor.account_id
    return actor.account_id in facts.doctor_ids


def _facts(obj: object) -> _Facts:
    match obj:
        case Account():
            return _Facts(frozenset({obj.id}), owner_id=obj.id, public=obj.role in ("doctor", "resource"))
        case Appointment():
            return _Facts(frozenset({obj.doctor_id}), patient_id=obj.patient_id, link_id=obj.id)
        case WaitlistEntry():
            return _Facts(obj.doctor_ids, patient_id=obj.patient_id, link_id=obj.id, any_doctor=not obj.doctor_ids)
        case FollowUp():
            return _Facts(frozenset({obj.doctor_id}), patient_id=obj.patient_id, link_id=obj.id)
        case Patient():
            return _Facts(owner_id=obj.account_id, patient_id=obj.id)
        case PatientOf():
            return _Facts(obj.doctor_ids, patient_id=obj.patient_id)
        case Collection():
            return _Facts(owner_id=obj.owner_id, private=obj.kind not in CALENDARS_OF_THE_PRACTICE)
        case Feed():
            return _Facts(owner_id=obj.account_id, patient_id=obj.patient_id)
        case None:
            return _Facts()
    raise TypeError(f"no policy for a {type(obj).__name__}")
