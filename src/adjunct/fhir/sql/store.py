"""The record in a database: many readers, one writer that groups what waits into one durable commit.

Whoever writes hands over a unit of work and waits. The writer takes all that is waiting, commits once, and only
then answers: an answer means that the write survives a crash, and a unit that fails takes nothing with it but itself.
When the database itself fails, everything of that commit is undone, and everyone is told.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Dialect

from adjunct.base import BadInput
from adjunct.fhir.repository import Reader, Unavailable, Unit
from adjunct.fhir.sql.statement import Connection, Statements
from adjunct.fhir.sql.unit import Counter, Group, ReadingConnection, WritingConnection

T = TypeVar("T")

GROUP = 256  # writes in one commit; with more the first of them would wait too long
READ_S = 60.0  # for one statement of a reader; nobody waits longer for an answer
READERS = 64  # idle connections kept for reading

_UNFIT = "the database cannot hold a value like this: a text that is too long, or a character that it does not take"


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

    def commit(self, connection: Connection) -> None:
        """Make durable what was begun; raises what the driver raises if that is not what happened."""

    def limit(self, connection: Connection, seconds: float) -> None:
        """From now on a statement of this connection that takes longer ends as an error."""

    def unavailable(self, error: Exception) -> Unavailable:
        """What happened and what to do, without data."""

    def alive(self, connection: Connection) -> bool:
        """Whether an idle connection still leads to the record."""


class _Waiting:
    """A unit of work, and who wants to hear of its end."""

    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Callable[[Any], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self.work, self.done = work, done
        self.result: Any = None
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Nothing of it is kept."""
        self.result, self.error = None, error


class _Lent(AbstractContextManager[Reader]):
    """A connection lent for reading; one on which the database failed does not come back."""

    __slots__ = ("_connection", "_repository")

    def __init__(self, repository: SqlRepository) -> None:
        self._repository = repository

    def __enter__(self) -> Reader:
        repository = self._repository
        self._connection = repository._borrow()
        return ReadingConnection(self._connection, repository._said, repository._backend.dialect)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        backend = self._repository._backend
        if error is None or not isinstance(error, (backend.errors, *backend.unfit)):
            self._repository._give_back(self._connection)
            return
        self._connection.close()
        raise self._repository._told(error) from None


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
            counter, together = self._counter(connection), Group(connection, self._said, self._broken)
            for waiting in group:
                self._one(WritingConnection(connection, self._said, self._backend.dialect, counter, together), waiting)
            together.flush()
            self._backend.commit(connection)
        except BaseException as error:  # noqa: BLE001  whatever it is, nobody may be left waiting or told that it is stored
            self._undo()
            told = self._told(error)
            for waiting in group:
                waiting.fail(waiting.error or told)
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

    def _counter(self, connection: Connection) -> Counter:
        newest = connection.execute(self._said.newest.text, self._said.newest.binds({})).fetchone()
        return Counter((newest[0], newest[1]), self._clock())

    def _one(self, unit: WritingConnection, waiting: _Waiting) -> None:
        try:
            waiting.result = waiting.work(unit)
            unit.end(lambda error: waiting.fail(self._told(error)))
        except BaseException as error:  # it belongs to the one who handed the work over
            if self._broken(error):
                raise
            unit.undo()
            waiting.fail(self._told(error))

    def _broken(self, error: BaseException) -> bool:
        """Whether it is the database that failed, or the machine, not a value or the work."""
        failed = (self._backend.errors, MemoryError)
        return isinstance(error, failed) and not isinstance(error, self._backend.unfit)

    def _told(self, error: BaseException) -> Exception:
        """What the one who waits is told. A native extension that panics must not end the thread that hears of it."""
        if isinstance(error, self._backend.unfit):
            return BadInput(_UNFIT)
        if isinstance(error, self._backend.errors):
            return self._backend.unavailable(error)
        if isinstance(error, Exception):
            return error
        told = RuntimeError("the work was broken off: nothing was stored")
        told.__cause__ = error
        return told

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
