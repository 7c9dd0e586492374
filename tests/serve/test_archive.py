"""Backup and restore: what comes back is what was kept, byte by byte, or nothing comes back."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import BadInput
from adjunct.fhir.indexing import rows
from adjunct.fhir.repository import Stored, Unit
from adjunct.fhir.sql.opening import backend, migrate, open_record
from adjunct.fhir.sql.statement import Connection, Statements
from adjunct.fhir.sql.store import SqlRepository
from adjunct.fhir.sql.unit import Pending, write
from adjunct.fhir.wire import read_exact
from adjunct.serve import archive
from stores import postgres_address

NOW = 1_795_000_000_000
EXACT = (
    b'{"resourceType":"Observation","id":"exact","status":"final","code":{"text":"\xc3\xa4\\""},'
    b'"valueQuantity":{"value":120.50}}'
)


def put(text: bytes) -> Any:
    def work(unit: Unit) -> Stored:
        document: Any = read_exact(text)
        return unit.put(document, rows(document))

    return work


def patient(own: str, family: str = "Muster") -> bytes:
    return json.dumps({"resourceType": "Patient", "id": own, "name": [{"family": family}]}).encode()


def fill(record: SqlRepository) -> None:
    for text in (patient("a"), EXACT, patient("a", "Meier"), patient("b"), patient("c")):
        record.write(put(text))
    record.write(lambda unit: unit.delete("Patient", "b"))
    record.write(put(patient("b", "again")))
    record.write(lambda unit: unit.erase("Patient", "c"))


def address(folder: Path, name: str) -> str:
    return f"sqlite:///{folder / name}"


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[SqlRepository]:
    record = open_record(address(tmp_path, "kept.db"), lambda: NOW)
    fill(record)
    yield record
    record.close()


@pytest.fixture
def packed(kept: SqlRepository, tmp_path: Path) -> Path:
    path = tmp_path / "backup.gz"
    archive.backup(backend(address(tmp_path, "kept.db")), path)
    return path


def everything(database: str) -> list[Stored]:
    return list(archive.stored(backend(database)))


def empty(folder: Path) -> str:
    made = address(folder, "new.db")
    migrate(made)
    return made


def test_a_restored_record_is_the_record(kept: SqlRepository, packed: Path, tmp_path: Path) -> None:
    target = empty(tmp_path)
    done = archive.restore(packed, backend(target))
    assert (done.versions, done.types) == (6, {"Observation": 1, "Patient": 5})
    assert everything(target) == everything(address(tmp_path, "kept.db"))
    restored = open_record(target, lambda: NOW)
    with kept.reading() as before, restored.reading() as after:
        for own in ("a", "b", "c"):
            assert after.read("Patient", own) == before.read("Patient", own)
            assert after.history("Patient", own, count=9) == before.history("Patient", own, count=9)
        assert list(after.every("Patient")) == list(before.every("Patient"))
        found = after.read("Observation", "exact")
    assert found is not None
    assert b"120.50" in (found.content or b"")
    assert restored.write(put(patient("a"))).version == 3
    restored.close()


def test_index_rows_are_made_again(kept: SqlRepository, packed: Path, tmp_path: Path) -> None:
    target = empty(tmp_path)
    archive.restore(packed, backend(target))
    for table in ("token", "string", "date", "quantity", "version"):
        text = f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4"
        before, after = (
            backend(database).connect(writes=False).execute(text).fetchall()
            for database in (address(tmp_path, "kept.db"), target)
        )
        assert before == after
        assert before or table != "string"


def test_a_backup_is_one_moment_while_others_write(kept: SqlRepository, tmp_path: Path) -> None:
    """A transaction that commits in the middle of reading is in it wholly or not at all."""
    before = everything(address(tmp_path, "kept.db"))
    reading = archive.stored(backend(address(tmp_path, "kept.db")))
    first = next(reading)
    writer = threading.Thread(target=lambda: kept.write(put(patient("late"))))
    writer.start()
    writer.join()
    assert [first, *reading] == before
    assert len(everything(address(tmp_path, "kept.db"))) == len(before) + 1


def test_the_same_record_gives_the_same_archive(kept: SqlRepository, packed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.gz"
    archive.backup(backend(address(tmp_path, "kept.db")), again)
    assert again.read_bytes() == packed.read_bytes()
    assert again.stat().st_mode & 0o077 == 0


def test_a_record_moves_to_the_other_database_and_back(packed: Path, tmp_path: Path) -> None:
    postgres = postgres_address()
    migrate(postgres)
    archive.restore(packed, backend(postgres))
    there, here = tmp_path / "there.gz", empty(tmp_path)
    archive.backup(backend(postgres), there)
    assert there.read_bytes() == packed.read_bytes()
    archive.restore(there, backend(here))
    assert everything(here) == everything(address(tmp_path, "kept.db"))
    with pytest.raises(BadInput, match="--replace"):
        archive.restore(packed, backend(postgres))
    assert archive.restore(packed, backend(postgres), replace=True) == archive.verified(packed)


# --- what is not whole ------------------------------------------------------------------------------------------------


def lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def signed(*body: bytes) -> bytes:
    """Somebody who edits can count again, but not without the order and form that we write."""
    manifest = json.loads(body[-1])["manifest"]
    digest = hashlib.sha256(b"".join(body[:-1])).hexdigest()
    told = {
        "versions": len(body) - 2,
        "newest_key": manifest["newest_key"],
        "types": manifest["types"],
        "sha256": digest,
    }
    return b"".join(body[:-1]) + json.dumps({"manifest": told}, separators=(",", ":")).encode() + b"\n"


EDITS = {
    "a name changed": lambda found: b"".join(found).replace(b"Muster", b"Master"),
    "a version left out": lambda found: b"".join(found[:2] + found[3:]),
    "two versions exchanged": lambda found: b"".join([found[0], found[2], found[1], *found[3:]]),
    "the manifest left out": lambda found: b"".join(found[:-1]),
    "the manifest twice": lambda found: b"".join(found + found[-1:]),
    "something after it": lambda found: b"".join(found) + b"\n",
    "another count": lambda found: b"".join(found).replace(b'"versions":6', b'"versions":7'),
    "another type counted": lambda found: b"".join(found).replace(b'"types":{"Obs', b'"types":{"Abs'),
    "another format": lambda found: b"".join(found).replace(b'"format":1', b'"format":2'),
    "a line of something else": lambda found: b"".join([found[0], b"[]\n", *found[1:]]),
    "a key that goes back": lambda found: signed(found[0], found[2], found[1], *found[3:]),
    "blanks in a line": lambda found: signed(found[0], found[1].replace(b":", b": ", 1), *found[2:]),
    "empty": lambda found: b"",
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_archive_is_refused_and_nothing_is_touched(edit: str, packed: Path, tmp_path: Path) -> None:
    whole = lines(packed)
    assert EDITS["a name changed"](whole) != b"".join(whole)
    packed.write_bytes(gzip.compress(EDITS[edit](whole)))
    target = empty(tmp_path)
    with pytest.raises(BadInput, match=r"not a whole archive.*backup\.gz"):
        archive.restore(packed, backend(target))
    assert everything(target) == []


@given(st.data())
def test_a_torn_archive_is_refused(data: st.DataObject) -> None:
    whole = TORN.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    torn = data.draw(st.sampled_from(["cut", "bit"]))
    if torn == "cut":
        broken = whole[:place]
    else:
        broken = whole[:place] + bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[place + 1 :]
    path = TORN.with_name("torn.gz")
    path.write_bytes(broken)
    if torn == "bit" and place in GZIP_SAYS_LITTLE:
        return
    with pytest.raises(BadInput, match="not a whole archive"):
        archive.verified(path)


GZIP_SAYS_LITTLE = (4, 5, 6, 7, 8, 9)  # a time, a level and a system, which change nothing of what is inside
TORN = Path()


@pytest.fixture(autouse=True, scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> None:
    global TORN
    TORN = tmp_path_factory.mktemp("torn") / "whole.gz"
    archive.write([Stored(1, "Patient", "a", 1, NOW, patient("a")), Stored(2, "Patient", "a", 2, NOW, None)], TORN)


def test_a_record_is_replaced_only_when_told_so(packed: Path, tmp_path: Path) -> None:
    other = open_record(address(tmp_path, "other.db"), lambda: NOW)
    other.write(put(patient("somebody")))
    database = address(tmp_path, "other.db")
    before = everything(database)
    with pytest.raises(BadInput, match="--replace"):
        archive.restore(packed, backend(database))
    assert everything(database) == before
    archive.restore(packed, backend(database), replace=True)
    assert everything(database) == everything(address(tmp_path, "kept.db"))
    with other.reading() as record:  # a server that is running sees it from the commit on
        assert record.read("Patient", "somebody") is None
        assert record.read("Patient", "a") is not None
    other.close()


def test_a_restore_that_does_not_come_out_equal_keeps_nothing(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(connection: Connection, said: Statements, pending: Sequence[Pending]) -> None:
        del pending[0].versions[1:]
        write(connection, said, pending)

    monkeypatch.setattr(archive, "write_rows", forgetful)
    target = empty(tmp_path)
    with pytest.raises(BadInput, match="not what the archive holds"):
        archive.restore(packed, backend(target))
    assert everything(target) == []


def test_a_backup_that_cannot_be_written_leaves_the_last_one(kept: SqlRepository, tmp_path: Path) -> None:
    path = tmp_path / "backup.gz"
    path.write_bytes(b"the last one")

    def breaks() -> Iterator[Stored]:
        yield Stored(1, "Patient", "a", 1, NOW, patient("a"))
        raise OSError(28, "No space left on device")

    with pytest.raises(BadInput, match="No space left"):
        archive.write(breaks(), path)
    assert path.read_bytes() == b"the last one"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    with pytest.raises(BadInput, match="cannot be written"):
        archive.write([], tmp_path / "nowhere" / "backup.gz")
