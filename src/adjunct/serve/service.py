"""The record at an address, and the rules under which it is served."""

from __future__ import annotations

from collections.abc import Callable

from adjunct.fhir.rest import Rules, Service
from adjunct.fhir.sql.opening import open_record


def open_service(
    database: str, base: str, *, clock: Callable[[], int], grouped: Callable[[int], None] = lambda _: None
) -> Service:
    """Open the record of a database for a server at `base`. `clock`: ms since 1970; `grouped` hears of each commit.

    Raises `BadInput` where the database cannot be reached or has another schema.
    """
    return Service(open_record(database, clock, grouped), Rules(base=base, clock=clock))
