"""Scores and follow-up as FHIR: valid R4, never a value that was not computed, and read back the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fhirkit
import numpy as np
import pytest

import adjunct
from adjunct.base import BadInput, instant
from adjunct.fhir import read_bundle
from adjunct.followup.checkins import Answer
from adjunct.followup.safety_plan import Version
from adjunct.followup.stored import check_in_to_fhir, plan_to_fhir
from adjunct.instruments import Instrument, Score, instrument, score
from adjunct.instruments.responses import answers_from
from adjunct.knowledge import Knowledge
from adjunct.publish import follow_up_to_fhir, own_questionnaire, score_to_fhir
from adjunct.publish.measures import answer_to_fhir
from adjunct.record import Record, from_bundle
from test_publish import at_path, finding, nodes, of, required_codes

Json = dict[str, Any]
KNOWLEDGE = Knowledge.load()
EVERY = list(KNOWLEDGE.instruments)
NOW = "2026-11-22T09:30:00+01:00"
PERSON = {"resourceType": "Patient", "id": "p"}


def publish(found: Score, answers: Any, patient: str | None = "Patient/p") -> Json:
    return score_to_fhir(found, answers, KNOWLEDGE, at=NOW, patient_reference=patient, software_version="0.1.0")


def valid(bundle: Json) -> None:
    """Structure by fhirkit, required codes and HL7's names by the official definitions."""
    assert [str(i) for i in fhirkit.validate(bundle)] == []
    inside = {e["fullUrl"] for e in bundle["entry"]}
    assert len(inside) == len(bundle["entry"])
    for entry in bundle["entry"]:
        resource = entry["resource"]
        for path, allowed in required_codes(resource["resourceType"]):
            for code in at_path(resource, path.split(".")[1:]):
                assert code in allowed, f"{path}: {code}"
        for node in nodes(resource):
            reference = node.get("reference")
            if isinstance(reference, str) and reference.startswith("urn:uuid:"):
                assert reference in inside


def record(*resources: Json) -> Record:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (PERSON, *resources)]}
    return from_bundle(read_bundle(bundle), KNOWLEDGE, now=instant("2026-11-22T12:00:00+01:00"), phase="follow-up")


def rows(read: Record) -> set[tuple[str, str, str]]:
    """Every fact of a record without its reference: concept, value, answer."""
    events = read.events
    return {
        (KNOWLEDGE.concept_ids[concept], f"{events.value[row]:g}", f"{events.code[row]} {events.status[row]}")
        for concept in range(len(KNOWLEDGE.concept_ids))
        for row in range(int(events.starts[concept]), int(events.starts[concept + 1]))
        if events.source[row] >= 0
    }


# --- answers and their score ------------------------------------------------------------------------------------------


def sheets(known: Instrument) -> Iterator[list[object]]:
    """Some sheets of answers: drawn, with one open, with one that does not apply, with one out of range."""
    draw = random.Random(known.id)

    def one(item: Any) -> object:
        if item.kind == "clock":
            return f"{draw.randrange(24):02d}:{draw.randrange(60):02d}"
        if item.allowed:
            return draw.choice(item.allowed)
        most = item.most if np.isfinite(item.most) and item.most < 1000 else 90
        return draw.randint(int(item.least), int(most))

    for change in (None, None, None, "-", "na", 999):
        answers = [one(item) for item in known.items]
        if change is not None and answers:
            answers[draw.randrange(len(answers))] = change
        yield answers


@pytest.mark.parametrize("name", EVERY)
def test_every_instrument_is_published_and_read_back_the_same(name: str) -> None:
    known = instrument(KNOWLEDGE, name)
    form = known.forms[0] if known.forms else None
    for answers in sheets(known):
        found = score(known, answers, form=form)
        bundle = publish(found, answers)
        valid(bundle)
        (response,) = of(bundle, "QuestionnaireResponse")
        if not known.items:  # forms of which no item is known
            continue
        back = answers_from(known, response, {})
        assert back.strange == ()
        again = score(known, back.given, form=form)
        assert again == found, answers
        # The record reads the same from it as from the plainest response that says the same.
        plain = {k: v for k, v in response.items() if k != "item"} | {
            "item": [
                {"linkId": item.id, "answer": [{"valueString": str(answer)}]}
                for item, answer in zip(known.items, answers, strict=True)
                if str(answer) != "-"
            ]
        }
        assert rows(record(response)) == rows(record(plain)), answers


def test_the_record_has_the_total_and_the_items_of_a_published_phq9() -> None:
    answers = "1,2,1,0,2,1,0,0,1".split(",")
    bundle = publish(score(instrument(KNOWLEDGE, "phq9"), answers), answers)
    found = {(concept, value) for concept, value, _ in rows(record(*of(bundle, "QuestionnaireResponse")))}
    assert {("phq9", "8"), ("phq9_item9", "1")} <= found
    found = {(concept, value) for concept, value, _ in rows(record(*of(bundle, "Observation")))}
    assert ("phq9", "8") in found  # the Observation alone says it too, by its LOINC code


def test_a_total_has_its_unit_its_codes_and_what_it_comes_from() -> None:
    answers = [1, 2, 1, 0, 2, 1, 0, 0, 1]
    bundle = publish(score(instrument(KNOWLEDGE, "phq9"), answers), answers)
    (total,), (response,) = of(bundle, "Observation"), of(bundle, "QuestionnaireResponse")
    assert total["valueQuantity"] == {
        "value": 8,
        "unit": "{score}",
        "system": "http://unitsofmeasure.org",
        "code": "{score}",
    }
    assert [(c["system"], c["code"]) for c in total["code"]["coding"]] == [
        ("http://loinc.org", "44261-6"),
        ("urn:adjunct:item", "phq9.total"),
    ]
    assert (total["status"], total["interpretation"][0]["text"]) == ("final", "mild")
    assert total["derivedFrom"] == [{"reference": f"urn:uuid:{response['id']}"}]
    assert response["questionnaire"] == "urn:adjunct:questionnaire:phq9|1"
    assert (response["status"], response["authored"]) == ("completed", NOW)
    assert response["item"][8]["answer"][0]["valueCoding"]["code"] == "LA6569-3"
    (issue,) = of(bundle, "DetectedIssue")
    assert (issue["status"], issue["severity"]) == ("preliminary", "high")
    assert "C-SSRS" in issue["detail"]


def test_what_is_open_is_never_filled_in() -> None:
    answers = [3, 3, 3, 3, None, None, None, 0, 0]
    found = score(instrument(KNOWLEDGE, "phq9"), answers)
    assert found.total is None
    bundle = publish(found, answers)
    (total,), (response,) = of(bundle, "Observation"), of(bundle, "QuestionnaireResponse")
    assert "valueQuantity" not in total
    assert total["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert "item 5" in total["dataAbsentReason"]["text"]
    assert (total["status"], response["status"]) == ("preliminary", "in-progress")
    assert "interpretation" not in total
    assert [i["linkId"] for i in response["item"]] == ["i1", "i2", "i3", "i4", "i8", "i9"]
    assert any("between 12 and 21" in n["text"] for n in total["note"])
    assert of(bundle, "DetectedIssue") == []
    answers[-1] = None
    (urgent,) = of(publish(score(instrument(KNOWLEDGE, "phq9"), answers), answers), "DetectedIssue")
    assert (urgent["severity"], urgent["identifier"][0]["value"]) == ("moderate", "phq9.suicide_item_missing")


def test_a_prorated_total_says_so() -> None:
    answers = [1, 1, 1, 1, 1, 1, 1, 1, None]
    (total,) = of(publish(score(instrument(KNOWLEDGE, "phq9"), answers), answers), "Observation")
    assert total["valueQuantity"]["value"] == 9
    assert "prorated" in [n["text"] for n in total["note"]]


def test_an_answer_that_may_not_stand_there_is_kept_and_the_alarm_still_raised() -> None:
    answers = [1, 1, 7, 1, 1, 1, 1, 1, 2]
    bundle = publish(score(instrument(KNOWLEDGE, "phq9"), answers), answers)
    (total,), (response,) = of(bundle, "Observation"), of(bundle, "QuestionnaireResponse")
    assert total["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert response["item"][2]["answer"] == [{"valueString": "7"}]
    assert [i["identifier"][0]["value"] for i in of(bundle, "DetectedIssue")] == ["phq9.suicide_item"]


def test_the_screener_has_a_band_and_no_number() -> None:
    answers = ["Y", "Y", "N", "Y", "N", "N", "na"]
    bundle = publish(score(instrument(KNOWLEDGE, "cssrs"), answers), answers)
    (band,) = of(bundle, "Observation")
    assert band["valueCodeableConcept"]["text"] == "HIGH"
    assert not any("valueQuantity" in node for node in nodes(band))
    assert of(bundle, "DetectedIssue")[0]["severity"] == "high"
    open_ = publish(score(instrument(KNOWLEDGE, "cssrs"), [None] * 7), [None] * 7)
    assert of(open_, "Observation")[0]["status"] in ("preliminary", "final")


def test_wording_that_is_not_free_is_not_given_out() -> None:
    free = instrument(KNOWLEDGE, "phq9")
    assert answer_to_fhir(free, free.items[0], 3)["valueCoding"]["display"] == "Nearly every day"
    kept = replace(free, raw={**free.raw, "licence": {"text": "clinic"}})
    assert answer_to_fhir(kept, kept.items[0], 3)["valueCoding"]["display"] == "3"


def test_every_minute_of_a_clock_comes_back() -> None:
    known = instrument(KNOWLEDGE, "psqi")
    item = next(i for i in known.items if i.kind == "clock")
    for minute in range(24 * 60):
        written = f"{minute // 60:02d}:{minute % 60:02d}"
        assert answer_to_fhir(known, item, written) == {"valueTime": f"{written}:00"}
    assert answer_to_fhir(known, item, "24:30") == {"valueString": "24:30"}


def test_why_there_is_no_total_tells_open_from_not_applicable() -> None:
    seen = set()
    for name in EVERY:
        known = instrument(KNOWLEDGE, name)
        if any(i.applies for i in known.items) and known.has_total and not known.forms:
            answers = ["na" if i.applies else i.allowed[0] if i.allowed else i.least for i in known.items]
            found = score(known, answers)
            if found.total is None and not found.refused:
                (total,) = of(publish(found, answers), "Observation")
                seen.add((bool(found.missing), total["dataAbsentReason"]["coding"][0]["code"]))
    assert seen == {(False, "not-applicable")}


def test_subscales_are_components_and_an_unknown_one_has_no_value() -> None:
    known = instrument(KNOWLEDGE, "pcl5")
    answers: list[object] = [2] * len(known.items)
    answers[0] = None
    (total,) = of(publish(score(known, answers), answers), "Observation")
    parts = {c["code"]["coding"][0]["code"]: c for c in total["component"]}
    assert "dataAbsentReason" in parts["pcl5.B"]
    assert "valueQuantity" not in parts["pcl5.B"]
    assert parts["pcl5.C"]["valueQuantity"]["value"] == 4


def test_answers_may_come_by_item_and_without_a_patient() -> None:
    answers = {"i1": 1, "44260-8": 1}
    found = score(instrument(KNOWLEDGE, "phq9"), answers)
    bundle = publish(found, answers, None)
    valid(bundle)
    (response,) = of(bundle, "QuestionnaireResponse")
    assert [i["linkId"] for i in response["item"]] == ["i1", "i9"]
    assert response["subject"]["display"] == "the person asked about"
    assert publish(found, answers, None) == bundle
    assert publish(found, answers, "Patient/x")["id"] != bundle["id"]


@pytest.mark.parametrize("at", ["2026-11-22", "2026-11-22T09:30:00"])
def test_a_time_without_its_offset_is_refused(at: str) -> None:
    found = score(instrument(KNOWLEDGE, "phq9"), [0] * 9)
    with pytest.raises(BadInput, match="offset"):
        score_to_fhir(found, [0] * 9, KNOWLEDGE, at=at, patient_reference=None)


def test_rows_tell_records_apart() -> None:
    """The comparison above must be able to fail."""
    answers = [[n] * 9 for n in (0, 1)]
    one, other = (of(publish(score(instrument(KNOWLEDGE, "phq9"), a), a), "QuestionnaireResponse")[0] for a in answers)
    assert rows(record(one)) != rows(record(other))


# --- our own forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["check-in", "safety-plan"])
def test_our_own_forms_hold_every_question_that_is_stored(name: str) -> None:
    form = own_questionnaire(name, KNOWLEDGE)
    assert [str(i) for i in fhirkit.validate(form)] == []
    links = {item["linkId"]: item for item in form["item"]}
    if name == "check-in":
        asked = KNOWLEDGE.content["checkins"]["set"][0]["questions"]
        assert list(links) == asked
        assert [o["valueCoding"]["code"] for o in links["suicide"]["answerOption"]] == ["no", "yes", "unsure"]
        assert links["side-effects"]["repeats"] is True
        assert [e["valueInteger"] for e in links["mood"]["extension"]] == [0, 10]
        answers = [Answer(id="s", question=q, value="no", at=0, received=0) for q in asked]
        (stored,) = check_in_to_fhir(answers, check_in="c", patient_reference="Patient/p", knowledge=KNOWLEDGE)
        chosen = stored["item"][asked.index("suicide")]["answer"][0]["valueCoding"]
        assert chosen["system"] == links["suicide"]["answerOption"][0]["valueCoding"]["system"]
    else:
        sections = [s["id"] for s in KNOWLEDGE.content["workflow"]["safety_plan"]["section"]]
        assert [s for s in links if not s.endswith("-hint")] == [*sections, "reason"]
        version = Version(id="v", at=0, by="x", reason="y", sections=dict.fromkeys(sections, ("z",)))
        stored = plan_to_fhir(version, patient_reference="Patient/p")
        assert {i["linkId"] for i in stored["item"]} <= set(links)
    assert stored["questionnaire"] == f"{form['url']}|{form['version']}"


def test_a_form_that_is_not_ours_is_refused() -> None:
    with pytest.raises(BadInput, match="check-in or safety-plan"):
        own_questionnaire("phq9", KNOWLEDGE)


# --- follow-up --------------------------------------------------------------------------------------------------------

FOLLOWED: Json = {
    "knowledge": {"version": "abc", "as_of": "2026-11-22"},
    "at": NOW,
    "alerts": [
        {"id": "phq9:relapse", "level": "red", "says": "PHQ-9: relapse: 10 or more twice.", "tell": "", "since": NOW},
        {"id": "risk:screen:QuestionnaireResponse/c", "level": "HIGH", "says": "", "tell": "", "since": NOW},
    ],
    "risk": {
        "level": "HIGH",
        "at_least": "HIGH",
        "concerns": [
            {
                "id": "screen:QuestionnaireResponse/c",
                "kind": "screen",
                "received": NOW,
                "level": "HIGH",
                "acknowledged": None,
                "closed": None,
            },
            {
                "id": "trigger:Observation/o/trigger-phq9-item9",
                "kind": "phq9-item9",
                "received": NOW,
                "level": "UNKNOWN",
                "acknowledged": "Iris",
                "closed": NOW,
            },
        ],
        "worklist": [
            {
                "id": "screen:QuestionnaireResponse/c/evaluate",
                "what": "evaluated",
                "title": "Psychiatric evaluation the same day",
                "domain": "suicide",
                "owner": "Dr Okoro",
                "state": "overdue",
                "opens": "2026-11-22T08:00:00+01:00",
                "due": "2026-11-22T09:00:00+01:00",
                "basis": "protocol 8.2",
            }
        ],
    },
    "courses": {
        "phq9": {
            "title": "PHQ-9",
            "series": [{"at": NOW, "value": 9, "reference": "QuestionnaireResponse/q", "why": ""}],
            "latest": {"at": "2026-11-20T09:00:00+01:00", "value": 9},
            "state": {"state": "response", "name": "response, day 4", "because": []},
            "figures": [
                {
                    "id": "percent_change",
                    "name": "Change in per cent",
                    "value": -55.0,
                    "unit": "%",
                    "definition": "(now - before) / before",
                    "sources": [{"id": "s1", "locator": "p. 2"}],
                    "status": "verified",
                    "because": ["Observation/o", "Encounter/e"],
                    "why": "",
                },
                {
                    "id": "reliable",
                    "name": "Reliable change index",
                    "value": None,
                    "unit": "1",
                    "definition": "d",
                    "because": [],
                    "why": "no baseline",
                },
            ],
            "judgements": [
                {"id": "response", "name": "Response", "holds": 2, "definition": "half", "variant": "50 %"},
                {"id": "remission", "name": "Remission", "holds": 0, "definition": "below 5", "chosen": True},
                {"id": "relapse", "name": "Relapse", "holds": 1, "definition": "twice", "why": "one score only"},
                {"id": "response", "name": "Response", "holds": 0, "definition": "other", "chosen": False},
            ],
        },
        "gad7": {"title": "GAD-7", "series": [], "state": None, "latest": None, "figures": [], "judgements": []},
    },
    "signals": [
        {
            "id": "relapse-predicted",
            "title": "Early warning",
            "level": "amber",
            "since": "2026-11-20T09:00:00+01:00",
            "says": "It may be coming back.",
            "definition": "chance above one third",
            "false_alarms_per_person_year": 1.7,
            "sources": [{"id": "s2", "locator": ""}],
            "beside": ["n1"],
        }
    ],
    "context": [{"id": "n1", "title": "Possible withdrawal"}],
    "surveillance": {
        "due": [
            {
                "id": "liver.first",
                "what": "liver",
                "title": "Liver panel",
                "owner": "prescriber",
                "state": "overdue",
                "due": NOW,
                "because": "kratom",
                "basis": "label",
            },
            {"id": "isi.1", "what": "isi", "title": "ISI", "owner": "person", "state": "open", "due": NOW},
        ],
        "abnormal": {"liver": ["alt-high"], "mood": []},
    },
    "checkins": [{"id": "c1", "what": "checkin", "title": "Check-in", "owner": "person", "state": "due", "due": NOW}],
    "findings": [finding(id="alt-high", title="ALT high", action="monitor"), finding(id="other", action="monitor")],
}


def followed(patient: str | None = "Patient/p", **changed: Any) -> Json:
    return follow_up_to_fhir(FOLLOWED | changed, patient_reference=patient, software_version="0.1.0")


@pytest.mark.parametrize("patient", ["Patient/p", None])
def test_a_follow_up_is_valid_r4(patient: str | None) -> None:
    valid(followed(patient))
    valid(follow_up_to_fhir({"at": NOW}, patient_reference=patient))  # nothing known is a follow-up too
    assert followed(patient) == followed(patient)


def test_a_course_says_what_each_number_means_and_leaves_the_unknown_unknown() -> None:
    known, unknown = of(followed(), "Observation")
    assert known["valueCodeableConcept"]["text"] == "response, day 4"
    assert known["effectiveDateTime"] == "2026-11-20T09:00:00+01:00"
    assert known["derivedFrom"] == [{"reference": "Observation/o"}, {"reference": "QuestionnaireResponse/q"}]
    percent, reliable, response, remission, relapse = known["component"]
    assert percent["valueQuantity"]["value"] == -55
    assert percent["code"]["text"] == (
        "Change in per cent: (now - before) / before. Status verified. Source: s1, p. 2."
    )
    assert reliable["dataAbsentReason"]["text"] == "no baseline"
    assert (response["valueBoolean"], remission["valueBoolean"]) == (True, False)
    assert "Variant: 50 %." in response["code"]["text"]
    assert relapse["dataAbsentReason"]["text"] == "one score only"
    assert "valueBoolean" not in relapse
    assert "valueCodeableConcept" not in unknown
    assert unknown["dataAbsentReason"]["text"] == "the state is not known"


def test_signals_alarms_and_abnormal_findings_are_issues_to_be_confirmed() -> None:
    issues = {i["code"]["text"]: i for i in of(followed(), "DetectedIssue")}
    assert list(issues) == ["Early warning", "PHQ-9: Relapse", "ALT high"]
    assert {i["status"] for i in issues.values()} == {"preliminary"}
    warning = issues["Early warning"]
    assert (warning["severity"], warning["identifiedDateTime"]) == ("moderate", "2026-11-20T09:00:00+01:00")
    assert "False alarms in a year of a simulated person: 1.7." in warning["detail"]
    assert "Beside it: Possible withdrawal. This adds, and takes nothing away." in warning["detail"]
    assert issues["PHQ-9: Relapse"]["severity"] == "high"
    urgent = followed(findings=[finding(title="Chest pain", action="emergency"), finding(action="monitor")])
    assert "Chest pain" in [i["code"]["text"] for i in of(urgent, "DetectedIssue")]
    assert len(of(urgent, "DetectedIssue")) == len(issues)


def test_suicide_risk_is_said_in_words_with_what_it_rests_on() -> None:
    (risk,) = of(followed(), "RiskAssessment")
    assert risk["prediction"][0]["qualitativeRisk"]["text"] == "HIGH; likelihood not estimated"
    assert risk["basis"] == [{"reference": "QuestionnaireResponse/c"}]  # what was answered for is no basis
    assert "confirmed by nobody yet" in risk["prediction"][0]["rationale"]
    assert risk["mitigation"] == "Psychiatric evaluation the same day"
    for node in nodes(risk):
        assert not {"probabilityDecimal", "probabilityRange", "relativeRisk"} & set(node)
    (open_,) = of(followed(risk={"level": "UNKNOWN", "at_least": "LOW"}), "RiskAssessment")
    assert open_["prediction"][0]["outcome"]["text"] == "Suicide risk by screener: UNKNOWN, at least LOW"


def test_what_is_due_is_a_task_of_somebody() -> None:
    tasks = {t["identifier"][0]["value"]: t for t in of(followed(), "Task")}
    assert set(tasks) == {"screen:QuestionnaireResponse/c/evaluate", "liver.first", "c1"}  # what is only open is none
    evaluate, liver, check = tasks.values()
    assert (evaluate["intent"], evaluate["priority"], evaluate["owner"]["display"]) == ("plan", "asap", "Dr Okoro")
    assert evaluate["restriction"]["period"] == {
        "start": "2026-11-22T08:00:00+01:00",
        "end": "2026-11-22T09:00:00+01:00",
    }
    assert (liver["intent"], liver["priority"], liver["businessStatus"]["text"]) == ("proposal", "routine", "overdue")
    assert [n["text"] for n in liver["note"]] == ["kratom", "Basis: label"]
    assert check["owner"] == {"reference": "Patient/p"}
    assert {t["intent"] for t in tasks.values()} <= {"plan", "proposal"}  # never an order


EXAMPLES = [
    ("dana-course", "2026-11-21T09:00:00+01:00", "DE"),
    ("eli-kratom-reduction", "2026-11-17T17:00:00-06:00", "US"),
]


@pytest.mark.parametrize(("name", "at", "country"), EXAMPLES)
def test_the_examples_are_whole_and_their_follow_up_is_valid_r4(name: str, at: str, country: str) -> None:
    path = Path(adjunct.__file__).parent / "examples" / f"{name}.json"
    assert [str(i) for i in fhirkit.validate(json.loads(path.read_text(encoding="utf-8")))] == []
    read = read_bundle(path)
    assert read.problems == ()
    assert from_bundle(read, KNOWLEDGE, now=instant(at), phase="follow-up").problems == ()
    found = adjunct.follow(path, at=at, country=country, knowledge=KNOWLEDGE)
    said = found.to_dict()
    valid(follow_up_to_fhir(json.loads(found.to_json()), patient_reference=found.patient))
    if name == "dana-course":
        assert [c["kind"] for c in said["risk"]["concerns"] if not c["closed"]][-1:] == ["phq9-item9"]
        assert len(said["safety_plan"]["versions"]) == 2
        assert said["surveillance"]["exposure"]["doses"] == 9
        assert [c["id"] for c in said["checkins"] if c["state"] == "missed"] == ["checkin:2026-11-16:weekly"]
    else:
        assert "Possible withdrawal" in [n["title"] for n in said["context"]]
        assert "bladder.first" in [d["id"] for d in said["surveillance"]["due"]]
        assert said["risk"]["level"] == "NONE"
