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
from fcntl import ioctl
from pathlib import Path

import pytest

from adjunct.demo import bundle_path

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
