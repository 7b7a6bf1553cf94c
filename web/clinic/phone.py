"""What a phone opens by its camera: a one-time link that puts the calendars on it, without a login there."""

from typing import Any

from flask import Blueprint, Response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from storage import credentials, logins
from storage.models import Account
from web.clinic import apps, devices, mobileconfig
from web.forms import Form
from web.security import public
from web.services import now, reading, settings, transaction

bp = Blueprint("phone", __name__, url_prefix="/connect")


Page = str | AnyResponse | tuple[str, int]


@bp.get("/<token>/")
@public
def phone(token: str) -> Page:
    with reading() as session:
        found = _find(session, token)
    name = next((each for each in ("iPad", "Mac") if each in request.user_agent.string), "iPhone")
    return _over() if found is None else _page(found[0], Form(None, label=name))


@bp.post("/<token>/")
@public
def download(token: str) -> Page | Response:
    """The link is used up, and the password made, by the one who asks for the profile."""
    form = Form(request.form)
    label = form.text("label", required="Give the device a name, so that you recognise it later.", maximum=100)
    with transaction() as session:
        found = _find(session, token)
        if found is None:
            return _over()
        account, profile = found
        if not form:
            return _page(account, form, 422)
        if logins.use_login_link(session, token, now(), kind=f"apple-{profile}") is None:
            return _over()
        password = credentials.add_app_password(session, account, label, profile, now())
        return mobileconfig.download(settings(), account, devices.address(account.username), label, password)


def _find(session: Any, token: str) -> tuple[Account, str] | None:
    """(whose calendars, in which profile) while the link works."""
    for profile in (apps.SOLO, apps.FULL):
        account = logins.find_login_link(session, token, now(), kind=f"apple-{profile}")
        if account is not None:
            return account, profile
    return None


def _page(account: Account, form: Form, status: int = 200) -> Page:
    signed = settings().profile_certificate is not None
    return render_template("devices/phone.html", whose=account, form=form, signed=signed), status


def _over() -> Page:
    return render_template("devices/phone_over.html", minutes=devices.CODE_MINUTES), 404
