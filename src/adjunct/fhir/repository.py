"""What a store of FHIR resources promises, whatever it is made of: SQLite, PostgreSQL or memory.

Nothing is overwritten: every write adds a version with the next `key`, and a deletion is a version without content.
Keys grow in the order in which writes become visible, so "as of key n" is one consistent state of the whole store.
A store knows resource types, ids, versions and index rows; it neither validates nor interprets what it keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypeVar

from adjunct.base import MS_PER_SECOND, AdjunctError
from adjunct.fhir.criteria import Cursor, Search
from adjunct.fhir.indexing import Rows
from adjunct.fhir.wire import Json, write_exact

T = TypeVar("T")


class Stored(NamedTuple):
    """One version of one resource. `at`: ms since 1970 UTC; `content` None: deleted by this version."""

    key: int
    type: str
    id: str
    version: int
    at: int
    content: bytes | None

    @property
    def etag(self) -> str:
        return f'W/"{self.version}"'


def timestamp(ms: int) -> str:
    """An instant of FHIR, to the millisecond.

    >>> timestamp(1_794_182_400_120)
    '2026-11-09T00:00:00.120Z'
    """
    return datetime.fromtimestamp(ms / MS_PER_SECOND, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp(document: Json, version: int, at: int) -> bytes:
    """Set the version and its time in the document's `meta`, which comes after the id if it is new; the bytes.

    >>> stamp({"resourceType": "Basic", "id": "a", "code": {}}, 2, 1)
    b'{"resourceType":"Basic","id":"a","meta":{"versionId":"2","lastUpdated":"1970-01-01T00:00:00.001Z"},"code":{}}'
    """
    meta = {**document.get("meta", {}), "versionId": str(version), "lastUpdated": timestamp(at)}
    if "meta" not in document:
        rest = dict(document)
        document.clear()
        document |= {name: rest.pop(name) for name in ("resourceType", "id")} | {"meta": meta} | rest
    document["meta"] = meta
    return write_exact(document)


class Page(NamedTuple):
    """Matches in order, what they include, where to go on (None: the end), how many there are (None: not counted)."""

    matches: tuple[Stored, ...]
    included: tuple[Stored, ...]
    next: Cursor | None
    total: int | None


class Unavailable(AdjunctError):
    """The store cannot be reached or cannot write; the message says whether something may have been stored.

    `full`: there is no room left.
    """

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class Reader(Protocol):
    """One consistent view of the store."""

    def read(self, type: str, id: str) -> Stored | None:
        """The newest version, a deletion included; None if there was never one."""

    def vread(self, type: str, id: str, version: int) -> Stored | None: ...

    def history(
        self, type: str = "", id: str = "", *, since: int | None = None, before: int | None = None, count: int
    ) -> Sequence[Stored]:
        """Versions of one resource, of a type, or of all, newest first; `before` is the key where a page ended."""

    def search(self, search: Search) -> Page: ...

    def count(self, search: Search) -> int: ...

    def every(self, type: str, *, since: int | None = None, as_of: int | None = None) -> Iterator[Stored]:
        """Every resource of a type, current as of a key, in the order of writing; in memory that does not grow."""

    def newest_key(self) -> int: ...


class Unit(Reader, Protocol):
    """Writes that become visible together or not at all. It sees its own writes."""

    def put(self, document: Json, rows: Rows) -> Stored:
        """The next version of `document`'s type and id; sets `meta.versionId` and `meta.lastUpdated` in it."""

    def delete(self, type: str, id: str) -> Stored | None:
        """Adds a version without content; None if there is nothing to delete."""

    def erase(self, type: str, id: str) -> int:
        """Remove every version for good; how many there were. For retention, not for DELETE."""


class Repository(Protocol):
    """A store. `write` returns when what was written will survive a crash; two writes never interleave."""

    def reading(self) -> AbstractContextManager[Reader]: ...

    @property
    def quick(self) -> bool:
        """Reading by id takes microseconds here: not worth a thread of its own."""

    def submit(self, work: Callable[[Unit], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        """As `write`, without waiting: `done` hears the result or the error, in whatever thread it is known first."""

    def write(self, work: Callable[[Unit], T]) -> T:
        """Do the work as one unit. If it raises, nothing of it is kept, and the error comes out here."""

    def close(self) -> None: ...
