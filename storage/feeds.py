"""Secret URLs that show a doctor's times, or a patient's own appointments, to calendars that subscribe.

The token is 256 random bits and kept as an HMAC. Levels: busy (nothing but when), initials, and patient. Beside each
doctor's feed stand the working hours, which every patient may know.
"""

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import feeds
from ical.errors import InvalidInput
from storage import audit, availability, occurrences
from storage.db import DatabaseUnavailable, write_beside
from storage.models import Account, Appointment, CalendarObject, Collection, Feed, Patient, Visit
from storage.settings import Settings

LEVELS = ("busy", "initials")
# What Google takes in: about a megabyte, a thousand events.
_BEHIND = timedelta(days=14)
_AHEAD = timedelta(days=180)
_MOST_EVENTS = 1000
_NOTED_EVERY = timedelta(minutes=5)
_GONE = ("cancelled_patient", "cancelled_doctor")
_TENTATIVE = ("scheduled", "rescheduled")


def add_feed(session: Session, owner: Account | Patient, level: str, label: str, now: datetime) -> str:
    """The token of a new feed, to be shown once. Raises InvalidInput. A patient's level is always `patient`."""
    if isinstance(owner, Account):
        if level not in LEVELS:
            raise InvalidInput("The level is busy or initials.", field="level")
        if owner.role != "doctor":
            raise InvalidInput("Feeds show the times of doctors.", field="username")
    token = secrets.token_urlsafe(32)
    feed = Feed(
        digest=_digest(session, token),
        level=level if isinstance(owner, Account) else "patient",
        label=" ".join(re.sub(r"[\x00-\x1f\x7f]", " ", label).split())[:100],
        account_id=owner.id if isinstance(owner, Account) else None,
        patient_id=owner.id if isinstance(owner, Patient) else None,
        created_at=now,
    )
    session.add(feed)
    session.flush()
    whose = f"account:{owner.id}" if isinstance(owner, Account) else f"patient:{owner.id}"
    audit.note(session, "feed.added", whose, now, id=feed.id, level=feed.level)
    return token


def url(settings: Settings, token: str) -> str:
    return f"{settings.public_url}/feeds/{token}.ics"


def find_feed(session: Session, token: str, agent: str, now: datetime) -> Feed | None:
    """The feed while it may be read: not revoked, not expired, its owner not disabled."""
    feed = session.scalar(select(Feed).where(Feed.digest == _digest(session, token)))
    if feed is None or feed.revoked_at is not None or (feed.expires_at is not None and feed.expires_at <= now):
        return None
    if feed.account_id is not None and session.get_one(Account, feed.account_id).disabled:
        return None
    _note_fetch(session, feed, agent, now)
    return feed


def revoke(session: Session, feed: Feed, now: datetime) -> None:
    feed.revoked_at = feed.revoked_at or now
    session.flush()
    audit.note(session, "feed.revoked", f"feed:{feed.id}", now)


def version(session: Session, feed: Feed, now: datetime) -> tuple[str, datetime]:
    """(unquoted ETag, Last-Modified) of what `feed_text` would give, found without writing it."""
    if feed.account_id is not None:
        changed, seq = session.execute(
            select(func.max(Collection.changed_at), func.sum(Collection.seq)).where(
                Collection.owner_id == feed.account_id
            )
        ).one()
    else:
        of_patient = select(Appointment.object_id).where(Appointment.patient_id == feed.patient_id)
        changed, seq = session.execute(
            select(func.max(CalendarObject.changed_at), func.sum(CalendarObject.seq)).where(
                CalendarObject.id.in_(of_patient)
            )
        ).one()
    # The window moves on at midnight.
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = max(changed or today, today)
    parts = f"{feed.id}|{feed.level}|{seq}|{changed}|{today.date()}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32], moment.replace(microsecond=0)


def feed_text(session: Session, feed: Feed, now: datetime) -> tuple[str, str, datetime]:
    """(text/calendar, unquoted ETag, Last-Modified)."""
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    etag, modified = version(session, feed, now)
    if feed.account_id is None:
        events = _patients_events(session, feed, settings, now)
        return feeds.feed(events, "My appointments", modified, settings.timezone, "patient"), etag, modified
    doctor = session.get_one(Account, feed.account_id)
    events = _doctors_events(session, doctor, feed, settings, now)
    name = f"{doctor.name} (busy)" if feed.level == "busy" else doctor.name
    return feeds.feed(events, name, modified, doctor.timezone, feed.level), etag, modified


def availability_text(session: Session, feed: Feed) -> tuple[str, str, datetime] | None:
    """A doctor's working hours as VAVAILABILITY, in the form of `feed_text`; None for a patient's feed."""
    if feed.account_id is None:
        return None
    doctor = session.get_one(Account, feed.account_id)
    text, changed = availability.vavailability(session, doctor, named=False)
    return text, hashlib.sha256(text.encode()).hexdigest()[:32], changed.replace(microsecond=0)


def _doctors_events(
    session: Session, doctor: Account, feed: Feed, settings: Settings, now: datetime
) -> list[feeds.FeedEvent]:
    start, end = now - _BEHIND, now + _AHEAD
    events = []
    for visit, obj, patient in _visits(session, Appointment.doctor_id == doctor.id, start, end):
        title = appointment_text.initials(patient.name) if feed.level == "initials" else "Busy"
        events.append(_event(feed, settings, obj, visit, title, ""))
    kinds = ("leave", "block", "plain", "copy")
    found = occurrences.in_range(session, start, end, owner_ids=[doctor.id], kinds=kinds)
    others = [busy for busy in found if busy.busy != "free"][:_MOST_EVENTS]
    ids = {busy.object_id for busy in others}
    written = select(CalendarObject.id, CalendarObject.changed_at).where(CalendarObject.id.in_(ids))
    changed_at = {row[0]: row[1] for row in session.execute(written)}
    for busy in others:
        changed = changed_at[busy.object_id]
        events.append(
            feeds.FeedEvent(
                uid=_uid(feed, settings, f"{busy.object_id}/{busy.recurrence_id}"),
                start=busy.start,
                end=busy.end,
                summary="Busy",
                status="TENTATIVE" if busy.busy == "busy-tentative" else "CONFIRMED",
                sequence=int(changed.timestamp()),
                changed=changed,
                location="",
                url="",
            )
        )
    return sorted(events, key=lambda event: (event.start, event.uid))[:_MOST_EVENTS]


def _patients_events(session: Session, feed: Feed, settings: Settings, now: datetime) -> list[feeds.FeedEvent]:
    assert feed.patient_id is not None
    found = _visits(session, Appointment.patient_id == feed.patient_id, now - _BEHIND, now + _AHEAD)
    title = f"Appointment at {settings.clinic_name}"
    return [
        _event(feed, settings, obj, visit, title, f"{settings.public_url}/appointments/{visit.appointment_id}/")
        for visit, obj, _patient in found
    ]


def _visits(
    session: Session, whose: ColumnElement[bool], start: datetime, end: datetime
) -> list[tuple[Visit, CalendarObject, Patient]]:
    found = session.execute(
        select(Visit, CalendarObject, Patient)
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .join(CalendarObject, CalendarObject.id == Appointment.object_id)
        .join(Patient, Patient.id == Appointment.patient_id)
        .where(whose, Visit.status.not_in(_GONE), Visit.end > start, Visit.start < end)
        .order_by(Visit.start, Visit.appointment_id)
        .limit(_MOST_EVENTS)
    )
    return [(visit, obj, patient) for visit, obj, patient in found]


def _event(feed: Feed, settings: Settings, obj: CalendarObject, visit: Visit, title: str, link: str) -> feeds.FeedEvent:
    return feeds.FeedEvent(
        uid=_uid(feed, settings, f"{visit.appointment_id}/{visit.recurrence_id}"),
        start=visit.start,
        end=visit.end,
        summary=title,
        status="TENTATIVE" if visit.status in _TENTATIVE else "CONFIRMED",
        sequence=int(obj.changed_at.timestamp()),
        changed=obj.changed_at,
        location="",
        url=link,
    )


def _uid(feed: Feed, settings: Settings, of: str) -> str:
    """Differs from feed to feed: two of them laid side by side tell no more than each alone."""
    digest = hmac.new(settings.secret_bytes, f"feed-uid:{feed.id}:{of}".encode(), hashlib.sha256).hexdigest()[:32]
    return f"f-{digest}@{settings.uid_domain}"


def _note_fetch(session: Session, feed: Feed, agent: str, now: datetime) -> None:
    if feed.last_fetched_at is not None and abs(now - feed.last_fetched_at) < _NOTED_EVERY:
        return
    values = {"last_fetched_at": now, "last_agent": re.sub(r"[\x00-\x1f\x7f]", " ", agent)[:200]}
    try:
        with write_beside(session) as connection:
            connection.execute(update(Feed).where(Feed.id == feed.id).values(values))
    except DatabaseUnavailable:
        # Who fetched it last is worth less than the answer.
        return


def _digest(session: Session, token: str) -> str:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return hmac.new(settings.secret_bytes, f"feed:{token}".encode(), hashlib.sha256).hexdigest()
