"""Where calendars are: Radicale's storage plugin over our tables. The lock "w" is the writing transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from radicale.storage import BaseStorage

from caldav_bridge.collection import Collection
from caldav_bridge.context import current
from storage import collections


class Storage(BaseStorage):
    _is_collision_free = True
    _supports_unicode = True
    _supports_trailing_whitespace = True
    _supports_problematic_chars = True

    def discover(self, path: str, depth: str = "0", *_args: Any, **_kwargs: Any) -> Iterator[Collection]:
        """The collection at `path`, and with a depth those in it. Lazy: Radicale asks for a home at every login and
        takes one element."""
        request = current()
        place = request.place(path)
        if place is None or place.kind == "member":
            return
        yield Collection(request, place)
        if depth != "0" and place.kind == "home" and place.owner is not None:
            for row in collections.home(request.session, place.owner):
                inner = request.place(f"{place.path}{row.name}/")
                if inner is not None:
                    yield Collection(request, inner)

    def create_collection(
        self, href: str, items: Any = None, props: Mapping[str, str] | None = None
    ) -> tuple[Collection, dict[str, Any], list[str]]:
        """A plain calendar in a home. `props`: Clark names with XML, and `component`. Raises CollectionExists."""
        request = current()
        home, _, name = href.strip("/").partition("/")
        owner = request.owner(home)
        assert owner is not None
        given = dict(props or {})
        component = given.pop("component", "VEVENT")
        collections.create(request.session, owner, name, given, component, request.now)
        request.forget()
        place = request.place(href)
        assert place is not None
        return Collection(request, place), {}, []

    @contextmanager
    def acquire_lock(self, mode: str, user: str = "", *_args: Any, **_kwargs: Any) -> Iterator[None]:
        """ "w" begins the request's writing transaction. It outlives this block, for answers are made after it: the
        application commits or rolls back when its handler has returned."""
        if mode == "w":
            current().write()
        yield
