"""What keeps the record is killed, filled up, taken away, locked and robbed: nothing acknowledged is lost or halved."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tools import record_torture as torture

from adjunct.base import BadInput
from adjunct.fhir.indexing import rows
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Repository, Stored, Unavailable, Unit
from adjunct.fhir.rest import Request, Rules, Service, handle
from adjunct.fhir.sql import postgres, sqlite
from adjunct.fhir.sql.opening import backend, migrate, open_record
from adjunct.fhir.sql.sqlite import Sqlite
from adjunct.fhir.sql.store import SqlRepository
from adjunct.serve import archive
from stores import Clock, address, postgres_address, postgres_server, put

ROOT = Path(__file__).parents[2]
DATABASES = ("sqlite", "postgres")
both = pytest.mark.parametrize("kind", DATABASES)


@contextmanager
def opened(place: str) -> Iterator[SqlRepository]:
    with closing(open_record(place, Clock())) as record:
        yield record


def read(record: Repository, own: str) -> Stored | None:
    with record.reading() as view:
        return view.read("Patient", own)


def patient(own: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": own, **more}


def asked(record: Repository, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    reply = handle(Request(method, path, body=body), Service(record, Rules(base="http://x/fhir", clock=Clock())))
    return reply.status, reply.body.decode()


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "count"), [("sqlite", 6), ("postgres", 3)])
def test_killed_at_any_moment_everything_acknowledged_is_there_and_nothing_by_halves(kind: str, count: int) -> None:
    """A sample of what `make torture` does a thousand times."""
    words = [sys.executable, ROOT / "tools" / "record_torture.py", "--backend", kind, "-n", str(count)]
    words += ["--postgres", postgres_server().get_uri()] if kind == "postgres" else []
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, cwd=ROOT, timeout=90)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{kind}: {count} workloads" in done.stdout


CHANGED = "UPDATE version SET content = CAST(replace(content, '9.9.', '9.8.') AS BLOB) WHERE type = 'Observation'"
DAMAGES = {
    "acknowledged": "DELETE FROM version WHERE key = (SELECT max(key) FROM version WHERE type = 'Observation')",
    "says something else": CHANGED,
    "do not lead": "UPDATE version SET until = NULL WHERE until IS NOT NULL",
    "versions [": "UPDATE version SET version = version + 1 WHERE until IS NULL",
    "time goes back": "UPDATE version SET at = 0 WHERE key = (SELECT max(key) FROM version)",
    "rows are missing": "DELETE FROM token WHERE key = (SELECT max(key) FROM token)",
    "1 too many": "INSERT INTO uri VALUES (1, 'x', 999999, 0)",
    "deleted with content": "UPDATE version SET gone = 1 WHERE type = 'Observation'",
}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torture.Said]:
    """A record in which one client has done what it does, and what it was answered."""
    path, said = tmp_path_factory.mktemp("lived") / "record.db", torture.Said()
    with opened(f"sqlite:///{path}") as record:
        torture.Client(record, Clock(), lambda *event: said.add([list(event)]), "9.9.9").live(90)
    return path, said


def test_a_whole_record_has_nothing_to_find(lived: tuple[Path, torture.Said]) -> None:
    path, said = lived
    assert list(torture.examined(f"sqlite:///{path}", said)) == []
    assert len(said.yes) > 30
    assert any(puts > 1 for puts in said.tried.values())
    assert said.no
    assert said.erased


@pytest.mark.parametrize("found", DAMAGES)
def test_the_examination_would_notice(found: str, lived: tuple[Path, torture.Said], tmp_path: Path) -> None:
    broken = shutil.copy(lived[0], tmp_path)
    with closing(sqlite3.connect(broken)) as connection, connection:
        assert connection.execute(DAMAGES[found]).rowcount
    assert any(found in each for each in torture.examined(f"sqlite:///{broken}", lived[1]))


def test_the_examination_would_notice_a_broken_promise(lived: tuple[Path, torture.Said]) -> None:
    path, said = lived
    mark = next(m for m, n in said.tried.items() if n > 1 and m in said.yes)
    lied = torture.Said()
    lied.__dict__ |= said.__dict__ | {"no": said.no | {mark}, "yes": {}, "saw": {("Patient", "p0", 99)}}
    lied.tried = said.tried | {mark: said.tried[mark] + 1}
    found = list(torture.examined(f"sqlite:///{path}", lied))
    assert any("answered: refused" in each for each in found)
    assert any("was shown" in each for each in found)


def test_a_restore_killed_halfway_has_not_happened(tmp_path: Path) -> None:
    first, second = f"sqlite:///{tmp_path / 'first.db'}", f"sqlite:///{tmp_path / 'second.db'}"
    with opened(first) as record, opened(second) as other:
        put(record, **patient("a"))
        put(other, **patient("b"))
    archive.backup(backend(first), tmp_path / "x.gz")
    program = (
        "import os, sys; from pathlib import Path; from adjunct.serve import archive; "
        "from adjunct.fhir.sql.opening import backend; "
        "archive.write_rows = lambda *_: os.kill(os.getpid(), 9); "
        "archive.restore(Path(sys.argv[1]), backend(sys.argv[2]), replace=True)"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "x.gz"), second]
    assert subprocess.run(words, check=False).returncode == -9
    assert [each.id for each in archive.stored(backend(second))] == ["b"]


# --- full -------------------------------------------------------------------------------------------------------------


class Small(Sqlite):
    """A disk with room for so many pages."""

    pages = 100

    def connect(self, *, writes: bool) -> Any:
        made = super().connect(writes=writes)
        made.execute(f"PRAGMA max_page_count = {self.pages}").fetchone()
        return made


def filled(record: Repository, room: Callable[[], object]) -> None:
    """Write until there is no room; look; make room; go on."""
    body = b'{"resourceType":"Bundle","type":"transaction","entry":[%s]}' % b",".join(
        b'{"request":{"method":"POST","url":"Basic"},"resource":{"resourceType":"Basic","code":{"text":"%d %s"}}}'
        % (i, b"x" * 4000)
        for i in range(9)
    )
    put(record, **patient("a"))
    statuses = []
    while not statuses or statuses[-1][0] == 200:
        statuses.append(asked(record, "POST", "", body))
    assert statuses[-1][0] == 507, statuses[-1]
    assert "nothing was stored" in statuses[-1][1]
    with record.reading() as view:
        assert len(list(view.every("Basic"))) == 9 * (len(statuses) - 1)
        assert view.read("Patient", "a") is not None
    room()
    assert asked(record, "POST", "", body)[0] == 200
    with record.reading() as view:
        assert len(list(view.every("Basic"))) == 9 * len(statuses)


def test_no_room_in_the_file_is_said_and_nothing_is_kept_by_halves(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path / 'record.db'}"
    migrate(place)
    small = Small(tmp_path / "record.db")
    with closing(SqlRepository(small, Clock())) as record:
        filled(record, lambda: setattr(small, "pages", 100_000))
    assert list(torture.sound(place)) == []


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A disk of four megabytes; only where one may be mounted."""
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a disk cannot be made here: needs the rights to mount one")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a disk cannot be made here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_nothing_is_kept_by_halves(tmp_path: Path) -> None:
    with disk(tmp_path / "small") as folder:
        ballast = folder / "ballast"
        ballast.write_bytes(b"x" * 2_000_000)
        with opened(f"sqlite:///{folder / 'record.db'}") as record:
            filled(record, ballast.unlink)


def test_a_full_disk_of_the_server_is_said() -> None:
    said = postgres.Postgres("").unavailable(psycopg.errors.DiskFull())
    assert said.full
    assert "nothing was stored" in str(said)


# --- gone, and back ---------------------------------------------------------------------------------------------------


def _moved(path: Path) -> None:
    path.rename(path.with_suffix(".away"))


def _replaced(path: Path) -> None:
    _moved(path)
    shutil.copy(path.with_suffix(".away"), path)


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


def _log_removed(path: Path) -> None:
    Path(f"{path}-wal").unlink()


@pytest.mark.parametrize("loss", [_moved, Path.unlink, _replaced, _emptied, _log_removed])
def test_a_file_that_is_no_longer_there_is_neither_read_nor_written(
    loss: Callable[[Path], None], tmp_path: Path
) -> None:
    """Else it would answer from a file that nobody will find again."""
    path = tmp_path / "record.db"
    with opened(f"sqlite:///{path}") as record:
        put(record, **patient("a"))
        assert read(record, "a")
        loss(path)
        for _ in range(2):
            assert asked(record, "GET", "Patient/a")[0] == 503
            status, said = asked(record, "PUT", "Patient/b", b'{"resourceType":"Patient","id":"b"}')
            assert status == 503
            assert "moved, removed or replaced" in said or (loss is _emptied and "damaged" in said)


def test_a_file_that_is_back_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    with opened(f"sqlite:///{path}") as record:
        put(record, **patient("a"))
        _moved(path)
        with pytest.raises(Unavailable):
            read(record, "a")
        path.with_suffix(".away").rename(path)
        assert read(record, "a")
        assert put(record, **patient("a")).version == 2
    assert [each.version for each in archive.stored(Sqlite(path))] == [1, 2]


def test_what_was_acknowledged_survives_the_loss_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    with opened(f"sqlite:///{path}") as record:
        for i in range(9):
            put(record, **patient(f"p{i}"))
        _log_removed(path)
        with pytest.raises(Unavailable):
            put(record, **patient("late"))
    assert [each.id for each in archive.stored(Sqlite(path))] == [f"p{i}" for i in range(9)]


def test_a_log_without_its_record_is_not_taken_for_a_new_record(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    with opened(f"sqlite:///{path}") as record:
        put(record, **patient("a"))
        shutil.copy(f"{path}-wal", tmp_path / "new.db-wal")
    with pytest.raises(BadInput, match="put its file back"):
        open_record(f"sqlite:///{tmp_path / 'new.db'}", Clock())
    (tmp_path / "new.db").touch()
    with pytest.raises(BadInput, match="put its file back"):
        open_record(f"sqlite:///{tmp_path / 'new.db'}", Clock())


@contextmanager
def shut(place: str) -> Iterator[None]:
    """A database that ends its connections and takes none. `make torture` stops and kills whole servers."""
    name = place.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(postgres_server().get_uri(), autocommit=True) as other:
        other.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        other.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield
        other.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")


def test_a_server_that_is_away_is_said_and_found_again() -> None:
    with opened(place := postgres_address()) as record:
        put(record, **patient("a"))
        assert read(record, "a")
        with shut(place):
            assert asked(record, "GET", "Patient/a")[0] == 503
            status, said = asked(record, "DELETE", "Patient/a")
            assert status == 503
            assert "may have been stored" in said
        assert read(record, "a")
        assert put(record, **patient("a")).version == 2


def test_connections_that_the_server_closed_meanwhile_are_replaced_unnoticed() -> None:
    with opened(place := postgres_address()) as record:
        put(record, **patient("a"))
        assert read(record, "a")
        with psycopg.connect(place, autocommit=True) as other:
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            other.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}")
        assert read(record, "a")
        assert put(record, **patient("a")).version == 2


@pytest.mark.parametrize("state", ["57P01", "08006", "58030", "XX000", None])
def test_an_error_that_may_come_after_the_commit_does_not_say_that_nothing_was_stored(state: str | None) -> None:
    error = psycopg.errors.lookup(state)() if state else psycopg.OperationalError()
    assert "may have been stored" in str(postgres.Postgres("").unavailable(error))


# --- locked, shared, not fit ------------------------------------------------------------------------------------------


@both
def test_a_lock_that_another_program_holds_is_said_and_waited_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WAIT_S", 0.05)
    monkeypatch.setattr(postgres, "WAIT_MS", 50)
    place = address(kind, tmp_path)
    with opened(place) as record, closing(backend(place).connect(writes=True)) as other:
        put(record, **patient("a"))
        backend(place).begin(other)
        with pytest.raises(Unavailable, match="another program holds the database: nothing was stored"):
            put(record, **patient("b"))
        assert read(record, "a")
        assert read(record, "b") is None
        other.execute("COMMIT")
        assert put(record, **patient("b")).version == 1


@both
def test_two_programs_that_write_the_same_lose_nothing(kind: str, tmp_path: Path) -> None:
    place = address(kind, tmp_path)

    def often(record: Repository) -> None:
        for _ in range(15):
            put(record, **patient("a"))

    with opened(place) as one, opened(place) as two:
        threads = [threading.Thread(target=often, args=(each,)) for each in (one, two) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [(each.key, each.version) for each in archive.stored(backend(place))] == [(n, n) for n in range(1, 91)]
    assert list(torture.sound(place)) == []


def test_a_value_that_the_database_cannot_hold_takes_nothing_with_it() -> None:
    """PostgreSQL takes no NUL in a text. Whoever shares the commit does not notice."""
    with opened(postgres_address()) as record:
        going, results = threading.Event(), dict[str, object]()

        def send(own: str, name: str) -> None:
            document = patient(own, name=[{"family": name}])
            try:
                results[own] = record.write(lambda unit: unit.put(document, rows(document))).version
            except (BadInput, Refusal, Unavailable) as error:
                results[own] = type(error)

        def hold(unit: Unit) -> None:
            going.wait()

        threads = [threading.Thread(target=record.write, args=(hold,))]
        threads += [threading.Thread(target=send, args=each) for each in (("a", "x"), ("b", "x\0y"), ("c", "x"))]
        for thread in threads:
            thread.start()
        going.set()
        for thread in threads:
            thread.join()
        assert results == {"a": 1, "b": BadInput, "c": 1}
        assert read(record, "b") is None


# --- copied meanwhile -------------------------------------------------------------------------------------------------


@both
def test_a_backup_during_load_is_the_record_as_it_was(kind: str, tmp_path: Path) -> None:
    place, path = address(kind, tmp_path), tmp_path / "backup.gz"
    enough = threading.Event()

    def often(own: str) -> None:
        while not enough.is_set():
            for each in (own, f"{own}-too"):
                put(record, **patient(each, birthDate="1985-03"))

    with opened(place) as record:
        put(record, **patient("first"))
        threads = [threading.Thread(target=often, args=(f"p{i}",)) for i in range(3)]
        for thread in threads:
            thread.start()
        taken = [archive.backup(backend(place), path).newest_key for _ in range(3)]
        enough.set()
        for thread in threads:
            thread.join()
    assert taken == sorted(taken)
    restored = address("sqlite", tmp_path)
    migrate(restored)
    archive.restore(path, backend(restored))
    now = [each for each in archive.stored(backend(place)) if each.key <= taken[-1]]
    assert list(archive.stored(backend(restored))) == now
    assert list(torture.sound(restored)) == []
