"""One invented person from the first question to month six: what the record says at each turn of the story."""

from __future__ import annotations

import itertools
import json
import tomllib
from datetime import timedelta
from importlib import resources
from typing import Any

import pytest

import adjunct
from adjunct.base import instant, partial_date
from adjunct.demo import dated, until
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.planning.request import read, triage

KNOWLEDGE = Knowledge.load()
EXAMPLES = resources.files("adjunct") / "examples"
TEXT = (EXAMPLES / "mara-story.json").read_text(encoding="utf-8")
STORY = json.loads(TEXT)
MOST_BYTES = 120_000
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
CDT, CST = "-05:00", "-06:00"


def assessed(at: str, phase: str) -> Any:
    return adjunct.assess(
        until(STORY, at), treatment="esketamine-nasal", phase=phase, at=at, country="US", knowledge=KNOWLEDGE
    )


def followed(at: str) -> dict[str, Any]:
    found: dict[str, Any] = adjunct.follow(until(STORY, at), at=at, country="US", knowledge=KNOWLEDGE).to_dict()
    return found


# instant, phase, verdict, findings above inform, what blocks
SCENES: list[tuple[str, str, str, set[str], set[str]]] = [
    (
        f"2026-05-11T10:55:00{CDT}",  # pressure too high, no pregnancy test
        "intake",
        "DEFER",
        {"bp-too-high-to-start", "kratom-stable-or-occasional", "kratom-with-serotonergic"},
        {"hcg"},
    ),
    (
        f"2026-05-26T11:15:00{CDT}",  # two weeks later, everything there
        "intake",
        "CAUTION",
        {"kratom-stable-or-occasional", "kratom-with-serotonergic"},
        set(),
    ),
    (
        f"2026-06-01T09:40:00{CDT}",  # the first dose
        "pre-dose",
        "CAUTION",
        {"kratom-stable-or-occasional", "kratom-with-serotonergic"},
        set(),
    ),
    (f"2026-10-05T09:40:00{CDT}", "pre-dose", "ELIGIBLE", set(), set()),
    (
        f"2026-10-28T09:00:00{CDT}",  # a call after the missed visit: worse
        "follow-up",
        "CAUTION",
        {"missed-session-worsening", "phq9-deterioration"},
        set(),
    ),
    (f"2026-11-02T09:40:00{CST}", "pre-dose", "CAUTION", {"missed-session-worsening"}, set()),
    (f"2026-11-16T09:40:00{CST}", "pre-dose", "ELIGIBLE", set(), set()),
    (f"2026-11-20T17:00:00{CST}", "follow-up", "ELIGIBLE", set(), set()),
]


@pytest.mark.parametrize(("at", "phase", "verdict", "findings", "blocks"), SCENES)
def test_scene(at: str, phase: str, verdict: str, findings: set[str], blocks: set[str]) -> None:
    result = assessed(at, phase)
    assert result.verdict == verdict
    assert {f.id for f in result.findings if f.verdict != "ELIGIBLE"} == findings
    assert {g.fact for g in result.gaps if g.blocks} == blocks
    assert result.complete is (not blocks)


def test_the_story_begins_with_a_question_and_no_alarm() -> None:
    given = tomllib.loads((EXAMPLES / "mara-request.toml").read_text(encoding="utf-8"))
    at = instant(f"2026-05-04T20:12:00{CDT}").ms
    state = read(given, KNOWLEDGE, name="mara", at=at, language="es")
    found = triage(state, now=at, cover=Cover(zone="America/Chicago"))
    assert found.level == "routine"
    assert {e.id for e in found.early} == {"kratom", "not-suddenly"}
    assert followed(f"2026-05-04T21:00:00{CDT}")["alerts"] == []


@pytest.mark.parametrize(
    ("at", "doses", "last_phq9", "alerts"),
    [
        (f"2026-05-26T18:00:00{CDT}", 0, 20, []),
        (f"2026-06-30T09:00:00{CDT}", 8, 9, []),  # response
        (f"2026-07-27T12:00:00{CDT}", 12, 4, []),  # remission
        (f"2026-10-06T12:00:00{CDT}", 17, 4, []),
        (f"2026-10-28T09:00:00{CDT}", 17, 10, ["phq9:alert_rise"]),  # after the missed visit
        (f"2026-11-20T17:00:00{CST}", 19, 5, []),
    ],
)
def test_the_course_as_followed(at: str, doses: int, last_phq9: float, alerts: list[str]) -> None:
    found = followed(at)
    assert found["surveillance"]["exposure"]["doses"] == doses
    assert found["trajectory"]["points"][-1]["score"] == last_phq9
    assert [a["id"] for a in found["alerts"]] == alerts
    assert found["problems"] == []


@pytest.mark.parametrize(
    ("at", "status", "open_", "missed", "last_given"),
    [
        (f"2026-05-11T10:55:00{CDT}", "waiting", ["finding:bp-too-high-to-start", "gap:hcg"], [], None),
        (f"2026-05-26T11:15:00{CDT}", "active", [], [], None),
        (f"2026-10-28T09:00:00{CDT}", "active", [], ["later-worse"], "2026-10-05"),
        (f"2026-11-20T17:00:00{CST}", "active", [], [], "2026-11-16"),
    ],
)
def test_the_plan_at_each_turn(
    at: str, status: str, open_: list[str], missed: list[str], last_given: str | None
) -> None:
    order = tomllib.loads((EXAMPLES / "mara-order.toml").read_text(encoding="utf-8"))
    clinic = {
        "cover": {"zone": "America/Chicago", "hours": [{"day": d, "opens": "08:00", "closes": "17:00"} for d in DAYS]}
    }
    found = adjunct.plan(
        json.dumps(until(STORY, at)),
        protocol="esketamine-trd",
        start="2026-06-01",
        clinic=clinic,
        order=order if at > "2026-07-20" else None,
        at=at,
        country="US",
        knowledge=KNOWLEDGE,
    ).to_dict()
    plan = found.get("plan", found)
    assert plan["status"] == status
    assert [o["id"] for o in plan["open"]] == open_
    assert [m["id"] for m in plan["missed"]] == missed
    given = [str(v["given_at"])[:10] for v in plan["visits"] if v["given_at"]]
    assert (given[-1] if given else None) == last_given


def test_at_month_six_nothing_is_overdue() -> None:
    states = {d["id"]: d["state"] for d in followed(f"2026-11-20T17:00:00{CST}")["surveillance"]["due"]}
    assert not [name for name, state in states.items() if state in ("due", "overdue")]


def test_phq9_is_asked_at_most_weekly_and_a_dose_never_twice_in_two_days() -> None:
    end = followed(f"2026-11-20T17:00:00{CST}")
    asked = [instant(p["at"]).ms // 86_400_000 for p in end["trajectory"]["points"]]
    doses = [
        instant(e["resource"]["effectiveDateTime"]).ms // 86_400_000
        for e in STORY["entry"]
        if e["resource"]["resourceType"] == "MedicationAdministration"
    ]
    assert min(b - a for a, b in itertools.pairwise(asked)) >= 7
    assert min(b - a for a, b in itertools.pairwise(doses)) >= 3


def test_until_leaves_out_what_comes_later_and_nothing_else() -> None:
    early, late = until(STORY, f"2026-05-11T10:55:00{CDT}"), until(STORY, f"2027-01-01T00:00:00{CST}")
    assert len(late["entry"]) == len(STORY["entry"])
    assert not [e for e in early["entry"] if e["resource"]["resourceType"] == "MedicationAdministration"]
    times = [partial_date(when, timedelta(0))[0] for e in early["entry"] if (when := dated(e["resource"]))]
    assert max(times) <= instant(f"2026-05-11T10:55:00{CDT}").ms


def test_the_story_is_small_and_every_entry_has_a_name_of_its_own() -> None:
    urls = [e["fullUrl"] for e in STORY["entry"]]
    assert len(urls) == len(set(urls))
    assert len(TEXT.encode()) < MOST_BYTES
