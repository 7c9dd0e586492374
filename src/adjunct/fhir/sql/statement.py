"""What is said to the database, compiled once for its dialect, and a version as its rows hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import BindParameter, ScalarSelect, bindparam, delete, func, insert, select, union_all, update
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.expression import Executable

from adjunct.fhir.repository import Stored
from adjunct.fhir.sql.schema import INDEXES, spent, version

AT_ONCE = (128, 64, 32, 16, 8, 4, 2, 1)  # rows in one statement
LARGE_AT_ONCE = (8, 4, 2, 1)  # rows with contents: PostgreSQL takes less than 1 GB at once


class Connection(Protocol):
    """What the connections of both drivers can do, as far as it is used here."""

    def execute(self, text: Any, values: Any = ..., /) -> Any: ...
    def cursor(self) -> Any: ...
    def close(self) -> None: ...


class Statement:
    """SQL text; `binds` puts named values into the order in which the driver takes them."""

    __slots__ = ("_defaults", "names", "text")

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.text = str(compiled)
        self.names = tuple(compiled.positiontup or ())
        self._defaults: dict[str, Any] = {n: v for n, v in compiled.params.items() if v is not None}

    def binds(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """What is not given has the value that stands in the statement."""
        defaults = self._defaults
        return tuple([values[n] if n in values else defaults[n] for n in self.names])


def stored(row: Sequence[Any]) -> Stored:
    """A row that begins with the columns of `Stored`."""
    key, kind, own, number, at, content = row[: len(Stored._fields)]
    return Stored(key, kind, own, number, at, None if content is None else bytes(content))


class Rows:
    """How to add rows to one table: `order` brings values that stand as `columns` do into the statement's order."""

    def __init__(
        self, into: Insert, columns: tuple[str, ...], dialect: Dialect, at_once: Sequence[int] = AT_ONCE
    ) -> None:
        one = Statement(into.values({c: bindparam(c) for c in columns}), dialect)
        self.order = itemgetter(*(columns.index(name) for name in one.names))
        head, values, rest = one.text.partition(" VALUES ")
        row, conflict, more = rest.partition(" ON CONFLICT")
        self._texts = [(n, head + values + ", ".join([row] * n) + conflict + more) for n in at_once]

    def write(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add them, many at once: a statement costs more than its rows."""
        done = 0
        for count, text in self._texts:
            while len(rows) - done >= count:
                connection.execute(text, tuple(chain.from_iterable(rows[done : done + count])))
                done += count


_VERSION = (*Stored._fields, "until", "gone")
#: In the order of `indexing.Rows`; the key of the version comes last.
COLUMNS = {
    "token": ("idx", "code", "element", "system"),
    "string": ("idx", "folded", "element", "exact"),
    "date": ("idx", "low", "high", "element"),
    "number": ("idx", "low", "high", "element"),
    "quantity": ("idx", "value", "unit", "element", "system"),
    "reference": ("idx", "id", "type", "element"),
    "uri": ("idx", "uri", "element"),
}


def _once(name: str, dialect: Dialect) -> Insert:
    """A row twice is one row: a resource may say the same thing twice."""
    from sqlalchemy.dialects import postgresql, sqlite

    flavour: Any = postgresql if dialect.name == "postgresql" else sqlite
    made: Insert = flavour.insert(INDEXES[name]).on_conflict_do_nothing()
    return made


class Statements:
    """Every statement but searches, for one dialect. `index` is in the order of `indexing.Rows`."""

    def __init__(self, dialect: Dialect) -> None:
        v = version.c
        columns = (v.key, v.type, v.id, v.version, v.at, v.content)
        of_type, of_id = v.type == bindparam("type"), v.id == bindparam("id")
        since, before = v.at >= bindparam("since"), v.key < bindparam("before")
        some: BindParameter[int] = bindparam("count")
        newest_first = select(*columns).where(since, before).order_by(v.key.desc()).limit(some)

        def compiled(statement: Executable) -> Statement:
            return Statement(statement, dialect)

        self.read = compiled(select(*columns).where(of_type, of_id).order_by(v.version.desc()).limit(1))
        self.vread = compiled(select(*columns).where(of_type, of_id, v.version == bindparam("version")))
        of_one = select(*columns).where(of_type, of_id, since, before)
        self.history_of = compiled(of_one.order_by(v.version.desc()).limit(some))
        self.history_type = compiled(newest_first.where(of_type))
        self.history_all = compiled(newest_first)
        self.current = compiled(
            select(*columns)
            .where(of_type, since, v.key > bindparam("after"), v.key <= bindparam("snapshot"), v.gone == 0)
            .where(v.until.is_(None) | (v.until > bindparam("snapshot")))
            .order_by(v.key)
            .limit(some)
        )
        newest_key, newest_at = (_greatest(name) for name in ("key", "at"))
        self.newest_key = compiled(select(newest_key))
        self.newest = compiled(select(newest_key, newest_at))
        self.last = compiled(select(v.key, v.version, v.gone).where(of_type, of_id).order_by(v.version.desc()).limit(1))
        self.add = Rows(insert(version), _VERSION, dialect, LARGE_AT_ONCE)
        self.supersede = compiled(update(version).where(v.key == bindparam("old")).values(until=bindparam("until")))
        self.spend = compiled(insert(spent).values(key=bindparam("key"), at=bindparam("at")))
        self.unspend = compiled(delete(spent))
        self.keys = compiled(select(v.key).where(of_type, of_id))
        self.erase = [compiled(delete(version).where(v.key == bindparam("old")))]
        self.erase += [compiled(delete(table).where(table.c.key == bindparam("old"))) for table in INDEXES.values()]
        self.index = [Rows(_once(name, dialect), (*columns, "key"), dialect) for name, columns in COLUMNS.items()]


def _greatest(column: str) -> ScalarSelect[int]:
    """The greatest key or time that was ever given; each is answered from the end of an index."""
    every = union_all(*(select(func.max(table.c[column]).label("most")) for table in (version, spent))).subquery()
    return select(func.coalesce(func.max(every.c.most), 0)).scalar_subquery()
