"""Reminders: VALARMs that the server carries out for the patient, and when they are due. RFC 5545 §3.6.6, RFC 9074.

They are marked with X-CLINICDAV-AUDIENCE:PATIENT and never served to a doctor's app, which would ring them itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ical.errors import InvalidCalendarData, InvalidInput
from ical.lines import Component, escape
from ical.times import read_duration
from ical.vcalendar import mailto

# (minutes before the start, channel): "email", "sms" or "both".
Plan = tuple[tuple[int, str], ...]

DEFAULT: Plan = ((1440, "email"), (120, "sms"))
MAX_MINUTES = 60 * 24 * 60
MAX_REMINDERS = 10
AUDIENCE = "X-CLINICDAV-AUDIENCE"

_CHANNELS = {"email": ("email",), "sms": ("sms",), "both": ("email", "sms")}
_ACTIONS = {"EMAIL": "email", "X-CLINICDAV-SMS": "sms"}
_TYPES = {1440: "24h", 120: "2h"}


@dataclass(frozen=True)
class Due:
    """One reminder. `reminder_type` is 24h, 2h or custom; `channel` is email or sms."""

    reminder_type: str
    minutes: int
    channel: str
    due_at: datetime


def due_times(start: datetime, plan: Iterable[tuple[int, str]], now: datetime) -> list[Due]:
    """What of `plan` is still to come for a visit that begins at `start`, in order. "both" becomes two."""
    found = []
    for minutes, channel in _single(plan):
        due_at = start - timedelta(minutes=minutes)
        if due_at > now:
            found.append(Due(_TYPES.get(minutes, "custom"), minutes, channel, due_at))
    return sorted(found, key=lambda due: (due.due_at, due.channel))


def check_plan(plan: Iterable[tuple[int, str]]) -> Plan:
    """The plan, if it can be carried out. Raises InvalidInput."""
    checked = tuple(plan)
    if len(checked) > MAX_REMINDERS:
        raise InvalidInput(f"At most {MAX_REMINDERS} reminders are possible.", field="reminders")
    for minutes, channel in checked:
        if channel not in _CHANNELS:
            raise InvalidInput("A reminder goes by email, sms or both.", field="reminders")
        if not 1 <= minutes <= MAX_MINUTES:
            raise InvalidInput("A reminder comes between a minute and 60 days before.", field="reminders")
    return checked


def alarms(plan: Iterable[tuple[int, str]], uid: str, doctor_name: str, patient_email: str) -> list[Component]:
    """`plan` as the patient's VALARMs of the appointment `uid`. Without an address there is nothing to e-mail."""
    name, _, domain = uid.partition("@")
    short = name.removeprefix("appt-")[:8]
    found = []
    for minutes, channel in _single(plan):
        if channel == "email" and not patient_email:
            continue
        alarm = Component("VALARM")
        alarm.add("UID", f"{short}-{_label(minutes)}-{channel}@{domain}")
        alarm.add("ACTION", "EMAIL" if channel == "email" else "X-CLINICDAV-SMS")
        alarm.add("TRIGGER", _trigger(minutes))
        if channel == "email":
            alarm.add("SUMMARY", "Appointment reminder")
        when = " is tomorrow" if minutes == 1440 else ""
        alarm.add("DESCRIPTION", escape(f"Your appointment with {doctor_name}{when}."))
        if channel == "email":
            alarm.add("ATTENDEE", mailto(patient_email))
        alarm.add(AUDIENCE, "PATIENT")
        found.append(alarm)
    return found


def is_patients(alarm: Component) -> bool:
    return alarm.name == "VALARM" and alarm.value(AUDIENCE) == "PATIENT"


def plan_of(component: Component) -> Plan:
    """The plan that the patient's VALARMs of a VEVENT express."""
    plan = []
    for alarm in component.components("VALARM"):
        channel = _ACTIONS.get(alarm.value("ACTION") or "")
        if not is_patients(alarm) or channel is None:
            continue
        try:
            before = -read_duration(alarm.value("TRIGGER") or "")
        except InvalidCalendarData:
            continue
        plan.append((int(before.total_seconds()) // 60, channel))
    return tuple(plan)


def _single(plan: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """One entry for each channel and offset, each once."""
    return list(dict.fromkeys((minutes, single) for minutes, channel in plan for single in _CHANNELS[channel]))


def _label(minutes: int) -> str:
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def _trigger(minutes: int) -> str:
    if minutes % 1440 == 0:
        return f"-P{minutes // 1440}D"
    return f"-PT{minutes // 60}H" if minutes % 60 == 0 else f"-PT{minutes}M"
