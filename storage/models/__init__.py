"""The tables. The iCalendar text is the truth; each table beside it is an index, a ledger or an identity."""

from storage.models.accounts import (
    Account,
    ApiToken,
    AppointmentType,
    AppPassword,
    Feed,
    LoginAttempt,
    Patient,
    Resource,
    SecretLink,
    WebSession,
)
from storage.models.base import Base, table_of
from storage.models.booking import (
    Appointment,
    AppointmentResource,
    BulkAction,
    ChangeRequest,
    Claim,
    History,
    Hold,
    IdempotentRequest,
    NoShowWaiver,
    Visit,
)
from storage.models.calendars import CalendarObject, Change, Collection, Occurrence, Version
from storage.models.follow_ups import FollowUp
from storage.models.messages import Audit, Lease, Notice, OutboxMessage, Reminder
from storage.models.practice import Holiday, HolidayCalendar, Location, Practice
from storage.models.waitlist import Freed, Offer, WaitlistEntry

__all__ = [
    "Account",
    "ApiToken",
    "AppPassword",
    "Appointment",
    "AppointmentResource",
    "AppointmentType",
    "Audit",
    "Base",
    "BulkAction",
    "CalendarObject",
    "Change",
    "ChangeRequest",
    "Claim",
    "Collection",
    "Feed",
    "Freed",
    "FollowUp",
    "History",
    "Hold",
    "Holiday",
    "HolidayCalendar",
    "IdempotentRequest",
    "Lease",
    "Location",
    "LoginAttempt",
    "NoShowWaiver",
    "Notice",
    "Occurrence",
    "Offer",
    "OutboxMessage",
    "Patient",
    "Practice",
    "Reminder",
    "Resource",
    "SecretLink",
    "Version",
    "Visit",
    "WaitlistEntry",
    "WebSession",
    "table_of",
]
