"""What a store of FHIR resources promises, whatever it is made of: SQLite, PostgreSQL or memory.

Nothing is overwritten: every write adds a version with the next `key`, and a deletion is a version without content.
Keys grow in the order in which writes become visible, so "as of key n" is one consistent state of the whole store.
A store knows resource types, ids, versions and index rows; it neither validates nor interprets what it keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

from adjunct.base import AdjunctError
from adjunct.fhir.criteria import Cursor, Search
from adjunct.fhir.indexing import Rows
from adjunct.fhir.wire import Json

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


class Page(NamedTuple):
    """Matches in order, what they include, where to go on (None: the end), and how many there are (None: not counted)."""

    matches: tuple[Stored, ...]
    included: tuple[Stored, ...]
    next: Cursor | None
    total: int | None


class Unavailable(AdjunctError):
    """The store cannot be reached or cannot write. Nothing was stored; try again later."""


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

    def every(self, type: str, *, since: int | None = None, where: Search | None = None) -> Iterator[Stored]:
        """Every current resource of a type in the order of writing, in memory that does not grow with their number."""

    def newest_key(self) -> int: ...


class Unit(Reader, Protocol):
    """Writes that become visible together or not at all. It sees its own writes."""

    def put(self, document: Json, rows: Rows) -> Stored:
        """The next version of `document`'s type and id; sets `meta.versionId` and `meta.lastUpdated` in it."""

    def delete(self, type: str, id: str) -> Stored | None:
        """Adds a version without content; None if there is nothing to delete."""


class Repository(Protocol):
    """A store. `write` returns when what was written will survive a crash; two writes never interleave."""

    def reading(self) -> AbstractContextManager[Reader]: ...

    def write(self, work: Callable[[Unit], T]) -> T:
        """Do the work as one unit. If it raises, nothing of it is kept, and the error comes out here."""

    def erase(self, type: str, id: str) -> int:
        """Remove every version of one resource for good; how many there were. For retention, not for DELETE."""

    def close(self) -> None: ...
