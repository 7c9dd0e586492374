"""A parameter that finds what others find together has no rows of its own any more (`combo-code`): remove those."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

#: Indexes of the combined parameters of Observation, as 0001 had them.
_REPEATED = {
    "token": (1400957231, 2063617457, 2987992510, 3558673556, 4125159276),
    "string": (567293983, 1187996125, 2070711710),
    "quantity": (735171634, 2002664736),
}


def upgrade() -> None:
    """Remove the rows; every value that they held stands under the index of its own parameter."""
    for name, indexes in _REPEATED.items():
        rows = sa.table(name, sa.column("idx", sa.BigInteger()))
        op.execute(rows.delete().where(rows.c.idx.in_(indexes)))
