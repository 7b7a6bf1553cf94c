"""Instants as the pure rules count them: whole seconds since 1970, counted by the database itself."""

from sqlite3 import sqlite_version_info
from typing import Any

from sqlalchemy import Integer
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class seconds_of(GenericFunction[int]):
    """The seconds of an instant."""

    type = Integer()
    inherit_cache = True


@compiles(seconds_of)
def _postgresql(element: Any, compiler: Any, **more: Any) -> str:
    return f"floor(extract(epoch FROM {compiler.process(element.clauses, **more)}))::bigint"


@compiles(seconds_of, "sqlite")
def _sqlite(element: Any, compiler: Any, **more: Any) -> str:
    moment = compiler.process(element.clauses, **more)
    # Half as long; but the older ones do not have it.
    return f"unixepoch({moment})" if sqlite_version_info >= (3, 38) else f"CAST(strftime('%s', {moment}) AS INTEGER)"
