"""The words of every message, in text, HTML and as a short message. None names a reason, a type or a speciality."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from storage.outbox import Message, Time

_MOST_TIMES = 12


@dataclass(frozen=True)
class Said:
    subject: str
    text: str
    html: str
    short: str


@dataclass(frozen=True)
class _Parts:
    """What a message says: paragraphs, a list of facts, and at most one thing to press."""

    subject: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()
    button: str = ""
    link: str = ""
    links: tuple[tuple[str, str], ...] = ()
    after: tuple[str, ...] = ()
    short: str = ""


def render(message: Message) -> Said:
    """KeyError for a template that has no words."""
    parts = _WORDS[message.template](message)
    greeting = f"Hello {message.name},"
    return Said(
        # A name of the clinic must not begin another header.
        subject=" ".join(parts.subject.split()),
        text=_text(greeting, parts, message.clinic),
        html=_html(greeting, parts, message.clinic),
        short=" ".join(parts.short.split()),
    )


def day(time: Time) -> str:
    return f"{time.start:%A}, {time.start.day} {time.start:%B %Y}"


def hour(time: Time, zone: bool = False) -> str:
    said = f"{time.start:%H:%M} to {time.end:%H:%M}"
    return f"{said} ({time.start.tzname()})" if zone else said


def brief(time: Time) -> str:
    return f"{time.start:%a} {time.start.day} {time.start:%b}, {time.start:%H:%M}"


def _confirmed(m: Message) -> _Parts:
    many = len(m.times) > 1
    if m.to_confirm:
        return _Parts(
            subject=f"Please confirm your appointment on {brief(m.times[0])}",
            lines=(f"we have made {'appointments' if many else 'an appointment'} for you.",),
            facts=_facts(m),
            button="Confirm, move or cancel",
            link=m.link,
            after=("The attached file puts it into your calendar.",),
        )
    return _Parts(
        subject=f"Your appointments at {m.clinic}" if many else f"Your appointment on {brief(m.times[0])}",
        lines=(f"your {'appointments are' if many else 'appointment is'} booked.", *_said(m)),
        facts=_facts(m),
        button="See, move or cancel",
        link=m.link,
        after=("The attached file puts it into your calendar.",),
    )


def _changed(m: Message) -> _Parts:
    if m.by_law:
        return _Parts(
            subject=f"Your appointment stays on {brief(m.times[0])}: the clocks are changed",
            lines=("a law changes the clocks where your appointment takes place. What they show then stays the same.",),
            facts=_facts(m),
            button="See, move or cancel",
            link=m.link,
            after=("The attached file puts your calendar right.",),
            short=f"{m.clinic}: the clocks are changed by law; your appointment stays on {brief(m.times[0])}. {m.link}",
        )
    was = (("Before", f"{m.was:%A}, {m.was.day} {m.was:%B %Y}, {m.was:%H:%M}"),) if m.was else ()
    many = len(m.times) > 1
    moved = (
        "your appointments have new times. These are all that are to come:"
        if many
        else "your appointment has a new time."
    )
    return _Parts(
        subject=f"Your appointments at {m.clinic} have new times"
        if many
        else f"Your appointment is now on {brief(m.times[0])}",
        lines=(
            *((f"another doctor sees you at your appointment{'s' if many else ''}.",) if m.handed_over else ()),
            *((moved,) if m.was or many or not m.handed_over else ()),
            *_said(m),
        ),
        facts=(*_facts(m), *was),
        button="See, move or cancel",
        link=m.link,
        after=("If the new time does not suit you, choose another one there or call us.",),
        short=f"{m.clinic}: your appointment is now on {brief(m.times[0])}. {m.link}",
    )


def _cancelled(m: Message) -> _Parts:
    many = len(m.times) > 1
    return _Parts(
        subject=f"Your appointment on {brief(m.times[0])} is cancelled",
        lines=(
            *_said(m),
            "these appointments will not take place:" if many else "this appointment will not take place:",
        ),
        facts=_facts(m),
        button="Find another time",
        link=m.link,
        short=f"{m.clinic}: your appointment on {brief(m.times[0])} is cancelled. {m.link}",
    )


def _reminder(m: Message) -> _Parts:
    video = f" Join: {m.video_link}" if m.video_link else ""
    return _Parts(
        subject=f"Reminder: your appointment on {brief(m.times[0])}",
        lines=("this is a reminder of your appointment.",),
        facts=_facts(m),
        button="See, move or cancel",
        link=m.link,
        short=f"{m.clinic}: reminder of your appointment on {brief(m.times[0])}.{video}",
    )


def _joined(m: Message) -> _Parts:
    return _Parts(
        subject=f"You are on the waitlist of {m.clinic}",
        lines=(
            f"you are on the waitlist{f' of {m.doctor}' if m.doctor else ''}.",
            "As soon as a time that suits you becomes free, we keep it for you for a while and send you a link."
            " The urgent are asked first, then whoever has waited longest.",
        ),
        button="See or leave the waitlist" if m.link else "",
        link=m.link,
    )


def _offer(m: Message) -> _Parts:
    until = f"{m.until:%H:%M} on {m.until:%A}, {m.until.day} {m.until:%B}" if m.until else ""
    return _Parts(
        subject=f"A time has become free: {brief(m.times[0])}",
        lines=("you are on our waitlist, and this time has become free. We keep it for you:",),
        facts=(*_facts(m), ("Kept until", until)),
        button="Take it or leave it",
        link=m.link,
        after=("If you do not answer, the next patient is asked, and you stay on the waitlist.",),
        short=f"{m.clinic}: {brief(m.times[0])} has become free. We keep it for you until"
        f" {f'{m.until:%H:%M}' if m.until else ''}: {m.link}",
    )


_WISHES = {
    "book": "for this appointment",
    "reschedule": "to move your appointment",
    "cancel": "to cancel your appointment",
}


def _request_received(m: Message) -> _Parts:
    wish = _WISHES.get(m.request, "")
    stays = "" if m.request == "book" else " Until then your appointment stays as it is."
    return _Parts(
        subject=f"We have your request: {brief(_asked(m))}",
        lines=(f"you have asked us {wish}. It is not confirmed yet: we answer by e-mail.{stays}",),
        facts=_request_facts(m),
        button="See or take back your request",
        link=m.link,
    )


def _request_rejected(m: Message) -> _Parts:
    stands = "" if m.request == "book" else " Your appointment stays as it was."
    return _Parts(
        subject=f"We cannot do what you asked: {brief(_asked(m))}",
        lines=(f"we are sorry: we cannot do what you asked us.{stands}", *_said(m)),
        facts=_request_facts(m),
        button="Find another time" if m.request == "book" else "See your appointment",
        link=m.link,
        short=f"{m.clinic}: we cannot do what you asked for {brief(_asked(m))}.{stands} {m.link}",
    )


def _request_lapsed(m: Message) -> _Parts:
    stands = "The appointment does not take place." if m.request == "book" else "Your appointment stays as it was."
    return _Parts(
        subject=f"Your request could not be answered: {brief(_asked(m))}",
        lines=(f"we are sorry: nobody could answer your request in time. {stands}", *_said(m)),
        facts=_request_facts(m),
        button="Find another time" if m.request == "book" else "See your appointment",
        link=m.link,
        after=("Please call us if you need help.",),
        short=f"{m.clinic}: your request for {brief(_asked(m))} was not answered in time. {stands} {m.link}",
    )


def _choose_another(m: Message) -> _Parts:
    until = f"{m.until:%H:%M} on {m.until:%A}, {m.until.day} {m.until:%B}" if m.until else ""
    return _Parts(
        subject=f"Please choose another time for {brief(m.times[0])}",
        lines=(f"{m.doctor} cannot come at the time of your appointment.", *_said(m), "Please choose another time:"),
        facts=(*_facts(m), ("Choose until", until)),
        button="Choose another time",
        link=m.link,
        after=("If you choose none, the appointment is cancelled then, and we tell you.",),
        short=f"{m.clinic}: {brief(m.times[0])} cannot take place. Choose another time: {m.link}",
    )


def _asked(m: Message) -> Time:
    return m.wanted or m.times[0]


def _request_facts(m: Message) -> tuple[tuple[str, str], ...]:
    wanted = (("Asked for", f"{day(m.wanted)}, {hour(m.wanted)}"),) if m.wanted else ()
    return (*_facts(m), *wanted)


def _said(m: Message) -> tuple[str, ...]:
    """The practice's own words."""
    return tuple(line.strip() for line in m.text.splitlines() if line.strip())


def _follow_up(m: Message) -> _Parts:
    first, last = m.times[0].start, m.times[0].end
    days = f"between {first.day} {first:%B} and {last.day} {last:%B %Y}"
    return _Parts(
        subject=f"Please choose a time for your next appointment at {m.clinic}",
        lines=(f"{m.doctor} would like to see you again {days}.",),
        button="Choose a time",
        link=m.link,
        after=("If none of the times suits you, call us.",),
        short=f"{m.clinic}: {m.doctor} would like to see you again {days}. Choose a time: {m.link}",
    )


def _follow_up_overdue(m: Message) -> _Parts:
    last = m.times[0].end
    return _Parts(
        subject=f"Your next appointment at {m.clinic} is not booked yet",
        lines=(f"{m.doctor} wanted to see you again by {last.day} {last:%B %Y}, and no time is booked yet.",),
        button="Choose a time",
        link=m.link,
        after=("If you do not need it any more, you need not do anything.",),
        short=f"{m.clinic}: your next appointment is not booked yet. Choose a time: {m.link}",
    )


def _links(m: Message) -> _Parts:
    links = tuple((f"{brief(time)}, {doctor}", link) for time, doctor, link in m.visits)
    first = m.visits[0]
    return _Parts(
        subject=f"Your appointments at {m.clinic}",
        lines=("these are your coming appointments. Each link lets you see, move or cancel one.",),
        links=links,
        after=("If you did not ask for this, you need not do anything.",),
        short=f"{m.clinic}: your next appointment is on {brief(first[0])}. {first[2]}",
    )


def _notice(m: Message) -> _Parts:
    return _Parts(
        subject=f"{m.clinic}: a notice about your calendar",
        lines=(m.text,),
        button="See it in the portal",
        link=m.link,
        after=("Calendar apps do not show this.",),
    )


_WORDS: dict[str, Callable[[Message], _Parts]] = {
    "appointment_confirmed": _confirmed,
    "appointment_changed": _changed,
    "appointment_cancelled": _cancelled,
    "appointment_reminder": _reminder,
    "waitlist_joined": _joined,
    "waitlist_offer": _offer,
    "request_received": _request_received,
    "request_rejected": _request_rejected,
    "request_lapsed": _request_lapsed,
    "choose_another": _choose_another,
    "follow_up": _follow_up,
    "follow_up_overdue": _follow_up_overdue,
    "manage_links": _links,
    "staff_notice": _notice,
}


def _facts(m: Message) -> tuple[tuple[str, str], ...]:
    facts: list[tuple[str, str]] = []
    if len(m.times) == 1:
        facts += [("Day", day(m.times[0])), ("Time", hour(m.times[0], zone=bool(m.video_link)))]
    else:
        shown = [f"{day(time)}, {hour(time)}" for time in m.times[:_MOST_TIMES]]
        if len(m.times) > _MOST_TIMES:
            shown.append(f"and {len(m.times) - _MOST_TIMES} more")
        facts += [("When", said) for said in shown]
    facts.append(("With", m.doctor))
    if m.video_link:
        facts.append(("Join", m.video_link))
    elif m.location:
        facts.append(("Where", m.location))
    return tuple((name, value) for name, value in facts if value)


def _text(greeting: str, parts: _Parts, clinic: str) -> str:
    blocks = [greeting, *parts.lines]
    blocks += ["\n".join(f"{name}: {value}" for name, value in parts.facts)] if parts.facts else []
    blocks += [f"{name}:\n{link}" for name, link in parts.links]
    blocks += [f"{parts.button}:\n{parts.link}"] if parts.link else []
    return "\n\n".join([*blocks, *parts.after, clinic]) + "\n"


def _html(greeting: str, parts: _Parts, clinic: str) -> str:
    body = [_paragraph(greeting), *(_paragraph(line) for line in parts.lines)]
    if parts.facts:
        body.append('<table role="presentation" style="margin:16px 0">' + "".join(_rows(parts.facts)) + "</table>")
    body += [f'<p style="margin:8px 0"><a href="{escape(link)}">{escape(name)}</a></p>' for name, link in parts.links]
    if parts.link:
        style = "background:#1d5d8f;color:#ffffff;padding:10px 16px;border-radius:6px;text-decoration:none"
        body.append(f'<p style="margin:24px 0"><a href="{escape(parts.link)}" style="{style}">{parts.button}</a></p>')
    body += [_paragraph(line) for line in (*parts.after, clinic)]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>'
        f"{escape(parts.subject)}</title></head>"
        '<body style="font-family:sans-serif;font-size:16px;line-height:1.5;color:#1b1b1b;max-width:36em">'
        + "\n".join(body)
        + "</body></html>\n"
    )


def _paragraph(text: str) -> str:
    return f'<p style="margin:12px 0">{escape(text)}</p>'


def _rows(facts: Sequence[tuple[str, str]]) -> list[str]:
    return [
        f'<tr><td style="padding:2px 16px 2px 0;color:#555555">{escape(name)}</td><td>{_linked(value)}</td></tr>'
        for name, value in facts
    ]


def _linked(value: str) -> str:
    if value.startswith(("https://", "http://")):
        return f'<a href="{escape(value)}">{escape(value)}</a>'
    return escape(value)
