"""SQLite: one file, in write-ahead mode, every commit on the disk before it is answered."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect

from adjunct.fhir.repository import Unavailable
from adjunct.fhir.sql.store import Connection

WAIT_S = 10.0  # for another process that holds the lock
STATEMENTS = 512  # kept prepared for each connection
WRITER_CACHE_KIB = 65_536
READER_CACHE_KIB = 4_096  # of each of many; they read through the map
MAPPED_BYTES = 1_073_741_824
CHECKPOINT_PAGES = 4_000


class Sqlite:
    """A database file. A file that is not there is an error: `schema` makes it."""

    errors = sqlite3.Error
    quick = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dialect: Dialect = SQLiteDialect_pysqlite()

    def connect(self, *, writes: bool) -> Connection:
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=rw",
            uri=True,
            timeout=WAIT_S,
            isolation_level=None,  # it commits when told to
            check_same_thread=False,  # lent to one thread at a time
            cached_statements=STATEMENTS,
        )
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a commit is on the disk, not only in the log's memory
            f"cache_size = -{WRITER_CACHE_KIB if writes else READER_CACHE_KIB}",
            f"mmap_size = {MAPPED_BYTES}",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            "temp_store = MEMORY",  # no health data in files that others might keep
            "trusted_schema = OFF",
            f"query_only = {'OFF' if writes else 'ON'}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        return connection

    def begin(self, connection: Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")

    def unavailable(self, error: Exception) -> Unavailable:
        code = getattr(error, "sqlite_errorname", "") or ""
        if "FULL" in code:
            return Unavailable("the disk is full: nothing was stored; make room and send it again", full=True)
        if "BUSY" in code or "LOCKED" in code:
            return Unavailable("another program holds the database: nothing was stored; send it again")
        if "CORRUPT" in code or "NOTADB" in code:
            return Unavailable("the database file is damaged: nothing was stored; run `adjunct doctor`")
        if "CANTOPEN" in code or "READONLY" in code:
            return Unavailable("the database file cannot be opened for this: nothing was stored; look at its place")
        return Unavailable(f"the database failed ({code or type(error).__name__}): nothing was stored; send it again")

    def alive(self, connection: Connection) -> bool:  # noqa: ARG002  a file does not hang up
        return True
