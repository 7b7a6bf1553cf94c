"""Rooms, machines and assistants: what an appointment may need beside a doctor, with calendars of their own."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical.errors import InvalidInput, NotFound
from storage import accounts
from storage.models import Account, Resource

KINDS = ("room", "machine", "assistant")


@dataclass(frozen=True)
class Bookable:
    """Whose minutes can be claimed: the account with the calendars, and the row that is the lock."""

    account: Account
    id: int
    # doctor, room, machine or assistant
    kind: str


def add(
    session: Session,
    username: str,
    kind: str,
    name: str,
    *,
    timezone: str | None = None,
    capacity: int = 1,
    now: datetime,
) -> Bookable:
    """A new room, machine or assistant; `capacity` appointments can share its time. Raises InvalidInput naming the
    field."""
    if kind not in KINDS:
        raise InvalidInput("The kind is room, machine or assistant.", field="kind")
    account = accounts.create_account(
        session, role="resource", username=username, name=name, timezone=timezone, capacity=capacity, now=now
    )
    resource = Resource(kind=kind, name=account.name, account_id=account.id)
    session.add(resource)
    session.flush()
    return Bookable(account, resource.id, kind)


def change(
    session: Session,
    username: str,
    *,
    name: str | None = None,
    capacity: int | None = None,
    active: bool | None = None,
    now: datetime,
) -> Bookable:
    """Change what is given. What is not active is not booked any more; what is booked with it stays. Raises NotFound."""
    found = next((each for each in known(session, [username]) if each.kind != "doctor"), None)
    if found is None:
        raise NotFound()
    account = found.account
    if name is not None:
        account.name = accounts.clean_name(name)
        session.get_one(Resource, found.id).name = account.name
    if capacity is not None:
        account.capacity = capacity
    if active is False and not account.disabled:
        accounts.disable(session, account, now)
    elif active and account.disabled:
        accounts.enable(session, account, now)
    session.flush()
    return found


def every(session: Session, *, all_of_them: bool = False) -> list[Bookable]:
    """Rooms, machines and assistants that can be booked, or all there ever were, by kind and name."""
    chosen = (
        select(Account, Resource.id, Resource.kind)
        .join(Resource, Resource.account_id == Account.id)
        .where(Account.role == "resource")
        .order_by(Account.name, Account.id)
    )
    found = session.execute(chosen if all_of_them else chosen.where(Account.disabled.is_(False)))
    return sorted((Bookable(*row) for row in found), key=lambda each: KINDS.index(each.kind))


def by_names(session: Session, names: Iterable[str], field: str = "resources") -> list[Bookable]:
    """Those with these usernames, doctors among them, in that order. Raises InvalidInput for one that is not there."""
    wanted = list(dict.fromkeys(names))
    found = known(session, wanted)
    there = {each.account.username for each in found if not each.account.disabled}
    for name in wanted:
        if name not in there:
            raise InvalidInput(f"There is nothing called {name[:64]} that can be booked.", field=field)
    return found


def known(session: Session, names: Iterable[str]) -> list[Bookable]:
    """Those of these usernames that can be or could once be booked, in that order."""
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return []
    found = session.execute(
        select(Account, Resource.id, Resource.kind)
        .join(Resource, Resource.account_id == Account.id)
        .where(Account.username.in_(wanted))
    )
    by_name = {account.username: Bookable(account, resource, kind) for account, resource, kind in found}
    return [by_name[name] for name in wanted if name in by_name]


def kind_of(session: Session, account: Account) -> str:
    return session.execute(select(Resource.kind).where(Resource.account_id == account.id)).scalar_one()
