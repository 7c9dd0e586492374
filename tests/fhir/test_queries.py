"""Searches as SQL: the same answers as the twin in memory, by statements that look things up instead of scanning."""

from __future__ import annotations

import random
import re
import sqlite3
import typing
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.dialects import sqlite

from adjunct.fhir import criteria as ask
from adjunct.fhir.indexing import Rows
from adjunct.fhir.memory import NO_ROWS
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Page, Repository
from adjunct.fhir.sql import queries
from adjunct.fhir.sql.schema import metadata, version
from stores import BACKENDS, NOW, Clock, store

TYPES = ("Patient", "Observation", "Encounter")
IDS = ("a", "b", "c", "d")
TEXTS = ("", "a", "ab", "abc", "b%", "b_", "\u00e9", "\U0001f600", "\U0010ffff")
URIS = ("http://x", "http://x/", "http://x/a", "http://x/a/b", "http://xa", "urn:a")
CODES = ("", "c", "C", "d")
INDEXES = (1, 2)
POINTS = tuple(range(0, 50, 7))
WORDS = {"token": CODES, "string": TEXTS, "reference": IDS, "uri": URIS}


def some_rows(chance: random.Random) -> Rows:
    """Rows of every kind, few different ones, so that searches meet them."""

    def several(*columns: Any) -> list[tuple[Any, ...]]:
        return [tuple(chance.choice(c) for c in (INDEXES, *columns)) for _ in range(chance.choice((0, 0, 1, 1, 2, 3)))]

    def spans(step: int) -> list[tuple[Any, ...]]:
        found = several(POINTS, (step, 7, 20), (0, 1))
        return [(index, low, low + length, element) for index, low, length, element in found]

    return Rows(
        token=several(CODES, (0, 1), ("", "s", "t")),
        string=several(TEXTS, (0, 1), TEXTS),
        date=[*spans(1), *([(1, -ask.INFINITE, 30, 0), (2, 20, ask.INFINITE, 0)] if chance.random() < 0.2 else [])],
        number=[(index, float(low), float(low), element) for index, low, element in several(POINTS, (0, 1))],
        quantity=several([float(p) for p in POINTS], ("mg", "=g", ""), (0, 1), ("", "u")),
        reference=several(IDS, (*TYPES, ""), (0, 1)),
        uri=several(URIS, (0, 1)),
    )


def fill(record: Repository, clock: Clock, writes: int, seed: int) -> None:
    """Writes, updates and deletions; the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(writes):
        clock.ms += chance.choice((0, 1, 5))
        name, own = chance.choice(TYPES), chance.choice(IDS)
        if chance.random() < 0.1:
            record.write(lambda unit, name=name, own=own: unit.delete(name, own))
        else:
            rows = some_rows(chance)
            document = {"resourceType": name, "id": own}
            record.write(lambda unit, document=document, rows=rows: unit.put(document, rows))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Repository]]:
    """A database and its twin in memory, filled alike."""
    with ExitStack() as stack:
        clocks = (Clock(), Clock())
        made = [
            stack.enter_context(store(backend, tmp_path_factory.mktemp("twins"), clock))
            for backend, clock in zip((request.param, "memory"), clocks, strict=True)
        ]
        for record, clock in zip(made, clocks, strict=True):
            fill(record, clock, 60, 1)
        yield made


# --- any search -------------------------------------------------------------------------------------------------------

indexes = st.sampled_from(INDEXES)
types = st.sampled_from(TYPES)
kinds = st.sampled_from(("token", "string", "date", "number", "quantity", "uri", "reference"))
compares = st.sampled_from(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"))


def spans(start: int = 0) -> st.SearchStrategy[ask.Span]:
    points = st.integers(start, start + 60)
    return st.builds(lambda how, low, length: ask.Span(how, low, low + length), compares, points, st.integers(1, 20))


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "token": st.builds(ask.TokenIs, st.sampled_from((None, "", "s", "t")), st.sampled_from((None, *CODES))),
    "string": st.builds(ask.TextIs, st.sampled_from(("starts", "contains", "exact")), st.sampled_from(TEXTS[1:])),
    "date": spans(),
    "number": spans(),
    "quantity": st.builds(
        ask.QuantityIs, spans(), st.sampled_from((None, "", "u")), st.sampled_from((None, "mg", "=g", ""))
    ),
    "uri": st.builds(ask.UriIs, st.sampled_from(("is", "below", "above")), st.sampled_from(URIS)),
    "reference": st.builds(ask.RefersTo, st.sampled_from(("", *TYPES)), st.sampled_from(IDS)),
}


@st.composite
def matches(draw: st.DrawFn, *, parts: bool = False) -> ask.Match:
    kind = draw(kinds)
    values = tuple(draw(st.lists(VALUES[kind], min_size=1, max_size=5)))
    return ask.Match(index=draw(indexes), kind=kind, any_of=values, negate=not parts and draw(st.booleans()))


def within(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2).map(tuple)
    targets = st.dictionaries(types, several, min_size=1, max_size=2).map(lambda found: tuple(found.items()))
    return st.one_of(
        st.builds(ask.Chain, index=indexes, targets=targets, only=st.sampled_from(("", "", "Patient"))),
        st.builds(ask.PointedAt, type=types, index=indexes, where=several),
        st.builds(ask.AnyOf, conditions=several),
    )


together = st.lists(st.lists(matches(parts=True), min_size=1, max_size=3).map(tuple), min_size=1, max_size=2).map(tuple)
conditions = st.recursive(
    st.one_of(
        matches(),
        st.builds(ask.Missing, index=indexes, kind=kinds, missing=st.booleans()),
        st.builds(ask.Together, any_of=together),
        st.builds(ask.Ids, ids=st.lists(st.sampled_from(IDS), max_size=3).map(tuple), negate=st.booleans()),
        st.builds(ask.Updated, any_of=st.lists(spans(NOW), min_size=1, max_size=2).map(tuple)),
        st.builds(
            ask.InCompartment,
            type=types,
            id=st.sampled_from(IDS),
            indexes=st.lists(indexes, max_size=2, unique=True).map(tuple),
            itself=st.booleans(),
        ),
    ),
    within,
    max_leaves=4,
)
sorts = st.one_of(
    st.builds(ask.Sort, indexes, kinds, st.booleans()),
    st.builds(ask.Sort, st.none(), st.sampled_from(("string", "date")), st.booleans()),
)
includes = st.builds(ask.Include, types, indexes, st.sampled_from(("", *TYPES)), st.booleans(), st.booleans())
searches = st.builds(
    ask.Search,
    types=st.lists(types, max_size=2, unique=True).map(tuple),
    where=st.lists(conditions, max_size=3).map(tuple),
    sort=st.lists(sorts, max_size=2).map(tuple),
    count=st.integers(0, 4),
    includes=st.lists(includes, max_size=2).map(tuple),
    total=st.sampled_from(("none", "accurate")),
)


def pages(record: Repository, search: ask.Search) -> list[Page]:
    found = []
    with record.reading() as reader:
        while True:
            page = reader.search(search)
            found.append(page)
            if page.next is None:
                return found
            search = replace(search, cursor=page.next)


@settings(max_examples=40)
@given(search=searches, most=st.sampled_from((0, 2, queries.FEW)))
def test_every_page_is_that_of_the_twin(twins: list[Repository], search: ask.Search, most: int) -> None:
    sql, memory = twins
    with pytest.MonkeyPatch.context() as patch:  # with every way to begin: at no condition, at a rare one, at any
        patch.setattr(queries, "FEW", most)
        patch.setattr(queries, "MANY", most)
        assert pages(sql, search) == pages(memory, search)
    with sql.reading() as one, memory.reading() as other:
        assert one.count(search) == other.count(search)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_page_that_includes_too_much_is_refused(backend: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Patient refers twice to the one before it. What is a match already does not count."""
    with store(backend, tmp_path) as record:
        for number in range(5):
            before = [(1, f"p{number - 1}", "Patient", element) for element in (0, 1) if number]
            rows = NO_ROWS._replace(reference=before)
            document = {"resourceType": "Patient", "id": f"p{number}"}
            record.write(lambda unit, document=document, rows=rows: unit.put(document, rows))
        for own, reverse, iterate, there in (
            ("p4", False, False, 1),
            ("p4", False, True, 4),
            ("p0", True, False, 1),
            ("p0", True, True, 4),
        ):
            rule = ask.Include("Patient", 1, "", iterate, reverse)
            search = ask.Search(types=("Patient",), where=(ask.Ids(ids=(own,)),), count=5, includes=(rule,))
            monkeypatch.setattr(ask, "MOST_INCLUDED", there)
            assert [len(page.included) for page in pages(record, search)] == [there]
            monkeypatch.setattr(ask, "MOST_INCLUDED", there - 1)
            with pytest.raises(Refusal, match="include less, or search for them") as refused:
                pages(record, search)
            assert (refused.value.status, refused.value.issues[0].code) == (400, "too-costly")


def single_conditions() -> Iterator[ask.Condition]:
    """Each way to ask, on values at and beside the edges of what there is."""
    spans = [ask.Span(how, low, low + 7) for how in typing.get_args(ask.Compare) for low in (7, 20, 21)]
    values: dict[ask.Kind, list[Any]] = {
        "token": [ask.TokenIs(system, code) for system in (None, "", "s") for code in (None, "", "c")],
        "string": [
            ask.TextIs(how, text) for how in ("starts", "contains", "exact") for text in ("a", "ab", "b%", "b_")
        ],
        "date": spans,
        "number": spans,
        "quantity": [ask.QuantityIs(span, None, unit) for span in spans for unit in (None, "mg", "=g")],
        "uri": [ask.UriIs(how, uri) for how in ("is", "below", "above") for uri in URIS],
        "reference": [ask.RefersTo(kind, own) for kind in ("", "Patient") for own in ("a", "b")],
    }
    for kind, some in values.items():
        for value in some:
            yield ask.Match(index=1, kind=kind, any_of=(value,))
        yield ask.Match(index=1, kind=kind, any_of=tuple(some[:3]), negate=True)
        yield ask.Missing(index=2, kind=kind, missing=True)
        first = ask.Match(index=1, kind=kind, any_of=(some[0],))
        others: tuple[ask.Kind, ...] = ("token", "quantity")
        for other in others:
            yield ask.Together(any_of=((first, ask.Match(index=2, kind=other, any_of=tuple(values[other]))),))
    for how in typing.get_args(ask.Compare):
        for at in range(NOW + 80, NOW + 130):
            yield ask.Updated(any_of=(ask.Span(how, at, at + 3),))


@pytest.mark.parametrize("most", [0, queries.FEW])
def test_every_way_to_ask(twins: list[Repository], monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """`most` 0: each condition as a check of every resource; else where it can be by looking up its rows."""
    monkeypatch.setattr(queries, "FEW", most)
    monkeypatch.setattr(queries, "MANY", most)
    sql, memory = twins
    with sql.reading() as one, memory.reading() as other:
        for condition in single_conditions():
            search = ask.Search(types=(), where=(condition,), count=100)
            assert one.search(search) == other.search(search), condition


@pytest.mark.parametrize(("kind", "words"), WORDS.items())
def test_texts_are_sorted_by_code_point(twins: list[Repository], kind: Any, words: tuple[str, ...]) -> None:
    for descending in (False, True):
        search = ask.Search(types=(), sort=(ask.Sort(1, kind, descending),), count=3)
        sql, memory = (pages(record, search) for record in twins)
        assert sql == memory
        first = [page.next.after[0] for page in sql if page.next and page.next.after[0] is not None]
        assert first == sorted(first, reverse=descending) and set(first) <= set(words)


def test_a_page_neither_repeats_nor_hides_what_is_written_meanwhile(tmp_path: Any) -> None:
    clock = Clock()
    with store("sqlite", tmp_path, clock) as record:
        fill(record, clock, 40, 2)
        for sort in ((), (ask.Sort(1, "date", True),), (ask.Sort(1, "token"), ask.Sort(None, "string"))):
            search = ask.Search(types=(), sort=sort, count=2)
            before = [one.key for page in pages(record, search) for one in page.matches]
            seen, cursor, seed = [], None, 3
            while True:
                with record.reading() as reader:
                    page = reader.search(replace(search, cursor=cursor))
                seen += [one.key for one in page.matches]
                if (cursor := page.next) is None:
                    break
                fill(record, clock, 5, seed := seed + 1)
            assert seen == before


# --- how it is asked --------------------------------------------------------------------------------------------------

DIALECT = sqlite.dialect()
PATIENT = ask.Match(index=1, kind="reference", any_of=(ask.RefersTo("Patient", "a"),))
FINAL = ask.Match(index=1, kind="token", any_of=(ask.TokenIs(None, "final"),))
CODED = ask.Match(index=2, kind="token", any_of=(ask.TokenIs("s", "x"), ask.TokenIs("s", "y")))
NAMED = ask.Match(index=1, kind="string", any_of=(ask.TextIs("starts", "ab"),))
YEAR = ask.Match(index=1, kind="date", any_of=(ask.Span("eq", 0, 365),))
HEAVY = ask.Match(index=1, kind="quantity", any_of=(ask.QuantityIs(ask.Span("gt", 5, 5), "s", "=g"),))
NEWEST_FIRST = (ask.Sort(1, "date", True),)


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """400 resources with a common and a rare value of every index."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        for key in range(1, 401):
            rare = key % 40 == 0
            own = [key, "Patient" if rare else "Observation", f"i{key}", 1, NOW, None, 0, b"{}"]
            raw.execute(f"INSERT INTO version VALUES ({','.join('?' * len(version.columns))})", own)
            raw.execute("INSERT INTO token VALUES (1, 'final', ?, 0, '')", [key])
            raw.execute("INSERT INTO token VALUES (2, ?, ?, 0, 's')", ["x" if rare else "z", key])
            raw.execute("INSERT INTO date VALUES (1, ?, ?, ?, 0)", [key, key + 1, key])
            raw.execute("INSERT INTO reference VALUES (1, ?, ?, 0, 'Patient')", ["a" if rare else "b", key])
            raw.execute("INSERT INTO string VALUES (1, ?, ?, 0, '')", ["abc" if rare else "z", key])
            raw.execute("INSERT INTO quantity VALUES (1, '=g', ?, ?, 0, 's')", [9 if rare else 1, key])
        yield raw
    engine.dispose()


@pytest.mark.parametrize(
    ("where", "sort"),
    [
        ((PATIENT,), ()),
        ((FINAL, PATIENT), ()),
        ((FINAL, CODED), ()),
        ((NAMED,), ()),
        ((FINAL, HEAVY), ()),
        ((PATIENT, YEAR, FINAL), NEWEST_FIRST),
        ((PATIENT, FINAL), (ask.Sort(1, "quantity"), ask.Sort(2, "token"))),
        ((FINAL, ask.Chain(index=1, targets=(("Patient", (NAMED,)),))), ()),
        ((FINAL, ask.PointedAt(type="Observation", index=1, where=(CODED,))), ()),
        ((ask.InCompartment(type="Patient", id="a", indexes=(1, 2), itself=True),), ()),
        ((ask.Together(any_of=((CODED, HEAVY),)), FINAL), ()),
        ((ask.Ids(ids=("i5", "i7")), FINAL), ()),
        ((ask.AnyOf(conditions=(PATIENT, CODED)), FINAL), ()),
        ((ask.Updated(any_of=(ask.Span("ge", NOW + 5, NOW + 6),)),), ()),
    ],
)
def test_what_is_rare_is_looked_up(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, where: tuple[Any, ...], sort: tuple[Any, ...]
) -> None:
    """By the plans that SQLite makes: no table is read from end to end, and no type; the rare condition comes first."""
    monkeypatch.setattr(queries, "FEW", 100)
    plans: list[str] = []

    def fetch(text: str, values: tuple[Any, ...]) -> list[Any]:
        plans.extend(step[3] for step in database.execute(f"EXPLAIN QUERY PLAN {text}", values))
        return database.execute(text, values).fetchall()

    includes = tuple(ask.Include("Observation", 1, reverse=back) for back in (False, True))
    search = ask.Search(types=("Observation",), where=where, sort=sort, count=5, total="accurate", includes=includes)
    queries.page(search, fetch, DIALECT, lambda: 400)
    scans = [step for step in plans if re.match(r"SCAN (?!page|anon|\d+ CONSTANT)", step)]
    whole = [step for step in plans if re.search(r"version_by_type \(type=\?( AND key<\?)?\)|\(idx=\?\)", step)]
    assert not scans and not whole, plans


@pytest.mark.parametrize("where", [(), (FINAL,)])
def test_a_common_search_goes_along_the_index_that_sorts_it(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, where: tuple[Any, ...]
) -> None:
    monkeypatch.setattr(queries, "FEW", 100)
    monkeypatch.setattr(queries, "MANY", 100)
    asked: list[tuple[str, tuple[Any, ...]]] = []

    def fetch(text: str, values: tuple[Any, ...]) -> list[Any]:
        asked.append((text, values))
        return database.execute(text, values).fetchall()

    search = ask.Search(types=("Observation",), where=where, sort=(ask.Sort(1, "date"),), count=5)
    found = queries.page(search, fetch, DIALECT, lambda: 400)
    assert [one.key for one in found.matches] == [1, 2, 3, 4, 5]
    text, values = asked[-1]
    steps = [step[3] for step in database.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert next(step for step in steps if step.startswith("SEARCH")).endswith("USING PRIMARY KEY (idx=?)"), steps


@pytest.mark.parametrize(
    "condition",
    [
        ask.Chain(index=1, targets=(("Patient", (FINAL,)),)),
        ask.PointedAt(type="Observation", index=1, where=(FINAL,)),
        YEAR,
        HEAVY,
        NAMED,
    ],
)
def test_a_common_condition_is_checked_by_the_rows_of_one_resource(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, condition: ask.Condition
) -> None:
    monkeypatch.setattr(queries, "FEW", 0)
    monkeypatch.setattr(queries, "MANY", 0)
    steps: list[str] = []

    def fetch(text: str, values: tuple[Any, ...]) -> list[Any]:
        steps[:] = [step[3] for step in database.execute(f"EXPLAIN QUERY PLAN {text}", values)]
        return database.execute(text, values).fetchall()

    search = ask.Search(types=("Patient",), where=(condition,), count=5)
    queries.page(search, fetch, DIALECT, lambda: 400)
    found = [step for step in steps if step.startswith("SEARCH")]
    assert "version_by_type (type=?" in found[0] and not any("version_by_type" in step for step in found[1:]), steps
    assert all(re.search(r"key=\?|rowid=\?|(idx|type)=\? AND id=\?", step) for step in found[1:]), steps


def test_one_shape_is_compiled_once() -> None:
    def shape(*codes: str, count: int = 5) -> ask.Search:
        wanted = tuple(ask.TokenIs("s", code) for code in codes)
        search = ask.Search(types=("Patient",), where=(replace(CODED, any_of=wanted),), count=count)
        return queries.shaped(search, {})

    assert shape("a") == shape("b", count=9) != shape("a", "b")
    assert shape("a", "b", "c") == shape("d", "e", "f", "g")
    none = ask.Search(types=(), where=(replace(CODED, any_of=(ask.TokenIs(None, "a"),)),), count=5)
    assert queries.shaped(none, {}) != shape("a")


@pytest.mark.parametrize("value", [ask.TokenIs("s", "x"), ask.TokenIs(None, "x"), ask.TokenIs("s", None)])
def test_thousands_of_values_are_not_too_deep(database: sqlite3.Connection, value: ask.TokenIs) -> None:
    many = replace(CODED, any_of=(*(ask.TokenIs("s", f"no{n}") for n in range(2000)), value))
    search = ask.Search(types=(), where=(many,), count=5)
    found = queries.page(search, lambda text, values: database.execute(text, values).fetchall(), DIALECT, lambda: 400)
    assert len(found.matches) == 5


def test_what_is_asked_never_becomes_part_of_a_statement() -> None:
    values: dict[str, Any] = {}
    evil = "x'); DROP TABLE version; --"
    search = ask.Search(types=(evil,), where=(replace(NAMED, any_of=(ask.TextIs("contains", evil),)),), count=1)
    assert evil not in repr(queries.shaped(search, values)) and list(values.values()).count(evil) == 2
