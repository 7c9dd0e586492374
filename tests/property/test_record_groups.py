"""Units that share a commit: whatever waits together becomes what it would have become one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adjunct.fhir.criteria import Match, Search, TokenIs
from adjunct.fhir.definitions import parameters
from adjunct.fhir.indexing import rows
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Reader, Repository, Stored, Unit
from stores import Clock, store, together

IDS = st.sampled_from(("a", "b", "c"))
ACTIVE = Match(index=parameters("Patient")["active"].index, kind="token", any_of=(TokenIs(None, "true"),))
SEARCH = Search(types=("Patient",), where=(ACTIVE,), count=9)
STEPS = st.one_of(
    st.tuples(st.just("put"), IDS, st.booleans()),
    st.tuples(st.sampled_from(("delete", "erase", "read")), IDS),
    st.tuples(st.sampled_from(("search", "history", "every", "refuse"))),
)
UNITS = st.lists(st.lists(STEPS, max_size=5), min_size=1, max_size=8)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with store(request.param, tmp_path_factory.mktemp("group"), Clock()) as made:
        yield made


def unit_of(steps: list[tuple[Any, ...]]) -> Callable[[Unit], list[Any]]:
    """A unit that does these steps and tells what it saw; "refuse" ends it and undoes it."""
    return lambda unit: [done(unit, *step) for step in steps]


def done(unit: Unit, what: str, own: str = "", active: bool = False) -> Any:
    match what:
        case "put":
            document = {"resourceType": "Patient", "id": own, "active": active}
            return told(unit.put(document, rows(document)))
        case "delete":
            return told(unit.delete("Patient", own))
        case "erase":
            return unit.erase("Patient", own)
        case "read":
            return told(unit.read("Patient", own))
        case "search":
            return sorted(map(told, unit.search(SEARCH).matches))
        case "refuse":
            raise Refusal(409, "conflict", "no")
    return everything(unit) if what == "history" else [told(one) for one in unit.every("Patient")]


def told(stored: Stored | None) -> tuple[Any, ...] | None:
    """All but the key: a unit that was undone may have used some."""
    return stored and stored[1:]


def everything(reader: Reader) -> list[Any]:
    return [told(stored) for stored in reader.history(count=1000)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(units=UNITS)
def test_together_is_one_after_the_other(record: Repository, units: list[list[tuple[Any, ...]]], tmp_path: Any) -> None:
    for own in ("a", "b", "c"):
        record.write(lambda unit, own=own: unit.erase("Patient", own))  # type: ignore[misc]
    works = [unit_of(steps) for steps in units]
    with store("memory", tmp_path, Clock()) as twin:
        expected = together(twin, *works)
        found = together(record, *works)
        assert [kept(one) for one in found] == [kept(one) for one in expected]
        with record.reading() as ours, twin.reading() as theirs:
            assert everything(ours) == everything(theirs)
            assert done(ours, "search") == done(theirs, "search")  # type: ignore[arg-type]


def kept(result: Any) -> Any:
    return type(result) if isinstance(result, Exception) else result
