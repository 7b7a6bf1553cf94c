"""Who may open a route, that a form came from our own page, and the headers of every answer.

Each route declares either `@public` or `@policy(action)`; the application does not start with a route that does
neither. `policy` asks whether the role may do the action at all; the view asks again about the object.
"""

import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, redirect, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from ical.errors import NotFound
from storage import policy as rules
from web import sessions
from web.errors import FormExpired
from web.services import settings

View = TypeVar("View", bound=Callable[..., Any])

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# These check a bearer token or a secret URL by themselves and never read a cookie.
_WITHOUT_COOKIE = frozenset({"api", "feeds", "health"})


def public(view: View) -> View:
    """Anybody may open it."""
    view.policy = "public"  # type: ignore[attr-defined]
    return view


def policy(action: str) -> Callable[[View], View]:
    """Only roles that may do `action` (storage.policy.RULES); others are asked to log in, or find nothing here."""
    if action not in rules.RULES:
        raise KeyError(action)

    def declare(view: View) -> View:
        view.policy = action  # type: ignore[attr-defined]
        return view

    return declare


def undeclared(app: Flask) -> list[str]:
    """Endpoints whose view says nothing about who may open it."""
    return sorted(
        endpoint
        for endpoint, view in app.view_functions.items()
        if endpoint.split(".")[0] not in _WITHOUT_COOKIE and not hasattr(view, "policy")
    )


def install(app: Flask) -> None:
    app.before_request(_guard)
    app.after_request(_headers)
    app.jinja_env.globals["csrf_field"] = csrf_field


def _guard() -> AnyResponse | None:
    view = current_app.view_functions.get(request.endpoint or "")
    if request.endpoint == "static" or request.blueprint in _WITHOUT_COOKIE:
        g.actor = rules.VISITOR
        return None
    sessions.load()
    if view is None:
        return None
    if request.method not in _SAFE:
        _check_form()
    return _check_role(getattr(view, "policy", ""))


def _check_role(declared: str) -> AnyResponse | None:
    if declared == "public":
        return None
    role = g.actor.role if g.actor.kind == "account" else g.actor.kind
    if role in rules.RULES[declared]:
        return None
    if role == "visitor":
        target = url_for("login.login", next=request.full_path.rstrip("?") if request.method in _SAFE else None)
        # A part of a page that reloads itself would otherwise put the login form there.
        return Response(headers={"HX-Redirect": target}) if "HX-Request" in request.headers else redirect(target)
    raise NotFound()


def csrf_token() -> str:
    """The form token of this browser: nobody can make it without our secret and the cookie."""
    return hmac.new(settings().secret_bytes, b"form:" + sessions.browser_key().encode(), sha256).hexdigest()


def csrf_field() -> Markup:
    return Markup('<input type="hidden" name="csrf" value="{}">').format(csrf_token())


def _check_form() -> None:
    """Raises FormExpired unless the form is one of ours, sent from one of our pages.

    Our pages send no referrer, so browsers say `Origin: null` for their forms; Sec-Fetch-Site tells those apart.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None and site not in ("same-origin", "none"):
        raise FormExpired()
    if origin not in (None, "null") and origin not in _own_origins():
        raise FormExpired()
    sent = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    if not secrets.compare_digest(sent.encode(), csrf_token().encode()):
        raise FormExpired()


def _own_origins() -> set[str]:
    own = urlsplit(settings().public_url)
    return {f"{own.scheme}://{own.netloc}", request.host_url.rstrip("/")}


def _headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if settings().public_url.startswith("https:"):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    if request.blueprint not in _WITHOUT_COOKIE:
        sessions.remember(response)
    return response
