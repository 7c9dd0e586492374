"""SQLite: one file, in write-ahead mode, every commit on the disk before it is answered."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect

from adjunct.fhir.repository import Unavailable
from adjunct.fhir.sql.statement import Connection

WAIT_S = 10.0  # for another process that holds the lock
STATEMENTS = 512  # kept prepared for each connection
WRITER_CACHE_KIB = 16_384
READER_CACHE_KIB = 2_048  # of each of many; the system keeps the file in memory as well
CHECKPOINT_PAGES = 4_000
STEPS = 100_000  # of SQLite's machine between two looks at the time, some milliseconds


class Strayed(sqlite3.OperationalError):
    """What stands at the path is not what was opened."""


class _Opened(sqlite3.Connection):
    log: tuple[int, int] | None  # which file its log is
    begun: Callable[[], None] | None = None  # hears of every statement, if its time is limited

    def execute(self, *asked: Any) -> sqlite3.Cursor:
        if self.begun:
            self.begun()
        return super().execute(*asked)


class Sqlite:
    """A database file. A file that is not there is an error: `opening` makes it.

    A file that is moved or replaced while it is open goes on taking writes that nobody will find again, and its log
    would be read as that of the new file. So nothing is read or written unless both are where they were opened.
    """

    errors = sqlite3.Error
    unfit = (sqlite3.DataError,)
    quick = True

    def __init__(self, path: Path, timer: Callable[[], float] = monotonic) -> None:
        self.path, self._timer = path, timer
        self.dialect: Dialect = SQLiteDialect_pysqlite()
        self._file: tuple[int, int] | None = None
        self._log_lost = False

    def connect(self, *, writes: bool) -> Connection:
        if self._log_lost or (self._file and _which(self.path, 1) != self._file):
            raise Strayed
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=rw",
            uri=True,
            timeout=WAIT_S,
            isolation_level=None,  # it commits when told to
            check_same_thread=False,  # lent to one thread at a time
            cached_statements=STATEMENTS,
            factory=_Opened,
        )
        try:
            self._ready(connection, writes)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _ready(self, connection: _Opened, writes: bool) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a commit is on the disk, not only in the log's memory
            f"cache_size = -{WRITER_CACHE_KIB if writes else READER_CACHE_KIB}",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            "temp_store = MEMORY",  # no health data in files that others might keep
            "trusted_schema = OFF",
            f"query_only = {'OFF' if writes else 'ON'}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # only a question opens the log
        self._file = self._file or _which(self.path, 1)
        connection.log = _which(f"{self.path}-wal")

    def limit(self, connection: Connection, seconds: float) -> None:
        assert isinstance(connection, _Opened)
        ends = self._timer() + seconds

        def begun() -> None:
            nonlocal ends
            ends = self._timer() + seconds

        connection.begun = begun
        connection.set_progress_handler(lambda: self._timer() > ends, STEPS)

    def begin(self, connection: Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")

    def commit(self, connection: Connection) -> None:
        connection.execute("COMMIT")

    def unavailable(self, error: Exception) -> Unavailable:
        if isinstance(error, Strayed):
            return Unavailable(
                "the database file was moved, removed or replaced while it was open: nothing was stored; put it back, "
                "or stop the server and look before you start it again"
            )
        code = getattr(error, "sqlite_errorname", "") or ""
        if "INTERRUPT" in code:
            return Unavailable("the search took too long: ask for less")
        if "FULL" in code:
            return Unavailable("the disk is full: nothing was stored; make room and send it again", full=True)
        if "BUSY" in code or "LOCKED" in code:
            return Unavailable("another program holds the database: nothing was stored; send it again")
        if "CORRUPT" in code or "NOTADB" in code:
            return Unavailable("the database file is damaged: nothing was stored; run `adjunct doctor`")
        if "CANTOPEN" in code or "READONLY" in code:
            return Unavailable("the database file cannot be opened for this: nothing was stored; look at its place")
        if "IOERR" in code:
            return Unavailable("the disk failed: read before you send again, it may have been stored; look at the disk")
        return Unavailable(f"the database failed ({code or type(error).__name__}): nothing was stored; send it again")

    def alive(self, connection: Connection) -> bool:
        assert isinstance(connection, _Opened)
        if _which(self.path, 1) != self._file:
            return False
        # Without its log, what is open still comes into the file when it is closed; opened again it would be lost.
        self._log_lost = self._log_lost or _which(f"{self.path}-wal") != connection.log
        return not self._log_lost


def _which(path: Path | str, least: int = 0) -> tuple[int, int] | None:
    """Which file stands at the path: its device and number there; None if there is none to be seen of `least` bytes."""
    try:
        found = os.stat(path)  # noqa: PTH116  a third of the time, at every read
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size >= least else None
