"""Before the dose: what holds it, what lets it go on, what a prescriber may decide and what a clinic may set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bundles import knowledge, person
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import BadInput, Verdict, duration_ms, instant
from adjunct.clinic import Clinic
from adjunct.fhir import read_bundle
from adjunct.record import from_bundle
from adjunct.session.model import Answer, Event, Phase, Reading, State
from adjunct.session.readiness import PHASE, Readiness, limits_of, readiness
from adjunct.session.resources import entries, is_naloxone, observations

NOW = instant("2026-11-21T09:00:00-06:00")
MINUTE = duration_ms("1 min")
HOUR = duration_ms("1 h")
NASAL, INFUSION = "esketamine-nasal", "ketamine-iv"


def ago(**length: int) -> int:
    return NOW.ms - length.get("h", 0) * HOUR - length.get("min", 0) * MINUTE - length.get("d", 0) * 24 * HOUR


def answer(value: Any, at: int | None = None) -> Answer:
    return Answer(value, ago(min=10) if at is None else at, "Nurse A", "e1")


def reading(value: float, at: int | None = None) -> Reading:
    return Reading(value, ago(min=10) if at is None else at, "Nurse A", "chair", "e2")


ANSWERS: dict[str, Any] = {
    **dict.fromkeys(
        ("identity_confirmed", "consent", "escort", "phone_contact", "reconciled", "red_flags_asked"), True
    ),
    **dict.fromkeys(("preparation_done", "emergency_kit"), True),
    **dict.fromkeys(("nasal_spray_used", "outside_ketamine_used", "intoxication", "withdrawal_seen"), False),
    **dict.fromkeys(("cssrs_q1", "cssrs_q2", "cssrs_q6"), False),
    "fasting_food": ago(h=9),
    "fasting_fluid": ago(h=3),
}
READINGS = {
    "systolic": 124.0,
    "diastolic": 78.0,
    "heart_rate": 70.0,
    "resp_rate": 14.0,
    "spo2": 98.0,
    "temperature": 36.6,
    "mood10": 4.0,
    "fibser3": 1.0,
    "weight": 70.0,
}
PERSON = person(
    age=44,
    sex="M",
    reviewed=True,
    has=["depression"],
    says={
        "consent": "signed",
        "ecg": "normal",
        "urinalysis": "normal",
        "cognition": "normal",
        "drug_screen": "negative",
    },
    measures={"height": 175, "weight": 70, "spo2_baseline": 98, "failed_trials": 2},
    scores={"bladder_score": 2, "phq9": 18, "madrs": 30, "gad7": 9, "who5": 8, "audit_c": 0},
    labs={
        "alt": (20, "U/L", 40),
        "ast": (20, "U/L", 40),
        "bilirubin": (0.5, "mg/dL", 1.2),
        "creatinine": (0.8, "mg/dL", 1.2),
        "tsh": (2, "m[IU]/L", 4),
    },
)


def session(treatment: str = NASAL, *, without: str = "", **changes: Any) -> State:
    """Somebody who may start, with `changes`: a number is measured, anything else is answered; or `without` one."""
    said = {**ANSWERS, **{k: v for k, v in changes.items() if not isinstance(v, float)}}
    measured = {**READINGS, **{k: v for k, v in changes.items() if isinstance(v, float)}}
    return State(
        session="s1",
        phase=Phase.ARRIVED,
        patient="Patient/p",
        treatment=treatment,
        checked_in=ago(min=20),
        zone=NOW.offset,
        answers={k: v if isinstance(v, Answer) else answer(v) for k, v in said.items() if k != without},
        readings={k: reading(v) for k, v in measured.items() if k != without},
    )


def ready(state: State, bundle: Any = PERSON, settings: Any = None) -> Readiness:
    clinic = Clinic.of({"protocol": settings}, knowledge()) if settings is not None else None
    return readiness(state, knowledge(), now=NOW, bundle=bundle, clinic=clinic, country="US")


def leading(found: Readiness) -> set[str]:
    """What the verdict rests on: grounds that lead, questions that hold."""
    return {g.id for g in found.grounds if g.leads == found.verdict} | {q.id for q in found.questions if q.holds}


@pytest.mark.parametrize("treatment", [NASAL, INFUSION, "ketamine-im", "ketamine-sc"])
def test_who_has_everything_may_start(treatment: str) -> None:
    found = ready(session(treatment))
    assert (found.verdict, [q.id for q in found.questions if q.holds]) == ("ELIGIBLE", [])


def test_without_a_record_nothing_is_taken_for_normal() -> None:
    found = ready(session(), None)
    assert found.verdict == "DEFER"
    assert "history_reviewed" in leading(found)


NEEDED = [i for i in knowledge().content["readiness"]["item"] if i["each"] == "visit" and i["blocks"]]


@pytest.mark.parametrize("item", NEEDED, ids=lambda i: i["id"])
def test_an_item_of_every_visit_that_was_not_recorded_holds_the_dose(item: dict[str, Any]) -> None:
    treatment = NASAL if NASAL in item["treatments"] else INFUSION
    name = "consent" if item["id"] == "consent_confirmed" else item["id"]
    found = ready(session(treatment, without=name))
    assert found.verdict == "DEFER"
    assert item["id"] in leading(found)
    assert found.questions[0].holds, "what is open comes first"
    asked = next(q for q in found.questions if q.id == item["id"])
    assert (asked.value, asked.at) == (None, None)
    assert asked.ask and asked.why and asked.tell["es"]


CASES = [
    # what is different, verdict, what it rests on
    ({"systolic": 140.0}, "ELIGIBLE", None),
    ({"systolic": 141.0}, "CAUTION", "bp-above-label-guide"),
    ({"systolic": 159.0}, "CAUTION", "bp-above-label-guide"),
    ({"systolic": 160.0}, "DEFER", "bp-too-high-to-start"),
    ({"diastolic": 100.0}, "DEFER", "bp-too-high-to-start"),
    ({"systolic": 182.0, "severe_headache": True}, "ESCALATE", "bp-very-high-with-symptoms"),
    ({"spo2": 88.0}, "ESCALATE", "respiratory-emergency"),
    ({"moaas": 4.0}, "DEFER", "sedated-before-dose"),
    ({"fasting_food": ago(min=119)}, "DEFER", "food-too-recent-nasal"),
    ({"fasting_food": ago(min=120)}, "ELIGIBLE", None),
    ({"fasting_fluid": ago(min=29)}, "DEFER", "drink-too-recent-nasal"),
    ({"fasting_fluid": ago(min=30)}, "ELIGIBLE", None),
    ({"nasal_spray_used": True}, "DEFER", "nasal_spray_used"),
    ({"nasal_spray_used": True, "nasal_steroid_decongestant": ago(min=59)}, "DEFER", "nose-spray-too-recent"),
    ({"nasal_spray_used": True, "nasal_steroid_decongestant": ago(min=60)}, "ELIGIBLE", None),
    ({"outside_ketamine_used": True}, "DEFER", "outside_ketamine_used"),
    ({"outside_ketamine_used": True, "outside_ketamine": ago(h=5)}, "DEFER", "outside-ketamine-same-day"),
    ({"intoxication": True}, "DEFER", "intoxicated-now"),
    ({"withdrawal_seen": True}, "DEFER", "withdrawal_seen"),
    ({"withdrawal_seen": True, "cows": 5.0}, "DEFER", "opioid-withdrawal-score"),
    ({"escort": False}, "DEFER", "no-escort"),
    ({"phone_contact": False}, "DEFER", "no-phone-contact"),
    ({"identity_confirmed": False}, "DEFER", "identity-not-confirmed"),
    ({"emergency_kit": False}, "DEFER", "emergency-kit-not-ready"),
    ({"reconciled": False}, "DEFER", "reconciled"),
    ({"consent": False}, "DEFER", "consent_confirmed"),
    ({"cssrs_q1": True}, "CAUTION", "suicide-low"),
    ({"cssrs_q2": True}, "DEFER", "cssrs_q3"),
    ({"cssrs_declined": True}, "DEFER", "suicide-screen-missing"),
    ({"systolic": answer(None)}, "ELIGIBLE", None),  # an answer without a value beside a reading changes nothing
]


@pytest.mark.parametrize(("changes", "verdict", "because"), CASES)
def test_what_was_recorded_decides(changes: dict[str, Any], verdict: str, because: str | None) -> None:
    found = ready(session(**changes))
    assert found.verdict == verdict
    assert because is None or because in leading(found)
