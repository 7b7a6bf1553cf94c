"""Documentation that lags behind the code fails here: settings, commands, links, cited tests, the changelog."""

import ast
import re
import tomllib
from collections.abc import Iterator
from datetime import time
from pathlib import Path

import click
import pytest

from caldav_bridge import properties
from storage import policy
from storage.house_rules import HouseRules
from storage.settings import Settings
from web.api.operations import OPERATIONS
from web.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|^ {4}[^\n]*$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def test_every_setting_is_documented() -> None:
    text = (REFERENCE / "settings.md").read_text()
    names = [f"CLINICDAV_{name.upper()}" for name in Settings.model_fields]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_documented_setting_exists() -> None:
    text = (REFERENCE / "settings.md").read_text()
    known = {f"CLINICDAV_{name.upper()}" for name in Settings.model_fields}
    assert sorted(set(re.findall(r"`(CLINICDAV_[A-Z_]+)`", text)) - known) == []


def test_every_house_rule_is_documented_with_its_default() -> None:
    text = (REFERENCE / "house-rules.md").read_text()
    rows = [f"| `{name}` | {_said(field.default)} |" for name, field in HouseRules.model_fields.items()]
    assert [row for row in rows if row not in text] == []
    assert text.count("\n| `") == len(rows)


def _said(default: object) -> str:
    if default in (None, ""):
        return ""
    return f"`{default:%H:%M}`" if isinstance(default, time) else f"`{str(default).lower()}`"


def test_every_command_and_option_is_documented() -> None:
    text = (REFERENCE / "commands.md").read_text()
    missing = []
    for name, command in commands(main, "clinicdav"):
        section = section_of(text, name)
        if section is None:
            missing.append(name)
            continue
        options = [parameter.opts[0] for parameter in command.params if isinstance(parameter, click.Option)]
        missing += [f"{name} {option}" for option in options if f"`{option}" not in section]
    assert missing == []


def test_every_call_of_the_api_is_documented() -> None:
    text = (REFERENCE / "api.md").read_text()
    # A row of the table may name several calls that share their beginning.
    missing = [
        f"{op.method} {op.path}"
        for op in OPERATIONS
        if f"{op.method} {op.path}" not in text and f"`/{op.path.rpartition('/')[2]}`" not in text
    ]
    assert [each for each in missing if each != "PATCH /types"] == []


def test_every_property_is_in_the_compliance_table() -> None:
    text = (DOCS / "compliance.md").read_text()
    names = [name.rpartition("}")[2] for name in (*properties.LIVE, *properties.DEAD)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_role_is_documented() -> None:
    text = (REFERENCE / "roles.md").read_text().lower()
    roles = {role for scopes in policy.RULES.values() for role in scopes}
    assert [role for role in sorted(roles) if role not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_internal_links_resolve(page: Path) -> None:
    broken = []
    for target in _LINK.findall(_CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reachable_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.exists():
            continue
        reached.add(page)
        targets = _LINK.findall(_CODE.sub("", page.read_text()))
        waiting += [(page.parent / target.partition("#")[0]).resolve() for target in targets if ".md" in target]
    lost = [str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md") if page not in reached]
    assert lost == []


def test_every_test_that_compliance_cites_exists() -> None:
    defined = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(file.read_text())
        defined |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    cited = re.findall(r"`(test_\w+)`", (DOCS / "compliance.md").read_text())
    assert cited
    assert sorted(set(cited) - defined) == []


def test_the_changelog_has_an_entry_for_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(file.name for file in (DOCS / "decisions").glob("[0-9]*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    text = (DOCS / "decisions" / "README.md").read_text()
    assert [name for name in names if name not in text] == []


def commands(group: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(group, click.Group):
        yield name, group
        return
    for part, command in group.commands.items():
        if not command.hidden:
            yield from commands(command, f"{name} {part}")


def section_of(text: str, command: str) -> str | None:
    """What stands below the command's heading; None when there is none."""
    found = re.search(rf"^### `{re.escape(command)}[` ].*?(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    return None if found is None else found[0]


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of the headings."""
    found = _HEADING.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}
