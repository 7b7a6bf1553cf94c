"""Statements that are made once and run by the database's own driver: calendar apps ask a few of them all day.

Making a statement and its objects takes SQLAlchemy many times as long as SQLite takes to answer it. So the text is
made once for each kind of database, and rows come as bare tuples.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.orm import Session, make_transient_to_detached

from storage.db import unavailable
from storage.models.base import Base, table_of

Row = tuple[Any, ...]
_MOST_KEPT = 1000


class _Text:
    """A statement as one kind of database takes it, with what turns values into the driver's and back."""

    def __init__(self, statement: Select[*tuple[Any, ...]], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self._names = list(compiled.positiontup or ())
        self._binds = {name: bind.type.bind_processor(dialect) for name, bind in compiled.binds.items()}
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        columns = [column.type.result_processor(dialect, None) for column in statement.selected_columns]
        self._columns = columns
        self._converts = any(columns)

    def values(self, given: dict[str, Any]) -> Any:
        if self._constants:
            given = self._constants | given
        bound = {name: bind(given[name]) if bind else given[name] for name, bind in self._binds.items()}
        return [bound[name] for name in self._names] if self._names else bound

    def row(self, raw: Row) -> Row:
        return tuple(column(value) if column else value for column, value in zip(self._columns, raw, strict=True))

    def rows(self, raw: list[Row]) -> list[Row]:
        return list(map(self.row, raw)) if self._converts else raw


class Prepared:
    """A SELECT whose parameters are `bindparam`s."""

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        self._statement = statement
        self._texts: dict[str, _Text] = {}

    def rows(self, session: Session, **given: Any) -> list[Row]:
        """What it finds, with the values as the columns' types give them."""
        connection = connection_of(session)
        return self.text(connection).rows(self._run(connection, given))

    def raw(self, session: Session, **given: Any) -> list[Row]:
        """What it finds, as the driver gives it."""
        return self._run(connection_of(session), given)

    def text(self, connection: Connection) -> _Text:
        dialect = connection.dialect
        made = self._texts.get(dialect.name)
        if made is None:
            made = self._texts[dialect.name] = _Text(self._statement, dialect)
        return made

    def _run(self, connection: Connection, given: dict[str, Any]) -> list[Row]:
        text = self.text(connection)
        driver = connection.dialect.loaded_dbapi
        raw: Any = connection.connection.dbapi_connection
        try:
            found: list[Row] = raw.execute(text.sql, text.values(given)).fetchall()
        except (driver.OperationalError, driver.InterfaceError) as error:
            raise unavailable(error) from error
        return found


class Kept:
    """Objects found by their rows, and made anew only when a column has changed. They belong to no session and are
    shared by all requests: for reading, not for writing."""

    def __init__(self, statement: Callable[[list[Any]], Select[*tuple[Any, ...]]], *models: type[Base]) -> None:
        """`statement` makes the SELECT of the given columns: all those of `models`."""
        self._models = models
        self._prepared = Prepared(statement([column for model in models for column in table_of(model).columns]))
        self._kept: dict[int, tuple[Row, list[Any]]] = {}

    def find(self, session: Session, **given: Any) -> list[Any] | None:
        """The one row's objects, in the order of the models; None when there is no row."""
        connection = connection_of(session)
        found = self._prepared.raw(session, **given)
        if not found:
            return None
        (row,) = found
        kept = self._kept.get(row[0])
        if kept is not None and kept[0] == row:
            return kept[1]
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        objects = self._objects(self._prepared.text(connection).row(row))
        self._kept[row[0]] = row, objects
        return objects

    def _objects(self, row: Row) -> list[Any]:
        values, objects = iter(row), []
        for model in self._models:
            made = model(**{column.key: next(values) for column in table_of(model).columns})
            make_transient_to_detached(made)
            objects.append(made)
        return objects


def connection_of(session: Session) -> Connection:
    """The session's connection, with what it has changed so far written to it."""
    connection: Connection | None = session.info.get("connection")
    if connection is None:
        session.flush()
        connection = session.connection()
    return connection
