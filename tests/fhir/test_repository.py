"""What every store promises: the same tests on SQLite, on a real PostgreSQL, and on the twin in memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from adjunct.base import BadInput
from adjunct.fhir.criteria import Match, Search, TextIs, TokenIs
from adjunct.fhir.definitions import parameters
from adjunct.fhir.indexing import rows
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Repository, Stored, Unavailable, Unit
from adjunct.fhir.sql import store as sql_store
from adjunct.fhir.sql.opening import open_record
from adjunct.fhir.sql.sqlite import Sqlite
from adjunct.fhir.sql.store import SqlRepository
from adjunct.serve.doctor import examine
from stores import BACKENDS, NOW, Clock, delete, put, store, together

ANA: dict[str, Any] = {"resourceType": "Patient", "id": "ana", "birthDate": "1985-03"}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(backend: str, tmp_path: Path, clock: Clock) -> Iterator[Repository]:
    with store(backend, tmp_path, clock) as made:
        yield made


def read(repository: Repository, type: str, id: str) -> Stored | None:
    with repository.reading() as view:
        return view.read(type, id)


def versions(repository: Repository, type: str = "", id: str = "", **asked: Any) -> list[tuple[str, int]]:
    with repository.reading() as view:
        return [(s.id, s.version) for s in view.history(type, id, **{"count": 100, **asked})]


def test_what_was_put_is_there_with_its_version(record: Repository) -> None:
    made = put(record, **ANA)
    assert (made.version, made.type, made.id, made.at) == (1, "Patient", "ana", NOW)
    assert read(record, "Patient", "ana") == made
    meta = {"versionId": "1", "lastUpdated": "2026-11-09T00:00:00.000Z"}
    assert orjson.loads(made.content or b"") == {**ANA, "meta": meta}


def test_what_was_never_there_is_none_and_types_are_apart(record: Repository) -> None:
    put(record, **ANA)
    assert read(record, "Patient", "ben") is None
    assert read(record, "Person", "ana") is None


def test_an_update_adds_a_version_and_keeps_the_one_before(record: Repository) -> None:
    first, second = put(record, **ANA), put(record, **ANA | {"active": True})
    assert second.version == 2 and second.key > first.key
    with record.reading() as view:
        assert view.vread("Patient", "ana", 1) == first
        assert view.vread("Patient", "ana", 2) == second
        assert view.vread("Patient", "ana", 3) is None


def test_a_deletion_is_a_version_and_what_comes_after_it_goes_on_counting(record: Repository) -> None:
    put(record, **ANA)
    gone = delete(record, "Patient", "ana")
    assert gone is not None and gone.version == 2 and gone.content is None
    assert read(record, "Patient", "ana") == gone
    assert delete(record, "Patient", "ana") is None
    assert delete(record, "Patient", "nobody") is None
    assert put(record, **ANA).version == 3


def test_meta_keeps_what_the_sender_said(record: Repository) -> None:
    tagged = ANA | {"meta": {"tag": [{"code": "HTEST"}], "versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z"}}
    made = orjson.loads(put(record, **tagged).content or b"")
    assert made["meta"]["tag"] == [{"code": "HTEST"}]
    assert made["meta"]["versionId"] == "1"


def test_history_is_newest_first_and_pages_by_key(record: Repository, clock: Clock) -> None:
    put(record, **ANA)
    clock.ms += 1000
    put(record, resourceType="Patient", id="ben")
    put(record, resourceType="Basic", id="x", code={"text": "x"})
    delete(record, "Patient", "ana")
    assert versions(record) == [("ana", 2), ("x", 1), ("ben", 1), ("ana", 1)]
    assert versions(record, "Patient") == [("ana", 2), ("ben", 1), ("ana", 1)]
    assert versions(record, "Patient", "ana") == [("ana", 2), ("ana", 1)]
    assert versions(record, since=NOW + 1) == [("ana", 2), ("x", 1), ("ben", 1)]
    with record.reading() as view:
        newest = view.history(count=2)
        assert [s.id for s in view.history(count=2, before=newest[-1].key)] == ["ben", "ana"]


def test_time_never_goes_back_even_if_the_clock_does(record: Repository, clock: Clock) -> None:
    first = put(record, **ANA)
    clock.ms -= 3_600_000
    second = put(record, **ANA)
    assert second.at >= first.at
    clock.ms = NOW + 5
    assert put(record, **ANA).at == NOW + 5


def test_a_unit_is_done_whole_or_not_at_all(record: Repository) -> None:
    def work(unit: Unit) -> None:
        unit.put(dict(ANA), rows(ANA))
        assert unit.read("Patient", "ana") is not None  # it sees its own writes
        raise Refusal(409, "conflict", "no")

    with pytest.raises(Refusal):
        record.write(work)
    assert read(record, "Patient", "ana") is None
    assert versions(record) == []
    assert put(record, **ANA).version == 1


def test_a_unit_that_fails_takes_nothing_with_it(record: Repository) -> None:
    """Many at once: they share commits, and only those that raise are undone."""
    failed = []

    def one(i: int) -> None:
        def work(unit: Unit) -> None:
            document = {"resourceType": "Patient", "id": f"p{i}"}
            unit.put(document, rows(document))
            if i % 3 == 0:
                raise Refusal(409, "conflict", "no")

        try:
            record.write(work)
        except Refusal:
            failed.append(i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(failed) == list(range(0, 60, 3))
    there = {i for i in range(60) if read(record, "Patient", f"p{i}")}
    assert there == set(range(60)) - set(failed)


def putting(own: str, **more: Any) -> Callable[[Unit], Stored]:
    document = {"resourceType": "Patient", "id": own, **more}
    return lambda unit: unit.put(document, rows(document))


def test_units_of_one_commit_see_those_before_them_and_nothing_of_those_that_failed(record: Repository) -> None:
    def two_then_none(unit: Unit) -> None:
        putting("lost")(unit)
        assert len(unit.history(count=10)) == 4  # so they are written down by now: ana twice, ben, and its own
        putting("lost too")(unit)
        raise Refusal(409, "conflict", "no")

    def erased_then_kept(unit: Unit) -> None:
        unit.erase("Patient", "ben")
        raise Refusal(409, "conflict", "no")

    became = together(
        record,
        putting("ana"),
        putting("ben"),
        putting("ana", active=True),
        two_then_none,
        lambda unit: putting("cyd")(unit).version + putting("cyd", active=True)(unit).version,
        erased_then_kept,
        lambda unit: [unit.delete("Patient", "cyd"), unit.delete("Patient", "cyd"), unit.read("Patient", "cyd")],
        lambda unit: [s.id for s in unit.every("Patient")],
        putting("dan"),
    )
    assert [b.version for b in became[:3]] == [1, 1, 2]
    assert [type(became[3]), became[4], type(became[5])] == [Refusal, 3, Refusal]
    gone, again, now = became[6]
    assert (gone.version, gone.content, again, now) == (3, None, None, gone)
    assert became[7] == ["ben", "ana"]
    assert sorted(versions(record)) == [
        ("ana", 1),
        ("ana", 2),
        ("ben", 1),
        ("cyd", 1),
        ("cyd", 2),
        ("cyd", 3),
        ("dan", 1),
    ]
    with record.reading() as view:
        male = Match(index=parameters("Patient")["active"].index, kind="token", any_of=(TokenIs(None, "true"),))
        assert [s.id for s in view.search(Search(types=("Patient",), where=(male,), count=9)).matches] == ["ana"]
    assert_whole(record)


def test_many_in_one_unit_are_all_there_with_all_that_finds_them(record: Repository) -> None:
    """More than one statement holds, and a number that no power of two divides; some twice, some deleted between."""
    many = [{"resourceType": "Patient", "id": f"p{i}", "name": [{"given": ["A", f"B{i}"]}]} for i in range(203)]

    def work(unit: Unit) -> None:
        for document in many:
            unit.put(document, rows(document))
        for document in many[::7]:
            unit.delete("Patient", document["id"])
        for document in many[::14]:
            unit.put(document, rows(document))

    record.write(work)
    with record.reading() as view:
        there = {s.id for s in view.every("Patient")}
        assert there == {d["id"] for i, d in enumerate(many) if i % 7 or not i % 14}
        given = parameters("Patient")["given"].index
        for i in range(203):
            named = Match(index=given, kind="string", any_of=(TextIs("exact", f"B{i}"),))
            found = view.search(Search(types=("Patient",), where=(named,), count=9)).matches
            assert [s.id for s in found] == ([f"p{i}"] if f"p{i}" in there else [])
    assert_whole(record)


def assert_whole(record: Repository) -> None:
    """What `adjunct doctor` looks for: versions that follow one another, index rows as the resources give them."""
    if isinstance(record, SqlRepository):
        found = {f.check: f.state for f in examine(record._backend, now=NOW, place=None, knowledge=lambda: "")}
        assert (found["versions"], found["indexes"]) == ("well", "well")


def test_a_value_that_cannot_be_written_fails_its_own_unit_only(record: Repository, backend: str) -> None:
    """Whatever stands beside it in the same statement."""
    too_great = 2**70  # no database has such a whole number; nothing that is checked ever gives one

    def unwritable(unit: Unit) -> Stored:
        found = rows({"resourceType": "Patient", "id": "lost"})
        return unit.put({"resourceType": "Patient", "id": "lost"}, found._replace(date=[(1, too_great, too_great, 0)]))

    def seen(unit: Unit) -> Any:
        unwritable(unit)
        return unit.history(count=10)

    became = together(record, putting("ana"), unwritable, putting("ben"), seen, putting("ana"), putting("cyd"))
    if backend == "memory":
        assert became[1].version == 1
        return
    assert [isinstance(b, Exception) and not isinstance(b, Unavailable) for b in became] == [
        False, True, False, True, False, False,
    ]  # fmt: skip
    assert sorted(versions(record)) == [("ana", 1), ("ana", 2), ("ben", 1), ("cyd", 1)]
    assert put(record, resourceType="Patient", id="lost").version == 1


def test_a_question_that_cannot_be_asked_costs_nobody_else_what_was_stored(record: Repository, backend: str) -> None:
    """PostgreSQL gives a transaction up at its first error, and calls the COMMIT that undoes it a success."""

    def unanswerable(unit: Unit) -> Stored | None:
        return unit.vread("Patient", "ana", 2**40)

    def put_and_see(unit: Unit) -> int:
        putting("ben")(unit)
        return unit.newest_key()

    became = together(record, putting("ana"), unanswerable, put_and_see, unanswerable, putting("cyd"))
    assert not any(isinstance(became[i], Exception) for i in (0, 2, 4))
    assert isinstance(became[1], BadInput) == (backend == "postgres")
    assert sorted(versions(record)) == [("ana", 1), ("ben", 1), ("cyd", 1)]


def test_a_commit_that_undoes_is_not_taken_for_one(tmp_path: Path) -> None:
    with store("postgres", tmp_path) as record:
        assert isinstance(record, SqlRepository)
        connection = record._backend.connect(writes=True)
        record._backend.begin(connection)
        with suppress(record._backend.errors):
            connection.execute("SELECT 1/0")
        with pytest.raises(record._backend.errors):
            record._backend.commit(connection)
        connection.close()


def test_versions_are_dense_when_many_write_the_same(record: Repository) -> None:
    def often() -> None:
        for _ in range(10):
            put(record, **ANA)

    threads = [threading.Thread(target=often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [v for _, v in versions(record, "Patient", "ana")] == list(range(80, 0, -1))


def test_every_gives_what_is_current_and_nothing_else(record: Repository, clock: Clock) -> None:
    for i in range(7):
        put(record, resourceType="Patient", id=f"p{i}")
    delete(record, "Patient", "p3")
    clock.ms += 10
    put(record, resourceType="Patient", id="p1", active=True)
    put(record, resourceType="Basic", id="b", code={"text": "b"})
    with record.reading() as view:
        assert [s.id for s in view.every("Patient")] == ["p0", "p2", "p4", "p5", "p6", "p1"]
        assert [s.id for s in view.every("Patient", since=NOW + 10)] == ["p1"]


def test_erasing_leaves_nothing_of_one_and_everything_of_others(record: Repository) -> None:
    put(record, **ANA)
    put(record, **ANA)
    put(record, resourceType="Patient", id="ben")
    assert record.write(lambda unit: unit.erase("Patient", "ana")) == 2
    assert record.write(lambda unit: unit.erase("Patient", "ana")) == 0
    assert versions(record) == [("ben", 1)]
    assert put(record, **ANA).version == 1


def test_a_closed_record_takes_nothing_more(record: Repository) -> None:
    put(record, **ANA)
    record.close()
    with pytest.raises(Unavailable, match="nothing was stored"):
        put(record, **ANA)


def test_a_key_is_never_given_twice(record: Repository, clock: Clock) -> None:
    """Else a search that began before the erasing could go on among what was written after it."""
    last = put(record, **ANA)
    record.write(lambda unit: unit.erase("Patient", "ana"))
    clock.ms -= 1000
    with record.reading() as view:
        assert view.newest_key() == last.key
    following = put(record, **ANA)
    assert following.key > last.key
    assert following.at >= last.at


def test_nobody_else_may_read_a_new_file(tmp_path: Path) -> None:
    record = open_record(f"sqlite:///{tmp_path / 'record.db'}", Clock())
    put(record, **ANA)
    held = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()}
    record.close()
    assert held == {"record.db": 0, "record.db-shm": 0, "record.db-wal": 0}


class Panic(BaseException):
    """What a native extension raises when it gives up."""


def test_a_panic_reaches_its_sender_and_the_record_goes_on(tmp_path: Path) -> None:
    record = open_record(f"sqlite:///{tmp_path / 'record.db'}", Clock())
    told: list[Any] = []

    def panics(unit: Unit) -> None:
        unit.put(dict(ANA), rows(ANA))
        raise Panic

    record.submit(panics, lambda _, error: told.append(error))
    record.write(lambda unit: None)  # answered after what was sent before it
    assert record.writing
    assert [(type(error), type(error.__cause__)) for error in told] == [(RuntimeError, Panic)]
    assert put(record, **ANA).version == 1
    record.close()
    assert not record.writing


def test_a_panic_between_units_reaches_all_who_wait(tmp_path: Path) -> None:
    panics = [True]

    def clock() -> int:
        if panics.pop():
            raise Panic
        panics.append(False)
        return NOW

    with closing(open_record(f"sqlite:///{tmp_path / 'record.db'}", clock)) as record:
        with pytest.raises(RuntimeError, match="nothing was stored"):
            put(record, **ANA)
        panics.append(False)
        assert put(record, **ANA).version == 1


@pytest.mark.parametrize("backend", ["sqlite", "postgres"], indirect=True)
def test_reading_without_end_is_ended(record: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one statement, not of all that one reader asks."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT count(*) FROM n"
    monkeypatch.setattr(sql_store, "READ_S", 0.05)
    for _ in range(2):
        with pytest.raises(Unavailable, match="the search took too long: ask for less"), record.reading() as view:
            view._fetch(endless, ())  # type: ignore[attr-defined]
    put(record, **ANA)
    assert read(record, "Patient", "ana")


def test_every_statement_has_the_whole_time(tmp_path: Path) -> None:
    path, now = tmp_path / "record.db", [0.0]
    open_record(f"sqlite:///{path}", Clock()).close()
    database = Sqlite(path, lambda: now[0])
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT count(*) FROM n"
    with closing(database.connect(writes=False)) as connection:
        database.limit(connection, 10)
        for now[0] in (9, 18, 27):
            assert connection.execute(counting).fetchone() == (20_000,)
        begun = connection.execute(counting.replace("count(*)", "i"))
        now[0] = 38
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            begun.fetchall()
    with closing(database.connect(writes=False)) as unlimited:
        assert unlimited.execute(counting).fetchone() == (20_000,)
