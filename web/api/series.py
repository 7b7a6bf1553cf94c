"""A series before it is booked: every occurrence with what stands in its way, and the nearest free times."""

from ical import series as decided
from storage import choosing, policy, series
from web.api import decisions, lookups, shapes
from web.api.appointments import NewAppointmentIn, chosen_doctors
from web.api.fields import to_book
from web.api.operations import Call, operation


@operation(
    "POST",
    "/appointments/preview",
    "How a booking would stand: each occurrence, what is in its way and the nearest free times. Nothing is written",
    shapes.SeriesPreview,
    body=NewAppointmentIn,
)
def preview_appointment(call: Call, body: NewAppointmentIn) -> shapes.SeriesPreview:
    doctors = chosen_doctors(call, body)
    if body.resources:
        policy.require(call.actor, "resources.read")
    zone, kind = lookups.zone(doctors[0]), lookups.kind(call, body.type)
    found = series.preview(
        call.session,
        doctors[:1] if body.together else doctors,
        to_book(body.start, zone),
        kind,
        body.rrule or "",
        decisions.read(body.decisions, zone),
        actor=call.actor,
        now=call.now,
        needed=choosing.needs(call.session, kind, body.resources, doctors[1:] if body.together else ()),
        ticket=body.hold,
    )
    return shapes.SeriesPreview(
        doctor=found.doctor.username, occurrences=[_shown(each, found) for each in found.occurrences]
    )


def _shown(each: decided.Outlook, found: series.Preview) -> shapes.SeriesOutlook:
    return shapes.SeriesOutlook(
        recurrence_id=each.recurrence_id,
        start=shapes.local(each.start, found.doctor),
        end=shapes.local(each.end, found.doctor),
        action=each.action,
        free=not each.because,
        because=[shapes.Because(code=why.code, text=why.sentence) for why in each.because],
        alternatives=[shapes.local(start, found.doctor) for start in each.alternatives],
    )
