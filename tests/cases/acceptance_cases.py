"""People as an outside integrator would send them: standard codes, and own codes only where none exists.

Each case starts from somebody who meets every requirement of its phase, so the verdict is that of the one thing changed.
The protocol decides what is expected. A verdict written as two words joined by `|` may be either of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bundles import (
    ATC,
    BIRTH_SEX,
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
    consented,
    cssrs,
    no_known_allergy,
    number,
    observation,
    pregnancy_test,
    pressure,
    status,
)

Resource = Mapping[str, Any]
_NOW = datetime.fromisoformat(NOW)


def ago(**delta: float) -> str:
    """An instant before now."""
    return (_NOW - timedelta(**delta)).isoformat()


def day(days: float) -> str:
    """A date before now, without a time of day."""
    return (_NOW - timedelta(days=days)).date().isoformat()


@dataclass(frozen=True)
class Case:
    """`change` replaces or removes (None) parts of the person of the phase; `add` is put to them."""

    id: str
    title: str
    verdict: str
    finds: str = ""
    asks: str = ""
    never: str = ""
    complete: bool | None = None
    change: Mapping[str, Resource | Sequence[Resource] | None] = field(default_factory=dict)
    add: Sequence[Resource] = ()
    phase: str = "intake"
    treatment: str = "ketamine-iv"

    @property
    def bundle(self) -> dict[str, Any]:
        parts: dict[str, Any] = {**PEOPLE[self.phase](self.treatment), **self.change}
        resources: list[Resource] = []
        for part in (*parts.values(), list(self.add)):
            if part is not None:
                resources += [part] if isinstance(part, Mapping) else part
        entries = [{"resource": {**r, "id": f"{r.get('id', 'r')}-{n}" if n else "p"}} for n, r in enumerate(resources)]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}


# --- Resources --------------------------------------------------------------------------------------------------------


def patient(birth: str | None = "1982-01-15", sex: str | None = "M", gender: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"resourceType": "Patient", "id": "p"}
    if birth:
        found["birthDate"] = birth
    if sex:
        found["extension"] = [{"url": BIRTH_SEX, "valueCode": sex}]
    if gender:
        found["gender"] = gender
    return found


def condition(
    code: str,
    display: str,
    onset: str = "",
    *,
    system: str = "",
    clinical: str = "active",
    verified: str = "confirmed",
    end: str = "",
) -> dict[str, Any]:
    """A diagnosis; ICD-10-CM unless the code is a number, then SNOMED CT."""
    found: dict[str, Any] = {
        "resourceType": "Condition",
        "id": "dx",
        "subject": SUBJECT,
        "verificationStatus": {"coding": [{"system": VERIFICATION, "code": verified}]},
        "code": coding(system or (SNOMED if code.isdigit() else ICD10CM), code, display),
    }
    if clinical:
        found["clinicalStatus"] = status(clinical)
    if onset:
        found["onsetDateTime"] = onset
    if end:
        found["abatementDateTime"] = end
    return found


def own_condition(concept: str, onset: str = "", *, clinical: str = "active", end: str = "") -> dict[str, Any]:
    return condition(concept, "", onset, system=LOCAL, clinical=clinical, end=end)


def text_condition(text: str) -> dict[str, Any]:
    """Somebody typed a diagnosis and nobody coded it."""
    return {**condition("", ""), "code": {"text": text}}


def sign(code: str, display: str, present: bool = True, at: str = NOW) -> dict[str, Any]:
    """A symptom or a sign that was asked or examined, by its SNOMED CT code."""
    return {**observation({"system": SNOMED, "code": code, "display": display}, at, valueBoolean=present), "id": "sign"}


def own_sign(concept: str, present: bool = True, at: str = NOW) -> dict[str, Any]:
    return answer(concept, present, at)


def lab(code: str, value: float, unit: str, upper: float | None, at: str = "") -> dict[str, Any]:
    found = number("lab", value, unit, at or ago(days=5), loinc=code)
    return found if upper is None else {**found, "referenceRange": [{"high": {"value": upper, "unit": unit}}]}


def alt(multiple: float, at: str = "") -> dict[str, Any]:
    return lab("1742-6", round(40 * multiple, 2), "U/L", 40, at)


def bilirubin(multiple: float, at: str = "") -> dict[str, Any]:
    return lab("1975-2", round(1.2 * multiple, 4), "mg/dL", 1.2, at)


def alp(multiple: float, at: str = "") -> dict[str, Any]:
    return lab("6768-6", round(120 * multiple, 2), "U/L", 120, at)


def liver(alt_x: float, bilirubin_x: float = 0.5, alp_x: float = 0.5, at: str = "") -> list[Resource]:
    return [alt(alt_x, at), lab("1920-8", 20, "U/L", 40, at), bilirubin(bilirubin_x, at), alp(alp_x, at)]


def drug(
    code: str,
    display: str,
    amount: float | None = None,
    times: float = 1,
    *,
    system: str = RXNORM,
    state: str = "active",
    start: str = "2025-03-01",
    end: str = "",
    unit: str = "mg",
    route: str = "",
) -> dict[str, Any]:
    """A medicine as a list carries it; a code without a known meaning is read by its display."""
    concept: dict[str, Any] = {"coding": [{"system": system, "code": code, "display": display}]}
    if not code:
        concept = {"text": display}
    found: dict[str, Any] = {
        "resourceType": "MedicationStatement",
        "id": "med",
        "status": state,
        "subject": SUBJECT,
        "effectivePeriod": {"start": start} | ({"end": end} if end else {}),
        "medicationCodeableConcept": concept,
    }
    dosage: dict[str, Any] = {"route": {"text": route}} if route else {}
    if amount is not None:
        dosage["timing"] = {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}}
        dosage["doseAndRate"] = [{"doseQuantity": {"value": amount, "unit": unit, "system": UCUM, "code": unit}}]
    return found | ({"dosage": [dosage]} if dosage else {})


def given(code: str, display: str, at: str, *, system: str = RXNORM, route: str = "") -> dict[str, Any]:
    """A medicine that staff gave."""
    concept = {"coding": [{"system": system, "code": code, "display": display}]} if code else {"text": display}
    return {
        "resourceType": "MedicationAdministration",
        "id": "given",
        "status": "completed",
        "subject": SUBJECT,
        "medicationCodeableConcept": concept,
        "effectiveDateTime": at,
    } | ({"dosage": {"route": {"text": route}}} if route else {})


def used(text: str, at: str) -> dict[str, Any]:
    """When something was last really taken, the substance in plain words."""
    component = {"code": coding(LOCAL, "substance"), "valueCodeableConcept": {"text": text}}
    found = observation({"system": LOCAL, "code": "last_use"}, NOW, valueDateTime=at, component=[component])
    return {**found, "id": "used"}


def event(concept: str, at: str) -> dict[str, Any]:
    """Something that was done or happened, for which no standard code is read."""
    return {
        "resourceType": "Procedure",
        "id": "event",
        "status": "completed",
        "subject": SUBJECT,
        "code": coding(LOCAL, concept),
        "performedDateTime": at,
    }


def allergy(code: str, display: str, *, verified: str = "confirmed", system: str = RXNORM) -> dict[str, Any]:
    found = no_known_allergy(ago(days=2))
    terms = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
    return {**found, "verificationStatus": coding(terms, verified), "code": coding(system, code, display)}


def vital(name: str, value: float, at: str = "", unit: str = "") -> dict[str, Any]:
    code, usual = {
        "hr": ("8867-4", "/min"),
        "rr": ("9279-1", "/min"),
        "spo2": ("59408-5", "%"),
        "temp": ("8310-5", "Cel"),
        "weight": ("29463-7", "kg"),
        "height": ("8302-2", "cm"),
    }[name]
    return {**number(name, value, unit or usual, at or ago(minutes=10), loinc=code), "id": name}


def bp(systolic: float, diastolic: float, at: str = "") -> dict[str, Any]:
    return pressure(systolic, diastolic, at or ago(minutes=10))


def score(concept: str, value: float, at: str = "", loinc: str = "") -> dict[str, Any]:
    return number(concept, value, "{score}", at or ago(hours=1), loinc=loinc)


def screener(at: str = "", **answers: bool) -> list[dict[str, Any]]:
    return cssrs(at or ago(minutes=20), **answers)


# --- People who meet every requirement --------------------------------------------------------------------------------

SERTRALINE = drug("312941", "sertraline 50 MG Oral Tablet", 100)
DEPRESSION = condition("F33.2", "Major depressive disorder, recurrent severe without psychotic features", "2024-05")


def _intake(treatment: str) -> dict[str, Any]:
    return {
        "patient": patient(),
        "depression": DEPRESSION,
        "trials": number("failed_trials", 3, "1", ago(days=2)),
        "history": answer("history_reviewed", True, ago(days=2)),
        "reconciled": answer("reconciled", True, ago(minutes=30)),
        "allergies": no_known_allergy(ago(days=2)),
        "bp": bp(124, 78),
        "hr": vital("hr", 72),
        "rr": vital("rr", 14),
        "spo2": vital("spo2", 98),
        "temp": vital("temp", 36.7),
        "weight": vital("weight", 74, ago(hours=1)),
        "height": vital("height", 178, "2024-02-10"),
        "cssrs": screener(q1=False, q2=False, q6=False),
        "medicines": SERTRALINE,
        "consent": consented(ago(days=2)),
        "escort": answer("escort", "yes", ago(minutes=40)),
    }


def _predose(treatment: str) -> dict[str, Any]:
    normal = coding(SNOMED, "17621005", "Normal")
    plain = {
        "diagnosis_by_psychiatrist": True,
        "capacity_confirmed": True,
        "intoxication": False,
        "alcohol_withdrawal": False,
        "sedative_withdrawal": False,
        "red_flags_asked": True,
        "identity_confirmed": True,
        "emergency_kit": True,
        "phone_contact": True,
        "unable_to_stay": False,
        "nasal_steroid_decongestant": False,
    }
    return _intake(treatment) | {
        "liver": liver(0.6),
        "creatinine": lab("2160-0", 0.9, "mg/dL", 1.2),
        "tsh": lab("3016-3", 1.8, "m[IU]/L", 4.2),
        "ecg": observation({"system": LOINC, "code": "11524-6"}, ago(days=9), valueCodeableConcept=normal),
        "urinalysis": observation({"system": LOINC, "code": "24356-8"}, ago(days=9), valueCodeableConcept=normal),
        "bladder": score("bladder_score", 2, ago(days=5)),
        "moca": score("moca", 28, ago(days=5), loinc="72172-0"),
        "phq9": score("phq9", 19, ago(days=2), loinc="44261-6"),
        "madrs": score("madrs", 31, ago(days=2)),
        "gad7": score("gad7", 9, ago(days=2), loinc="70274-6"),
        "who5": score("who5", 6, ago(days=2)),
        "drug_screen": answer("drug_screen", "negative", ago(days=2)),
        "food": event("fasting_food", ago(hours=9)),
        "drink": event("fasting_fluid", ago(hours=3)),
        "outside": own_sign("outside_ketamine", False, ago(minutes=20)),
        "plain": [answer(concept, value, ago(minutes=20)) for concept, value in plain.items()],
    }


def _during(treatment: str) -> dict[str, Any]:
    ingredient = ("2119365", "esketamine") if treatment == "esketamine-nasal" else ("6130", "ketamine")
    return _predose(treatment) | {
        "bp": [bp(124, 78, ago(minutes=70)), bp(132, 82, ago(minutes=3))],
        "hr": [vital("hr", 72, ago(minutes=70)), vital("hr", 78, ago(minutes=3))],
        "rr": vital("rr", 14, ago(minutes=3)),
        "spo2": vital("spo2", 97, ago(minutes=3)),
        "moaas": score("moaas", 5, ago(minutes=3)),
        "dose": given(*ingredient, ago(minutes=40)),
    }


def _discharge(treatment: str) -> dict[str, Any]:
    done = ("dissociation_resolved", "sedation_resolved", "breathing_normal", "oriented", "walks_steadily")
    signed = ("escort_present", "aftercare_given", "discharge_signed")
    ingredient = ("2119365", "esketamine") if treatment == "esketamine-nasal" else ("6130", "ketamine")
    return _predose(treatment) | {
        "bp": [bp(124, 78, ago(minutes=150)), bp(130, 80, ago(minutes=14)), bp(128, 80, ago(minutes=3))],
        "hr": [vital("hr", 72, ago(minutes=150)), vital("hr", 74, ago(minutes=3))],
        "rr": vital("rr", 14, ago(minutes=3)),
        "spo2": vital("spo2", 98, ago(minutes=3)),
        "cssrs": screener(ago(minutes=8), q1=False, q2=False, q6=False),
        "moaas": score("moaas", 5, ago(minutes=3)),
        "cadss6": score("cadss6", 1, ago(minutes=5)),
        "aldrete": score("aldrete", 10, ago(minutes=3)),
        "dose": given(*ingredient, ago(minutes=130)),
        "end": event("infusion_end", ago(minutes=95)),
        "recovered": [own_sign(concept, True, ago(minutes=4)) for concept in (*done, *signed)],
    }


def _followup(treatment: str) -> dict[str, Any]:
    keep = _predose(treatment)
    for name in ("food", "drink", "plain"):
        del keep[name]
    ingredient = ("2119365", "esketamine") if treatment == "esketamine-nasal" else ("6130", "ketamine")
    return keep | {"dose": given(*ingredient, ago(days=4))}


PEOPLE = {
    "intake": _intake,
    "pre-dose": _predose,
    "during": _during,
    "discharge": _discharge,
    "follow-up": _followup,
}
CASES = [
    Case("A000", "base", "ELIGIBLE", complete=True, phase=p, treatment=t) for p in ("intake","pre-dose","during","discharge","follow-up") for t in ("ketamine-iv","esketamine-nasal","none")
]
