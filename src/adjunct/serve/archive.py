"""Backup and restore: every version of every resource, as text that any edition and either database can take back.

An archive is gzip-compressed JSON lines: what it is, one line a version in the order of writing, and last a manifest
with counts and a SHA-256 over what stands before. Index rows are not in it: they are made again from the resources. So
a record moves between SQLite and PostgreSQL, and a restored record is proved by being read out once more: it must come
to the same manifest. An archive that is torn or edited does not come to its own: it is refused, and nothing is touched.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, NamedTuple

import orjson
from sqlalchemy import bindparam, select, update

from adjunct.base import BadInput
from adjunct.fhir.indexing import rows
from adjunct.fhir.repository import Stored
from adjunct.fhir.sql.schema import INDEXES, version
from adjunct.fhir.sql.statement import Connection, Statement, Statements
from adjunct.fhir.sql.store import Backend
from adjunct.fhir.sql.unit import Pending
from adjunct.fhir.sql.unit import write as write_rows
from adjunct.fhir.wire import mapped, read_exact

CHUNK = 500  # versions in memory at once
LEVEL = 6  # of gzip
LONGEST_LINE = 128 * 1024 * 1024  # bytes; more than any request may carry

_HEADER = b'{"archive":"adjunct record","format":1}\n'
_CONTENT = b',"content":'  # comes last, and no type or id can hold it
_TORN = "not a whole archive of a record: it is torn, edited or something else; take another backup"


class Manifest(NamedTuple):
    """What an archive holds. Equal manifests: equal records, byte by byte."""

    versions: int
    newest_key: int
    types: dict[str, int]  # versions of each resource type
    sha256: str


class Tally:
    """Counts versions in the order of their keys, and writes each as its line."""

    def __init__(self) -> None:
        self._sum, self._types, self._newest = hashlib.sha256(_HEADER), Counter[str](), 0

    def line(self, stored: Stored) -> bytes:
        """Raises ValueError if the versions do not come in the order of writing."""
        if stored.key <= self._newest:
            raise ValueError
        content = None if stored.content is None else orjson.Fragment(stored.content)
        line = orjson.dumps(stored._asdict() | {"content": content}) + b"\n"
        self._newest = stored.key
        self._types[stored.type] += 1
        self._sum.update(line)
        return line

    def manifest(self) -> Manifest:
        types = dict(sorted(self._types.items()))
        return Manifest(self._types.total(), self._newest, types, self._sum.hexdigest())


def counted(versions: Iterable[Stored]) -> Manifest:
    """The manifest of these versions."""
    tally = Tally()
    for stored in versions:
        tally.line(stored)
    return tally.manifest()


# --- the file ---------------------------------------------------------------------------------------------------------


def write(versions: Iterable[Stored], path: Path) -> Manifest:
    """Put an archive in its place: whole, on the disk, read back, and readable by its owner only; or not at all."""
    with whole(path) as file:
        tally = Tally()
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=LEVEL, mtime=0) as packed:
            packed.write(_HEADER)
            for stored in versions:
                packed.write(tally.line(stored))
            packed.write(orjson.dumps({"manifest": tally.manifest()._asdict()}) + b"\n")
        file.flush()
        if verified(Path(file.name)) != tally.manifest():
            raise BadInput("what was written does not read back: look at the disk", path.name)
    return tally.manifest()


def verified(path: Path) -> Manifest:
    """The manifest of an archive that was read to its end and found whole."""
    return counted(read(path))


def read(path: Path) -> Iterator[Stored]:
    """The versions in an archive. Raises `BadInput` where it is not whole, at the latest after the last version."""
    tally = Tally()
    try:
        with gzip.open(path) as file:
            if file.readline(len(_HEADER)) != _HEADER:
                raise ValueError
            while not (line := file.readline(LONGEST_LINE)).startswith(b'{"manifest"'):
                stored = _parsed(line)
                tally.line(stored)
                yield stored
            if orjson.loads(line) != {"manifest": tally.manifest()._asdict()} or file.read(1):
                raise ValueError
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, LookupError, TypeError):
        raise BadInput(_TORN, path.name) from None
    except OSError as error:
        raise BadInput(f"the file cannot be read ({error.strerror})", path.name) from None


def _parsed(line: bytes) -> Stored:
    said = orjson.loads(line)
    content = line[line.index(_CONTENT) + len(_CONTENT) : -len(b"}\n")]
    return Stored(**said | {"content": None if content == b"null" else content})


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place, on the disk, once it is whole; until then what was there stays."""
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
                _settle(path.parent)
            finally:
                Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"cannot be written ({error.strerror or type(error).__name__})", path.name) from None


def _settle(folder: Path) -> None:
    """A new name in a folder survives a crash once the folder is on the disk too."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# --- the database -----------------------------------------------------------------------------------------------------

_SNAPSHOT = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


def stored(backend: Backend) -> Iterator[Stored]:
    """Every version in one consistent state of the database, while others go on writing."""
    try:
        with closing(backend.connect(writes=False)) as connection:
            connection.execute(_SNAPSHOT[backend.dialect.name])
            yield from _versions(connection, backend)
    except backend.errors as error:
        raise backend.unavailable(error) from None


def _versions(connection: Connection, backend: Backend) -> Iterator[Stored]:
    v = version.c
    chunk = select(v.key, v.type, v.id, v.version, v.at, v.content).where(v.key > bindparam("after"))
    statement = Statement(chunk.order_by(v.key).limit(bindparam("count")), backend.dialect)
    after = 0
    while found := connection.execute(statement.text, statement.binds({"after": after, "count": CHUNK})).fetchall():
        yield from map(Stored._make, found)
        after = found[-1][0]


def backup(backend: Backend, path: Path) -> Manifest:
    """Write the record as it is now to an archive. Readers and writers go on meanwhile."""
    return write(stored(backend), path)


def restore(path: Path, backend: Backend, *, replace: bool = False) -> Manifest:
    """Put an archive into a database whose tables are there: all of it, proved, in one transaction; or nothing.

    What the database held is replaced only if told so.
    """
    wanted = verified(path)
    try:
        with closing(backend.connect(writes=True)) as connection:
            backend.begin(connection)
            if next(_versions(connection, backend), None) is not None:
                if not replace:
                    raise BadInput("there is a record here already: name another database, or say --replace")
                for table in (version, *INDEXES.values()):
                    connection.execute(f"DELETE FROM {table.name}")  # noqa: S608  names of our own tables
            _fill(connection, backend, read(path))
            if counted(_versions(connection, backend)) != wanted:
                raise BadInput("the restored record is not what the archive holds: nothing was kept", path.name)
            backend.commit(connection)
    except backend.errors as error:
        raise backend.unavailable(error) from None
    return wanted


def _fill(connection: Connection, backend: Backend, versions: Iterator[Stored]) -> None:
    said, v = Statements(backend.dialect), version.c
    before = (v.type == bindparam("kind"), v.id == bindparam("own"), v.version == bindparam("number"))
    supersede = Statement(update(version).where(*before).values(until=bindparam("by")), backend.dialect)
    while chunk := list(islice(versions, CHUNK)):
        pending = Pending()
        for one in chunk:
            pending.add(said, one, rows=None if one.content is None else rows(mapped(read_exact(one.content))))
        older = [{"kind": s.type, "own": s.id, "number": s.version - 1, "by": s.key} for s in chunk if s.version > 1]
        write_rows(connection, said, [pending])
        if older:
            connection.cursor().executemany(supersede.text, [supersede.binds(one) for one in older])
