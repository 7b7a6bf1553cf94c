"""What a calendar app could not show: notices for a member of staff."""

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from storage import views
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("notices", __name__, url_prefix="/notices")


@bp.get("/")
@policy("calendar.read")
def notices() -> str:
    with reading() as session:
        return render_template("doctor/notices.html", notices=views.notices(session, g.account.id))


@bp.post("/read/")
@policy("calendar.read")
def read() -> Response:
    """One that is named, or all."""
    chosen = request.form.get("notice", "")
    with transaction() as session:
        views.mark_read(session, g.account.id, int(chosen) if chosen.isdecimal() else None, now())
    return redirect(url_for(".notices"), 303)
