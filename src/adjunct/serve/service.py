"""The record at an address, and the rules under which it is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from adjunct.fhir.rest import Rules, Service
from adjunct.fhir.sql.opening import open_record
from adjunct.serve import assessing
from adjunct.serve.exports import Exports


def open_service(
    database: str,
    base: str,
    *,
    clock: Callable[[], int],
    grouped: Callable[[int], None] = lambda _: None,
    seconds: float | None = None,
) -> Service:
    """Open the record of a database for a server at `base`. `clock`: ms since 1970; `grouped` hears of each commit.

    A Bundle may take `seconds`, or as long as it needs. Raises `BadInput` where the database cannot be reached or has
    another schema.
    """
    rules = Rules(base=base, clock=clock, operations=assessing.operations(), seconds=seconds)
    return Service(open_record(database, clock, grouped), rules)


@contextmanager
def with_exports(service: Service) -> Iterator[Service]:
    """The same service with Bulk Data exports, which end with the block, and then the record is closed."""
    exports = Exports(service.repository, service.rules.clock)
    try:
        operations = {**service.rules.operations, **exports.operations()}
        yield Service(service.repository, replace(service.rules, operations=operations))
    finally:
        exports.close()
        service.repository.close()  # what was handed over is written first
