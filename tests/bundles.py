"""People as FHIR R4 bundles, written short: the tests say what is known and nothing else is put in.

>>> bundle = person(age=44, sex="F", takes=["sertraline 150 mg"], says={"escort": "yes"})
>>> [e["resource"]["resourceType"] for e in bundle["entry"]]
['Patient', 'MedicationStatement', 'Observation']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adjunct.knowledge import Knowledge

NOW = "2026-11-21T09:00:00-06:00"
LOCAL = "urn:adjunct:concept"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
VITALS = {
    "systolic": ("8480-6", "mm[Hg]"),
    "diastolic": ("8462-4", "mm[Hg]"),
    "heart_rate": ("8867-4", "/min"),
    "resp_rate": ("9279-1", "/min"),
    "spo2": ("59408-5", "%"),
    "temperature": ("8310-5", "Cel"),
    "weight": ("29463-7", "kg"),
    "height": ("8302-2", "cm"),
}
SUBJECT = {"reference": "Patient/p"}


def person(
    *,
    age: int | None = None,
    sex: str = "",
    takes: Sequence[str | Mapping[str, Any]] = (),
    has: Sequence[str | Mapping[str, Any]] = (),
    says: Mapping[str, Any] | None = None,
    measures: Mapping[str, float] | None = None,
    scores: Mapping[str, float] | None = None,
    labs: Mapping[str, tuple[float, str, float]] | None = None,
    extra: Sequence[Mapping[str, Any]] = (),
    reviewed: bool = False,
    reconciled: bool = False,
    at: str = NOW,
) -> dict[str, Any]:
    """One person as a collection bundle.

    `takes`: substance ids (coded) or resources; `has`: concept ids of conditions (coded) or resources; `says`: concept
    -> answer; `measures`, `scores`: concept -> number in its own unit; `labs`: concept -> (value, unit, upper limit).
    """
    patient: dict[str, Any] = {"resourceType": "Patient", "id": "p"}
    if age is not None:
        patient["birthDate"] = f"{2026 - age}-01-15"
    if sex:
        patient["extension"] = [{"url": BIRTH_SEX, "valueCode": sex}]
    answers = dict(says or {})
    if reviewed:
        answers["history_reviewed"] = "yes"
        answers.setdefault("allergies_asked", "yes")
    if reconciled:
        answers["reconciled"] = "yes"
    resources: list[Mapping[str, Any]] = [patient]
    resources += [_condition(c, i) for i, c in enumerate(has)]
    resources += [_medicine(m, i) for i, m in enumerate(takes)]
    resources += [_answer(k, v, at) for k, v in answers.items()]
    resources += [_measure(k, v, at) for k, v in (measures or {}).items()]
    resources += [_number(k, v, "{score}", at) for k, v in (scores or {}).items()]
    resources += [_lab(k, *v, at) for k, v in (labs or {}).items()]
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (*resources, *extra)]}


def observation(code: Mapping[str, str], at: str, **value: Any) -> dict[str, Any]:
    name = code["code"].replace("_", "-")
    return {
        "resourceType": "Observation",
        "id": f"o-{name}",
        "status": "final",
        "subject": SUBJECT,
        "code": {"coding": [code]},
        "effectiveDateTime": at,
        **value,
    }


def _condition(condition: str | Mapping[str, Any], number: int) -> Mapping[str, Any]:
    if not isinstance(condition, str):
        return condition
    return {
        "resourceType": "Condition",
        "id": f"c{number}",
        "subject": SUBJECT,
        "clinicalStatus": status("active"),
        "verificationStatus": {"coding": [{"system": VERIFICATION, "code": "confirmed"}]},
        "code": {"coding": [{"system": LOCAL, "code": condition}]},
    }


CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


def status(code: str) -> dict[str, Any]:
    return {"coding": [{"system": CLINICAL, "code": code}]}


def _medicine(medicine: str | Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """`sertraline 150 mg` is 150 mg once a day; a `x 3` at the end is three times a day."""
    if not isinstance(medicine, str):
        return medicine
    name, _, dose = medicine.partition(" ")
    dosage: list[dict[str, Any]] = []
    if dose:
        amount, _, times = dose.partition(" x ")
        value, unit = amount.split(" ")
        dosage = [
            {
                "timing": {"repeat": {"frequency": int(times or 1), "period": 1, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": {"value": float(value), "unit": unit, "system": UCUM, "code": unit}}],
            }
        ]
    return {
        "resourceType": "MedicationStatement",
        "id": f"m{number}",
        "status": "active",
        "subject": SUBJECT,
        "effectivePeriod": {"start": "2025-03-01"},
        "medicationCodeableConcept": {"coding": [{"system": LOCAL, "code": name}], "text": name},
        "dosage": dosage,
    }


def _answer(concept: str, answer: Any, at: str) -> dict[str, Any]:
    code = {"system": LOCAL, "code": concept}
    if isinstance(answer, bool):
        return observation(code, at, valueBoolean=answer)
    if answer in ("yes", "no"):
        return observation(code, at, valueBoolean=answer == "yes")
    if isinstance(answer, str) and answer[:2] == "20":
        return observation(code, at, valueDateTime=answer)
    return observation(code, at, valueCodeableConcept={"coding": [{"system": LOCAL, "code": answer}]})


def _measure(concept: str, value: float, at: str) -> dict[str, Any]:
    if concept in VITALS:
        code, unit = VITALS[concept]
        return _number(concept, value, unit, at, {"system": LOINC, "code": code})
    return _number(concept, value, knowledge().concepts[concept].unit, at)


def _number(concept: str, value: float, unit: str, at: str, code: Mapping[str, str] | None = None) -> dict[str, Any]:
    quantity = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    found = observation(code or {"system": LOCAL, "code": concept}, at, valueQuantity=quantity)
    return {**found, "id": f"o-{concept.replace('_', '-')}"}


def _lab(concept: str, value: float, unit: str, upper: float, at: str) -> dict[str, Any]:
    limit = {"value": upper, "unit": unit, "system": UCUM, "code": unit}
    return {**_number(concept, value, unit, at), "referenceRange": [{"high": limit}]}


def last_use(substance: str, at: str) -> dict[str, Any]:
    """When something was last really taken."""
    code = {"system": LOCAL, "code": "last_use"}
    found = observation(code, NOW, valueDateTime=at)
    coded = {"coding": [{"system": LOCAL, "code": substance}]}
    component = {"code": {"coding": [{"system": LOCAL, "code": "substance"}]}, "valueCodeableConcept": coded}
    return {**found, "id": f"o-last-use-{substance}", "component": [component]}


_knowledge: list[Knowledge] = []


def knowledge() -> Knowledge:
    """One load for a whole test run."""
    if not _knowledge:
        _knowledge.append(Knowledge.load())
    return _knowledge[0]


# --- resources with the codes that records carry ----------------------------------------------------------------------

ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
CSSRS = {
    "q1": "93246-7",
    "q2": "93247-5",
    "q3": "93248-3",
    "q4": "93249-1",
    "q5": "93250-9",
    "q6": "93267-3",
    "q6_recent": "93269-9",
}


def coding(system: str, code: str, display: str = "") -> dict[str, Any]:
    """A CodeableConcept with one coding."""
    one = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [one]} | ({"text": display} if display else {})


def diagnosis(code: str, display: str, *, also: str = "", onset: str = "", clinical: str = "active") -> dict[str, Any]:
    """A confirmed condition by its ICD-10-CM code; `also` adds the concept for which no code exists."""
    coded = coding(ICD10CM, code, display)
    if also:
        coded["coding"].append({"system": LOCAL, "code": also})
    return {
        "resourceType": "Condition",
        "id": f"dx-{code.replace('.', '-').lower()}",
        "subject": SUBJECT,
        "clinicalStatus": status(clinical),
        "verificationStatus": {"coding": [{"system": VERIFICATION, "code": "confirmed"}]},
        "code": coded,
    } | ({"onsetDateTime": onset} if onset else {})


def medicine(
    code: str,
    name: str,
    amount: float | None = None,
    times: int = 1,
    *,
    unit: str = "mg",
    system: str = RXNORM,
    state: str = "active",
    start: str = "2025-03-01",
    end: str = "",
    note: str = "",
) -> dict[str, Any]:
    """A medicine as somebody's list states it: ingredient code, amount at one time, times a day."""
    found: dict[str, Any] = {
        "resourceType": "MedicationStatement",
        "id": f"med-{name.split()[0].lower()}",
        "status": state,
        "subject": SUBJECT,
        "effectivePeriod": {"start": start} | ({"end": end} if end else {}),
        "medicationCodeableConcept": coding(system, code, name),
    }
    if amount is not None:
        quantity = {"value": amount, "unit": unit, "system": UCUM, "code": unit}
        timing = {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}}
        found["dosage"] = [{"timing": timing, "doseAndRate": [{"doseQuantity": quantity}]}]
    if note:
        found["note"] = [{"text": note}]
    return found


def pressure(systolic: float, diastolic: float, at: str = NOW) -> dict[str, Any]:
    """One blood pressure reading as the panel that monitors send."""
    parts = (("8480-6", "Systolic blood pressure", systolic), ("8462-4", "Diastolic blood pressure", diastolic))
    component = [
        {
            "code": coding(LOINC, code, name),
            "valueQuantity": {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"},
        }
        for code, name, value in parts
    ]
    panel = {"system": LOINC, "code": "85354-9", "display": "Blood pressure panel with all children optional"}
    return {**observation(panel, at), "id": f"bp-{at[11:16].replace(':', '')}", "component": component}


def cssrs(at: str = NOW, **answers: bool) -> list[dict[str, Any]]:
    """The screener items that were asked, by their LOINC codes; an item that is left out was not asked."""
    yes_no = {True: ("LA33-6", "Yes"), False: ("LA32-8", "No")}
    return [
        observation({"system": LOINC, "code": CSSRS[item]}, at, valueCodeableConcept=coding(LOINC, *yes_no[answer]))
        for item, answer in answers.items()
    ]


def number(concept: str, value: float, unit: str, at: str = NOW, *, loinc: str = "") -> dict[str, Any]:
    """A measured value or a score; with its LOINC code where it has one."""
    return _number(concept, value, unit, at, {"system": LOINC, "code": loinc} if loinc else None)


def answer(concept: str, value: Any, at: str = NOW) -> dict[str, Any]:
    """An answer to a question for which no standard code exists."""
    return _answer(concept, value, at)


def no_known_allergy(at: str = NOW) -> dict[str, Any]:
    """Allergies were asked about and there are none."""
    return {
        "resourceType": "AllergyIntolerance",
        "id": "no-known-allergy",
        "patient": SUBJECT,
        "clinicalStatus": coding("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active"),
        "verificationStatus": coding(
            "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "confirmed"
        ),
        "code": coding(SNOMED, "716186003", "No known allergy"),
        "recordedDate": at,
    }


def consented(at: str = NOW) -> dict[str, Any]:
    """The signed consent to this course."""
    return {
        "resourceType": "Consent",
        "id": "consent",
        "status": "active",
        "patient": SUBJECT,
        "scope": coding("http://terminology.hl7.org/CodeSystem/consentscope", "treatment", "Treatment"),
        "category": [coding(LOINC, "59284-0", "Consent Document")],
        "dateTime": at,
    }


def pregnancy_test(result: str, at: str = NOW) -> dict[str, Any]:
    """A urine pregnancy test: `positive` or `negative`."""
    code = {"positive": "10828004", "negative": "260385009"}[result]
    name = {"system": LOINC, "code": "2106-3", "display": "Choriogonadotropin (pregnancy test) [Presence] in Urine"}
    return {**observation(name, at, valueCodeableConcept=coding(SNOMED, code, result.title())), "id": "hcg"}
