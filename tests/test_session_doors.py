"""What comes in at the commands of a treatment day from outside: wrong files, wrong names, hostile papers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from adjunct.knowledge import Knowledge
from adjunct.session.events import line
from sessions import Log

KNOWLEDGE = Knowledge.load()


def run(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "adjunct.cli", "session", *map(str, arguments)],
        input=given,
        capture_output=True,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1
    assert "internal" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """An infusion on one monitor; nobody has left."""
    log = Log(KNOWLEDGE)
    log.add(-20, "device-assigned", device="monitor-1", kind="monitor")
    log.put(-19, "vitals", {"spo2": 97}, by="monitor-1", source="monitor-1")
    log.infusion()
    path = tmp_path / "day.jsonl"
    path.write_text("".join(f"{line(e, log.shape)}\n" for e in log.events), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["missing", "."])
def test_messages_and_logs_that_are_not_there(name: str, day: Path) -> None:
    refused(run("messages", day.parent / name), "cannot be read")
    refused(run("messages", day, "--log", day.parent / name), "cannot be read")


def test_a_wrong_option_is_called_by_its_name(day: Path) -> None:
    refused(run("messages", day, "--received", "noon"), "--received")
    refused(run("simulate", "--scenario", "quiet-nasal", "--wire", "morse"), "hl7 or fhir")


@pytest.mark.parametrize(
    ("by", "why"), [("monitor-1", "not by a device"), ("\x1b[2J", "seen"), ("N" * 300, "characters"), (" ", "a name")]
)
def test_a_discharge_is_signed_with_a_name_of_a_person(day: Path, by: str, why: str) -> None:
    refused(run("sign", day, "--by", by, "--role", "nurse"))
    at = "2027-01-11T09:40:00+01:00"
    events = [json.loads(text) for text in day.read_text(encoding="utf-8").splitlines()]
    gone = {"type": "device-released", "data": {"device": "monitor-1"}, "id": "z", "at": at, "received": at}
    day.write_text("\n".join(map(json.dumps, [*events, {**events[0], **gone}])), encoding="utf-8")
    done = run("sign", day, "--by", by, "--role", "nurse")
    refused(done)
    assert why in done.stderr or "gate is closed" in done.stderr
    if by == "monitor-1":
        assert why in done.stderr


def test_what_has_ended_is_not_signed_again(day: Path) -> None:
    events = [json.loads(text) for text in day.read_text(encoding="utf-8").splitlines()]
    left: dict[str, Any] = {"type": "left-before-discharge", "data": {}, "id": "z"}
    left |= dict.fromkeys(("at", "received"), "2027-01-11T09:40:00+01:00")
    day.write_text("\n".join(map(json.dumps, [*events, {**events[0], **left}])), encoding="utf-8")
    refused(run("sign", day, "--by", "Nurse Ito", "--role", "nurse"), "ended already")


def test_entries_of_a_ledger_from_a_clock_that_is_ahead_are_told() -> None:
    entry = {"id": "r", "at": "2026-11-22T08:00:00Z", "received": "2099-01-01T00:00:00Z", "kind": "received"}
    entry |= {"by": "A", "witness": "B", "product": "ketamine-vial-50", "lot": "K7", "units": 1, "expiry": "2030-01"}
    done = run("stock", "-", "--at", "2026-11-23T00:00:00Z", "--json", given=json.dumps(entry).encode())
    assert done.returncode == 0
    assert "1 entries" in done.stderr
    assert json.loads(done.stdout)["later"] == 1


HOSTILE = '<script>alert(1)</script> #eval("1") $x$ @y \\ [/red] {{7*7}} \u0027'


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a nasal day in which everybody writes what a page or a typesetter could take for a command."""
    log = Log(KNOWLEDGE, "esketamine-nasal", ready=False)
    log.put(-40, "checked-in", {"patient": "Patient/1", "treatment": "esketamine-nasal", "chair": HOSTILE}, by=HOSTILE)
    log.devices()
    log.put(6, "event", {"sign": "severe_headache", "present": True, "text": HOSTILE}, by=HOSTILE, name="ill")
    log.put(7, "medication-given", {"substance": HOSTILE, "dose": HOSTILE, "route": HOSTILE}, name="drug")
    log.put(8, "correction", {"corrects": "drug", "reason": HOSTILE, "withdrawn": True}, by=HOSTILE)
    path = tmp_path_factory.mktemp("papers") / "day.jsonl"
    path.write_text("".join(f"{line(e, log.shape)}\n" for e in log.events), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ("monitoring = 5", "answers.monitoring"),
        ("adverse-event = 5", "answers.adverse-event"),
        ("[[adverse-event]]\nevent = 5", "answers.adverse-event[1]"),
        ("[monitoring]\nsigned_by = 5\nrole = 1979", "answers.monitoring"),
        (f"[monitoring]\nserious_event = 1{'0' * 400}", "too large"),
        ("[[adverse-event]]\nevent = 'ill'\nprescriber_told_at = 1e300", "too large"),
        ("[[adverse-event]]\nevent = 'ill'\nprescriber_told_at = nan", "too large"),
        ("[[adverse-event]]\nevent = 'ill'\nseverity = '\\u001b[2J'", "severity"),
    ],
)
def test_answers_that_do_not_fit_write_nothing(papers: Path, answers: str, words: str) -> None:
    out, file = papers.parent / "none", papers.parent / "answers.toml"
    file.write_text(answers, encoding="utf-8")
    refused(run("report", papers, "--out", out, "--answers", file), words)
    assert not out.exists()


def test_a_time_of_toml_is_an_instant(papers: Path) -> None:
    file = papers.parent / "time.toml"
    file.write_text(
        "[[adverse-event]]\nevent = 'ill'\nprescriber_told_at = 2027-01-11T09:10:00+01:00", encoding="utf-8"
    )
    done = run("report", papers, "--out", papers.parent / "time", "--answers", file)
    assert done.returncode == 0, done.stderr
    assert "2027-01-11" in (papers.parent / "time" / "adverse-event-1.html").read_text(encoding="utf-8")


def test_what_people_write_is_words_on_every_paper(papers: Path) -> None:
    out, file = papers.parent / "out", papers.parent / "event.toml"
    file.write_text("[[adverse-event]]\nevent = 'ill'", encoding="utf-8")
    done = run("report", papers, "--out", out, "--answers", file)
    assert done.returncode == 0, done.stderr
    assert HOSTILE not in done.stderr
    pages = [page.read_text(encoding="utf-8") for page in out.glob("*.html")]
    assert len(pages) == 3
    assert not any("<script>alert" in page for page in pages)
    assert any("&lt;script&gt;alert(1)" in page for page in pages)
    for paper in out.glob("*.pdf"):
        document = pypdfium2.PdfDocument(paper)
        said = "".join(page.get_textpage().get_text_range() for page in document)
        assert "{{7*7}}" in said or "eval" not in said
    assert run("replay", papers).returncode == 0
