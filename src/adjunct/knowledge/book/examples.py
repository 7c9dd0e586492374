"""Minimal FHIR resources, one for each way in which a fact is recorded. Their numbers come from the cases of rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adjunct.knowledge.load import LOCAL, Concept, Knowledge

UCUM = "http://unitsofmeasure.org"
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
_MEASURED = re.compile(r"(\d+(?:\.\d+)?)(?: (\S+?))?(?:, .*)?\Z")
_DOSED = re.compile(r"([a-z0-9-]+) (\d+(?:\.\d+)?) mg/d(?:, .*)?\Z")


@dataclass(frozen=True, slots=True)
class Example:
    """One resource, and the fact that it is read as."""

    title: str
    says: str
    concept: str
    resource: Mapping[str, Any]

    @property
    def json(self) -> str:
        return json.dumps(self.resource, indent=2, ensure_ascii=False)


def examples(knowledge: Knowledge) -> Iterator[Example]:
    """One of every kind of entry, as far as this knowledge has a fact for it."""
    at = f"{knowledge.as_of}T09:00:00+00:00"
    for part in (_facts(knowledge, at), _asked(knowledge, at), _around(knowledge, at), _taken(knowledge, at)):
        yield from (example for example in part if example.concept in knowledge.concepts)


def _facts(knowledge: Knowledge, at: str) -> Iterator[Example]:
    answer = _observed("drug_screen", knowledge, at, valueString=_first_answer("drug_screen", knowledge))
    symptom = _observed("chest_pain", knowledge, at, valueBoolean=False)
    yield Example("Age and birth sex", "Birth sex is the code of the extension.", "sex_at_birth", _patient(knowledge))
    yield Example("A condition", "Ongoing and confirmed.", "hypertension", _condition("hypertension", knowledge))
    yield Example("A finding", "A symptom is a no only if it was asked: send `false`.", "chest_pain", symptom)
    yield Example("A measurement", "Value, UCUM unit and time.", "systolic", _measured("systolic", knowledge, at))
    yield Example("A laboratory value", "With the report's own limit.", "alt", _with_range("alt", knowledge, at))
    yield Example("A score", "The total of the scale.", "phq9", _measured("phq9", knowledge, at))
    yield Example("An answer", "By word or by code, as listed below.", "drug_screen", answer)


def _asked(knowledge: Knowledge, at: str) -> Iterator[Example]:
    for concept, title in (
        ("history_reviewed", "Attestation: history reviewed"),
        ("reconciled", "Attestation: medicines and substances reconciled, kratom asked by name"),
        ("allergies_asked", "Attestation: allergies asked, also when there are none"),
    ):
        said = _observed(concept, knowledge, at, valueBoolean=True, own=True)
        yield Example(title, "Dated by whoever asked.", concept, said)
    item = _observed("cssrs_q1", knowledge, at, valueBoolean=False)
    yield Example("A C-SSRS item", "One Observation an item.", "cssrs_q1", item)
    says = "The `linkId`, or the part after its last `/`, is a code of the fact."
    yield Example("A questionnaire response", says, "cssrs_q2", _response("cssrs_q2", at))


def _around(knowledge: Knowledge, at: str) -> Iterator[Example]:
    yield Example("A named escort", "The period covers now.", "escort", _escort(knowledge))
    yield Example("Consent", "Signed while it is active.", "consent", _consent(at))


def _taken(knowledge: Knowledge, at: str) -> Iterator[Example]:
    says = "When it was really taken last: the time as value, the substance as component."
    yield Example("A medicine in use", "Ingredient code, dose and timing.", "substance", _medicine(knowledge))
    yield Example("A depot", "Its stay begins with the administration.", "substance", _depot(knowledge))
    yield Example("Last use", says, "last_use", _last_use(at))
    yield Example("An allergy", "By code, or by the whole name.", "allergy", _allergy(knowledge))


def _about() -> dict[str, Any]:
    return {"subject": {"reference": "Patient/example"}}


def _own(code: str) -> dict[str, Any]:
    return {"coding": [{"system": LOCAL, "code": code}]}


def _coded(concept: str, knowledge: Knowledge, *, own: bool = False) -> dict[str, Any]:
    """The first whole code listed for a concept, else its own."""
    rows = (r for r in knowledge.content["valuesets"] if r["set"] == knowledge.concepts[concept].codes)
    row = None if own else next((r for r in rows if not r["code"].endswith("*")), None)
    if row is None:
        return _own(concept)
    return {"coding": [{"system": row["system"], "code": row["code"], "display": row["display"]}]}


def _patient(knowledge: Knowledge) -> dict[str, Any]:
    born = knowledge.as_of.replace(knowledge.as_of[:2], "19", 1)
    extension = [{"url": BIRTH_SEX, "valueCode": "F"}]
    return {"resourceType": "Patient", "id": "example", "birthDate": born, "gender": "female", "extension": extension}


def _condition(concept: str, knowledge: Knowledge) -> dict[str, Any]:
    status = "http://terminology.hl7.org/CodeSystem/condition-"
    return {
        "resourceType": "Condition",
        **_about(),
        "clinicalStatus": {"coding": [{"system": f"{status}clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": f"{status}ver-status", "code": "confirmed"}]},
        "code": _coded(concept, knowledge) if concept in knowledge.concepts else _own(concept),
        "onsetDateTime": knowledge.as_of[: len("2026-11")],
    }


def _observed(concept: str, knowledge: Knowledge, at: str, *, own: bool = False, **value: Any) -> dict[str, Any]:
    known = concept in knowledge.concepts
    return {
        "resourceType": "Observation",
        **_about(),
        "status": "final",
        "code": _coded(concept, knowledge, own=own) if known else _own(concept),
        "effectiveDateTime": at,
        **value,
    }


def _quantity(concept: Concept, knowledge: Knowledge) -> dict[str, Any]:
    """A number with its unit, taken from the first case of a rule that gives one for this concept."""
    for given in (case["given"] for rule in knowledge.rule_list for case in rule.cases):
        found = _MEASURED.match(str(given.get(concept.id, "")))
        if found:
            unit = found[2] or concept.unit
            return {"value": json.loads(found[1]), "unit": unit, "system": UCUM, "code": unit}
    bound = concept.plausible[0] if concept.plausible else 1
    return {"value": bound, "unit": concept.unit, "system": UCUM, "code": concept.unit}


def _measured(concept: str, knowledge: Knowledge, at: str) -> dict[str, Any]:
    if concept not in knowledge.concepts:
        return {}
    return _observed(concept, knowledge, at, valueQuantity=_quantity(knowledge.concepts[concept], knowledge))


def _with_range(concept: str, knowledge: Knowledge, at: str) -> dict[str, Any]:
    measured = _measured(concept, knowledge, at)
    limit = {k: v for k, v in measured.get("valueQuantity", {}).items() if k != "unit"}
    return {**measured, "referenceRange": [{"high": limit}]}


def _first_answer(concept: str, knowledge: Knowledge) -> str:
    answers = knowledge.concepts[concept].answers if concept in knowledge.concepts else {}
    return next(iter(answers), "yes")


def _response(link: str, at: str) -> dict[str, Any]:
    answer = [{"valueBoolean": False}]
    item = [{"linkId": link, "answer": answer}]
    return {"resourceType": "QuestionnaireResponse", **_about(), "status": "completed", "authored": at, "item": item}


def _escort(knowledge: Knowledge) -> dict[str, Any]:
    return {
        "resourceType": "RelatedPerson",
        "patient": {"reference": "Patient/example"},
        "relationship": [_own("escort")],
        "period": {"start": knowledge.as_of, "end": knowledge.as_of},
    }


def _consent(at: str) -> dict[str, Any]:
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "treatment"}
    category = {"system": "http://loinc.org", "code": "59284-0"}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [scope]},
        "category": [{"coding": [category]}],
        "patient": {"reference": "Patient/example"},
        "dateTime": at,
        "policyRule": {"text": "Written informed consent for this course"},
    }


def _dosed(knowledge: Knowledge) -> tuple[str, float]:
    """A substance with a daily amount, from the first case that states one."""
    for given in (case["given"] for rule in knowledge.rule_list for case in rule.cases):
        values = given.get("substance", ())
        for text in values if isinstance(values, list) else [values]:
            if found := _DOSED.match(str(text)):
                return found[1], json.loads(found[2])
    return next(iter(knowledge.substances)), 1


def _ingredient(substance: str, knowledge: Knowledge) -> dict[str, Any]:
    systems: Mapping[str, str] = knowledge.content["knowledge"]["code_systems"]
    known = knowledge.substances[substance]
    for name, _, number in (c.partition("|") for c in known.codes):
        return {"coding": [{"system": systems[name], "code": number, "display": known.name}]}
    return _own(substance)


def _medicine(knowledge: Knowledge) -> dict[str, Any]:
    substance, amount = _dosed(knowledge)
    dose = {"value": amount, "unit": "mg", "system": UCUM, "code": "mg"}
    return {
        "resourceType": "MedicationStatement",
        **_about(),
        "status": "active",
        "medicationCodeableConcept": _ingredient(substance, knowledge),
        "effectivePeriod": {"start": knowledge.as_of[: len("2026-11")]},
        "dosage": [
            {
                "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": dose}],
            }
        ],
    }


def _depot(knowledge: Knowledge) -> dict[str, Any]:
    substance = next((s for s in knowledge.substances.values() if s.depots), next(iter(knowledge.substances.values())))
    product = substance.depots[0]["names"][0] if substance.depots else substance.name
    return {
        "resourceType": "MedicationAdministration",
        **_about(),
        "status": "completed",
        "medicationCodeableConcept": {**_ingredient(substance.id, knowledge), "text": product},
        "effectiveDateTime": knowledge.as_of,
    }


def _last_use(at: str) -> dict[str, Any]:
    taken = {"code": _own("substance"), "valueCodeableConcept": _own("kratom-leaf")}
    return {
        "resourceType": "Observation",
        **_about(),
        "status": "final",
        "code": _own("last_use"),
        "effectiveDateTime": at,
        "valueDateTime": at,
        "component": [taken],
    }


def _allergy(knowledge: Knowledge) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance",
        "patient": {"reference": "Patient/example"},
        "code": _ingredient("esketamine", knowledge) if "esketamine" in knowledge.substances else _own("esketamine"),
        "recordedDate": knowledge.as_of,
    }
