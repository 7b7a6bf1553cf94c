"""Connect a device: a page for each app with a fresh password, what is connected, and revoking it with one click.

An app password is on the page that answers the form which made it, or in the file, and nowhere else.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import segno
from flask import Blueprint, Response, g, redirect, render_template, url_for
from flask import request as http
from werkzeug.wrappers import Response as AnyResponse

from ical.errors import NotFound
from storage import credentials, feeds, logins, views
from storage.models import Account
from storage.settings import is_loopback
from web.clinic import doctors, mobileconfig
from web.clinic.apps import APPS, App, signed_by
from web.forms import Form
from web.security import policy
from web.services import now, reading, settings, transaction

bp = Blueprint("devices", __name__, url_prefix="/devices")

Page = str | AnyResponse | tuple[str, int]
CODE_MINUTES = 15
_WATCHED_MINUTES = 10


@dataclass(frozen=True)
class Made:
    """A new app password with what an app asks for beside it."""

    id: int
    label: str
    profile: str
    password: str
    whose: str


@bp.app_template_filter("signed_by")
def _signed_by(agent: str) -> str:
    return signed_by(agent)


@bp.get("/")
@policy("app_passwords.write")
def devices() -> Page:
    with reading() as session:
        known = credentials.app_passwords(session, g.account)
        subscriptions = views.feeds_of(session, account_id=g.account.id)
    return render_template(
        "devices/home.html",
        apps=[app for app in APPS.values() if app.profiles or g.account.role == "doctor"],
        passwords=known,
        feeds=subscriptions,
    )


@bp.get("/<slug>/")
@policy("app_passwords.write")
def guide(slug: str) -> Page:
    app = _app(slug)
    return _page(app, Form(None, label=_own_name(app, http.user_agent.string), level="busy"))


@bp.post("/<slug>/")
@policy("app_passwords.write")
def connect(slug: str) -> Page:
    """A password for the app, shown on this page alone."""
    app = _app(slug)
    if not app.profiles:
        raise NotFound()
    form = Form(http.form)
    made = _make(app, form)
    return _page(app, form, 422) if made is None else _page(app, form, made=made)


@bp.post("/apple/profile/")
@policy("app_passwords.write")
def profile() -> Page | Response:
    """A password for this device inside a configuration profile, which is the answer itself."""
    form = Form(http.form)
    made = _make(APPS["apple"], form)
    if made is None:
        return _page(APPS["apple"], form, 422)
    return mobileconfig.download(settings(), g.account, address(made.whose), made.label, made.password)


@bp.post("/apple/code/")
@policy("app_passwords.write")
def code() -> Page:
    """A one-time link for the camera of a phone: the password is only made there."""
    app, form = APPS["apple"], Form(http.form)
    profile = _profile(app, form)
    with transaction() as session:
        own = views.own_account(session, g.account.id)
        token = logins.create_login_link(session, own, now(), kind=f"apple-{profile}", minutes=CODE_MINUTES)
    link = f"{settings().public_url}{url_for('phone.phone', token=token)}"
    return _page(app, form, link=link, code=qr_code(link), minutes=CODE_MINUTES)


@bp.get("/<int:password_id>/state/")
@policy("app_passwords.write")
def state(password_id: int) -> Response:
    """Asked by the page that shows a new password: has the app come? 204: not yet; 286 ends the asking (htmx)."""
    with reading() as session:
        found = _own_password(session, password_id)
    if found.last_used_at is not None:
        return Response(render_template("devices/_connected.html", each=found), 286)
    waited = (now() - found.created_at).total_seconds() > _WATCHED_MINUTES * 60
    return Response(render_template("devices/_silent.html"), 286) if waited else Response(status=204)


@bp.post("/<int:password_id>/revoke/")
@policy("app_passwords.write")
def revoke(password_id: int) -> Page:
    with transaction() as session:
        credentials.revoke(session, _own_password(session, password_id), now())
    return redirect(url_for(".devices", ok="revoked"), 303)


@bp.post("/feeds/")
@policy("feeds.write")
def add_feed() -> Page:
    form = Form(http.form)
    level = form.choice("level", feeds.LEVELS)
    if not form or g.account.role != "doctor":
        raise NotFound()
    with transaction() as session:
        own = views.own_account(session, g.account.id)
        token = feeds.add_feed(session, own, level, form.text("label", maximum=100), now())
    return _page(APPS["google"], form, feed_url=feeds.url(settings(), token))


@bp.post("/feeds/<int:feed_id>/revoke/")
@policy("feeds.write")
def revoke_feed(feed_id: int) -> Page:
    with transaction() as session:
        own = views.feeds_of(session, account_id=g.account.id)
        found = next((feed for feed in own if feed.id == feed_id), None)
        if found is None:
            raise NotFound()
        feeds.revoke(session, found, now())
    return redirect(url_for(".devices", ok="removed"), 303)


def _app(slug: str) -> App:
    app = APPS.get(slug)
    if app is None or (not app.profiles and g.account.role != "doctor"):
        raise NotFound()
    return app


def _page(app: App, form: Form, status: int = 200, *, made: Made | None = None, **more: Any) -> Page:
    with reading() as session:
        calendars = _calendars(session, app)
    whose = made.whose if made else calendars[0].username
    text = render_template(
        f"devices/{app.slug}.html",
        app=app,
        form=form,
        made=made,
        calendars=calendars,
        profiles=_profiles(app),
        reach=reach(),
        server=settings().public_url,
        host=urlsplit(settings().public_url).netloc,
        address=address(whose),
        whose=whose,
        signed=settings().profile_certificate is not None,
        davx5=davx5_link(g.account, made.password, whose) if made else "",
        qr_code=qr_code,
        **more,
    )
    return text, status


def _make(app: App, form: Form) -> Made | None:
    """A new app password, or what is wrong with the form."""
    label = form.text("label", required="Give the device a name, so that you recognise it later.", maximum=100)
    profile = _profile(app, form)
    if not form:
        return None
    with transaction() as session:
        known = [account.username for account in _calendars(session, app)]
        whose = form.get("whose") if form.get("whose") in known else known[0]
        own = views.own_account(session, g.account.id)
        password = credentials.add_app_password(session, own, label, profile, now())
        added = credentials.app_passwords(session, own)[0]
        return Made(added.id, label, profile, password, whose)


def _profiles(app: App) -> tuple[str, ...]:
    """Without an e-mail address nobody can be the organizer of anything."""
    return app.profiles if g.account.email else app.profiles[:1]


def _profile(app: App, form: Form) -> str:
    offered = _profiles(app)
    return form.get("profile") if form.get("profile") in offered else offered[0]


def _calendars(session: Any, app: App) -> list[Account]:
    """Whose calendars the app may be pointed at, the usual first: a receptionist chooses, everybody else has their own.

    The address of a receptionist's own stands for all that the app finds by delegation.
    """
    if g.account.role != "receptionist" or app.calendars == "own":
        return [g.account]
    others = doctors.visible(session, "calendar.read")
    return [g.account, *others] if app.calendars == "all" else [*others, g.account]


def _own_password(session: Any, password_id: int) -> Any:
    found = next((each for each in credentials.app_passwords(session, g.account) if each.id == password_id), None)
    if found is None:
        raise NotFound()
    return found


def _own_name(app: App, agent: str) -> str:
    """How people call the device that they are looking at."""
    if app.slug != "apple":
        return app.label
    return next((name for name in ("iPhone", "iPad", "Mac") if name in agent), app.label)


def address(username: str) -> str:
    """The principal of an account, which is also the home of its calendars."""
    return f"{settings().public_url}/dav/{quote(username, safe='')}/"


def davx5_link(account: Account, password: str, whose: str) -> str:
    """Opens DAVx5 with everything filled in. davx5:// means https:// to it, and caldav:// http://."""
    server = urlsplit(settings().public_url)
    scheme = "davx5" if server.scheme == "https" else "caldav"
    user = quote(account.username, safe="")
    return f"{scheme}://{user}:{password}@{server.netloc}/dav/{quote(whose, safe='')}/"


def qr_code(text: str) -> str:
    """A QR code as a data: URL, so that what it says is on this page alone."""
    uri: str = segno.make_qr(text, error="m").svg_data_uri(scale=4, border=3, dark="#17282b", light="#ffffff")
    return uri


def reach() -> str:
    """Why devices may not get here: "here" (an address of this computer), "plain" (no TLS); empty when they do."""
    server = urlsplit(settings().public_url)
    if is_loopback(server.hostname or ""):
        return "here"
    return "plain" if server.scheme == "http" else ""
