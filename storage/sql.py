"""What SQLite and PostgreSQL say differently beside storage.moments: months, and rows given with a question."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, BigInteger, ColumnElement, String, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from storage.models.base import Instant


class month(FunctionElement[int]):  # noqa: N801
    """The number of the month, 12 × year + month - 1, of local seconds since 1970."""

    inherit_cache, type, name = True, BigInteger(), "month"


class greatest(FunctionElement[int]):  # noqa: N801
    inherit_cache, type, name = True, BigInteger(), "greatest"


class least(FunctionElement[int]):  # noqa: N801
    inherit_cache, type, name = True, BigInteger(), "least"


@compiles(month, "sqlite")
def _month_sqlite(element: month, compiler: SQLCompiler, **kw: Any) -> str:
    said = compiler.process(element.clauses, **kw)
    return f"(12 * strftime('%Y', {said}, 'unixepoch') + strftime('%m', {said}, 'unixepoch') - 1)"


@compiles(month, "postgresql")
def _month_postgresql(element: month, compiler: SQLCompiler, **kw: Any) -> str:
    local = f"(to_timestamp({compiler.process(element.clauses, **kw)}) AT TIME ZONE 'UTC')"
    return f"(12 * extract(year FROM {local}) + extract(month FROM {local}) - 1)::bigint"


@compiles(greatest, "sqlite")
def _greatest_sqlite(element: greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"max({compiler.process(element.clauses, **kw)})"


@compiles(greatest, "postgresql")
def _greatest_postgresql(element: greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **kw)})"


@compiles(least, "sqlite")
def _least_sqlite(element: least, compiler: SQLCompiler, **kw: Any) -> str:
    return f"min({compiler.process(element.clauses, **kw)})"


@compiles(least, "postgresql")
def _least_postgresql(element: least, compiler: SQLCompiler, **kw: Any) -> str:
    return f"least({compiler.process(element.clauses, **kw)})"


def rows(session: Session, name: str, columns: Mapping[str, type], given: Sequence[tuple[Any, ...]]) -> CTE:
    """A table of these rows, which travel as one parameter: `columns` by name are int, str or datetime. It is read once,
    however many rows it is joined with."""
    dialect = session.get_bind().dialect
    instant = Instant()
    said = [[instant.process_bind_param(v, dialect) if isinstance(v, datetime) else v for v in each] for each in given]
    text = bindparam(None, json.dumps(said, default=str), String)
    picked: list[ColumnElement[Any]]
    if dialect.name == "sqlite":
        each = func.json_each(text).table_valued("value").alias(f"{name}_json")
        picked = [func.json_extract(each.c.value, f"$[{at}]", type_=_type(kind)) for at, kind in _places(columns)]
    else:
        each = func.jsonb_array_elements(cast(text, JSONB)).table_valued("value").alias(f"{name}_json")
        picked = [cast(each.c.value.op("->>")(at), _type(kind)) for at, kind in _places(columns)]
    return (
        select(*(column.label(label) for column, label in zip(picked, columns, strict=True)))
        .cte(name)
        .prefix_with("MATERIALIZED")
    )


def _places(columns: Mapping[str, type]) -> list[tuple[int, type]]:
    return list(enumerate(columns.values()))


def _type(kind: type) -> Any:
    return {int: BigInteger(), str: String(), datetime: Instant()}[kind]
