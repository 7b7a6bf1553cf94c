"""The start page: what is it about?"""

from flask import Blueprint, g, render_template
from werkzeug.wrappers import Response

from web.portal.booking import offered_types
from web.security import public
from web.services import reading

bp = Blueprint("home", __name__)


@bp.get("/")
@public
def home() -> str | Response:
    with reading() as session:
        kinds = offered_types(session)
    return render_template("home.html", kinds=kinds, staff=g.actor.is_staff)
