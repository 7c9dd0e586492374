"""The tables. `version` is the record itself; the others are its index rows and can be made again from it.

Rows are only ever added. An update adds a version and index rows under its key, and writes that key into `until` of the
version before it: nothing else changes. So what was true as of a key can still be asked while others write.
On SQLite the index tables are clustered by their primary key; on PostgreSQL texts compare byte by byte, as there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData()

#: SQLite makes only an INTEGER the row's own address; it holds 64 bits there.
_KEY = BigInteger().with_variant(Integer(), "sqlite")
_TEXT = String().with_variant(String(collation="C"), "postgresql")

version = Table(
    "version",
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=False),
    Column("type", _TEXT, nullable=False),
    Column("id", _TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),  # ms since 1970 UTC
    Column("until", BigInteger),  # key of the next version; null while this one is the newest
    Column("gone", SmallInteger, nullable=False),  # 1: deleted by this version
    Column("content", LargeBinary),
    UniqueConstraint("type", "id", "version", name="version_once"),
    Index("version_by_type", "type", "key"),
    Index("version_by_time", "at"),
)

#: The newest key and time that were there when something was erased for good: no key is given twice.
spent = Table(
    "spent",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
)


def _rows(name: str, **columns: TypeEngine[Any]) -> Table:
    """An index table: found by its value, or by the version that the row belongs to."""
    made: list[Column[Any]] = [Column("idx", BigInteger, primary_key=True, autoincrement=False)]
    made += [Column(n, t, primary_key=True, autoincrement=False) for n, t in columns.items()]
    return Table(name, metadata, *made, Index(f"{name}_by_key", "key", "idx"), sqlite_with_rowid=False)


token = _rows("token", code=_TEXT, key=BigInteger(), element=Integer(), system=_TEXT)
string = _rows("string", folded=_TEXT, key=BigInteger(), element=Integer(), exact=_TEXT)
date = _rows("date", low=BigInteger(), high=BigInteger(), key=BigInteger(), element=Integer())
Index("date_by_end", date.c.idx, date.c.high, date.c.key)  # newest first is what is asked most
number = _rows("number", low=Double(), high=Double(), key=BigInteger(), element=Integer())
quantity = _rows("quantity", unit=_TEXT, value=Double(), key=BigInteger(), element=Integer(), system=_TEXT)
reference = _rows("reference", id=_TEXT, key=BigInteger(), element=Integer(), type=_TEXT)
uri = _rows("uri", uri=_TEXT, key=BigInteger(), element=Integer())

#: By the names that `indexing.Rows` and `criteria.Kind` give them.
INDEXES = {t.name: t for t in (token, string, date, number, quantity, reference, uri)}
