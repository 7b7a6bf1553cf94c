"""The calendar apps that one can connect: what each is called, what it is recommended, how it signs itself."""

import re
from dataclasses import dataclass

SOLO, FULL = "solo", "full"


@dataclass(frozen=True)
class App:
    """A tile and its page. `profiles` are those on offer, the recommended one first; none for an app without a login.

    `calendars`: what a receptionist may choose. An app that follows delegation finds all calendars under the own login
    ("all"), Apple's profiles are for the own login alone ("own"), another one is pointed at a doctor ("one").
    """

    slug: str
    name: str
    about: str
    icon: str
    label: str = ""
    profiles: tuple[str, ...] = (SOLO,)
    on_a_phone: bool = False
    calendars: str = "one"


APPS = {
    app.slug: app
    for app in (
        App(
            "apple",
            "iPhone, iPad, Mac",
            "The Calendar app",
            "phone",
            "iPhone",
            profiles=(SOLO, FULL),
            on_a_phone=True,
            calendars="own",
        ),
        App(
            "android",
            "Android",
            "With DAVx5",
            "phone",
            "Android phone",
            profiles=(SOLO, FULL),
            on_a_phone=True,
            calendars="all",
        ),
        App(
            "thunderbird",
            "Thunderbird",
            "On a computer",
            "mail",
            "Thunderbird on my computer",
            profiles=(SOLO, FULL),
            calendars="all",
        ),
        App("outlook", "Outlook", "Windows, with CalDav Synchronizer", "mail", "Outlook on my computer"),
        App("evolution", "Evolution", "And GNOME Calendar", "calendar", "Evolution on my computer", calendars="all"),
        App("google", "Google Calendar", "To read only", "eye", profiles=()),
        App("other", "Another app", "Anything with CalDAV", "plus", "My calendar app"),
    )
}

# How apps sign themselves, and what people call them; the first that fits is it.
_SIGNED = [
    (re.compile(signature), name)
    for signature, name in (
        (r"CalDavSynchronizer", "Outlook with CalDav Synchronizer"),
        (r"DAVx5|DAVdroid", "DAVx5"),
        (r"^iOS/|^iPadOS/", "iPhone or iPad"),
        (r"^watchOS/", "Apple Watch"),
        (r"BusyCal", "BusyCal"),
        (r"Fantastical", "Fantastical"),
        (r"^macOS/|^Mac OS X/|CalendarAgent|dataaccessd|CoreDAV", "Calendar on a Mac"),
        (r"Thunderbird", "Thunderbird"),
        (r"Evolution", "Evolution or GNOME Calendar"),
        (r"eM ?Client", "eM Client"),
        (r"KOrganizer|Kontact|Akonadi|KDE", "KOrganizer"),
        (r"OneCalendar", "OneCalendar"),
        (r"vdirsyncer", "vdirsyncer"),
        (r"calcurse", "calcurse"),
        (r"cadaver", "cadaver"),
        (r"[Cc]al[Dd][Aa][Vv]", "A CalDAV app"),
        (r"Mozilla/|curl/|Wget/", "A browser or a script"),
    )
]


def signed_by(agent: str) -> str:
    """What people call the app behind a User-Agent: a guess, for a list that nobody decides by."""
    return next((name for signature, name in _SIGNED if signature.search(agent)), agent.split("/")[0][:40])
