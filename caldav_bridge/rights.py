"""What may be done where: storage.policy in Radicale's letters, in memory. RFC 3744 §3; Radicale's rights plugin.

R, W read and write what is no calendar (the root, a home); r, w read and write a calendar and its members; D delete
the calendar itself. A path for which there is no letter is answered as if there were nothing.
"""

from radicale.rights import BaseRights

from caldav_bridge.context import Place, Request, current
from storage import policy


def letters(request: Request, place: Place) -> str:
    """The rights of whoever asks at `place`."""
    actor = request.actor
    if request.account is None:
        return ""
    if place.kind == "root":
        return "R"
    if place.owner is not None and place.owner.role == "resource":
        return _of_resource(request, place)
    if place.kind == "home":
        if not policy.can(actor, "home.read", place.owner):
            return ""
        return "RW" if policy.can(actor, "calendar.create", place.owner) else "R"
    if place.kind == "proxy":
        return "R" if policy.can(actor, "home.read", place.owner) else ""
    if place.kind == "outbox":
        # An app that is shown no people has nothing to send.
        return "r" if request.profile == "full" and _is_own(request, place) else ""
    if not policy.can(actor, "calendar.read", place.collection):
        return ""
    if place.kind == "inbox" or (place.collection is not None and place.collection.kind == "inbox"):
        return "r"
    if not policy.can(actor, "calendar.write", place.collection):
        return "r"
    plain = place.collection is not None and place.collection.kind == "plain"
    return "rwD" if plain and policy.can(actor, "calendar.delete", place.collection) else "rw"


def _of_resource(request: Request, place: Place) -> str:
    """Colleagues look into the calendars of a room or a machine, and the reception writes there."""
    if place.kind == "outbox" or not policy.can(request.actor, "resources.read", place.owner):
        return ""
    if place.kind in ("home", "proxy"):
        return "R"
    return "rw" if policy.can(request.actor, "resources.schedule", place.owner) else "r"


def _is_own(request: Request, place: Place) -> bool:
    return place.owner is not None and place.owner.id == request.actor.account_id


class Rights(BaseRights):
    def authorization(self, user: str, user_groups: set[str], path: str) -> str:
        """The letters for `path`; empty for what does not exist, too."""
        request = current()
        place = request.place(path)
        return "" if place is None else letters(request, place)
