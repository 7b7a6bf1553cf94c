"""CalDAV within the whole application: found from the host's name, with ProxyFix and the portal around it."""

from collections.abc import Callable
from typing import Any

import caldav
import pytest

from caldav_bridge.app import configuration_file, create_dav_app, load_configuration
from storage.settings import Settings, SettingsError
from tests.caldav.helpers import Clinic, Clock, Dav, event


def test_calendars_are_found_from_the_hosts_name(lite: Clinic, serve: Callable[[Settings], Any]) -> None:
    served = serve(lite.settings)
    for url in (f"{served.url}/.well-known/caldav", f"{served.url}/dav/"):
        client = caldav.DAVClient(url=url, username="lee", password=lite.passwords["lee"])
        principal = client.principal()
        assert str(principal.url) == f"{served.url}/dav/lee/"
        assert len(principal.calendars()) >= 5


def test_body_limit_comes_from_the_homes_radicale_conf(lite: Clinic) -> None:
    ours = configuration_file(lite.settings)
    assert ours.name == "radicale.conf"
    home = lite.settings.home / "radicale.conf"
    home.write_text(ours.read_text().replace("max_content_length = 1048576", "max_content_length = 1000"))
    assert configuration_file(lite.settings) == home
    small = Dav(create_dav_app(lite.db, lite.settings, Clock()), "lee", lite.passwords["lee"])
    assert small.put("/lee/personal/a.ics", event()).status == 201
    assert (
        small.put(
            "/lee/personal/a.ics", event("a@test", "20261124T090000", "20261124T093000", "SUMMARY:" + "x" * 900)
        ).status
        == 413
    )


def test_login_plugin_that_is_not_ours_opens_nothing(lite: Clinic) -> None:
    (lite.settings.home / "radicale.conf").write_text("[auth]\ntype = none\n")
    app = create_dav_app(lite.db, lite.settings, Clock())
    assert Dav(app).propfind("/lee/", "D:displayname").status == 401
    assert Dav(app, "lee", "anything").propfind("/lee/", "D:displayname").status == 404


def test_file_that_cannot_be_read_stops_the_start(lite: Clinic) -> None:
    (lite.settings.home / "radicale.conf").write_text("[no_such_section]\nx = 1\n")
    with pytest.raises(SettingsError):
        load_configuration(lite.settings)
