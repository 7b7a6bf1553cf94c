"""sync-collection. RFC 6578: nothing is missed and nothing is phantom, whatever happens between two syncs."""

import random

import pytest
from sqlalchemy import func, select

from storage import sync
from storage.models import Change
from tests.caldav.helpers import Answer, Clinic, D, Dav, event


def token(answer: Answer) -> str:
    return answer.xml.findtext(f"{D}sync-token", "")


def test_first_sync_lists_everything(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event("a@test"))
    lee.put("/lee/personal/b.ics", event("b@test"))
    lee.delete("/lee/personal/b.ics")
    answer = lee.sync("/lee/personal/")
    assert answer.members == {"a.ics"}
    prop = lee.propfind("/lee/personal/", "D:sync-token").prop(f"{D}sync-token")
    assert prop is not None and prop.text == token(answer)


def test_later_sync_lists_what_changed_and_what_is_gone(lee: Dav) -> None:
    for name in ("a", "b", "c"):
        lee.put(f"/lee/personal/{name}.ics", event(f"{name}@test"))
    before = token(lee.sync("/lee/personal/"))
    assert lee.sync("/lee/personal/", before).members == set()
    lee.put("/lee/personal/a.ics", event("a@test", "20261125T090000", "20261125T093000"))
    lee.delete("/lee/personal/b.ics")
    lee.put("/lee/personal/d.ics", event("d@test"))
    answer = lee.sync("/lee/personal/", before)
    assert answer.members == {"a.ics", "b.ics", "d.ics"}
    gone = answer.response("/dav/lee/personal/b.ics")
    assert " 404 " in gone.findtext(f"{D}status", "") and gone.find(f"{D}propstat") is None


def test_made_and_deleted_between_two_syncs(lee: Dav) -> None:
    before = token(lee.sync("/lee/personal/"))
    lee.put("/lee/personal/a.ics", event())
    lee.delete("/lee/personal/a.ics")
    assert apply({}, lee.sync("/lee/personal/", before)) == {}


@pytest.mark.parametrize(
    "bad", ["nonsense", "data:,", "data:,0000000000000000-1", "http://x/1", "data:,{epoch}-999999", "data:,{epoch}--1"]
)
def test_tokens_that_are_not_ours(lee: Dav, bad: str) -> None:
    epoch = token(lee.sync("/lee/personal/")).removeprefix("data:,").partition("-")[0]
    answer = lee.sync("/lee/personal/", bad.format(epoch=epoch))
    assert (answer.status, answer.condition) == (403, "valid-sync-token")


def test_token_of_another_calendar_is_refused(lee: Dav) -> None:
    assert lee.sync("/lee/hours/", token(lee.sync("/lee/personal/"))).condition == "valid-sync-token"


def test_calendar_that_was_made_again_takes_no_old_token(lee: Dav) -> None:
    lee.request("MKCALENDAR", "/lee/x/")
    lee.put("/lee/x/a.ics", event())
    old = token(lee.sync("/lee/x/"))
    lee.delete("/lee/x/")
    lee.request("MKCALENDAR", "/lee/x/")
    assert lee.sync("/lee/x/", old).condition == "valid-sync-token"


def test_limit_gives_pages_until_all_is_told(lee: Dav) -> None:
    for number in range(7):
        lee.put(f"/lee/personal/{number}.ics", event(f"{number}@test"))
    for start in ("", token(lee.sync("/lee/hours/"))[:0]):
        seen, now, pages = {}, start, 0
        while True:
            answer = lee.sync("/lee/personal/", now, limit=3)
            apply(seen, answer)
            now, pages = token(answer), pages + 1
            if "507" not in answer.text:
                break
            assert answer.hrefs[-1] == "/dav/lee/personal/"
        assert (len(seen), pages) == (7, 3)
    assert lee.sync("/lee/personal/", limit=0).status == 400


def test_the_change_log_grows_with_the_hrefs_not_with_the_writes(clinic: Clinic) -> None:
    lee = clinic.client("lee")
    for minute in range(10, 20):
        lee.put("/lee/personal/a.ics", event("a@test", f"20261124T09{minute}00", "20261124T110000"))
    lee.put("/lee/personal/b.ics", event("b@test"))
    lee.delete("/lee/personal/b.ics")
    with clinic.db.transaction() as session:
        sync.compact(session)
        kept = select(func.count()).select_from(Change).where(Change.href.in_(("a.ics", "b.ics")))
        assert session.scalar(kept) == 2


def test_unknown_sync_level_is_refused(lee: Dav) -> None:
    body = "<D:sync-token/><D:sync-level>7</D:sync-level><D:prop/>"
    assert lee.report("/lee/personal/", "D:sync-collection", body, depth="0").status == 400


def apply(copy: dict[str, str], answer: Answer) -> dict[str, str]:
    """What a client does with an answer: its copy of name → ETag. A deletion of the unknown is no harm."""
    assert answer.status == 207, answer.body
    for response in answer.xml.findall(f"{D}response"):
        name = response.findtext(f"{D}href", "").rpartition("/")[2]
        if response.find(f"{D}propstat") is not None:
            copy[name] = response.findtext(f".//{D}getetag", "")
        elif name:
            copy.pop(name, None)
    return copy


def truth(client: Dav) -> dict[str, str]:
    return apply({}, client.propfind("/lee/personal/", "D:getetag", depth="1")) | {}


def history(clinic: Clinic, seed: int, steps: int = 60) -> None:
    """Three clients with their own copies and tokens write, sync in pages or at once, and the process restarts."""
    chance = random.Random(seed)
    copies: list[dict[str, str]] = [{}, {}, {}]
    tokens = ["", "", ""]
    names = [f"{n}.ics" for n in range(6)]
    for step in range(steps):
        who = chance.randrange(3)
        client = clinic.client("lee")
        name = chance.choice(names)
        path = f"/lee/personal/{name}"
        match chance.choice(
            ("put", "put", "delete", "move", "sync", "sync", "page", "restart", "compact", "stale", "forget")
        ):
            case "put":
                minute = f"{step % 60:02d}"
                client.put(path, event(f"{name}@test", f"20261124T09{minute}00", "20261124T110000"))
            case "delete":
                client.delete(path)
            case "move":
                client.request("MOVE", path, headers={"Destination": f"/dav/lee/personal/{chance.choice(names)}"})
            case "stale":
                assert client.put(path, event(f"{name}@test"), If_Match='"stale"').status == 412
            case "sync" | "page" as kind:
                limit = None if kind == "sync" else chance.randint(1, 3)
                answer = client.sync("/lee/personal/", tokens[who], limit)
                apply(copies[who], answer)
                tokens[who] = token(answer)
                if kind == "sync":
                    real = truth(client)
                    real.pop("", None)
                    copies[who].pop("", None)
                    assert copies[who] == real, f"seed {seed}, step {step}"
            case "restart":
                clinic.restart()
            case "compact":
                with clinic.db.transaction() as session:
                    sync.compact(session)
            case "forget":
                copies[who], tokens[who] = {}, ""
    for copy, since in zip(copies, tokens, strict=True):
        apply(copy, clinic.client("lee").sync("/lee/personal/", since))
        copy.pop("", None)
        real = truth(clinic.client("lee"))
        real.pop("", None)
        assert copy == real, f"seed {seed} at the end"


@pytest.mark.parametrize("seed", range(12))
def test_clients_that_follow_tokens_miss_nothing(lite: Clinic, seed: int) -> None:
    history(lite, seed)


def test_clients_that_follow_tokens_miss_nothing_on_both_databases(clinic: Clinic) -> None:
    history(clinic, 1000)


@pytest.mark.soak
def test_a_thousand_histories(lite: Clinic) -> None:
    for seed in range(1000):
        history(lite, seed)
        lee = lite.client("lee")
        for name in truth(lee):
            lee.delete(f"/lee/personal/{name}")
    print("histories: 1000, clients: 3, missed: 0, phantom: 0")
