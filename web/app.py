"""The Flask application: pages, with the API and the feeds beside them."""

import importlib
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec

from flask import Flask

from storage.db import Database
from storage.settings import Settings
from web import errors, layout, logs, security, words
from web.clinic import (
    admin,
    analytics,
    appointment_types,
    bulk,
    devices,
    doctor_settings,
    house_rules,
    no_shows,
    notices,
    phone,
    schedule,
)
from web.clinic import calendar as doctor_calendar
from web.clinic import follow_ups as doctor_follow_ups
from web.clinic import history as doctor_history
from web.clinic import leave as doctor_leave
from web.clinic import requests as doctor_requests
from web.clinic import series as doctor_series
from web.clinic import series_changes as doctor_series_changes
from web.clinic import waitlist as doctor_waitlist
from web.portal import appointment, booking, follow_ups, home, login, me, offer, waitlist
from web.services import Services

_FORM_BYTES = 512 * 1024
_PAGES = (
    home,
    booking,
    appointment,
    waitlist,
    offer,
    follow_ups,
    me,
    login,
    doctor_calendar,
    doctor_series,
    doctor_series_changes,
    schedule,
    doctor_waitlist,
    doctor_follow_ups,
    doctor_leave,
    doctor_history,
    doctor_settings,
    doctor_requests,
    bulk,
    devices,
    phone,
    notices,
    admin,
    appointment_types,
    house_rules,
    analytics,
    no_shows,
)


def create_app(db: Database, settings: Settings, clock: Callable[[], datetime]) -> Flask:
    """Raises RuntimeError when a route does not say who may open it."""
    app = logs.Application("web")
    app.config.update(MAX_CONTENT_LENGTH=_FORM_BYTES, MAX_FORM_MEMORY_SIZE=_FORM_BYTES, SEND_FILE_MAX_AGE_DEFAULT=3600)
    app.extensions["clinicdav"] = Services(db, settings, clock)
    app.url_map.strict_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    logs.install(app)
    words.install(app)
    layout.install(app)
    errors.install(app)
    security.install(app)
    for module in _PAGES:
        app.register_blueprint(module.bp)
    for name in ("web.api.routes", "web.feeds", "web.health"):
        module = importlib.import_module(name) if find_spec(name) else None
        if hasattr(module, "bp"):
            app.register_blueprint(module.bp)
    security.public(app.view_functions["static"])
    if missing := security.undeclared(app):
        raise RuntimeError(f"These routes declare no policy: {', '.join(missing)}")
    return app
