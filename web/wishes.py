"""The form of what somebody waits for: on the pages of patients and on those of the practice."""

from collections.abc import Mapping
from typing import Any

from storage.models import Account, AppointmentType, WaitlistEntry
from storage.wanted import CHANNELS, URGENCY_OF, Wanted, weekdays_of
from web.forms import Form

WEEKDAYS = (
    ("mon", "Mon"),
    ("tue", "Tue"),
    ("wed", "Wed"),
    ("thu", "Thu"),
    ("fri", "Fri"),
    ("sat", "Sat"),
    ("sun", "Sun"),
)
URGENCIES = (("routine", "Routine"), ("soon", "Soon"), ("urgent", "Urgent"))
CHANNEL_NAMES = (("both", "By e-mail and text message"), ("email", "By e-mail"), ("sms", "By text message"))


class WishForm(Form):
    """A form with lists: the doctors and the weekdays that are ticked."""

    def __init__(self, data: Any = None, **initial: Any) -> None:
        super().__init__(data, **initial)
        self.doctors: list[str] = data.getlist("doctor") if data is not None else []
        self.weekdays: list[str] = data.getlist("weekdays") if data is not None else []


def of_entry(entry: WaitlistEntry, doctors: Mapping[str, Account], **more: Any) -> WishForm:
    """The form as the entry stands."""
    form = WishForm(
        None,
        type=entry.type_code,
        date_from=entry.date_from,
        date_to=entry.date_to,
        time_from=entry.time_from.strftime("%H:%M"),
        time_to=entry.time_to.strftime("%H:%M"),
        reason=entry.reason,
        urgency=URGENCY_OF[entry.priority],
        channel=entry.channel,
        version=entry.version,
        **more,
    )
    form.doctors = [name for name, doctor in doctors.items() if doctor.id in entry.doctor_ids]
    form.weekdays = list(weekdays_of(entry))
    return form


def read(
    form: WishForm,
    kinds: Mapping[str, AppointmentType],
    doctors: Mapping[str, Account],
    *,
    urgency: str | None = None,
) -> Wanted | None:
    """What the form asks for; None, with a sentence at each fault, when it cannot be used. `urgency`: it is not theirs
    to say."""
    code = form.choice("type", kinds, required="Choose what it is about.")
    first, last = form.date("date_from"), form.date("date_to")
    opens, closes = form.time("time_from"), form.time("time_to")
    reason = form.text("reason", maximum=300)
    channel = form.choice("channel", CHANNELS, required="") or "both"
    said = urgency or form.choice("urgency", [name for name, _label in URGENCIES])
    chosen = form.choices("doctor", form.doctors, doctors)
    if first and last and first > last:
        form.fail("date_to", "The last day must not be before the first.")
    if opens and closes and opens >= closes:
        form.fail("time_to", "The end must be later than the beginning.")
    if not form or first is None or last is None or opens is None or closes is None:
        return None
    return Wanted(
        doctors=[doctors[name] for name in dict.fromkeys(chosen)],
        kind=kinds[code],
        date_from=first,
        date_to=last,
        time_from=opens,
        time_to=closes,
        weekdays=form.choices("weekdays", form.weekdays, [day for day, _name in WEEKDAYS]),
        reason=reason,
        urgency=said,
        channel=channel,
    )
