"""A statement, compiled once for a database, and a version as its rows hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import Executable

from adjunct.fhir.repository import Stored


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
