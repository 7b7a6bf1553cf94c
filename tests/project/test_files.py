"""What stands in the repository works on every machine."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

MACHINE_PATH = re.compile(rb"(?<![\w.:~-])/(?:work|root|opt/(?:pypi|wheels)|home/(?!USER|user)\w+)/")
REGISTRY = re.compile(
    rb"registry\.(?:npmjs|yarnpkg)\.|//pypi\.org/simple|files\.pythonhosted\.|--(?:extra-)?index-url[ =]|--find-links[ =]"
)


def tracked() -> list[Path]:
    # safe.directory: a checkout that another user owns is read all the same.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["path", "registry"])
def test_no_file_names_one_machine(pattern: re.Pattern[bytes]) -> None:
    found = {
        str(path.relative_to(ROOT)): match.group().decode()
        for path in tracked()
        if (match := pattern.search(path.read_bytes()))
    }
    assert found == {}


def test_every_dependency_is_locked_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lock, declared in (
        ("run", project["dependencies"]),
        ("test", project["dependencies"] + project["optional-dependencies"]["test"]),
    ):
        locked = pins((ROOT / "requirements" / f"{lock}.txt").read_text())
        for requirement in map(Requirement, declared):
            version = locked.get(canonicalize_name(requirement.name))
            assert version and version in requirement.specifier, f"{requirement}: run make lock"


def pins(lock: str) -> dict[str, str]:
    """Name → version. Every entry must have a hash."""
    found = {}
    for entry in re.split(r"\n(?=[a-z0-9])", lock):
        if match := re.match(r"([a-z0-9._-]+)==([^ ;\\]+)", entry):
            assert "--hash=sha256:" in entry, f"{match.group(1)} is locked without a hash"
            found[canonicalize_name(match.group(1))] = match.group(2)
    return found


def test_page_assets_are_locked_without_an_address() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, package in packages.items():
        if name:
            assert package["integrity"].startswith("sha512-")
            assert "resolved" not in package, f"{name}: run make lock"
