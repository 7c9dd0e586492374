"""Bulk loading: NDJSON into a store, many resources to a commit; what cannot be stored is told line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from adjunct.base import BadInput
from adjunct.fhir.indexing import Rows, rows
from adjunct.fhir.outcome import Issue, Refusal
from adjunct.fhir.repository import Repository, Unit
from adjunct.fhir.rest.call import Rules, checked, proper_id
from adjunct.fhir.wire import Json, read_exact

GROUP = 1_000  # resources in one commit


class Line(NamedTuple):
    """A line that was not stored, and why."""

    source: str
    number: int
    issues: tuple[Issue, ...]


class Loaded(NamedTuple):
    """How many are stored now, and which lines are not."""

    stored: int
    refused: tuple[Line, ...]


def load(
    repository: Repository,
    sources: Iterable[tuple[str, Iterable[bytes]]],
    rules: Rules,
    *,
    progress: Callable[[int], None],
) -> Loaded:
    """Store every line of every source as the newest version of its resource; one without an id gets one."""
    stored, refused = 0, list[Line]()
    read = _read(sources, rules, refused)
    while group := list(islice(read, GROUP)):
        repository.write(lambda unit, group=group: _put(unit, group))  # type: ignore[misc]
        stored += len(group)
        progress(stored)
    return Loaded(stored, tuple(refused))


def _put(unit: Unit, group: Iterable[tuple[Json, Rows]]) -> None:
    for document, found in group:
        unit.put(document, found)


def _read(
    sources: Iterable[tuple[str, Iterable[bytes]]], rules: Rules, refused: list[Line]
) -> Iterator[tuple[Json, Rows]]:
    for name, lines in sources:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield _one(line, rules)
            except Refusal as wrong:
                refused.append(Line(name, number, wrong.issues))
            except BadInput as wrong:
                refused.append(Line(name, number, (Issue("error", "structure", str(wrong), wrong.at),)))


def _one(line: bytes, rules: Rules) -> tuple[Json, Rows]:
    document = read_exact(line)
    if not isinstance(document, dict):
        raise BadInput("not a resource: one JSON object a line", "$")
    document["id"] = proper_id(document["id"], "id") if "id" in document else rules.new_id()
    checked(document, rules)
    return document, rows(document)
