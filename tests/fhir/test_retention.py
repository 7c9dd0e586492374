"""A person's deletion and retention: what is theirs alone goes with every trace, what is others' stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adjunct.base import BadInput
from adjunct.fhir.indexing import rows
from adjunct.fhir.repository import Repository, Unavailable
from adjunct.fhir.retention import NAMES, SHARED, Report, erase, look, sweep, untouched, years_before
from adjunct.fhir.search import parse
from adjunct.fhir.sql.opening import backend, open_record
from adjunct.fhir.sql.schema import INDEXES
from stores import BACKENDS, NOW, Clock, address, delete, put, store

DAY = 86_400_000
SECRET = "Zaphodsecret"
ANA, BO = {"reference": "Patient/ana"}, {"reference": "Patient/bo"}
PULSE: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "pulse"}}


@pytest.fixture(params=BACKENDS)
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Repository]:
    with store(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Repository]:
    """Where the backend does not matter."""
    with store("sqlite", tmp_path) as made:
        yield made


def found(repository: Repository, *people: str) -> Report:
    with repository.reading() as view:
        return look(view, frozenset(people))


def everything(repository: Repository) -> dict[str, int]:
    """How many versions of what there are."""
    with repository.reading() as view:
        seen = [f"{s.type}/{s.id}" for s in view.history(count=1000)]
    return {name: seen.count(name) for name in seen}


def two_people(repository: Repository) -> None:
    put(repository, resourceType="Patient", id="ana", name=[{"family": SECRET}])
    put(repository, resourceType="Patient", id="bo", link=[{"other": ANA, "type": "seealso"}])
    put(repository, **PULSE, id="a1", subject=ANA)
    put(repository, **PULSE, id="a1", subject=ANA, note=[{"text": SECRET}])
    put(repository, **PULSE, id="a2", subject=ANA, note=[{"text": SECRET}])
    delete(repository, "Observation", "a2")
    put(repository, **PULSE, id="b1", subject=BO)
    put(repository, **PULSE, id="by-ana", subject=BO, performer=[ANA])
    put(repository, **PULSE, id="moved", subject=ANA)
    put(repository, **PULSE, id="moved", subject=BO)
    put(repository, resourceType="Group", id="g", member=[{"entity": ANA}, {"entity": BO}])
    put(repository, resourceType="Task", id="t", status="draft", intent="order", **{"for": ANA})
    put(repository, resourceType="GuidanceResponse", id="r", status="success", moduleUri="urn:x", subject=ANA)
    put(repository, resourceType="Provenance", id="p", target=[{"reference": "Observation/a1/_history/1"}])
    put(repository, resourceType="Provenance", id="q", target=[{"reference": f"Observation/{o}"} for o in ("a1", "b1")])
    put(repository, resourceType="Practitioner", id="dr")
    put(repository, resourceType="Patient", id="ana2")


OWN = {
    "Patient/ana": 1,
    "Observation/a1": 2,
    "Observation/a2": 2,
    "Task/t": 1,
    "GuidanceResponse/r": 1,
    "Provenance/p": 1,
}


def test_what_is_theirs_alone_goes_and_the_rest_stays_and_is_listed(record: Repository) -> None:
    two_people(record)
    before, told = everything(record), found(record, "ana")
    assert everything(record) == before  # to look changes nothing
    erase(record, told)
    assert everything(record) == {name: n for name, n in before.items() if name not in OWN}
    assert {"/".join(name) for name in told.own} == OWN.keys()
    assert [(f"{k.type}/{k.id}", k.why) for k in told.kept] == [
        ("Group/g", SHARED),
        ("Observation/by-ana", SHARED),
        ("Observation/moved", SHARED),
        ("Patient/bo", NAMES),
        ("Provenance/q", NAMES),
    ]
    assert told.to_dict(at=NOW, erased=True) | {"remains": []} == {
        "at": "2026-11-09T00:00:00.000Z",
        "erased": True,
        "people": ["Patient/ana"],
        "resources": {"GuidanceResponse": 1, "Observation": 2, "Patient": 1, "Provenance": 1, "Task": 1},
        "versions": 8,
        "keys": [1, 3, 4, 5, 6, 12, 13, 14],
        "kept": [{"resource": f"{k.type}/{k.id}", "why": k.why} for k in told.kept],
        "remains": [],
    }


def test_of_two_people_together_what_both_share_goes_too(record: Repository) -> None:
    two_people(record)
    erase(record, found(record, "ana", "bo"))
    assert everything(record) == {"Practitioner/dr": 1, "Patient/ana2": 1}


def test_no_search_finds_what_was_erased_and_the_id_begins_anew(record: Repository) -> None:
    two_people(record)
    erase(record, found(record, "ana"))
    with record.reading() as view:
        for query in (("subject", "Patient/ana"), ("code:text", "pulse"), ("_lastUpdated", "gt2000")):
            asked = parse("Observation", [query], strict=True, now=NOW, count=50).search
            assert not {"a1", "a2"} & {s.id for s in view.search(asked).matches}
        assert view.read("Patient", "ana") is None
    assert put(record, resourceType="Patient", id="ana").version == 1


@pytest.mark.parametrize(
    "later",
    [
        {**PULSE, "id": "new", "subject": ANA},
        {**PULSE, "id": "a1", "subject": BO},
        {"resourceType": "Patient", "id": "ana", "active": True},
    ],
)
def test_nothing_is_erased_if_somebody_wrote_about_them_meanwhile(quick: Repository, later: dict[str, Any]) -> None:
    two_people(quick)
    told = found(quick, "ana")
    put(quick, **PULSE, id="of-bo", subject=BO)  # that is nobody's concern here
    put(quick, **later)
    before = everything(quick)
    with pytest.raises(BadInput, match="run it again"):
        erase(quick, told)
    assert everything(quick) == before
    erase(quick, found(quick, "ana"))
    assert "Patient/ana" not in everything(quick)


def test_nobody_is_a_refusal_and_a_deleted_person_is_somebody(quick: Repository) -> None:
    with pytest.raises(BadInput, match="nobody"):
        found(quick, "ana")
    put(quick, resourceType="Patient", id="ana")
    delete(quick, "Patient", "ana")
    with pytest.raises(BadInput, match="nobody"):
        found(quick, "an")
    erase(quick, found(quick, "ana"))
    assert everything(quick) == {}


# --- retention --------------------------------------------------------------------------------------------------------


def test_who_was_not_written_about_is_untouched(tmp_path: Path) -> None:
    clock = Clock()
    with store("sqlite", tmp_path, clock) as record:
        for name in ("old", "seen", "left", "named"):
            put(record, resourceType="Patient", id=name)
            put(record, **PULSE, id=f"of-{name}", subject={"reference": f"Patient/{name}"})
        put(record, **PULSE, id="both", subject={"reference": "Patient/seen"}, performer=[{"reference": "Patient/old"}])
        clock.ms += DAY
        put(record, **PULSE, id="new", subject={"reference": "Patient/seen"})
        delete(record, "Observation", "of-left")  # somebody had to do with this record
        put(record, resourceType="Organization", id="o", name="Patient/named")  # nobody had to do with that one
        put(record, **PULSE, id="x", focus=[{"reference": "Patient/named"}], subject={"reference": "Patient/seen"})
        for before, people in [(NOW, set()), (NOW + 1, {"old", "named"}), (NOW + DAY + 1, {"old", "seen", "left"})]:
            with record.reading() as view:
                assert people <= untouched(view, before=before)
                assert people or not untouched(view, before=before)
        with record.reading() as view:
            assert untouched(view, before=NOW + DAY) == {"old", "named"}


def test_years_are_those_of_the_calendar() -> None:
    assert NOW - years_before(NOW, 1) == 365 * DAY
    assert NOW - years_before(NOW, 4) == (4 * 365 + 1) * DAY
    for years in (0, -1, 2026, 10**6):
        with pytest.raises(BadInput, match="years"):
            years_before(NOW, years)


# --- no trace ---------------------------------------------------------------------------------------------------------


def bytes_of(folder: Path) -> bytes:
    """The database and whatever lies beside it."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_no_byte_of_it_is_left_in_the_files(tmp_path: Path) -> None:
    place = address("sqlite", tmp_path)
    with closing(open_record(place, Clock())) as record:
        for n in range(300):  # enough that pages are split and cells are moved about

            def some(unit: Any, n: int = n) -> None:
                for who in ("ana", "bo"):
                    word = f"{SECRET}-of-{who}"
                    made = {**PULSE, "id": f"{who}{n}", "subject": {"reference": f"Patient/{who}"}}
                    made |= {"code": {"text": f"{word} {n}"}, "note": [{"text": f"{word} {n}"}]}
                    unit.put(made, rows(made))

            record.write(some)
        erase(record, found(record, "ana"))
        assert b"zaphodsecret-of-ana" in bytes_of(tmp_path)  # the log, at least, still holds it
        sweep(backend(place))
        left = bytes_of(tmp_path).lower()
        assert (b"zaphodsecret-of-ana" in left, b"patient/ana" in left) == (False, False)
        assert left.count(b"zaphodsecret-of-bo") >= 300
        assert found(record, "bo").keys  # who has it open reads on
        put(record, resourceType="Patient", id="bo")  # and writes on
    with closing(open_record(place, Clock())) as record:
        assert len(found(record, "bo").keys) == 301


def test_the_tables_of_postgresql_are_written_anew(tmp_path: Path) -> None:
    place = address("postgres", tmp_path)
    with closing(open_record(place, Clock())) as record:
        two_people(record)
        erase(record, found(record, "ana"))
        with closing(backend(place).connect(writes=False)) as connection:

            def files() -> list[int]:
                tables = ("version", *INDEXES)
                return [connection.execute(f"SELECT pg_relation_filenode('{t}')").fetchone()[0] for t in tables]

            before = files()
            sweep(backend(place))
            assert not {*before} & {*files()}
        assert found(record, "bo").keys == (2, 7)


def test_a_sweep_that_cannot_be_done_says_what_is_left(tmp_path: Path) -> None:
    place = address("sqlite", tmp_path)
    open_record(place, Clock()).close()
    examined = backend(place)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(Unavailable, match="still hold traces"):
        sweep(examined)
