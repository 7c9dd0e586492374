"""What one connection does for whoever reads or writes the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy.engine import Dialect

from adjunct.fhir.criteria import Search
from adjunct.fhir.indexing import Rows
from adjunct.fhir.repository import Page, Stored, stamp
from adjunct.fhir.sql import queries
from adjunct.fhir.sql.statement import Connection, Statement, Statements, stored
from adjunct.fhir.wire import Json

Refused = Callable[[Exception], None]

CHUNK = 500  # versions fetched at once where all are wanted


class ReadingConnection:
    """One connection, seen as the record."""

    def __init__(self, connection: Connection, said: Statements, dialect: Dialect) -> None:
        self._connection, self._said, self._dialect = connection, said, dialect

    def _rows(self, statement: Statement, **values: Any) -> list[Any]:
        found: list[Any] = self._connection.execute(statement.text, statement.binds(values)).fetchall()
        return found

    def read(self, type: str, id: str) -> Stored | None:
        found = self._rows(self._said.read, type=type, id=id)
        return stored(found[0]) if found else None

    def vread(self, type: str, id: str, version: int) -> Stored | None:
        found = self._rows(self._said.vread, type=type, id=id, version=version)
        return stored(found[0]) if found else None

    def history(
        self, type: str = "", id: str = "", *, since: int | None = None, before: int | None = None, count: int
    ) -> Sequence[Stored]:
        said = self._said
        statement = said.history_of if id else said.history_type if type else said.history_all
        last = self.newest_key() + 1 if before is None else before
        found = self._rows(statement, type=type, id=id, since=since or 0, before=last, count=count)
        return [stored(row) for row in found]

    def every(self, type: str, *, since: int | None = None, as_of: int | None = None) -> Iterator[Stored]:
        after, snapshot = 0, self.newest_key() if as_of is None else as_of
        while found := self._rows(
            self._said.current, type=type, since=since or 0, after=after, snapshot=snapshot, count=CHUNK
        ):
            yield from (stored(row) for row in found)
            after = found[-1][0]

    def newest_key(self) -> int:
        key: int = self._rows(self._said.newest_key)[0][0]
        return key

    def search(self, search: Search) -> Page:
        return queries.page(search, self._fetch, self._dialect, self.newest_key)

    def count(self, search: Search) -> int:
        return queries.count(search, self._fetch, self._dialect, self.newest_key)

    def _fetch(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        found: list[Any] = self._connection.execute(text, values).fetchall()
        return found


class Pending:
    """What a unit adds and has not written yet; `names` are the types and ids of it."""

    __slots__ = ("ends", "index", "names", "versions")

    def __init__(self) -> None:
        self.names: set[tuple[str, str]] = set()
        self.versions: list[tuple[Any, ...]] = []
        self.ends: list[tuple[Any, ...]] = []
        self.index: list[list[tuple[Any, ...]]] = [[] for _ in Rows._fields]

    def add(self, said: Statements, made: Stored, last: Any = None, rows: Rows | None = None) -> None:
        """A version and its index rows; `last` is the version before it, as `Statements.last` has it."""
        gone = int(made.content is None)
        self.names.add((made.type, made.id))
        self.versions.append(said.add.order((*made, None, gone)))
        if last:
            self.ends.append(said.supersede.binds({"old": last[0], "until": made.key}))
        found: list[tuple[Any, ...]]
        for waiting, table, found in zip(self.index, said.index, rows or (), strict=bool(rows)):  # type: ignore[assignment]
            waiting += [table.order((*row, made.key)) for row in found]


class Group:
    """The units of one commit that are done but for writing what they add: each adds to resources of its own.

    `broken` tells an error of the database, which ends the commit, from one that a value makes.
    """

    def __init__(self, connection: Connection, said: Statements, broken: Callable[[Exception], bool]) -> None:
        self._connection, self._said, self._broken = connection, said, broken
        self._waiting: list[tuple[Pending, Refused]] = []
        self.names: set[tuple[str, str]] = set()

    def add(self, pending: Pending, refused: Refused) -> None:
        """Have it written with the others; `refused` is called if a value of it cannot be written."""
        self._waiting.append((pending, refused))
        self.names |= pending.names

    def flush(self) -> None:
        """Write it all at once, or, where a value is refused, unit by unit: then only one whose value it is fails."""
        waiting, self._waiting = self._waiting, []
        self.names.clear()
        if waiting and self._error([pending for pending, _ in waiting]):
            for pending, refused in waiting:
                if error := self._error([pending]):
                    refused(error)

    def _error(self, pending: Sequence[Pending]) -> Exception | None:
        """Write it, or nothing of it and say why."""
        self._connection.execute("SAVEPOINT together")
        try:
            write(self._connection, self._said, pending)
            wrong = None
        except Exception as error:
            if self._broken(error):
                raise
            self._connection.execute("ROLLBACK TO SAVEPOINT together")
            wrong = error
        self._connection.execute("RELEASE SAVEPOINT together")
        return wrong


def write(connection: Connection, said: Statements, pending: Sequence[Pending]) -> None:
    """Write table by table what units add."""
    said.add.write(connection, [row for one in pending for row in one.versions])
    if ends := [row for one in pending for row in one.ends]:
        connection.cursor().executemany(said.supersede.text, ends)
    for number, table in enumerate(said.index):
        table.write(connection, [row for one in pending for row in one.index[number]])


class WritingConnection(ReadingConnection):
    """One unit of work. What it puts waits until it has to be seen: then the unit gets a savepoint and writes it."""

    def __init__(
        self, connection: Connection, said: Statements, dialect: Dialect, count: Counter, group: Group
    ) -> None:
        super().__init__(connection, said, dialect)
        self._count, self._group = count, group
        self._pending = Pending()
        self._open = False  # whether there is a savepoint

    def put(self, document: Json, rows: Rows) -> Stored:
        kind, own = document["resourceType"], document["id"]
        last = self._last(kind, own)
        key, number, at = self._count.next(), last[1] + 1 if last else 1, self._count.at
        made = Stored(key, kind, own, number, at, stamp(document, number, at))
        self._pending.add(self._said, made, last, rows)
        return made

    def delete(self, type: str, id: str) -> Stored | None:
        last = self._last(type, id)
        if last is None or last[2]:
            return None
        made = Stored(self._count.next(), type, id, last[1] + 1, self._count.at, None)
        self._pending.add(self._said, made, last)
        return made

    def erase(self, type: str, id: str) -> int:
        self._see()
        keys = [row[0] for row in self._rows(self._said.keys, type=type, id=id)]
        if keys:
            unspend, spend = self._said.unspend, self._said.spend
            self._connection.execute(unspend.text, unspend.binds({}))
            self._connection.execute(spend.text, spend.binds({"key": self._count.key, "at": self._count.at}))
        for statement in self._said.erase:
            self._connection.cursor().executemany(statement.text, [(key,) for key in keys])
        return len(keys)

    def end(self, refused: Refused) -> None:
        """The work is done: what waits may wait on with the group, unless the unit has written already."""
        if not self._open:
            self._group.add(self._pending, refused)
            return
        write(self._connection, self._said, [self._pending])
        self._connection.execute("RELEASE SAVEPOINT unit")

    def undo(self) -> None:
        """The work failed: nothing of it is left."""
        if self._open:
            self._connection.execute("ROLLBACK TO SAVEPOINT unit")
            self._connection.execute("RELEASE SAVEPOINT unit")

    def _see(self) -> None:
        """Write what waits, here and in the group, so that the database can be asked for it."""
        self._group.flush()
        if not self._open:
            self._connection.execute("SAVEPOINT unit")
            self._open = True
        waiting, self._pending = self._pending, Pending()
        write(self._connection, self._said, [waiting])

    def _last(self, type: str, id: str) -> Any:
        found = self._rows(self._said.last, type=type, id=id)
        return found[0] if found else None

    def _rows(self, statement: Statement, **values: Any) -> list[Any]:
        """What is asked by type and id can be answered while others wait. All else may fail: under a savepoint."""
        name = (values.get("type"), values.get("id"))
        if values.keys() != {"type", "id"} or name in self._pending.names or name in self._group.names:
            self._see()
        return super()._rows(statement, **values)

    def _fetch(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        self._see()
        return super()._fetch(text, values)


class Counter:
    """Keys and the time of one commit: the key grows, the time never goes back, whatever the machine's clock does."""

    def __init__(self, newest: tuple[int, int], now: int) -> None:
        self.key, self.at = newest[0], max(newest[1], now)

    def next(self) -> int:
        self.key += 1
        return self.key
