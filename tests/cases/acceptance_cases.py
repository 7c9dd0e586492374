"""People as an outside integrator would send them: standard codes, and own codes only where none exists.

Each case starts from somebody who meets every requirement of its phase: the verdict is that of the one thing changed.
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


# --- Cases ------------------------------------------------------------------------------------------------------------

PRE = "pre-dose"
NASAL = "esketamine-nasal"
WOMAN = patient("1997-01-15", "F")
CITALOPRAM = drug("2556", "citalopram", 20)
LITHIUM = drug("197889", "lithium carbonate 300 MG Oral Capsule", 300, 3)


def born(years: int, days: int = 0) -> str:
    """A birth date so many years and days before the day of the question."""
    date = (_NOW - timedelta(days=days)).date()
    return date.replace(year=date.year - years).isoformat()


def case(name: str, title: str, verdict: str, finds: str = "", asks: str = "", **more: Any) -> Case:
    return Case(name, title, verdict, finds, asks, **more)


READY = [
    case(f"A-{phase}-{treatment}", f"nothing changed, {phase}, {treatment}", "ELIGIBLE", complete=True, phase=phase)
    if treatment == "ketamine-iv"
    else case(
        f"A-{phase}-{treatment}",
        f"nothing changed, {phase}, {treatment}",
        "ELIGIBLE",
        complete=True,
        phase=phase,
        treatment=treatment,
    )
    for phase in PEOPLE
    for treatment in ("ketamine-iv", "ketamine-im", "ketamine-sc", NASAL, "none")
]


def has(*found: Resource) -> dict[str, Any]:
    return {"add": found}


def swap(**parts: Any) -> dict[str, Any]:
    return {"change": parts}


ANEURYSM = "aneurysmal-vascular-disease"
NE = "NOT_ELIGIBLE"

# Rows 1 to 4, and what counts as known
HISTORY = [
    case("B01", "abdominal aortic aneurysm, ICD", NE, ANEURYSM, **has(condition("I71.40", "AAA without rupture"))),
    case("B02", "aneurysm, SNOMED", NE, ANEURYSM, **has(condition("233985008", "Abdominal aortic aneurysm"))),
    case(
        "B03",
        "repaired aneurysm is still a history",
        NE,
        ANEURYSM,
        **has(condition("I67.1", "Cerebral aneurysm, nonruptured", "2016", clinical="resolved", end="2017")),
    ),
    case(
        "B04",
        "refuted aneurysm",
        "ELIGIBLE",
        never=ANEURYSM,
        complete=True,
        **has(condition("I67.1", "Cerebral aneurysm", verified="refuted")),
    ),
    case(
        "B05",
        "aneurysm entered in error",
        "ELIGIBLE",
        never=ANEURYSM,
        complete=True,
        **has(condition("I67.1", "Cerebral aneurysm", verified="entered-in-error")),
    ),
    case(
        "B06",
        "aneurysm only suspected",
        "DEFER",
        "",
        "aneurysmal_vascular_disease",
        never=ANEURYSM,
        complete=False,
        **has(condition("I67.1", "Cerebral aneurysm", verified="differential")),
    ),
    case(
        "B07",
        "aneurysm in words only never rules out and never reads as no",
        "DEFER",
        "",
        "aneurysmal_vascular_disease",
        never=ANEURYSM,
        complete=False,
        **has(text_condition("brain aneurysm")),
    ),
    case(
        "B08",
        "an aneurysm of the mother is not the person's",
        "ELIGIBLE",
        never=ANEURYSM,
        complete=True,
        **has(
            {
                "resourceType": "FamilyMemberHistory",
                "id": "fam",
                "status": "completed",
                "patient": SUBJECT,
                "relationship": {"text": "mother"},
                "condition": [{"code": coding(SNOMED, "233985008", "Abdominal aortic aneurysm")}],
            }
        ),
    ),
    case("B09", "no history attestation", "DEFER", "", "history_reviewed", complete=False, **swap(history=None)),
    case(
        "B10",
        "attestation older than its limit",
        "DEFER",
        "",
        "history_reviewed",
        complete=False,
        **swap(history=answer("history_reviewed", True, ago(days=31))),
    ),
    case("B11", "list not reconciled", "DEFER", "", "reconciled", complete=False, **swap(reconciled=None)),
    case("B12", "allergies never asked", "DEFER", "", "allergies_asked", complete=False, **swap(allergies=None)),
    case(
        "B13",
        "without an attestation the aneurysm still rules out",
        NE,
        ANEURYSM,
        complete=False,
        change={"history": None},
        add=[condition("I71.9", "Aortic aneurysm")],
    ),
    case(
        "B14",
        "cerebral AVM, SNOMED",
        NE,
        "arteriovenous-malformation",
        **has(condition("234142008", "Cerebral arteriovenous malformation")),
    ),
    case(
        "B15",
        "past intracerebral haemorrhage",
        NE,
        "past-intracerebral-haemorrhage",
        **has(condition("I61.9", "Nontraumatic intracerebral hemorrhage", "2011", clinical="resolved", end="2012")),
    ),
    case(
        "B16",
        "sequelae of a haemorrhage",
        NE,
        "past-intracerebral-haemorrhage",
        **has(condition("I69.154", "Hemiplegia following nontraumatic intracerebral hemorrhage")),
    ),
    case("B17", "ketamine allergy", NE, "hypersensitivity-to-ketamine", **swap(allergies=allergy("6130", "ketamine"))),
    case(
        "B18",
        "esketamine allergy bars ketamine too",
        NE,
        "hypersensitivity-to-ketamine",
        **swap(allergies=allergy("2119365", "esketamine")),
    ),
    case(
        "B19",
        "ketamine allergy refuted",
        "ELIGIBLE",
        never="hypersensitivity-to-ketamine",
        **swap(allergies=allergy("6130", "ketamine", verified="refuted")),
    ),
    case(
        "B20",
        "ketamine allergy unconfirmed",
        "DEFER",
        "",
        "allergy",
        never="hypersensitivity-to-ketamine",
        complete=False,
        **swap(allergies=allergy("6130", "ketamine", verified="unconfirmed")),
    ),
    case(
        "B21",
        "another allergy shows that allergies were asked",
        "ELIGIBLE",
        complete=True,
        **swap(allergies=allergy("7980", "penicillin G")),
    ),
]

# Row 5: pressure on the day
SYMPTOM_FREE = [
    sign(code, name, False, ago(minutes=15))
    for code, name in (
        ("29857009", "Chest pain"),
        ("267036007", "Dyspnea"),
        ("63102001", "Visual disturbance"),
        ("40917007", "Clouded consciousness"),
        ("25064002", "Headache"),
    )
]


def home(systolic: float, diastolic: float) -> list[Resource]:
    """A home log of four days."""
    return [
        number(name, value, "mm[Hg]", ago(days=days))
        for days in (2, 3, 4, 5)
        for name, value in (("home_systolic", systolic), ("home_diastolic", diastolic))
    ]


PRESSURE = [
    case(f"C{n:02}", f"{s}/{d} {phase}", verdict, finds, never=never, phase=phase, complete=True, **swap(bp=bp(s, d)))
    for n, (s, d, verdict, finds, never, phase) in enumerate(
        (
            (139, 89, "ELIGIBLE", "", "bp-above-label-guide", "intake"),
            (140, 90, "ELIGIBLE", "", "bp-above-label-guide", "intake"),
            (141, 80, "CAUTION", "bp-above-label-guide", "bp-too-high-to-start", "intake"),
            (130, 91, "CAUTION", "bp-above-label-guide", "bp-too-high-to-start", PRE),
            (159, 99, "CAUTION", "bp-above-label-guide", "bp-too-high-to-start", PRE),
            (160, 84, "DEFER", "bp-too-high-to-start", "hypertensive-crisis", PRE),
            (150, 100, "DEFER", "bp-too-high-to-start", "hypertensive-crisis", "intake"),
            (179, 109, "DEFER", "bp-too-high-to-start", "bp-severe-no-symptoms", PRE),
        ),
        start=1,
    )
] + [
    case(
        "C20",
        "180/100, symptoms asked, none",
        "DEFER",
        "bp-severe-no-symptoms|bp-very-high-without-symptoms",
        never="hypertensive-crisis",
        phase=PRE,
        change={"bp": bp(180, 100)},
        add=SYMPTOM_FREE,
    ),
    case("C21", "180/100, symptoms not asked", "DEFER", "", phase=PRE, **swap(bp=bp(180, 100))),
    *(
        case(
            f"C22-{code}",
            f"182/112 with {name}",
            "ESCALATE",
            "hypertensive-crisis|bp-very-high-with-symptoms",
            phase=PRE,
            change={"bp": bp(182, 112)},
            add=[sign(code, name)],
        )
        for code, name in (
            ("25064002", "Headache"),
            ("63102001", "Visual disturbance"),
            ("29857009", "Chest pain"),
            ("267036007", "Dyspnea"),
            ("95666008", "Facial droop"),
        )
    ),
    case(
        "C23",
        "headache at an ordinary pressure is no crisis",
        "ELIGIBLE",
        never="hypertensive-crisis worst-headache",
        **has(sign("25064002", "Headache")),
    ),
    case(
        "C24",
        "pressure 31 minutes old",
        "DEFER",
        "",
        "systolic diastolic",
        phase=PRE,
        complete=False,
        **swap(bp=bp(124, 78, ago(minutes=31))),
    ),
    case(
        "C25", "pressure 30 minutes old", "ELIGIBLE", phase=PRE, complete=True, **swap(bp=bp(124, 78, ago(minutes=30)))
    ),
    case("C26", "no pressure at intake", "DEFER", "", "systolic diastolic", complete=False, **swap(bp=None)),
    case(
        "C27",
        "21.4 kPa is above 160 mmHg",
        "DEFER",
        "bp-too-high-to-start",
        phase=PRE,
        **swap(
            bp=[
                number("s", 21.4, "kPa", ago(minutes=9), loinc="8480-6"),
                number("d", 10.4, "kPa", ago(minutes=9), loinc="8462-4"),
            ]
        ),
    ),
    case(
        "C28",
        "two monitors disagree at one instant about the limit",
        "DEFER",
        "",
        phase=PRE,
        **swap(bp=[bp(150, 85, ago(minutes=5)), bp(166, 85, ago(minutes=5))]),
    ),
    case(
        "C29",
        "two monitors disagree about the normal",
        "DEFER|CAUTION",
        phase=PRE,
        **swap(bp=[bp(120, 80, ago(minutes=5)), bp(166, 85, ago(minutes=5))]),
    ),
    case(
        "C30",
        "a pressure without a unit is not read",
        "DEFER",
        "",
        "systolic",
        complete=False,
        **swap(
            bp=[
                {**observation({"system": LOINC, "code": "8480-6"}, ago(minutes=9), valueQuantity={"value": 120})},
                number("d", 78, "mm[Hg]", ago(minutes=9), loinc="8462-4"),
            ]
        ),
    ),
    case(
        "C31",
        "a preliminary pressure is unknown",
        "DEFER",
        "",
        "systolic diastolic",
        complete=False,
        **swap(bp={**bp(120, 78), "status": "preliminary"}),
    ),
    case(
        "C32",
        "a pressure entered in error",
        "DEFER",
        "",
        "systolic diastolic",
        complete=False,
        **swap(bp={**bp(120, 78), "status": "entered-in-error"}),
    ),
    case(
        "C33",
        "a pressure without a time",
        "DEFER",
        "",
        "systolic diastolic",
        complete=False,
        **swap(bp={k: v for k, v in bp(120, 78).items() if k != "effectiveDateTime"}),
    ),
    case(
        "C34",
        "home log 140/85 on treatment (row 6)",
        "DEFER",
        "uncontrolled-hypertension",
        add=[condition("I10", "Essential hypertension"), drug("29046", "lisinopril", 20), *home(140, 85)],
    ),
    case(
        "C35",
        "home log 139/89 on treatment",
        "ELIGIBLE|CAUTION",
        never="uncontrolled-hypertension",
        add=[condition("I10", "Essential hypertension"), drug("29046", "lisinopril", 20), *home(139, 89)],
    ),
]

# Rows 7 to 9
LETTER = answer("cardiology_letter", "yes", ago(days=20))
NO_LETTER = answer("cardiology_letter", "no", ago(days=2))


def infarct(onset: str = "", clinical: str = "active") -> dict[str, Any]:
    return condition("22298006", "Myocardial infarction", onset, clinical=clinical)


HEART = [
    case("D-01", "infarction 5 weeks ago", NE, "recent-cardiac-event", **has(infarct(day(35)), LETTER)),
    case(
        "D-02",
        "infarction 5 weeks ago, marked resolved",
        NE,
        "recent-cardiac-event",
        **has(infarct(day(35), "resolved")),
    ),
    case(
        "D-03",
        "infarction 8 weeks ago, no letter",
        "DEFER",
        "cardiac-event-without-letter",
        never="recent-cardiac-event",
        **has(infarct(day(56)), NO_LETTER),
    ),
    case(
        "D-04",
        "infarction 8 weeks ago, letter not asked for",
        "DEFER",
        "",
        "cardiology_letter",
        complete=False,
        never="recent-cardiac-event",
        **has(infarct(day(56))),
    ),
    case(
        "D-05",
        "infarction 8 weeks ago, letter",
        "CAUTION",
        "cardiac-event-with-letter",
        never="recent-cardiac-event",
        complete=True,
        **has(infarct(day(56)), LETTER),
    ),
    case(
        "D-06",
        "infarction 13 months ago",
        "ELIGIBLE|CAUTION",
        never="recent-cardiac-event cardiac-event-without-letter",
        **has(infarct(day(396))),
    ),
    case(
        "D-07",
        "old infarction without a date",
        "DEFER",
        "",
        "myocardial_infarction",
        complete=False,
        never="recent-cardiac-event",
        **has(condition("I25.2", "Old myocardial infarction")),
    ),
    case(
        "D-08",
        "infarction 'in October 2026' straddles six weeks, letter",
        "DEFER",
        "",
        "myocardial_infarction",
        never="recent-cardiac-event",
        complete=False,
        **has(infarct("2026-10"), LETTER),
    ),
    case(
        "D-09",
        "infarction 'in 2025' straddles the year, no letter",
        "DEFER",
        complete=False,
        never="recent-cardiac-event",
        **has(infarct("2025"), NO_LETTER),
    ),
    case(
        "D-10",
        "stroke 5 weeks ago, ICD",
        NE,
        "recent-cardiac-event",
        **has(condition("I63.9", "Cerebral infarction", day(35))),
    ),
    case(
        "D-11",
        "unstable angina 8 weeks ago with letter",
        "CAUTION",
        "cardiac-event-with-letter",
        **has(condition("I20.0", "Unstable angina", day(56)), LETTER),
    ),
    case(
        "D-12",
        "NYHA III",
        NE,
        "severe-heart-failure",
        **has(condition("I50.22", "Chronic systolic heart failure"), condition("420913000", "NYHA Class III")),
    ),
    case(
        "D-13",
        "compensated heart failure without letter",
        "DEFER",
        "heart-failure-without-letter",
        **has(condition("84114007", "Heart failure"), NO_LETTER),
    ),
    case(
        "D-14",
        "compensated heart failure with letter",
        "CAUTION",
        "heart-failure-with-letter",
        **has(condition("I50.22", "Chronic systolic heart failure"), LETTER),
    ),
    case(
        "D-15",
        "atrial fibrillation, stable",
        "CAUTION",
        "arrhythmia-stable",
        **has(condition("49436004", "Atrial fibrillation"), own_sign("arrhythmia_symptoms", False)),
    ),
    case(
        "D-16",
        "atrial fibrillation with symptoms now",
        "ESCALATE",
        "arrhythmia-with-symptoms-now",
        **has(condition("I48.91", "Atrial fibrillation"), own_sign("arrhythmia_symptoms", True)),
    ),
    *(
        case(
            f"D-17-{rate}",
            f"heart rate {rate} at rest",
            "CAUTION" if out else "ELIGIBLE",
            "resting-heart-rate-out-of-range" if out else "",
            never="" if out else "resting-heart-rate-out-of-range",
            phase=PRE,
            **swap(hr=vital("hr", rate)),
        )
        for rate, out in ((49, True), (50, False), (110, False), (111, True))
    ),
    case(
        "D-18",
        "idiopathic intracranial hypertension",
        NE,
        "raised-intracranial-pressure",
        **has(condition("G93.2", "Benign intracranial hypertension")),
    ),
    case(
        "D-19",
        "brain tumour, SNOMED",
        NE,
        "raised-intracranial-pressure",
        **has(condition("126952004", "Neoplasm of brain")),
    ),
    case(
        "D-20",
        "past hypertensive encephalopathy",
        "CAUTION",
        "past-hypertensive-encephalopathy",
        **has(condition("I67.4", "Hypertensive encephalopathy", "2014", clinical="resolved", end="2014")),
    ),
    case(
        "D-21",
        "QTc 499 on citalopram",
        "ELIGIBLE|CAUTION",
        never="qt-measured-long",
        change={"medicines": CITALOPRAM},
        add=[number("q", 499, "ms", ago(days=20), loinc="8636-3")],
    ),
    case(
        "D-22",
        "QTc 500 on citalopram",
        "CAUTION|DEFER",
        "qt-measured-long",
        change={"medicines": CITALOPRAM},
        add=[number("q", 500, "ms", ago(days=20), loinc="8636-3")],
    ),
    case(
        "D-23",
        "QTc 0.51 s on citalopram",
        "CAUTION|DEFER",
        "qt-measured-long",
        change={"medicines": CITALOPRAM},
        add=[number("q", 0.51, "s", ago(days=20), loinc="8636-3")],
    ),
    case(
        "D-24",
        "QTc 510 ms 13 months ago is too old",
        "ELIGIBLE|CAUTION",
        never="qt-measured-long",
        change={"medicines": CITALOPRAM},
        add=[number("q", 510, "ms", ago(days=396), loinc="8636-3")],
    ),
]

# Rows 10 to 12
MIND = [
    case("E01", "schizophrenia, SNOMED", NE, "current-psychosis", **has(condition("58214004", "Schizophrenia"))),
    case(
        "E02",
        "psychotic depression",
        NE,
        "current-psychosis",
        **swap(depression=condition("F33.3", "MDD, recurrent, severe with psychotic symptoms")),
    ),
    case(
        "E03",
        "remote brief psychosis",
        "CAUTION",
        "past-psychosis",
        never="current-psychosis",
        **has(condition("F23", "Brief psychotic disorder", "2010-03", clinical="resolved", end="2010-04")),
    ),
    case(
        "E04",
        "psychosis in words only",
        "DEFER",
        "",
        "psychosis",
        never="current-psychosis",
        complete=False,
        **has(text_condition("schizophrenia")),
    ),
    case("E05", "YMRS 11", "ELIGIBLE", never="ymrs-in-manic-range mania-same-day", **has(score("ymrs", 11))),
    case("E06", "YMRS 12", "ESCALATE", "ymrs-in-manic-range|mania-same-day", **has(score("ymrs", 12))),
    case(
        "E07",
        "YMRS 12 a week and a day ago is too old",
        "ELIGIBLE",
        never="mania-same-day",
        **has(score("ymrs", 12, ago(days=8))),
    ),
    case("E08", "ASRM 5", "ELIGIBLE", never="asrm-positive mania-screen-positive", **has(score("asrm", 5))),
    case("E09", "ASRM 6", "DEFER", "asrm-positive|mania-screen-positive", **has(score("asrm", 6))),
    case(
        "E10",
        "ASRM 6 with YMRS 11 stays DEFER",
        "DEFER",
        "asrm-positive|mania-screen-positive",
        never="mania-same-day",
        **has(score("asrm", 6), score("ymrs", 11)),
    ),
    case(
        "E11",
        "current hypomania",
        "ESCALATE",
        "clinical-mania mania-same-day",
        **has(condition("231496004", "Hypomania", day(4))),
    ),
    case(
        "E12",
        "little sleep and high energy",
        "DEFER",
        "mania-screen-positive",
        **has(own_sign("short_sleep_high_energy")),
    ),
    case(
        "E13",
        "bipolar II depression on lithium",
        "CAUTION",
        "bipolar-on-mood-stabiliser",
        change={"depression": condition("F31.81", "Bipolar II disorder")},
        add=[LITHIUM, score("asrm", 2)],
    ),
    case(
        "E14",
        "bipolar depression without stabiliser",
        "DEFER",
        "bipolar-without-mood-stabiliser",
        change={"depression": condition("F31.81", "Bipolar II disorder")},
        add=[score("asrm", 2)],
    ),
    case(
        "E15",
        "bipolar, stabiliser stopped in June",
        "DEFER",
        "bipolar-without-mood-stabiliser",
        change={"depression": condition("83225003", "Bipolar II disorder")},
        add=[drug("6448", "lithium", 600, state="stopped", end="2026-06-01"), score("asrm", 2)],
    ),
    case(
        "E16",
        "bipolar before a dose, ASRM too old",
        "DEFER",
        "",
        "asrm",
        phase=PRE,
        complete=False,
        change={"depression": condition("F31.81", "Bipolar II disorder")},
        add=[LITHIUM, score("asrm", 2, ago(days=8))],
    ),
    case("E17", "delirium", NE, "delirium", **has(condition("F05", "Delirium"))),
    case("E18", "no capacity", NE, "no-capacity", **has(own_condition("no_capacity"))),
    case(
        "E19",
        "dementia, capacity open",
        "DEFER|NOT_ELIGIBLE",
        "",
        "capacity_confirmed",
        complete=False,
        **has(condition("F03.90", "Unspecified dementia")),
    ),
    case("E20", "in crisis and unable to stay", "DEFER", "unable-to-stay", **has(own_sign("unable_to_stay"))),
    case(
        "E21",
        "current mania refuted",
        "ELIGIBLE",
        never="clinical-mania mania-same-day",
        complete=True,
        **has(condition("231494001", "Mania", verified="refuted")),
    ),
]

# Rows 13 to 17
TEST = "pregnancy-test-needed"
LIFE = [
    case(
        "F01",
        "test positive",
        NE,
        "pregnancy-test-positive",
        change={"patient": WOMAN},
        add=[pregnancy_test("positive")],
    ),
    case(
        "F02",
        "test negative",
        "ELIGIBLE",
        never=TEST,
        complete=True,
        change={"patient": WOMAN},
        add=[pregnancy_test("negative")],
    ),
    case("F03", "no test", "DEFER", "", "hcg", complete=False, **swap(patient=WOMAN)),
    case(
        "F04",
        "test 8 days old",
        "DEFER",
        "",
        "hcg",
        complete=False,
        change={"patient": WOMAN},
        add=[pregnancy_test("negative", ago(days=8))],
    ),
    case(
        "F05",
        "test 7 days old",
        "ELIGIBLE",
        never=TEST,
        change={"patient": WOMAN},
        add=[pregnancy_test("negative", ago(days=7))],
    ),
    case(
        "F06",
        "test invalid",
        "DEFER",
        TEST,
        change={"patient": WOMAN},
        add=[
            observation(
                {"system": LOINC, "code": "2106-3"},
                NOW,
                valueCodeableConcept=coding(SNOMED, "82334004", "Indeterminate"),
            )
        ],
    ),
    case(
        "F07",
        "positive 8 days ago, nothing since",
        "NOT_ELIGIBLE|DEFER",
        change={"patient": WOMAN},
        add=[pregnancy_test("positive", ago(days=8))],
    ),
    case(
        "F08",
        "pregnant by diagnosis, test negative",
        NE,
        "pregnancy",
        change={"patient": WOMAN},
        add=[pregnancy_test("negative"), condition("77386006", "Pregnancy", day(40))],
    ),
    case(
        "F09",
        "age 9: too young, and no test asked",
        NE,
        "age-under-18",
        never=TEST,
        **swap(patient=patient(born(9, 20), "F")),
    ),
    case("F10", "age 10: a test is asked too", NE, "age-under-18", "hcg", **swap(patient=patient(born(10, 20), "F"))),
    case("F11", "age 55: a test is needed", "DEFER", "", "hcg", **swap(patient=patient(born(55, 20), "F"))),
    case("F12", "age 56: none", "ELIGIBLE", never=TEST, complete=True, **swap(patient=patient(born(56, 20), "F"))),
    case(
        "F13",
        "hysterectomy by ICD",
        "ELIGIBLE",
        never=TEST,
        complete=True,
        change={"patient": WOMAN},
        add=[condition("Z90.710", "Acquired absence of both cervix and uterus")],
    ),
    case(
        "F14",
        "hysterectomy as Procedure",
        "ELIGIBLE",
        never=TEST,
        complete=True,
        change={"patient": WOMAN},
        add=[{**event("x", "2021-04-02"), "code": coding(SNOMED, "236886002", "Hysterectomy")}],
    ),
    case(
        "F15",
        "hysterectomy refuted",
        "DEFER",
        "",
        "hcg",
        change={"patient": WOMAN},
        add=[condition("Z90.710", "Acquired absence of both cervix and uterus", verified="refuted")],
    ),
    case(
        "F16",
        "one ovary removed does not exclude",
        "DEFER",
        "",
        "hcg",
        change={"patient": WOMAN},
        add=[condition("Z90.721", "Acquired absence of ovaries, unilateral")],
    ),
    case(
        "F17",
        "hysterectomy in words only does not exclude",
        "DEFER",
        "",
        complete=False,
        change={"patient": WOMAN},
        add=[text_condition("hysterectomy")],
    ),
    case(
        "F18",
        "birth sex unrecorded, gender male",
        "DEFER",
        "",
        "sex_at_birth|hcg",
        complete=False,
        **swap(patient=patient("1997-01-15", None, "male")),
    ),
    case(
        "F19",
        "birth sex unrecorded, no gender",
        "DEFER",
        "",
        "sex_at_birth|hcg",
        complete=False,
        **swap(patient=patient("1997-01-15", None)),
    ),
    case(
        "F20",
        "gender female, test negative",
        "ELIGIBLE",
        complete=True,
        change={"patient": patient("1997-01-15", None, "female")},
        add=[pregnancy_test("negative")],
    ),
    case(
        "F21",
        "breast-feeding, no plan",
        "DEFER",
        "breast-feeding-without-plan",
        change={"patient": WOMAN},
        add=[pregnancy_test("negative"), condition("Z39.1", "Lactating mother"), answer("feeding_plan", "no")],
    ),
    case(
        "F22",
        "breast-feeding with plan",
        "CAUTION",
        "breast-feeding-with-plan",
        change={"patient": WOMAN},
        add=[
            pregnancy_test("negative"),
            condition("413712001", "Breastfeeding (mother)"),
            answer("feeding_plan", "yes"),
        ],
    ),
    case(
        "F23",
        "breast-feeding, plan not asked",
        "DEFER",
        "",
        "feeding_plan",
        complete=False,
        change={"patient": WOMAN},
        add=[pregnancy_test("negative"), condition("Z39.1", "Lactating mother")],
    ),
    case("F24", "17, 18 tomorrow", NE, "age-under-18", **swap(patient=patient(born(18, -1)))),
    case("F25", "18 today", "ELIGIBLE", "age-18-to-24", never="age-under-18", **swap(patient=patient(born(18)))),
    case("F26", "24", "ELIGIBLE", "age-18-to-24", **swap(patient=patient(born(25, -1)))),
    case("F27", "25", "ELIGIBLE", never="age-18-to-24", **swap(patient=patient(born(25)))),
    case("F28", "64", "ELIGIBLE", never="age-65-and-over", **swap(patient=patient(born(65, -1)))),
    case("F29", "65", "CAUTION", "age-65-and-over", **swap(patient=patient(born(65)))),
    case("F30", "no birth date", "DEFER", "", "age", complete=False, **swap(patient=patient(None))),
    case(
        "F31",
        "born in November 2008: 17 or 18",
        "DEFER",
        "",
        "age",
        never="age-under-18",
        complete=False,
        **swap(patient=patient("2008-11")),
    ),
    case("F32", "born in 1961: 64 or 65", "CAUTION|DEFER", **swap(patient=patient("1961"))),
    case(
        "F34",
        "woman born in 1970: 55 or 56",
        "DEFER",
        "",
        "age|hcg",
        complete=False,
        **swap(patient=patient("1970", "F")),
    ),
    case(
        "F35",
        "positive and negative test of one instant",
        "DEFER|NOT_ELIGIBLE",
        change={"patient": WOMAN},
        add=[pregnancy_test("positive", ago(days=1)), pregnancy_test("negative", ago(days=1))],
    ),
    case(
        "F36",
        "test by LOINC answer Negative",
        "ELIGIBLE",
        never=TEST,
        complete=True,
        change={"patient": WOMAN},
        add=[
            observation(
                {"system": LOINC, "code": "2118-8"},
                ago(days=1),
                valueCodeableConcept=coding(LOINC, "LA6577-6", "Negative"),
            )
        ],
    ),
    case("F33", "born in 1982", "ELIGIBLE", complete=True, **swap(patient=patient("1982"))),
]

# Rows 18 and 19
ITCH = sign("418363000", "Itching of skin")
LIVER = (
    [
        case(
            "G01",
            "hepatic failure, nasal",
            NE,
            "severe-hepatic-impairment-esketamine",
            treatment=NASAL,
            **has(condition("K72.90", "Hepatic failure, unspecified without coma")),
        ),
        case(
            "G02",
            "hepatic failure, infusion",
            NE,
            "severe-hepatic-impairment-ketamine",
            **has(condition("59927004", "Hepatic failure")),
        ),
        case(
            "G03",
            "Child-Pugh B",
            "CAUTION",
            "moderate-hepatic-impairment",
            treatment=NASAL,
            **has(own_condition("hepatic_impairment_moderate")),
        ),
    ]
    + [
        case(
            f"G-{a}-{b}{'-itch' if itch else ''}",
            f"ALT {a} x, bilirubin {b} x{', itch' if itch else ''}",
            verdict,
            finds,
            never=never,
            phase=PRE,
            change={"liver": liver(a, b)},
            add=[ITCH] if itch else [own_sign("itch", False)],
        )
        for a, b, itch, verdict, finds, never in (
            (1.0, 0.5, False, "ELIGIBLE", "", "liver-tests-raised"),
            (2.0, 0.5, False, "CAUTION", "liver-tests-raised", "liver-hold"),
            (2.0, 0.5, True, "CAUTION", "liver-tests-raised", "liver-hold"),
            (2.1, 0.5, False, "CAUTION", "liver-tests-raised", "liver-hold"),
            (2.1, 0.5, True, "DEFER", "liver-hold|liver-tests-with-symptoms", "liver-same-day"),
            (3.0, 0.5, False, "CAUTION", "liver-tests-raised", "liver-hold"),
            (3.0, 1.9, False, "CAUTION", "liver-tests-raised", "liver-same-day"),
            (3.0, 2.0, False, "ESCALATE", "liver-same-day", ""),
            (3.1, 0.5, False, "DEFER", "liver-hold|liver-tests-defer", "liver-same-day"),
            (3.1, 1.9, False, "DEFER", "liver-hold|liver-tests-defer", "liver-same-day"),
            (2.9, 2.0, False, "CAUTION", "liver-tests-raised", "liver-same-day"),
            (5.0, 0.5, False, "DEFER", "liver-hold|liver-tests-defer", "liver-same-day"),
            (5.1, 0.5, False, "ESCALATE", "liver-same-day", ""),
        )
    ]
    + [
        case(
            "G20",
            "ALT without the report's range before a dose",
            "DEFER",
            "",
            "alt_xuln",
            phase=PRE,
            complete=False,
            never="liver-same-day",
            **swap(liver=[lab("1742-6", 500, "U/L", None), *liver(0.5)[1:]]),
        ),
        case(
            "G21",
            "ALT at 5.1 x 31 days ago is no red flag but holds",
            "DEFER",
            "liver-tests-defer",
            phase=PRE,
            never="liver-same-day",
            **swap(liver=liver(5.1, at=ago(days=31))),
        ),
        case(
            "G22",
            "liver tests 91 days old before a dose",
            "DEFER",
            "",
            "alt_xuln",
            phase=PRE,
            complete=False,
            **swap(liver=liver(0.6, at=ago(days=91))),
        ),
        case(
            "G23",
            "bilirubin in umol/L with its own range",
            "ESCALATE",
            "liver-same-day",
            phase=PRE,
            **swap(liver=[alt(3.0), lab("1920-8", 20, "U/L", 40), lab("14631-6", 42, "umol/L", 21), alp(0.5)]),
        ),
        case("G24", "jaundice", "ESCALATE", "liver-same-day", **has(sign("18165001", "Jaundice"))),
        case(
            "G25",
            "ALP 2.1 x with itch",
            "DEFER",
            "liver-hold|cholestatic-tests-with-itch",
            phase=PRE,
            change={"liver": liver(0.6, 0.5, 2.1)},
            add=[ITCH],
        ),
        case(
            "G26",
            "ALP 2.1 x without itch",
            "ELIGIBLE|CAUTION",
            never="liver-hold",
            phase=PRE,
            change={"liver": liver(0.6, 0.5, 2.1)},
            add=[own_sign("itch", False)],
        ),
        case(
            "G28",
            "two laboratories disagree at one instant",
            "DEFER",
            "",
            "alt_xuln",
            phase=PRE,
            complete=False,
            **swap(liver=[*liver(0.6, at=ago(days=5)), alt(6.0, ago(days=5))]),
        ),
        case(
            "G27",
            "range in another unit than the value",
            "DEFER|ESCALATE",
            phase=PRE,
            **swap(
                liver=[
                    {
                        **lab("1742-6", 500, "U/L", None),
                        "referenceRange": [
                            {"high": {"value": 0.7, "unit": "ukat/L", "code": "ukat/L", "system": UCUM}}
                        ],
                    },
                    *liver(0.5)[1:],
                ]
            ),
        ),
    ]
)

# Rows 20 to 23
SUBSTANCE = [
    case(
        "H01", "alcohol intoxication now", "DEFER", "intoxicated-now", **has(sign("25702006", "Alcohol intoxication"))
    ),
    case(
        "H02",
        "intoxication not examined before a dose",
        "DEFER",
        "",
        "intoxication",
        phase=PRE,
        complete=False,
        **swap(plain=[r for r in _predose("ketamine-iv")["plain"] if r["id"] != "o-intoxication"]),
    ),
    case("H03", "CIWA-Ar 7", "ELIGIBLE", never="alcohol-withdrawal-score", phase=PRE, **has(score("ciwa", 7))),
    case("H04", "CIWA-Ar 8", "DEFER", "alcohol-withdrawal-score", phase=PRE, **has(score("ciwa", 8))),
    case(
        "H05",
        "CIWA-Ar 14",
        "DEFER",
        "alcohol-withdrawal-score",
        never="alcohol-withdrawal-severe",
        phase=PRE,
        **has(score("ciwa", 14)),
    ),
    case("H06", "CIWA-Ar 15", "ESCALATE", "alcohol-withdrawal-severe", phase=PRE, **has(score("ciwa", 15))),
    case(
        "H07",
        "alcohol withdrawal by ICD, with a plan",
        "DEFER",
        "alcohol-or-sedative-withdrawal",
        **has(
            condition("F10.230", "Alcohol dependence with withdrawal, uncomplicated", day(1)), answer("sud_plan", "yes")
        ),
    ),
    case(
        "H08",
        "ketamine misuse this year",
        NE,
        "dissociative-misuse-past-year",
        **has(own_condition("dissociative_misuse", "2026-03")),
    ),
    case(
        "H09",
        "ketamine misuse until 2019",
        "CAUTION",
        "dissociative-misuse-remote",
        never="dissociative-misuse-past-year",
        **has(own_condition("dissociative_misuse", "2016", clinical="resolved", end="2019-05")),
    ),
    case(
        "H10",
        "PCP immunoassay positive",
        "DEFER",
        "dissociative-screen-unconfirmed",
        never="dissociative-misuse-past-year",
        **has(
            observation(
                {"system": LOINC, "code": "19659-2"},
                ago(days=3),
                valueCodeableConcept=coding(SNOMED, "10828004", "Positive"),
            )
        ),
    ),
    case(
        "H11",
        "PCP immunoassay positive, refuted",
        "ELIGIBLE",
        never="dissociative-screen-unconfirmed",
        **has(
            observation(
                {"system": LOINC, "code": "19659-2"},
                ago(days=3),
                valueCodeableConcept=coding(SNOMED, "10828004", "Positive"),
            ),
            own_sign("dissociative_refuted"),
        ),
    ),
    case(
        "H12",
        "confirmed dissociative",
        NE,
        "dissociative-misuse-past-year",
        **has(own_sign("dissociative_confirmed", at=ago(days=40))),
    ),
    case(
        "H13",
        "cocaine dependence, no plan",
        "DEFER",
        "substance-use-disorder-without-plan",
        **has(condition("F14.20", "Cocaine dependence, uncomplicated"), answer("sud_plan", "no")),
    ),
    case(
        "H14",
        "cocaine dependence, plan not asked",
        "DEFER",
        "",
        "sud_plan",
        complete=False,
        **has(condition("F14.20", "Cocaine dependence, uncomplicated")),
    ),
    case(
        "H15",
        "alcohol dependence with a plan",
        "CAUTION",
        "substance-use-disorder-with-plan",
        **has(condition("F10.20", "Alcohol dependence"), answer("sud_plan", "yes")),
    ),
    case(
        "H16",
        "opioid dependence in remission on buprenorphine",
        "CAUTION",
        "substance-use-disorder-in-remission ketamine-moud",
        **has(
            condition("F11.21", "Opioid dependence, in remission"),
            drug("351264", "buprenorphine 8 MG Sublingual Tablet", 8, 2),
        ),
    ),
    case(
        "H17",
        "methadone",
        "CAUTION",
        "ketamine-moud",
        **has(condition("F11.21", "Opioid dependence, in remission"), drug("6813", "methadone", 80)),
    ),
]

# Row 24 and section 9
KRATOM = drug("", "kratom powder")
STABLE = [
    answer("kratom_daily", "no", ago(minutes=30)),
    answer("kratom_stable_plan", "yes", ago(days=3)),
    answer("kratom_withdrawal", False, ago(minutes=30)),
]
COWS_0 = score("cows", 0)
DAILY = answer("kratom_daily", "yes", ago(minutes=30))


def kratom(hours: float) -> dict[str, Any]:
    return used("kratom powder", ago(hours=hours))


KRATOM_CASES = [
    case(
        "K01",
        "occasional, last use 25 h ago",
        "CAUTION",
        "kratom-stable-or-occasional",
        never="kratom-same-day",
        phase=PRE,
        complete=True,
        **has(KRATOM, kratom(25), *STABLE, COWS_0),
    ),
    case(
        "K02",
        "occasional, last use 23 h ago",
        "DEFER",
        "kratom-same-day",
        phase=PRE,
        **has(KRATOM, kratom(23), *STABLE),
    ),
    case(
        "K03",
        "last use unknown",
        "DEFER",
        "",
        phase=PRE,
        complete=False,
        asks="last_use|kratom_last_use_known",
        **has(KRATOM, *STABLE),
    ),
    case(
        "K04",
        "product unknown",
        "DEFER",
        "kratom-product-unknown",
        never="kratom-last-use-unknown",
        **has(drug("", "kratom"), used("kratom", ago(hours=60)), *STABLE),
    ),
    case(
        "K18",
        "product unknown, this morning",
        "DEFER",
        "kratom-product-unknown kratom-same-day",
        phase=PRE,
        **has(drug("", "kratom"), used("kratom", ago(hours=3)), *STABLE),
    ),
    case(
        "K05",
        "daily use without a plan",
        "DEFER",
        "kratom-daily-unstable",
        **has(KRATOM, kratom(30), DAILY, answer("kratom_stable_plan", "no", ago(days=1))),
    ),
    case(
        "K06",
        "daily use, agreed stable reduction",
        "CAUTION",
        "kratom-stable-or-occasional",
        never="kratom-daily-unstable",
        **has(KRATOM, kratom(30), DAILY, answer("kratom_stable_plan", "yes", ago(days=3))),
    ),
    case(
        "K07",
        "COWS 4",
        "CAUTION",
        never="kratom-withdrawal-present",
        phase=PRE,
        **has(KRATOM, kratom(30), *STABLE, score("cows", 4)),
    ),
    case(
        "K08",
        "COWS 5",
        "DEFER",
        "kratom-withdrawal-present",
        phase=PRE,
        **has(KRATOM, kratom(30), *STABLE, score("cows", 5)),
    ),
    case(
        "K09",
        "last use dated yesterday straddles a day",
        "DEFER",
        complete=False,
        phase=PRE,
        never="kratom-same-day",
        asks="last_use|kratom_last_use_known",
        **has(KRATOM, used("kratom powder", day(1)), *STABLE),
    ),
    case(
        "K10",
        "7-OH this morning",
        "DEFER",
        "kratom-same-day",
        phase=PRE,
        **has(drug("", "7-OH tablets"), used("7-OH tablets", ago(hours=3)), *STABLE),
    ),
    case(
        "K11",
        "kratom refused as not taken",
        "ELIGIBLE",
        never="kratom-same-day kratom-facts",
        complete=True,
        **has(drug("", "kratom powder", state="not-taken")),
    ),
    case(
        "K12",
        "kratom entered in error",
        "ELIGIBLE",
        never="kratom-facts",
        complete=True,
        **has(drug("", "kratom powder", state="entered-in-error")),
    ),
    case(
        "K13",
        "kratom and jaundice, no treatment in question",
        "ESCALATE",
        "kratom-jaundice",
        treatment="none",
        **has(KRATOM, sign("18165001", "Jaundice")),
    ),
    case(
        "K14",
        "kratom with naltrexone",
        "DEFER",
        "kratom-with-antagonist",
        **has(KRATOM, kratom(60), *STABLE, drug("7243", "naltrexone", 50)),
    ),
    case(
        "K15",
        "naltrexone 13 days after the last kratom",
        "DEFER",
        "kratom-with-antagonist",
        **has(drug("", "kratom powder", state="stopped", end=ago(days=13)), drug("7243", "naltrexone", 50)),
    ),
    case(
        "K16",
        "naltrexone 15 days after the last kratom",
        "CAUTION",
        never="kratom-with-antagonist",
        **has(
            drug("", "kratom powder", state="stopped", end=ago(days=15)),
            used("kratom powder", ago(days=15)),
            drug("7243", "naltrexone", 50),
        ),
    ),
    case(
        "K17",
        "a rescue kit lowers nothing",
        "DEFER",
        "kratom-same-day",
        phase=PRE,
        **has(KRATOM, kratom(3), *STABLE, answer("rescue_naloxone", "yes")),
    ),
]

# Rows 25 to 28, depots, washouts
PHENELZINE = drug("8123", "phenelzine", 15, 3)


def stopped(code: str, name: str, days: float) -> dict[str, Any]:
    return drug(code, name, state="stopped", start="2025-01", end=ago(days=days))


LORAZEPAM = drug("197900", "lorazepam 0.5 MG Oral Tablet", 0.5)
MEDICINES = [
    case("M01", "phenelzine alone", "CAUTION", "ketamine-maoi", **swap(medicines=PHENELZINE)),
    case(
        "M02",
        "selegiline patch",
        "CAUTION",
        "ketamine-maoi",
        **swap(medicines=drug("", "Emsam 9 MG/24HR Transdermal System")),
    ),
    case(
        "M03",
        "phenelzine with sertraline: prescriber the same day, not NOT_ELIGIBLE",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        **has(PHENELZINE),
    ),
    case(
        "M04",
        "the same with no treatment in question",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        treatment="none",
        **has(PHENELZINE),
    ),
    case(
        "M05",
        "fluoxetine stopped 34 days before phenelzine",
        "DEFER",
        "maoi-after-serotonergic-antidepressant",
        change={"medicines": PHENELZINE},
        add=[stopped("4493", "fluoxetine", 34)],
    ),
    case(
        "M06",
        "fluoxetine stopped 36 days before phenelzine",
        "CAUTION",
        never="maoi-after-serotonergic-antidepressant",
        complete=True,
        change={"medicines": PHENELZINE},
        add=[stopped("4493", "fluoxetine", 36)],
    ),
    case(
        "M07",
        "fluoxetine stopped 'in October 2026'",
        "DEFER",
        never="maoi-after-serotonergic-antidepressant",
        complete=False,
        change={"medicines": PHENELZINE},
        add=[drug("4493", "fluoxetine", state="stopped", start="2024", end="2026-10")],
    ),
    case(
        "M08",
        "tranylcypromine stopped 10 days ago, sertraline started",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        **has(stopped("10734", "tranylcypromine", 10)),
    ),
    case(
        "M09",
        "tranylcypromine stopped 15 days ago, sertraline started",
        "ELIGIBLE",
        never="maoi-with-serotonergic-antidepressant ketamine-maoi",
        complete=True,
        **has(stopped("10734", "tranylcypromine", 15)),
    ),
    case(
        "M10",
        "tranylcypromine stopped, end unknown",
        "DEFER",
        complete=False,
        **has(drug("10734", "tranylcypromine", state="stopped")),
    ),
    case(
        "M11",
        "phenelzine with tramadol product",
        "DEFER",
        "maoi-with-serotonergic-opioid",
        **swap(medicines=[PHENELZINE, drug("835603", "tramadol hydrochloride 50 MG Oral Tablet", 50, 3)]),
    ),
    case(
        "M12",
        "methylphenidate product",
        "CAUTION",
        "ketamine-stimulant",
        **has(drug("1091392", "methylphenidate hydrochloride 10 MG Oral Tablet", 10, 2)),
    ),
    case(
        "M13", "modafinil by ATC", "CAUTION", "ketamine-stimulant", **has(drug("N06BA07", "modafinil", 100, system=ATC))
    ),
    case(
        "M14",
        "lorazepam product, 0.5 mg",
        "CAUTION",
        "ketamine-benzodiazepine",
        never="ketamine-benzodiazepine-high",
        **has(LORAZEPAM),
    ),
    case(
        "M15",
        "diazepam 8 mg a day",
        "CAUTION",
        "ketamine-benzodiazepine",
        never="ketamine-benzodiazepine-high",
        **has(drug("3322", "diazepam", 4, 2)),
    ),
    case(
        "M16",
        "diazepam 8.1 mg a day",
        "CAUTION",
        "ketamine-benzodiazepine-high",
        **has(drug("3322", "diazepam", 2.7, 3)),
    ),
    case(
        "M17",
        "zolpidem by ATC",
        "CAUTION",
        "ketamine-benzodiazepine",
        **has(drug("N05CF02", "zolpidem", 5, system=ATC)),
    ),
    case(
        "M18",
        "oxycodone product",
        "CAUTION",
        "ketamine-opioid",
        **has(drug("1049621", "oxycodone hydrochloride 5 MG Oral Tablet", 5, 2)),
    ),
    case("M19", "gabapentin", "CAUTION", "ketamine-gabapentinoid", **has(drug("25480", "gabapentin", 300, 3))),
    case(
        "M20",
        "alcohol 23 h ago",
        "DEFER",
        "ketamine-alcohol-same-day",
        phase=PRE,
        **has(drug("", "beer"), used("alcohol", ago(hours=23))),
    ),
    case("M21", "alcohol, last drink unknown", "DEFER", "", phase=PRE, complete=False, **has(drug("", "alcohol"))),
    case(
        "M22",
        "alcohol 25 h ago",
        "CAUTION",
        "ketamine-alcohol",
        never="ketamine-alcohol-same-day",
        phase=PRE,
        **has(drug("", "alcohol"), used("alcohol", ago(hours=25))),
    ),
    case(
        "M23",
        "naltrexone injection 20 days ago with tramadol",
        "DEFER",
        "antagonist-with-opioid",
        **has(given("", "Vivitrol 380 MG Injection", ago(days=20)), drug("10689", "tramadol", 50, 3)),
    ),
    case(
        "M24",
        "the same by ingredient and intramuscular route",
        "DEFER",
        "antagonist-with-opioid",
        **has(given("7243", "naltrexone", ago(days=20), route="intramuscular"), drug("10689", "tramadol", 50, 3)),
    ),
    case(
        "M25",
        "monthly buprenorphine injection 25 days ago, list says completed",
        "CAUTION",
        "ketamine-moud",
        **has(given("", "Sublocade", ago(days=25))),
    ),
    case(
        "M26",
        "monthly buprenorphine with naltrexone tablets",
        "DEFER",
        "antagonist-with-moud",
        **has(given("", "Sublocade", ago(days=25)), drug("7243", "naltrexone", 50)),
    ),
    case(
        "M27",
        "buprenorphine injection with kratom",
        "CAUTION|DEFER",
        "kratom-with-buprenorphine",
        **has(
            given("", "buprenorphine injection", ago(days=10), route="subcutaneous monthly"),
            KRATOM,
            kratom(40),
            *STABLE,
        ),
    ),
    case(
        "M28",
        "escitalopram and tramadol, products",
        "CAUTION",
        "serotonin-high-pair",
        **swap(
            medicines=[
                drug("349332", "escitalopram 10 MG Oral Tablet", 10),
                drug("835603", "tramadol hydrochloride 50 MG Oral Tablet", 50, 3),
            ]
        ),
    ),
    case(
        "M29",
        "bupropion XL product after a seizure",
        "DEFER",
        "bupropion-with-seizure-history",
        change={"medicines": drug("993541", "24 HR bupropion hydrochloride 150 MG Extended Release Oral Tablet", 150)},
        add=[condition("91175000", "Seizure", "2019-02-03")],
    ),
    case(
        "M30",
        "a medicine nobody knows leaves the answer incomplete",
        "DEFER",
        complete=False,
        **has(drug("999999999", "zorbelux 10 MG Oral Tablet", 10)),
    ),
    case(
        "M31",
        "a planned phenelzine is not in use",
        "ELIGIBLE",
        never="maoi-with-serotonergic-antidepressant",
        **has(drug("8123", "phenelzine", 15, state="intended", start="2026-12-10")),
    ),
    case(
        "M32",
        "phenelzine and sertraline as MedicationRequest orders",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        **has(
            {
                "resourceType": "MedicationRequest",
                "id": "rx",
                "status": "active",
                "intent": "order",
                "subject": SUBJECT,
                "authoredOn": day(9),
                "medicationCodeableConcept": coding(RXNORM, "8123", "phenelzine"),
            }
        ),
    ),
    case(
        "M33",
        "one list says on, one list says stopped",
        "DEFER|CAUTION",
        **has(PHENELZINE, drug("8123", "phenelzine", state="not-taken")),
    ),
]

# Rows 29 to 34
BODY = [
    case("N01", "seizure 5 months ago", "DEFER", "seizure-recent", **has(condition("91175000", "Seizure", day(150)))),
    case(
        "N02",
        "seizure 7 months ago",
        "CAUTION",
        "seizure-history",
        never="seizure-recent",
        **has(condition("R56.9", "Unspecified convulsions", day(214))),
    ),
    case(
        "N03",
        "seizure 'in 2026'",
        "DEFER",
        "",
        "seizure",
        never="seizure-recent",
        complete=False,
        **has(condition("91175000", "Seizure", "2026")),
    ),
    case(
        "N04",
        "epilepsy, last seizure not dated",
        "CAUTION|DEFER",
        "seizure-history",
        **has(condition("G40.909", "Epilepsy, unspecified")),
    ),
    case("N05", "SpO2 94", "ELIGIBLE", never="saturation-below-limit", phase=PRE, **swap(spo2=vital("spo2", 94))),
    case("N06", "SpO2 93", "DEFER", "saturation-below-limit", phase=PRE, **swap(spo2=vital("spo2", 93))),
    case(
        "N07",
        "SpO2 91 with a documented 94",
        "CAUTION|ELIGIBLE",
        never="saturation-below-limit",
        phase=PRE,
        change={"spo2": vital("spo2", 91)},
        add=[number("spo2_baseline", 94, "%", ago(days=30))],
    ),
    case(
        "N08",
        "SpO2 91 with a documented 95",
        "DEFER",
        "saturation-below-limit",
        phase=PRE,
        change={"spo2": vital("spo2", 91)},
        add=[number("spo2_baseline", 95, "%", ago(days=30))],
    ),
    case("N09", "SpO2 89", "ESCALATE", "respiratory-emergency", phase=PRE, **swap(spo2=vital("spo2", 89))),
    case(
        "N10", "SpO2 104 is impossible", "DEFER", "", "spo2", phase=PRE, complete=False, **swap(spo2=vital("spo2", 104))
    ),
    case("N11", "oxygen at home", "DEFER", "home-oxygen", **has(condition("Z99.81", "Dependence on oxygen"))),
    case(
        "N12",
        "severe sleep apnoea untreated",
        "DEFER",
        "sleep-apnoea-severe-untreated",
        **has(
            condition("78275009", "OSA"),
            answer("sleep_apnoea_treated", "no", ago(days=3)),
            answer("sleep_apnoea_severity", "severe", ago(days=90)),
        ),
    ),
    case(
        "N13",
        "sleep apnoea on CPAP",
        "CAUTION",
        "sleep-apnoea",
        never="sleep-apnoea-severe-untreated",
        **has(condition("G47.33", "Obstructive sleep apnea"), answer("sleep_apnoea_treated", "cpap", ago(days=3))),
    ),
    case("N14", "COPD", "CAUTION", "chronic-lung-disease", **has(condition("J44.9", "COPD"))),
    case(
        "N15",
        "BMI 39.9",
        "ELIGIBLE",
        never="high-bmi-dose-cap",
        **swap(weight=vital("weight", 115.3), height=vital("height", 170)),
    ),
    case(
        "N16",
        "BMI 40",
        "CAUTION",
        "high-bmi-dose-cap",
        **swap(weight=vital("weight", 115.6), height=vital("height", 170)),
    ),
    case(
        "N17",
        "BMI 40, nasal",
        "CAUTION",
        "high-bmi-airway",
        treatment=NASAL,
        **swap(weight=vital("weight", 115.6), height=vital("height", 170)),
    ),
    case(
        "N18",
        "120 kg, tall",
        "ELIGIBLE",
        never="high-bmi-dose-cap",
        **swap(weight=vital("weight", 120), height=vital("height", 196)),
    ),
    case(
        "N19",
        "265 lb is above 120 kg",
        "CAUTION",
        "high-bmi-dose-cap",
        **swap(weight=vital("weight", 265, unit="[lb_av]"), height=vital("height", 77.5, unit="[in_i]")),
    ),
    case(
        "N20",
        "weight of yesterday before an infusion",
        "DEFER",
        "",
        "weight",
        phase=PRE,
        complete=False,
        **swap(weight=vital("weight", 74, ago(hours=25))),
    ),
    case(
        "N21",
        "suppressed TSH with symptoms",
        "DEFER",
        "uncontrolled-hyperthyroidism",
        phase=PRE,
        change={"tsh": lab("3016-3", 0.02, "m[IU]/L", 4.2)},
        add=[own_sign("thyroid_symptoms")],
    ),
    case(
        "N22",
        "treated hyperthyroidism",
        "CAUTION",
        "hyperthyroidism",
        never="uncontrolled-hyperthyroidism",
        phase=PRE,
        **has(condition("E05.90", "Thyrotoxicosis"), own_sign("thyroid_symptoms", False)),
    ),
    case("N23", "interstitial cystitis", NE, "cystitis-active", **has(condition("N30.10", "Interstitial cystitis"))),
    case(
        "N24",
        "interstitial cystitis of the past",
        "CAUTION",
        "cystitis-past",
        never="cystitis-active",
        **has(condition("197834003", "Chronic interstitial cystitis", "2015", clinical="resolved", end="2018")),
    ),
    case(
        "N25",
        "gross haematuria",
        "DEFER",
        "visible-blood-in-urine|cystitis-suspected-red-flag",
        **has(condition("R31.0", "Gross hematuria", day(1))),
    ),
    case(
        "N26",
        "pain, frequency and suprapubic pain",
        "DEFER",
        "cystitis-suspected-red-flag",
        **has(sign("49650001", "Dysuria"), sign("162116003", "Frequency"), sign("162053006", "Suprapubic pain")),
    ),
    case("N27", "porphyria", "CAUTION", "porphyria", **has(condition("E80.21", "Acute intermittent porphyria"))),
    case(
        "N28",
        "angle-closure glaucoma",
        "CAUTION",
        "glaucoma",
        **has(condition("30041005", "Acute angle-closure glaucoma")),
    ),
]

# Rows 37 and 38, section 2
PRESESSION = [
    case("P01", "no escort", "DEFER", "no-escort", phase=PRE, **swap(escort=answer("escort", "no", ago(minutes=30)))),
    case("P02", "escort not asked", "DEFER", "", "escort", phase=PRE, complete=False, **swap(escort=None)),
    case("P03", "escort not yet named at intake", "ELIGIBLE", "", "escort", **swap(escort=None)),
    case(
        "P04",
        "escort as RelatedPerson for this visit",
        "ELIGIBLE",
        never="no-escort",
        phase=PRE,
        complete=True,
        **swap(
            escort={
                "resourceType": "RelatedPerson",
                "id": "rp",
                "active": True,
                "patient": SUBJECT,
                "relationship": [coding(LOCAL, "escort", "Escort")],
                "period": {"start": day(0), "end": day(0)},
            }
        ),
    ),
    case(
        "P05",
        "consent withdrawn",
        "DEFER",
        "consent-missing",
        phase=PRE,
        **swap(consent={**consented(ago(days=1)), "status": "inactive"}),
    ),
    case(
        "P06",
        "signed, withdrawn since",
        "DEFER",
        "consent-missing",
        phase=PRE,
        **swap(consent=[consented(ago(days=9)), {**consented(ago(days=1)), "status": "inactive"}]),
    ),
    case("P07", "consent not on record", "DEFER", "", "consent", phase=PRE, complete=False, **swap(consent=None)),
    case(
        "P08",
        "consent to research is not consent to treatment",
        "DEFER",
        "",
        "consent",
        phase=PRE,
        complete=False,
        **swap(
            consent={**consented(), "scope": coding("http://terminology.hl7.org/CodeSystem/consentscope", "research")}
        ),
    ),
    case(
        "P09",
        "a refused consent",
        "DEFER",
        "consent-missing",
        phase=PRE,
        **swap(consent={**consented(ago(days=1)), "provision": {"type": "deny"}}),
    ),
    *(
        case(
            f"P10-{treatment}-{what}-{hours}",
            f"{treatment}: {what} {hours} h ago",
            "DEFER" if early else "ELIGIBLE",
            finds if early else "",
            never="" if early else finds,
            phase=PRE,
            treatment=treatment,
            **swap(**{("food" if what == "fasting_food" else "drink"): event(what, ago(hours=hours))}),
        )
        for treatment, what, hours, early, finds in (
            (NASAL, "fasting_food", 1.9, True, "food-too-recent-nasal"),
            (NASAL, "fasting_food", 2.0, False, "food-too-recent-nasal"),
            (NASAL, "fasting_fluid", 0.48, True, "drink-too-recent-nasal"),
            (NASAL, "fasting_fluid", 0.5, False, "drink-too-recent-nasal"),
            ("ketamine-iv", "fasting_food", 5.9, True, "food-too-recent-infusion"),
            ("ketamine-iv", "fasting_food", 6.0, False, "food-too-recent-infusion"),
            ("ketamine-im", "fasting_fluid", 1.9, True, "food-too-recent-infusion"),
            ("ketamine-sc", "fasting_fluid", 2.0, False, "food-too-recent-infusion"),
        )
    ),
    case(
        "P11",
        "fasting not asked",
        "DEFER",
        "",
        "fasting_food",
        phase=PRE,
        treatment=NASAL,
        complete=False,
        **swap(food=None),
    ),
    case(
        "P12",
        "fasting known as 'today'",
        "DEFER",
        "",
        "fasting_food",
        phase=PRE,
        treatment=NASAL,
        complete=False,
        **swap(food=event("fasting_food", day(0))),
    ),
    case(
        "P13",
        "decongestant spray 59 minutes ago",
        "DEFER",
        "nose-spray-too-recent",
        phase=PRE,
        treatment=NASAL,
        **has(event("nasal_steroid_decongestant", ago(minutes=59))),
    ),
    case(
        "P14",
        "decongestant spray 61 minutes ago",
        "ELIGIBLE",
        never="nose-spray-too-recent",
        phase=PRE,
        treatment=NASAL,
        **has(event("nasal_steroid_decongestant", ago(minutes=61))),
    ),
    case(
        "P15",
        "home ketamine this morning",
        "DEFER",
        "outside-ketamine-same-day",
        phase=PRE,
        **swap(outside=own_condition("outside_ketamine", ago(hours=4))),
    ),
    case(
        "P16",
        "home ketamine five days ago",
        "CAUTION",
        "outside-ketamine-recent",
        never="outside-ketamine-same-day",
        phase=PRE,
        **swap(outside=own_condition("outside_ketamine", ago(days=5))),
    ),
    case(
        "P17",
        "home ketamine, not asked and not reconciled",
        "DEFER",
        "",
        phase=PRE,
        complete=False,
        **swap(outside=None, reconciled=None),
    ),
    case(
        "P18",
        "last dose 47 h ago",
        "DEFER",
        "dose-too-soon",
        phase=PRE,
        **has(given("6130", "ketamine", ago(hours=47))),
    ),
    case(
        "P19",
        "last dose 49 h ago",
        "ELIGIBLE",
        never="dose-too-soon",
        phase=PRE,
        **has(given("6130", "ketamine", ago(hours=49))),
    ),
    case(
        "P20",
        "esketamine product given this morning",
        "DEFER",
        "dose-same-day",
        phase=PRE,
        treatment=NASAL,
        **has(given("2119369", "esketamine 28 MG Nasal Spray", ago(hours=4))),
    ),
    case(
        "P21",
        "insulin without a fasting plan",
        "DEFER",
        "diabetes-fasting-plan-missing",
        phase=PRE,
        **has(drug("274783", "insulin glargine", 20, unit="[iU]")),
    ),
    case(
        "P22",
        "insulin, plan and glucose 110",
        "CAUTION",
        "diabetes-fasting-plan-ready",
        phase=PRE,
        **has(
            drug("274783", "insulin glargine", 20, unit="[iU]"),
            answer("fasting_plan", "yes", ago(days=2)),
            number("g", 110, "mg/dL", ago(minutes=20), loinc="2339-0"),
        ),
    ),
    case(
        "P23",
        "glucose 3.0 mmol/L",
        "DEFER",
        "glucose-low",
        phase=PRE,
        **has(
            drug("274783", "insulin glargine", 20, unit="[iU]"),
            answer("fasting_plan", "yes", ago(days=2)),
            number("g", 3.0, "mmol/L", ago(minutes=20), loinc="15074-8"),
        ),
    ),
    case(
        "P24",
        "olanzapine pamoate today",
        "DEFER",
        "olanzapine-injection-today",
        phase=PRE,
        **has(given("", "Zyprexa Relprevv", ago(hours=2))),
    ),
    case(
        "P25",
        "no C-SSRS at this visit",
        "DEFER",
        "",
        "cssrs_q1 cssrs_q2 cssrs_q6",
        phase=PRE,
        complete=False,
        **swap(cssrs=None),
    ),
    case(
        "P26",
        "C-SSRS of the day before",
        "DEFER",
        "",
        "cssrs_q1 cssrs_q2 cssrs_q6",
        phase=PRE,
        complete=False,
        **swap(cssrs=screener(ago(hours=25), q1=False, q2=False, q6=False)),
    ),
    case(
        "P27",
        "red-flag symptoms not asked",
        "DEFER",
        "",
        "red_flags_asked",
        phase=PRE,
        complete=False,
        **swap(plain=[r for r in _predose("ketamine-iv")["plain"] if r["id"] != "o-red-flags-asked"]),
    ),
    case(
        "P28",
        "no phone contact",
        "DEFER",
        "no-phone-contact",
        phase=PRE,
        **has(answer("phone_contact", False, ago(minutes=5))),
    ),
    case(
        "P29",
        "weight without a unit before an infusion",
        "DEFER",
        "",
        "weight",
        phase=PRE,
        complete=False,
        **swap(weight=observation({"system": LOINC, "code": "29463-7"}, ago(hours=1), valueQuantity={"value": 74})),
    ),
    case(
        "P30",
        "heart rate not obtained",
        "DEFER",
        "",
        "heart_rate",
        phase=PRE,
        complete=False,
        **swap(
            hr=observation(
                {"system": LOINC, "code": "8867-4"},
                ago(minutes=9),
                dataAbsentReason=coding("http://terminology.hl7.org/CodeSystem/data-absent-reason", "error"),
            )
        ),
    ),
    case(
        "P31",
        "respiratory rate as text",
        "DEFER",
        "",
        "resp_rate",
        phase=PRE,
        complete=False,
        **swap(rr=observation({"system": LOINC, "code": "9279-1"}, ago(minutes=9), valueString="sixteen")),
    ),
    case(
        "P32",
        "creatinine without a unit before the first dose",
        "DEFER",
        "",
        "creatinine",
        phase=PRE,
        complete=False,
        **swap(creatinine=observation({"system": LOINC, "code": "2160-0"}, ago(days=5), valueQuantity={"value": 0.9})),
    ),
    case(
        "P33",
        "saturation below 95 by comparator",
        "DEFER",
        "",
        "spo2",
        phase=PRE,
        complete=False,
        **swap(
            spo2=observation(
                {"system": LOINC, "code": "59408-5"},
                ago(minutes=9),
                valueQuantity={"value": 95, "comparator": "<", "unit": "%", "code": "%", "system": UCUM},
            )
        ),
    ),
    case(
        "P34",
        "two oximeters disagree at one instant",
        "DEFER",
        "",
        "spo2",
        phase=PRE,
        complete=False,
        **swap(spo2=[vital("spo2", 92, ago(minutes=5)), vital("spo2", 97, ago(minutes=5))]),
    ),
    case(
        "P35",
        "a value dated tomorrow does not count",
        "DEFER",
        "",
        "systolic diastolic",
        phase=PRE,
        complete=False,
        **swap(bp=bp(120, 78, ago(days=-1))),
    ),
    case(
        "P36",
        "consent and withdrawal of one instant",
        "DEFER",
        phase=PRE,
        **swap(consent=[consented(ago(days=1)), {**consented(ago(days=1)), "status": "inactive"}]),
    ),
]

# Section 8
SUICIDE = [
    case(
        f"S{n:02}-{phase}",
        f"{title}, {phase}",
        verdict,
        finds,
        asks,
        never=never,
        complete=complete,
        phase=phase,
        treatment=treatment,
        **swap(cssrs=screener(ago(minutes=8), **answers)),
    )
    for n, (title, answers, phase, treatment, verdict, finds, asks, never, complete) in enumerate(
        (
            (
                "wish only",
                {"q1": True, "q2": False, "q6": False},
                "intake",
                "ketamine-iv",
                "ELIGIBLE",
                "suicide-low",
                "",
                "suicide-moderate",
                True,
            ),
            (
                "thoughts, rest denied",
                {"q1": True, "q2": True, "q3": False, "q4": False, "q5": False, "q6": False},
                PRE,
                "ketamine-iv",
                "ELIGIBLE",
                "suicide-low",
                "",
                "suicide-moderate suicide-high",
                True,
            ),
            (
                "method",
                {"q1": True, "q2": True, "q3": True, "q4": False, "q5": False, "q6": False},
                PRE,
                "ketamine-iv",
                "CAUTION",
                "suicide-moderate",
                "",
                "suicide-high suicide-unfinished",
                True,
            ),
            (
                "intent",
                {"q1": True, "q2": True, "q3": True, "q4": True, "q5": False, "q6": False},
                PRE,
                "ketamine-iv",
                "ESCALATE",
                "suicide-high",
                "",
                "suicide-moderate",
                None,
            ),
            ("plan alone", {"q5": True}, "follow-up", "none", "ESCALATE", "suicide-high", "", "", None),
            (
                "behaviour in three months",
                {"q1": False, "q2": False, "q6": True, "q6_recent": True},
                "discharge",
                NASAL,
                "ESCALATE",
                "suicide-high",
                "",
                "",
                None,
            ),
            (
                "behaviour long ago",
                {"q1": False, "q2": False, "q6": True, "q6_recent": False},
                "intake",
                "ketamine-iv",
                "CAUTION",
                "suicide-moderate-history",
                "",
                "suicide-high",
                True,
            ),
            (
                "behaviour undated",
                {"q1": False, "q2": False, "q6": True},
                "intake",
                "ketamine-iv",
                "DEFER",
                "suicide-behaviour-undated",
                "cssrs_q6_recent",
                "suicide-high suicide-moderate-history",
                False,
            ),
            (
                "thoughts, rest not asked",
                {"q1": True, "q2": True},
                "intake",
                "ketamine-iv",
                "DEFER",
                "suicide-unfinished",
                "cssrs_q4",
                "suicide-low",
                False,
            ),
            (
                "method, intent not asked",
                {"q1": True, "q2": True, "q3": True, "q6": False},
                "follow-up",
                "none",
                "DEFER",
                "suicide-unfinished",
                "",
                "suicide-moderate",
                None,
            ),
            (
                "thoughts denied, behaviour not asked",
                {"q1": False, "q2": False},
                "intake",
                "ketamine-iv",
                "DEFER",
                "",
                "cssrs_q6",
                "suicide-none",
                False,
            ),
            (
                "wish only, thoughts not asked",
                {"q1": True, "q6": False},
                "intake",
                "ketamine-iv",
                "DEFER",
                "",
                "cssrs_q2",
                "suicide-low",
                False,
            ),
            (
                "plan denied, intent not asked",
                {"q1": True, "q2": True, "q3": False, "q5": False, "q6": False},
                PRE,
                "ketamine-iv",
                "DEFER",
                "suicide-unfinished",
                "cssrs_q4",
                "suicide-low",
                False,
            ),
            (
                "method during a session",
                {"q1": True, "q2": True, "q3": True, "q4": False, "q5": False, "q6": False},
                "during",
                "ketamine-iv",
                "CAUTION",
                "suicide-moderate",
                "",
                "suicide-high",
                None,
            ),
            (
                "intent during a session",
                {"q2": True, "q4": True},
                "during",
                NASAL,
                "ESCALATE",
                "suicide-high",
                "",
                "",
                None,
            ),
            (
                "unfinished during a session",
                {"q2": True},
                "during",
                NASAL,
                "CAUTION",
                "suicide-unfinished-in-session",
                "",
                "suicide-high",
                None,
            ),
            (
                "all no, spelled out",
                {"q1": False, "q2": False, "q3": False, "q4": False, "q5": False, "q6": False},
                PRE,
                "ketamine-iv",
                "ELIGIBLE",
                "suicide-none",
                "",
                "suicide-low",
                True,
            ),
        ),
        start=1,
    )
] + [
    case(
        "S30",
        "HIGH three weeks ago, never answered",
        "ESCALATE",
        "suicide-high-unanswered",
        phase=PRE,
        **has(*screener(ago(days=21), q2=True, q4=True)),
    ),
    case(
        "S31",
        "HIGH three weeks ago, evaluated",
        "ELIGIBLE",
        never="suicide-high-unanswered suicide-high",
        phase=PRE,
        **has(*screener(ago(days=21), q2=True, q4=True), event("suicide_evaluation", ago(days=21, hours=-3))),
    ),
    case(
        "S32",
        "HIGH three weeks ago, no treatment in question",
        "ESCALATE",
        "suicide-high-unanswered",
        treatment="none",
        phase="follow-up",
        **has(*screener(ago(days=21), q5=True)),
    ),
    case(
        "S33",
        "attempt two months ago, nobody evaluated",
        "ESCALATE",
        "suicide-high",
        **has(condition("82313006", "Suicide attempt", day(60))),
    ),
    case(
        "S34",
        "attempt in 2015",
        "ELIGIBLE|CAUTION",
        never="suicide-high",
        **has(condition("82313006", "Suicide attempt", "2015-04")),
    ),
    case(
        "S35",
        "PHQ-9 item 9 answered 1, no screener",
        "DEFER",
        "suicide-item-trigger",
        phase="follow-up",
        change={"cssrs": None},
        add=[number("i9", 1, "{score}", ago(hours=3), loinc="44260-8")],
    ),
    case(
        "S36",
        "PHQ-9 item 9 answered 0",
        "ELIGIBLE",
        never="suicide-item-trigger",
        phase="follow-up",
        **has(number("i9", 0, "{score}", ago(hours=3), loinc="44260-8")),
    ),
    case(
        "S37",
        "PHQ-9 item 9 as the LOINC answer 'several days'",
        "DEFER",
        "suicide-item-trigger",
        phase="follow-up",
        change={"cssrs": None},
        add=[
            observation(
                {"system": LOINC, "code": "44260-8"},
                ago(hours=3),
                valueCodeableConcept=coding(LOINC, "LA6569-3", "Several days"),
            )
        ],
    ),
    case(
        "S38",
        "a screener answered in a QuestionnaireResponse: intent",
        "ESCALATE",
        "suicide-high",
        **swap(
            cssrs={
                "resourceType": "QuestionnaireResponse",
                "id": "qr",
                "status": "completed",
                "subject": SUBJECT,
                "authored": ago(minutes=9),
                "item": [
                    {"linkId": "/93247-5", "answer": [{"valueBoolean": True}]},
                    {"linkId": "/93249-1", "answer": [{"valueCoding": {"system": LOINC, "code": "LA33-6"}}]},
                ],
            }
        ),
    ),
    case(
        "S39",
        "suicidal ideation coded, no screener",
        "DEFER|ESCALATE",
        "suicide-concern-raised",
        change={"cssrs": None},
        add=[condition("R45.851", "Suicidal ideations", day(1))],
    ),
]

# Section 10: help answers in every phase, with or without a treatment
EMERGENCIES = (
    ("418107008", "Unconscious", "cannot-be-woken"),
    ("1023001", "Apnea", "breathing-emergency"),
    ("29857009", "Chest pain", "chest-pain session-hypertensive-emergency"),
    ("271594007", "Syncope", "collapse"),
    ("289195008", "Slurred speech", "focal-neurological-sign session-hypertensive-emergency"),
    ("91175000", "Seizure", "seizure-new session-hypertensive-emergency"),
    ("1149222004", "Overdose", "overdose-or-double-dose"),
    ("39579001", "Anaphylaxis", "anaphylaxis-now"),
    ("82271004", "Injury of head", "head-strike"),
    ("8635005", "Alcohol withdrawal delirium", "withdrawal-delirium"),
    ("6273006", "Priapism", "priapism"),
    ("18165001", "Jaundice", "liver-same-day"),
    ("70407001", "Stridor", "airway-emergency"),
)
RED_FLAGS = [
    case(
        f"R-{finding.split()[0]}-{phase}-{treatment}",
        f"{name}, {phase}, {treatment}",
        "ESCALATE",
        finding.replace(" ", "|"),
        phase=phase,
        treatment=treatment,
        **has(sign(code, name, True, ago(minutes=20))),
    )
    for code, name, finding in EMERGENCIES
    for phase, treatment in (
        ("intake", "ketamine-iv"),
        (PRE, NASAL),
        ("during", "ketamine-im"),
        ("discharge", NASAL),
        ("follow-up", "ketamine-iv"),
        ("follow-up", "none"),
    )
] + [
    case(
        "R50",
        "chest pain four days ago is history, never an emergency",
        "ELIGIBLE|CAUTION",
        "red-flag-in-the-past",
        never="chest-pain",
        **has(sign("29857009", "Chest pain", True, ago(days=4))),
    ),
    case("R51", "chest pain denied", "ELIGIBLE", never="chest-pain", **has(sign("29857009", "Chest pain", False))),
    case(
        "R52",
        "chest pain as a Condition of today",
        "ESCALATE",
        "chest-pain",
        **has(condition("R07.9", "Chest pain, unspecified", ago(hours=2))),
    ),
    case(
        "R53",
        "an empty record with chest pain",
        "ESCALATE",
        "chest-pain",
        complete=False,
        change={name: None for name in _intake("ketamine-iv") if name != "patient"},
        add=[sign("29857009", "Chest pain")],
    ),
    case(
        "R54",
        "Stevens-Johnson syndrome",
        "ESCALATE",
        "skin-peeling",
        treatment="none",
        **has(condition("L51.1", "Stevens-Johnson syndrome", day(1))),
    ),
    case(
        "R55",
        "homicidal ideation",
        "ESCALATE",
        "threat-to-others",
        phase="follow-up",
        **has(condition("R45.850", "Homicidal ideations", ago(hours=5))),
    ),
    case(
        "R56",
        "fever and mucosal rash on lamotrigine",
        "ESCALATE",
        "rash-with-fever-on-lamotrigine",
        treatment="none",
        **has(drug("28439", "lamotrigine", 100), sign("386661006", "Fever"), own_sign("mucosal_rash")),
    ),
    case(
        "R57",
        "vomiting on lithium",
        "ESCALATE",
        "lithium-toxicity-signs",
        phase="follow-up",
        **has(LITHIUM, sign("422400008", "Vomiting", True, ago(hours=5))),
    ),
    case(
        "R58",
        "vomiting without lithium",
        "ELIGIBLE",
        never="lithium-toxicity-signs",
        **has(sign("422400008", "Vomiting", True, ago(hours=5))),
    ),
    case(
        "R59",
        "rigidity, fever and confusion",
        "ESCALATE",
        "rigidity-fever-confusion",
        treatment="none",
        change={"temp": vital("temp", 39.4)},
        add=[sign("16046003", "Muscle rigidity"), sign("40917007", "Clouded consciousness")],
    ),
    case("R60", "command voices", "ESCALATE", "psychosis-same-day", **has(own_sign("command_voices"))),
    case("R61", "one misuse flag", "DEFER", "misuse-flag", phase=PRE, **has(own_sign("dose_demand"))),
    case(
        "R62",
        "two misuse flags",
        "DEFER",
        "misuse-flags-several",
        phase=PRE,
        **has(own_sign("dose_demand"), own_sign("multiple_providers")),
    ),
]

SPONTANEOUS = sign("39055007", "Clonus")
AGITATION = sign("24199005", "Agitation")
TREMOR = sign("26079004", "Tremor")
HYPERREFLEXIA = sign("86854008", "Hyperreflexia")
HYPERTONIA = sign("41581000", "Increased muscle tone")
SWEATING = sign("52613005", "Excessive sweating")
INDUCIBLE = own_sign("inducible_clonus")
OCULAR = own_sign("ocular_clonus")
EXAMINED = [own_sign(f"{kind}_clonus", False) for kind in ("spontaneous", "inducible", "ocular")] + [
    sign(code, name, False)
    for code, name in (
        ("24199005", "Agitation"),
        ("52613005", "Excessive sweating"),
        ("26079004", "Tremor"),
        ("86854008", "Hyperreflexia"),
        ("41581000", "Increased muscle tone"),
    )
]
HUNTER = [
    case(
        f"T{n:02}-{phase}",
        f"Hunter: {title}, {phase}",
        verdict,
        finds,
        never=never,
        phase=phase,
        treatment=treatment,
        change={"temp": vital("temp", degrees, ago(minutes=5))},
        add=signs,
    )
    for n, (title, signs, degrees, phase, treatment, verdict, finds, never) in enumerate(
        (
            ("spontaneous clonus", [SPONTANEOUS], 37, "intake", "none", "ESCALATE", "serotonin-toxicity", ""),
            (
                "inducible clonus alone",
                [INDUCIBLE],
                37,
                "intake",
                "none",
                "CAUTION",
                "serotonin-examine-now",
                "serotonin-toxicity",
            ),
            (
                "inducible clonus and agitation",
                [INDUCIBLE, AGITATION],
                37,
                "intake",
                "ketamine-iv",
                "ESCALATE",
                "serotonin-toxicity",
                "",
            ),
            (
                "inducible clonus and sweating",
                [INDUCIBLE, SWEATING],
                37,
                "follow-up",
                "none",
                "ESCALATE",
                "serotonin-toxicity",
                "",
            ),
            (
                "ocular clonus and agitation",
                [OCULAR, AGITATION],
                37,
                "during",
                NASAL,
                "ESCALATE",
                "serotonin-toxicity",
                "",
            ),
            (
                "ocular clonus alone",
                [OCULAR],
                37,
                "follow-up",
                "none",
                "CAUTION",
                "serotonin-examine-now",
                "serotonin-toxicity",
            ),
            (
                "tremor and hyperreflexia",
                [TREMOR, HYPERREFLEXIA],
                37,
                "discharge",
                NASAL,
                "ESCALATE",
                "serotonin-toxicity",
                "",
            ),
            (
                "tremor alone",
                [TREMOR],
                37,
                "intake",
                "ketamine-iv",
                "CAUTION",
                "serotonin-examine-now",
                "serotonin-toxicity",
            ),
            (
                "hypertonia, inducible clonus, 38.0",
                [HYPERTONIA, INDUCIBLE],
                38.0,
                "intake",
                "none",
                "CAUTION",
                "serotonin-examine-now",
                "serotonin-toxicity",
            ),
            (
                "hypertonia, inducible clonus, 38.1",
                [HYPERTONIA, INDUCIBLE],
                38.1,
                "intake",
                "none",
                "ESCALATE",
                "serotonin-toxicity",
                "",
            ),
            (
                "every sign examined, none found",
                EXAMINED,
                37,
                "intake",
                "ketamine-iv",
                "ELIGIBLE",
                "serotonin-examined-negative",
                "serotonin-toxicity serotonin-examine-now",
            ),
        ),
        start=1,
    )
] + [
    case(
        "T20",
        "100.6 degF is above 38.0",
        "ESCALATE",
        "serotonin-toxicity",
        treatment="none",
        change={"temp": vital("temp", 100.6, unit="[degF]")},
        add=[HYPERTONIA, INDUCIBLE],
    ),
    case(
        "T21",
        "clonus with no serotonergic medicine on record still escalates",
        "ESCALATE",
        "serotonin-signs|serotonin-toxicity",
        treatment="none",
        change={"medicines": None},
        add=[SPONTANEOUS],
    ),
    case(
        "T22",
        "kratom counts as an agent",
        "ESCALATE",
        "serotonin-toxicity|serotonin-signs",
        treatment="none",
        change={"medicines": KRATOM},
        add=[TREMOR, HYPERREFLEXIA],
    ),
]


def now(**parts: Any) -> dict[str, Any]:
    """Vital signs of this moment in a session."""
    return {name: vital(name, value, ago(minutes=1)) for name, value in parts.items()}


def bp_now(systolic: float, diastolic: float, before: tuple[float, float] = (124, 78)) -> dict[str, Any]:
    return {"bp": [bp(*before, ago(minutes=70)), bp(systolic, diastolic, ago(minutes=1))]}


DURING = [
    case(
        f"U{n:02}",
        f"during: {title}",
        verdict,
        finds,
        never=never,
        phase="during",
        treatment=treatment,
        change=change,
        add=extra,
    )
    for n, (title, change, extra, treatment, verdict, finds, never) in enumerate(
        (
            ("SpO2 94", now(spo2=94), [], "ketamine-iv", "ELIGIBLE", "", "session-hypoxia"),
            ("SpO2 93", now(spo2=93), [], "ketamine-iv", "CAUTION", "session-hypoxia", "session-respiratory-emergency"),
            ("SpO2 90", now(spo2=90), [], NASAL, "CAUTION", "session-hypoxia", "session-respiratory-emergency"),
            ("SpO2 89", now(spo2=89), [], NASAL, "ESCALATE", "session-respiratory-emergency", ""),
            ("RR 9", now(rr=9), [], "ketamine-iv", "ELIGIBLE|CAUTION", "", "session-respiratory-emergency"),
            ("RR 8", now(rr=8), [], "ketamine-iv", "ESCALATE", "session-respiratory-emergency", ""),
            ("RR 0 is no artefact", now(rr=0), [], "ketamine-iv", "ESCALATE", "session-respiratory-emergency", ""),
            ("HR 0 is no artefact", now(hr=0), [], "ketamine-iv", "ESCALATE", "session-no-pulse", ""),
            ("HR 39", now(hr=39), [], "ketamine-iv", "CAUTION", "session-bradycardia", ""),
            ("HR 45 without symptoms", now(hr=45), [], "ketamine-iv", "ELIGIBLE", "", "session-bradycardia"),
            ("HR 131", now(hr=131), [], "ketamine-iv", "CAUTION", "session-tachycardia", ""),
            (
                "HR 130, baseline 95",
                {"hr": [vital("hr", 95, ago(minutes=70)), vital("hr", 130, ago(minutes=1))]},
                [],
                "ketamine-iv",
                "ELIGIBLE",
                "",
                "session-tachycardia",
            ),
            (
                "HR up by 41",
                {"hr": [vital("hr", 72, ago(minutes=70)), vital("hr", 113, ago(minutes=1))]},
                [],
                "ketamine-iv",
                "CAUTION",
                "session-tachycardia",
                "",
            ),
            (
                "HR up by 40",
                {"hr": [vital("hr", 72, ago(minutes=70)), vital("hr", 112, ago(minutes=1))]},
                [],
                "ketamine-iv",
                "ELIGIBLE",
                "",
                "session-tachycardia",
            ),
            ("159/99", bp_now(159, 99, (130, 80)), [], "ketamine-iv", "ELIGIBLE", "", "session-bp-high"),
            ("160/99", bp_now(160, 99, (130, 80)), [], "ketamine-iv", "CAUTION", "session-bp-high", ""),
            ("rise of 40 systolic", bp_now(150, 80, (110, 70)), [], NASAL, "CAUTION", "session-bp-high", ""),
            ("rise of 39/24", bp_now(149, 94, (110, 70)), [], NASAL, "ELIGIBLE", "", "session-bp-high"),
            (
                "180/95 no symptoms",
                bp_now(180, 95),
                [],
                "ketamine-iv",
                "CAUTION",
                "session-bp-severe",
                "session-hypertensive-emergency",
            ),
            (
                "180/95 with visual disturbance",
                bp_now(180, 95),
                [sign("63102001", "Visual disturbance", True, ago(minutes=1))],
                "ketamine-iv",
                "ESCALATE",
                "session-hypertensive-emergency",
                "",
            ),
            (
                "182/95 with a new headache",
                bp_now(182, 95),
                [sign("25064002", "Headache", True, ago(minutes=1))],
                "ketamine-iv",
                "ESCALATE",
                "session-hypertensive-emergency",
                "",
            ),
            (
                "chest pain at 130/80",
                {},
                [sign("29857009", "Chest pain", True, ago(minutes=1))],
                "ketamine-iv",
                "ESCALATE",
                "session-hypertensive-emergency|chest-pain",
                "",
            ),
            ("systolic 89", bp_now(89, 55), [], "ketamine-iv", "CAUTION", "session-hypotension", ""),
            ("systolic 90 after 124", bp_now(90, 60), [], "ketamine-iv", "ELIGIBLE", "", "session-hypotension"),
            (
                "fall of 31 per cent",
                bp_now(110, 60, (160, 78)),
                [],
                "ketamine-iv",
                "CAUTION",
                "session-hypotension",
                "",
            ),
            ("MOAA/S 4", {"moaas": score("moaas", 4, ago(minutes=1))}, [], NASAL, "ELIGIBLE", "", "session-sedation"),
            ("MOAA/S 3", {"moaas": score("moaas", 3, ago(minutes=1))}, [], NASAL, "CAUTION", "session-sedation", ""),
            (
                "MOAA/S 2",
                {"moaas": score("moaas", 2, ago(minutes=1))},
                [],
                NASAL,
                "CAUTION",
                "session-sedation-deep",
                "",
            ),
            (
                "MOAA/S 1",
                {"moaas": score("moaas", 1, ago(minutes=1))},
                [],
                NASAL,
                "ESCALATE",
                "session-respiratory-emergency",
                "",
            ),
            (
                "RASS -3",
                {},
                [number("r", -3, "{score}", ago(minutes=1), loinc="75828-4")],
                "ketamine-iv",
                "CAUTION",
                "session-sedation",
                "",
            ),
            (
                "RASS +2",
                {},
                [number("r", 2, "{score}", ago(minutes=1), loinc="75828-4")],
                "ketamine-iv",
                "CAUTION",
                "session-distress",
                "",
            ),
            (
                "distress 7",
                {},
                [score("distress", 7, ago(minutes=1))],
                "ketamine-iv",
                "CAUTION",
                "session-distress",
                "",
            ),
            (
                "distress 6",
                {},
                [score("distress", 6, ago(minutes=1))],
                "ketamine-iv",
                "ELIGIBLE",
                "",
                "session-distress",
            ),
            (
                "urticaria",
                {},
                [sign("126485001", "Urticaria", True, ago(minutes=1))],
                "ketamine-iv",
                "ESCALATE",
                "session-allergic",
                "",
            ),
            (
                "naloxone given",
                {},
                [event("naloxone_given", ago(minutes=2))],
                "ketamine-iv",
                "ESCALATE",
                "session-naloxone-given",
                "",
            ),
            (
                "RR 7 on methadone",
                now(rr=7),
                [drug("6813", "methadone", 80)],
                "ketamine-iv",
                "ESCALATE",
                "session-naloxone-opioid-possible",
                "",
            ),
            (
                "missing data never becomes DEFER",
                {"bp": None, "spo2": None, "escort": None},
                [],
                "ketamine-iv",
                "ELIGIBLE|CAUTION",
                "",
                "",
            ),
        ),
        start=1,
    )
]

OUT = "discharge"


def nasal(title: str, minutes: float, verdict: str, finds: str, never: str) -> Case:
    return case(
        f"V-{minutes:g}",
        title,
        verdict,
        finds,
        never=never,
        phase=OUT,
        treatment=NASAL,
        **swap(dose=given("2119365", "esketamine", ago(minutes=minutes))),
    )


def without(*concepts: str) -> list[Resource]:
    gone = {f"o-{concept.replace('_', '-')}" for concept in concepts}
    return [r for r in _discharge("ketamine-iv")["recovered"] if r["id"] not in gone]


DISCHARGE = [
    nasal("119 minutes after the spray", 119, "DEFER", "discharge-two-hours-nasal", ""),
    nasal("120 minutes after the spray", 120, "ELIGIBLE", "", "discharge-two-hours-nasal"),
    case(
        "V02",
        "time of the dose known as today only",
        "DEFER",
        "",
        "dose",
        phase=OUT,
        treatment=NASAL,
        complete=False,
        **swap(dose=given("2119365", "esketamine", day(0))),
    ),
    case(
        "V03", "no dose on record", "DEFER", "", "dose", phase=OUT, treatment=NASAL, complete=False, **swap(dose=None)
    ),
    case(
        "V04",
        "two sprays, the last 90 minutes ago",
        "DEFER",
        "discharge-two-hours-nasal",
        phase=OUT,
        treatment=NASAL,
        **swap(
            dose=[given("2119365", "esketamine", ago(minutes=125)), given("2119365", "esketamine", ago(minutes=90))]
        ),
    ),
    case(
        "V05",
        "infusion ended 59 minutes ago",
        "DEFER",
        "discharge-time-after-infusion",
        phase=OUT,
        **swap(end=event("infusion_end", ago(minutes=59))),
    ),
    case(
        "V06",
        "infusion ended 60 minutes ago",
        "ELIGIBLE",
        never="discharge-time-after-infusion",
        phase=OUT,
        **swap(end=event("infusion_end", ago(minutes=60))),
    ),
    case("V07", "MOAA/S 4", "DEFER", "discharge-sedation", phase=OUT, **swap(moaas=score("moaas", 4, ago(minutes=2)))),
    case(
        "V08",
        "CADSS-6 at 3, nobody says resolved",
        "DEFER",
        phase=OUT,
        **swap(cadss6=score("cadss6", 3, ago(minutes=2)), recovered=without("dissociation_resolved")),
    ),
    case(
        "V09",
        "Aldrete 8",
        "DEFER",
        "discharge-recovery-score",
        phase=OUT,
        change={"aldrete": score("aldrete", 8, ago(minutes=2))},
        add=[score("padss", 8, ago(minutes=2))],
    ),
    case(
        "V10",
        "Aldrete not done, PADSS 9",
        "ELIGIBLE",
        never="discharge-recovery-score",
        phase=OUT,
        **swap(aldrete=score("padss", 9, ago(minutes=2))),
    ),
    case(
        "V11",
        "180/90 is never released",
        "DEFER",
        "discharge-bp-never",
        phase=OUT,
        change={"bp": [bp(124, 78, ago(minutes=150)), bp(182, 90, ago(minutes=14)), bp(180, 90, ago(minutes=2))]},
        add=[own_sign("bp_prescriber_exam")],
    ),
    case(
        "V12",
        "165/90 not examined",
        "DEFER",
        "discharge-bp-needs-exam",
        phase=OUT,
        **swap(bp=[bp(124, 78, ago(minutes=150)), bp(168, 90, ago(minutes=14)), bp(165, 90, ago(minutes=2))]),
    ),
    case(
        "V13",
        "165/90 examined by the prescriber",
        "CAUTION",
        "discharge-bp-examined",
        phase=OUT,
        change={"bp": [bp(124, 78, ago(minutes=150)), bp(168, 90, ago(minutes=14)), bp(165, 90, ago(minutes=2))]},
        add=[own_sign("bp_prescriber_exam", at=ago(minutes=1))],
    ),
    case(
        "V14",
        "148/88, baseline 124: not settled",
        "DEFER|CAUTION",
        phase=OUT,
        **swap(bp=[bp(110, 70, ago(minutes=150)), bp(150, 95, ago(minutes=14)), bp(148, 92, ago(minutes=2))]),
    ),
    case("V15", "SpO2 93", "DEFER", "discharge-saturation", phase=OUT, **swap(spo2=vital("spo2", 93, ago(minutes=2)))),
    case("V16", "RR 21", "DEFER", "discharge-breaths", phase=OUT, **swap(rr=vital("rr", 21, ago(minutes=2)))),
    case(
        "V17",
        "HR 111, baseline 72",
        "DEFER",
        "discharge-heart-rate",
        phase=OUT,
        **swap(hr=[vital("hr", 72, ago(minutes=150)), vital("hr", 111, ago(minutes=2))]),
    ),
    case(
        "V18",
        "vitals 16 minutes old",
        "DEFER",
        phase=OUT,
        complete=False,
        **swap(spo2=vital("spo2", 98, ago(minutes=16)), rr=vital("rr", 14, ago(minutes=16))),
    ),
    case(
        "V19",
        "no escort here",
        "DEFER",
        "",
        "escort_present",
        phase=OUT,
        complete=False,
        **swap(recovered=without("escort_present")),
    ),
    case(
        "V20",
        "escort left",
        "DEFER",
        "discharge-escort",
        phase=OUT,
        change={"recovered": without("escort_present")},
        add=[own_sign("escort_present", False, ago(minutes=2))],
    ),
    case(
        "V21",
        "not signed",
        "DEFER|ELIGIBLE",
        "",
        "discharge_signed",
        phase=OUT,
        **swap(recovered=without("discharge_signed")),
    ),
    case(
        "V22",
        "naloxone given in this session",
        "DEFER|ESCALATE",
        "discharge-naloxone-gate-closed",
        phase=OUT,
        **has(event("naloxone_given", ago(minutes=50))),
    ),
    case(
        "V23",
        "suicide question not asked before leaving",
        "DEFER",
        "",
        "cssrs_q2",
        phase=OUT,
        complete=False,
        **swap(cssrs=None),
    ),
    case(
        "V24",
        "left before discharge",
        "DEFER",
        "left-before-discharge",
        phase="follow-up",
        **has(event("left_before_discharge", ago(hours=20))),
    ),
    case(
        "V25",
        "walk not seen",
        "DEFER",
        "",
        "walks_steadily",
        phase=OUT,
        complete=False,
        **swap(recovered=without("walks_steadily")),
    ),
]


def phq(*totals: tuple[float, float]) -> dict[str, Any]:
    return {"phq9": [score("phq9", total, ago(days=days), loinc="44261-6") for days, total in totals]}


FOLLOW = [
    case("W01", "PHQ-9 from 8 to 14", "CAUTION", "phq9-deterioration", phase="follow-up", change=phq((9, 8), (1, 14))),
    case(
        "W02",
        "PHQ-9 from 10 to 14",
        "ELIGIBLE",
        never="phq9-deterioration",
        phase="follow-up",
        change=phq((9, 10), (1, 14)),
    ),
    case(
        "W03",
        "rise within 14 days of a kratom reduction adds a note and replaces nothing",
        "CAUTION",
        "phq9-deterioration kratom-reduction-note",
        phase="follow-up",
        change=phq((9, 8), (1, 14)),
        add=[event("kratom_reduced", ago(days=10))],
    ),
    case(
        "W04",
        "the same with item 9: the suicide clock runs",
        "DEFER",
        "suicide-item-trigger kratom-reduction-note phq9-deterioration",
        phase="follow-up",
        change={**phq((9, 8), (1, 14)), "cssrs": None},
        add=[event("kratom_reduced", ago(days=10)), number("i9", 2, "{score}", ago(days=1), loinc="44260-8")],
    ),
    case(
        "W05",
        "reduction 15 days ago: no note",
        "CAUTION",
        "phq9-deterioration",
        never="kratom-reduction-note",
        phase="follow-up",
        change=phq((9, 8), (1, 14)),
        add=[event("kratom_reduced", ago(days=15))],
    ),
    case(
        "W06",
        "ICSI up by 4",
        "DEFER",
        "cystitis-suspected-red-flag",
        phase="follow-up",
        **has(score("icsi", 2, ago(days=70)), score("icsi", 6, ago(days=1))),
    ),
    case(
        "W07",
        "ICSI up by 3",
        "ELIGIBLE",
        never="cystitis-suspected-red-flag",
        phase="follow-up",
        **has(score("icsi", 2, ago(days=70)), score("icsi", 5, ago(days=1))),
    ),
    case(
        "W08",
        "missed and worse, nasal",
        "CAUTION",
        "missed-session-worsening",
        phase="follow-up",
        treatment=NASAL,
        change=phq((9, 8), (1, 14)),
        add=[event("missed_session", ago(days=2))],
    ),
    case(
        "W09",
        "FIBSER item 3 at 2",
        "ELIGIBLE",
        never="side-effects-address",
        phase="follow-up",
        **has(score("fibser3", 2)),
    ),
    case("W10", "FIBSER item 3 at 3", "CAUTION", "side-effects-address", phase="follow-up", **has(score("fibser3", 3))),
    case("W11", "FIBSER item 3 at 5", "CAUTION", "side-effects-change", phase="follow-up", **has(score("fibser3", 5))),
    case("W12", "YMRS 12 at follow-up", "ESCALATE", "mania-same-day", phase="follow-up", **has(score("ymrs", 12))),
    case(
        "W13",
        "psychotic symptoms since the dose",
        "ESCALATE",
        "psychosis-same-day|psychotic-symptoms-persist-after-dose",
        phase="follow-up",
        **has(own_sign("psychosis_persistent")),
    ),
    case(
        "W14",
        "no treatment in question never says NOT_ELIGIBLE",
        "ELIGIBLE|DEFER|CAUTION",
        treatment="none",
        never="aneurysmal-vascular-disease",
        **has(condition("I71.40", "AAA without rupture")),
    ),
]


# How records are written elsewhere
def stated(text: str, at: str) -> dict[str, Any]:
    """A statement of one instant in plain words."""
    found = drug("", text)
    del found["effectivePeriod"]
    return {**found, "effectiveDateTime": at}


def systolic_only(reason: str) -> dict[str, Any]:
    found = bp(124, 78)
    first, second = found["component"]
    second = {k: v for k, v in second.items() if k != "valueQuantity"}
    absent = coding("http://terminology.hl7.org/CodeSystem/data-absent-reason", reason)
    return {**found, "component": [first, {**second, "dataAbsentReason": absent}]}


ICD10 = "http://hl7.org/fhir/sid/icd-10"
WRITING = [
    case(
        "X01",
        "kratom of unknown kind, stated for three hours ago",
        "DEFER",
        "kratom-same-day",
        phase=PRE,
        **has(stated("kratom", ago(hours=3)), *STABLE),
    ),
    case(
        "X02",
        "7-OH stated for three hours ago",
        "DEFER",
        "kratom-same-day",
        phase=PRE,
        **has(stated("7-OH tablets", ago(hours=3)), *STABLE),
    ),
    case(
        "X03",
        "buprenorphine with naloxone film is no antagonist",
        "CAUTION",
        "ketamine-moud",
        never="antagonist-with-moud antagonist-with-opioid ketamine-naltrexone",
        **has(drug("1010600", "buprenorphine 8 MG / naloxone 2 MG Sublingual Film", 8, 2)),
    ),
    case(
        "X04",
        "a naloxone spray beside oxycodone is no antagonist load",
        "CAUTION",
        "ketamine-opioid",
        never="antagonist-with-opioid ketamine-naltrexone",
        **has(drug("7804", "oxycodone", 5, 2), drug("1725059", "naloxone hydrochloride 4 MG/ACTUAT Nasal Spray")),
    ),
    case(
        "X05",
        "bupropion with naltrexone beside oxycodone",
        "DEFER",
        "antagonist-with-opioid",
        **has(
            drug("7804", "oxycodone", 5, 2),
            drug(
                "1551467",
                "12 HR bupropion hydrochloride 90 MG / naltrexone hydrochloride 8 MG Extended Release Oral Tablet",
            ),
        ),
    ),
    case(
        "X06",
        "fluoxetine with olanzapine capsule beside phenelzine",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        **swap(medicines=[PHENELZINE, drug("721773", "fluoxetine 25 MG / olanzapine 6 MG Oral Capsule")]),
    ),
    case(
        "X07",
        "brand name in brackets",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        **swap(medicines=[PHENELZINE, drug("208149", "sertraline hydrochloride 100 MG Oral Tablet [Zoloft]")]),
    ),
    case(
        "X08",
        "tall-man letters",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        **swap(medicines=[PHENELZINE, drug("", "fluvoxaMINE maleate 50 MG Oral Tablet")]),
    ),
    case(
        "X09",
        "by ATC on both sides",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        **swap(medicines=[drug("N06AF04", "", system=ATC), drug("N06AX16", "", system=ATC)]),
    ),
    case(
        "X10",
        "through a contained Medication",
        "DEFER",
        "maoi-with-serotonergic-antidepressant",
        **has(
            {
                "resourceType": "MedicationStatement",
                "id": "cm",
                "status": "active",
                "subject": SUBJECT,
                "contained": [
                    {"resourceType": "Medication", "id": "inner", "code": coding(RXNORM, "8123", "phenelzine")}
                ],
                "medicationReference": {"reference": "#inner"},
                "effectivePeriod": {"start": "2026-01"},
            }
        ),
    ),
    case(
        "X11",
        "NSTEMI five weeks ago by WHO ICD-10",
        NE,
        "recent-cardiac-event",
        **has(condition("I21.4", "Non-ST elevation infarction", day(35), system=ICD10)),
    ),
    case("X12", "aneurysm by WHO ICD-10", NE, ANEURYSM, **has(condition("I71.4", "AAA", system=ICD10))),
    case(
        "X13",
        "infarction recorded five weeks ago without an onset",
        "DEFER",
        "",
        "myocardial_infarction",
        complete=False,
        never="recent-cardiac-event",
        **has({**infarct(), "recordedDate": day(35)}, LETTER),
    ),
    case(
        "X14",
        "a condition without a clinical status counts",
        NE,
        ANEURYSM,
        **has(condition("I71.9", "Aortic aneurysm", clinical="")),
    ),
    case(
        "X15", "pressure in UTC", "ELIGIBLE", phase=PRE, complete=True, **swap(bp=bp(124, 78, "2026-11-21T14:50:00Z"))
    ),
    case(
        "X16",
        "pressure in UTC, 40 minutes old",
        "DEFER",
        phase=PRE,
        complete=False,
        **swap(bp=bp(124, 78, "2026-11-21T14:20:00Z")),
    ),
    case(
        "X17",
        "diastolic not obtained at intake",
        "DEFER",
        "",
        "diastolic",
        complete=False,
        **swap(bp=systolic_only("error")),
    ),
    case(
        "X18",
        "an amended pressure counts",
        "DEFER",
        "bp-too-high-to-start",
        phase=PRE,
        **swap(bp={**bp(166, 90), "status": "amended"}),
    ),
    case(
        "X19",
        "a later normal pressure replaces a high one",
        "ELIGIBLE",
        never="bp-too-high-to-start",
        phase=PRE,
        **swap(bp=[bp(166, 98, ago(minutes=20)), bp(132, 84, ago(minutes=5))]),
    ),
    case(
        "X20",
        "a later high pressure replaces a normal one",
        "DEFER",
        "bp-too-high-to-start",
        phase=PRE,
        **swap(bp=[bp(132, 84, ago(minutes=20)), bp(166, 98, ago(minutes=5))]),
    ),
    case(
        "X21",
        "suicide attempt by ICD seventh character",
        "ESCALATE",
        "suicide-high",
        **has(condition("T14.91XA", "Suicide attempt, initial encounter", day(10))),
    ),
    case(
        "X22",
        "screener entered in error",
        "DEFER",
        "",
        "cssrs_q1 cssrs_q2 cssrs_q6",
        complete=False,
        **swap(cssrs=[{**r, "status": "entered-in-error"} for r in screener(q1=False, q2=False, q6=False)]),
    ),
    case(
        "X23",
        "screener answered 'unknown'",
        "DEFER",
        "",
        "cssrs_q2",
        complete=False,
        **swap(
            cssrs=[
                *screener(q1=False, q6=False),
                observation(
                    {"system": LOINC, "code": "93247-5"},
                    ago(minutes=20),
                    valueCodeableConcept=coding(LOINC, "LA4489-6", "Unknown"),
                ),
            ]
        ),
    ),
    case(
        "X24",
        "alanine aminotransferase in another report's words: value string",
        "DEFER",
        "",
        phase=PRE,
        complete=False,
        **swap(
            liver=[observation({"system": LOINC, "code": "1742-6"}, ago(days=5), valueString="24 U/L"), *liver(0.6)[1:]]
        ),
    ),
    case(
        "X25",
        "temperature 98.1 degF is no fever and is read",
        "ELIGIBLE",
        never="fever-before-dose",
        phase=PRE,
        complete=True,
        **swap(temp=vital("temp", 98.1, unit="[degF]")),
    ),
    case(
        "X26",
        "the newest consent is the refusal",
        "DEFER",
        "consent-missing",
        phase=PRE,
        **swap(consent=[consented(ago(days=30)), {**consented(ago(hours=3)), "status": "rejected"}]),
    ),
    case(
        "X27",
        "an entry of a person unknown to the record's history: hearing of AVM 'ruled out'",
        "ELIGIBLE",
        never="arteriovenous-malformation",
        complete=True,
        **has(condition("Q28.2", "AVM of cerebral vessels", verified="refuted", clinical="")),
    ),
    case(
        "X28",
        "two records of one diagnosis disagree: confirmed and refuted",
        "DEFER|NOT_ELIGIBLE",
        **has(condition("I67.1", "Cerebral aneurysm"), condition("I67.1", "Cerebral aneurysm", verified="refuted")),
    ),
    case(
        "X29",
        "sertraline on hold beside phenelzine, end unknown",
        "DEFER",
        **swap(medicines=[PHENELZINE, drug("36437", "sertraline", 50, state="on-hold")]),
    ),
    case(
        "X30",
        "lithium and vomiting known by its name only, no treatment in question",
        "ESCALATE|DEFER|CAUTION",
        complete=False,
        treatment="none",
        **has(LITHIUM, text_condition("vómitos")),
    ),
    case(
        "X31",
        "chest pain known by its name only, no treatment in question",
        "ESCALATE|DEFER|CAUTION",
        complete=False,
        treatment="none",
        **has(text_condition("chest pain")),
    ),
    case(
        "X32",
        "chest pain coded today, provisional",
        "ESCALATE|DEFER|CAUTION",
        complete=False,
        **has(condition("29857009", "Chest pain", ago(hours=2), verified="provisional")),
    ),
    case(
        "X33",
        "last use of an unlisted substance, in words",
        "DEFER",
        "kratom-same-day",
        phase=PRE,
        **has(used("kratom powder", ago(hours=3))),
    ),
    case(
        "X34",
        "last use of an unlisted substance in an ambiguous word",
        "DEFER",
        phase=PRE,
        **has(used("kratom", ago(hours=3))),
    ),
    case(
        "X35",
        "last use of an unlisted substance that nobody knows",
        "DEFER",
        complete=False,
        phase=PRE,
        **has(used("zorbelux", ago(hours=3))),
    ),
    case(
        "X36",
        "last use of beer three hours ago",
        "DEFER",
        "ketamine-alcohol-same-day",
        phase=PRE,
        **has(used("beer", ago(hours=3))),
    ),
    case(
        "X38",
        "two oximeters disagree in a session: 85 and 97",
        "ESCALATE|CAUTION",
        phase="during",
        **swap(spo2=[vital("spo2", 85, ago(minutes=1)), vital("spo2", 97, ago(minutes=1))]),
    ),
    case(
        "X39",
        "two monitors disagree in a session: 185/90 and 125/80, sight disturbed",
        "ESCALATE|CAUTION",
        phase="during",
        change={"bp": [bp(185, 90, ago(minutes=1)), bp(125, 80, ago(minutes=1))]},
        add=[sign("63102001", "Visual disturbance", True, ago(minutes=1))],
    ),
    case(
        "X37",
        "red-flag symptoms in a session record without a treatment",
        "ESCALATE",
        "chest-pain",
        treatment="none",
        phase="during",
        **has(sign("29857009", "Chest pain", True, ago(minutes=2))),
    ),
]

CASES = [
    *READY,
    *HISTORY,
    *PRESSURE,
    *HEART,
    *MIND,
    *LIFE,
    *LIVER,
    *SUBSTANCE,
    *KRATOM_CASES,
    *MEDICINES,
    *BODY,
    *PRESESSION,
    *SUICIDE,
    *RED_FLAGS,
    *HUNTER,
    *DURING,
    *DISCHARGE,
    *FOLLOW,
    *WRITING,
]
