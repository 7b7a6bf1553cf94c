"""The life of an appointment: eight statuses, what leads from one to another, how each looks. RFC 5545 §3.8.1.11."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ical.errors import IllegalTransition

STATUSES: dict[str, str] = {
    "scheduled": "Scheduled",
    "confirmed": "Confirmed",
    "in_progress": "In progress",
    "completed": "Completed",
    "cancelled_patient": "Cancelled by patient",
    "cancelled_doctor": "Cancelled by doctor",
    "no_show": "No-show",
    "rescheduled": "Rescheduled",
}
CANCELLED = frozenset({"cancelled_patient", "cancelled_doctor"})
# Those that hold minutes.
ACTIVE = frozenset(STATUSES) - CANCELLED
TERMINAL = CANCELLED | {"completed", "no_show"}

# A doctor who is early may finish or give up a visit a little before its time.
EARLY = timedelta(minutes=15)

_AWAITED = frozenset({"scheduled", "confirmed", "rescheduled"})
# action → (from which statuses, to which). None: the status stays (arriving) or depends on who acts (cancelling).
_TRANSITIONS: dict[str, tuple[frozenset[str], str | None]] = {
    "confirm": (frozenset({"scheduled", "rescheduled"}), "confirmed"),
    "arrive": (_AWAITED, None),
    "start": (_AWAITED, "in_progress"),
    "complete": (_AWAITED | {"in_progress"}, "completed"),
    "no-show": (_AWAITED, "no_show"),
    "cancel": (_AWAITED | {"in_progress"}, None),
    "reschedule": (_AWAITED, "rescheduled"),
    "rebook": (TERMINAL, "scheduled"),
}


@dataclass(frozen=True)
class Look:
    """How a status shows in a VEVENT. `partstat` None: the patient's last answer stays."""

    status_line: str
    partstat: str | None
    transp: str
    category: str
    prefix: str


_LOOKS: dict[str, Look] = {
    "scheduled": Look("TENTATIVE", "NEEDS-ACTION", "OPAQUE", "", ""),
    "confirmed": Look("CONFIRMED", "ACCEPTED", "OPAQUE", "Confirmed", ""),
    "in_progress": Look("CONFIRMED", "ACCEPTED", "OPAQUE", "In progress", "▶ "),
    "completed": Look("CONFIRMED", "ACCEPTED", "OPAQUE", "Completed", "✓ "),
    "no_show": Look("CONFIRMED", None, "OPAQUE", "No-show", "✗ No-show: "),
    "cancelled_patient": Look("CANCELLED", "DECLINED", "TRANSPARENT", "Cancelled", "Cancelled: "),
    "cancelled_doctor": Look("CANCELLED", None, "TRANSPARENT", "Cancelled", "Cancelled: "),
    "rescheduled": Look("TENTATIVE", "NEEDS-ACTION", "OPAQUE", "Rescheduled", ""),
}
CATEGORIES = frozenset(look.category for look in _LOOKS.values()) - {""}
PREFIXES = tuple(sorted({look.prefix for look in _LOOKS.values()} - {""}, key=len, reverse=True))


def look(status: str) -> Look:
    return _LOOKS[status]


def after(
    status: str,
    action: str,
    by: str = "doctor",
    *,
    start: datetime | None = None,
    now: datetime | None = None,
) -> str:
    """The status that `action` leads to. `by` is "patient" or anybody of the staff.

    Raises IllegalTransition when it leads nowhere from here, or when a visit that begins at `start` would be
    completed or missed before its time. Arriving keeps the status: it is a timestamp beside it.
    """
    if action not in _TRANSITIONS:
        raise IllegalTransition(f"There is no action called {action}.")
    allowed, target = _TRANSITIONS[action]
    patient = by == "patient"
    if status not in allowed or (patient and (action == "rebook" or status == "in_progress")):
        label = STATUSES.get(status, status).lower()
        raise IllegalTransition(f"This is not possible: the appointment is {label}.")
    if target in ("completed", "no_show") and start is not None and now is not None and start > now + EARLY:
        raise IllegalTransition("The appointment has not begun yet.")
    if action == "cancel":
        return "cancelled_patient" if patient else "cancelled_doctor"
    return target or status
