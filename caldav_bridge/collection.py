"""A calendar: members in and out, its sync-token, its properties. RFC 4791 §4.2.

Radicale knows it by its path, ETag and properties; members are rows, where Radicale would have parsed items.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from radicale.storage import BaseCollection

from caldav_bridge import render
from caldav_bridge.context import Place, Request
from ical.errors import SyncTokenExpired
from ical.lines import Line
from ical.recurrence import ENTRIES
from ical.served import organizer_line, with_people, without_notes
from storage import audit, collections, edits, objects, served, sync
from storage.edits import Written
from storage.models import CalendarObject
from storage.objects import Spot
from storage.policy import can
from storage.served import Page, Row
from storage.writes import Sent


class Collection(BaseCollection):
    """The root, a home or a calendar: what `place` says. Members and tokens are a calendar's alone."""

    def __init__(self, request: Request, place: Place) -> None:
        self._request = request
        self.place = place

    @property
    def path(self) -> str:
        return self.place.path.strip("/")

    @property
    def row(self) -> Any:
        """The calendar's row; the root and homes have none."""
        return self.place.collection

    @property
    def etag(self) -> str:
        """The ctag, quoted: it moves with every change of a member or a property."""
        return f'"{self.row.epoch}-{self.row.seq}-{int(self.row.changed_at.timestamp() * 1000):x}{self.form}"'

    @property
    def last_modified(self) -> str:
        return render.http_date(self.row.changed_at)

    @property
    def components(self) -> tuple[str, ...]:
        """The kinds of components that the calendar takes."""
        return tuple(self.row.component.split(",")) if self.row.component else ENTRIES

    @property
    def token(self) -> str:
        return sync.token(self.row) + self.form

    @cached_property
    def _organizer(self) -> Line | None:
        """The doctor as ORGANIZER of the appointments, for an app that is shown people (profile `full`)."""
        owner = self.place.owner
        if self._request.profile != "full" or self.row is None or self.row.kind != "appointments" or owner is None:
            return None
        if not owner.email or not can(self._request.actor, "attendees.read", owner):
            return None
        return organizer_line(owner.name, owner.email)

    @cached_property
    def form(self) -> str:
        """The end of ETags and tokens of the form with people. It moves with the doctor's name and address, so an app
        that had another form, by another app password or before a change, fetches everything again."""
        return "" if self._organizer is None else "." + sha256(self._organizer.text().encode()).hexdigest()[:8]

    def get_meta(self, key: str | None = None) -> Any:
        """Dead properties by Clark name, as XML; `tag` is what Radicale asks for."""
        props: dict[str, str] = {} if self.row is None else dict(self.row.props)
        if self.place.kind == "calendar":
            props["tag"] = "VCALENDAR"
        return props if key is None else props.get(key)

    def set_meta(self, props: Mapping[str, str]) -> None:
        collections.set_props(self._request.session, self.row, props, self._request.now)

    def members(self, *, text: bool = False, date: bool = False, component: str | None = None) -> list[Row]:
        session, calendar_id = self._request.session, self.row.id
        return self._seen(served.members(session, calendar_id, text=text, date=date, component=component))

    def tags(self) -> list[tuple[str, str]]:
        """(href, ETag) of every member."""
        if self._organizer is not None:
            return [(row.href, row.etag) for row in self.members()]
        return served.tags(self._request.session, self.row.id)

    def members_in_range(
        self, start: datetime | None, end: datetime | None, *, text: bool = False, date: bool = False
    ) -> list[Row]:
        """The events that have an occurrence in [start, end); None: open on that side. RFC 4791 §9.9."""
        session = self._request.session
        return self._seen(served.members_in_range(session, self.row, start, end, text=text, date=date))

    def members_at(self, hrefs: Iterable[str], *, text: bool = False, date: bool = False) -> list[Row]:
        return self._seen(served.members_at(self._request.session, self.row.id, hrefs, text=text, date=date))

    def member(self, href: str) -> Row | None:
        row = served.member(self._request.session, self.row.id, href)
        return None if row is None else self._seen([row])[0]

    def object(self, href: str) -> CalendarObject | None:
        return objects.find(self._request.session, self.row, href)

    def changes(self, old_token: str, limit: int | None = None, *, text: bool = False, date: bool = False) -> Page:
        """What changed since `old_token`. Raises SyncTokenExpired."""
        if old_token and not old_token.endswith(self.form):
            raise SyncTokenExpired()
        since = old_token.removesuffix(self.form)
        page = served.changed(self._request.session, self.row, since, limit, text=text, date=date)
        return page._replace(rows=self._seen(page.rows), token=page.token + self.form)

    def _seen(self, rows: list[Row]) -> list[Row]:
        """The rows as whoever asks may see them: a doctor's private notes are the doctor's alone, and people are shown
        to apps of the profile `full`."""
        if self.row.kind != "appointments":
            return rows
        self._note_reading(sum(bool(row.text) for row in rows))
        if self._organizer is not None:
            return self._with_people(rows, self._organizer)
        if can(self._request.actor, "doctor_notes.read", self.place.owner):
            return rows
        return [row._replace(text=without_notes(row.text)) if row.text else row for row in rows]

    def _note_reading(self, count: int) -> None:
        """Records of patients that others than their doctor are sent: the audit knows."""
        actor, owner = self._request.actor, self.place.owner
        if count and owner is not None and owner.id != actor.account_id:
            of = f"collection:{self.row.id}"
            audit.record(self._request.session, actor, "calendar.read", of, {"objects": count}, self._request.now)

    def _with_people(self, rows: list[Row], organizer: Line) -> list[Row]:
        stored = served.stored_appointments(self._request.session, [row.id for row in rows if row.text])

        def shown(row: Row) -> str:
            text = stored.get(row.id)
            return row.text if text is None else with_people(row.text, text, organizer)

        return [row._replace(etag=row.etag + self.form, text=shown(row)) for row in rows]

    def spot(self, href: str, sent: Sent) -> Spot:
        """Lock the member, and see what stands at `href` and who has this UID."""
        return edits.spot_of(self._request.session, self.row, href, sent)

    def write(self, spot: Spot, sent: Sent) -> Written:
        """Store what an app sent. Raises a Refusal."""
        return edits.put(self._request.session, self.row, spot, sent, actor=self._request.actor, now=self._request.now)

    def tag(self, written: Written) -> str | None:
        """The ETag that answers a PUT; None when what is served is not what was sent (RFC 4791 §5.3.4)."""
        people = self._organizer is not None and written.object.kind == "appointment"
        return written.object.etag + self.form if written.verbatim and not people else None

    def delete(self, href: str | None = None) -> None:
        """Delete a member, or the calendar itself with all its members."""
        if href is None:
            collections.remove(self._request.session, self.row)
            return
        found = self.object(href)
        if found is not None:
            edits.client_delete(self._request.session, found, actor=self._request.actor, now=self._request.now)
