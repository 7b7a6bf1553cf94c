"""CalDAV: the work of calendar apps on a large calendar, ours against stock Radicale on files in the same run.

Every answer that is timed is compared with what it must hold; a row with a wrong one says so instead of a figure.
CLINICDAV_BENCH_EVENTS sets the size; the wanted ratios are those for 10,000 events. CLINICDAV_BENCH_ROWS chooses among
reading, syncing, polling and writing; CLINICDAV_BENCH_POSTGRESQL=1 adds ours with two processes on PostgreSQL.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from time import perf_counter
from urllib.parse import unquote
from xml.etree.ElementTree import Element

import defusedxml.ElementTree as SafeTree

from bench import corpus, servers
from bench.corpus import Event
from bench.report import ms, show
from bench.servers import Answer, Server
from ical.lines import parse
from ical.times import parse_utc_text, read_duration, utc_text

_D, _C, _CS = "{DAV:}", "{urn:ietf:params:xml:ns:caldav}", "{http://calendarserver.org/ns/}"
_NAMES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:CS="http://calendarserver.org/ns/"'
_CALENDAR = "personal/"
_ROUNDS = 7
# No row takes much longer than this, however slow a server is.
_SECONDS = 20.0
_POLLERS = 16


@dataclass
class Timing:
    """Seconds of each round, and of the server's processors in all of them; `wrong`: what an answer lacked."""

    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    wrong: str = ""

    @property
    def typical(self) -> float:
        return median(self.seconds)


# What is timed gives its answers; what they lack is said by the check, "" for nothing.
Work = Callable[[Server], list[Answer]]
Check = Callable[[Server, list[Answer]], str]


class _Bench:
    """The servers (ours, perhaps ours on PostgreSQL, the peer last), what their calendars hold by now, and the table's
    rows so far."""

    def __init__(self, servers: list[Server], made: list[Event], monday: datetime) -> None:
        self.servers = servers
        self.made = {event.href: event for event in made}
        self.monday = monday
        self.random = Random(2)
        self.rows: list[list[str]] = []

    @property
    def ours(self) -> list[Server]:
        return self.servers[:-1]

    @property
    def peer(self) -> Server:
        return self.servers[-1]

    def timings(self) -> dict[str, Timing]:
        return {server.name: Timing() for server in self.servers}

    def row(
        self, name: str, wanted: str, work: Work, check: Check, *, prepare: Work | None = None, per: int = 1
    ) -> None:
        """Time `work` on all in turn, and add the row. `per`: how many requests it makes. A first round is for warming
        up, unless one such request takes so long that it makes no difference."""
        say(name)
        timings = self.timings()
        began = perf_counter()
        for number in range(_ROUNDS + 1):
            for server in self.servers:
                if prepare is not None:
                    server.connect()
                    prepare(server)
                slow = bool(timings[server.name].seconds)
                if not (slow and timings[server.name].seconds[0] > _SECONDS):
                    _time(server, work, check, timings[server.name], warm=number > 0)
            if number and perf_counter() - began > _SECONDS:
                break
        self.add(name, wanted, timings, per)

    def add(self, name: str, wanted: str, timings: dict[str, Timing], per: int) -> None:
        peer = timings[self.peer.name]
        wrong = [f"{name}: {timing.wrong}" for name, timing in timings.items() if timing.wrong]
        ratios, cpu, times = [], [], []
        for server in self.ours:
            ours = timings[server.name]
            ratios.append(f"{peer.typical / ours.typical:.1f}×" if not wrong else "wrong")
            own = ours.cpu / len(ours.seconds)
            cpu.append(f"{peer.cpu / len(peer.seconds) / own:.1f}×")
            times.append(ms(ours.typical / per))
        self.rows.append([name, wanted, *ratios, cpu[0], *times, ms(peer.typical / per), "; ".join(wrong) or "equal"])


def say(text: str) -> None:
    print(f"  {datetime.now():%H:%M:%S} {text} …", file=sys.stderr, flush=True)


def table() -> None:
    count = int(os.environ.get("CLINICDAV_BENCH_EVENTS", "10000"))
    asked = os.environ.get("CLINICDAV_BENCH_ROWS", "").split() or list(_ROWS)
    today = datetime.now(UTC)
    monday = datetime(today.year, today.month, today.day, tzinfo=UTC) - timedelta(days=today.weekday())
    say(f"CalDAV: filling calendars with {count} events")
    made = corpus.events(count, monday)
    with servers.all_of(made, "CLINICDAV_BENCH_POSTGRESQL" in os.environ) as running:
        bench = _Bench(running, made, monday)
        for name in asked:
            _ROWS[name](bench)
        memory = [server.memory() for server in running]
        ratios = [f"{memory[-1] / held:.1f}×" for held in memory[:-1]]
        bench.rows.append(["memory afterwards", "≤ 150 MiB", *ratios, "", *(f"{held:.0f} MiB" for held in memory), ""])
    names = ["ours", "two processes, PostgreSQL"][: len(bench.ours)]
    show(
        f"CalDAV with {count} events over two years: how many times as fast as stock Radicale",
        ["work", "wanted at 10,000", *names, "CPU", *(f"{name}, a request" for name in names), "Radicale", "answers"],
        bench.rows,
    )


def _time(server: Server, work: Work, check: Check, timing: Timing, *, warm: bool = True) -> None:
    server.connect()
    cpu, began = server.cpu(), perf_counter()
    answers = work(server)
    seconds = perf_counter() - began
    if warm or seconds > _SECONDS:
        timing.seconds.append(seconds)
        timing.cpu += server.cpu() - cpu
    timing.wrong = timing.wrong or check(server, answers)


# Questions


def _propfind(*names: str) -> str:
    return f"<D:propfind {_NAMES}><D:prop>{''.join(f'<{name}/>' for name in names)}</D:prop></D:propfind>"


def _range(tag: str, first: datetime, last: datetime) -> str:
    return f'<C:{tag} start="{utc_text(first)}" end="{utc_text(last)}"/>'


def _query(first: datetime, last: datetime, data: str) -> str:
    return (
        f"<C:calendar-query {_NAMES}><D:prop><D:getetag/>{data}</D:prop>"
        '<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">'
        f"{_range('time-range', first, last)}</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"
    )


def _sync(token: str) -> str:
    return (
        f"<D:sync-collection {_NAMES}><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>"
        "<D:prop><D:getetag/></D:prop></D:sync-collection>"
    )


def _asking(method: str, body: str, depth: str = "1", path: str = _CALENDAR) -> Work:
    headers = {"Content-Type": "application/xml; charset=utf-8", "Depth": depth}
    return lambda server: [server.ask(method, path, body, headers)]


# Answers


def _members(answer: Answer) -> Iterator[tuple[str, Element]]:
    """(name, response) of each member that is there."""
    for response in SafeTree.fromstring(answer.body).iter(f"{_D}response"):
        name = unquote(response.findtext(f"{_D}href", "")).rpartition("/")[2]
        if name and response.findtext(f"{_D}propstat/{_D}prop/{_D}getetag"):
            yield name, response


def _data(answer: Answer) -> dict[str, str]:
    return {name: response.findtext(f".//{_C}calendar-data", "") for name, response in _members(answer)}


def _difference(found: set[str], wanted: set[str]) -> str:
    lacks, more = len(wanted - found), len(found - wanted)
    return f"{lacks} missing, {more} too many" if lacks or more else ""


def _exactly(names: Callable[[], set[str]]) -> Check:
    return lambda _server, answers: _difference({name for name, _r in _members(answers[0])}, names())


def _same_texts(found: dict[str, str], wanted: dict[str, Event]) -> str:
    wrong = [name for name, text in found.items() if corpus.meaning(text) != corpus.meaning(wanted[name].text())]
    return f"{len(wrong)} of {len(found)} texts differ ({wrong[0]})" if wrong else ""


def _busy_periods(text: str, first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
    periods = []
    for component in parse(text).components("VFREEBUSY"):
        for line in component.lines("FREEBUSY"):
            if (line.param("FBTYPE") or "BUSY").upper() != "FREE":
                for period in line.value.split(","):
                    start, _, end = period.partition("/")
                    begin = parse_utc_text(start)
                    periods.append((begin, begin + read_duration(end) if end[:1] == "P" else parse_utc_text(end)))
    return corpus.merged(periods, first, last)


# Rows


def _reading(bench: _Bench) -> None:
    events = list(bench.made.values())
    first, last = bench.monday + timedelta(days=21), bench.monday + timedelta(days=28)
    month = bench.monday + timedelta(days=51)
    week = {event.href: found for event in events if (found := event.instances(first, last))}

    def whole(_server: Server, answers: list[Answer]) -> str:
        found = _data(answers[0])
        return _difference(set(found), set(week)) or _same_texts(found, bench.made)

    def expanded(_server: Server, answers: list[Answer]) -> str:
        found = {name: corpus.instances_in(text) for name, text in _data(answers[0]).items()}
        wrong = [name for name, instances in week.items() if found.get(name) != sorted(instances)]
        return _difference(set(found), set(week)) or (f"{len(wrong)} differ ({wrong[0]})" if wrong else "")

    def busy(_server: Server, answers: list[Answer]) -> str:
        wanted = corpus.busy_time(events, first, month)
        return "" if _busy_periods(answers[0].body.decode(), first, month) == wanted else "other busy times"

    def named(server: Server) -> str:
        hrefs = "".join(f"<D:href>{server.home}{_CALENDAR}{event.href}</D:href>" for event in hundred)
        return f"<C:calendar-multiget {_NAMES}><D:prop><D:getetag/><C:calendar-data/></D:prop>{hrefs}</C:calendar-multiget>"

    def got(_server: Server, answers: list[Answer]) -> str:
        found = _data(answers[0])
        return _difference(set(found), {event.href for event in hundred}) or _same_texts(found, bench.made)

    def read(_server: Server, answers: list[Answer]) -> str:
        found = {event.href: answer.body.decode() for event, answer in zip(hundred, answers, strict=True)}
        return _same_texts(found, bench.made)

    hundred = bench.random.sample(events, 100)
    every = _exactly(lambda: set(bench.made))
    bench.row("first sync", "45×", _asking("REPORT", _sync("")), every)
    bench.row("PROPFIND of all ETags", "30×", _asking("PROPFIND", _propfind("D:getetag")), every)
    bench.row("query of a week", "80×", _asking("REPORT", _query(first, last, "<C:calendar-data/>")), whole)
    data = f"<C:calendar-data>{_range('expand', first, last)}</C:calendar-data>"
    bench.row("query of a week, expanded", "200×", _asking("REPORT", _query(first, last, data)), expanded)
    free_busy = f"<C:free-busy-query {_NAMES}>{_range('time-range', first, month)}</C:free-busy-query>"
    bench.row("free-busy of a month", "150×", _asking("REPORT", free_busy), busy)
    bench.row("multiget of 100", "8×", lambda server: _asking("REPORT", named(server))(server), got)
    bench.row(
        "GET", "1×", lambda server: [server.ask("GET", _CALENDAR + e.href) for e in hundred], read, per=len(hundred)
    )


def _syncing(bench: _Bench) -> None:
    tokens: dict[str, str] = {}
    changed: dict[str, str] = {}
    single = [event for event in bench.made.values() if not event.weekly]

    def change(server: Server) -> list[Answer]:
        if server.name not in tokens:
            tokens[server.name] = _token(_asking("REPORT", _sync(""))(server)[0])
        if server is bench.servers[0]:
            event = bench.random.choice(single)
            event.summary += " again"
            changed["href"] = event.href
        event = bench.made[changed["href"]]
        return [_put(server, _CALENDAR, event)]

    def check(server: Server, answers: list[Answer]) -> str:
        tokens[server.name] = _token(answers[0])
        return _exactly(lambda: {changed["href"]})(server, answers)

    bench.row(
        "sync after one change",
        "250×",
        lambda server: _asking("REPORT", _sync(tokens[server.name]))(server),
        check,
        prepare=change,
    )


def _token(answer: Answer) -> str:
    return str(SafeTree.fromstring(answer.body).findtext(f"{_D}sync-token", ""))


def _polling(bench: _Bench) -> None:
    name = f"ctag, {_POLLERS} connections"
    say(name)
    timings = bench.timings()
    for server in bench.servers:
        timing = timings[server.name]
        _time(server, lambda server: _poll(server, 1), _one_ctag, timing)
        each = max(1, min(200, int(3 / timing.seconds[0])))
        timing.seconds, timing.cpu = [], 0.0
        for _ in range(3):
            _time(server, lambda server, each=each: _poll(server, each), _one_ctag, timing)
        timing.seconds = [seconds / each for seconds in timing.seconds]
        timing.cpu /= each
    bench.add(name, "700×", timings, _POLLERS)


def _poll(server: Server, each: int) -> list[Answer]:
    body, headers = _propfind("CS:getctag"), {"Content-Type": "application/xml", "Depth": "0"}
    with ThreadPoolExecutor(_POLLERS) as pool:
        polled = pool.map(lambda _number: server.ask_again("PROPFIND", _CALENDAR, body, headers, each), range(_POLLERS))
        return [answer for answers in polled for answer in answers]


def _one_ctag(_server: Server, answers: list[Answer]) -> str:
    found = {SafeTree.fromstring(answer.body).findtext(f".//{_CS}getctag") for answer in answers}
    return "" if len(found) == 1 and None not in found else f"{len(found)} ctags"


def _writing(bench: _Bench) -> None:
    count = max(100, min(1000, len(bench.made) // 10))
    for connections in (1, 8):
        _put_new(bench, count, connections)
    single = [event for event in bench.made.values() if not event.weekly]
    chosen: list[Event] = []

    def choose(server: Server) -> list[Answer]:
        if server is bench.servers[0]:
            chosen[:] = bench.random.sample(single, 10)
            for event in chosen:
                event.summary += " changed"
        return []

    def check(server: Server, answers: list[Answer]) -> str:
        statuses = {answer.status for answer in answers} - {201, 204}
        found = {event.href: server.ask("GET", _CALENDAR + event.href).body.decode() for event in chosen}
        return f"answered {statuses}" if statuses else _same_texts(found, bench.made)

    bench.row(
        "PUT of a change",
        "8×",
        lambda server: [_put(server, _CALENDAR, event) for event in chosen],
        check,
        prepare=choose,
        per=10,
    )


def _put_new(bench: _Bench, count: int, connections: int) -> None:
    name = f"PUT of {count} new, {connections} connection{'s' if connections > 1 else ''}"
    say(name)
    calendar = f"new{connections}/"
    new = corpus.events(count, bench.monday, seed=connections, name=f"new{connections}")
    wanted = {event.href: event for event in new}

    def put(server: Server) -> list[Answer]:
        if connections == 1:
            return [_put(server, calendar, event) for event in new]

        def putter(share: Sequence[Event]) -> list[Answer]:
            connection = server.connection()
            try:
                return [server.ask("PUT", calendar + e.href, e.text(), _ICS, connection) for e in share]
            finally:
                connection.close()

        with ThreadPoolExecutor(connections) as pool:
            shares = [new[number::connections] for number in range(connections)]
            return [answer for answers in pool.map(putter, shares) for answer in answers]

    def check(server: Server, answers: list[Answer]) -> str:
        statuses = {answer.status for answer in answers} - {201}
        if statuses:
            return f"answered {statuses}"
        found = _data(_asking("REPORT", _query(*span, "<C:calendar-data/>"), path=calendar)(server)[0])
        return _difference(set(found), set(wanted)) or _same_texts(found, wanted)

    span = bench.monday - timedelta(days=800), bench.monday + timedelta(days=800)
    timings = bench.timings()
    for server in bench.servers:
        server.connect()
        server.ask("MKCALENDAR", calendar)
        _time(server, put, check, timings[server.name])
    bench.add(name, "7×", timings, count)


_ICS = {"Content-Type": "text/calendar; charset=utf-8"}


def _put(server: Server, calendar: str, event: Event) -> Answer:
    return server.ask("PUT", calendar + event.href, event.text(), _ICS)


_ROWS: dict[str, Callable[[_Bench], None]] = {
    "reading": _reading,
    "syncing": _syncing,
    "polling": _polling,
    "writing": _writing,
}
