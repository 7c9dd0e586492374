"""Long follow-up: what is due by the table of section 7, which rules speak for which domain, and the exposure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from adjunct.base import MS_PER_DAY, BadInput, instant
from adjunct.due import State
from adjunct.fhir import read_bundle
from adjunct.followup.surveillance import Surveillance, surveillance
from adjunct.knowledge.language import parse
from adjunct.record import Record, from_bundle
from bundles import LOCAL, NOW, SUBJECT, UCUM, cssrs, diagnosis, knowledge, number, observation, person

NOW_MS = instant(NOW).ms
DATA = knowledge().content["surveillance"]


def ago(days: float) -> str:
    """An instant some days before now."""
    return instant(NOW).__class__(NOW_MS - round(days * MS_PER_DAY)).iso()


def given(days: float | str, mg: float | None = 56, **how: Any) -> dict[str, Any]:
    """One administration, esketamine by nose unless it says otherwise."""
    substance, route, unit = how.get("substance", "esketamine"), how.get("route", "Nasal"), how.get("unit", "mg")
    when = days if isinstance(days, str) else ago(days)
    dose = {} if mg is None else {"dose": {"value": mg, "unit": unit, "system": UCUM, "code": unit}}
    return {
        "resourceType": "MedicationAdministration",
        "id": how.get("id", f"adm-{when[:16].replace(':', '-')}-{how.get('n', 0)}"),
        "status": how.get("state", "completed"),
        "subject": SUBJECT,
        "effectiveDateTime": when,
        "medicationCodeableConcept": {"coding": [{"system": LOCAL, "code": substance}], "text": substance},
        "dosage": {"route": {"text": route}, **dose},
    }


def value(concept: str, amount: float, days: float) -> dict[str, Any]:
    found = number(concept, amount, knowledge().concepts[concept].unit, ago(days))
    return {**found, "id": f"o-{concept.replace('_', '-')}-{days:g}"}


def said(concept: str, days: float, *, yes: bool = True) -> dict[str, Any]:
    found = observation({"system": LOCAL, "code": concept}, ago(days), valueBoolean=yes)
    return {**found, "id": f"s-{concept.replace('_', '-')}-{days:g}"}


def lft(days: float, leave_out: str = "", **xuln: float) -> list[dict[str, Any]]:
    """A liver panel, in multiples of an upper limit of 1."""
    names = {"alt": "U/L", "ast": "U/L", "alp": "U/L", "bilirubin": "mg/dL"}
    panel = []
    for name, unit in names.items():
        if name != leave_out:
            top = {"value": 1, "unit": unit, "system": UCUM, "code": unit}
            one = number(name, xuln.get(name, 0.5), unit, ago(days))
            panel.append({**one, "id": f"lab-{name}-{days:g}", "referenceRange": [{"high": top}]})
    return panel


def record(*resources: Mapping[str, Any], phase: str = "follow-up", **who: Any) -> Record:
    bundle = read_bundle(person(extra=resources, **who))
    return from_bundle(bundle, knowledge(), now=instant(NOW), phase=phase)


def watch(*resources: Mapping[str, Any], planned: Sequence[float] = (), **who: Any) -> Surveillance:
    """Surveillance at now; `planned` are days from now."""
    to_come = [NOW_MS + round(days * MS_PER_DAY) for days in planned]
    return surveillance(record(*resources, **who), knowledge(), planned=to_come)


def state(found: Surveillance, step: str) -> str:
    return next((d.state.value for d in found.due if d.step.id.startswith(step)), "none")


def due_in(found: Surveillance, what: str) -> float:
    """Days from now to the next time a measure is due; the visits and the baseline apart."""
    steps = [s for s in found.steps if s.what == what and (".after-" in s.id or s.id.endswith(".first"))]
    assert len(steps) == 1, [s.id for s in found.steps if s.what == what]
    return round((steps[0].window.due - NOW_MS) / MS_PER_DAY, 2)


# --- the table itself -------------------------------------------------------------------------------------------------


def test_every_rule_of_a_domain_exists_speaks_in_follow_up_and_belongs_to_one_domain() -> None:
    named = [rule for domain in DATA["domain"] for rule in domain["rules"]]
    assert len(named) == len(set(named))
    for rule in named:
        assert rule in knowledge().rules, rule
        assert "follow-up" in knowledge().rules[rule].phase, rule


def test_every_measure_has_a_domain_known_concepts_and_known_conditions() -> None:
    domains = {d["id"] for d in DATA["domain"]}
    conditions = {c["id"] for c in DATA["condition"]}
    for measure in DATA["measure"]:
        assert measure["domain"] in domains
        assert set(measure["done"]) <= set(knowledge().concepts)
        lines = [*measure.get("every", ()), measure.get("each_dose", {})]
        assert {line["if"] for line in lines if "if" in line} <= conditions
    for condition in DATA["condition"]:
        parse(condition["when"], knowledge().vocabulary)
    assert set(DATA["substances"]) <= set(knowledge().substances)


def test_what_the_table_of_section_7_lists_is_watched() -> None:
    assert {d["id"] for d in DATA["domain"]} == {
        *("mood", "suicide", "mania", "function", "cognition", "bladder", "liver", "blood-pressure"),
        *("misuse", "body", "side-effects", "wider"),
    }


# --- what is due ------------------------------------------------------------------------------------------------------


def test_before_the_first_dose_every_baseline_is_due_and_nothing_else() -> None:
    found = watch(age=40, sex="M", reviewed=True, reconciled=True)
    assert found.phase == "baseline"
    assert {d.state for d in found.due} == {State.DUE}
    baselines = {m["id"] for m in DATA["measure"] if "baseline" in m}
    assert {s.what for s in found.steps} == baselines
    assert found.exposure.doses == 0


def test_a_planned_first_session_gives_the_baseline_its_day() -> None:
    far, near = watch(planned=[30]), watch(planned=[3])
    assert (state(far, "bladder.baseline"), state(near, "bladder.baseline")) == ("open", "due")
    assert state(far, "weight.visit-1") == "waiting"
    assert state(watch(*[value("icsi", 2, 10)], planned=[30]), "bladder.baseline") == "done"


@pytest.mark.parametrize(
    ("days_before_dose", "expected"),
    [(0.1, "done"), (89, "done"), (91, "missed"), (-1, "missed")],  # 90 days is how old a bladder baseline may be
)
def test_a_baseline_counts_only_if_recent_and_before_the_dose(days_before_dose: float, expected: str) -> None:
    found = watch(given(10), value("icsi", 2, 10 + days_before_dose))
    assert state(found, "bladder.baseline") == expected


def test_a_measure_that_was_never_done_is_overdue_since_the_first_dose() -> None:
    assert due_in(watch(given(20)), "bladder") == -20


DOSES = {
    "twice a week": [24.5, 21, 17.5, 14, 10.5, 7, 3.5, 1],
    "weekly": [22, 15, 8, 1],
    "twice a week for long": [60, 50, 40, 30, 24.5, 21, 17.5, 14, 10.5, 7, 3.5, 1],
    "first half year": [100, 70, 40, 10],
    "monthly": [190, 160, 130, 100, 70, 40, 10],
}
KRATOM = "kratom-leaf"

INTERVALS = [
    # measure, doses, also, last done (days ago), due in days
    ("phq9", "twice a week", {}, 3, 4),
    ("phq9", "monthly", {}, 3, 27.44),  # a month is 30.44 days
    ("madrs", "twice a week", {}, 10, -3),
    ("bladder", "twice a week", {}, 20, 8),
    ("bladder", "monthly", {}, 20, 71.31),
    ("bladder", "weekly", {"early": True}, 2, 28.44),  # maintenance at one a week or more: monthly
    ("liver", "twice a week", {}, 10, 18),
    ("liver", "monthly", {}, 10, 172.62),
    ("liver", "monthly", {"takes": [KRATOM]}, 10, 81.31),
    ("liver", "twice a week", {"takes": [KRATOM]}, 10, 4),
    ("wsas", "monthly", {}, 10, 81.31),
    ("cognition", "monthly", {"age": 40}, 10, 355.25),
    ("cognition", "first half year", {"age": 40}, 10, 172.62),
    ("phq9", "twice a week for long", {}, 3, 4),  # still a series
    ("cognition", "monthly", {"age": 66}, 10, 81.31),
    ("isi", "twice a week", {}, 10, 4),
    ("auditc", "monthly", {}, 10, 81.31),
]
CONCEPT = {"phq9": "phq9", "madrs": "madrs", "bladder": "bpicss", "wsas": "wsas", "cognition": "moca", "isi": "isi"}


@pytest.mark.parametrize(("measure", "doses", "also", "last", "expected"), INTERVALS)
def test_the_next_time_counts_from_the_last(
    measure: str, doses: str, also: dict[str, Any], last: float, expected: float
) -> None:
    who = dict(also)
    early = [120] if who.pop("early", False) else []
    acts = lft(last) if measure == "liver" else [value(CONCEPT.get(measure, "audit_c"), 3, last)]
    found = watch(*[given(d) for d in [*early, *DOSES[doses]]], *acts, **who)
    assert due_in(found, measure) == expected


def test_an_interval_that_was_shortened_says_why_and_an_unknown_condition_is_asked() -> None:
    doses = [given(d) for d in DOSES["monthly"]]
    with_kratom = watch(*doses, takes=[KRATOM])
    assert with_kratom.because["liver"] == "kratom or 7-OH in use"
    unknown = watch(*doses)
    assert "liver" not in unknown.because
    assert "Ask about kratom and 7-OH." in unknown.open
    assert "Ask about kratom and 7-OH." not in watch(*doses, reconciled=True).open


def test_liver_tests_are_not_asked_in_a_slow_series_without_kratom() -> None:
    found = watch(given(10), reconciled=True)
    assert [s.id for s in found.steps if s.what == "liver"] == ["liver.baseline"]


@pytest.mark.parametrize("missing", ["alt", "ast", "alp", "bilirubin"])
def test_a_liver_panel_counts_when_it_is_whole(missing: str) -> None:
    doses = [given(d) for d in DOSES["monthly"]]
    assert due_in(watch(*doses, *lft(5)), "liver") > 0
    assert due_in(watch(*doses, *lft(5, leave_out=missing)), "liver") == -190


def test_parts_of_a_panel_from_different_days_are_no_panel() -> None:
    doses = [given(d) for d in DOSES["monthly"]]
    assert due_in(watch(*doses, *lft(5, leave_out="alp"), *lft(5.9)[2:3]), "liver") > 0
    assert due_in(watch(*doses, *lft(5, leave_out="alp"), *lft(8)[2:3]), "liver") == -190


def test_after_a_baseline_the_first_interval_counts_from_the_first_dose() -> None:
    assert due_in(watch(given(20), value("icsi", 2, 60)), "bladder") == 8


def test_a_value_without_a_number_is_not_done() -> None:
    empty = observation({"system": LOCAL, "code": "icsi"}, ago(3), dataAbsentReason={"text": "refused"})
    assert due_in(watch(given(20), empty), "bladder") == -20


@pytest.mark.parametrize(
    ("offset", "expected"), [(1.1, "missed"), (0.9, "done"), (0, "done"), (-0.9, "done"), (-1.1, "missed")]
)
def test_each_session_has_its_own_step(offset: float, expected: str) -> None:
    found = watch(given(10), given(3), value("craving", 2, 10 + offset))
    assert state(found, "craving.visit-1") == expected
    assert state(found, "craving.visit-2") == "missed"


def test_the_suicide_screen_of_a_visit_needs_its_three_leading_answers() -> None:
    whole = cssrs(q1=False, q2=False, q6=False, at=ago(3))
    assert state(watch(given(3), *whole), "cssrs.visit-1") == "done"
    part = [r for r in whole if r["code"]["coding"][0]["code"] != "93267-3"]
    assert len(part) == len(whole) - 1
    assert state(watch(given(3), *part), "cssrs.visit-1") == "missed"


def test_asrm_at_every_session_only_with_bipolar_risk() -> None:
    assert state(watch(given(3)), "asrm.visit-1") == "none"
    bipolar = diagnosis("F31.9", "Bipolar disorder")
    assert state(watch(given(3), bipolar), "asrm.visit-1") == "missed"


def test_cows_weekly_while_kratom_is_cut_down() -> None:
    assert [s for s in watch(given(20)).steps if s.what == "cows"] == []
    assert due_in(watch(given(20), said("kratom_reduced", 5), value("cows", 3, 4)), "cows") == 3


def test_a_record_of_another_phase_is_refused() -> None:
    with pytest.raises(BadInput, match="follow-up"):
        surveillance(record(phase="intake"), knowledge())


def test_the_order_of_the_bundle_changes_nothing() -> None:
    resources = [given(20), given(13), value("icsi", 2, 12), value("phq9", 9, 2), said("early_refill", 3)]
    assert watch(*resources).to_dict() == watch(*reversed(resources)).to_dict()


def test_the_plain_form_lists_what_is_due_apart_from_what_was_missed() -> None:
    found = watch(given(20), value("icsi", 2, 30), value("phq9", 9, 2)).to_dict()
    rows = {row["id"]: row for row in json.loads(json.dumps(found))["due"]}
    assert {row["state"] for row in rows.values()} <= {"waiting", "open", "due", "overdue"}
    phq9 = next(row for name, row in rows.items() if name.startswith("phq9"))
    assert (phq9["last"], phq9["reference"]) == ("2026-11-19T15:00:00+00:00", "Observation/o-phq9-2")
    assert "cognition.baseline" in [row["id"] for row in found["missed"]]
    assert found["exposure"]["amounts"][0]["least_mg"] == 56


# --- what is abnormal -------------------------------------------------------------------------------------------------

QUIET: list[Mapping[str, Any]] = [given(10)]
ABNORMAL = [
    # domain, what the record says, rule that speaks
    ("bladder", [value("icsi", 1, 80), value("icsi", 4, 2)], ""),
    ("bladder", [value("icsi", 1, 80), value("icsi", 5, 2)], "cystitis-suspected-red-flag"),
    ("bladder", [value("bpicss", 6, 80), value("bpicss", 6, 2)], ""),
    ("bladder", [value("bpicss", 6, 80), value("bpicss", 7, 2)], "bladder-bpicss-rise"),
    ("bladder", [said("urinary_pain", 1)], "urinary-symptom-ask"),
    ("liver", lft(2), ""),
    ("liver", lft(2, alt=3), "liver-tests-raised"),
    ("liver", lft(2, alt=3.1), "liver-hold"),
    ("liver", lft(2, alt=5), "liver-hold"),
    ("liver", lft(2, alt=5.1), "liver-same-day"),
    ("liver", lft(2, ast=3, bilirubin=2), "liver-same-day"),
    ("liver", lft(2, alp=2.1, bilirubin=2), "liver-cholestatic-pattern"),
    ("cognition", [value("moca", 28, 300), value("moca", 26, 2)], ""),
    ("cognition", [value("moca", 28, 300), value("moca", 26, 2), said("cognitive_complaint", 2)], "cognition-fall"),
    ("cognition", [value("moca", 28, 300), value("moca", 27, 2), said("cognitive_complaint", 2)], ""),
    ("cognition", [value("moca", 28, 300), value("moca", 24, 2)], "cognition-fall"),
    ("misuse", [said("early_refill", 3)], "misuse-flag"),
    ("misuse", [said("early_refill", 3), said("dose_demand", 3)], "misuse-flags-several"),
    ("misuse", [said("early_refill", 3), said("outside_ketamine", 3)], "misuse-with-outside-ketamine"),
    ("misuse", [value("craving", 2, 20), value("craving", 4, 2)], ""),
    ("misuse", [value("craving", 2, 20), value("craving", 5, 2)], "craving-rise"),
    ("side-effects", [value("fibser3", 2, 2)], ""),
    ("side-effects", [value("fibser3", 3, 2)], "side-effects-address"),
    ("wider", [value("cows", 4, 0.5)], ""),
    ("wider", [value("cows", 5, 0.5)], "withdrawal-score-in-follow-up"),
    ("mania", [value("asrm", 5, 2)], ""),
    ("mania", [value("asrm", 6, 2)], "mania-screen-positive"),
    ("mood", [value("phq9", 6, 9), value("phq9", 11, 2)], ""),
    ("mood", [value("phq9", 6, 9), value("phq9", 12, 2)], "phq9-deterioration"),
    ("function", [value("wsas", 20, 64), given(60), value("wsas", 13, 3)], "function-no-change"),
    ("function", [value("wsas", 20, 64), given(60), value("wsas", 12, 3)], ""),
    ("function", [value("wsas", 20, 54), given(50), value("wsas", 20, 3)], ""),  # before eight weeks
]


@pytest.mark.parametrize(("domain", "resources", "rule"), ABNORMAL)
def test_abnormal_is_what_a_rule_says(domain: str, resources: list[Mapping[str, Any]], rule: str) -> None:
    found = watch(*QUIET, *resources)
    assert [f.id for f in found.abnormal[domain]] == ([rule] if rule else [])


def test_visible_blood_comes_first() -> None:
    found = watch(*QUIET, said("haematuria", 1)).abnormal["bladder"]
    assert [f.id for f in found] == ["visible-blood-in-urine", "cystitis-suspected-red-flag"]


@pytest.mark.parametrize(("mean", "speaks"), [(139, False), (140, True)])
def test_the_mean_of_the_home_log_is_what_counts(mean: float, speaks: bool) -> None:
    log = [value("home_systolic", mean, d) for d in range(1, 8)] + [value("home_diastolic", 80, d) for d in range(1, 8)]
    doubled = [{**r, "id": f"{r['id']}-b", "effectiveDateTime": ago(i % 7 + 0.5)} for i, r in enumerate(log)]
    found = watch(*QUIET, *log, *doubled)
    assert ("home-pressure-mean-high" in [f.id for f in found.abnormal["blood-pressure"]]) is speaks


# --- exposure ---------------------------------------------------------------------------------------------------------


def test_amounts_are_summed_by_substance_and_route() -> None:
    found = watch(
        given(20, 56),
        given(17, 84),
        given(10, 40, substance="ketamine", route="Intravenous infusion"),
        given(9, 50, substance="ketamine", route="IM"),
    ).exposure
    assert found.doses == 4
    assert [(a.substance, a.route, a.given, a.least_mg, a.most_mg) for a in found.amounts] == [
        ("esketamine", "nasal", 2, 140, 140),
        ("ketamine", "intramuscular", 1, 50, 50),
        ("ketamine", "intravenous", 1, 40, 40),
    ]


@pytest.mark.parametrize(
    ("administration", "least", "most", "unknown"),
    [
        (given(5, 40, route="IV"), 96, 96, 0),
        (given(5, None, route="IV"), 56, None, 1),
        (given(5, 2, unit="mL", route="IV"), 56, None, 1),
        (given(5, 0.5, unit="mg/kg", route="IV"), 56, None, 1),  # no weight on record
        (given(5, 40000, unit="ug", route="IV"), 96, 96, 0),
    ],
)
def test_an_amount_that_is_not_known_leaves_the_total_at_least(
    administration: dict[str, Any], least: float, most: float | None, unknown: int
) -> None:
    found = watch(given(20, 56, route="IV"), administration).exposure.amounts
    assert [(a.least_mg, a.most_mg, a.unknown_amounts) for a in found] == [(least, most, unknown)]


def test_a_dose_by_weight_counts_with_the_weight_of_that_time() -> None:
    dose = given(5, 0.5, unit="mg/kg", substance="ketamine", route="IV")
    assert watch(dose, value("weight", 80, 6)).exposure.amounts[0].least_mg == 40
    assert watch(dose, value("weight", 80, 60)).exposure.amounts[0].most_mg is None  # too old
    assert watch(dose, value("weight", 80, 1)).exposure.amounts[0].most_mg is None  # measured after it


def test_what_was_not_given_does_not_count_and_what_may_have_been_is_possible() -> None:
    found = watch(given(20), given(10, state="not-done"), given(5, state="unknown")).exposure
    assert (found.doses, found.possibly) == (1, 1)
    amount = found.amounts[0]
    assert (amount.given, amount.possibly, amount.least_mg, amount.most_mg) == (1, 1, 56, 112)


def test_two_sprays_are_one_session_and_both_amounts_count() -> None:
    found = watch(given(10, 28), given(9.995, 28, n=1), given(3, 56)).exposure
    assert (found.doses, found.amounts[0].least_mg) == (2, 112)


def test_times_of_doses() -> None:
    found = watch(given(30), given(20), given(13), given(6)).exposure
    assert found.first == (NOW_MS - 30 * MS_PER_DAY,) * 2
    assert found.days_since_last == (6, 6)
    assert (found.longest_gap_days, found.last_gap_days) == ((10, 10), (7, 7))
    assert found.per_week == (0.75, 0.75)  # three in four weeks


def test_doses_known_by_their_day_are_intervals() -> None:
    found = watch(given("2026-11-10"), given("2026-11-11"), given("2026-11")).exposure
    assert (found.doses, found.possibly) == (2, 1)
    assert found.longest_gap_days is not None
    low, high = found.longest_gap_days
    assert (round(low, 3), round(high, 3)) == (0, 2)


def test_a_young_course_is_rated_by_its_own_length() -> None:
    assert watch(given(4), given(1)).exposure.per_week == (2, 2)


def test_the_treatment_asked_about_is_the_last_one_given() -> None:
    assert watch(given(9)).treatment == "esketamine-nasal"
    assert watch(given(9), given(2, substance="ketamine", route="Intravenous")).treatment == "ketamine-iv"
    assert watch().treatment == "none"
