"""Bulk Data: what is current in the record, as NDJSON by type, one consistent state however long the writing takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus as Status
from itertools import chain, count, islice
from pathlib import Path
from typing import NamedTuple

from adjunct.fhir.definitions import patient_compartment, resource_types
from adjunct.fhir.indexing import rows
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Reader, Repository, Stored
from adjunct.fhir.wire import Json, listed, mapped, read_exact, write_exact

PART = 20_000  # resources in one file, and
PART_BYTES = 64 * 1024 * 1024  # after which a file ends: it is sent whole, and must fit in memory
HISTORY = 1_000  # versions looked at once for what was deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to export. `people`: only what belongs to these patients; None: everything, patients or not."""

    types: tuple[str, ...]
    people: frozenset[str] | None = None
    any_person: bool = False  # whatever belongs to some patient
    since: int | None = None  # ms since 1970


@dataclass(frozen=True, slots=True)
class Part:
    """One NDJSON file."""

    type: str
    name: str
    count: int


class Export(NamedTuple):
    """What was written. `at`: the state of the record that it shows, ms since 1970."""

    at: int
    output: tuple[Part, ...]
    deleted: tuple[Part, ...]


class Cancelled(Exception):
    """Nobody wants this export any more."""


def export(
    repository: Repository, wanted: Wanted, folder: Path, *, now: int, progress: Callable[[str, int], None]
) -> Export:
    """Write the files. `progress` hears the type and how many were looked at, and may raise `Cancelled`."""
    with repository.reading() as record:
        as_of = record.newest_key()
        at = max([now, *(stored.at for stored in record.history(count=1))])
        output: list[Part] = []
        for kind in wanted.types:
            some = _watched(kind, record.every(kind, since=wanted.since, as_of=as_of), progress)
            output += _written(kind, (s.content or b"" for s in some if _belongs(s, wanted)), folder)
        gone: list[Part] = []
        if wanted.since is not None:
            versions = _watched("deleted", _versions(record, wanted.since, as_of), progress)
            lines = (_deletion(s) for s in _deleted(record, wanted, versions))
            gone += _written("Bundle", lines, folder, "deleted")
        return Export(at, tuple(output), tuple(gone))


def _watched(kind: str, some: Iterable[Stored], progress: Callable[[str, int], None]) -> Iterator[Stored]:
    for number, stored in enumerate(some, 1):
        progress(kind, number)
        yield stored


def _written(kind: str, lines: Iterator[bytes], folder: Path, stem: str = "") -> Iterator[Part]:
    for part in count(1):
        first = next(lines, None)
        if first is None:
            return
        name, number = f"{stem or kind}.{part}.ndjson", 0
        with (folder / name).open("wb") as file:
            size = 0
            for line in chain([first], islice(lines, PART - 1)):
                size += file.write(line + b"\n")
                number += 1
                if size >= PART_BYTES:
                    break
        yield Part(kind, name, number)


def _belongs(stored: Stored, wanted: Wanted) -> bool:
    """Whether it is in the compartment of one of the people, by the references that CompartmentDefinition names."""
    if wanted.people is None and not wanted.any_person:
        return True
    if stored.type == "Patient":
        return wanted.people is None or stored.id in wanted.people
    document = read_exact(stored.content or b"")
    assert isinstance(document, dict)
    return any(wanted.people is None or own in wanted.people for own in whose(document))


def whose(document: Json) -> frozenset[str]:
    """The ids of the patients in whose compartments a resource is."""
    indexes = patient_compartment().get(document.get("resourceType", ""), ())
    return frozenset(own for index, own, kind, _ in rows(document).reference if kind == "Patient" and index in indexes)


def members(group: Json) -> frozenset[str]:
    """The patients that a Group lists and has not put down as gone."""
    there = [m for m in map(mapped, listed(group.get("member"))) if not m.get("inactive")]
    named = (mapped(m.get("entity")).get("reference", "") for m in there)
    return frozenset(r.partition("/")[2] for r in named if isinstance(r, str) and r.startswith("Patient/"))


def _versions(record: Reader, since: int, as_of: int) -> Iterator[Stored]:
    before = as_of + 1
    while some := record.history(since=since, before=before, count=HISTORY):
        yield from some
        before = some[-1].key


def _deleted(record: Reader, wanted: Wanted, versions: Iterable[Stored]) -> Iterator[Stored]:
    """What was deleted in these, newest first, and still is; of one person only if its last content says so."""
    seen = set[tuple[str, str]]()
    for stored in versions:
        if (stored.type, stored.id) not in seen:
            seen.add((stored.type, stored.id))
            if stored.content is None and stored.type in wanted.types:
                last = record.vread(stored.type, stored.id, stored.version - 1)
                if last is None or _belongs(last, wanted):
                    yield stored


def _deletion(stored: Stored) -> bytes:
    entry = {"request": {"method": "DELETE", "url": f"{stored.type}/{stored.id}"}}
    return write_exact({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})


def types_of(text: str | None, within: Sequence[str]) -> tuple[str, ...]:
    """The types of `_type`, or all that there may be."""
    if text is None:
        return tuple(sorted(within))
    asked = [part.strip() for part in text.split(",")]
    for kind in asked:
        if kind not in resource_types() or kind not in within:
            raise Refusal(Status.BAD_REQUEST, "value", "names a type that cannot be exported here", "_type")
    return tuple(dict.fromkeys(asked))
