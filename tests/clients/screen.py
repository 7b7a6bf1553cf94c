"""A screen that nobody sees: Xvfb with a window manager, and pictures of it."""

import os
import re
import subprocess
import time
from pathlib import Path

WIDTH, HEIGHT = "1360", "850"
_NUMBERS = range(91, 120)
_START_SECONDS = 10


class Screen:
    def __init__(self, log: Path) -> None:
        self._log = log.open("wb")
        for number in _NUMBERS:
            self.display = f":{number}"
            server = self._start("Xvfb", self.display, "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp")
            if self._listens(server, number):
                break
        else:
            raise AssertionError(f"Xvfb did not start: {log.read_text()}")
        self._server = server
        self._manager = self._start("openbox")

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DISPLAY": self.display}

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=self.environment, stdout=self._log, stderr=self._log)

    def _listens(self, server: subprocess.Popen[bytes], number: int) -> bool:
        """Another screen may have this number: then Xvfb ends."""
        socket = Path(f"/tmp/.X11-unix/X{number}")
        end = time.monotonic() + _START_SECONDS
        while server.poll() is None and time.monotonic() < end:
            if socket.exists():
                # One that is somebody else's was there before; ours is not yet done with ending then.
                time.sleep(0.3)
                return server.poll() is None
            time.sleep(0.05)
        server.kill()
        server.wait()
        return False

    def picture(self, path: Path) -> None:
        """In 256 colours: a fifth of the size, and windows hardly have more."""
        subprocess.run(
            ["import", "-window", "root", "-colors", "256", f"png8:{path}"],
            env=self.environment, check=True, capture_output=True, timeout=60,
        )  # fmt: skip

    def colours(self) -> dict[str, int]:
        """Of what is shown now: `#rrggbb` → number of pixels."""
        told = subprocess.run(
            ["import", "-window", "root", "-depth", "8", "-format", "%c", "histogram:info:-"],
            env=self.environment, check=True, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip
        return {colour.lower(): int(count) for count, colour in re.findall(r"(\d+): .*?(#[0-9A-F]{6})", told)}

    def stop(self) -> None:
        for process in (self._manager, self._server):
            process.terminate()
            process.wait(timeout=20)
        self._log.close()
