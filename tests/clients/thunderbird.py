"""Thunderbird with a profile of its own, driven through its remote protocol."""

import subprocess
import time
from pathlib import Path
from typing import Any

from tests.clients.marionette import Marionette
from tests.clients.practice import last_lines, wait_until
from tests.clients.screen import Screen
from tests.conftest import free_port

_SCRIPT = Path(__file__).with_name("thunderbird.js")
_START_SECONDS = 90
# No questions at the first start, nothing asked of the internet, and edits without "are you sure?".
_PREFERENCES = {
    "app.use_without_mail_account": True,
    "mail.provider.suppress_dialog_on_startup": True,
    "mailnews.start_page.enabled": False,
    "mail.rights.version": 1,
    "mail.spotlight.firstRunDone": True,
    "mail.shell.checkDefaultClient": False,
    "mail.accounthub.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "toolkit.telemetry.enabled": False,
    "extensions.blocklist.enabled": False,
    "extensions.update.enabled": False,
    "app.update.auto": False,
    "services.settings.server": "http://127.0.0.1:9/",
    "app.donation.eoy.version.viewed": 999,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "calendar.timezone.local": "Europe/Vienna",
    "calendar.timezone.useSystemTimezone": False,
    "calendar.alarms.show": False,
    "calendar.alarms.playsound": False,
    "calendar.item.promptDelete": False,
    "calendar.view.daystarthour": 8,
    "calendar.view.dayendhour": 18,
    "calendar.view.visiblehours": 10,
    "calendar.week.start": 1,
    "intl.date_time.pattern_override.time_short": "HH:mm",
}
# Else GTK starts a D-Bus session that outlives us.
_NO_BUS = {"DBUS_SESSION_BUS_ADDRESS": "disabled:", "NO_AT_BRIDGE": "1"}


class Thunderbird:
    def __init__(self, folder: Path, screen: Screen) -> None:
        self.screen = screen
        self._log = folder / "thunderbird.log"
        profile = folder / "profile"
        profile.mkdir(parents=True)
        port = free_port()
        told = {**_PREFERENCES, "marionette.port": port}
        lines = [f'user_pref("{name}", {_literal(value)});' for name, value in told.items()]
        (profile / "user.js").write_text("\n".join(lines) + "\n")
        command = ["thunderbird", "--no-remote", "--profile", str(profile)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--marionette", "--remote-allow-system-access"],
                env={**screen.environment, "HOME": str(folder), "TZ": "Europe/Vienna", **_NO_BUS},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._remote = wait_until(lambda: self._connect(port), "Thunderbird listens", _START_SECONDS)
        self.version = self.run("return Services.appinfo.version;")
        self.run("window.maximize();")
        self._remote.run(_SCRIPT.read_text())

    def _connect(self, port: int) -> Marionette | None:
        assert self._process.poll() is None, f"Thunderbird ended:\n{self.log()}"
        try:
            return Marionette(port)
        except OSError:
            return None

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of an async function returns. `clinic` in it is thunderbird.js."""
        return self._remote.run(f"const clinic = window.clinic; {script}", *arguments)

    def log(self, lines: int = 40) -> str:
        return last_lines(self._log, lines)

    # Calendars

    def refresh(self, calendar: str) -> None:
        self.run("await clinic.refresh(args[0]);", calendar)

    def wait_for(self, calendar: str, uid: str, seconds: float = 20, **expected: Any) -> dict[str, Any]:
        """The item, refreshed until it is there and is as expected."""
        end = time.monotonic() + seconds
        told: dict[str, Any] | None = None
        while time.monotonic() < end:
            self.refresh(calendar)
            told = self.told(calendar, uid)
            if told is not None and expected.items() <= told.items():
                return told
            time.sleep(0.2)
        raise AssertionError(f"{uid} is not {expected} in Thunderbird but {told}")

    def wait_until_gone(self, calendar: str, uid: str) -> None:
        self.refresh(calendar)
        wait_until(lambda: self.told(calendar, uid) is None, f"{uid} is gone from Thunderbird")

    def told(self, calendar: str, uid: str) -> dict[str, Any] | None:
        """What Thunderbird itself holds of the item."""
        script = "const item = await clinic.find(args[0], args[1]); return item ? clinic.told(item) : null;"
        found: dict[str, Any] | None = self.run(script, calendar, uid)
        return found

    def interruptions(self) -> list[str]:
        """The windows that opened by themselves and what the calendar code complained of, since the last time."""
        script = "return [...clinic.opened.splice(0), ...clinic.complaints.splice(0)];"
        said: list[str] = self.run(script)
        return said

    def stop(self) -> None:
        self._remote.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _literal(value: bool | int | str) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
