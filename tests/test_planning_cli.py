"""The commands of planning, as typed: answers, files, and one line for what cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import icalendar
import pypdf
import pytest

import adjunct
from adjunct.demo import bundle_path

AT = "2026-11-21T09:00:00-06:00"
ANA, CLINIC = str(bundle_path("ana-first-visit.json")), str(bundle_path("clinic.toml"))
MARA = str(bundle_path("mara-story.json"))
PLAN = ("plan", ANA, "--protocol", "esketamine-trd", "--start", "2027-01-11", "--at", AT, "--country", "US")


CHEST_PAIN = {
    "resourceType": "Observation",
    "id": "chest",
    "status": "final",
    "code": {"coding": [{"system": "urn:adjunct:concept", "code": "chest_pain"}]},
    "subject": {"reference": "Patient/ana"},
    "effectiveDateTime": AT,
    "valueBoolean": True,
}


def run(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "adjunct.cli", *words],
        input=given,
        capture_output=True,
        env=os.environ | {"COLUMNS": "100"},
    )
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


def answered(*words: str, given: bytes = b"") -> Any:
    done = run(*words, "--json", given=given)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done
    assert done.stderr.startswith("adjunct: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_a_plan_in_words_json_and_fhir_calendar_and_pdf(tmp_path: Path) -> None:
    ics, pdf = tmp_path / "c.ics", tmp_path / "p.pdf"
    done = run(*PLAN, "--clinic", CLINIC, "--ics", str(ics), "--pdf", str(pdf))
    assert done.returncode == 0
    assert " ACTIVE " in done.stdout
    assert "written: " in done.stderr
    found = answered(*PLAN, "--clinic", CLINIC)
    given = adjunct.plan(
        Path(ANA),
        protocol="esketamine-trd",
        start="2027-01-11",
        at=AT,
        country="US",
        clinic=tomllib.loads(Path(CLINIC).read_text(encoding="utf-8")),
    )
    assert json.loads(given.to_json()) == found
    events = icalendar.Calendar.from_ical(ics.read_bytes()).walk("VEVENT")
    assert [e.start.isoformat() for e in events] == [v["starts"] for v in found["visits"]]
    assert "Esketamine" in "".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)
    bundle = json.loads(run(*PLAN, "--fhir").stdout)
    assert {"CarePlan", "Appointment"} <= {e["resource"]["resourceType"] for e in bundle["entry"]}
    assert answered("plan", "-", *PLAN[2:], given=Path(ANA).read_bytes())["visits"]


def test_its_visits_go_into_the_timetable(tmp_path: Path) -> None:
    asked = tmp_path / "visits.json"
    assert run(*PLAN, "--clinic", CLINIC, "--requests", str(asked)).returncode == 0
    found = answered("schedule", str(asked), "--clinic", CLINIC, "--at", AT)
    requests = json.loads(asked.read_bytes())
    assert requests
    placed = {b["request"]["id"] for b in found["booked"]}
    assert placed | {u["request"]["id"] for k in ("waiting", "conflicts") for u in found[k]} == {
        r["id"] for r in requests
    }
    free = min(placed)
    again = answered("schedule", str(asked), "--clinic", CLINIC, "--at", AT, "--cancelled", free)
    assert free not in {b["request"]["id"] for b in again["booked"]}
    assert {"escort-confirmed", "visit-reminder"} <= {step["what"] for step in found["steps"]}


def test_the_example_timetable_says_in_words_what_cannot_be() -> None:
    done = run("schedule", str(bundle_path("visits.json")), "--clinic", CLINIC, "--at", "2026-12-28T09:00:00-05:00")
    assert done.returncode == 0
    assert "placed" in done.stdout


def test_protocols_are_listed_with_their_settings() -> None:
    names = [p["id"] for p in answered("protocols")]
    for name in (
        "esketamine-trd",
        "esketamine-mdsi",
        "ketamine-iv-induction",
        "ketamine-iv-maintenance",
        "ketamine-sc",
    ):
        assert name in names
    shown = run("protocols", "kratom-reduction").stdout
    assert "default of this project" in shown
    assert "{" not in shown
    bundle = json.loads(run("protocols", "esketamine-trd", "--fhir", "--at", AT).stdout)
    assert "PlanDefinition" in {e["resource"]["resourceType"] for e in bundle["entry"]}
    refused(run("protocols", "esketamin-trd"), "esketamine-trd")


def test_a_routine_and_its_page(tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    done = run("routine", ANA, "--at", AT, "--country", "US", "--page", str(page), "--language", "es")
    assert done.returncode == 0
    assert 'lang="es"' in page.read_text(encoding="utf-8")
    found = answered(
        "routine", MARA, "--order", str(bundle_path("mara-order.toml")), "--at", "2026-11-20T17:00:00-06:00"
    )
    assert "walk" in {h["activity"]["id"] for h in found["habits"]}
    assert "journal" in found["declined"]


def test_a_request_says_first_what_is_urgent(tmp_path: Path) -> None:
    given = bundle_path("mara-request.toml").read_text(encoding="utf-8")
    calm = answered("request", str(bundle_path("mara-request.toml")), "--at", AT, "--language", "es")
    assert calm["level"] in ("routine", "soon")
    urgent = tmp_path / "urgent.toml"
    urgent.write_text(given.replace('suicide = "no"', 'suicide = "yes"'), encoding="utf-8")
    assert answered("request", str(urgent), "--at", AT)["level"] in ("emergency", "same-day")
    bundle = json.loads(run("request", str(urgent), "--at", AT, "--fhir").stdout)
    assert "QuestionnaireResponse" in {e["resource"]["resourceType"] for e in bundle["entry"]}


def test_how_a_person_wants_to_be_reached_stands_in_the_plan() -> None:
    words = ("--protocol", "esketamine-trd", "--start", "2026-06-01", "--at", "2026-05-26T11:15:00-05:00")
    found = answered("plan", MARA, *words, "--order", str(bundle_path("mara-start.toml")))["contact"]
    assert found["voicemail"] is False
    assert (found["contact"]["quiet_from"], found["contact"]["language"]) == ("20:30", "es")
    assert answered(*PLAN)["contact"]["voicemail"] is None  # nobody has asked


def in_danger(tmp_path: Path) -> Path:
    given = bundle_path("mara-request.toml").read_text(encoding="utf-8")
    path = tmp_path / "urgent.toml"
    path.write_text(given.replace('suicide = "no"', 'suicide = "yes"'), encoding="utf-8")
    return path


@pytest.mark.parametrize("clinic", ["not toml [", '[cover]\nzone = "Europe/Berln"\n'])
def test_a_broken_file_of_the_clinic_keeps_back_no_red_flag_of_a_request(tmp_path: Path, clinic: str) -> None:
    (tmp_path / "clinic.toml").write_text(clinic, encoding="utf-8")
    done = run("request", str(in_danger(tmp_path)), "--clinic", str(tmp_path / "clinic.toml"), "--at", AT)
    assert done.returncode == 2
    assert "911" in done.stdout
    calm = run("request", str(bundle_path("mara-request.toml")), "--clinic", str(tmp_path / "clinic.toml"), "--at", AT)
    assert (calm.returncode, calm.stdout) == (2, "")


def ill(tmp_path: Path) -> str:
    record = json.loads(Path(ANA).read_bytes())
    record["entry"].append({"resource": CHEST_PAIN})
    path = tmp_path / "ill.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("order", ["not toml [", '[routine]\nenergy = "much"\n'])
def test_a_broken_order_keeps_back_no_red_flag_of_the_record(tmp_path: Path, order: str) -> None:
    (tmp_path / "order.toml").write_text(order, encoding="utf-8")
    words = ("--order", str(tmp_path / "order.toml"), "--at", AT, "--country", "US")
    for command in (("routine", ill(tmp_path)), ("plan", ill(tmp_path), *PLAN[2:6])):
        done = run(*command, *words)
        if done.returncode == 2:
            assert "911" in done.stdout, command
        else:
            assert (command[0], "911" in done.stdout) == ("plan", True)  # no plan was made, so the routine was not read


def test_a_file_that_cannot_be_written_does_not_cost_the_answer(tmp_path: Path) -> None:
    done = run(*PLAN, "--ics", str(tmp_path / "nowhere" / "c.ics"))
    assert done.returncode == 2
    assert " ACTIVE " in done.stdout


def test_the_papers_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "papers"
    words = ("report", ANA, *PLAN[2:], "--clinic", CLINIC, "--out", str(out))
    assert run(*words).returncode == 0
    names = {p.name for p in out.iterdir()}
    for name in ("report", "care-plan", "preparation", "aftercare", "escort", "consent", "routine", "handover"):
        assert {f"{name}.html", f"{name}.pdf"} <= names
    assert {"safety-plan.html", "visits.ics"} <= names
    file = tmp_path / "file"
    file.write_text("in the way")
    refused(run(*words[:-1], str(file)))
    assert file.read_text() == "in the way"


def test_messages_of_the_team_have_a_page_and_a_notification_that_tells_nothing(tmp_path: Path) -> None:
    order = tmp_path / "order.toml"
    order.write_text(
        """
[[team.thread]]
id = "sleep"
title = "Sleep"
labels = ["mental-health"]
roles = ["prescriber", "therapist"]

[[team.thread.message]]
id = "m1"
at = "2026-11-20T10:00:00-06:00"
by = "Sam"
role = "therapist"
text = "She sleeps four hours"
labels = ["mental-health"]
to = ["prescriber"]
""",
        encoding="utf-8",
    )
    found = answered(*PLAN, "--order", str(order))
    (told,) = found["notifications"]
    assert told["to"] == "prescriber"
    assert not {"sleep", "hours", "sam"} & set(told["text"].lower().split())
    out = tmp_path / "papers"
    assert run("report", ANA, *PLAN[2:], "--order", str(order), "--out", str(out)).returncode == 0
    assert "She sleeps four hours" in (out / "messages.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*PLAN[:3], "esketamine", *PLAN[4:]), "esketamine-trd"),
        ((*PLAN[:5], "2026-11-01", *PLAN[6:]), "in the past"),
        ((*PLAN[:5], "2027-01-10", *PLAN[6:]), "closed"),
        ((*PLAN, "--clinic", "nowhere.toml"), "cannot be read"),
        ((*PLAN, "--language", "tlh"), "no pages in the language"),
        ((*PLAN, "--override", "because"), "NAME: reason"),
        ((*PLAN, "--json", "--fhir"), "two answers"),
    ],
)
def test_one_line_says_what_cannot_be(words: tuple[str, ...], said: str) -> None:
    refused(run(*words), said)


def test_no_plan_no_file(tmp_path: Path) -> None:
    """An emergency: the person is told, nothing is planned, nothing is written."""
    given = Path(ill(tmp_path)).read_bytes()
    ics = tmp_path / "c.ics"
    done = run("plan", "-", *PLAN[2:], "--ics", str(ics), given=given)
    assert done.returncode == 0
    assert " NONE " in done.stdout
    assert "no file was made" in done.stderr
    assert not ics.exists()
