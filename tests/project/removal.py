"""A pytest plugin that takes one guard out of the product: CLINICDAV_SOAK_REMOVED is `module:name=value`."""

import ast
import os
from operator import attrgetter
from pkgutil import resolve_name

import pytest


def pytest_configure(config: pytest.Config) -> None:
    target, _, value = os.environ["CLINICDAV_SOAK_REMOVED"].partition("=")
    module, _, path = target.partition(":")
    owner, _, name = path.rpartition(".")
    holder = attrgetter(owner)(resolve_name(module)) if owner else resolve_name(module)
    answer = ast.literal_eval(value)
    guard = getattr(holder, name)
    setattr(holder, name, (lambda *_args, **_named: answer) if callable(guard) else answer)
