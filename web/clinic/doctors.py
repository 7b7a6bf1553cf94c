"""Whose calendar a page of the practice is about: one's own, or the one the desk has chosen."""

from typing import Any

from flask import g, request

from ical.errors import NotFound
from storage import accounts
from storage.models import Account
from storage.policy import can


def visible(session: Any, action: str) -> list[Account]:
    return [doctor for doctor in accounts.doctors(session) if can(g.actor, action, doctor)]


def chosen(session: Any, action: str) -> tuple[Account, list[Account]]:
    """(the doctor of ?doctor=U or of the form, else the first; all that may be chosen). Raises NotFound."""
    doctors = visible(session, action)
    username = request.values.get("doctor") or (doctors[0].username if doctors else "")
    found = next((doctor for doctor in doctors if doctor.username == username), None)
    if found is None:
        raise NotFound()
    return found, doctors
