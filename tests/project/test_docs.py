"""A setting or a command that the documentation does not name fails here."""

from collections.abc import Iterator
from pathlib import Path

import click

from storage.settings import Settings
from web.cli import main

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_every_setting_is_documented() -> None:
    text = (REFERENCE / "settings.md").read_text()
    names = [f"CLINICDAV_{name.upper()}" for name in Settings.model_fields]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_command_and_option_is_documented() -> None:
    text = (REFERENCE / "commands.md").read_text()
    missing = []
    for name, command in commands(main, "clinicdav"):
        if name not in text:
            missing.append(name)
        options = [parameter.opts[0] for parameter in command.params if isinstance(parameter, click.Option)]
        missing += [f"{name} {option}" for option in options if option not in text]
    assert missing == []


def commands(group: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(group, click.Group):
        yield name, group
        return
    for part, command in group.commands.items():
        if not command.hidden:
            yield from commands(command, f"{name} {part}")
