"""Before the dose: what holds it, what lets it go on, what a prescriber may decide and what a clinic may set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fhirkit
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adjunct
from adjunct.base import BadInput, Verdict, duration_ms, instant
from adjunct.clinic import Clinic
from adjunct.fhir import read_bundle
from adjunct.record import from_bundle
from adjunct.session.day import Day
from adjunct.session.model import Answer, Event, Phase, Reading, State
from adjunct.session.readiness import PHASE, Readiness, limits_of, readiness
from adjunct.session.resources import entries, observations
from bundles import knowledge, person
from session_days import NURSE, arrival, at, day, nasal_dose

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
        "diagnosis_by_psychiatrist": "yes",
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
    assert asked.ask
    assert asked.why
    assert asked.tell["es"]


CASES = [
    # what is different, verdict, what it rests on
    ({"systolic": 140.0}, "ELIGIBLE", None),
    ({"systolic": 141.0}, "CAUTION", "bp-above-label-guide"),
    ({"systolic": 159.0}, "CAUTION", "bp-above-label-guide"),
    ({"systolic": 160.0}, "DEFER", "bp-too-high-to-start"),
    ({"diastolic": 100.0}, "DEFER", "bp-too-high-to-start"),
    ({"systolic": 182.0, "severe_headache": True}, "ESCALATE", "hypertensive-crisis"),
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
    ({"cssrs_q1": True}, "ELIGIBLE", "suicide-low"),
    ({"cssrs_q2": True}, "DEFER", "cssrs_q3"),
    ({"cssrs_declined": True}, "DEFER", "suicide-screen-missing"),
    ({"systolic": answer(None)}, "ELIGIBLE", None),  # an answer without a value beside a reading changes nothing
]


@pytest.mark.parametrize(("changes", "verdict", "because"), CASES)
def test_what_was_recorded_decides(changes: dict[str, Any], verdict: str, because: str | None) -> None:
    found = ready(session(**changes))
    assert found.verdict == verdict
    assert because is None or because in leading(found)


@pytest.mark.parametrize(
    ("name", "old"),
    [("systolic", 31), ("spo2", 31), ("temperature", 241), ("cssrs_q2", 1441), ("emergency_kit", 1441)],
)
def test_what_was_recorded_too_long_ago_is_asked_again(name: str, old: int) -> None:
    value: Any = READINGS.get(name, ANSWERS.get(name))
    state = session(without=name)
    if isinstance(value, float):
        late = replace(state, readings={**state.readings, name: reading(value, ago(min=old))})
        fresh = replace(state, readings={**state.readings, name: reading(value, ago(min=old - 1))})
    else:
        late = replace(state, answers={**state.answers, name: answer(value, ago(min=old))})
        fresh = replace(state, answers={**state.answers, name: answer(value, ago(min=old - 1))})
    assert name in leading(ready(late))
    assert ready(fresh).verdict == "ELIGIBLE"


def test_what_is_written_for_later_does_not_count() -> None:
    state = session()
    state = state.but(
        readings={**state.readings, "systolic": reading(124.0, NOW.ms + MINUTE)},
        answers={**state.answers, "consent": answer(True, NOW.ms + MINUTE)},
    )
    assert {"systolic", "consent_confirmed"} <= leading(ready(state))


def test_a_value_from_elsewhere_does_not_stand_for_one_of_this_visit() -> None:
    elsewhere = person(measures={"systolic": 124})["entry"][-1]
    state = session()
    state = state.but(readings={**state.readings, "systolic": reading(124.0, ago(min=31))})
    assert leading(ready(state, {**PERSON, "entry": [*PERSON["entry"], elsewhere]})) == {"systolic"}


# --- what was taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "last_use", "verdict", "because"),
    [
        ("kratom powder", ago(h=5), "DEFER", "kratom-same-day"),
        ("7-OH tablets", ago(h=23), "DEFER", "kratom-same-day"),
        ("kratom powder", None, "DEFER", "last_use: kratom powder"),
        ("beer", ago(h=3), "DEFER", "ketamine-alcohol-same-day"),
        ("lorazepam 1 mg", None, "DEFER", "last_use: lorazepam 1 mg"),
        ("lorazepam 1 mg", ago(h=20), "CAUTION", "ketamine-benzodiazepine"),
        ("ibuprofen 400 mg", ago(h=20), "ELIGIBLE", None),
        ("blue pill from a friend", ago(h=20), "DEFER", None),
    ],
)
def test_what_was_taken_since_the_last_visit(
    told: str, last_use: int | None, verdict: str, because: str | None
) -> None:
    found = ready(session().but(substances=((told, last_use, ago(min=5)),)))
    assert found.verdict == verdict
    assert because is None or because in leading(found)


def test_a_last_use_that_nobody_knows_is_not_overridden() -> None:
    state = overridden(session().but(substances=(("kratom powder", None, ago(min=5)),)), "last_use")
    found = ready(state)
    assert found.verdict == "DEFER"
    assert next(q.override.refused for q in found.questions if q.override and q.id.startswith("last_use:"))


@pytest.mark.parametrize(("told", "open_"), [(ago(min=9), False), (ago(min=1), True)])
def test_a_time_told_later_answers_the_question(told: int, open_: bool) -> None:
    state = session().but(substances=(("Lorazepam", ago(h=30), ago(min=5)), ("lorazepam", None, told)))
    assert any(q.id.startswith("last_use") for q in ready(state).questions) is open_


@pytest.mark.parametrize(
    ("changes", "told", "skips"),
    [
        ({"kratom_daily": True}, "kratom powder", False),
        ({"kratom_daily": True, "kratom_stable_plan": True}, "kratom powder", False),
        ({"kratom_daily": False}, "kratom powder", True),
        ({"kratom_daily": False, "audit_c": 7.0}, "kratom powder", False),
        ({"alcohol_withdrawal": True}, "beer", False),
        ({"audit_c": 7.0}, "beer", False),
        ({"audit_c": 0.0}, "beer", True),
    ],
)
def test_who_depends_on_it_is_never_told_to_skip(changes: dict[str, Any], told: str, skips: bool) -> None:
    found = ready(session(**changes).but(substances=((told, ago(h=30), ago(min=5)),)))
    words = " ".join(g.tell["en"] for g in found.grounds)
    assert ("none in the" in words) is skips
    assert "stop suddenly" in words or "stop drinking suddenly" in words


# --- overrides --------------------------------------------------------------------------------------------------------


def overridden(
    state: State, name: str, *, by: str = "Dr. B", reason: str = "seen, agreed", at: int | None = None
) -> State:
    return state.but(overrides={name: (by, reason, ago(min=1) if at is None else at)})


def test_a_named_prescriber_may_go_on_and_it_is_shown() -> None:
    found = ready(overridden(session(fasting_food=ago(min=60)), "food-too-recent-nasal"))
    assert found.verdict == "CAUTION"
    ground = next(g for g in found.grounds if g.id == "food-too-recent-nasal")
    assert (ground.verdict, ground.leads) == ("DEFER", "CAUTION")
    assert ground.override
    assert (ground.override.prescriber, ground.override.refused) == ("Dr. B", "")


def test_a_prescriber_may_go_on_with_an_open_item_that_is_not_hard() -> None:
    found = ready(overridden(session(without="red_flags_asked"), "red_flags_asked"))
    assert found.verdict == "CAUTION"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"outside_ketamine_used": True, "outside_ketamine": ago(h=5)}, "outside-ketamine-same-day"),
        ({"escort": False}, "no-escort"),
        ({"without": "systolic"}, "systolic"),
        ({"without": "escort"}, "escort"),
        ({"consent": False}, "consent_confirmed"),
        ({"spo2": 88.0}, "respiratory-emergency"),
        ({"withdrawal_seen": True, "cows": 5.0}, "opioid-withdrawal-score"),
    ],
)
def test_nobody_goes_on_over_what_is_hard(changes: dict[str, Any], name: str) -> None:
    state = session(**changes)
    found = ready(overridden(state, name))
    assert found.verdict == ready(state).verdict
    shown = [x.override for x in (*found.grounds, *found.questions) if x.id == name]
    assert shown
    assert all(o and o.refused for o in shown), "it is shown, with why it does not count"


@pytest.mark.parametrize(("by", "reason"), [("", "seen"), ("Dr. B", " ")])
def test_an_override_has_a_name_and_a_reason(by: str, reason: str) -> None:
    state = overridden(session(fasting_food=ago(min=60)), "food-too-recent-nasal", by=by, reason=reason)
    assert ready(state).verdict == "DEFER"


def test_an_override_is_of_what_was_known_then() -> None:
    state = session(systolic=165.0)
    assert ready(overridden(state, "bp-too-high-to-start", at=ago(min=5))).verdict == "CAUTION"
    assert ready(overridden(state, "bp-too-high-to-start", at=ago(min=15))).verdict == "DEFER"


# --- what a clinic may set --------------------------------------------------------------------------------------------

FAST = {"fasting_food": ago(h=5), "fasting_fluid": ago(h=3)}


@pytest.mark.parametrize(
    ("treatment", "settings", "changes", "verdict", "because"),
    [
        (NASAL, {}, {"systolic": 145.0}, "CAUTION", "bp-above-label-guide"),
        (NASAL, {"bp.defer.systolic": 145}, {"systolic": 145.0}, "DEFER", "bp.defer.systolic"),
        (NASAL, {"bp": {"defer": {"systolic": 146}}}, {"systolic": 145.0}, "CAUTION", "bp-above-label-guide"),
        (NASAL, {"bp.delay.systolic": 150}, {"systolic": 150.0}, "ELIGIBLE", None),
        (NASAL, {"bp.delay.systolic": 150}, {"systolic": 151.0}, "CAUTION", "bp.delay.systolic"),
        (NASAL, {"bp.delay.systolic": 150}, {"diastolic": 91.0}, "CAUTION", "bp.delay.diastolic"),
        (NASAL, {"bp.defer.systolic": 160}, {"systolic": 160.0}, "DEFER", "bp-too-high-to-start"),
        (NASAL, {"fasting.food": "10 h"}, {}, "BadInput", "fasting.food"),
        (NASAL, {"fasting.food": 8}, {"fasting_food": ago(min=479)}, "DEFER", "fasting.food"),
        (NASAL, {"fasting.food": "480 min"}, {"fasting_food": ago(h=8)}, "ELIGIBLE", None),
        (NASAL, {"esketamine-trd": {"fasting.food": 8}}, {"fasting_food": ago(h=7)}, "DEFER", "fasting.food"),
        (NASAL, {"ketamine-im": {"fasting.food": 8}}, {"fasting_food": ago(h=7)}, "ELIGIBLE", None),
        (INFUSION, {}, FAST, "DEFER", "food-too-recent-infusion"),
        (INFUSION, {"fasting.food": 4}, FAST, "ELIGIBLE", None),
        (INFUSION, {"fasting.food": 4}, {**FAST, "fasting_fluid": ago(h=1)}, "DEFER", "fasting.fluid"),
        (INFUSION, {"fasting.food": 5.1}, FAST, "DEFER", "fasting.food"),
        (NASAL, {"bp.defer.systolic": 200}, {}, "BadInput", "bp.defer.systolic"),
        (NASAL, {"bp.defer.systollic": 150}, {}, "BadInput", "systollic"),
        (NASAL, {"bp.defer.systolic": "high"}, {}, "BadInput", "bp.defer.systolic"),
        (NASAL, {"bp.defer.systolic": True}, {}, "BadInput", "bp.defer.systolic"),
        (NASAL, {"bp.defer.systolic": "20 kPa"}, {"systolic": 151.0}, "DEFER", "bp.defer.systolic"),
    ],
)
def test_the_clinic_decides_within_its_bounds(
    treatment: str, settings: dict[str, Any], changes: dict[str, Any], verdict: str, because: str | None
) -> None:
    state = session(treatment, **changes)
    if verdict == "BadInput":
        with pytest.raises(BadInput, match=because):
            ready(state, settings=settings)
        return
    found = ready(state, settings=settings)
    assert found.verdict == verdict
    assert because is None or because in leading(found)


def test_of_two_protocols_the_stricter_number_counts() -> None:
    both = {"esketamine-trd": {"bp.defer.systolic": 150}, "esketamine-mdsi": {"bp.defer.systolic": 145}}
    limits = {li.entry["id"]: li.value for li in limits_of(both, NASAL, knowledge()) if li.own}
    assert limits == {"bp.defer.systolic": 145}


def test_the_bounds_are_those_of_the_protocols() -> None:
    rows = knowledge().content["readiness"]["setting"]
    protocols = {name: p for name, p in knowledge().protocols.items() if name.startswith("shared-")}
    declared = {
        (s["id"], s["fact"], s["least"], s["most"]) for p in protocols.values() for s in p["setting"] if "fact" in s
    }
    assert {(r["id"], r["fact"], r["least"], r["most"]) for r in rows} <= declared


# --- the same rules, the same record ----------------------------------------------------------------------------------


def whole(state: State) -> dict[str, Any]:
    """The person's record with what was recorded in the session, as somebody else would send it."""
    return {**PERSON, "entry": [*PERSON["entry"], *entries(state, knowledge(), dose=False)]}


@pytest.mark.parametrize("changes", [c for c, _, _ in CASES], ids=str)
def test_the_rules_are_those_of_an_assessment(changes: dict[str, Any]) -> None:
    state = session(**changes)
    found, told = ready(state), adjunct.assess(whole(state), treatment=NASAL, phase=PHASE, at=NOW.iso(), country="US")
    assert {g.id for g in found.grounds} >= {f.id for f in told.findings}
    assert Verdict[found.verdict] >= Verdict[told.verdict]


@given(gone=st.sets(st.sampled_from(sorted({*ANSWERS, *READINGS}))))
def test_knowing_less_is_never_better(gone: set[str]) -> None:
    state = session()
    less = state.but(
        answers={k: v for k, v in state.answers.items() if k not in gone},
        readings={k: v for k, v in state.readings.items() if k not in gone},
    )
    held = gone - {"mood10", "fibser3", "preparation_done", "weight"}  # asked, and no dose waits for them
    assert ready(less).verdict == ("DEFER" if held else "ELIGIBLE")


def test_a_record_of_somebody_else_is_refused() -> None:
    with pytest.raises(BadInput, match="another person"):
        ready(session().but(patient="Patient/q"))


def test_a_red_flag_is_told_though_the_clinics_file_is_wrong() -> None:
    with pytest.raises(BadInput) as refused:
        ready(session(spo2=88.0), settings={"bp.defer.systolic": 10})
    assert refused.value.advice


def test_it_can_be_written_down() -> None:
    told = ready(session(systolic=150.0), settings={"bp.defer.systolic": 145}).to_dict()
    assert orjson.loads(orjson.dumps(told))["limits"][0]["value"] == 145


def test_it_can_be_written_down_with_overrides_and_every_instant_has_its_offset() -> None:
    state = session(withdrawal_seen=True)
    state = state.but(overrides={"withdrawal_seen": ("Dr Vega", "mild, seen by me", state.at)})
    found = ready(state)
    told = orjson.loads(orjson.dumps(found.to_dict()))
    held = [x["override"] for x in (*told["questions"], *told["grounds"]) if x["override"]]
    assert {o["prescriber"] for o in held} == {"Dr Vega"}
    times = [o["at"] for o in held] + [q["at"] for q in told["questions"] if q["at"] is not None]
    meals = [q["value"] for q in told["questions"] if q["kind"] == "instant" and q["value"] is not None]
    assert meals
    assert {instant(at).offset for at in times + meals} == {NOW.offset}
    asked = {q.id: q for q in found.questions}
    assert all(instant(q["at"]).ms == asked[q["id"]].at for q in told["questions"] if q["at"] is not None)


# --- a session as FHIR ------------------------------------------------------------------------------------------------

LOG = [
    at(0, "checked-in", patient="Patient/p", treatment=NASAL),
    at(1, "consent", confirmed=False),
    at(2, "readiness", fasting_food="2026-11-24T05:00:00-06:00", withdrawal_seen=False, escort=True),
    at(3, "vitals", systolic=128, diastolic=80, spo2=97),
    at(4, "vitals", systolic=80, diastolic=128, spo2=97),
    at(5, "vitals", spo2=95, oxygen=2),
    at(6, "vitals", by="Second nurse", spo2=94),
    at(7, "vitals", spo2=96, oxygen=0),
    at(8, "event", sign="severe_headache", present=False),
    at(9, "escort", present=True),
    at(10, "escort", present=True, fit=True, name="Alex Someone", phone="555"),
    at(11, "medication-given", substance="Narcan nasal", dose="4 mg", route="nasal"),
    at(12, "substance-disclosed", text="kratom powder"),
    at(13, "correction", corrects="0003.0-vitals", reason="typed wrong", data={"systolic": 118, "diastolic": 80}),
    at(14, "correction", corrects="0008.0-event", reason="other person", withdrawn=True),
]


def published() -> dict[str, list[dict[str, Any]]]:
    """What the log says, by the first code of each resource."""
    kept = day(*LOG)
    found: dict[str, list[dict[str, Any]]] = {}
    for resource in observations(kept.events, kept.state, knowledge()):
        for coding in resource["code"]["coding"]:
            found.setdefault(coding["code"], []).append(resource)
    return found


def test_each_value_says_who_saw_it_and_when() -> None:
    (mean,) = published()["escort"]
    assert mean["performer"] == [{"display": NURSE}]
    assert (mean["effectiveDateTime"], mean["issued"]) == ("2026-11-24T09:02:00.000-06:00",) * 2
    assert mean["valueBoolean"] is True
    assert mean["subject"] == {"reference": "Patient/p"}
    assert mean["id"] == published()["escort"][0]["id"]


def test_a_correction_and_what_did_not_happen_say_so() -> None:
    found = published()
    assert [(o["status"], o["valueQuantity"]["value"]) for o in found["systolic"]] == [("corrected", 118)]
    assert [o["status"] for o in found["severe_headache"]] == ["entered-in-error"]


def test_an_artefact_is_no_value() -> None:
    assert [o["valueQuantity"]["value"] for o in published()["diastolic"]] == [80]


def test_what_may_be_of_somebody_else_and_a_refused_discharge_are_not_published() -> None:
    untied = at(31, "vitals", by="chair", systolic=212, diastolic=120)
    early = at(-5, "vitals", systolic=90, diastolic=50)
    refused = at(40, "discharged", signed_by="Dr. B", role="prescriber")
    kept = day(*arrival(), *nasal_dose(), untied, early, refused)
    made = observations(kept.events, kept.state, knowledge())
    codes = [c["code"] for o in made for c in o["code"]["coding"]]
    assert [o["valueQuantity"]["value"] for o in made if "systolic" in str(o["code"])] == [128]
    assert "discharge_signed" not in codes
    left = day(*arrival(), *nasal_dose(), at(50, "left-before-discharge", warned=True))
    assert "left_before_discharge" in str(observations(left.events, left.state, knowledge()))
    late = day(*arrival(), at(50, "not-treated", reason="unwell"), at(51, "vitals", systolic=90, diastolic=50))
    status = [o["status"] for o in observations(late.events, late.state, knowledge()) if "systolic" in str(o["code"])]
    assert status == ["final", "preliminary"]


def test_a_no_of_the_day_is_a_no_of_what_it_asks() -> None:
    (seen,) = published()["withdrawal_seen"]
    assert {c["code"] for c in seen["code"]["coding"]} > {"alcohol_withdrawal", "sedative_withdrawal"}
    (consent,) = published()["consent"]
    assert consent["valueCodeableConcept"]["text"] == "declined"


def test_the_escort_is_here_only_when_known_to_be_fit_and_has_no_name_in_it() -> None:
    (here,) = published()["escort_present"]
    assert here["effectiveDateTime"].startswith("2026-11-24T09:10")
    kept = day(*LOG)
    assert "Alex" not in str(entries(kept.state, knowledge()))


def test_what_was_told_without_a_time_is_said_to_have_none() -> None:
    (use,) = published()["last_use"]
    assert "valueDateTime" not in use
    assert use["dataAbsentReason"]


GIVEN = ("Naloxone 4 mg", "Nal\u0000oxone\n4 mg", "ondansetron 4 mg", "?!")


def test_naloxone_by_any_of_its_names() -> None:
    assert len(published()["naloxone_given"]) == 1
    assert ["naloxone" in Day.of(knowledge()).substances(w) for w in GIVEN] == [True, True, False, False]


def test_a_saturation_on_oxygen_is_an_upper_bound_on_room_air() -> None:
    found = published()
    assert [o["valueQuantity"]["value"] for o in found["spo2_on_oxygen"]] == [95, 94], (
        "also where only the flow was left out"
    )
    assert [o["valueQuantity"]["value"] for o in found["spo2"]] == [97, 96]


@pytest.mark.parametrize(
    ("spo2", "oxygen", "verdict"),
    [(98.0, 0.0, "ELIGIBLE"), (98.0, 2.0, "DEFER"), (88.0, 2.0, "ESCALATE")],
)
def test_oxygen_hides_no_danger_and_proves_no_health(spo2: float, oxygen: float, verdict: str) -> None:
    assert ready(session(spo2=spo2, oxygen=oxygen)).verdict == verdict


@given(
    st.sampled_from(
        ["systolic", "diastolic", "heart_rate", "resp_rate", "spo2", "temperature", "moaas", "cadss6", "weight"]
    ),
    st.data(),
)
def test_every_number_is_read_back_as_it_was_measured(concept: str, data: st.DataObject) -> None:
    known = knowledge().concepts[concept]
    assert known.plausible
    value = data.draw(st.floats(*known.plausible, allow_nan=False))
    event = Event("e", NOW.ms - MINUTE, NOW.ms, "vitals", "Nurse A", "chair", {concept: value})
    (resource,) = observations([event], session(), knowledge())
    bundle = {"resourceType": "Bundle", "entry": [PERSON["entry"][0], {"resource": resource}]}
    record = from_bundle(read_bundle(bundle), knowledge(), now=NOW, phase=PHASE)
    number = knowledge().vocabulary.concepts[concept]
    rows = range(int(record.events.starts[number]), int(record.events.starts[number + 1]))
    assert [(float(record.events.value[r]), int(record.events.t0[r])) for r in rows] == [(value, event.at)]


def test_what_is_written_is_valid_and_refers_to_one_person() -> None:
    kept = day(*LOG)
    made = [
        {"fullUrl": f"urn:uuid:{o['id']}", "resource": o} for o in observations(kept.events, kept.state, knowledge())
    ]
    for listed in (made, entries(kept.state, knowledge())):
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [PERSON["entry"][0], *listed]}
        assert [str(i) for i in fhirkit.validate(bundle)] == []
        assert [p for p in read_bundle(bundle).problems if p.blocks] == []
