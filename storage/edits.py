"""What a calendar app's edit means, calendar by calendar, and the quiet period in which it can be taken back.

A PUT or DELETE changes the calendar at once (minutes move, so nobody else can take them), but the patient is told
only after settings.quiet_seconds, and only of what is then different from what they were told: dragging to and fro,
deleting and putting back, or snoozing an alarm causes nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from ical import guard, hours, leave, timezones
from ical.errors import Forbidden, Refusal, UidConflict, UnsupportedComponent
from ical.lines import Component, parse
from ical.recurrence import ENTRIES
from ical.vcalendar import strip_private
from storage import app_made, appointment_edits, notifications, objects, participants, settling, waitlist
from storage.models import Account, CalendarObject, Collection
from storage.policy import Actor, can
from storage.writes import Edit, Sent, Spot, Write


@dataclass(frozen=True)
class Written:
    """The object as it is now. `verbatim`: what is served is what was sent, so the PUT may name the ETag."""

    object: CalendarObject
    created: bool
    verbatim: bool


def client_put(
    session: Session, collection: Collection, href: str, data: bytes, *, actor: Actor, now: datetime
) -> Written:
    """Store what a calendar app sent. Preconditions on ETags are the caller's.

    Raises InvalidCalendarData and its kin, UnsupportedComponent, UidConflict, Forbidden.
    """
    sent = judge(data)
    return put(session, collection, spot_of(session, collection, href, sent), sent, actor=actor, now=now)


def lock(session: Session, collection: Collection, href: str) -> None:
    """Nobody else writes the member at `href` until the transaction ends."""
    if collection.kind == "waitlist":
        waitlist.lock_before_doctor(session, collection, href)
    objects.lock(session, collection, href)


def spot_of(session: Session, collection: Collection, href: str, sent: Sent) -> Spot:
    """Lock the member, and see what stands there."""
    lock(session, collection, href)
    return objects.look(session, collection, href, sent.uid)


def judge(data: bytes, *, conditional: bool = True) -> Sent:
    """What an app sent, judged and parsed: it needs no lock, so nobody waits for it. Raises InvalidCalendarData and its
    kin."""
    return Sent(data, guard.check(data, component=None), conditional)


def put(session: Session, collection: Collection, spot: Spot, sent: Sent, *, actor: Actor, now: datetime) -> Written:
    """`client_put` of what has been judged, where preconditions have been checked behind the lock."""
    if collection.kind == "inbox":
        raise Forbidden()
    if sent.entry.name not in (collection.component.split(",") if collection.component else ENTRIES):
        raise UnsupportedComponent()
    if spot.live is not None and spot.live.uid != sent.uid:
        # RFC 4791 §5.3.2.1: nor may an object become another one.
        raise UidConflict(spot.href)
    edit = Edit(collection, spot, sent, actor, now)
    if spot.live is None and (_lives_elsewhere(spot) or participants.is_uid_of_copy(sent.uid)):
        # An app that drags an event into another calendar writes it there first, then deletes it here: if an
        # appointment's copy were taken, the patient would be told of a cancellation.
        raise Forbidden("This entry stays in its calendar.")
    match collection.kind:
        case "appointments":
            return _put_appointment(session, edit)
        case "hours" | "leave":
            return _put_schedule(session, edit)
        case "waitlist":
            return _put_waitlist(session, edit)
    return _put_as_sent(session, edit)


def client_delete(session: Session, obj: CalendarObject, *, actor: Actor, now: datetime) -> None:
    """A calendar app deleted an object: an appointment is cancelled after the quiet period, unless put back."""
    if obj.kind == "waitlist":
        waitlist.withdraw_object(session, obj, actor=actor, now=now, gone=True)
        return
    objects.lock_people(session, session.get_one(Collection, obj.collection_id), obj.href)
    session.refresh(obj)
    if obj.kind == "copy":
        _put_back(session, obj, actor, now)
        return
    settle_at = settling.settle_at(session, now)
    objects.delete_object(session, obj, Write(actor, now, "calendar app", settle_at=settle_at))


def tell_refused(session: Session, collection: Collection, refusal: Refusal, *, actor: Actor, now: datetime) -> None:
    """A calendar app was told no. None shows its user the reason, and some not even that anything happened."""
    if actor.account_id is not None:
        text = f"What your app did in the calendar “{collection.name}” was not accepted: {refusal.sentence}"
        notifications.notice(session, actor.account_id, text, now, mail=True)


def client_move(
    session: Session, obj: CalendarObject, target: Collection, href: str, *, actor: Actor, now: datetime
) -> bool:
    """MOVE. What the practice keeps (appointments, waitlist) stays in its calendar. True when the target was new."""
    source = session.get_one(Collection, obj.collection_id)
    objects.lock_people(session, source, obj.href)
    session.refresh(obj)
    replaced = objects.find(session, target, href)
    write = Write(actor, now, "calendar app")
    if target.id == source.id:
        if replaced is not None and replaced.id != obj.id:
            client_delete(session, replaced, actor=actor, now=now)
        objects.rename_object(session, obj, href, write)
        return replaced is None
    if "waitlist" in (source.kind, target.kind) or obj.kind in ("appointment", "copy"):
        raise Forbidden("This entry stays in its calendar.")
    for gone in [obj] if replaced is None else [obj, replaced]:
        client_delete(session, gone, actor=actor, now=now)
    client_put(session, target, href, obj.stored_text.encode(), actor=actor, now=now)
    return replaced is None


def _put_as_sent(session: Session, edit: Edit, *, settle_copy_at: datetime | None = None) -> Written:
    """An event of the doctor's own. A copy of an appointment is kept without people, whom another app might mail."""
    settle_at = None
    if app_made.may_be_copy(edit.put):
        app_made.remove_people(edit.put)
        settle_at = settle_copy_at
    return _store(session, edit, edit.put, edit.write(settle_at=settle_at))


def _put_appointment(session: Session, edit: Edit) -> Written:
    existing = edit.existing
    if existing is not None and existing.served_text.encode() == edit.sent.data:
        return Written(existing, False, True)
    if existing is not None and existing.kind == "copy":
        _put_back(session, existing, edit.actor, edit.now)
        return Written(existing, False, False)
    known = existing or edit.spot.with_uid
    if known is None or known.kind != "appointment":
        return _put_event(session, edit)
    if not known.deleted and known.href != edit.spot.href:
        raise UidConflict(known.href)
    return Written(appointment_edits.put_over(session, edit, known), existing is None, False)


def _lives_elsewhere(spot: Spot) -> bool:
    return spot.elsewhere is not None and not spot.elsewhere.deleted


def _put_back(session: Session, copy: CalendarObject, actor: Actor, now: datetime) -> None:
    """What an app did to the copy of an appointment is undone: it is the first doctor's to move or to cancel."""
    objects.touch(session, copy, Write(actor, now, "put back"))
    objects.touch_later(copy, now)
    if actor.account_id is not None:
        text = participants.why_put_back(session, copy)
        notifications.notice(session, actor.account_id, text, now, mail=True)


def _put_event(session: Session, edit: Edit) -> Written:
    """An event that is no appointment of ours (yet): kept as it came, but it cannot pose as one."""
    strip_private(edit.put)
    settle_at = settling.settle_at(session, edit.now)
    made = app_made.invited(session, edit)
    if made is not None:
        write = edit.write(overbook=True, settle_at=settle_at)
        return _store(session, edit, made, write)
    return _put_as_sent(session, edit, settle_copy_at=settle_at)


def _put_schedule(session: Session, edit: Edit) -> Written:
    """Hours or leave. What is booked already is not touched, but marked when the quiet period is over."""
    owner = session.get_one(Account, edit.collection.owner_id)
    stored = parse(edit.existing.stored_text) if edit.existing else None
    calendar = edit.put
    if edit.collection.kind == "hours":
        hours.normalise(calendar, stored, timezones.zone(owner.timezone))
    else:
        calendar = leave.normalise(calendar, stored, can(edit.actor, "leave.approve", owner), edit.now)
    write = edit.write(settle_at=settling.settle_at(session, edit.now))
    return _store(session, edit, calendar, write)


def _put_waitlist(session: Session, edit: Edit) -> Written:
    """Entries are made in the portal; a calendar app may tick one off (handled by hand) or cancel it."""
    if edit.existing is None:
        raise Forbidden("Waitlist entries are made in the portal.")
    state = (edit.put.components("VTODO")[0].value("STATUS") or "").upper()
    if state in ("COMPLETED", "CANCELLED"):
        waitlist.withdraw_object(session, edit.existing, actor=edit.actor, now=edit.now)
    else:
        objects.touch(session, edit.existing, edit.write())
    return Written(edit.existing, False, False)


def _store(session: Session, edit: Edit, calendar: Component, write: Write) -> Written:
    obj = objects.put_object(session, edit.collection, edit.spot.href, calendar, write, spot=edit.spot)
    return Written(obj, edit.existing is None, obj.served_text.encode() == edit.sent.data)
