"""The clinic's holidays: calendars from files or subscriptions whose events close the practice, or one place of it.

Fetching is the worker's; the last good copy stays when it fails. Times are kept expanded like those of other calendars
(storage.occurrences), and made anew each day.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.orm import Session

from ical import holidays as text
from ical.errors import InvalidInput, NotFound, Refusal
from storage import audit, freed, locations
from storage.models import Holiday, HolidayCalendar
from storage.occurrences import AHEAD, BEHIND

_EVERY = timedelta(days=1)
# After a failure it is tried again sooner.
_AGAIN = timedelta(hours=1)
_MOST_CALENDARS = 50


def every(session: Session) -> Sequence[HolidayCalendar]:
    return session.scalars(select(HolidayCalendar).order_by(HolidayCalendar.id)).all()


def add_file(
    session: Session, name: str, data: bytes, *, now: datetime, location: str | None = None
) -> HolidayCalendar:
    """Holidays out of a file. Raises InvalidInput, InvalidCalendarData."""
    made = _add(session, name, "", location, now)
    refresh(session, made, data, now)
    return made


def subscribe(session: Session, name: str, url: str, *, now: datetime, location: str | None = None) -> HolidayCalendar:
    """Holidays that the worker fetches from an address soon, and then each day. Raises InvalidInput."""
    url = url.strip()
    if url.lower().startswith("webcal://"):
        url = "https://" + url[9:]
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        raise InvalidInput("This is no address of a calendar.", field="url") from None
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= 2000
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password or not plain:
        raise InvalidInput("Give an address like https://example.org/holidays.ics.", field="url")
    return _add(session, name, url, location, now)


def remove(session: Session, calendar_id: int, *, now: datetime) -> None:
    """The practice is open again on these days. Raises NotFound."""
    found = session.get(HolidayCalendar, calendar_id)
    if found is None:
        raise NotFound()
    session.execute(delete(Holiday).where(Holiday.calendar_id == calendar_id))
    session.delete(found)
    session.flush()
    freed.ring_all(session)
    audit.note(session, "holidays.removed", f"holidays:{calendar_id}", now)


def due(session: Session, now: datetime) -> Sequence[HolidayCalendar]:
    """Those to be fetched, or expanded anew."""
    tried, failed = HolidayCalendar.tried_at, HolidayCalendar.problem != ""
    return session.scalars(
        select(HolidayCalendar)
        .where(or_(tried.is_(None), tried < now - _EVERY, failed & (tried < now - _AGAIN)))
        .order_by(HolidayCalendar.id)
    ).all()


def refresh(session: Session, calendar: HolidayCalendar, data: bytes, now: datetime) -> None:
    """Take over what was read. Raises InvalidCalendarData; then all stays as it was."""
    closings = text.read(data, now - BEHIND, now + AHEAD)
    session.execute(delete(Holiday).where(Holiday.calendar_id == calendar.id))
    if closings:
        session.execute(insert(Holiday), [{"calendar_id": calendar.id, **closing._asdict()} for closing in closings])
    calendar.text = data.decode("utf-8", "replace")
    calendar.read_at = calendar.tried_at = now
    calendar.problem = ""
    freed.ring_all(session)


def refresh_or_note(session: Session, calendar_id: int, data: bytes | None, problem: str, now: datetime) -> None:
    """What an attempt came to: a new copy, or the reason why the last one stays."""
    calendar = session.get(HolidayCalendar, calendar_id)
    if calendar is None:
        return
    if data is not None:
        try:
            with session.begin_nested():
                refresh(session, calendar, data, now)
            return
        except Refusal as refusal:
            problem = refusal.sentence
    calendar.tried_at, calendar.problem = now, problem[:200]


def _add(session: Session, name: str, url: str, location: str | None, now: datetime) -> HolidayCalendar:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 200:
        raise InvalidInput("Holidays need a name of up to 200 characters.", field="name")
    if location is not None and locations.by_name(session, location) is None:
        raise InvalidInput(f"There is no place called {location[:64]}.", field="location")
    if len(every(session)) >= _MOST_CALENDARS:
        raise InvalidInput(f"There are {_MOST_CALENDARS} already.", field="name")
    made = HolidayCalendar(name=name, url=url, location=location, text="", added_at=now, problem="")
    session.add(made)
    session.flush()
    audit.note(session, "holidays.added", f"holidays:{made.id}", now)
    return made
