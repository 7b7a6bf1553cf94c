"""Administration: accounts, rooms and machines, types of appointment, leave that waits for a decision."""

import re
from collections import Counter
from urllib.parse import urlsplit

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import InvalidInput, NotFound
from storage import accounts, leave, logins, resources, views
from storage.models import Account
from storage.policy import STAFF
from web.forms import Form
from web.security import policy
from web.services import now, reading, settings, transaction

bp = Blueprint("admin", __name__, url_prefix="/admin")

Page = str | Response | tuple[str, int]
ROLES = (("doctor", "Doctor"), ("receptionist", "Receptionist"), ("admin", "Administrator"), ("patient", "Patient"))
RESOURCES = (("room", "Room"), ("machine", "Machine"), ("assistant", "Assistant"))
_LINK_MINUTES = 24 * 60
_DOMAIN = re.compile(r"(?=.{1,200}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


@bp.get("/")
@policy("users.read")
def admin() -> Page:
    with reading() as session:
        pending = [
            each
            for each in leave.list_leave(session, accounts.doctors(session), now())
            if each.status == "pending" and any(away.end > now() for away in each.times)
        ]
        return render_template(
            "admin/home.html",
            people=views.accounts_by_role(session),
            kinds=views.types(session, all_of_them=True),
            resources=resources.every(session, all_of_them=True),
            pending=pending,
        )


@bp.get("/users/add/")
@policy("users.write")
def new_user() -> Page:
    return render_template("admin/user.html", form=Form(None, timezone=settings().timezone), roles=ROLES)


@bp.post("/users/add/")
@policy("users.write")
def add_user() -> Page:
    """Nobody's password is known to the administrator: the new user sets it through a one-time link."""
    form = Form(request.form)
    role = form.choice("role", [code for code, _name in ROLES])
    username = form.text("username", required="Enter a username.", maximum=64)
    name = form.text("name", required="Enter the name.")
    email = form.email()
    if form:
        try:
            with transaction() as session:
                account = accounts.create_account(
                    session,
                    role=role,
                    username=username,
                    name=name,
                    email=email,
                    timezone=form.text("timezone", maximum=64) or None,
                    specialty=form.text("specialty", maximum=100),
                    now=now(),
                )
                token = logins.create_login_link(session, account, now(), minutes=_LINK_MINUTES)
            return render_template("admin/link.html", whose=account, url=_first_login(token))
        except InvalidInput as refusal:
            form.refuse(refusal)
    return render_template("admin/user.html", form=form, roles=ROLES), 422


def _first_login(token: str) -> str:
    return f"{settings().public_url}{url_for('login.first', token=token)}"


@bp.route("/resources/add/", methods=["GET", "POST"])
@policy("resources.write")
def new_resource() -> Page:
    if request.method == "GET":
        form = Form(None, timezone=settings().timezone, capacity=1)
        return render_template("admin/resource.html", form=form, kinds=RESOURCES)
    form = Form(request.form)
    kind = form.choice("kind", [code for code, _name in RESOURCES])
    username = form.text("username", required="Enter a short name like room-1.", maximum=64)
    name = form.text("name", required="Enter the name.")
    timezone = form.text("timezone", maximum=64) or None
    capacity = form.number("capacity", 1, 100) or 1
    if form:
        try:
            with transaction() as session:
                resources.add(session, username, kind, name, timezone=timezone, capacity=capacity, now=now())
            return redirect(url_for(".admin", ok="saved"), 303)
        except InvalidInput as refusal:
            form.refuse(refusal)
    return render_template("admin/resource.html", form=form, kinds=RESOURCES), 422


@bp.post("/users/<int:account_id>/link/")
@policy("users.write")
def link(account_id: int) -> Page:
    """A new one-time link for somebody who lost the password."""
    with transaction() as session:
        account = views.find_account(session, account_id)
        if account is None or account.disabled or account.role == "resource":
            raise NotFound()
        token = logins.create_login_link(session, account, now(), minutes=_LINK_MINUTES)
    return render_template("admin/link.html", whose=account, url=_first_login(token))


@bp.post("/users/<int:account_id>/disabled/")
@policy("users.write")
def set_disabled(account_id: int) -> Page:
    """Keep somebody who has left out, or let them in again. Nobody locks themselves out."""
    with transaction() as session:
        account = views.find_account(session, account_id)
        if account is None or account_id == g.actor.account_id:
            raise NotFound()
        if request.form.get("disabled"):
            accounts.disable(session, account, now())
        else:
            accounts.enable(session, account, now())
    return redirect(url_for(".admin", ok="saved"), 303)


@bp.get("/discovery/")
@policy("settings.write")
def discovery() -> Page:
    """The DNS records by which an app finds this server from an e-mail address alone. RFC 6764 §3, §4."""
    with reading() as session:
        form = Form(request.args, domain=request.args.get("domain") or _usual_domain(views.accounts_by_role(session)))
    domain = form.get("domain").strip().rstrip(".").lower()
    if not _DOMAIN.fullmatch(domain):
        form.fail("domain", "Enter a domain like clinic.example: what stands after the @ of an e-mail address.")
    server = urlsplit(settings().public_url)
    host = server.hostname or ""
    # An SRV record points at a name, and promises TLS only where there is some.
    named = _DOMAIN.fullmatch(host) and server.scheme == "https"
    records = (
        [
            (f"_caldavs._tcp.{domain}.", "SRV", f"0 1 {server.port or 443} {host}."),
            (f"_caldavs._tcp.{domain}.", "TXT", '"path=/dav/"'),
            # RFC 2782: the service without TLS is not there.
            (f"_caldav._tcp.{domain}.", "SRV", "0 0 0 ."),
        ]
        if named and form
        else []
    )
    page = render_template("admin/discovery.html", form=form, domain=domain, records=records, named=named)
    return page, 200 if form else 422


def _usual_domain(people: list[Account]) -> str:
    """The domain that most of the staff has its mail at, else that of the practice's own mails."""
    domains = Counter(each.email.rpartition("@")[2] for each in people if each.role in STAFF and each.email)
    common = domains.most_common(1)
    return common[0][0] if common else settings().mail_from.rpartition("@")[2]
