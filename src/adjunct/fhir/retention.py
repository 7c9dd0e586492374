"""Removing people from a record for good: every version of what is theirs alone, and a report of what is left.

Theirs is what stands in their compartment in any version, and what the compartment leaves out though its parameter
`patient` or `subject` says that it is about them: GuidanceResponse, Task, Device, Contract. A Provenance goes with all
that it tells the origin of.
What also belongs to others, or merely names them, is kept and listed: people must decide about that.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import MINYEAR, UTC, datetime, timedelta
from functools import cache, partial
from typing import NamedTuple

from adjunct.base import MS_PER_SECOND, BadInput
from adjunct.fhir.definitions import parameters, patient_compartment
from adjunct.fhir.indexing import rows
from adjunct.fhir.repository import Reader, Repository, Stored, Unavailable, Unit, timestamp
from adjunct.fhir.sql.schema import INDEXES, version
from adjunct.fhir.sql.store import Backend
from adjunct.fhir.wire import Json, mapped, read_exact

AT_ONCE = 1_000  # versions looked at together
LEAP_DAY = (2, 29)
LATER = "somebody wrote about these people meanwhile: nothing was erased; run it again"
SHARED = "also belongs to others"
NAMES = "names these people or what is theirs"
REMAINS = (
    "backups and exports made before still hold what was erased: they need a retention of their own",
    "what names somebody by an identifier or in words, without a reference, is not found",
)
UNSWEPT = "erased, but the files of the database still hold traces: run the same command again to clean them"
_NAMED = re.compile(rb'([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64})(?=["/#|?])')

Name = tuple[str, str]  # type and id


class Kept(NamedTuple):
    """Something that was not erased though it has to do with these people."""

    type: str
    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is theirs alone (`own`, and the `keys` of its versions) and what is kept, as of a key of the record."""

    people: tuple[str, ...]
    own: tuple[Name, ...]
    keys: tuple[int, ...]
    kept: tuple[Kept, ...]
    as_of: int

    def to_dict(self, *, at: int, erased: bool) -> Json:
        """Plain values. `at`: ms since 1970, when it was asked; `erased`: whether it was done."""
        return {
            "at": timestamp(at),
            "erased": erased,
            "people": [f"Patient/{own}" for own in self.people],
            "resources": dict(sorted(Counter(kind for kind, _ in self.own).items())),
            "versions": len(self.keys),
            "keys": list(self.keys),
            "kept": [{"resource": f"{k.type}/{k.id}", "why": k.why} for k in self.kept],
            "remains": list(REMAINS),
        }


def look(record: Reader, people: frozenset[str]) -> Report:
    """What erasing these people would remove and keep. Raises `BadInput` where nothing in the record is theirs."""
    as_of = record.newest_key()
    theirs = {(s.type, s.id) for s in _versions(record, as_of) if people & _perhaps(s) and people & owners(s)}
    if people and not theirs:
        raise BadInput("there is nobody with this id in the record", "Patient")

    def all_are(name: Name, those: Callable[[Stored], bool]) -> bool:
        return all(map(those, _versions_of(record, name)))

    own = {name for name in theirs if all_are(name, lambda s: owners(s) <= people)}
    gone = {"/".join(name) for name in own} | {f"Patient/{person}" for person in people}
    naming = {(s.type, s.id) for s in _versions(record, as_of) if not gone.isdisjoint(_named(s))} - theirs
    about = {name for name in naming if name[0] == "Provenance" and all_are(name, lambda s: _targets(s) <= gone)}
    kept = [Kept(*name, SHARED) for name in theirs - own] + [Kept(*name, NAMES) for name in naming - about]
    return Report(
        people=tuple(sorted(people)),
        own=tuple(sorted(own | about)),
        keys=tuple(sorted(s.key for name in own | about for s in _versions_of(record, name))),
        kept=tuple(sorted(kept)),
        as_of=as_of,
    )


def erase(repository: Repository, found: Report) -> None:
    """Remove what was found to be theirs alone, in one unit; `BadInput` if somebody wrote about them since."""
    repository.write(partial(_erase, found))


def _erase(found: Report, unit: Unit) -> None:
    people, own = frozenset(found.people), frozenset(found.own)
    for stored in _versions(unit, unit.newest_key(), after=found.as_of):
        if (stored.type, stored.id) in own or people & _perhaps(stored):
            raise BadInput(LATER, "Patient")
    for kind, name in found.own:
        unit.erase(kind, name)


def untouched(record: Reader, *, before: int) -> frozenset[str]:
    """The people of whose record nothing was written or deleted since `before` (ms since 1970)."""
    newest: dict[str, int] = {}  # the first version seen of somebody's record is the newest
    for stored in _versions(record, record.newest_key()):
        last: Stored | None = stored
        if stored.content is None:  # whose it was stands in what was deleted
            last = record.vread(stored.type, stored.id, stored.version - 1)
        if last and not _perhaps(last) <= newest.keys():
            for person in owners(last):
                newest.setdefault(person, stored.at)
    return frozenset(person for person, at in newest.items() if at < before)


def years_before(now: int, years: int) -> int:
    """The same moment of the calendar (UTC) that many years ago; the day before where that year has no 29 February.

    >>> timestamp(years_before(1_709_208_000_000, 1)), timestamp(years_before(1_709_208_000_000, 4))
    ('2023-02-28T12:00:00.000Z', '2020-02-29T12:00:00.000Z')
    """
    then = datetime.fromtimestamp(now // MS_PER_SECOND, UTC)
    year = then.year - years
    if not MINYEAR <= year < then.year:
        raise BadInput("not a number of years: write for example 10", "--years")
    if (then.month, then.day) == LEAP_DAY and not isleap(year):
        then -= timedelta(days=1)
    return int(then.replace(year=year).timestamp()) * MS_PER_SECOND


# --- whose something is -----------------------------------------------------------------------------------------------


def owners(stored: Stored) -> frozenset[str]:
    """The people in whose record this version is."""
    if stored.type == "Patient":
        return frozenset({stored.id})  # somebody linked to another person is still only themselves
    if stored.content is None:
        return frozenset()
    places, found = _places(stored.type), rows(mapped(read_exact(stored.content))).reference
    return frozenset(person for index, person, kind, _ in found if kind == "Patient" and index in places)


@cache
def _places(kind: str) -> frozenset[int]:
    """The reference indexes through which a resource of this type belongs to a person."""
    if kind in patient_compartment():
        return frozenset(patient_compartment()[kind])
    about = (p for name, p in parameters(kind).items() if name in ("patient", "subject"))
    return frozenset(p.index for p in about if p.type == "reference")


def _targets(provenance: Stored) -> frozenset[str]:
    """What a Provenance tells the origin of: it goes with the last of these."""
    if provenance.content is None:
        return frozenset()
    target, found = parameters("Provenance")["target"].index, rows(mapped(read_exact(provenance.content))).reference
    return frozenset(f"{kind}/{name}" for index, name, kind, _ in found if index == target)


def _perhaps(stored: Stored) -> frozenset[str]:
    """The people that it is or names: seen without reading it, and the owners are among them."""
    if stored.type == "Patient":
        return frozenset({stored.id})
    return frozenset(name.removeprefix("Patient/") for name in _named(stored) if name.startswith("Patient/"))


def _named(stored: Stored) -> frozenset[str]:
    """Everything in it that looks like the address of a resource."""
    return frozenset(name.decode() for name in _NAMED.findall(stored.content or b""))


def _versions(record: Reader, as_of: int, *, after: int = 0) -> Iterator[Stored]:
    """Every version with a key up to `as_of` and beyond `after`, newest first."""
    before = as_of + 1
    while some := record.history(before=before, count=AT_ONCE):
        for stored in some:
            if stored.key <= after:
                return
            yield stored
        before = some[-1].key


def _versions_of(record: Reader, name: Name) -> Iterator[Stored]:
    """Every version of one resource, the newest too: whoever wrote it meanwhile keeps it from being erased."""
    newest = record.read(*name)
    numbers = range(1, newest.version + 1) if newest else ()
    return (stored for number in numbers if (stored := record.vread(*name, number)))


# --- the files --------------------------------------------------------------------------------------------------------


def sweep(backend: Backend) -> None:
    """Write the database anew without what was erased: until then its pages and its log still hold the bytes.

    Takes room and time for one more copy. PostgreSQL's own log of writes is the concern of whoever keeps that server.
    """
    tables = ", ".join((version.name, *INDEXES))
    statements = {"sqlite": ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"), "postgresql": (f"VACUUM (FULL) {tables}",)}
    try:
        with closing(backend.connect(writes=True)) as connection:
            for statement in statements[backend.dialect.name]:
                connection.execute(statement)
    except backend.errors:
        raise Unavailable(UNSWEPT) from None
