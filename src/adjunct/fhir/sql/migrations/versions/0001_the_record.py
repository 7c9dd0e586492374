"""The record: versions and their index rows. Frozen: a later schema is a later migration."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "version",
        sa.Column("key", _KEY, primary_key=True, autoincrement=False),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger()),
        sa.Column("gone", sa.SmallInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.UniqueConstraint("type", "id", "version", name="version_once"),
    )
    op.create_index("version_by_type", "version", ["type", "key"])
    op.create_index("version_by_time", "version", ["at"])
    op.create_table(
        "spent",
        sa.Column("key", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    integer, big = sa.Integer(), sa.BigInteger()
    double: sa.Double[float] = sa.Double()
    _rows("token", code=_TEXT, key=big, element=integer, system=_TEXT)
    _rows("string", folded=_TEXT, key=big, element=integer, exact=_TEXT)
    _rows("date", low=big, high=big, key=big, element=integer)
    op.create_index("date_by_end", "date", ["idx", "high", "key"])
    _rows("number", low=double, high=double, key=big, element=integer)
    _rows("quantity", unit=_TEXT, value=double, key=big, element=integer, system=_TEXT)
    _rows("reference", id=_TEXT, key=big, element=integer, type=_TEXT)
    _rows("uri", uri=_TEXT, key=big, element=integer)


def _rows(name: str, **columns: sa.types.TypeEngine[Any]) -> None:
    op.create_table(
        name,
        sa.Column("idx", sa.BigInteger(), primary_key=True, autoincrement=False),
        *(sa.Column(n, t, primary_key=True, autoincrement=False) for n, t in columns.items()),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{name}_by_key", name, ["key", "idx"])
