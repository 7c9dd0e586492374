"""Open a record by its address, make a new one, or bring an old one to the schema of this version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from adjunct.base import BadInput
from adjunct.fhir.sql.sqlite import Sqlite
from adjunct.fhir.sql.store import Backend, SqlRepository

OWNER_ONLY = 0o600  # the mode of a new file: health data is nobody else's

_FORMS = "sqlite:///FILE or postgresql://USER@HOST/NAME"


def open_record(
    address: str, clock: Callable[[], int], grouped: Callable[[int], None] = lambda _: None
) -> SqlRepository:
    """The record at this address. An empty database becomes one; a record of another schema is refused."""
    at = schema_at(address)
    if at.found is None:
        migrate(address)
    elif at.found != at.wanted:
        raise BadInput(at.advice, "--database")
    return SqlRepository(backend(address), clock, grouped)


def backend(address: str) -> Backend:
    """Which database it is. PostgreSQL needs the extra `postgres`."""
    url = _url(address)
    if url.get_backend_name() == "sqlite":
        return Sqlite(Path(url.database or ""))
    try:
        from adjunct.fhir.sql.postgres import Postgres
    except ImportError:
        raise BadInput('PostgreSQL needs its driver: pip install "adjunct[postgres]"', "--database") from None
    return Postgres(address)


class SchemaAt:
    """Which schema a database has (`found`, None if it is empty), and which one this version needs."""

    def __init__(self, found: str | None, wanted: str, known: frozenset[str]) -> None:
        self.found, self.wanted = found, wanted
        self.newer = found is not None and found not in known

    @property
    def advice(self) -> str:
        if self.newer:
            return f"the record was written by a newer Adjunct (schema {self.found}): update Adjunct"
        return f"the record has schema {self.found}, {self.wanted} is needed: run `adjunct doctor --migrate`"


def schema_at(address: str) -> SchemaAt:
    """Look, and change nothing."""
    script = ScriptDirectory(_scripts())
    known = frozenset(r.revision for r in script.walk_revisions())
    wanted = script.get_current_head() or ""
    url = _url(address)
    if url.get_backend_name() == "sqlite" and not _has_content(Path(url.database or "")):
        return SchemaAt(None, wanted, known)
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
            if found is None and inspect(connection).get_table_names():
                raise BadInput("this database holds something else: name an empty one", "--database")
    except SQLAlchemyError as error:
        raise _unreachable(error) from None
    return SchemaAt(found, wanted, known)


def migrate(address: str, to: str = "head") -> None:
    """Bring the database to the schema of this version, in one transaction; an empty one gets all of it."""
    url = _url(address)
    engine = _engine(url)
    config = Config()
    config.set_main_option("script_location", _scripts())
    try:
        if url.get_backend_name() == "sqlite":
            Path(url.database or "").touch(mode=OWNER_ONLY)  # its log and index get the same mode
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, to)
        if url.get_backend_name() == "sqlite":  # into write-ahead mode once: two who switch it get in each other's way
            backend(address).connect(writes=True).close()
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise _unreachable(error) from None


def _scripts() -> str:
    return str(Path(__file__).parent / "migrations")


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError:
        raise BadInput(f"not the address of a database: write {_FORMS}", "--database") from None
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise BadInput(f"not a database that a record can live in: write {_FORMS}", "--database")
    return url


def _has_content(path: Path) -> bool:
    """Whether there is a database; a file that is something else is refused."""
    if not path.exists():
        if not path.parent.is_dir():
            raise BadInput("the folder of the database does not exist: make it, or name another", "--database")
        _no_log_alone(path)
        return False
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        raise BadInput(f"cannot read the database: {error.strerror}", "--database") from None
    if head and head != _MAGIC:
        raise BadInput("this file is not an SQLite database: name another", "--database")
    if not head:
        _no_log_alone(path)
    return bool(head)


def _no_log_alone(path: Path) -> None:
    """A log without its record holds what was stored: a new record at this place would wipe it out."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise BadInput("the record is gone but its log is there: put its file back, or restore a backup", "--database")


_MAGIC = b"SQLite format 3\x00"


def _engine(url: URL) -> Engine:
    engine = create_engine(url, poolclass=NullPool)
    if url.get_backend_name() == "sqlite":

        @event.listens_for(engine, "connect")
        def _ours(connection: sqlite3.Connection, _: object) -> None:
            connection.isolation_level = None  # else the driver would commit before each table

        @event.listens_for(engine, "begin")
        def _begin(connection: object) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]

    return engine


def _unreachable(error: Exception) -> BadInput:
    """One line without the address: it may hold a password."""
    cause = type(getattr(error, "orig", None) or error).__name__
    return BadInput(f"the database cannot be reached or used ({cause}): see that it runs and lets you in", "--database")
