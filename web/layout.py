"""What every page's frame needs: the clinic's name, who is logged in, where one can go, what just happened."""

from typing import Any
from uuid import UUID

from flask import Flask, g, request, url_for

from storage import requests, views
from storage.policy import RULES, VISITOR
from web.services import now, reading, settings

# Shown after a redirect: the address says which, so that a visitor needs no session for it.
MESSAGES = {
    "asked": "We have your request. It is not confirmed yet: we answer by e-mail.",
    "cancelled": "The appointment is cancelled.",
    "confirmed": "Thank you, the appointment is confirmed.",
    "moved": "The appointment is moved.",
    "series": "The series is booked.",
    "series_moved": "The appointments are moved.",
    "saved": "Saved.",
    "status": "The status is changed.",
    "removed": "Removed.",
    "kept": "It stays where it is.",
    "undone": "The last step is taken back.",
    "request_approved": "Approved. The patient is told.",
    "request_rejected": "Rejected. The patient is told.",
    "request_withdrawn": "The request is taken back.",
    "bulk": "Done. The patients are told.",
    "revoked": "Revoked. The device can no longer connect.",
    "hours": "The hours are added.",
    "closed": "The day is closed.",
    "leave": "The leave is requested.",
    "approved": "The leave is approved.",
    "rejected": "The leave is rejected.",
    "offered": "The time is offered: it is kept until the patient has answered.",
    "booked_for": "The appointment is booked.",
    "withdrawn": "You are off the waitlist.",
    "registered": "If this address had no account, it has one now. Log in with the password that you chose.",
    "out": "You are logged out.",
    "released": "The time is free again. Choose another one.",
}

_VISITOR = (("home.home", "Book"), ("appointment.mine", "My appointments"))
_PATIENT = (*_VISITOR, ("me.me", "My details"))
_DOCTOR = (
    ("calendar.calendar", "Calendar"),
    ("schedule.schedule", "Hours & leave"),
    ("doctor_waitlist.listed", "Waitlist"),
    ("follow_ups.listed", "Follow-ups"),
    ("analytics.figures", "Figures"),
    ("home.home", "Book"),
    ("devices.devices", "Devices"),
)
_NAVIGATION = {
    "patient": _PATIENT,
    "doctor": _DOCTOR,
    "receptionist": _DOCTOR,
    "admin": (("admin.admin", "Administration"), *_DOCTOR[:6]),
}


def install(app: Flask) -> None:
    app.context_processor(_frame)


def _frame() -> dict[str, Any]:
    actor = getattr(g, "actor", VISITOR)
    places = _NAVIGATION.get(actor.role, _VISITOR)
    return {
        "clinic_name": settings().clinic_name,
        "clinic_zone": settings().timezone,
        "actor": actor,
        "account": getattr(g, "account", None),
        "navigation": [(url_for(endpoint), label, endpoint == request.endpoint) for endpoint, label in places],
        "unread": _unread(),
        "asked": _asked(),
        "undo_url": _undo_url(),
        "message": MESSAGES.get(request.args.get("ok", "")),
        "now": now(),
    }


def _undo_url() -> str:
    """Where the step that has just been made on this page is taken back."""
    try:
        return url_for("appointment.take_back", appointment_id=UUID(request.args.get("undo", "")))
    except ValueError:
        return ""


def _asked() -> int:
    """Requests that wait for whoever looks at the page."""
    account = getattr(g, "account", None)
    if account is None or account.role not in RULES["request.decide"] or getattr(g, "failing", False):
        return 0
    with reading() as session:
        return requests.count_open(session, [account.id] if account.role == "doctor" else None)


def _unread() -> int:
    """Notices nobody has looked at yet. An error page must not fail on this."""
    account = getattr(g, "account", None)
    if account is None or account.role == "patient" or getattr(g, "failing", False):
        return 0
    with reading() as session:
        return views.unread_notices(session, account.id)
