"""Connect a device: app passwords for calendar apps, each shown once, and the address to type or to scan."""

from io import BytesIO
from typing import Any

import segno
from flask import Blueprint, Response, g, redirect, render_template, url_for
from flask import request as http
from werkzeug.wrappers import Response as AnyResponse

from ical.errors import NotFound
from storage import accounts, feeds, views
from web.forms import Form
from web.security import policy
from web.services import now, reading, settings, transaction

bp = Blueprint("devices", __name__, url_prefix="/devices")

Page = str | AnyResponse | tuple[str, int]


@bp.get("/")
@policy("app_passwords.write")
def devices() -> Page:
    return _page(Form())


def _page(form: Form, status: int = 200, password: str = "", feed_url: str = "") -> Page:
    with reading() as session:
        known = accounts.app_passwords(session, g.account)
        subscriptions = views.feeds_of(session, account_id=g.account.id)
    text = render_template(
        "doctor/devices.html",
        form=form,
        passwords=known,
        feeds=subscriptions,
        password=password,
        feed_url=feed_url,
        server=settings().public_url,
        address=f"{settings().public_url}/dav/{g.account.username}/",
    )
    return text, status


@bp.post("/")
@policy("app_passwords.write")
def add() -> Page:
    """The password is on this page alone."""
    form = Form(http.form)
    label = form.text("label", required="Give the device a name, so that you recognise it later.", maximum=100)
    if not form:
        return _page(form, 422)
    with transaction() as session:
        password = accounts.add_app_password(session, _own(session), label, "solo", now())
    return _page(Form(), password=password)


def _own(session: Any) -> Any:
    return views.own_account(session, g.account.id)


@bp.post("/<int:password_id>/revoke/")
@policy("app_passwords.write")
def revoke(password_id: int) -> Page:
    with transaction() as session:
        found = next((each for each in accounts.app_passwords(session, g.account) if each.id == password_id), None)
        if found is None:
            raise NotFound()
        accounts.revoke(session, found, now())
    return redirect(url_for(".devices", ok="revoked"), 303)


@bp.post("/feeds/")
@policy("feeds.write")
def add_feed() -> Page:
    form = Form(http.form)
    level = form.choice("level", feeds.LEVELS)
    if not form or g.account.role != "doctor":
        raise NotFound()
    with transaction() as session:
        token = feeds.add_feed(session, _own(session), level, form.text("label", maximum=100), now())
    return _page(Form(), feed_url=feeds.url(settings(), token))


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


@bp.get("/address.svg")
@policy("app_passwords.write")
def qr() -> Response:
    """The server's address as a QR code. Never the password: a photo of a screen lasts."""
    picture = BytesIO()
    segno.make(settings().public_url, error="m").save(
        picture, kind="svg", scale=6, border=2, dark="#17282b", light="#ffffff"
    )
    return Response(picture.getvalue(), content_type="image/svg+xml")
