"""A treatment day as FHIR: valid R4 by someone else's reading, whole, repeatable, and read back as what happened."""

from __future__ import annotations

from typing import Any

import fhirkit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adjunct
from adjunct.base import Instant, instant
from adjunct.fhir import read_bundle
from adjunct.publish.session import session_to_fhir
from adjunct.record import from_bundle
from bundles import person
from session_days import (
    KNOWLEDGE,
    NINE,
    PRESCRIBER,
    Whole,
    arrival,
    at,
    clock,
    course,
    day,
    infusion,
    nasal_dose,
    rehearsed,
    settled,
    signed,
)
from test_plan import CHICAGO, D01, D19, D19_FACTS
from test_publish import at_path, nodes, of, official, required_codes

Json = dict[str, Any]
SURGE = [
    *course([(30, 136, 84, 80, 97), (55, 192, 108, 96, 97), (58, 170, 96, 90, 97), (75, 134, 82, 78, 98)]),
    at(56, "acknowledged", alarm="hypertension-severe"),
    at(57, "action", what="cuff repeated", alarm="hypertension-severe"),
]
LEFT = [
    at(75, "left-before-discharge", warned=True, text="walked out"),
    at(78, "action", what="called", step="left-call-person", reached=False),
]
DAYS = {
    "arrived": day(*arrival()),
    "discharged": day(*arrival(), *nasal_dose(), *settled(), signed()),
    "surge": day(*arrival(), *nasal_dose(), *SURGE),
    "left": day(*arrival(), *nasal_dose(), *SURGE, *LEFT, until=80),
    "infusion": day(*arrival("ketamine-iv"), *infusion()),
    "running": day(*arrival("ketamine-iv"), *infusion()[:4], until=33),
    "not treated": day(*arrival(), at(8, "not-treated", reason="pressure too high")),
    "transferred": day(
        *arrival(),
        *nasal_dose(),
        at(40, "event", sign="chest_pain", present=True, serious=True, text="left side"),
        at(41, "event", sign="dizziness", present=False),
        at(42, "medication-given", PRESCRIBER, substance="nitroglycerin", dose="0.4 mg", route="sublingual"),
        at(43, "medication-given", substance="ondansetron", dose="one tablet", route="by mouth"),
        at(50, "transferred", to="City hospital", reason="chest pain"),
    ),
    "corrected": day(
        *arrival(),
        *nasal_dose(),
        at(30, "vitals", systolic=210, diastolic=84, heart_rate=80, id="wrong"),
        at(31, "medication-given", substance="ondansetron", dose="4 mg", route="by mouth", id="never"),
        at(33, "correction", corrects="wrong", reason="typing", data={"systolic": 120, "diastolic": 84}),
        at(32, "vitals", spo2=91, id="other"),
        at(34, "correction", corrects="never", reason="other chair", withdrawn=True),
        at(35, "correction", corrects="other", reason="other chair", withdrawn=True),
    ),
    "withdrawn": day(
        *arrival(),
        *nasal_dose(),
        at(30, "correction", corrects="device-1", reason="other chair", withdrawn=True, witness="Paul Adeyemi"),
        at(31, "correction", corrects="device-2", reason="not sure", withdrawn=True),
    ),
    "after a stop": day(
        *arrival(), *nasal_dose()[:3], at(17, "dose-stopped", complete=False, reason="panic"), nasal_dose()[3]
    ),
    "odd": day(*arrival(visit="v<&>"), at(7, "event", sign="other", present=True, text="a b <script> & ")),
}


def publish(found: Whole, patient: str | None = None) -> Json:
    return session_to_fhir(found.state, found.events, KNOWLEDGE, now=found.now, patient=patient)


def doses(bundle: Json, substance: str = "ketamine") -> list[Json]:
    every = of(bundle, "MedicationAdministration")
    return [m for m in every if substance in str([c.get("code") for c in m.get("contained", ())] or m)]


# --- valid R4, by someone else's reading ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DAYS)
def test_the_bundle_has_the_structure_of_r4(name: str) -> None:
    assert [str(i) for i in fhirkit.validate(publish(DAYS[name]))] == []


@pytest.mark.parametrize("name", DAYS)
def test_required_codes_are_those_of_the_specification(name: str) -> None:
    checked = 0
    for resource in (e["resource"] for e in publish(DAYS[name])["entry"]):
        for path, allowed in required_codes(resource["resourceType"]):
            for code in at_path(resource, path.split(".")[1:]):
                assert code in allowed, f"{path}: {code}"
                checked += 1
    assert checked > 4


def test_hl7_codes_carry_their_official_names() -> None:
    seen = set()
    for node in nodes([publish(d) for d in DAYS.values()]):
        system = str(node.get("system", "")).rpartition("/")[2]
        known = official("CodeSystem", {"discharge-disposition": "encounter-discharge-disposition"}.get(system, system))
        if known and "code" in node:
            names = {c["code"]: c.get("display") for c in nodes(known["concept"]) if "code" in c}
            assert node["code"] in names, node
            assert node.get("display", names[node["code"]]) == names[node["code"]]
            seen.add(system)
    assert seen >= {"v3-ActCode", "discharge-disposition", "adverse-event-seriousness", "flag-category"}


@pytest.mark.parametrize("name", DAYS)
def test_every_reference_inside_resolves(name: str) -> None:
    bundle = publish(DAYS[name])
    inside = {e["fullUrl"] for e in bundle["entry"]}
    assert len(inside) == len(bundle["entry"])
    for entry in bundle["entry"]:
        assert entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}"
        for node in nodes(entry["resource"]):
            if isinstance(node.get("reference"), str):
                assert node["reference"] in inside | {"Patient/p", "#product"}


POOL = [*arrival(), *nasal_dose(), *SURGE, *settled(), signed(), *LEFT, *infusion()[2:]]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(POOL), unique_by=lambda e: e["id"], max_size=12), st.floats(0, 300))
def test_any_day_can_be_published(log: list[Json], until: float) -> None:
    found = day(*log, until=until)
    assert [str(i) for i in fhirkit.validate(publish(found, "Patient/p"))] == []


# --- the dose ---------------------------------------------------------------------------------------------------------


def test_each_device_is_one_administration_with_its_lot() -> None:
    found = doses(publish(DAYS["discharged"]))
    assert [(m["effectiveDateTime"], m["dosage"]["dose"]["value"], m["status"]) for m in found] == [
        (clock(15), 28, "completed"),
        (clock(21), 28, "completed"),
    ]
    batches = [m["contained"][0]["batch"] for m in found]
    assert [b["lotNumber"] for b in batches] == ["ESK-77", "ESK-78"]
    assert {m["dosage"]["route"]["coding"][0]["code"] for m in found} == {"46713006"}
    assert found[0]["performer"][0]["actor"]["display"] == "Nora Weiss"


def test_each_stretch_of_an_infusion_is_one_and_the_rest_was_not_given() -> None:
    given_, rest = doses(publish(DAYS["infusion"]))[:3], doses(publish(DAYS["infusion"]))[3:]
    assert [m["effectivePeriod"]["start"] for m in given_] == [clock(15), clock(25), clock(40)]
    assert [m["effectivePeriod"]["end"] for m in given_] == [clock(25), clock(35), clock(45)]
    assert [m["dosage"]["dose"]["value"] for m in given_] == [8.75, 7, 3.5]
    assert [(m["status"], m["dosage"]["dose"]["value"]) for m in rest] == [("not-done", 15.75)]


def test_a_whole_dose_leaves_nothing_over() -> None:
    early = at(54.5, "dose-stopped", complete=True)
    found = doses(publish(day(*arrival("ketamine-iv"), *infusion()[:3], early)))
    assert [m["status"] for m in found] == ["completed"]
    assert found[0]["dosage"]["dose"]["value"] < 35


def test_what_runs_is_in_progress_and_ends_as_the_same_resource() -> None:
    (first, running), ended = doses(publish(DAYS["running"])), doses(publish(DAYS["infusion"]))
    assert (first["status"], running["status"]) == ("completed", "in-progress")
    assert "end" not in running["effectivePeriod"]
    assert running["dosage"]["rateQuantity"]["value"] == 60
    assert [m["id"] for m in ended[:2]] == [first["id"], running["id"]]


def test_a_dose_after_a_stop_went_in_all_the_same() -> None:
    found = doses(publish(DAYS["after a stop"]))
    assert [m["dosage"]["dose"]["value"] for m in found if m["status"] == "completed"] == [28, 28]
    assert "outside the plan" in found[1]["note"][0]["text"]
    assert len(found) == 2  # how much of what was prepared is left is not known


def test_a_dose_is_in_error_only_where_two_people_say_so() -> None:
    found = doses(publish(DAYS["withdrawn"]))
    assert sorted(m["status"] for m in found) == ["entered-in-error", "unknown"]
    (back,) = (m for m in found if m["status"] == "entered-in-error")
    assert "other chair" in back["note"][0]["text"]


@pytest.mark.parametrize(
    ("expiry", "dated"), [("2028-03", "2028-03"), ("2028-03-31", "2028-03-31"), ("03/28", None), ("2028", None)]
)
def test_an_expiry_that_is_no_date_is_left_out(expiry: str, dated: str | None) -> None:
    found = day(*arrival(), at(15, "device-given", number=1, dose=28, lot="L", expiry=expiry))
    assert doses(publish(found))[0]["contained"][0]["batch"].get("expirationDate") == dated


@pytest.mark.parametrize(
    ("words", "value", "unit"),
    [("4 mg", 4, "mg"), ("0,4 mg", 0.4, "mg"), ("400 mcg", 400, "ug"), ("one sip", None, "")],
)
def test_a_dose_in_words_is_a_quantity_where_it_is_one(words: str, value: float | None, unit: str) -> None:
    found = day(*arrival(), at(7, "medication-given", substance="ondansetron", dose=words, route="by mouth"))
    (made,) = doses(publish(found), "ondansetron")
    dose = made.get("dosage", {}).get("dose", {})
    assert (dose.get("value"), dose.get("code", "")) == (value, unit)
    assert words in made["text"]["div"]


def test_a_dose_that_was_only_recorded_outside_the_plan_is_still_a_treatment() -> None:
    stopped = at(12, "dose-stopped", complete=False, reason="changed mind")
    found = publish(day(*arrival(), stopped, at(15, "device-given", number=1, dose=28), at(70, "note", text="x")))
    (treatment,), (dose,) = of(found, "Procedure"), doses(found)
    assert dose["status"] == "completed"
    assert treatment["performedPeriod"]["start"] == clock(15)


def test_other_medicines_keep_their_words() -> None:
    bundle = publish(DAYS["transferred"])
    (nitro,) = doses(bundle, "nitroglycerin")
    assert nitro["dosage"]["dose"] == {
        "value": 0.4,
        "unit": "mg",
        "system": "http://unitsofmeasure.org",
        "code": "mg",
    }
    (tablet,) = doses(bundle, "ondansetron")
    assert "dosage" not in tablet
    assert "one tablet by mouth" in tablet["note"][0]["text"]


# --- what was seen, raised, done --------------------------------------------------------------------------------------


def test_an_alarm_says_what_showed_it_who_saw_it_and_when_it_was_over() -> None:
    bundle = publish(DAYS["surge"])
    (severe,) = (i for i in of(bundle, "DetectedIssue") if i["code"]["coding"][1]["code"] == "hypertension-severe")
    assert severe["severity"] == "high"
    assert severe["status"] == "final"
    assert severe["identifiedPeriod"] == {"start": clock(55), "end": clock(58)}
    assert "Systolic blood pressure: 192" in severe["detail"]
    assert f"Acknowledged by Nora Weiss at {clock(56)}" in severe["detail"]
    assert [(m["action"]["text"], m["date"]) for m in severe["mitigation"]] == [("cuff repeated", clock(57))]


def test_an_alarm_that_nobody_acknowledged_is_preliminary() -> None:
    unseen = day(*arrival(), *nasal_dose(), *SURGE[:2])
    (severe,) = (i for i in of(publish(unseen), "DetectedIssue") if "Very high" in i["code"]["text"])
    assert severe["status"] == "preliminary"
    assert "Not acknowledged." in severe["detail"]
    assert "end" not in severe["identifiedPeriod"]


def test_what_was_done_about_another_alarm_and_seen_after_its_end_is_not_of_this_one() -> None:
    late = [at(80, "acknowledged", alarm="hypertension-severe"), at(81, "action", what="water", alarm="nausea")]
    found = day(*arrival(), *nasal_dose(), *SURGE[:4], *late)
    (severe,) = (i for i in of(publish(found), "DetectedIssue") if "Very high" in i["code"]["text"])
    assert severe["status"] == "preliminary"
    assert "mitigation" not in severe


def test_a_sign_that_was_present_is_an_adverse_event_and_one_that_was_not_is_none() -> None:
    bundle = publish(DAYS["transferred"])
    (event,) = of(bundle, "AdverseEvent")
    assert event["event"]["coding"][0]["code"] == "chest_pain"
    assert event["seriousness"]["coding"][0]["code"] == "Serious"
    assert event["suspectEntity"] == [{"instance": {"reference": f"urn:uuid:{of(bundle, 'Procedure')[0]['id']}"}}]
    (before,) = of(publish(DAYS["odd"]), "AdverseEvent")
    assert "seriousness" not in before  # nobody said; and nothing had been given
    assert "suspectEntity" not in before


def test_what_was_corrected_says_so_and_what_was_withdrawn_stays() -> None:
    bundle = publish(DAYS["corrected"])
    systolic = [o for o in of(bundle, "Observation") if o["code"]["coding"][-1]["code"] == "systolic"]
    assert [(o["valueQuantity"]["value"], o["status"]) for o in systolic] == [(128, "final"), (120, "corrected")]
    spo2 = [o for o in of(bundle, "Observation") if o["code"]["coding"][-1]["code"] == "spo2"]
    assert [(o["valueQuantity"]["value"], o["status"]) for o in spo2] == [(98, "final"), (91, "entered-in-error")]
    (never,) = doses(bundle, "ondansetron")
    assert never["status"] == "entered-in-error"
    assert "other chair" in never["note"][0]["text"]


ENDS = [
    # day, status of the visit, where the person went, status of the treatment
    ("arrived", "arrived", None, "preparation"),
    ("surge", "in-progress", None, "completed"),
    ("running", "in-progress", None, "in-progress"),
    ("infusion", "in-progress", None, "stopped"),
    ("discharged", "finished", "home", "completed"),
    ("left", "finished", "oth", "completed"),
    ("transferred", "finished", "other-hcf", "completed"),
    ("not treated", "finished", None, "not-done"),
]


@pytest.mark.parametrize(("name", "status", "went", "treated"), ENDS)
def test_how_it_ended(name: str, status: str, went: str | None, treated: str) -> None:
    bundle = publish(DAYS[name])
    (visit,), (treatment,) = of(bundle, "Encounter"), of(bundle, "Procedure")
    assert (visit["status"], treatment["status"]) == (status, treated)
    coded = visit.get("hospitalization", {}).get("dischargeDisposition", {}).get("coding", [{}])
    assert coded[0].get("code") == went
    assert visit["period"]["start"] == clock(0)


def test_who_walked_out_was_not_discharged_and_is_looked_for() -> None:
    bundle = publish(DAYS["left"])
    tasks = {t["identifier"][0]["value"]: t for t in of(bundle, "Task")}
    assert tasks["left-warn"]["status"] == "completed"
    assert tasks["left-call-person"]["status"] == "requested"
    assert "nobody was reached" in str(tasks["left-call-person"]["note"])
    flags = of(bundle, "Flag")
    assert [(f["status"], f["period"]) for f in flags] == [("active", {"start": clock(75)})] * 2
    assert any("next dose" in f["code"]["text"].lower() for f in flags)
    (told,) = of(bundle, "Communication")
    assert told["status"] == "completed"
    unwarned = day(*arrival(), *nasal_dose(), at(75, "left-before-discharge", warned=False))
    assert [c["status"] for c in of(publish(unwarned), "Communication")] == ["not-done"]
    unsaid = day(*arrival(), *nasal_dose(), at(75, "left-before-discharge"))
    assert not of(publish(unsaid), "Communication")
    assert not [o for o in of(bundle, "Observation") if "discharge_signed" in str(o["code"])]
    for name in ("discharged", "surge", "transferred"):
        assert not of(publish(DAYS[name]), "Flag") + of(publish(DAYS[name]), "Task")


def test_the_same_session_is_the_same_resources_at_any_time() -> None:
    def ids(found: Whole) -> set[str]:
        return {e["fullUrl"] for e in publish(found)["entry"]}

    early, late = DAYS["surge"], day(*arrival(), *nasal_dose(), *SURGE, *LEFT, until=200)
    assert publish(early) == publish(early)
    assert ids(early) < ids(late)
    other = day(*({**e, "session": "s-2"} for e in (*arrival(), *nasal_dose())))
    assert len(ids(other) & ids(early)) == 0
    nameless = [{k: v for k, v in e.items() if k != "session"} for e in arrival()]
    unnamed = [day(*nameless), day(nameless[0] | {"at": clock(-10)}, *nameless[1:])]
    assert len(ids(unnamed[0]) & ids(unnamed[1])) == 0


# --- record -> session -> record --------------------------------------------------------------------------------------


def record(*days: Whole, **more: Any) -> Json:
    """The person of a worked case with published days in the record."""
    made = person(age=D01.age, sex=D01.sex, extra=D01.facts, **more)
    made["entry"] += [e for d in days for e in publish(d)["entry"]]
    return made


def rules(bundle: Json, phase: str, minute: float) -> dict[str, str]:
    found = adjunct.assess(bundle, treatment="esketamine-nasal", phase=phase, at=clock(minute), country="US")
    return {f.rule.partition("@")[0]: f.action for f in found.findings}


def test_a_day_with_two_devices_is_one_visit_of_the_plan() -> None:
    facts = [f for f in D19_FACTS if f.get("id") not in ("o-dose", "o-missed-session")]

    def visits(*days: Whole) -> list[tuple[str, str]]:
        made = person(age=D19.age, sex=D19.sex, extra=facts)
        made["entry"] += [e for d in days for e in publish(d)["entry"]]
        found = adjunct.plan(
            made, protocol="esketamine-trd", start="2026-11-24", at=clock(300), country="US", clinic=CHICAGO
        ).to_dict()
        return [(v["state"], v.get("given_at") or "") for v in found["visits"]]

    assert [state for state, _ in visits() if state == "done"] == []
    done = [given_at for state, given_at in visits(DAYS["discharged"]) if state == "done"]
    assert len(done) == 1
    assert done[0].startswith("2026-11-24T09:")


def test_discharge_starts_the_check_ins() -> None:
    def asked(*days: Whole) -> list[str]:
        found = adjunct.follow(record(*days), at=clock(25 * 60), country="US", settings={"checkins": True})
        return [c["id"] for c in found.to_dict()["checkins"]]

    assert asked() == []
    assert {"checkin:2026-11-24:daily", "checkin:2026-11-25:daily"} <= set(asked(DAYS["discharged"]))


def test_walking_out_holds_the_next_dose() -> None:
    assert "left-last-session" not in rules(record(DAYS["discharged"]), "pre-dose", 48 * 60)
    assert rules(record(DAYS["left"]), "pre-dose", 10 * 24 * 60)["left-last-session"] == "defer"


def test_the_next_dose_waits_for_the_last_one() -> None:
    near, far = (set(rules(record(DAYS["discharged"]), "pre-dose", h * 60)) for h in (24, 72))
    never = set(rules(record(DAYS["arrived"]), "pre-dose", 24 * 60))
    assert "dose-too-soon" in near - far - never


def test_vital_signs_of_the_day_reach_the_assessment() -> None:
    def pressure(found: Whole, minute: float) -> set[str]:
        return {n for n in rules(record(found), "discharge", minute) if n.startswith("discharge-bp")}

    assert pressure(DAYS["discharged"], 143) == set()
    assert "discharge-bp-needs-exam" in pressure(day(*arrival(), *nasal_dose(), *SURGE[1:3]), 60)


def test_the_person_may_be_named_by_whoever_publishes() -> None:
    bundle = publish(DAYS["surge"], "Patient/other")
    subjects = {str(n["subject"]) for n in nodes(bundle) if "subject" in n}
    assert subjects == {"{'reference': 'Patient/other'}"}
    at_ = Instant(NINE.ms, NINE.offset)
    assert session_to_fhir(DAYS["surge"].state, (), KNOWLEDGE, now=at_)["timestamp"] == clock(0)
    assert PRESCRIBER in str(publish(DAYS["discharged"]))


# --- days as they are rehearsed ---------------------------------------------------------------------------------------

REHEARSED = ["quiet-nasal", "hypoxia-kratom", "early-leaver", "anaphylaxis", "wrong-patient"]
MEASURES = ("systolic", "diastolic", "heart_rate", "resp_rate", "moaas")


@pytest.mark.parametrize("name", REHEARSED)
def test_a_rehearsed_day_is_valid_and_every_last_value_is_read_back(name: str) -> None:
    found = rehearsed(name)
    bundle = publish(found)
    assert [str(i) for i in fhirkit.validate(bundle)] == []
    for resource in (e["resource"] for e in bundle["entry"]):
        for path, allowed in required_codes(resource["resourceType"]):
            assert set(at_path(resource, path.split(".")[1:])) <= allowed
    inside = {e["fullUrl"] for e in bundle["entry"]}
    named = {str(n["reference"]) for e in bundle["entry"] for n in nodes(e["resource"]) if "reference" in n}
    assert named <= inside | {found.state.patient, "#product"}
    bundle["entry"].append({"resource": {"resourceType": "Patient", "id": "simulated-1", "birthDate": "1982-05-05"}})
    read = from_bundle(read_bundle(bundle), KNOWLEDGE, now=found.now, phase="discharge")
    evidence = {(e.concept, float(e.value), instant(e.at).ms // 1000) for e in read.evidence if e.concept in MEASURES}
    for measure in MEASURES:
        last = found.state.readings[measure]
        assert (measure, last.value, last.at // 1000) in evidence
    assert read.problems == ()


def test_what_was_told_during_the_session_is_known_at_the_next_visit() -> None:
    """Kratom, told at the chair: as a medicine in use, with its last use."""
    (told,) = of(publish(rehearsed("hypoxia-kratom")), "MedicationStatement")
    assert (told["medicationCodeableConcept"]["text"], told["status"]) == ("kratom extract", "active")
    made = person(age=D01.age, sex=D01.sex, extra=D01.facts)
    made["entry"] += publish(rehearsed("hypoxia-kratom"), "Patient/p")["entry"]
    for days, rule in ((0, "kratom-same-day"), (7, "kratom-facts")):
        at_ = f"2027-01-{11 + days}T18:00:00+01:00"
        found = adjunct.assess(made, treatment="ketamine-iv", phase="pre-dose", at=at_, country="US")
        assert rule in {f.rule.partition("@")[0] for f in found.findings}


def test_an_alarm_says_its_value_with_its_unit_and_a_sign_only_its_name() -> None:
    says = [i["detail"] for i in of(publish(rehearsed("hypoxia-kratom")), "DetectedIssue")]
    assert any(text.startswith("Oxygen saturation: 93 %. ") for text in says)
    assert any(text.startswith("Kratom told. ") for text in says)
    assert any(text.startswith("MOAA/S (sedation, 5 awake to 0): 2. ") for text in says)
