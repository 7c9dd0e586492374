"""What a record says: FHIR resources in, truths and numbers out, with a reference for each and a reason for each gap.

The tables are to be read by clinicians: a line is one way in which a system may send one fact. `now` is 21 November
2026, nine in the morning, six hours behind UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import adjunct
from adjunct.base import FAR, MS_PER_DAY, BadInput, instant
from adjunct.fhir import read_bundle
from adjunct.knowledge.columns import Program
from adjunct.knowledge.language import parse
from adjunct.record import Record, from_bundle, from_items
from bundles import (
    ATC,
    ICD10CM,
    LOCAL,
    LOINC,
    NOW,
    RXNORM,
    SNOMED,
    SUBJECT,
    UCUM,
    VERIFICATION,
    answer,
    coding,
    cssrs,
    knowledge,
    last_use,
    medicine,
    no_known_allergy,
    number,
    observation,
    person,
    status,
)

Resource = Mapping[str, Any]
THREE = ("no", "unknown", "yes")
TODAY = "2026-11-21"


def read(*resources: Resource, phase: str = "intake", at: str = NOW, **who: Any) -> Record:
    """A record of one person with these resources."""
    numbered = [{**r, "id": f"{r.get('id', 'r')}-{i}"} if r.get("id") != "keep" else r for i, r in enumerate(resources)]
    bundle = read_bundle(person(extra=numbered, **who))
    return from_bundle(bundle, knowledge(), now=instant(at), phase=phase)


def truth(record: Record, question: str) -> str:
    """The answer of the rule language to a question, over every reading of the record; "depends" if they differ."""
    program = Program([parse(question, knowledge().vocabulary)], knowledge().vocabulary, record.phase)
    truths = set(program.run(record.events).truths[0].tolist())
    return THREE[truths.pop()] if len(truths) == 1 else "depends"


def values(record: Record, concept: str) -> list[float]:
    """The numbers of a concept, smallest first; an unknown one as None."""
    row = knowledge().vocabulary.concepts[concept]
    found = record.events.value[record.events.concept == row].tolist()
    return sorted(round(v, 4) for v in found if v == v) + [None for v in found if v != v]  # type: ignore[list-item]


def problems(record: Record) -> str:
    return " | ".join(p.what for p in record.problems)


def uncoded(resource: Resource, **changes: Any) -> dict[str, Any]:
    """A copy with some elements changed; None takes one away."""
    return {k: v for k, v in {**resource, **changes}.items() if v is not None}


# --- units ------------------------------------------------------------------------------------------------------------


def quantity(value: float, unit: str = "", code: str = "", **more: Any) -> dict[str, Any]:
    coded = {"system": UCUM, "code": code} if code else {}
    return {"valueQuantity": {"value": value} | ({"unit": unit} if unit else {}) | coded | more}


UNITS = [
    # what, value as sent, numbers read, problem
    ("temperature", quantity(98.6, code="[degF]"), [37.0], ""),
    ("temperature", quantity(98.6, unit="°F"), [37.0], ""),
    ("temperature", quantity(37.0, code="Cel"), [37.0], ""),
    ("temperature", quantity(98.6, code="Cel"), [None], "outside what can be measured"),
    ("weight", quantity(154, code="[lb_av]"), [69.8532], ""),
    ("weight", quantity(154, unit="lbs"), [69.8532], ""),
    ("weight", quantity(70000, code="g"), [70.0], ""),
    ("weight", quantity(70), [None], "no unit"),
    ("weight", quantity(70, code="cm"), [None], "does not measure this"),
    ("weight", quantity(70, unit="keel"), [None], "unknown unit"),
    ("systolic", quantity(16, code="kPa"), [120.0102], ""),
    ("systolic", quantity(120, unit="mmHg"), [120.0], ""),
    ("systolic", quantity(120, code="mmHg"), [None], "here 'mm[Hg]'"),
    ("systolic", {"valueString": "120,5"}, [None], "not given as a number"),
    ("systolic", {"valueString": "120"}, [None], "not given as a number"),
    ("systolic", quantity(120, code="mm[Hg]", comparator="<"), [-float("inf"), 120.0], ""),
    ("systolic", quantity(120, code="mm[Hg]", comparator=">="), [120.0, float("inf")], ""),
    ("systolic", {"valueSampledData": {"origin": {"value": 0}, "period": 1, "dimensions": 1}}, [None], ""),
    ("bilirubin", quantity(17.104, code="umol/L"), [1.0], ""),
    ("creatinine", quantity(88.4, code="umol/L"), [1.0], ""),
    ("creatinine", quantity(1, code="mg/dL"), [1.0], ""),
    ("sodium", quantity(140, code="meq/L"), [140.0], ""),
    ("sodium", quantity(140, unit="mEq/L"), [140.0], ""),
    ("lithium_level", quantity(0.8, code="mmol/L"), [0.8], ""),
    ("spo2", quantity(97, code="%"), [97.0], ""),
    ("spo2", quantity(0.97, code="1"), [97.0], ""),
    ("heart_rate", quantity(72, code="{beats}/min"), [72.0], ""),
    ("heart_rate", quantity(72, unit="bpm"), [72.0], ""),
    ("phq9", quantity(14, code="{score}"), [14.0], ""),
    ("phq9", quantity(14), [14.0], ""),
    ("phq9", {"valueInteger": 14}, [14.0], ""),
    ("phq9", quantity(14, code="%"), [None], "counted, not measured"),
    ("phq9", quantity(41), [None], "outside what can be measured"),
    ("phq9", {"valueRange": {"low": {"value": 9}, "high": {"value": 12}}}, [9.0, 12.0], ""),
    ("phq9", {"valueRange": {"low": {"value": 9}}}, [9.0, float("inf")], ""),
    (
        "weight",
        {"valueRange": {"low": {"value": 150, "code": "[lb_av]"}, "high": {"value": 80, "code": "kg"}}},
        [None],
        "",
    ),
    ("weight", {"dataAbsentReason": coding("http://x", "asked-declined", "Declined")}, [None], ""),
]


@pytest.mark.parametrize(
    ("concept", "sent", "expected", "said"), UNITS, ids=lambda v: v if isinstance(v, str) else None
)
def test_numbers_come_in_their_own_unit_or_not_at_all(
    concept: str, sent: Resource, expected: list[float], said: str
) -> None:
    record = read(observation({"system": LOCAL, "code": concept}, NOW, **sent))
    assert values(record, concept) == expected
    assert said in problems(record)
    assert bool(said) == bool(record.problems)


def test_every_value_keeps_its_reference_and_every_unknown_its_reason() -> None:
    declined = {"dataAbsentReason": coding("http://x", "asked-declined", "Declined")}
    record = read(observation({"system": LOCAL, "code": "weight"}, NOW, **declined))
    row = next(e for e in record.evidence if e.concept == "weight")
    assert (row.reference, row.value) == ("Observation/o-weight-0", "unknown: Declined")


def medication(amount: float, unit: str, times: Resource | None = None, **more: Any) -> dict[str, Any]:
    timing = {"timing": times or {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}}
    dose = {"doseAndRate": [{"doseQuantity": {"value": amount, "unit": unit, "system": UCUM, "code": unit}}]}
    return uncoded(medicine("2556", "citalopram", system=RXNORM), dosage=[{**timing, **dose, **more}])


DAILY = [
    # amount, unit, timing, milligrams of citalopram a day
    (20, "mg", None, [20]),
    (20000, "ug", None, [20]),
    (0.02, "g", None, [20]),
    (20, "mg", {"code": {"coding": [{"code": "BID"}]}}, [40]),
    (20, "mg", {"code": {"text": "QD"}}, [20]),
    (20, "mg", {"repeat": {"frequency": 1, "frequencyMax": 2, "period": 1, "periodUnit": "d"}}, [20, 40]),
    (20, "mg", {"repeat": {"frequency": 1, "period": 12, "periodUnit": "h"}}, [40]),
    (20, "mg", {"repeat": {"frequency": 1, "period": 1, "periodMax": 2, "periodUnit": "d"}}, [10, 20]),
    (14, "mg", {"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk"}}, [2]),
    (14, "mg", {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "dayOfWeek": ["mon", "fri"]}}, [4]),
    (14, "mg", {"repeat": {"dayOfWeek": ["mon"]}}, [2]),
    (20, "mg", {"repeat": {"timeOfDay": ["08:00:00", "20:00:00"]}}, [40]),
    (20, "mg", {"repeat": {"when": ["HS"]}}, [20]),
    (20, "mg", {"code": {"text": "as the doctor said"}}, [None]),
    (1, "{tablet}", None, [None]),
    (10, "mL", None, [None]),
    (-20, "mg", None, [None]),
]


@pytest.mark.parametrize(("amount", "unit", "timing", "expected"), DAILY)
def test_a_daily_dose_is_read_from_amount_and_timing(
    amount: float, unit: str, timing: Resource | None, expected: list[float]
) -> None:
    assert values(read(medication(amount, unit, timing)), "citalopram_daily_dose") == expected


def test_what_is_taken_only_when_needed_counts_from_nothing() -> None:
    assert values(read(medication(20, "mg", asNeededBoolean=True)), "citalopram_daily_dose") == [0, 20]


def test_several_lines_of_one_medicine_add_up() -> None:
    one = medication(20, "mg")
    two = uncoded(one, dosage=[*one["dosage"], *medication(10, "mg")["dosage"]])
    assert values(read(two), "citalopram_daily_dose") == [30]
    open_ = uncoded(one, dosage=[*one["dosage"], {"text": "and one at night"}])
    assert values(read(open_), "citalopram_daily_dose") == [None]


@pytest.mark.parametrize("strength", [10, 50, 100])
def test_millilitres_of_ketamine_are_no_milligrams_without_reading_the_strength(strength: int) -> None:
    """Ketamine comes as 10, 50 and 100 mg/mL: a volume alone may be any of three doses."""
    dosed = uncoded(
        medication(2, "mL"), medicationCodeableConcept=coding(LOCAL, "ketamine", f"ketamine {strength} mg/mL")
    )
    assert [i.per_day_mg for i in read(dosed).intakes] == [None]


# --- times ------------------------------------------------------------------------------------------------------------

WHEN = [
    # how the weight is dated (intake: it counts for 30 days), is there a weight, problem
    ({"effectiveDateTime": "2026-11-20"}, "yes", ""),
    ({"effectiveDateTime": "2026-11-20T10:00:00Z"}, "yes", ""),
    ({"effectiveDateTime": TODAY}, "yes", ""),
    ({"effectiveInstant": "2026-11-20T10:00:00Z"}, "yes", ""),
    ({"effectivePeriod": {"start": "2026-11-19", "end": "2026-11-20"}}, "yes", ""),
    ({"effectivePeriod": {"start": "2026-06-01", "end": "2026-11-20"}}, "unknown", ""),
    ({"effectivePeriod": {"start": "2026-11-20", "end": "2026-11-19"}}, "unknown", "ends before it begins"),
    ({"issued": "2026-11-20T10:00:00Z"}, "yes", ""),
    ({}, "unknown", ""),
    ({"effectiveDateTime": "2026-11"}, "yes", ""),
    ({"effectiveDateTime": "2026-10"}, "unknown", ""),
    ({"effectiveDateTime": "2026"}, "unknown", ""),
    ({"effectiveDateTime": "2025"}, "unknown", ""),
    ({"effectiveDateTime": "2026-02-30"}, "unknown", "cannot be read"),
    ({"effectiveDateTime": "2026-02-30", "issued": "2026-11-20T10:00:00Z"}, "unknown", "cannot be read"),
    ({"effectiveDateTime": "2026-11-20T10:00:00"}, "unknown", "cannot be read"),
    ({"effectiveDateTime": "0001-01-01"}, "unknown", ""),
    ({"effectiveDateTime": "2026-11-22"}, "unknown", "in the future"),
    ({"effectiveDateTime": "2026-11-21T15:30:00-06:00"}, "unknown", "in the future"),
]


@pytest.mark.parametrize(("dated", "expected", "said"), WHEN, ids=lambda v: str(v)[:60])
def test_an_observation_counts_when_its_time_is_certain(dated: Resource, expected: str, said: str) -> None:
    weighed = uncoded(number("weight", 70, "kg"), effectiveDateTime=None)
    record = read({**weighed, **dated})
    assert truth(record, "exists(weight)") == expected
    assert said in problems(record)


BIRTHS = [
    # birth date, ages it may be
    ("1990-11-21", [36]),
    ("1990-11-22", [35]),
    ("1990-11", [35, 36]),
    ("1990", [35, 36]),
    ("2026", [0]),
    ("1990-02-30", []),
    ("1826-01-01", []),
]


@pytest.mark.parametrize(("birth", "ages"), BIRTHS)
def test_a_partial_birth_date_leaves_the_age_open(birth: str, ages: list[float]) -> None:
    bundle = person()
    bundle["entry"][0]["resource"]["birthDate"] = birth
    record = from_bundle(read_bundle(bundle), knowledge(), now=instant(NOW), phase="intake")
    assert values(record, "age") == ages
    assert bool(record.problems) == (not ages)


def test_a_year_of_birth_near_an_age_limit_answers_nothing() -> None:
    limit = round(knowledge().number("pregnancy.age.high"))
    bundle = person(sex="F")
    bundle["entry"][0]["resource"]["birthDate"] = str(2026 - limit - 1)
    record = from_bundle(read_bundle(bundle), knowledge(), now=instant(NOW), phase="intake")
    assert truth(record, "latest(age) <= fact('pregnancy.age.high')") == "unknown"
    assert truth(record, "exists(pregnancy_possible)") == "unknown"


# --- conditions -------------------------------------------------------------------------------------------------------


def diagnosis(
    code: Mapping[str, Any], clinical: str = "active", verification: str = "confirmed", **more: Any
) -> Resource:
    return {
        "resourceType": "Condition",
        "id": "c",
        "subject": SUBJECT,
        "clinicalStatus": status(clinical) if clinical else None,
        "verificationStatus": {"coding": [{"system": VERIFICATION, "code": verification}]} if verification else None,
        "code": code,
        **more,
    }


COPD = coding(ICD10CM, "J44.9")
STROKE = coding(ICD10CM, "I63.9")
BOTH = {"coding": [{"system": "http://local", "code": "77"}, {"system": SNOMED, "code": "13645005"}]}
CONDITIONS = [
    # the entry, the question, the answer, what is asked
    (diagnosis(COPD), "exists(copd)", "yes", ""),
    (diagnosis(COPD, clinical="", verification=""), "exists(copd)", "yes", ""),
    (diagnosis(coding(ICD10CM, "J44")), "exists(copd)", "yes", ""),
    (diagnosis(coding(SNOMED, "13645005")), "exists(copd)", "yes", ""),
    (diagnosis(BOTH), "exists(copd)", "yes", ""),
    (diagnosis(coding(ICD10CM, "M54.5", "Low back pain")), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, clinical="recurrence"), "exists(copd)", "yes", ""),
    (diagnosis(COPD, verification="refuted"), "exists(copd)", "no", ""),
    (diagnosis(COPD, verification="refuted", recordedDate="2026-11-10"), "exists(copd)", "no", ""),
    (diagnosis(COPD, verification="refuted", recordedDate="2015-11-10"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, verification="provisional"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, verification="unconfirmed"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, verification="differential"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, verification="who-knows"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, verification="entered-in-error"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, clinical="resolved"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, clinical="resolved", abatementDateTime="2020"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, clinical="remission"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, clinical="remission"), "exists(copd, within='ever')", "yes", ""),
    (diagnosis(COPD, clinical="active", abatementDateTime="2027-03"), "exists(copd)", "yes", ""),
    (diagnosis(COPD, clinical="active", abatementDateTime="2020"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, clinical="", abatementString="in childhood"), "exists(copd)", "unknown", ""),
    (diagnosis(COPD, onsetDateTime="2027-03"), "exists(copd)", "unknown", "in the future"),
    (diagnosis({"text": "COPD"}), "exists(copd)", "unknown", "known only by its name"),
    (diagnosis({"text": "EPOC"}), "exists(copd)", "unknown", "known only by its name"),
    (diagnosis({"text": "Lungenemphysem"}), "exists(copd)", "unknown", "known only by its name"),
    (diagnosis({"text": "Épilepsie"}), "exists(seizure_disorder)", "unknown", "known only by its name"),
    (
        diagnosis(coding("http://local", "77", "Epilepsy")),
        "exists(seizure_disorder)",
        "unknown",
        "known only by its name",
    ),
    (diagnosis({"text": "no history of epilepsy"}), "exists(seizure_disorder)", "unknown", "was not looked at"),
    (diagnosis(coding("http://local", "77", "Something")), "exists(copd)", "unknown", "was not looked at"),
    (diagnosis(STROKE, onsetDateTime="2026-11-01"), "exists(stroke, within='6 wk')", "yes", ""),
    (diagnosis(STROKE, onsetDateTime="2019"), "exists(stroke, within='6 wk')", "unknown", ""),
    (diagnosis(STROKE, recordedDate="2026-11-01"), "exists(stroke, within='6 wk')", "unknown", ""),
    (diagnosis(STROKE, recordedDate="2026-11-01"), "exists(stroke)", "yes", ""),
    (diagnosis(STROKE), "exists(stroke)", "yes", ""),
    (diagnosis(STROKE), "exists(stroke, within='6 wk')", "unknown", ""),
]


@pytest.mark.parametrize(("entry", "question", "expected", "said"), CONDITIONS, ids=lambda v: None)
def test_a_condition_says_what_its_status_and_dates_say(
    entry: Resource, question: str, expected: str, said: str
) -> None:
    record = read(uncoded(entry))
    assert truth(record, question) == expected
    assert said in problems(record)
    assert bool(said) == bool(record.problems)


REVIEWED = [
    # entry, question; with the history reviewed, silence is a no and what stands in the record still counts
    (diagnosis(COPD, clinical="resolved"), "exists(copd)", "no"),
    (diagnosis(COPD), "exists(copd)", "yes"),
    (diagnosis({"text": "EPOC"}), "exists(copd)", "unknown"),
    (diagnosis(COPD, verification="provisional"), "exists(copd)", "unknown"),
    (diagnosis(STROKE, onsetDateTime="2019"), "exists(stroke, within='6 wk')", "no"),
    (diagnosis(STROKE, onsetDateTime="2026"), "exists(stroke, within='6 wk')", "unknown"),
]


@pytest.mark.parametrize(("entry", "question", "expected"), REVIEWED, ids=lambda v: None)
def test_under_an_attestation_only_silence_becomes_a_no(entry: Resource, question: str, expected: str) -> None:
    assert truth(read(uncoded(entry), reviewed=True), question) == expected


# --- findings, answers, attestations ----------------------------------------------------------------------------------

SAID = [
    # concept, value as sent, question, answer
    ("chest_pain", {"valueBoolean": True}, "exists(chest_pain)", "yes"),
    ("chest_pain", {"valueBoolean": False}, "exists(chest_pain)", "no"),
    ("chest_pain", {"valueCodeableConcept": coding(SNOMED, "373067005", "No")}, "exists(chest_pain)", "no"),
    ("chest_pain", {"valueCodeableConcept": coding(LOINC, "LA33-6", "Yes")}, "exists(chest_pain)", "yes"),
    ("chest_pain", {"valueString": "oui"}, "exists(chest_pain)", "yes"),
    ("chest_pain", {"valueString": "a bit, perhaps"}, "exists(chest_pain)", "unknown"),
    ("chest_pain", {}, "exists(chest_pain)", "unknown"),
    ("hcg", {"valueBoolean": True}, "latest(hcg) == 'positive'", "yes"),
    ("hcg", {"valueBoolean": False}, "latest(hcg) == 'negative'", "yes"),
    ("hcg", {"interpretation": [coding("http://x", "POS", "Positive")]}, "latest(hcg) == 'positive'", "yes"),
    ("hcg", {"valueString": "Negative"}, "latest(hcg) == 'negative'", "yes"),
    ("hcg", {"valueString": "weakly odd"}, "latest(hcg) == 'negative'", "unknown"),
    ("dose", {"valueDateTime": "2026-11-20T10:00:00Z"}, "exists(dose, within='2 d')", "yes"),
    ("dose", {"valueDateTime": "2026-12-20T10:00:00Z"}, "exists(dose, within='2 d')", "unknown"),
]


@pytest.mark.parametrize(("concept", "sent", "question", "expected"), SAID, ids=lambda v: None)
def test_answers_are_understood_or_unknown(concept: str, sent: Resource, question: str, expected: str) -> None:
    assert truth(read(observation({"system": LOCAL, "code": concept}, NOW, **sent)), question) == expected


CERTAIN = ("final", "amended", "corrected")
OPEN = ("preliminary", "registered", "unknown", "entered-in-error", "cancelled")


@pytest.mark.parametrize(("state", "expected"), [*((s, "yes") for s in CERTAIN), *((s, "unknown") for s in OPEN)])
def test_only_a_final_observation_is_certain(state: str, expected: str) -> None:
    assert truth(read(uncoded(answer("chest_pain", True), status=state)), "exists(chest_pain)") == expected


def test_what_was_entered_in_error_is_not_there() -> None:
    wrong = uncoded(answer("dissociative_confirmed", True), status="entered-in-error")
    assert truth(read(wrong), "exists(dissociative_confirmed)") == "no"


def test_a_symptom_named_by_the_value_counts_and_a_disease_named_so_asks() -> None:
    other = {"system": LOINC, "code": "8670-2"}
    symptom = observation(other, NOW, valueCodeableConcept=coding(SNOMED, "29857009", "Chest pain"))
    assert truth(read(symptom), "exists(chest_pain)") == "yes"
    of_the_family = observation(other, NOW, valueCodeableConcept=coding(ICD10CM, "I63.9", "Stroke"))
    record = read(of_the_family)
    assert truth(record, "exists(stroke)") == "unknown"
    assert "code is not known here" in problems(record)


ATTESTED = [
    # concept, answers with their days, held
    ([(TODAY, True)], True),
    ([("2026-11-05", True)], True),
    ([("2024-11-05", True)], False),
    ([("2026-11-05", True), ("2026-11-06", False)], False),
    ([("2026-11-05", False), ("2026-11-06", True)], True),
    ([("2026-11-06", True), ("2026-11-06", False)], False),
    ([("2026", True)], False),
    ([("2026-12-01", True)], False),
]


@pytest.mark.parametrize(("answers", "held"), ATTESTED)
def test_an_attestation_holds_while_it_is_recent_and_not_taken_back(
    answers: list[tuple[str, bool]], held: bool
) -> None:
    given = [answer("history_reviewed", said, day) for day, said in answers]
    for order in (given, given[::-1]):
        assert ("history" in read(*order).attested) is held


@pytest.mark.parametrize(
    ("day", "expected"), [(NOW, "no"), ("2026-11-19", "no"), ("2016-01-01", "unknown"), (None, "unknown")]
)
def test_a_stated_no_lasts_as_long_as_the_attestation_that_would_say_the_same(day: str | None, expected: str) -> None:
    denied = uncoded(answer("pregnancy", False), effectiveDateTime=day)
    assert truth(read(denied), "exists(pregnancy)") == expected


# --- questionnaires ---------------------------------------------------------------------------------------------------


def response(*items: Resource, **more: Any) -> Resource:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "qr",
        "status": "completed",
        "subject": SUBJECT,
        "authored": NOW,
        "item": list(items),
        **more,
    }


def item(link: str, **value: Any) -> dict[str, Any]:
    return {"linkId": link, "answer": [value] if value else []}


QUESTIONS = [
    # the item as sent, the question, the answer
    (item("/93248-3", valueBoolean=True), "exists(cssrs_q3)", "yes"),
    (item("93248-3", valueBoolean=False), "exists(cssrs_q3)", "no"),
    (item("screen/93248-3/", valueCoding={"system": LOINC, "code": "LA33-6"}), "exists(cssrs_q3)", "yes"),
    (item("cssrs_q3", valueString="no"), "exists(cssrs_q3)", "no"),
    (item("93248-3"), "exists(cssrs_q3)", "unknown"),
    ({"linkId": "group", "item": [item("93248-3", valueBoolean=True)]}, "exists(cssrs_q3)", "yes"),
    (
        {"linkId": "q", "answer": [{"valueBoolean": True, "item": [item("93248-3", valueBoolean=True)]}]},
        "exists(cssrs_q3)",
        "yes",
    ),
    (item("44260-8", valueCoding={"system": LOINC, "code": "LA6570-1"}), "latest(phq9_item9) == 2", "yes"),
    (item("44260-8", valueCoding={"system": LOINC, "code": "LA6568-5"}), "latest(phq9_item9) == 0", "yes"),
    (item("44260-8", valueInteger=1), "latest(phq9_item9) == 1", "yes"),
    (
        item("44260-8", valueCoding={"code": "x", "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 2}]}),
        "latest(phq9_item9) == 2",
        "yes",
    ),
    (item("44261-6", valueDecimal=2), "latest(phq9) == 2", "yes"),
    (item("something else", valueBoolean=True), "exists(cssrs_q3)", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "question", "expected"), QUESTIONS, ids=lambda v: None)
def test_questionnaire_answers_are_found_by_their_codes(sent: Resource, question: str, expected: str) -> None:
    assert truth(read(response(sent)), question) == expected


def questionnaire(url: str, code: str, version: str = "", link: str = "1") -> Resource:
    items = [{"linkId": link, "type": "boolean", "code": [{"system": LOINC, "code": code}]}]
    said = {"url": url, "version": version}
    return {"resourceType": "Questionnaire", "id": "q", "status": "active", "item": items} | {
        k: v for k, v in said.items() if v
    }


def test_a_questionnaire_in_the_bundle_tells_what_its_links_mean() -> None:
    said = response(item("1", valueBoolean=True), questionnaire="http://x/q|2")
    one, two = questionnaire("http://x/q", "93248-3", "1"), questionnaire("http://x/q", "93249-1", "2")
    for order in ([said, one, two], [two, one, said]):
        record = read(*order)
        assert truth(record, "exists(cssrs_q3)") == "unknown"
        assert truth(record, "exists(cssrs_q4)") == "yes"
    assert (
        truth(read(response(item("1", valueBoolean=True)), questionnaire("", "93248-3")), "exists(cssrs_q3)")
        == "unknown"
    )


def test_without_a_version_two_questionnaires_of_one_address_mean_nothing() -> None:
    said = response(item("1", valueBoolean=True), questionnaire="http://x/q")
    one, two = questionnaire("http://x/q", "93248-3", "1"), questionnaire("http://x/q", "93249-1", "2")
    for order in ([said, one, two], [two, one, said]):
        assert [truth(read(*order), f"exists({c})") for c in ("cssrs_q3", "cssrs_q4")] == ["unknown", "unknown"]
    assert truth(read(said, one), "exists(cssrs_q3)") == "yes"


# --- medicines --------------------------------------------------------------------------------------------------------

CODES = [
    (RXNORM, "36437", "sertraline"),
    (ATC, "N06AB06", "sertraline"),
    (LOCAL, "sertraline", "sertraline"),
]


@pytest.mark.parametrize(("system", "code", "substance"), CODES)
def test_a_substance_is_known_by_its_code(system: str, code: str, substance: str) -> None:
    record = read(medicine(code, "whatever it says", system=system))
    assert truth(record, f"any(substance, in_='{substance}')") == "yes"
    assert not any(i.text_only for i in record.intakes)


def drug(kind: str, state: str, **more: Any) -> Resource:
    return {
        "resourceType": kind,
        "id": "m",
        "status": state,
        "subject": SUBJECT,
        "medicationCodeableConcept": coding(LOCAL, "phenelzine", "phenelzine"),
        **more,
    }


STATEMENT, REQUEST = "MedicationStatement", "MedicationRequest"
ADMINISTRATION, DISPENSE = "MedicationAdministration", "MedicationDispense"
DAYS_90 = {"daysSupply": {"value": 90, "unit": "days", "system": UCUM, "code": "d"}}
IN_USE = [
    # entry, in use now, in use within 14 days
    (drug(STATEMENT, "active"), "yes", "yes"),
    (drug(STATEMENT, "active", effectivePeriod={"start": "2020"}), "yes", "yes"),
    (drug(STATEMENT, "active", effectiveDateTime="2026-10-01"), "yes", "yes"),
    (drug(STATEMENT, "active", effectivePeriod={"start": "2020", "end": "2026-11-14"}), "unknown", "yes"),
    (drug(STATEMENT, "active", effectivePeriod={"start": "2027-01"}), "unknown", "unknown"),
    (drug(STATEMENT, "unknown"), "unknown", "unknown"),
    (drug(STATEMENT, "intended"), "unknown", "unknown"),
    (drug(STATEMENT, "not-taken"), "unknown", "unknown"),
    (drug(STATEMENT, "entered-in-error"), "unknown", "unknown"),
    (drug(STATEMENT, "completed", effectivePeriod={"start": "2020", "end": "2026-11-14"}), "unknown", "yes"),
    (drug(STATEMENT, "completed", effectivePeriod={"start": "2020", "end": "2026-09"}), "unknown", "unknown"),
    (drug(STATEMENT, "stopped", effectivePeriod={"start": "2020", "end": "2026-11"}), "unknown", "unknown"),
    (drug(STATEMENT, "stopped"), "unknown", "unknown"),
    (drug(STATEMENT, "stopped", effectiveDateTime="2026-11-14"), "unknown", "yes"),
    (drug(STATEMENT, "on-hold", effectivePeriod={"start": "2026-11-14"}), "unknown", "yes"),
    (drug(REQUEST, "active", intent="order", authoredOn="2026-11-03"), "yes", "yes"),
    (drug(REQUEST, "active", intent="plan", authoredOn="2026-11-03"), "yes", "yes"),
    (drug(REQUEST, "active", intent="proposal", authoredOn="2026-11-03"), "unknown", "unknown"),
    (drug(REQUEST, "active", intent="option", authoredOn="2026-11-03"), "unknown", "unknown"),
    (drug(REQUEST, "active", intent="order", doNotPerform=True), "unknown", "unknown"),
    (drug(REQUEST, "draft", intent="order"), "unknown", "unknown"),
    (drug(REQUEST, "cancelled", intent="order"), "unknown", "unknown"),
    (drug(REQUEST, "completed", intent="order", authoredOn="2026-10-01"), "unknown", "unknown"),
    (drug(REQUEST, "stopped", intent="order", authoredOn="2026-11-14"), "unknown", "yes"),
    (drug(ADMINISTRATION, "completed", effectiveDateTime="2026-11-14"), "unknown", "yes"),
    (drug(ADMINISTRATION, "completed", effectiveDateTime="2026-10-14"), "unknown", "unknown"),
    (drug(ADMINISTRATION, "completed"), "unknown", "unknown"),
    (drug(ADMINISTRATION, "not-done", effectiveDateTime="2026-11-14"), "unknown", "unknown"),
    (drug(ADMINISTRATION, "in-progress", effectivePeriod={"start": "2026-11-21T08:00:00-06:00"}), "yes", "yes"),
    (drug(DISPENSE, "completed", whenHandedOver="2026-11-14", **DAYS_90), "yes", "yes"),
    (drug(DISPENSE, "completed", whenHandedOver="2026-07-14", **DAYS_90), "unknown", "unknown"),
    (drug(DISPENSE, "completed", whenHandedOver="2024-07-14", **DAYS_90), "unknown", "unknown"),
    (drug(DISPENSE, "completed", whenHandedOver="2026-11-14"), "unknown", "unknown"),
    (drug(DISPENSE, "declined", whenHandedOver="2026-11-14"), "unknown", "unknown"),
    (drug(DISPENSE, "preparation"), "unknown", "unknown"),
]


@pytest.mark.parametrize(("entry", "now", "lately"), IN_USE, ids=lambda v: None)
def test_what_a_status_and_its_dates_say_of_use(entry: Resource, now: str, lately: str) -> None:
    record = read(entry)
    assert truth(record, "any(substance, in_='phenelzine')") == now
    assert truth(record, "any(substance, in_='phenelzine', within='14 d')") == lately


OVER = [
    # with the list reconciled, what has certainly ended is a no; what may go on stays unknown
    (drug(STATEMENT, "stopped", effectivePeriod={"start": "2020", "end": "2026-09"}), "no", "no"),
    (drug(STATEMENT, "stopped", effectivePeriod={"start": "2020", "end": "2026-11"}), "unknown", "unknown"),
    (drug(STATEMENT, "stopped", effectivePeriod={"start": "2020"}), "no", "unknown"),
    (drug(STATEMENT, "not-taken"), "no", "no"),
    (drug(STATEMENT, "unknown"), "unknown", "unknown"),
    (drug(REQUEST, "completed", intent="order", authoredOn="2026-10-01"), "unknown", "unknown"),
    (drug(DISPENSE, "completed", whenHandedOver="2024-07-14", **DAYS_90), "no", "no"),
    (drug(DISPENSE, "completed", whenHandedOver="2026-07-14", **DAYS_90), "unknown", "unknown"),
    (drug(ADMINISTRATION, "not-done", effectiveDateTime="2026-11-14"), "no", "no"),
]


@pytest.mark.parametrize(("entry", "now", "lately"), OVER, ids=lambda v: None)
def test_on_a_reconciled_list_what_is_over_is_over(entry: Resource, now: str, lately: str) -> None:
    record = read(entry, reconciled=True)
    assert truth(record, "any(substance, in_='phenelzine')") == now
    assert truth(record, "any(substance, in_='phenelzine', within='14 d')") == lately


DEPOTS = [
    # text, given, in use now
    ("Vivitrol 380 mg", "naltrexone", "2026-10-31", "yes"),
    ("Vivitrol 380 mg", "naltrexone", "2026-05-01", "unknown"),
    ("naltrexone 50 mg tablet", "naltrexone", "2026-10-31", "unknown"),
    ("Sublocade 300 mg", "buprenorphine", "2026-07-21", "yes"),
    ("Sublocade 300 mg", "buprenorphine", "2025-07-21", "unknown"),
    ("Probuphine implant", "buprenorphine", "2026-06-21", "yes"),
    ("Butrans patch", "buprenorphine", "2026-11-13", "yes"),
    ("Emsam", "selegiline", "2026-11-10", "yes"),
]


@pytest.mark.parametrize("kind", [STATEMENT, ADMINISTRATION])
@pytest.mark.parametrize(("text", "substance", "given", "expected"), DEPOTS)
def test_a_depot_stays_whatever_its_status_says(
    kind: str, text: str, substance: str, given: str, expected: str
) -> None:
    named = {"coding": [{"system": LOCAL, "code": substance}], "text": text}
    entry = drug(kind, "completed", effectivePeriod={"start": given, "end": given}, medicationCodeableConcept=named)
    assert truth(read(entry, reconciled=True), f"any(substance, in_='{substance}')") == expected.replace(
        "unknown", "no"
    )


def test_a_depot_given_at_an_unknown_time_may_still_be_there() -> None:
    entry = drug(ADMINISTRATION, "completed", medicationCodeableConcept=coding(LOCAL, "naltrexone", "Vivitrol"))
    assert truth(read(entry, reconciled=True), "any(substance, in_='naltrexone')") == "unknown"


def test_a_depot_on_a_list_in_plain_words_stays_too() -> None:
    record, _ = from_items(["Sublocade, stopped 4 months ago"], knowledge(), now=instant(NOW))
    assert truth(record, "any(substance, in_='buprenorphine')") == "yes"


def by_reference(
    *, code: Resource | None = None, ingredients: list[Resource] | None = None, inside: bool = True
) -> list[Resource]:
    product = {"resourceType": "Medication", "id": "keep"} | ({"code": code} if code else {})
    if ingredients:
        product["ingredient"] = [{"itemCodeableConcept": i} for i in ingredients]
    link = {"reference": "#keep" if inside else "Medication/keep"}
    entry = uncoded(drug(STATEMENT, "active"), medicationCodeableConcept=None, medicationReference=link)
    return [entry | {"contained": [product]}] if inside else [entry, product]


@pytest.mark.parametrize("inside", [True, False])
def test_a_medication_by_reference_is_what_it_is_made_of(inside: bool) -> None:
    parts = [coding(LOCAL, "oxycodone"), coding(LOCAL, "naloxone")]
    record = read(*by_reference(ingredients=parts, inside=inside))
    assert [truth(record, f"any(substance, in_='{s}')") for s in ("oxycodone", "naloxone")] == ["yes", "yes"]
    assert (
        truth(read(*by_reference(code=coding(LOCAL, "phenelzine"), inside=inside)), "any(substance, in_='maoi')")
        == "yes"
    )


def test_one_unknown_ingredient_keeps_the_answer_open() -> None:
    record = read(*by_reference(ingredients=[coding(LOCAL, "oxycodone"), {"text": "blorptazine"}]))
    assert truth(record, "any(substance, in_='oxycodone')") == "yes"
    assert [p.blocks for p in record.problems] == [True]


def test_an_unknown_medicine_blocks_and_says_which() -> None:
    record = read(drug(STATEMENT, "active", medicationCodeableConcept={"text": "blorptazine 5 mg"}))
    assert [p.blocks for p in record.problems] == [True]
    assert "blorptazine" in problems(record)
    lost = uncoded(drug(STATEMENT, "active"), medicationCodeableConcept=None, medicationReference={"display": "Nardil"})
    assert truth(read(lost), "any(substance, in_='phenelzine')") == "yes"


def test_words_are_read_and_say_that_they_are_only_words() -> None:
    record = read(drug(STATEMENT, "active", medicationCodeableConcept={"text": "Nardil 15 mg"}))
    assert truth(record, "any(substance, in_='phenelzine')") == "yes"
    assert [i.text_only for i in record.intakes] == [True]
    assert all(e.text_only for e in record.evidence if e.concept == "substance")


def test_an_ambiguous_name_is_read_in_every_way() -> None:
    record = read(drug(STATEMENT, "active", medicationCodeableConcept={"text": "kratom"}))
    assert len(record.worlds) > 1
    assert truth(record, "any(substance, in_='kratom')") == "yes"
    assert truth(record, "any(substance, in_='kratom-leaf')") == "depends"
    assert truth(record, "exists(kratom_product_known)") == "no"


def test_words_that_say_stopped_are_believed_against_an_active_status() -> None:
    record = read(
        drug(STATEMENT, "active", medicationCodeableConcept={"text": "phenelzine, stopped 3 weeks ago"}),
        reconciled=True,
    )
    assert truth(record, "any(substance, in_='phenelzine')") == "no"
    assert truth(record, "any(substance, in_='phenelzine', within='30 d')") == "yes"


LAST_USE = [
    # entry, taken within 24 h
    (drug(ADMINISTRATION, "completed", effectiveDateTime="2026-11-21T01:00:00-06:00"), "yes"),
    (drug(ADMINISTRATION, "completed", effectiveDateTime="2026-11-18T01:00:00-06:00"), "unknown"),
    (drug(STATEMENT, "active", effectiveDateTime="2026-11-21T01:00:00-06:00"), "yes"),
    (drug(STATEMENT, "active"), "unknown"),
    (drug(STATEMENT, "active", note=[{"text": "last taken 2 hours ago", "time": NOW}]), "yes"),
    (drug(STATEMENT, "active", note=[{"text": "last taken 2 hours ago", "time": "2026-01-01T00:00:00Z"}]), "unknown"),
    (drug(STATEMENT, "active", note=[{"text": "last taken 2 hours ago"}]), "unknown"),
    (last_use("phenelzine", "2026-11-21T01:00:00-06:00"), "yes"),
]


@pytest.mark.parametrize(("entry", "expected"), LAST_USE, ids=lambda v: None)
def test_last_use_is_what_was_really_taken(entry: Resource, expected: str) -> None:
    assert truth(read(entry), "any(last_use, in_='phenelzine', within='24 h')") == expected


def test_a_stated_last_use_stands_against_an_entry_without_one() -> None:
    both = [drug(STATEMENT, "active"), last_use("phenelzine", "2026-11-18T01:00:00-06:00")]
    assert truth(read(*both, reconciled=True), "any(last_use, in_='phenelzine', within='24 h')") == "no"


# --- one intake in several lists --------------------------------------------------------------------------------------


def citalopram(kind: str, amount: float = 20, text: str = "citalopram") -> dict[str, Any]:
    line = medication(amount, "mg")["dosage"]
    where = "dosage" if kind == STATEMENT else "dosageInstruction"
    more = {"intent": "order"} if kind == REQUEST else {"whenHandedOver": TODAY, **DAYS_90} if kind == DISPENSE else {}
    return {**drug(kind, "completed" if kind == DISPENSE else "active", **more), where: line} | {
        "medicationCodeableConcept": coding(LOCAL, "citalopram", text)
    }


def test_order_statement_and_supply_of_one_medicine_are_one_intake() -> None:
    record = read(
        citalopram(REQUEST, text="Citalopram 20 mg tab"), citalopram(STATEMENT), citalopram(DISPENSE, text="Celexa")
    )
    assert values(record, "citalopram_daily_dose") == [20]
    assert truth(record, "exists(duplicate_substance)") == "unknown"
    heavy = "load('serotonergic') > fact('load.weight.strong')"
    assert truth(record, heavy) == truth(read(citalopram(STATEMENT), reconciled=True), heavy).replace("no", "unknown")
    thrice = read(citalopram(REQUEST), citalopram(STATEMENT), citalopram(DISPENSE), reconciled=True)
    assert truth(thrice, heavy) == truth(read(citalopram(STATEMENT), reconciled=True), heavy) == "no"


DOSES = [
    ([citalopram(STATEMENT, 20), citalopram(STATEMENT, 10)], [30]),
    ([citalopram(STATEMENT, 20), citalopram(STATEMENT, 20)], [20, 40]),
    ([citalopram(STATEMENT, 40), citalopram(REQUEST, 20)], [20, 40]),
    (
        [citalopram(STATEMENT, 40), drug(REQUEST, "active", medicationCodeableConcept=coding(LOCAL, "citalopram"))],
        [None],
    ),
]


@pytest.mark.parametrize(("entries", "expected"), DOSES, ids=lambda v: None)
def test_amounts_add_up_within_a_list_and_are_compared_across_lists(
    entries: list[Resource], expected: list[float]
) -> None:
    assert values(read(*entries), "citalopram_daily_dose") == expected


def test_two_products_of_one_substance_are_a_duplicate() -> None:
    percocet = drug(STATEMENT, "active", medicationCodeableConcept={"text": "Percocet"})
    tylenol = drug(REQUEST, "active", intent="order", medicationCodeableConcept={"text": "Tylenol"})
    assert truth(read(percocet, tylenol), "exists(duplicate_substance)") == "yes"
    assert (
        truth(
            read(citalopram(STATEMENT, text="Celexa"), citalopram(STATEMENT, text="citalopram")),
            "exists(duplicate_substance)",
        )
        == "yes"
    )
    assert truth(read(citalopram(STATEMENT), citalopram(STATEMENT)), "exists(duplicate_substance)") != "yes"


# --- allergies --------------------------------------------------------------------------------------------------------


def allergy(code: Resource, verification: str = "confirmed", clinical: str = "active", **more: Any) -> Resource:
    return uncoded(
        no_known_allergy(),
        code=code,
        verificationStatus={"coding": [{"code": verification}]},
        clinicalStatus={"coding": [{"code": clinical}]},
        **more,
    )


KETAMINE = coding(LOCAL, "ketamine", "ketamine")
ALLERGIES = [
    # entry, allergic to ketamine, allergies were asked
    (allergy(KETAMINE), "yes", True),
    (allergy(KETAMINE, "unconfirmed"), "unknown", True),
    (allergy(KETAMINE, "refuted"), "no", True),
    (allergy(KETAMINE, "entered-in-error"), "unknown", False),
    (allergy(KETAMINE, clinical="resolved"), "no", True),
    (allergy({"text": "ketamine"}), "yes", True),
    (allergy(coding(LOCAL, "sertraline")), "no", True),
    (allergy({"text": "peanuts"}), "no", True),
    (allergy(KETAMINE, recordedDate="2010-01-01"), "yes", False),
    (no_known_allergy(), "no", True),
    (no_known_allergy("2010-01-01"), "unknown", False),
]


@pytest.mark.parametrize(("entry", "expected", "asked"), ALLERGIES, ids=lambda v: None)
def test_allergies(entry: Resource, expected: str, asked: bool) -> None:
    record = read(entry)
    assert truth(record, "any(allergy, in_='ketamine')") == expected
    assert ("allergies" in record.attested) is asked


def test_an_allergy_that_is_only_words_says_so_and_an_unmatched_one_asks() -> None:
    assert [e.text_only for e in read(allergy({"text": "ketamine"})).evidence if e.concept == "allergy"] == [True]
    assert "'peanuts'" in problems(read(allergy({"text": "peanuts"})))


# --- other resources --------------------------------------------------------------------------------------------------


def done(kind: str, concept: str, state: str, **more: Any) -> Resource:
    return {
        "resourceType": kind,
        "id": "x",
        "status": state,
        "subject": SUBJECT,
        "code": coding(LOCAL, concept),
        **more,
    }


PERFORMED = {"performedDateTime": "2026-11-20T10:00:00-06:00"}
OTHERS = [
    (done("Procedure", "dose", "completed", **PERFORMED), "exists(dose, within='2 d')", "yes"),
    (done("Procedure", "dose", "not-done", **PERFORMED), "exists(dose, within='2 d')", "no"),
    (done("Procedure", "dose", "stopped", **PERFORMED), "exists(dose, within='2 d')", "unknown"),
    (done("Procedure", "dose", "preparation", **PERFORMED), "exists(dose, within='2 d')", "unknown"),
    (done("Procedure", "dose", "entered-in-error", **PERFORMED), "exists(dose, within='2 d')", "unknown"),
    (done("Procedure", "dose", "completed"), "exists(dose, within='2 d')", "unknown"),
    (done("Procedure", "pregnancy_not_possible", "completed"), "exists(pregnancy_not_possible)", "yes"),
    (
        done("Procedure", "pregnancy_not_possible", "completed", performedDateTime="2027-01-01"),
        "exists(pregnancy_not_possible)",
        "unknown",
    ),
    (done("Procedure", "ecg", "completed", **PERFORMED), "latest(ecg) == 'done'", "yes"),
    (done("Procedure", "ecg", "not-done", **PERFORMED), "latest(ecg) == 'not-done'", "yes"),
    (done("Procedure", "hcg", "completed", **PERFORMED), "exists(hcg)", "unknown"),
    (done("ServiceRequest", "hcg", "active", intent="order", authoredOn=TODAY), "exists(hcg)", "unknown"),
    (done("ServiceRequest", "ecg", "active", intent="order", authoredOn=TODAY), "exists(ecg)", "unknown"),
    (done("ServiceRequest", "reconciled", "active", intent="order", authoredOn=TODAY), "exists(reconciled)", "unknown"),
    (done("ServiceRequest", "escort", "active", intent="order", authoredOn=TODAY), "latest(escort) == 'yes'", "yes"),
    (done("ServiceRequest", "escort", "active", intent="proposal", authoredOn=TODAY), "exists(escort)", "unknown"),
    (done("ServiceRequest", "escort", "revoked", intent="order", authoredOn=TODAY), "exists(escort)", "unknown"),
]


@pytest.mark.parametrize(("entry", "question", "expected"), OTHERS, ids=lambda v: None)
def test_what_was_done_or_arranged(entry: Resource, question: str, expected: str) -> None:
    assert truth(read(entry), question) == expected


def test_an_order_for_a_test_leaves_no_trace_of_a_result() -> None:
    ordered = done("ServiceRequest", "hcg", "active", intent="order", authoredOn=TODAY)
    assert read(ordered).problems == ()


def test_a_visit_tells_its_symptom_and_only_asks_about_its_disease() -> None:
    visit = {
        "resourceType": "Encounter",
        "id": "e",
        "status": "finished",
        "class": {"code": "EMER"},
        "subject": SUBJECT,
        "period": {"start": "2026-11-20T10:00:00-06:00", "end": "2026-11-20T12:00:00-06:00"},
        "reasonCode": [coding(SNOMED, "29857009", "Chest pain"), coding(ICD10CM, "I63.9", "Stroke")],
    }
    assert [truth(read(visit), f"exists({c})") for c in ("chest_pain", "stroke")] == ["yes", "unknown"]
    assert truth(read({**visit, "status": "planned"}), "exists(chest_pain)") == "unknown"


ESCORTS = [
    ({"period": {"start": TODAY, "end": TODAY}}, "yes"),
    ({"period": {"start": "2026-11-01", "end": "2026-11-10"}}, "unknown"),
    ({"period": {"start": TODAY}, "active": False}, "unknown"),
    ({}, "unknown"),
]


@pytest.mark.parametrize(("more", "expected"), ESCORTS)
def test_an_escort_is_named_for_a_visit(more: Resource, expected: str) -> None:
    named = {"resourceType": "RelatedPerson", "id": "r", "patient": SUBJECT, "relationship": [coding(LOCAL, "escort")]}
    assert truth(read({**named, **more}), "latest(escort) == 'yes'") == expected


CONSENTS = [
    ({"status": "active"}, "signed"),
    ({"status": "active", "provision": {"type": "deny"}}, "withdrawn"),
    ({"status": "inactive"}, "withdrawn"),
    ({"status": "rejected"}, "declined"),
    ({"status": "draft"}, ""),
    ({"status": "active", "provision": {"period": {"end": "2026-01-01"}}}, ""),
    ({"status": "active", "scope": coding("http://x", "research")}, ""),
]


@pytest.mark.parametrize(("more", "expected"), CONSENTS, ids=lambda v: None)
def test_consent(more: Resource, expected: str) -> None:
    agreed = {
        "resourceType": "Consent",
        "id": "k",
        "patient": SUBJECT,
        "scope": coding("http://terminology.hl7.org/CodeSystem/consentscope", "treatment"),
        "category": [{"text": "consent"}],
        "dateTime": "2026-11-20",
    }
    record = read({**agreed, **more})
    said = [a for a in ("signed", "withdrawn", "declined") if truth(record, f"latest(consent) == '{a}'") == "yes"]
    assert said == ([expected] if expected else [])


def test_a_person_recorded_as_dead_is_asked_about() -> None:
    bundle = person(age=40)
    bundle["entry"][0]["resource"]["deceasedBoolean"] = True
    record = from_bundle(read_bundle(bundle), knowledge(), now=instant(NOW), phase="intake")
    assert [p.blocks for p in record.problems] == [True]


# --- what follows from several values ---------------------------------------------------------------------------------

EARLIER, DOSED, LATER = (f"2026-11-21T0{h}:00:00-06:00" for h in (6, 7, 8))


def bp(value: float, at: str, **more: Any) -> Resource:
    return {**number("systolic", value, "mm[Hg]", at, loinc="8480-6"), **more}


def log(*readings: tuple[float, str]) -> list[Resource]:
    return [number("home_systolic", value, "mm[Hg]", day) for value, day in readings]


HEIGHT_WITHOUT_UNIT = observation({"system": LOCAL, "code": "height"}, NOW, **quantity(200))
DERIVED = [
    # facts, concept, numbers
    ([number("weight", 80, "kg"), number("height", 200, "cm")], "bmi", [20]),
    ([number("weight", 80, "kg"), number("height", 2, "m")], "bmi", [20]),
    ([number("weight", 80, "kg")], "bmi", []),
    ([number("weight", 80, "kg"), HEIGHT_WITHOUT_UNIT], "bmi", [None]),
    ([bp(120, EARLIER), answer("dose", DOSED), bp(150, LATER)], "systolic_rise", [30]),
    ([bp(120, EARLIER), answer("dose", DOSED), bp(150, LATER)], "systolic_change", [25]),
    ([bp(120, EARLIER), bp(130, EARLIER), answer("dose", DOSED), bp(150, LATER)], "systolic_rise", [20, 30]),
    ([answer("dose", DOSED), bp(150, LATER)], "systolic_rise", []),
    (
        [bp(120, EARLIER), answer("dose", DOSED), bp(150, LATER), bp(150, LATER, **quantity(150))],
        "systolic_rise",
        [None],
    ),
    ([bp(120, EARLIER), bp(150, LATER)], "systolic_rise", []),
    ([bp(120, EARLIER), answer("dose", DOSED), bp(150, LATER, valueQuantity={"value": 150})], "systolic_rise", [None]),
    (log((130, "2026-11-18"), (140, "2026-11-19"), (150, "2026-11-20")),
     "home_systolic_mean", [140]),
    (log((130, "2026-11-18"), (140, "2026-11-19")),
     "home_systolic_mean", []),
    (log((130, "2026-01-18"), (140, "2026-11-19"), (150, "2026-11-20")),
     "home_systolic_mean", []),
    ([number("phq9", v, "{score}", d) for v, d in ((8, "2026-10-01"), (5, "2026-10-08"), (12, "2026-11-20"))],
     "phq9_rise", [7]),
    ([medicine("596", "alprazolam", 1, 2)], "diazepam_equivalent", [40]),
    ([medicine("596", "alprazolam")], "diazepam_equivalent", [None]),
    ([medicine("596", "alprazolam", 1), medicine("3322", "diazepam")], "diazepam_equivalent", [None]),
    ([medicine("36437", "sertraline", 50)], "diazepam_equivalent", []),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "concept", "expected"), DERIVED, ids=lambda v: v if isinstance(v, str) else None)
def test_what_follows_from_several_values(facts: list[Resource], concept: str, expected: list[float]) -> None:
    for order in (facts, facts[::-1]):
        assert values(read(*order), concept) == expected


def alt(value: Resource, *ranges: Resource) -> Resource:
    return {**observation({"system": LOCAL, "code": "alt"}, NOW, **value), "referenceRange": list(ranges)}


LIMIT = {"high": {"value": 40, "system": UCUM, "code": "U/L"}}
THERAPEUTIC = {**LIMIT, "type": coding("http://terminology.hl7.org/CodeSystem/referencerange-meaning", "therapeutic")}
MULTIPLES = [
    (alt(quantity(120, code="U/L"), LIMIT), [3]),
    (alt(quantity(120, code="U/L", comparator=">"), LIMIT), [3, float("inf")]),
    (alt(quantity(120, code="U/L"), LIMIT, {"high": {"value": 60, "code": "U/L"}}), [2, 3]),
    (alt(quantity(120, code="U/L"), THERAPEUTIC), [None]),
    (alt(quantity(120, code="U/L"), {"text": "up to 40"}), [None]),
    (alt(quantity(120, code="U/L"), {"high": {"value": 40, "code": "mg/dL"}}), [None]),
    (alt(quantity(120, code="U/L"), {"high": {"value": 0, "code": "U/L"}}), [None]),
    (alt(quantity(120, code="U/L")), [None]),
]


@pytest.mark.parametrize(("entry", "expected"), MULTIPLES, ids=lambda v: None)
def test_a_multiple_of_the_upper_limit_comes_only_from_the_reports_own_range(
    entry: Resource, expected: list[float]
) -> None:
    assert values(read(uncoded(entry)), "alt_xuln") == expected


EXCLUDED, TEXT_EXCLUDED = diagnosis(coding(LOCAL, "pregnancy_not_possible")), diagnosis({"text": "Hysterectomy"})
PREGNANCY = [
    # sex at birth, age, what else is known, may be pregnant
    ("F", 30, [], "yes"),
    ("F", 70, [], "no"),
    ("M", 30, [], "no"),
    ("", 30, [], "unknown"),
    ("", 70, [], "no"),
    ("F", None, [], "unknown"),
    ("M", None, [], "no"),
    ("F", 30, [EXCLUDED], "no"),
    ("F", 30, [TEXT_EXCLUDED], "unknown"),
    ("", 30, [EXCLUDED], "no"),
    ("F", 30, [answer("sex_at_birth", "male")], "unknown"),
]


@pytest.mark.parametrize(("sex", "age", "facts", "expected"), PREGNANCY, ids=lambda v: None)
def test_pregnancy_is_possible_unless_something_documented_excludes_it(
    sex: str, age: int | None, facts: list[Resource], expected: str
) -> None:
    assert truth(read(*facts, sex=sex, age=age), "exists(pregnancy_possible)") == expected


def evaluated(at: str) -> Resource:
    return answer("suicide_evaluation", True, at)


HIGH, WEEKS_AGO = cssrs("2026-10-12T10:00:00-06:00", q4=True), "2026-10-12T10:00:00-06:00"
SUICIDE = [
    (HIGH, "yes"),
    ([*HIGH, evaluated("2026-10-12T18:00:00-06:00")], "no"),
    ([*HIGH, evaluated("2026-10-11T18:00:00-06:00")], "yes"),
    ([*HIGH, evaluated("2026-10-12")], "unknown"),
    ([*HIGH, *cssrs(NOW, q4=False, q5=False)], "yes"),
    ([*HIGH, evaluated("2026-10-13"), *cssrs(NOW, q5=True)], "yes"),
    (cssrs(NOW, q1=True, q2=True), "no"),
]


@pytest.mark.parametrize(("facts", "expected"), SUICIDE, ids=lambda v: None)
def test_high_suicide_risk_never_expires_without_an_evaluation(facts: list[Resource], expected: str) -> None:
    assert truth(read(*facts), "exists(suicide_high_unanswered, within='ever')") == expected


def kratom(times: float | None = None, substance: str = "kratom-leaf", **more: Any) -> Resource:
    entry = {**medicine(substance, substance, system=LOCAL), **more}
    if times is not None:
        entry["dosage"] = [{"timing": {"repeat": {"frequency": times, "period": 7, "periodUnit": "d"}}}]
    return entry


KRATOM = [
    ([kratom(21)], "exists(kratom_daily)", "yes"),
    ([kratom(2)], "exists(kratom_daily)", "no"),
    ([kratom(4), kratom(4, "kratom-extract")], "exists(kratom_daily)", "yes"),
    ([kratom(4), kratom(None, "kratom-extract")], "exists(kratom_daily)", "unknown"),
    ([kratom()], "exists(kratom_daily)", "unknown"),
    ([kratom()], "exists(kratom_product_known)", "yes"),
    ([kratom()], "exists(kratom_last_use_known)", "no"),
    ([kratom(), last_use("kratom-leaf", "2026-11-20T10:00:00-06:00")], "exists(kratom_last_use_known)", "yes"),
    ([], "exists(kratom_product_known)", "unknown"),
]


@pytest.mark.parametrize(("facts", "question", "expected"), KRATOM, ids=lambda v: None)
def test_what_is_known_of_kratom(facts: list[Resource], question: str, expected: str) -> None:
    assert truth(read(*facts), question) == expected


# --- lists in plain words ---------------------------------------------------------------------------------------------

STATED = [
    ("epilepsy", "exists(seizure_disorder)", "yes", False),
    ("stroke", "exists(stroke)", "yes", False),
    ("stroke", "exists(stroke, within='6 wk')", "unknown", False),
    ("chest pain", "exists(chest_pain)", "yes", False),
    ("not epilepsy", "exists(seizure_disorder)", "unknown", True),
    ("escort", "exists(escort)", "unknown", True),
]


@pytest.mark.parametrize(("text", "question", "expected", "open_"), STATED)
def test_a_condition_that_the_asker_names_counts_or_stays_open(
    text: str, question: str, expected: str, open_: bool
) -> None:
    record, _ = from_items([], knowledge(), conditions=[text], now=instant(NOW))
    assert truth(record, question) == expected
    assert any(p.blocks for p in record.problems) is open_


# --- all together -----------------------------------------------------------------------------------------------------


def test_no_row_lies_after_now_or_before_time() -> None:
    record = read(diagnosis(COPD), drug(STATEMENT, "active"), number("weight", 70, "kg", "2026"), sex="F", age=30)
    now = instant(NOW).ms
    assert (record.events.t1 <= now).all()
    assert (record.events.t0 <= record.events.t1).all()
    assert (record.events.t0 > -FAR).all()
    assert (record.events.t1 > now - 400 * MS_PER_DAY).all()


def test_a_birth_date_to_come_refuses_the_record_but_not_its_red_flags() -> None:
    bundle = person(says={"cannot_be_woken": True})
    bundle["entry"][0]["resource"]["birthDate"] = "2027-01-01"
    with pytest.raises(BadInput, match="birth date is in the future") as caught:
        adjunct.assess(bundle, treatment="ketamine-iv", at=NOW, knowledge=knowledge())
    assert any("emergency number" in text for text in caught.value.advice)


@pytest.mark.parametrize(
    ("substance", "given"), [("esketamine", "yes"), ("ketamine", "yes"), ("sertraline", "unknown")]
)
def test_an_administered_treatment_is_a_dose(substance: str, given: str) -> None:
    administration = {
        "resourceType": "MedicationAdministration",
        "id": "given",
        "status": "completed",
        "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": {"coding": [{"system": "urn:adjunct:concept", "code": substance}]},
        "effectiveDateTime": "2026-11-20T10:00:00-06:00",
    }
    assert truth(read(administration), "exists(dose, within='2 d')") == given


ANEURYSM = {
    "resourceType": "Condition",
    "id": "aaa",
    "subject": {"reference": "Patient/p"},
    "code": {
        "coding": [
            {"system": "http://snomed.info/sct", "code": "14336007", "display": "Ruptured abdominal aortic aneurysm"}
        ]
    },
}


@pytest.mark.parametrize(
    ("words", "asks"),
    [
        ("Ruptured abdominal aortic aneurysm", "unknown"),
        ("Family history of abdominal aortic aneurysm", "no"),
        ("Screening for aortic aneurysm", "no"),
        ("Aneurysmal bone cyst", "no"),
    ],
)
def test_a_code_in_no_list_is_looked_at_by_its_words(words: str, asks: str) -> None:
    condition = {**ANEURYSM, "code": {"coding": [{**ANEURYSM["code"]["coding"][0], "display": words}]}}
    bundle = person(reviewed=True, extra=[condition])
    record = from_bundle(read_bundle(bundle), knowledge(), now=instant(NOW), phase="intake")
    assert truth(record, "exists(aneurysmal_vascular_disease)") == asks


def test_an_ambiguous_name_in_a_record_blocks_until_it_is_told() -> None:
    blues = {
        "resourceType": "MedicationStatement",
        "id": "blues",
        "status": "active",
        "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": {"text": "blues"},
    }
    record = from_bundle(read_bundle(person(extra=[blues])), knowledge(), now=instant(NOW), phase="intake")
    assert len(record.worlds) > 1
    assert any(p.blocks and "Which is meant" in p.ask for p in record.problems)


def test_more_meanings_than_can_be_combined_are_said() -> None:
    texts = ["kratom", "kratom capsules", "kratom drink", "K-pins kratom", "kratum"]
    record, _ = from_items(texts, knowledge(), now=instant(NOW))
    assert any(p.blocks and "every combination" in p.what for p in record.problems)
    assert len(record.worlds) > 1
