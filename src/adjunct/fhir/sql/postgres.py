"""PostgreSQL through psycopg 3: one writer at a time by an advisory lock, so that keys become visible in order."""

from __future__ import annotations

from functools import cached_property
from select import select
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect

from adjunct.fhir.repository import Unavailable
from adjunct.fhir.sql.store import Connection

LOCK = 7_237_108_511  # the lock that a writer of this record takes; any number that nobody else takes
CONNECT_S = 5
PREPARE_AFTER = 2  # times a statement is seen before the server keeps it prepared
DISK_FULL = "53100"


class Postgres:
    """A database of a server, named by a `postgresql://` address."""

    errors = psycopg.Error
    quick = False

    def __init__(self, address: str) -> None:
        self._address = address

    @cached_property
    def dialect(self) -> Dialect:
        return PGDialect_psycopg(paramstyle="format")

    def connect(self, *, writes: bool) -> Connection:
        connection: Any = psycopg.connect(
            self._address, autocommit=True, connect_timeout=CONNECT_S, prepare_threshold=PREPARE_AFTER
        )
        connection.execute("SET synchronous_commit = on")
        if not writes:
            connection.execute("SET default_transaction_read_only = on")
        made: Connection = connection
        return made

    def begin(self, connection: Connection) -> None:
        connection.execute("BEGIN")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))

    def unavailable(self, error: Exception) -> Unavailable:
        state = getattr(error, "sqlstate", None)
        if state == DISK_FULL:
            return Unavailable("the database's disk is full: nothing was stored; make room, send again", full=True)
        if state:
            return Unavailable(f"the database failed ({state}): nothing was stored; send it again")
        return Unavailable("the database cannot be reached: read before you send again, it may have been stored")

    def alive(self, connection: Connection) -> bool:
        """Whether it can be used: nothing is begun, and the server has not hung up meanwhile."""
        real: Any = connection
        if real.closed or real.info.transaction_status != TransactionStatus.IDLE:
            return False
        return not select([real.fileno()], [], [], 0)[0]  # an idle server has nothing to say but goodbye
