"""Each package is ours, and imports point downwards (the contracts are in pyproject.toml)."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["caldav_bridge", "ical", "storage", "tasks", "web"])
def test_package_is_ours(name: str) -> None:
    # The names are plain ones that another distribution could install over.
    package = importlib.import_module(name)
    assert package.__file__ is not None, f"{name} has no __init__.py"
    assert Path(package.__file__).parent == ROOT / name


def test_imports_point_downwards() -> None:
    lint = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    run = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
