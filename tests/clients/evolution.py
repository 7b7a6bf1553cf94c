"""Evolution's data server, with a home folder and a D-Bus session of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.practice import last_lines

_SCRIPT = Path(__file__).with_name("evolution_session.py")
# Debian's, which has gi; not the one that runs the tests
_PYTHON = "/usr/bin/python3"
_SETTINGS = """\
[org/gnome/evolution/calendar]
use-24hour-format=true
use-system-timezone=false
timezone='Europe/Vienna'
show-tag-vpane=false
day-start-hour=8
day-end-hour=18
week-start-day-name='monday'

[org/gnome/evolution/shell]
buttons-visible=false
folder-bar-width=200
"""


class EvolutionError(Exception):
    """What Evolution said instead of a result."""


class Evolution:
    def __init__(self, folder: Path, display: str) -> None:
        self._log = folder / "evolution.log"
        home = folder / "home"
        runtime = folder / "run"
        for made in (home, runtime):
            made.mkdir(mode=0o700)
        settings = home / ".config" / "glib-2.0" / "settings" / "keyfile"
        settings.parent.mkdir(parents=True)
        settings.write_text(_SETTINGS)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(runtime),
            "LC_ALL": "C.UTF-8",
            "TZ": "Europe/Vienna",
            "DISPLAY": display,
            # Nothing of the machine's network, settings or file systems
            "GIO_USE_NETWORK_MONITOR": "base",
            "GSETTINGS_BACKEND": "keyfile",
            "GIO_USE_VFS": "local",
            "GTK_A11Y": "none",
            "NO_AT_BRIDGE": "1",
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["dbus-run-session", "--", _PYTHON, str(_SCRIPT)],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    def __call__(self, command: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self._process.stdin.flush()
        # Services that D-Bus starts in the session write to the same pipe.
        line = next((line for line in self._process.stdout if line.startswith("{")), None)
        assert line, f"Evolution's session has ended:\n{self.log()}"
        answer = json.loads(line)
        if "error" in answer:
            raise EvolutionError(answer["error"] + "\n" + answer["trace"])
        return answer["value"]

    def log(self, lines: int = 40) -> str:
        return last_lines(self._log, lines)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
