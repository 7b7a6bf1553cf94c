"""Leave over HTTP: asked for in the doctor's app, decided in the approver's, one time of it taken back."""

from tests.caldav.helpers import Clinic, event

PATH = "/lee/leave/fridays.ics"
FRIDAYS = event("fridays@test", "20261127T120000", "20261127T180000", "SUMMARY:Time off", "RRULE:FREQ=WEEKLY;COUNT=4")


def looks(clinic: Clinic, who: str = "lee") -> list[str]:
    """TITLE STATUS of each VEVENT, the master first."""
    text = clinic.client(who).get(PATH).text.replace("\r\n ", "")
    found = []
    for part in text.split("BEGIN:VEVENT")[1:]:
        lines = dict(line.partition(":")[::2] for line in part.split("\r\n"))
        found.append(f"{lines['SUMMARY']} {lines['STATUS']}")
    return found


def test_repeating_leave_is_decided_in_the_approvers_calendar(lite: Clinic) -> None:
    lee, desk = lite.client("lee"), lite.client("desk")
    assert lee.put(PATH, FRIDAYS).status == 201
    assert looks(lite) == ["Leave (pending): Time off TENTATIVE"]
    # The doctor's own app cannot approve it.
    text = lee.get(PATH).text
    assert lee.put(PATH, text.replace("STATUS:TENTATIVE", "STATUS:CONFIRMED")).status == 204
    assert looks(lite) == ["Leave (pending): Time off TENTATIVE"]
    text = desk.get(PATH).text
    assert desk.put(PATH, text.replace("STATUS:TENTATIVE", "STATUS:CONFIRMED")).status == 204
    assert looks(lite) == looks(lite, "desk") == ["Leave: Time off CONFIRMED"]
    assert "X-CLINICDAV" not in lee.get(PATH).text
    text = desk.get(PATH).text
    assert desk.put(PATH, text.replace("STATUS:CONFIRMED", "STATUS:CANCELLED")).status == 204
    assert looks(lite) == ["Leave rejected: Time off CANCELLED"]


def test_one_time_that_an_app_cancels_is_off_and_the_rest_stays_approved(lite: Clinic) -> None:
    lee, desk = lite.client("lee"), lite.client("desk")
    lee.put(PATH, FRIDAYS)
    desk.put(PATH, desk.get(PATH).text.replace("STATUS:TENTATIVE", "STATUS:CONFIRMED"))
    one = (
        "BEGIN:VEVENT\r\nUID:fridays@test\r\nDTSTAMP:20261120T090000Z\r\n"
        "RECURRENCE-ID;TZID=Europe/Vienna:20261204T120000\r\nDTSTART;TZID=Europe/Vienna:20261204T120000\r\n"
        "DTEND;TZID=Europe/Vienna:20261204T180000\r\nSUMMARY:Leave: Time off\r\nSTATUS:CANCELLED\r\nEND:VEVENT\r\n"
    )
    text = lee.get(PATH).text
    assert lee.put(PATH, text.replace("END:VCALENDAR", one + "END:VCALENDAR")).status == 204
    assert looks(lite) == ["Leave: Time off CONFIRMED", "Leave rejected: Time off CANCELLED"]
    # Sent back as it was served, nothing changes.
    text = lee.get(PATH).text
    assert lee.put(PATH, text).status == 204
    assert looks(lite) == ["Leave: Time off CONFIRMED", "Leave rejected: Time off CANCELLED"]


def test_a_part_of_a_day_that_grows_is_asked_for_again(lite: Clinic) -> None:
    lee, desk = lite.client("lee"), lite.client("desk")
    lee.put(PATH, event("fridays@test", "20261127T120000", "20261127T140000", "SUMMARY:Dentist"))
    desk.put(PATH, desk.get(PATH).text.replace("STATUS:TENTATIVE", "STATUS:CONFIRMED"))
    lee.put(PATH, lee.get(PATH).text.replace("T140000", "T130000"))
    assert looks(lite) == ["Leave: Dentist CONFIRMED"]
    lee.put(PATH, lee.get(PATH).text.replace("T130000", "T150000"))
    assert looks(lite) == ["Leave (pending): Dentist TENTATIVE"]
