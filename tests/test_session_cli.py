"""One rehearsed day through every `adjunct session` command: played, read back, asked, signed, written, published."""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import tomllib
from fcntl import ioctl
from pathlib import Path

import pytest

import adjunct
from adjunct.base import BadInput
from adjunct.demo import bundle_path
from adjunct.knowledge import Knowledge
from adjunct.session import Shape, read_items
from sessions import Log

ADJUNCT = [sys.executable, "-m", "adjunct.cli", "session"]
DOSE_AT = "2027-01-11T09:09:30+01:00"


def run(*words: str, given: bytes = b"") -> str:
    done = subprocess.run([*ADJUNCT, *words], input=given, capture_output=True, env=os.environ | {"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a quiet nasal session."""
    log = tmp_path_factory.mktemp("day") / "day.jsonl"
    said = run("simulate", "--scenario", "quiet-nasal", "--out", str(log))
    assert [line.split()[-1] for line in said.splitlines()] == ["arrived", "dosing", "observing", "discharged"]
    return log


def test_a_played_day_is_read_back(day: Path) -> None:
    words = run("replay", str(day))
    assert "quiet-nasal-1: discharged" in words
    assert "Given 84 mg from 09:10:00." in words
    assert not any(title in words for title in ("alarms", "gaps", "flags", "due now"))
    told = json.loads(run("replay", "-", "--json", given=day.read_bytes()))
    assert told["state"]["phase"] == "discharged"
    assert (told["alarms"], told["gaps"]) == ([], [])
    assert {"state", "alarms", "due", "gaps"} <= told.keys()


def test_a_day_is_published(day: Path) -> None:
    bundle = json.loads(run("replay", str(day), "--fhir"))
    kinds = [e["resource"]["resourceType"] for e in bundle["entry"]]
    assert (kinds.count("Encounter"), kinds.count("MedicationAdministration")) == (1, 3)


def test_what_is_open_before_the_dose_comes_first(day: Path) -> None:
    """Everything that the nurse asks was asked; what stands open is of the record, which nobody gave."""
    told = json.loads(run("ready", str(day), "--at", DOSE_AT, "--json"))
    questions = [q["open"] != "" for q in told["questions"]]
    assert questions == sorted(questions, reverse=True)
    assert told["verdict"] == "DEFER"
    assert "DEFER" in run("ready", str(day), "--at", DOSE_AT).splitlines()[0]


def test_what_is_open_is_asked_once(day: Path) -> None:
    told = " ".join(run("ready", str(day), "--at", DOSE_AT).split())
    assert told.count("- Age:") == 1
    assert told.count("- Alanine aminotransferase") == 1
    assert "- Itching:" in told  # asked for by itself as well as with the enzymes
    whole = json.loads(run("ready", str(day), "--at", DOSE_AT, "--json"))["questions"]
    assert [q["id"] for q in whole if q["open"]].count("age") == 3  # each rule that waits for it


def test_an_override_is_told_with_its_time(day: Path) -> None:
    decided = {"item": "bmi, weight", "prescriber": "Dr Vega", "reason": "weighed last week"}
    at = "2027-01-11T09:08:00+01:00"
    event = {"id": "o1", "at": at, "received": at, "type": "override", "by": "Dr Vega", "source": "chair"}
    line = json.dumps(event | {"data": decided, "session": "quiet-nasal-1"}).encode()
    told = json.loads(run("ready", "-", "--at", DOSE_AT, "--json", given=day.read_bytes() + line))
    (held,) = (q for q in told["questions"] if q["override"])
    assert held["override"] == {"prescriber": "Dr Vega", "reason": "weighed last week", "at": at, "refused": ""}
    asked = {q["id"]: q for q in told["questions"]}
    assert asked["escort"]["at"] == "2027-01-11T09:03:00+01:00"


NUMBER = "01555 0100 200"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clinic") / "clinic.toml"
    path.write_text(f'[clinic]\nname = "Harbour Street"\nemergency = "{NUMBER}"\n')
    return path


def test_first_actions_name_the_number_that_this_clinic_calls(clinic: Path, tmp_path: Path) -> None:
    log, place = tmp_path / "day.jsonl", ("--clinic", str(clinic))
    played = run("simulate", "--scenario", "anaphylaxis", "--out", str(log), "--json", *place)
    read = run("replay", str(log), "--json", *place)
    assert NUMBER in played
    assert read == played
    given = tomllib.loads(clinic.read_text())
    assert adjunct.replay(log, clinic=given).to_json() + "\n" == read
    assert NUMBER not in adjunct.replay(log).to_json()
    items = read_items(log.read_bytes().splitlines(), Shape.of(Knowledge.load()))
    seen = (seen for tick in adjunct.watch(items, clock=(), clinic=given) for seen in tick.seen)
    assert any(NUMBER in says for one in seen for alarm in one.alarms for says in alarm.says)


@pytest.mark.parametrize("command", ["replay", "simulate"])
def test_a_clinic_that_cannot_be_read_is_refused(command: str, day: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[clinic]\nemergency = 112\n")
    what = (str(day),) if command == "replay" else ("--scenario", "anaphylaxis", "--out", str(tmp_path / "out.jsonl"))
    done = subprocess.run([*ADJUNCT, command, *what, "--clinic", str(wrong)], capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"settings.clinic" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_a_wrong_file_of_the_clinic_keeps_no_emergency_back(tmp_path: Path) -> None:
    knowledge = Knowledge.load()
    log = Log(knowledge)
    log.infusion()
    log.add(10, "event", sign="seizure", present=True)
    with pytest.raises(BadInput) as refused:
        adjunct.replay(log.events, clinic={"clinic": {"emergency": 112}}, knowledge=knowledge)
    assert any("dose" in says for says in refused.value.advice)
    quiet = Log(knowledge)
    with pytest.raises(BadInput) as refused:
        adjunct.replay(quiet.events, clinic={"clinic": {"emergency": 112}}, knowledge=knowledge)
    assert refused.value.advice == ()


def test_a_discharge_is_signed_once_the_gate_is_open(day: Path, tmp_path: Path) -> None:
    lines = day.read_text().splitlines(keepends=True)
    unsigned = [line for line in lines if '"discharged"' not in line]
    assert len(unsigned) == len(lines) - 1
    log = tmp_path / "open.jsonl"
    log.write_text("".join(unsigned))
    event = json.loads(run("sign", str(log), "--by", "Nurse Ito", "--role", "nurse"))
    assert (event["type"], event["data"]) == ("discharged", {"signed_by": "Nurse Ito", "role": "nurse"})
    early = "".join(line for line in unsigned if json.loads(line)["at"] < "2027-01-11T10:45")
    words = [*ADJUNCT, "sign", "-", "--by", "Nurse Ito", "--role", "nurse"]
    refused = subprocess.run(words, input=early.encode(), capture_output=True)
    assert refused.returncode == 2
    assert b"Watched long enough" in refused.stderr
    assert refused.stdout == b""


def test_the_papers_of_a_day(day: Path, tmp_path: Path) -> None:
    run("report", str(day), "--out", str(tmp_path / "papers"))
    names = {path.name for path in (tmp_path / "papers").iterdir()}
    assert names == {f"{name}.{kind}" for name in ("treatment-day", "monitoring-form") for kind in ("html", "pdf")}


def test_who_the_person_is_stands_on_the_form_from_the_record_of_the_same_person(tmp_path: Path) -> None:
    log, told = str(bundle_path("mara-day.jsonl")), str(bundle_path("mara-story.json"))
    run("report", log, "--out", str(tmp_path / "without"))
    run("report", log, "--out", str(tmp_path / "with"), "--record", told)
    before, after = ((tmp_path / where / "monitoring-form.html").read_text() for where in ("without", "with"))
    for said in ("Quiroga", "1985-02-11", "female"):
        assert said not in before
        assert said in after
    said = tmp_path / "answers.toml"
    said.write_text('[monitoring]\nfamily_name = "Klein"\n')  # what a person says comes before the record
    run("report", log, "--out", str(tmp_path / "said"), "--record", told, "--answers", str(said))
    words = (tmp_path / "said" / "monitoring-form.html").read_text()
    assert "Klein" in words
    assert "Quiroga" not in words
    other = str(bundle_path("ben-kratom-this-morning.json"))
    done = subprocess.run(
        [*ADJUNCT, "report", log, "--out", str(tmp_path / "other"), "--record", other], capture_output=True
    )
    assert done.returncode == 2
    assert b"another person" in done.stderr
    assert not (tmp_path / "other").exists()


def test_the_book_as_json_is_in_the_calendar_of_the_clinic() -> None:
    told = json.loads(run("stock", str(bundle_path("ledger.jsonl")), "--at", "2026-11-23T23:00:00Z", "--json"))
    assert told["now"] == "2026-11-23T17:00:00-06:00"
    assert {lot["expires"] for lot in told["lots"]} == {"2028-03-31T23:59:59-06:00", "2027-06-30T23:59:59-06:00"}
    assert told["lines"][0]["entry"]["at"] == "2026-11-16T08:10:00-06:00"


def test_messages_become_lines_and_a_ledger_is_added_up() -> None:
    tied, sent, book = (str(bundle_path(name)) for name in ("monitor-tied.jsonl", "monitor.hl7", "ledger.jsonl"))
    lines = [json.loads(line) for line in run("messages", sent, "--log", tied).splitlines()]
    assert {line.get("type", "held") for line in lines} == {"vitals", "held"}
    assert "in the book" in run("stock", book, "--at", "2026-11-23T17:00:00-06:00")


FRAME = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_a_live_screen_shows_the_alarm_within_its_size() -> None:
    """What a real terminal gets: pictures that fit it, an emergency with its first action, who is there, its end."""
    columns, rows = 80, 24
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    variables = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")} | {"TERM": "xterm"}
    words = [*ADJUNCT, "simulate", "--scenario", "anaphylaxis", "--speed", "0"]
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, stdin=theirs, env=variables) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:  # Linux reports the end of a terminal as an error
            pass
    os.close(ours)
    assert process.returncode == 0
    text = seen.decode()
    for said in (" EMERGENCY ", "Allergic reaction", "Nurse Ito is there", "dose: stop", "transferred"):
        assert said in text
    pictures = [FRAME.sub("", p).replace("\r", "") for p in text.split("\x1b[2K\x1b[1A")]
    shown = [p for p in pictures if "what happened" in p]
    assert len(shown) > 100
    for picture in shown[:-1]:
        lines = picture.strip("\n").split("\n")
        assert len(lines) <= rows
        assert max(map(len, lines)) <= columns
