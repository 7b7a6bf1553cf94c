"""The refusals: every way in which ClinicDAV says no, in one tree.

Each carries a stable `code` (the API's `code`), an HTTP `status`, a CalDAV `precondition` element and a
sentence fit for a patient. None is a ValueError: Radicale answers 400 to those *and commits*.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Cause(NamedTuple):
    """What stands in the way: "event", "leave", "holiday", "claim", "resource", "type" or "maximum", and
    which one."""

    kind: str
    id: int | str


class Refusal(Exception):
    """A rule said no. Nothing was changed."""

    code = "refused"
    status = 422
    precondition = "DAV:need-privileges"
    sentence = "This is not possible."

    def __init__(self, sentence: str | None = None, *, field: str | None = None) -> None:
        super().__init__(sentence or self.sentence)
        self.sentence = sentence or self.sentence
        self.field = field
        # For those who may know
        self.causes: tuple[Cause, ...] = ()


# Times that cannot be had


class SlotTaken(Refusal):
    code, status = "slot_taken", 409
    sentence = "Somebody else has just taken this time. Please choose another one."


class HoldExpired(Refusal):
    code, status = "hold_expired", 409
    sentence = "The time was kept for you for a while, and that while has passed. Please choose it again."


class OfferExpired(Refusal):
    code, status = "offer_expired", 410
    sentence = "This offer has ended. You are still on the waitlist unless you asked to leave it."


@dataclass(frozen=True, slots=True)
class Conflict:
    """One occurrence of a series that is not free: what stands in its way, and the nearest free times."""

    recurrence_id: str
    start: datetime
    because: tuple[Refusal, ...]
    alternatives: tuple[datetime, ...]


class AlreadyWaiting(Refusal):
    """The patient stands on the waitlist for this kind, with these doctors, on some of these days."""

    code, status = "already_waiting", 409
    sentence = "You are on the waitlist for this already. Change that entry if other days or times suit you as well."


class SeriesConflict(Refusal):
    """Some occurrences of a series are not free."""

    code, status = "series_conflict", 409
    sentence = "Some appointments of the series are not free."

    def __init__(self, conflicts: list[Conflict]) -> None:
        super().__init__()
        self.conflicts = conflicts


class OutsideHours(Refusal):
    code = "outside_hours"
    sentence = "The doctor does not work at this time."


class OnLeave(Refusal):
    code = "on_leave"
    sentence = "The doctor is away at this time."


class Holiday(Refusal):
    code = "holiday"
    sentence = "The practice is closed at this time."


class Blocked(Refusal):
    code = "blocked"
    sentence = "The doctor is busy at this time."


class TooLate(Refusal):
    code = "too_late"
    sentence = "This time is too near. Please choose a later one."


class TooFarAhead(Refusal):
    code = "too_far_ahead"
    sentence = "This time is further ahead than can be booked."


class DailyMaximum(Refusal):
    code = "daily_maximum"
    sentence = "The doctor takes no more appointments on this day."


class WeeklyMaximum(Refusal):
    code = "weekly_maximum"
    sentence = "The doctor takes no more appointments in this week."


class TypeMaximum(Refusal):
    code = "type_maximum"
    sentence = "There are no more appointments of this kind then."


class NoTimeToTravel(Refusal):
    code = "travel"
    sentence = "The doctor is on the way between two places at this time."


class NotThisDoctor(Refusal):
    code = "doctor_not_offered"
    sentence = "This doctor does not offer this kind of appointment."


class ResourceTaken(SlotTaken):
    sentence = "What is needed for this appointment is not free at this time."


class TypeNotOffered(Refusal):
    code = "type_not_offered"
    sentence = "This kind of appointment is not offered at this time."


class NotSelfBookable(Refusal):
    code = "staff_only"
    sentence = "This kind of appointment is booked by the practice. Please call us."


class BookingPaused(Refusal):
    """The patient has missed too many appointments; staff may book for them, and waive it."""

    code = "booking_paused"
    sentence = "You cannot book online for some time because appointments were missed. Please call us."


class CutOffPassed(Refusal):
    code = "cut_off_passed"
    sentence = "It is too late to change this appointment online. Please call us."


class NeedsApproval(Refusal):
    """A patient may ask for it, and the practice decides."""

    code, status = "needs_approval", 409
    sentence = "The practice decides about this. Please ask for it."


# Life cycle, identity, versions


class IllegalTransition(Refusal):
    code, status = "illegal_transition", 409
    sentence = "The appointment is in a state that does not allow this."


class NothingToUndo(IllegalTransition):
    code = "nothing_to_undo"
    sentence = "There is no step of today that could be taken back."


class RequestClosed(Refusal):
    code, status = "request_closed", 409
    sentence = "This request has been answered, or has lapsed."


class PlanChanged(Refusal):
    """What a preview showed is not what would happen now."""

    code, status = "plan_changed", 409
    sentence = "Something has changed since the preview. Please look at it again."


class InvalidInput(Refusal):
    """A field holds something that cannot be used; `field` names it."""

    code = "invalid"
    sentence = "Please check what you entered."


class TooManyAttempts(Refusal):
    """Wait `seconds` before the next login."""

    code, status = "too_many_attempts", 429
    sentence = "There were too many failed logins. Please wait a little and try again."

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


class KeyReused(Refusal):
    code = "idempotency_key_reused"
    sentence = "This Idempotency-Key was used for another request."


class NotFound(Refusal):
    code, status = "not_found", 404
    sentence = "There is nothing here, or it is not for you."


class Forbidden(Refusal):
    code, status = "forbidden", 403
    sentence = "You are not allowed to do this."


class VersionConflict(Refusal):
    """Another writer was faster: an ETag or a form's version is stale."""

    code, status = "version_conflict", 412
    sentence = "Somebody changed this in the meantime. Please look at it again."


# Calendar data (RFC 4791 §5.3.2.1)


class InvalidCalendarData(Refusal):
    code, status, precondition = "valid-calendar-data", 403, "CALDAV:valid-calendar-data"
    sentence = "The calendar data is not valid."


class InvalidObjectResource(InvalidCalendarData):
    """Well-formed, but not what one member of a calendar holds (RFC 4791 §4.1)."""

    code, precondition = "valid-calendar-object-resource", "CALDAV:valid-calendar-object-resource"
    sentence = "A calendar object is one entry, with its changed occurrences."


class BeforeMinDateTime(InvalidCalendarData):
    code, precondition = "min-date-time", "CALDAV:min-date-time"
    sentence = "The entry lies too far in the past."


class AfterMaxDateTime(InvalidCalendarData):
    code, precondition = "max-date-time", "CALDAV:max-date-time"
    sentence = "The entry lies too far in the future."


class UnsupportedRecurrence(InvalidCalendarData):
    sentence = "This kind of repetition is not supported."


class CountTooHigh(UnsupportedRecurrence):
    code, precondition = "max-instances", "CALDAV:max-instances"
    sentence = "The entry repeats too often."


class UnsupportedScale(UnsupportedRecurrence):
    """A rule in another calendar than the Gregorian (RFC 7529 §7)."""

    code, precondition = "supported-rscale", "CALDAV:supported-rscale"
    sentence = "Only repetitions of the Gregorian calendar are supported."


class UnsupportedComponent(Refusal):
    code, status, precondition = "supported-calendar-component", 403, "CALDAV:supported-calendar-component"
    sentence = "This calendar does not take that kind of entry."


class ResourceTooLarge(Refusal):
    code, status, precondition = "max-resource-size", 403, "CALDAV:max-resource-size"
    sentence = "The entry is too large."


class TooManyInstances(Refusal):
    code, status, precondition = "max-instances", 403, "CALDAV:max-instances"
    sentence = "The entry repeats too often."


class TooManyAttendees(Refusal):
    code, status, precondition = "max-attendees-per-instance", 403, "CALDAV:max-attendees-per-instance"
    sentence = "The entry has too many attendees."


class InvalidSchedulingMessage(Refusal):
    """The outbox takes requests for free/busy time, and no other message (RFC 6638 §5.2)."""

    code, status, precondition = "valid-scheduling-message", 403, "CALDAV:valid-scheduling-message"
    sentence = "This is no request for free/busy time."


class UidConflict(Refusal):
    """The UID lives under another href of the same calendar (RFC 4791 §5.3.2.1 no-uid-conflict)."""

    code, status, precondition = "no-uid-conflict", 403, "CALDAV:no-uid-conflict"
    sentence = "Another entry has this identifier."

    def __init__(self, href: str) -> None:
        super().__init__()
        self.href = href


class SyncTokenExpired(Refusal):
    code, status, precondition = "valid-sync-token", 403, "DAV:valid-sync-token"
    sentence = "The sync token is unknown or too old."


class CollectionExists(Refusal):
    """MKCALENDAR where there is something already (RFC 4791 §5.3.1.1)."""

    code, status, precondition = "resource-must-be-null", 403, "DAV:resource-must-be-null"
    sentence = "There is a calendar of this name already."
