"""Who the invented people are: what ails them, what they take and took, what they come for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

from adjunct.base import MS_PER_DAY, duration_ms
from adjunct.clinic import Clinic
from adjunct.knowledge.entries import LOCAL
from adjunct.publish.frame import coding
from adjunct.publish.protocols import PROTOCOL
from adjunct.synthetic.chart import COUNSELLOR, DOCTOR, HL7, HOME, Chart, Json, quantity, within
from adjunct.synthetic.course import BOOKED, Contact, Step

Table = Mapping[str, Any]
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
DAYS_PER_YEAR = 365.25
CM_PER_M = 100
DAILY = {"frequency": 1, "period": 1, "periodUnit": "d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who never lived. Instants are ms since 1970 UTC."""

    id: str
    number: int
    story: Table
    route: Table
    sex: str  # female | male
    name: tuple[str, str]
    born: date
    kg: int
    cm: int
    first: int  # when they came first

    def years(self, day: date) -> int:
        return int((day - self.born).days / DAYS_PER_YEAR)


def draw(content: Table, id_: str, number: int, story: Table, first: int, clinic: Clinic, chance: Random) -> Person:
    """Who a person is."""
    own = content["person"]
    sex = "female" if chance.random() < own["female"] else "male"
    age = within(chance.gauss(*own["age"]), own["ages"])
    cm = round(chance.gauss(*own["height"][sex]))
    index = within(chance.gauss(*own["index"]), own["indices"])
    return Person(
        id=id_,
        number=number,
        story=story,
        route=next(r for r in content["route"] if r["id"] == story["route"]),
        sex=sex,
        name=(chance.choice(own["given"][sex]), f"{chance.choice(own['family'])}-{number}"),
        born=clinic.cover.local(first).date() - timedelta(days=round(age * DAYS_PER_YEAR)),
        kg=round(index * (cm / CM_PER_M) ** 2),
        cm=cm,
        first=first,
    )


def background(chart: Chart, person: Person, taken: Sequence[Step], chance: Random) -> None:
    """What is known on the first day, and what was taken since: `taken` are the steps of a reduction of kratom."""
    clinic, own = chart.content["clinic"], chart.content["person"]
    chart.add(
        "Patient",
        "",
        {
            "extension": [{"url": BIRTH_SEX, "valueCode": person.sex[0].upper()}],
            "identifier": [{"system": f"{HOME}/mrn", "value": person.id}],
            "active": True,
            "name": [{"use": "official", "family": person.name[1], "given": [person.name[0]]}],
            "gender": person.sex,
            "birthDate": person.born.isoformat(),
            "address": [{"city": clinic["city"], "state": clinic["state"], "country": clinic["country"]}],
            "managingOrganization": {"reference": f"Organization/{clinic['id']}"},
            "generalPractitioner": [chart.staff(DOCTOR)],
        },
    )
    since = chance.randint(*own["ill_since"])
    resistant = coding(LOCAL, "treatment_resistant_depression")
    _condition(chart, person, chance.choice(own["diagnosis"]), since, [] if taken else resistant)
    for beside in own["beside"]:
        if chance.random() < beside["share"]:
            _condition(chart, person, beside, since, [])
            if "takes" in beside:
                _takes(chart, person, beside["takes"]["substance"], beside["takes"]["mg"], person.first - MS_PER_DAY)
    tried = chance.sample([*own["antidepressant"].items()], chance.randint(*own["trials"]["count"]))
    at = person.first - MS_PER_DAY
    for number, (substance, mg) in enumerate(tried):
        begun = at - chance.randint(*own["trials"]["weeks"]) * duration_ms("1 wk")
        _takes(chart, person, substance, mg, begun, at if number else None)
        at = begun
    chart.observe("failed_trials", len(tried), person.first)
    _kratom(chart, person, taken, chance)
    chart.add("AllergyIntolerance", "no-allergy", _no_allergy(chart, person))
    if "treatment" in person.route:
        chart.add("Consent", "consent", _consent(chart, person))


def _condition(chart: Chart, person: Person, said: Table, years: int, also: list[Json]) -> None:
    chart.add(
        "Condition",
        said["code"].lower().replace(".", "-"),
        {
            "clinicalStatus": {"coding": coding(f"{HL7}/condition-clinical", "active")},
            "verificationStatus": {"coding": coding(f"{HL7}/condition-ver-status", "confirmed")},
            "category": [{"coding": coding(f"{HL7}/condition-category", "problem-list-item")}],
            "code": {"coding": [*coding(ICD10, said["code"], said["display"]), *also], "text": said["display"]},
            "subject": chart.subject,
            "onsetDateTime": str(chart.cover.local(person.first).year - years),
            "recordedDate": chart.day(person.first),
            "recorder": chart.staff(DOCTOR),
        },
    )


def _takes(chart: Chart, person: Person, substance: str, mg: float, begun: int, ended: int | None = None) -> None:
    period = {"start": chart.day(begun)} | ({"end": chart.day(ended)} if ended is not None else {})
    chart.add(
        "MedicationStatement",
        f"med-{substance}",
        {
            "status": "active" if ended is None else "completed",
            "medicationCodeableConcept": chart.medicine(substance),
            "subject": chart.subject,
            "effectivePeriod": period,
            "dateAsserted": chart.day(person.first),
            "dosage": [{"timing": {"repeat": DAILY}, "doseAndRate": [{"doseQuantity": quantity(mg, "mg")}]}],
        },
    )


def _kratom(chart: Chart, person: Person, taken: Sequence[Step], chance: Random) -> None:
    """What the person says about kratom: the steps of a reduction, or some use beside another course."""
    own, first = chart.content["kratom"], person.first
    if taken:
        begun = first - round(chance.uniform(*own["years"]) * DAYS_PER_YEAR) * MS_PER_DAY
        ends: list[int | None] = [*(step.at for step in taken[1:]), None]
        for number, (step, end) in enumerate(zip(taken, ends, strict=True)):
            if step.grams:
                _powder(chart, person, number, step.grams, DAILY, begun if number == 0 else step.at, end)
            if number and step.grams < taken[number - 1].grams:
                chart.observe("kratom_reduced", True, step.at)
    elif person.story.get("kratom"):
        beside = own["beside"]
        times = {"frequency": beside["times"], "period": 1, "periodUnit": "wk"}
        begun = first - beside["weeks_before"] * duration_ms("1 wk")
        _powder(chart, person, 0, chance.randint(*beside["amount"]), times, begun, None)


def _powder(
    chart: Chart, person: Person, number: int, grams: float, repeat: Json, begun: int, ended: int | None
) -> None:
    own = chart.content["kratom"]
    told = chart.day(max(begun, person.first))
    period = {"start": chart.day(begun)} | ({"end": chart.day(ended)} if ended is not None else {})
    chart.add(
        "MedicationStatement",
        f"kratom-{number}",
        {
            "status": "active" if ended is None else "completed",
            "category": {"coding": coding(f"{HL7}/medication-statement-category", "patientspecified")},
            "medicationCodeableConcept": chart.medicine(own["substance"]) | {"text": own["text"]},
            "subject": chart.subject,
            "effectivePeriod": period,
            "dateAsserted": told,
            "informationSource": chart.subject,
            "dosage": [{"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": quantity(grams, "g")}]}],
        },
    )


def _no_allergy(chart: Chart, person: Person) -> Json:
    rows = (r for r in chart.knowledge.content["valuesets"] if r["set"] == "allergies_asked")
    none = next(rows)
    return {
        "clinicalStatus": {"coding": coding(f"{HL7}/allergyintolerance-clinical", "active")},
        "verificationStatus": {"coding": coding(f"{HL7}/allergyintolerance-verification", "confirmed")},
        "code": {"coding": coding(none["system"], none["code"], none["display"]), "text": none["display"]},
        "patient": chart.subject,
        "recordedDate": chart.day(person.first),
    }


def _consent(chart: Chart, person: Person) -> Json:
    return {
        "status": "active",
        "scope": {"coding": coding(f"{HL7}/consentscope", "treatment", "Treatment")},
        "category": [{"coding": coding("http://loinc.org", "59284-0", "Consent Document")}],
        "patient": chart.subject,
        "dateTime": chart.time(person.first + duration_ms(chart.content["clinic"]["lasts"])),
        "organization": [{"reference": f"Organization/{chart.content['clinic']['id']}"}],
        "policyRule": {"text": f"The clinic's form for {person.route['treatment']}, version 1"},
    }


def care_plan(chart: Chart, person: Person, made: Sequence[Contact], now: int) -> None:
    """The plan of the course: it goes on while visits are booked."""
    names = person.route["protocols"]
    ahead = any(c.state == BOOKED for c in made)
    title = chart.knowledge.protocols[names[0]]["title"]["en"]
    chart.add(
        "CarePlan",
        "plan",
        {
            "instantiatesCanonical": [f"{PROTOCOL}:{n}|{chart.knowledge.protocols[n]['version']}" for n in names],
            "status": "active" if ahead else "completed",
            "intent": "plan",
            "title": title,
            "subject": chart.subject,
            "period": {"start": chart.day(made[0].at)} | ({} if ahead else {"end": chart.day(min(now, made[-1].at))}),
            "created": chart.time(made[0].at),
            "author": chart.staff(COUNSELLOR if person.route["id"] == "reduction" else DOCTOR),
        },
    )
