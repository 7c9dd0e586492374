"""The doctor finds what we break, names it, and changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adjunct.base import Refused
from adjunct.fhir.indexing import rows
from adjunct.fhir.repository import Unit
from adjunct.fhir.sql.opening import backend, open_record
from adjunct.serve.doctor import Finding, examine, exit_code

NOW = 1_795_000_000_000
SECRET = "Zaphodsecret"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "record.db"
    record = open_record(f"sqlite:///{path}", lambda: NOW)

    def one(own: str) -> Callable[[Unit], Any]:
        def work(unit: Unit) -> None:
            document: Any = {"resourceType": "Patient", "id": own, "name": [{"family": SECRET}], "active": True}
            unit.put(document, rows(document))

        return work

    for own in ("a", "b", "a", "c", "a"):
        record.write(one(own))
    record.write(lambda unit: unit.delete("Patient", "c"))
    record.close()
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "record.db"))


def look(path: Path, *, now: int = NOW, knowledge: Callable[[], str] = lambda: "edition") -> tuple[Finding, ...]:
    found = examine(backend(f"sqlite:///{path}"), now=now, place=path, knowledge=knowledge)
    assert SECRET not in json.dumps(found)
    return found


def bad(found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.check, finding.state) for finding in found if finding.state != "well"]


def test_a_whole_record_is_well(path: Path) -> None:
    found = look(path)
    assert [finding.check for finding in found] == [
        "software", "knowledge", "database", "versions", "clock", "indexes", "disk",
    ]  # fmt: skip
    assert (bad(found), exit_code(found)) == ([], 0)
    assert next(f.says for f in found if f.check == "versions") == "6 versions of 3 resources, without a gap"


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("DELETE FROM version WHERE id = 'a' AND version = 2", "versions"),
        ("DELETE FROM version WHERE id = 'a' AND version = 1", "versions"),
        ("DELETE FROM version WHERE id = 'a' AND version = 3", "versions"),
        ("UPDATE version SET until = NULL WHERE id = 'a' AND version = 1", "versions"),
        ("UPDATE version SET until = 2 WHERE id = 'a' AND version = 1", "versions"),
        ("DELETE FROM string WHERE key = 2", "indexes"),
        ("UPDATE string SET folded = 'other' WHERE key = 5", "indexes"),
        ("INSERT INTO token (idx, code, key, element, system) VALUES (1, 'x', 2, 0, '')", "indexes"),
    ],
)
def test_damage_is_found(damage: str, check: str, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    before = path.read_bytes()
    found = look(path)
    assert (bad(found), exit_code(found)) == ([(check, "wrong")], 3)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    ["x'7b'", "x'ff'", "x'5b5d'", "'[1'", "NULL", "7"],
    ids=["cut", "no text", "a list", "text", "none", "number"],
)
def test_damaged_content_is_told_and_the_other_checks_go_on(content: str, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE version SET content = {content} WHERE id IN ('a', 'b') AND version = 1")
        connection.execute("DELETE FROM version WHERE id = 'a' AND version = 2")
    connection.close()
    found = look(path)
    assert (bad(found), exit_code(found)) == ([("versions", "wrong"), ("indexes", "wrong")], 3)
    said = next(finding.says for finding in found if finding.check == "indexes")
    assert said.startswith("2 of 4 resources")
    assert "(Patient version 1)" in said
    assert found[-1].check == "disk"


def test_a_check_that_cannot_be_done_stops_no_other(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE uri")
    connection.close()
    found = look(path)
    assert (bad(found), exit_code(found)) == ([("indexes", "wrong")], 3)
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE version RENAME COLUMN version TO other")
    connection.close()
    assert bad(look(path)) == [("versions", "wrong"), ("indexes", "wrong")]


def test_a_damaged_file_is_found(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : 2 * len(content) // 3] = b"\xff" * (2 * len(content) // 3 - len(content) // 3)
    path.write_bytes(content)
    found = look(path)
    assert ("database", "wrong") in bad(found)
    assert exit_code(found) == 3


@pytest.mark.parametrize(("behind_s", "states"), [(-3600, []), (0, []), (59, []), (61, [("clock", "attend")])])
def test_a_clock_that_stepped_back_needs_attention(behind_s: int, states: list[tuple[str, str]], path: Path) -> None:
    found = look(path, now=NOW - behind_s * 1000)
    assert (bad(found), exit_code(found)) == (states, 2 if states else 0)


def test_a_disk_that_fills_needs_attention(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    found = look(path)
    assert (bad(found), exit_code(found)) == ([("disk", "attend")], 2)


def test_knowledge_that_cannot_be_used_is_wrong(path: Path) -> None:
    def missing() -> str:
        raise Refused("knowledge.json is missing")

    found = look(path, knowledge=missing)
    assert (bad(found), exit_code(found)) == ([("knowledge", "wrong")], 3)


def test_a_record_without_a_resource_is_well(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    open_record(f"sqlite:///{path}", lambda: NOW).close()
    assert exit_code(look(path)) == 0
