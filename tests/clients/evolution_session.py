"""Runs inside a D-Bus session of its own, with Debian's Python and libecal: a keyring, calendars, and their edits.

Commands come as lines of JSON, `[name, argument, …]`, and answers go back likewise: `{"value": …}` or `{"error": …}`.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import gi

gi.require_version("ECal", "2.0")
gi.require_version("EDataServer", "1.2")
from gi.repository import ECal, EDataServer, GLib, ICalGLib  # noqa: E402

SOURCE = """\
[Data Source]
DisplayName={name}
Enabled=true
Parent=caldav-stub

[{extension}]
BackendName=caldav
Color={color}
Selected=true

[Authentication]
Host=127.0.0.1
Port={port}
User=lee
Method=plain/password
RememberPassword=true

[WebDAV Backend]
ResourcePath={path}
DisplayName={name}

[Security]
Method=none

[Refresh]
Enabled=false

[Offline]
StaySynchronized=true
"""
SECONDS = 30
ANYTHING = 0
MODES = {"all": ECal.ObjModType.ALL, "this": ECal.ObjModType.THIS}

WINDOW = ["xdotool", "search", "--sync", "--onlyvisible", "--class", "evolution"]


class Session:
    def __init__(self):
        self.registry = EDataServer.SourceRegistry.new_sync(None)
        self.clients = {}
        self.evolution = None

    def find(self, url, password):
        """What "Find Calendars" of the New Calendar dialog does: name, address, colour and what it holds."""
        source = EDataServer.Source.new(None, None)
        source.get_extension("WebDAV Backend").set_uri(GLib.Uri.parse(url, GLib.UriFlags.NONE))
        source.get_extension("Authentication").set_user("lee")
        given = EDataServer.NamedParameters.new()
        given.set("username", "lee")
        given.set("password", password)
        found = EDataServer.webdav_discover_sources_sync(source, url, ANYTHING, given, None)
        return [
            {"name": each.display_name, "url": each.href, "color": each.color, "supports": each.supports}
            for each in found.out_discovered_sources
        ]

    def add(self, name, port, path, color, tasks, password):
        """A calendar or task list, and its password in the keyring."""
        uid = f"clinic-{name.lower().replace(' ', '-')}"
        EDataServer.secret_store_store_sync(uid, password, name, True, None)
        extension = "Task List" if tasks else "Calendar"
        file = Path(GLib.get_user_config_dir(), "evolution", "sources", f"{uid}.source")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SOURCE.format(name=name, extension=extension, color=color, port=port, path=path))
        end = GLib.get_monotonic_time() + SECONDS * 1_000_000
        while (source := self.registry.ref_source(uid)) is None:
            assert GLib.get_monotonic_time() < end, f"the registry does not see {file}"
            GLib.MainContext.default().iteration(False)
        kind = ECal.ClientSourceType.TASKS if tasks else ECal.ClientSourceType.EVENTS
        # The calendar factory has a registry of its own, which may see the file later.
        while name not in self.clients:
            try:
                self.clients[name] = ECal.Client.connect_sync(source, kind, SECONDS, None)
            except GLib.Error:
                if GLib.get_monotonic_time() > end:
                    raise
                GLib.usleep(200_000)

    def read_only(self, name):
        # The data server's word on it waits to be read.
        while GLib.MainContext.default().iteration(False):
            pass
        return self.clients[name].is_readonly()

    def refresh(self, name):
        self.clients[name].refresh_sync(None)

    def texts(self, name):
        """Each component that Evolution holds, as text."""
        _ok, found = self.clients[name].get_object_list_as_comps_sync("#t", None)
        return [each.get_as_string() for each in found]

    def create(self, name, text):
        component = ICalGLib.Component.new_from_string(text)
        _ok, uid = self.clients[name].create_object_sync(component, ECal.OperationFlags.NONE, None)
        return uid

    def modify(self, name, text, mode):
        component = ICalGLib.Component.new_from_string(text)
        self.clients[name].modify_object_sync(component, MODES[mode], ECal.OperationFlags.NONE, None)

    def remove(self, name, uid, recurrence_id, mode):
        self.clients[name].remove_object_sync(uid, recurrence_id, MODES[mode], ECal.OperationFlags.NONE, None)

    def show(self, day, width, height):
        """The application itself, at this day, over the whole screen that DISPLAY names."""
        self.evolution = subprocess.Popen(
            ["evolution", f"calendar:///?startdate={day}"], stdout=sys.stderr, stderr=sys.stderr
        )
        placed = [*WINDOW, "windowsize", "--sync", width, height, "windowmove", "0", "0"]
        # A window of its start may be gone before it is placed.
        end = GLib.get_monotonic_time() + SECONDS * 1_000_000
        while subprocess.run(placed, timeout=60).returncode and GLib.get_monotonic_time() < end:
            GLib.usleep(500_000)

    def work_week(self):
        """A key that Evolution does not hear until it has started; pressed twice it means the same."""
        subprocess.run([*WINDOW, "windowactivate", "--sync", "key", "ctrl+j"], check=True, timeout=60)

    def close(self):
        if self.evolution is not None:
            self.evolution.terminate()
            self.evolution.wait(timeout=20)


def main():
    keyring = subprocess.Popen(
        ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
        stdin=subprocess.PIPE, stdout=sys.stderr, stderr=sys.stderr,
    )  # fmt: skip
    keyring.stdin.write(b"test")
    keyring.stdin.close()
    session = Session()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"value": getattr(session, name)(*arguments)}
        except Exception as error:
            # Whatever it is, the test has to see it.
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
    session.close()
    os.kill(keyring.pid, signal.SIGTERM)
    keyring.wait()


main()
