"""PostgreSQL through psycopg 3: one writer at a time by an advisory lock, so that keys become visible in order."""

from __future__ import annotations

from functools import cached_property
from select import POLLIN, poll
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect

from adjunct.base import MS_PER_SECOND
from adjunct.fhir.repository import Unavailable
from adjunct.fhir.sql.statement import Connection

LOCK = 7_237_108_511  # the lock that a writer of this record takes; any number that nobody else takes
CONNECT_S = 5
WAIT_MS = 10_000  # for another writer that holds the lock, and for a network that does not answer
QUIET_S = 10  # before a silent connection is asked whether it is still there
PREPARE_AFTER = 2  # times a statement is seen before the server keeps it prepared
DISK_FULL = "53100"
OVERDUE = "57014"
LOCKED = "55P03"
#: Operator intervention, connection, system and internal errors: they may come after the commit and before its answer.
UNCERTAIN = ("57", "08", "58", "XX")


class Postgres:
    """A database of a server, named by a `postgresql://` address."""

    errors = psycopg.Error
    unfit = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded)
    quick = False

    def __init__(self, address: str) -> None:
        self._address = address

    @cached_property
    def dialect(self) -> Dialect:
        return PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]

    def connect(self, *, writes: bool) -> Connection:
        connection: Any = psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=CONNECT_S,
            prepare_threshold=PREPARE_AFTER,
            keepalives_idle=QUIET_S,
            keepalives_interval=QUIET_S,
            keepalives_count=2,
            tcp_user_timeout=WAIT_MS,
        )
        connection.execute(f"SET synchronous_commit = on; SET lock_timeout = {WAIT_MS}")
        if not writes:
            connection.execute("SET default_transaction_read_only = on")
        made: Connection = connection
        return made

    def limit(self, connection: Connection, seconds: float) -> None:
        connection.execute(f"SET statement_timeout = {round(seconds * MS_PER_SECOND)}")

    def begin(self, connection: Connection) -> None:
        connection.execute("BEGIN")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))

    def commit(self, connection: Connection) -> None:
        """A transaction in which something failed is rolled back by COMMIT, which calls that a success."""
        if connection.execute("COMMIT").statusmessage != "COMMIT":
            raise psycopg.errors.InFailedSqlTransaction

    def unavailable(self, error: Exception) -> Unavailable:
        state = getattr(error, "sqlstate", None)
        if state == OVERDUE:
            return Unavailable("the search took too long: ask for less")
        if state == DISK_FULL:
            return Unavailable("the database's disk is full: nothing was stored; make room, send again", full=True)
        if state == LOCKED:
            return Unavailable("another program holds the database: nothing was stored; send it again")
        if state and not state.startswith(UNCERTAIN):
            return Unavailable(f"the database failed ({state}): nothing was stored; send it again")
        return Unavailable("the database cannot be reached: read before you send again, it may have been stored")

    def alive(self, connection: Connection) -> bool:
        """Whether it can be used: nothing is begun, and the server has not hung up meanwhile."""
        real: Any = connection
        if real.closed or real.info.transaction_status != TransactionStatus.IDLE:
            return False
        watch = poll()  # `select` takes no more than the first 1024 files of a process
        watch.register(real.fileno(), POLLIN)
        return not watch.poll(0)  # an idle server has nothing to say but goodbye
