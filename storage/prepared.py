"""Statements that are made once and run by the database's own driver: calendar apps ask a few of them all day.

Making a statement and its objects takes SQLAlchemy many times as long as SQLite takes to answer it. So the text is
made once for each kind of database, and rows come as bare tuples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import starmap
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Delete, Dialect, Insert, Select, Update, bindparam
from sqlalchemy.orm import InstrumentedAttribute, Session, make_transient_to_detached
from sqlalchemy.orm.attributes import instance_dict, set_committed_value
from sqlalchemy.orm.util import identity_key

from storage.db import unavailable
from storage.models.base import Base, table_of

Row = tuple[Any, ...]
_Values = tuple[type[Base], dict[str, Any]]
Model = TypeVar("Model", bound=Base)
_MOST_KEPT = 1000


class _Text:
    """A statement as one kind of database takes it, with what turns values into the driver's and back."""

    def __init__(
        self,
        statement: Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]] | Insert | Update | Delete,
        dialect: Dialect,
        names: Sequence[str] | None,
    ) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=None if names is None else list(names))
        self.sql = str(compiled)
        self._names = list(compiled.positiontup or ())
        self._binds = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()
        }
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        columns = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in statement.exported_columns
        ]
        self._columns = columns
        self._converts = any(columns)

    def values(self, given: Mapping[str, Any]) -> Any:
        if self._constants:
            given = {**self._constants, **given}
        bound = {name: bind(given[name]) if bind else given[name] for name, bind in self._binds.items()}
        return [bound[name] for name in self._names] if self._names else bound

    def row(self, raw: Row) -> Row:
        return tuple(column(value) if column else value for column, value in zip(self._columns, raw, strict=True))

    def rows(self, raw: list[Row]) -> list[Row]:
        return list(map(self.row, raw)) if self._converts else raw


class Prepared:
    """A statement whose parameters are `bindparam`s, and for INSERT and UPDATE `columns`."""

    def __init__(
        self,
        statement: Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]] | Insert | Update | Delete,
        columns: Iterable[str] | None = None,
    ) -> None:
        self._statement = statement
        self._names = None if columns is None else tuple(columns)
        self._texts: dict[str, _Text] = {}

    def rows(self, session: Session, **given: Any) -> list[Row]:
        """What it finds, with the values as the columns' types give them."""
        return self.all(connection_of(session), given)

    def raw(self, session: Session, **given: Any) -> list[Row]:
        """What it finds, as the driver gives it."""
        return self._run(connection_of(session), given)

    # What a session holds and has not written is not written before these.

    def all(self, connection: Connection, given: Mapping[str, Any]) -> list[Row]:
        """Run it. The rows that it gives, with the values as the columns' types give them."""
        return self.text(connection).rows(self._run(connection, given))

    def one(self, connection: Connection, given: Mapping[str, Any]) -> Row | None:
        """The first of them, if there is any."""
        found = self._run(connection, given)
        return self.text(connection).row(found[0]) if found else None

    def write(self, connection: Connection, given: Mapping[str, Any]) -> None:
        text = self.text(connection)
        with _said(connection):
            _driver(connection).execute(text.sql, text.values(given))

    def write_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if len(rows) == 1:
            self.write(connection, rows[0])
            return
        text = self.text(connection)
        with _said(connection):
            _driver(connection).cursor().executemany(text.sql, [text.values(row) for row in rows])

    def text(self, connection: Connection) -> _Text:
        dialect = connection.dialect
        made = self._texts.get(dialect.name)
        if made is None:
            made = self._texts[dialect.name] = _Text(self._statement, dialect, self._names)
        return made

    def _run(self, connection: Connection, given: Mapping[str, Any]) -> list[Row]:
        text = self.text(connection)
        with _said(connection):
            found: list[Row] = _driver(connection).execute(text.sql, text.values(given)).fetchall()
        return found


def among(column: ColumnElement[Any] | InstrumentedAttribute[Any], name: str, count: int) -> ColumnElement[bool]:
    """`column` is one of `count` values, given as `numbered` names them."""
    return column.in_([bindparam(f"{name}{number}") for number in range(count)])


def numbered(name: str, values: Iterable[Any]) -> dict[str, Any]:
    return {f"{name}{number}": value for number, value in enumerate(values)}


class Kept:
    """Objects found by their rows, and made anew only when a column has changed. They belong to no session and are
    shared by all requests: for reading, not for writing."""

    def __init__(self, statement: Callable[[list[Any]], Select[*tuple[Any, ...]]], *models: type[Base]) -> None:
        """`statement` makes the SELECT of the given columns: all those of `models`."""
        self._models = models
        self._prepared = Prepared(statement([column for model in models for column in table_of(model).columns]))
        self._kept: dict[int, tuple[Row, list[_Values], list[Any]]] = {}

    def find(self, session: Session, **given: Any) -> list[Any] | None:
        """The one row's objects, in the order of the models; None when there is no row."""
        connection = connection_of(session)
        found = self._prepared.raw(session, **given)
        return self._known(connection, found[0])[2] if found else None

    def attached(self, session: Session, **given: Any) -> list[Any] | None:
        """The one row's objects as the session's own: for writing."""
        connection = connection_of(session)
        found = self._prepared.raw(session, **given)
        if not found:
            return None
        return [attached(session, model, values) for model, values in self._known(connection, found[0])[1]]

    def _known(self, connection: Connection, row: Row) -> tuple[Row, list[_Values], list[Any]]:
        kept = self._kept.get(row[0])
        if kept is None or kept[0] != row:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            values = list(self._values(self._prepared.text(connection).row(row)))
            kept = self._kept[row[0]] = row, values, list(starmap(_detached, values))
        return kept

    def _values(self, row: Row) -> Iterable[_Values]:
        values = iter(row)
        for model in self._models:
            yield model, {column.key: next(values) for column in table_of(model).columns}


def _detached(model: type[Base], values: Mapping[str, Any]) -> Base:
    made = model(**values)
    make_transient_to_detached(made)
    return made


class _said:
    """Turns the driver's words for "not now" into ours."""

    def __init__(self, connection: Connection) -> None:
        self._driver = connection.dialect.loaded_dbapi

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (self._driver.OperationalError, self._driver.InterfaceError)):
            raise unavailable(error) from error


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def attached(session: Session, model: type[Model], values: Mapping[str, Any]) -> Model:
    """The session's object of a row that has just been read or written, told of all its columns."""
    known = session.identity_map.get(identity_key(model, [values[name] for name in _primary_key(model)]))
    if known is not None:
        for name, value in values.items():
            set_committed_value(known, name, value)
        found: Model = known
        return found
    made = model()
    instance_dict(made).update(values)
    make_transient_to_detached(made)
    session.add(made)
    return made


@cache
def _primary_key(model: type[Base]) -> list[str]:
    return [column.key for column in table_of(model).primary_key]


def connection_of(session: Session) -> Connection:
    """The session's connection, with what it has changed so far written to it."""
    connection: Connection | None = session.info.get("connection")
    if connection is None:
        session.flush()
        connection = session.connection()
    return connection
