"""The record in a database: many readers, one writer that groups what waits into one durable commit.

Whoever writes hands over a unit of work and waits. The writer takes all that is waiting, gives each a savepoint,
commits once, and only then answers: an answer means that the write survives a crash, and a unit that fails takes
nothing with it but itself. When the database itself fails, everything of that commit is undone, and everyone is told.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from operator import itemgetter
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from sqlalchemy import BindParameter, ScalarSelect, bindparam, delete, func, insert, select, union_all, update
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.expression import Executable

from adjunct.base import BadInput
from adjunct.fhir.criteria import Search
from adjunct.fhir.indexing import Rows
from adjunct.fhir.repository import Page, Reader, Stored, Unavailable, Unit, stamp
from adjunct.fhir.sql import queries
from adjunct.fhir.sql.schema import INDEXES, spent, version
from adjunct.fhir.sql.statement import Statement, stored
from adjunct.fhir.wire import Json

T = TypeVar("T")

GROUP = 256  # writes in one commit; with more the first of them would wait too long
READ_S = 60.0  # for one statement of a reader; nobody waits longer for an answer
READERS = 64  # idle connections kept for reading
CHUNK = 500  # versions fetched at once where all are wanted

_UNFIT = "the database cannot hold a value like this: a text that is too long, or a character that it does not take"


class Connection(Protocol):
    """What the connections of both drivers can do, as far as it is used here."""

    def execute(self, text: Any, values: Any = ..., /) -> Any: ...
    def cursor(self) -> Any: ...
    def close(self) -> None: ...


class Backend(Protocol):
    """What differs between databases."""

    @property
    def dialect(self) -> Dialect: ...
    @property
    def errors(self) -> type[Exception]:
        """What the driver raises."""

    @property
    def unfit(self) -> tuple[type[Exception], ...]:
        """Those of them that speak of a value, not of the database."""

    @property
    def quick(self) -> bool:
        """Reading by id takes microseconds: not worth a thread of its own."""

    def connect(self, *, writes: bool) -> Connection:
        """A connection that commits only when told to; raises what the driver raises."""

    def begin(self, connection: Connection) -> None:
        """Begin what no other writer, of this process or another, can be in at the same time."""

    def limit(self, connection: Connection, seconds: float) -> None:
        """From now on a statement of this connection that takes longer ends as an error."""

    def unavailable(self, error: Exception) -> Unavailable:
        """What happened and what to do, without data."""

    def alive(self, connection: Connection) -> bool:
        """Whether an idle connection still leads to the record."""


class Statements:
    """Every statement but searches, for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        v = version.c
        columns = (v.key, v.type, v.id, v.version, v.at, v.content)
        of_type, of_id = v.type == bindparam("type"), v.id == bindparam("id")
        since, before = v.at >= bindparam("since"), v.key < bindparam("before")
        some: BindParameter[int] = bindparam("count")
        newest_first = select(*columns).where(since, before).order_by(v.key.desc()).limit(some)

        def compiled(statement: Executable) -> Statement:
            return Statement(statement, dialect)

        self.read = compiled(select(*columns).where(of_type, of_id).order_by(v.version.desc()).limit(1))
        self.vread = compiled(select(*columns).where(of_type, of_id, v.version == bindparam("version")))
        of_one = select(*columns).where(of_type, of_id, since, before)
        self.history_of = compiled(of_one.order_by(v.version.desc()).limit(some))
        self.history_type = compiled(newest_first.where(of_type))
        self.history_all = compiled(newest_first)
        self.current = compiled(
            select(*columns)
            .where(of_type, since, v.key > bindparam("after"), v.key <= bindparam("snapshot"), v.gone == 0)
            .where(v.until.is_(None) | (v.until > bindparam("snapshot")))
            .order_by(v.key)
            .limit(some)
        )
        newest_key, newest_at = (_greatest(name) for name in ("key", "at"))
        self.newest_key = compiled(select(newest_key))
        self.newest = compiled(select(newest_key, newest_at))
        self.last = compiled(select(v.key, v.version, v.gone).where(of_type, of_id).order_by(v.version.desc()).limit(1))
        self.add = compiled(insert(version).values({c: bindparam(c) for c in _VERSION}))
        self.supersede = compiled(update(version).where(v.key == bindparam("old")).values(until=bindparam("until")))
        self.spend = compiled(insert(spent).values(key=bindparam("key"), at=bindparam("at")))
        self.unspend = compiled(delete(spent))
        self.keys = compiled(select(v.key).where(of_type, of_id))
        self.erase = [compiled(delete(version).where(v.key == bindparam("old")))]
        self.erase += [compiled(delete(table).where(table.c.key == bindparam("old"))) for table in INDEXES.values()]
        self.index = [_Rows(compiled(_insert(name, dialect)), (*COLUMNS[name], "key")) for name in Rows._fields]


def _greatest(column: str) -> ScalarSelect[int]:
    """The greatest key or time that was ever given; each is answered from the end of an index."""
    every = union_all(*(select(func.max(table.c[column]).label("most")) for table in (version, spent))).subquery()
    return select(func.coalesce(func.max(every.c.most), 0)).scalar_subquery()


class _Rows:
    """How to add rows to one index table: `order` brings a row and its key into the order of the statement."""

    __slots__ = ("order", "text")

    def __init__(self, statement: Statement, columns: tuple[str, ...]) -> None:
        self.text = statement.text
        self.order = itemgetter(*(columns.index(name) for name in statement.names))


_VERSION = ("key", "type", "id", "version", "at", "until", "gone", "content")
#: In the order of `indexing.Rows`; the key of the version comes last.
COLUMNS = {
    "token": ("idx", "code", "element", "system"),
    "string": ("idx", "folded", "element", "exact"),
    "date": ("idx", "low", "high", "element"),
    "number": ("idx", "low", "high", "element"),
    "quantity": ("idx", "value", "unit", "element", "system"),
    "reference": ("idx", "id", "type", "element"),
    "uri": ("idx", "uri", "element"),
}


def _insert(name: str, dialect: Dialect) -> Insert:
    """A row twice is one row: a resource may say the same thing twice."""
    from sqlalchemy.dialects import postgresql, sqlite

    flavour: Any = postgresql if dialect.name == "postgresql" else sqlite
    made: Insert = flavour.insert(INDEXES[name]).on_conflict_do_nothing()
    return made.values({c: bindparam(c) for c in (*COLUMNS[name], "key")})


class _Reader:
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


class _Unit(_Reader):
    """The writer's own connection, within one savepoint. Index rows wait until somebody searches, or the commit."""

    def __init__(self, connection: Connection, said: Statements, dialect: Dialect, count: _Counter) -> None:
        super().__init__(connection, said, dialect)
        self._count = count
        self._waiting: list[list[Any]] = [[] for _ in Rows._fields]

    def put(self, document: Json, rows: Rows) -> Stored:
        kind, own = document["resourceType"], document["id"]
        last = self._last(kind, own)
        key, number, at = self._count.next(), last[1] + 1 if last else 1, self._count.at
        made = Stored(key, kind, own, number, at, stamp(document, number, at))
        self._add(made, last)
        found: list[tuple[Any, ...]]
        for waiting, index, found in zip(self._waiting, self._said.index, rows, strict=True):  # type: ignore[assignment]
            waiting += [index.order((*row, key)) for row in found]
        return made

    def delete(self, type: str, id: str) -> Stored | None:
        last = self._last(type, id)
        if last is None or last[2]:
            return None
        made = Stored(self._count.next(), type, id, last[1] + 1, self._count.at, None)
        self._add(made, last)
        return made

    def erase(self, type: str, id: str) -> int:
        self.flush()
        keys = [row[0] for row in self._rows(self._said.keys, type=type, id=id)]
        if keys:
            unspend, spend = self._said.unspend, self._said.spend
            self._connection.execute(unspend.text, unspend.binds({}))
            self._connection.execute(spend.text, spend.binds({"key": self._count.key, "at": self._count.at}))
        for statement in self._said.erase:
            self._connection.cursor().executemany(statement.text, [(key,) for key in keys])
        return len(keys)

    def search(self, search: Search) -> Page:
        self.flush()
        return super().search(search)

    def flush(self) -> None:
        """Write the index rows that wait."""
        for statement, waiting in zip(self._said.index, self._waiting, strict=True):
            if waiting:
                self._connection.cursor().executemany(statement.text, waiting)
                waiting.clear()

    def _last(self, type: str, id: str) -> Any:
        found = self._rows(self._said.last, type=type, id=id)
        return found[0] if found else None

    def _add(self, made: Stored, last: Any) -> None:
        if last:
            supersede = self._said.supersede
            self._connection.execute(supersede.text, supersede.binds({"old": last[0], "until": made.key}))
        add = self._said.add
        values = {**made._asdict(), "until": None, "gone": int(made.content is None)}
        self._connection.execute(add.text, add.binds(values))


class _Counter:
    """Keys and the time of one commit: the key grows, the time never goes back, whatever the machine's clock does."""

    def __init__(self, newest: tuple[int, int], now: int) -> None:
        self.key, self.at = newest[0], max(newest[1], now)

    def next(self) -> int:
        self.key += 1
        return self.key


class _Waiting:
    """A unit of work, and who wants to hear of its end."""

    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Callable[[Any], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self.work, self.done = work, done
        self.result: Any = None
        self.error: BaseException | None = None


def _orderly(error: BaseException) -> Exception:
    """What the one who waits is told. A native extension that panics must not end the thread that hears of it."""
    if isinstance(error, Exception):
        return error
    told = RuntimeError("the work was broken off: nothing was stored")
    told.__cause__ = error
    return told


class _Lent(AbstractContextManager[Reader]):
    """A connection lent for reading; one on which the database failed does not come back."""

    __slots__ = ("_connection", "_repository")

    def __init__(self, repository: SqlRepository) -> None:
        self._repository = repository

    def __enter__(self) -> Reader:
        repository = self._repository
        self._connection = repository._borrow()
        return _Reader(self._connection, repository._said, repository._backend.dialect)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        backend = self._repository._backend
        if error is None or not isinstance(error, (backend.errors, *backend.unfit)):
            self._repository._give_back(self._connection)
            return
        self._connection.close()
        if isinstance(error, backend.unfit):
            raise BadInput(_UNFIT) from None
        assert isinstance(error, Exception)
        raise backend.unavailable(error) from None


class SqlRepository:
    """A store in SQLite or PostgreSQL. `clock` gives ms since 1970; `grouped` hears how many writes a commit held."""

    def __init__(
        self, backend: Backend, clock: Callable[[], int], grouped: Callable[[int], None] = lambda _: None
    ) -> None:
        self._backend, self._clock, self._grouped = backend, clock, grouped
        self._said = Statements(backend.dialect)
        self._idle: deque[Connection] = deque()  # its ends can be taken from several threads
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._writer: Connection | None = None
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._write_all, name="record writer", daemon=True)
        self._thread.start()

    @property
    def quick(self) -> bool:
        return self._backend.quick

    @property
    def writing(self) -> bool:
        """Whether somebody is there to write: True until the record is closed."""
        return self._thread.is_alive()

    # --- reading ------------------------------------------------------------------------------------------------------

    def reading(self) -> AbstractContextManager[Reader]:
        return _Lent(self)

    def _borrow(self) -> Connection:
        while self._idle:
            with suppress(IndexError):  # another thread was sooner
                connection = self._idle.pop()
                if self._backend.alive(connection):
                    return connection
                connection.close()
        try:
            connection = self._backend.connect(writes=False)
            self._backend.limit(connection, READ_S)
        except self._backend.errors as error:
            raise self._backend.unavailable(error) from None
        return connection

    def _give_back(self, connection: Connection) -> None:
        if self._closed or len(self._idle) >= READERS:
            connection.close()
        else:
            self._idle.append(connection)

    # --- writing ------------------------------------------------------------------------------------------------------

    def submit(self, work: Callable[[Unit], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        with self._closing:
            if self._closed:
                raise Unavailable("the record is closing: nothing was stored; send it again later")
            self._queue.put(_Waiting(work, done))

    def write(self, work: Callable[[Unit], T]) -> T:
        ended, told = threading.Lock(), list[Any]()  # a bare lock, because an Event makes three
        ended.acquire()

        def done(result: T | None, error: BaseException | None) -> None:
            told.extend((result, error))
            ended.release()

        self.submit(work, done)
        with ended:
            result, error = told
        if error is not None:
            raise error
        kept: T = result
        return kept

    def _write_all(self) -> None:
        """The writer's life: everything that waits, in one commit; the end when told so and nothing waits."""
        going = True
        while going:
            group = [self._queue.get()]
            with suppress(Empty):
                while len(group) < GROUP:
                    group.append(self._queue.get_nowait())
            going = None not in group
            works = [waiting for waiting in group if waiting]
            if works:
                self._commit(works)
                for waiting in works:
                    waiting.done(waiting.result, waiting.error)
        if self._writer:
            self._writer.close()

    def _commit(self, group: list[_Waiting]) -> None:
        """Do the group's work and make it durable; leaves its result, or the error, with each."""
        try:
            connection = self._begun()
            counter = self._counter(connection)
            for waiting in group:
                self._one(connection, counter, waiting)
            connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001  whatever it is, nobody may be left waiting or told that it is stored
            told = self._backend.unavailable(error) if isinstance(error, self._backend.errors) else _orderly(error)
            self._undo()
            for waiting in group:
                waiting.result, waiting.error = None, waiting.error or told
            return
        self._grouped(len(group))

    def _begun(self) -> Connection:
        """The writer's connection within a transaction. One that died while idle is replaced once."""
        if self._writer is not None and not self._backend.alive(self._writer):
            self._undo()
        if self._writer is None:
            self._writer = self._backend.connect(writes=True)
        self._backend.begin(self._writer)
        return self._writer

    def _counter(self, connection: Connection) -> _Counter:
        newest = connection.execute(self._said.newest.text, self._said.newest.binds({})).fetchone()
        return _Counter((newest[0], newest[1]), self._clock())

    def _one(self, connection: Connection, counter: _Counter, waiting: _Waiting) -> None:
        unit = _Unit(connection, self._said, self._backend.dialect, counter)
        connection.execute("SAVEPOINT unit")
        try:
            waiting.result = waiting.work(unit)
            unit.flush()
        except BaseException as error:  # it belongs to the one who handed the work over
            unfit = isinstance(error, self._backend.unfit)
            if isinstance(error, self._backend.errors) and not unfit:
                raise
            waiting.error = BadInput(_UNFIT) if unfit else _orderly(error)
            connection.execute("ROLLBACK TO SAVEPOINT unit")
        connection.execute("RELEASE SAVEPOINT unit")

    def _undo(self) -> None:
        """Give the writer's connection up, and with it whatever it had begun."""
        if self._writer is not None:
            with suppress(Exception):
                self._writer.execute("ROLLBACK")
            with suppress(Exception):
                self._writer.close()
        self._writer = None

    def close(self) -> None:
        """Finish what waits, then let go of the database."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()
