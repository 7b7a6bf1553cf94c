"""Logging in and out, making an account, and the one-time link that sets a first password."""

from secrets import token_hex
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical.errors import InvalidInput, NotFound, TooManyAttempts
from storage import accounts, logins, passwords
from storage.models import Account
from web import sessions
from web.forms import Form
from web.security import public
from web.services import now, reading, services, transaction

bp = Blueprint("login", __name__)

Page = str | AnyResponse | tuple[str, int] | tuple[str, int, dict[str, str]]
_WRONG = "This name and this password do not belong together."


@bp.get("/login")
@public
def login() -> Page:
    if g.account is not None:
        return redirect(_inside(g.account, request.args.get("next", "")))
    return render_template("login/login.html", form=Form(None, next=request.args.get("next")))


@bp.post("/login")
@public
def enter() -> Page:
    form = Form(request.form)
    username = form.get("username").strip()
    try:
        account = passwords.check_password(
            services().db, username, form.get("password"), request.remote_addr or "", now()
        )
    except TooManyAttempts as hasty:
        form.fail("", hasty.sentence)
        return render_template("login/login.html", form=form), 429, {"Retry-After": str(hasty.seconds)}
    if account is None:
        form.fail("", _WRONG)
        return render_template("login/login.html", form=form), 422
    with transaction() as session:
        sessions.log_in(session, account)
    return redirect(_inside(account, form.get("next")), 303)


def _inside(account: Account, target: str) -> str:
    """Where somebody goes after the login: where they wanted to, if that is here, else to their first page."""
    if target.startswith("/") and not target.startswith(("//", "/\\")) and "\n" not in target and "\r" not in target:
        return target
    if account.role == "patient":
        return url_for("appointment.mine")
    return url_for("admin.admin" if account.role == "admin" else "calendar.calendar")


@bp.post("/logout")
@public
def logout() -> Page:
    with transaction() as session:
        sessions.log_out(session)
    return redirect(url_for(".login", ok="out"), 303)


@bp.get("/register")
@public
def register() -> Page:
    return render_template("login/register.html", form=Form(), shortest=passwords.PATIENT_PASSWORD_LENGTH)


@bp.post("/register")
@public
def registered() -> Page:
    """A patient's account. Whether the address had one already is not told."""
    form = Form(request.form)
    name = form.text("name", required="Enter your name.")
    email = form.email(required="Enter your e-mail address: you log in with it.")
    phone = form.phone()
    if len(form.get("password")) < passwords.PATIENT_PASSWORD_LENGTH:
        form.fail(
            "password", f"Use at least {passwords.PATIENT_PASSWORD_LENGTH} characters. Four words are easy to remember."
        )
    if form:
        try:
            _register(name, email, phone, form.get("password"))
        except InvalidInput as refusal:
            form.fail("email" if refusal.field == "username" else refusal.field or "", refusal.sentence)
    if not form:
        return render_template("login/register.html", form=form, shortest=passwords.PATIENT_PASSWORD_LENGTH), 422
    return redirect(url_for(".login", ok="registered"), 303)


class _Known(Exception):
    """There is such an account: the new one is rolled back."""


def _register(name: str, email: str, phone: str, password: str) -> None:
    username = email.casefold()
    try:
        with transaction() as session:
            known = accounts.by_username(session, username) is not None
            # Made in either case: the same checks, answered after the same time
            accounts.create_account(
                session,
                role="patient",
                username=f"again-{token_hex(8)}" if known else username,
                name=name,
                email=email,
                phone=phone,
                password=password,
                now=now(),
            )
            if known:
                raise _Known()
    except _Known:
        return


def _find(session: Any, token: str) -> tuple[Account, str]:
    for kind in ("login", "password"):
        account = logins.find_login_link(session, token, now(), kind=kind)
        if account is not None:
            return account, kind
    raise NotFound("This link has been used, or its time is over.")


@bp.get("/first-login/<token>")
@public
def first(token: str) -> Page:
    with reading() as session:
        account, _kind = _find(session, token)
    return render_template("login/first.html", form=Form(), whose=account, shortest=_shortest(account))


def _shortest(account: Account) -> int:
    return passwords.PATIENT_PASSWORD_LENGTH if account.role == "patient" else passwords.STAFF_PASSWORD_LENGTH


@bp.post("/first-login/<token>")
@public
def set_first(token: str) -> Page:
    form = Form(request.form)
    if form.get("password") != form.get("again"):
        form.fail("again", "The two passwords differ.")
    with reading() as session:
        account, kind = _find(session, token)
    if form:
        try:
            with transaction() as session:
                used = logins.use_login_link(session, token, now(), kind=kind)
                if used is None:
                    raise NotFound()
                passwords.set_password(session, used, form.get("password"), now())
                sessions.log_in(session, used)
            return redirect(_inside(account, ""), 303)
        except InvalidInput as refusal:
            form.refuse(refusal)
    return render_template("login/first.html", form=form, whose=account, shortest=_shortest(account)), 422
