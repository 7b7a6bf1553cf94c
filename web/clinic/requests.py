"""What patients ask for: each approved or rejected, with a word to the patient."""

from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import NotFound, Refusal
from storage import requests as asked
from storage.policy import require
from web.clinic import doctors
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("requests", __name__, url_prefix="/appointments/doctor/requests")

Page = str | Response | tuple[str, int]


@bp.get("/")
@policy("request.decide")
def requests() -> Page:
    return _page()


def _page(problem: str = "", about: UUID | None = None, status: int = 200) -> Page:
    with reading() as session:
        mine = [doctor.id for doctor in doctors.visible(session, "request.decide")]
        found = asked.listed(session, doctors=mine)
        text = render_template(
            "doctor/requests.html",
            waiting=[each for each in found if each.request.kind != "choose"],
            choosing=[each for each in found if each.request.kind == "choose"],
            problem=problem,
            about=about,
        )
    return text, status


@bp.post("/<uuid:request_id>/")
@policy("request.decide")
def decide(request_id: UUID) -> Page:
    form = Form(request.form)
    verb = form.choice("verb", ("approve", "reject"))
    answer = form.paragraph("answer", maximum=1000)
    if not form:
        return _page("Choose whether to approve or to reject.", request_id, 422)
    try:
        with transaction() as session:
            _request, appointment = asked.find(session, request_id)
            require(g.actor, "request.decide", appointment)
            carry_out = asked.approve if verb == "approve" else asked.reject
            carry_out(session, request_id, actor=g.actor, now=now(), answer=answer)
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(refusal.sentence, request_id, refusal.status)
    return redirect(url_for(".requests", ok=f"request_{'approved' if verb == 'approve' else 'rejected'}"), 303)
