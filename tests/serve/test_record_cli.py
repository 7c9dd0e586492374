"""`adjunct load`, `erase`, `retention`, and the commands that read a person out of a record."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from tests.bundles import NOW as AT
from tests.bundles import person
from typer.testing import CliRunner

import adjunct
from adjunct.base import BadInput
from adjunct.cli import assessment, measures, planning, record, serve, session
from adjunct.fhir import retention

SECRET = "Zaphodsecret"
APP = typer.Typer()
for commands in (assessment, measures, planning, record, serve):
    commands.register(APP)
APP.add_typer(session.app, name="session")


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """The commands keep what they write for its owner; in a process of their own that ends with them."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def run(*words: str | Path) -> Result:
    own = {name: None for name in os.environ if name.startswith("ADJUNCT_")}
    return CliRunner().invoke(APP, list(map(str, words)), env=own)


def refused(done: Result) -> str:
    assert isinstance(done.exception, BadInput), done.output
    return str(done.exception)


@pytest.fixture
def database(tmp_path: Path) -> str:
    (tmp_path / "db").mkdir()
    return f"sqlite:///{tmp_path / 'db' / 'record.db'}"


def bundle(**more: Any) -> dict[str, Any]:
    return person(age=44, sex="F", takes=["sertraline 150 mg"], measures={"systolic": 190}, **more)


def loaded(folder: Path, database: str, document: Any) -> Result:
    path = folder / "given.json"
    path.write_text(json.dumps(document), "utf-8")
    return run("load", path, "--database", database)


# --- load -------------------------------------------------------------------------------------------------------------


def test_lines_are_stored_one_by_one_and_the_refused_are_named(tmp_path: Path, database: str) -> None:
    first, second, report = tmp_path / "a.ndjson", tmp_path / "b.ndjson.gz", tmp_path / "report.json"
    ana, bo = b'{"resourceType":"Patient","id":"ana"}\n', b'{"resourceType":"Patient","id":"bo"}\n'
    wrong = b'{"resourceType":"Patient","gender":"%s"}\n' % SECRET.encode()
    first.write_bytes(ana + b"\n" + wrong + b"{")
    second.write_bytes(gzip.compress(bo + wrong))
    done = run("load", first, second, "--database", database, "--report", report)
    assert (done.exit_code, done.stdout) == (2, "")
    *lines, last = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["a.ndjson:3", "a.ndjson:4", "b.ndjson.gz:2"]
    assert last == "stored: 2, refused: 3"
    said = json.loads(report.read_bytes())
    assert (said["stored"], [(r["file"], r["line"]) for r in said["refused"]]) == (
        2,
        [("a.ndjson", 3), ("a.ndjson", 4), ("b.ndjson.gz", 2)],
    )
    assert said["refused"][0]["issues"][0]["expression"] == "Patient.gender"
    assert SECRET not in done.stderr + report.read_text("utf-8")
    assert report.stat().st_mode & 0o077 == 0
    assert run("load", second, "--database", database).exit_code == 2
    second.write_bytes(gzip.compress(bo))
    assert run("load", second, "--database", database).exit_code == 0


def test_a_bundle_is_stored_whole_with_its_references_or_not_at_all(tmp_path: Path, database: str) -> None:
    patient = {"fullUrl": "urn:uuid:5d6f8e9a-0000-4000-8000-000000000001", "resource": {"resourceType": "Patient"}}
    pulse = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "pulse"},
        "subject": {"reference": patient["fullUrl"]},
    }
    given = {"resourceType": "Bundle", "type": "collection", "entry": [patient, {"resource": pulse}]}
    broken = given | {"entry": [patient, {"resource": pulse | {"status": SECRET}}]}
    done = loaded(tmp_path, database, broken)
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, "stored: 0, refused: 1")
    assert "given.json:1: Bundle.entry[1].resource.status" in done.stderr
    assert SECRET not in done.stderr
    done = loaded(tmp_path, database, given)
    assert (done.exit_code, done.stderr) == (0, "stored: 2, refused: 0\n")
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT DISTINCT type FROM reference").fetchall() == [("Patient",)]
        kept = dict(connection.execute("SELECT type, id FROM version").fetchall())
        assert connection.execute("SELECT id FROM reference").fetchone() == (kept["Patient"],)
    connection.close()
    history = given | {"type": "history"}
    assert "Bundle.type" in loaded(tmp_path, database, history).stderr
    steps = [
        {"resource": {"resourceType": "Patient", "id": "x"}, "request": {"method": "PUT", "url": "Patient/x"}},
        {"request": {"method": "DELETE", "url": "Patient?_id=never"}},
        {"resource": {"resourceType": "Patient", "gender": SECRET}, "request": {"method": "POST", "url": "Patient"}},
    ]
    done = loaded(tmp_path, database, {"resourceType": "Bundle", "type": "batch", "entry": steps})
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, "stored: 2, refused: 1")
    assert loaded(tmp_path, database, {"resourceType": "Patient", "id": "y"}).stderr == "stored: 1, refused: 0\n"


def test_what_cannot_be_loaded_is_one_line(tmp_path: Path, database: str) -> None:
    torn = tmp_path / "torn.ndjson.gz"
    torn.write_bytes(gzip.compress(b'{"resourceType":"Patient"}\n' * 50)[:-9])
    (tmp_path / "plain.ndjson.gz").write_bytes(b'{"resourceType":"Patient"}\n')
    for name, said in [
        ("torn.ndjson.gz", "torn"),
        ("plain.ndjson.gz", "gzip"),
        ("x.csv", "ends in|end in"),
        ("none.ndjson", "cannot be read"),
    ]:
        assert any(part in refused(run("load", tmp_path / name, "--database", database)) for part in said.split("|"))


# --- erase and retention ----------------------------------------------------------------------------------------------


def traces(database: str, word: bytes) -> bool:
    folder = Path(database.removeprefix("sqlite:///")).parent
    return any(word.lower() in path.read_bytes().lower() for path in folder.iterdir())


def test_to_erase_takes_a_yes_and_leaves_no_trace(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept, sweep = [], retention.sweep
    monkeypatch.setattr(retention, "sweep", lambda backend: [sweep(backend), swept.append(backend)])
    given = bundle()
    given["entry"][0]["resource"]["name"] = [{"family": SECRET}]
    loaded(tmp_path, database, given)
    loaded(tmp_path, database, {"resourceType": "Practitioner", "id": "dr"})
    report = tmp_path / "report.json"
    tried = run("erase", "Patient/p", "--database", database, "--report", report)
    assert (tried.exit_code, tried.stderr) == (0, "nothing was changed: say --yes to erase\n")
    before = json.loads(report.read_bytes())
    assert (before["erased"], before["resources"], before["versions"]) == (
        False,
        {"MedicationStatement": 1, "Observation": 1, "Patient": 1},
        3,
    )
    assert (traces(database, SECRET.encode()), swept) == (True, [])
    assert run("assess", "Patient/p", "--for", "none", "--at", AT, "--database", database).exit_code == 0
    done = run("erase", "Patient/p", "--database", database, "--report", report, "--yes")
    assert (done.exit_code, done.stderr) == (0, "erased\n")
    assert SECRET not in done.output
    after = json.loads(report.read_bytes())
    assert after == before | {"erased": True, "at": after["at"]}
    assert "backups" in after["remains"][0]
    assert (traces(database, SECRET.encode()), traces(database, b"Patient/p")) == (False, False)
    assert traces(database, b"Practitioner")
    assert len(swept) == 1
    assert "nobody" in refused(run("erase", "Patient/p", "--database", database, "--yes"))
    assert len(swept) == 2  # as after a run that was stopped half-way
    assert "Patient/ID" in refused(run("erase", "p", "--database", database))


def test_retention_takes_those_of_whom_nothing_was_written(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(tmp_path, database, {"resourceType": "Patient", "id": "old"})
    real = record.now()
    monkeypatch.setattr(record, "now", lambda: real + 5 * 366 * 86_400_000)
    kept, gone = (run("retention", "--years", years, "--database", database, "--yes") for years in ("6", "5"))
    assert kept.stdout.splitlines()[0] == "people: 0, versions of what is theirs alone: 0"
    assert gone.stdout.splitlines()[:2] == ["people: 1, versions of what is theirs alone: 1", "  Patient: 1"]
    assert not traces(database, b'"old"')
    assert run("retention", "--database", database).exit_code == 2  # no number of years is ours to choose
    assert "years" in refused(run("retention", "--years", "0", "--database", database))


def test_whatever_is_done_with_a_record_is_said_as_json_too(tmp_path: Path, database: str) -> None:
    """The same as the note on standard error says, and nothing else on standard output."""
    (tmp_path / "ana.json").write_text('{"resourceType": "Patient", "id": "ana"}', "utf-8")
    (tmp_path / "wrong.json").write_text('{"resourceType": "Patient", "gender": 7}', "utf-8")
    archive, other = tmp_path / "x.gz", f"sqlite:///{tmp_path / 'other.db'}"

    def said(*words: str | Path) -> dict[str, Any]:
        done = run(*words, "--json")
        assert done.exit_code == (2 if "wrong.json" in str(words) else 0), done.output
        return dict(json.loads(done.stdout))

    assert said("load", tmp_path / "ana.json", "--database", database) == {"stored": 1, "refused": []}
    wrong = said("load", tmp_path / "wrong.json", "--database", database)
    assert (wrong["stored"], wrong["refused"][0]["issues"][0]["expression"]) == (0, "Patient.gender")
    kept = said("backup", archive, "--database", database)
    assert (kept["versions"], kept["types"]) == (1, {"Patient": 1})
    assert said("restore", archive, "--database", other) == kept
    out = ("--out", tmp_path / "ana.ndjson")
    assert said("export", "ana", *out, "--database", database) == {"resources": 1}
    for words in (("erase", "Patient/ana"), ("retention", "--years", "5")):
        report = tmp_path / "report.json"
        told = said(*words, "--database", database, "--report", report)
        assert told | {"at": 0} == json.loads(report.read_bytes()) | {"at": 0}
        assert told["erased"] is False


# --- a person out of the record ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("assess", "--for", "ketamine-iv"),
        ("plan", "--protocol", "esketamine-trd", "--start", "2027-01-11"),
        ("follow",),
        ("routine",),
        ("safety-plan",),
    ],
)
def test_what_is_in_the_record_is_answered_as_from_a_file(
    tmp_path: Path, database: str, words: tuple[str, ...]
) -> None:
    loaded(tmp_path, database, bundle())
    command, *options = words
    common = (*options, "--at", AT, "--country", "US", "--json")
    out = run(command, "Patient/p", "--database", database, *common)
    assert out.exit_code == 0, out.output
    assert json.loads(out.stdout) == json.loads(run(command, tmp_path / "given.json", *common).stdout)


def test_kept_answers_are_in_the_record(tmp_path: Path, database: str) -> None:
    loaded(tmp_path, database, bundle())
    out = run("assess", "Patient/p", "--for", "none", "--at", AT, "--database", database, "--keep", "--json")
    assert json.loads(out.stdout) == json.loads(adjunct.assess(bundle(), treatment="none", at=AT).to_json())
    assert out.stderr.startswith("kept: ")
    again = run("assess", "Patient/p", "--for", "none", "--at", AT, "--database", database, "--keep")
    assert again.stderr == "kept: 0 resources\n"
    plan = ("plan", "Patient/p", "--protocol", "esketamine-trd", "--start", "2027-01-11", "--at", AT)
    planned = run(*plan, "--database", database, "--keep")
    assert planned.exit_code == 0, planned.exception
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        types = {kind for (kind,) in connection.execute("SELECT DISTINCT type FROM version")}
    connection.close()
    assert types >= {"GuidanceResponse", "CarePlan"}
    done = run("erase", "Patient/p", "--database", database, "--yes")  # and they go with the person
    assert done.stdout.count("kept because others share it or it only names them: 0") == 1, done.stdout


def test_a_treatment_day_and_a_follow_up_are_kept_once(tmp_path: Path, database: str) -> None:
    examples = Path(adjunct.__file__).parent / "examples"
    loaded(
        tmp_path,
        database,
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": {"resourceType": "Patient", "id": "mara"}}],
        },
    )
    day = ("session", "replay", examples / "treatment-day.jsonl", "--at", "2026-11-23T12:00:00-06:00")
    assert "kept: 0" not in run(*day, "--database", database, "--keep").output
    assert "kept: 0 resources" in run(*day, "--database", database, "--keep").output
    followed = ("follow", "Patient/mara", "--at", "2026-11-24T12:00:00-06:00", "--database", database)
    assert "kept:" in run(*followed, "--keep").output
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        kinds = {row[0] for row in connection.execute("SELECT DISTINCT type FROM version")}
    assert {"Encounter", "MedicationAdministration", "Observation", "Patient"} <= kinds
    strangers = run(*day[:2], examples / "mara-day.jsonl", "--database", database + ".none", "--keep")
    assert strangers.exit_code != 0


def test_a_person_and_a_file_are_told_apart(tmp_path: Path, database: str) -> None:
    loaded(tmp_path, database, bundle())
    common = ("--for", "none", "--at", AT)
    assert "nobody" in refused(run("assess", "Patient/q", *common, "--database", database))
    assert "Patient/ID" in refused(run("assess", tmp_path / "given.json", *common, "--database", database))
    kept = run("assess", tmp_path / "given.json", *common, "--keep")
    assert "--keep" in refused(kept)
    assert kept.stdout  # the answer is not lost
    assert "no record here" in refused(run("follow", "Patient/p", "--database", f"sqlite:///{tmp_path}/none.db"))
    assert "--database" in refused(run("follow", "courses.csv", "--database", database))
