"""One invented person: who they are, what they take, and what was written down at each visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import exp
from random import Random
from typing import Any

from adjunct.base import MS_PER_DAY, duration_ms
from adjunct.clinic import Clinic
from adjunct.devices.simulator import MS_PER_MIN
from adjunct.followup.expected import scales
from adjunct.followup.stored import event_to_fhir
from adjunct.followup.workflow import Event
from adjunct.instruments import instrument
from adjunct.instruments.model import Item
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import LOCAL
from adjunct.publish.frame import ACT_CODE, coding
from adjunct.publish.protocols import PROTOCOL
from adjunct.publish.session import ROUTES, SESSION
from adjunct.synthetic.chart import HOME, Chart, Json, quantity
from adjunct.synthetic.course import AFTERWARDS, BOOKED, CAME, INTAKE, SCALE, Contact, Step, contacts
from adjunct.synthetic.days import played

Table = Mapping[str, Any]
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
HL7 = "http://terminology.hl7.org/CodeSystem"
DAYS_PER_YEAR = 365.25
CM_PER_M = 100
DAILY = {"frequency": 1, "period": 1, "periodUnit": "d"}
ATTESTED = ("history_reviewed", "allergies_asked", "diagnosis_by_psychiatrist")
AROUND = ("systolic", "diastolic", "heart_rate")
NURSE, DOCTOR, COUNSELLOR = 0, 1, 2  # places in the list of the staff
NOT_ASKED = "na"
CLINICIAN = "clinician"


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

    def years(self, ms: int, clinic: Clinic) -> int:
        return int((clinic.cover.local(ms).date() - self.born).days / DAYS_PER_YEAR)


def draw(content: Table, id_: str, number: int, story: Table, first: int, clinic: Clinic, chance: Random) -> Person:
    """Who a person is."""
    own = content["person"]
    sex = "female" if chance.random() < own["female"] else "male"
    age = _within(chance.gauss(*own["age"]), own["ages"])
    cm = round(chance.gauss(*own["height"][sex]))
    index = _within(chance.gauss(*own["index"]), own["indices"])
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


def written(
    person: Person, knowledge: Knowledge, clinic: Clinic, chance: Random, *, now: int, light: bool = False
) -> list[Json]:
    """Everything that is in the record of this person at `now`. `light`: no day is played minute by minute."""
    chart = Chart(person.id, knowledge, clinic.cover)
    made, taken = contacts(knowledge, clinic, person.story, chance, start=person.first, now=now)
    scribe = _Scribe(chart, person, clinic, chance, light, now)
    scribe.history(taken)
    scribe.plan(made)
    for contact in made:
        scribe.visit(contact)
    return chart.made


class _Scribe:
    """Writes one person's chart, visit by visit."""

    def __init__(self, chart: Chart, person: Person, clinic: Clinic, chance: Random, light: bool, now: int) -> None:
        self.chart, self.person, self.clinic, self.chance, self.now = chart, person, clinic, chance, now
        self.knowledge = chart.knowledge
        self.content = self.knowledge.content["synthetic"]
        self.own = self.content["person"]
        self.staff = [s["id"] for s in self.content["staff"]]
        self.usual = {name: chance.gauss(*mean_sd) for name, mean_sd in self.own["measured"].items()}
        self.rise = exp(chance.gauss(0, self.content["chair"]["spread"]))
        chosen = chance.random() < self.content["chair"]["played"] or "scenario" in person.story
        self.played = person.route.get("simulated") if chosen and not light else None  # the number of that dose
        self.asked: dict[str, int] = {}  # when something was last asked or tested

    def who(self, place: int) -> Json:
        return {"reference": f"Practitioner/{self.content['clinic']['id']}-{self.staff[place]}"}

    def due(self, what: str, at: int, every: str) -> bool:
        """Whether something was not asked for so long; then it is asked now."""
        last = self.asked.get(what)
        if last is not None and at - last < duration_ms(every) - MS_PER_DAY:
            return False
        self.asked[what] = at
        return True

    # --- before the course --------------------------------------------------------------------------------------------

    def history(self, taken: Sequence[Step]) -> None:
        chart, person, own, chance = self.chart, self.person, self.own, self.chance
        clinic = self.content["clinic"]
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
                "generalPractitioner": [self.who(DOCTOR)],
            },
        )
        since = chance.randint(*own["ill_since"])
        resistant = coding(LOCAL, "treatment_resistant_depression")
        self._condition(chance.choice(own["diagnosis"]), since, [] if taken else resistant)
        for beside in own["beside"]:
            if chance.random() < beside["share"]:
                self._condition(beside, since, [])
                if "takes" in beside:
                    self._takes(beside["takes"]["substance"], beside["takes"]["mg"], person.first - MS_PER_DAY)
        tried = chance.sample([*own["antidepressant"].items()], chance.randint(*own["trials"]["count"]))
        at = person.first - MS_PER_DAY
        for number, (substance, mg) in enumerate(tried):
            begun = at - chance.randint(*own["trials"]["weeks"]) * duration_ms("1 wk")
            self._takes(substance, mg, begun, at if number else None)
            at = begun
        chart.observe("failed_trials", len(tried), person.first)
        self._kratom(taken)
        chart.add("AllergyIntolerance", "no-allergy", self._no_allergy())
        if "treatment" in person.route:
            chart.add("Consent", "consent", self._consent())

    def _condition(self, said: Table, years: int, also: list[Json]) -> None:
        first = self.person.first
        self.chart.add(
            "Condition",
            said["code"].lower().replace(".", "-"),
            {
                "clinicalStatus": {"coding": coding(f"{HL7}/condition-clinical", "active")},
                "verificationStatus": {"coding": coding(f"{HL7}/condition-ver-status", "confirmed")},
                "category": [{"coding": coding(f"{HL7}/condition-category", "problem-list-item")}],
                "code": {"coding": [*coding(ICD10, said["code"], said["display"]), *also], "text": said["display"]},
                "subject": self.chart.subject,
                "onsetDateTime": str(self.clinic.cover.local(first).year - years),
                "recordedDate": self.chart.day(first),
                "recorder": self.who(DOCTOR),
            },
        )

    def _takes(self, substance: str, mg: float, begun: int, ended: int | None = None) -> None:
        period = {"start": self.chart.day(begun)} | ({"end": self.chart.day(ended)} if ended is not None else {})
        self.chart.add(
            "MedicationStatement",
            f"med-{substance}",
            {
                "status": "active" if ended is None else "completed",
                "medicationCodeableConcept": self.chart.medicine(substance),
                "subject": self.chart.subject,
                "effectivePeriod": period,
                "dateAsserted": self.chart.day(self.person.first),
                "dosage": [{"timing": {"repeat": DAILY}, "doseAndRate": [{"doseQuantity": quantity(mg, "mg")}]}],
            },
        )

    def _kratom(self, taken: Sequence[Step]) -> None:
        """What the person says about kratom: the steps of a reduction, or some use beside another course."""
        own, first, chance = self.content["kratom"], self.person.first, self.chance
        if taken:
            begun = first - round(chance.uniform(*own["years"]) * DAYS_PER_YEAR) * MS_PER_DAY
            ends: list[int | None] = [*(step.at for step in taken[1:]), None]
            for number, (step, end) in enumerate(zip(taken, ends, strict=True)):
                if step.grams:
                    self._powder(number, step.grams, DAILY, begun if number == 0 else step.at, end)
                if number and step.grams < taken[number - 1].grams:
                    self.chart.observe("kratom_reduced", True, step.at)
        elif self.person.story.get("kratom"):
            beside = own["beside"]
            times = {"frequency": beside["times"], "period": 1, "periodUnit": "wk"}
            begun = first - beside["weeks_before"] * duration_ms("1 wk")
            self._powder(0, chance.randint(*beside["amount"]), times, begun, None)

    def _powder(self, number: int, grams: float, repeat: Json, begun: int, ended: int | None) -> None:
        own = self.content["kratom"]
        told = self.chart.day(max(begun, self.person.first))
        period = {"start": self.chart.day(begun)} | ({"end": self.chart.day(ended)} if ended is not None else {})
        self.chart.add(
            "MedicationStatement",
            f"kratom-{number}",
            {
                "status": "active" if ended is None else "completed",
                "category": {"coding": coding(f"{HL7}/medication-statement-category", "patientspecified")},
                "medicationCodeableConcept": self.chart.medicine(own["substance"]) | {"text": own["text"]},
                "subject": self.chart.subject,
                "effectivePeriod": period,
                "dateAsserted": told,
                "informationSource": self.chart.subject,
                "dosage": [{"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": quantity(grams, "g")}]}],
            },
        )

    def _no_allergy(self) -> Json:
        rows = (r for r in self.knowledge.content["valuesets"] if r["set"] == "allergies_asked")
        none = next(rows)
        return {
            "clinicalStatus": {"coding": coding(f"{HL7}/allergyintolerance-clinical", "active")},
            "verificationStatus": {"coding": coding(f"{HL7}/allergyintolerance-verification", "confirmed")},
            "code": {"coding": coding(none["system"], none["code"], none["display"]), "text": none["display"]},
            "patient": self.chart.subject,
            "recordedDate": self.chart.day(self.person.first),
        }

    def _consent(self) -> Json:
        return {
            "status": "active",
            "scope": {"coding": coding(f"{HL7}/consentscope", "treatment", "Treatment")},
            "category": [{"coding": coding("http://loinc.org", "59284-0", "Consent Document")}],
            "patient": self.chart.subject,
            "dateTime": self.chart.time(self.person.first + duration_ms(self.content["clinic"]["lasts"])),
            "organization": [{"reference": f"Organization/{self.content['clinic']['id']}"}],
            "policyRule": {"text": f"The clinic's form for {self.person.route['treatment']}, version 1"},
        }

    def plan(self, made: Sequence[Contact]) -> None:
        names = self.person.route["protocols"]
        ahead = any(c.state == BOOKED for c in made)
        title = self.knowledge.protocols[names[0]]["title"]["en"]
        self.chart.add(
            "CarePlan",
            "plan",
            {
                "instantiatesCanonical": [f"{PROTOCOL}:{n}|{self.knowledge.protocols[n]['version']}" for n in names],
                "status": "active" if ahead else "completed",
                "intent": "plan",
                "title": title,
                "subject": self.chart.subject,
                "period": {"start": self.chart.day(made[0].at)}
                | ({} if ahead else {"end": self.chart.day(min(self.now, made[-1].at))}),
                "created": self.chart.time(made[0].at),
                "author": self.who(COUNSELLOR if self.person.route["id"] == "reduction" else DOCTOR),
            },
        )

    # --- a visit ------------------------------------------------------------------------------------------------------

    def visit(self, contact: Contact) -> None:
        chart, name = self.chart, self.chart.stamp(contact.at)
        actors = (chart.subject, self.who(NURSE if contact.number else DOCTOR))
        status = "accepted"
        booked = {
            "status": contact.state,
            "description": contact.title,
            "start": chart.time(contact.at),
            "end": chart.time(contact.ends),
            "participant": [{"actor": actor, "status": status} for actor in actors],
        }
        appointment = chart.add("Appointment", f"visit-{name}", booked)
        if contact.state != CAME:
            return
        played_here = bool(contact.number) and contact.number == self.played
        if played_here:
            encounter = None
        else:
            encounter = {"reference": chart.add("Encounter", f"seen-{name}", self._encounter(contact, appointment))}
        if contact.phase == INTAKE or contact.at - self.person.first < MS_PER_DAY:
            self._examined(contact)
        self._asked(contact)
        if contact.phase != AFTERWARDS:
            self._tested(contact)
        if played_here:
            self._played(contact)
            return
        self._pressure(contact.at, 0, encounter)
        if contact.number:
            self._dosed(contact, encounter)

    def _encounter(self, contact: Contact, appointment: str) -> Json:
        treatment = self.person.route.get("treatment", "")
        kind = [{"coding": coding(SESSION, treatment), "text": contact.title}] if contact.number else None
        return {
            "status": "finished",
            "class": coding(ACT_CODE, "AMB", "ambulatory")[0],
            "type": kind,
            "subject": self.chart.subject,
            "participant": [{"individual": self.who(NURSE if contact.number else DOCTOR)}],
            "appointment": [{"reference": appointment}],
            "period": {"start": self.chart.time(contact.at), "end": self.chart.time(contact.ends)},
            "location": [{"location": {"reference": f"Location/{self.content['clinic']['id']}"}}],
            "serviceProvider": {"reference": f"Organization/{self.content['clinic']['id']}"},
        }

    def _examined(self, contact: Contact) -> None:
        for name in ATTESTED:
            self.chart.observe(name, True, contact.at)
        self.chart.observe("height", self.person.cm, contact.at)
        for name in (n for n in self.usual if n not in AROUND):
            self.chart.observe(name, round(self.usual[name], 1), contact.at)

    def _tested(self, contact: Contact) -> None:
        """Liver tests, and a pregnancy test before doses for whoever might need one."""
        if self.due("liver", contact.at, self.content["clinic"]["tested"]):
            for name, said in self.own["tested"].items():
                value = max(self.chance.gauss(*said["value"]), said["value"][1])
                unit = self.knowledge.concepts[name].unit
                more = {
                    "category": [{"coding": coding(f"{HL7}/observation-category", "laboratory")}],
                    "referenceRange": [{"high": quantity(said["upper"], unit)}],
                }
                self.chart.observe(name, round(value, 1), contact.at, **more)
        fertile = self.person.sex == "female" and self.person.years(contact.at, self.clinic) < self.own["fertile"]
        if fertile and self.due("hcg", contact.at, self.content["clinic"]["asked"]):
            self.chart.observe("hcg", "negative", contact.at)

    def _asked(self, contact: Contact) -> None:
        """The questionnaires that the phase of the protocol names, no oftener than each may be asked."""
        own, chart, chance, at = self.content, self.chart, self.chance, contact.at
        alarmed = False
        chart.observe("reconciled", True, at)
        if self.due("weight", at, own["clinic"]["asked"]):
            chart.observe("weight", self.person.kg, at)
        for measure in own["measure"]:
            name = measure["id"]
            named = name in contact.measures
            wanted = named or (name in own["also"]["measures"] and contact.phase != AFTERWARDS)
            often = named and not measure.get("long")
            if wanted and self.due(name, at, own["clinic"]["often" if often else "asked"]):
                alarmed |= chart.scored(name, self._answers(measure, contact), at)
        if "mood10" in contact.measures:
            chart.observe(
                "mood10", _scale(own["mood"], own["mood"]["best"] - own["mood"]["slope"] * contact.severity, chance), at
            )
        if "craving" in contact.measures:
            low_mood = contact.severity / scales(self.knowledge)[SCALE].high
            strong = own["urge"]["worst"] * (low_mood + contact.withdrawal) / 2
            chart.observe("craving", _scale(own["urge"], strong, chance), at)
        if "cssrs" in contact.measures or alarmed:
            dark = contact.severity >= own["thoughts"]["from"] and chance.random() < own["thoughts"]["share"]
            asked = at + duration_ms(own["thoughts"]["asked_after"])
            chart.scored("cssrs", _screened(self.knowledge, alarmed or dark), asked)
            if alarmed or dark:
                self._looked_after(asked)

    def _looked_after(self, since: int) -> None:
        """What the staff did about an alarm, as the suicide workflow takes it down; what is still to come is not."""
        for act in self.content["thoughts"]["act"]:
            at = since + duration_ms(act["after"])
            if at <= self.now:
                name = f"{self.person.id}-{self.chart.stamp(at)}-{act['type']}"
                by = self.content["staff"][DOCTOR]
                event = Event(
                    id=name,
                    at=at,
                    received=at,
                    type=act["type"],
                    by=f"{by['given']} {by['family']}",
                    source=CLINICIAN,
                    data=act.get("data", {}),
                )
                self.chart.keep(event_to_fhir(event, patient_reference=self.chart.subject["reference"]))

    def _answers(self, measure: Table, contact: Contact) -> dict[str, float]:
        """Answers that add up to about what this person's state calls for, with the error of the instrument."""
        known, followed = instrument(self.knowledge, measure["id"]), getattr(contact, measure["follows"])
        scale = scales(self.knowledge).get(known.id)
        slope, shift = (scale.slope, scale.shift) if scale else (measure["slope"], measure["shift"])
        error = scale.error_sd if scale else measure["error"]
        return filled(known.items, shift + slope * followed + self.chance.gauss(0, error), self.chance)

    def _pressure(self, at: int, share: float, encounter: Json | None) -> None:
        """Pressure and pulse, with so much of the usual rise under the dose."""
        rises = [self.knowledge.number(f"pressor.{name}") * share * self.rise for name in AROUND]
        noise = (self.chance.gauss(0, self.own["measured"][name][1] / 2) for name in AROUND)
        systolic, diastolic, pulse = (
            round(self.usual[n] + rise + odd) for n, rise, odd in zip(AROUND, rises, noise, strict=True)
        )
        self.chart.pressure(systolic, diastolic, at, encounter=encounter)
        self.chart.observe("heart_rate", pulse, at, encounter=encounter)

    def _dosed(self, contact: Contact, encounter: Json | None) -> None:
        chart, own = self.chart, self.content["chair"]
        route = self.person.route
        begun = contact.at + own["dose_after"] * MS_PER_MIN
        amount = self.knowledge.number(route["first" if contact.number == 1 else "later"])
        if self.knowledge.facts[route["first"]].unit == "mg/kg":
            amount = round(amount * self.person.kg, 1)
        when: Json = {"effectiveDateTime": chart.time(begun)}
        if "takes" in route:
            over = begun + round(self.knowledge.number(route["takes"]) * MS_PER_MIN)
            when = {"effectivePeriod": {"start": chart.time(begun), "end": chart.time(over)}}
        code, display = ROUTES[route["treatment"]]
        given = {
            "status": "completed",
            "medicationCodeableConcept": chart.medicine(route["substance"]),
            "subject": chart.subject,
            "context": encounter,
            **when,
            "performer": [{"actor": self.who(NURSE)}],
            "dosage": {
                "route": {"coding": coding("http://snomed.info/sct", code, display)},
                "dose": quantity(amount, "mg"),
            },
        }
        chart.observe("escort", "yes", contact.at, encounter=encounter)
        chart.add("MedicationAdministration", f"dose-{chart.stamp(begun)}", given)
        for number, (minute, share) in enumerate(own["checks"]):
            at = begun + minute * MS_PER_MIN
            self._pressure(at, share, encounter)
            if number == 0:
                apart = max(0, round(self.chance.gauss(*own["dissociation"])))
                chart.observe("cadss6", apart, at, encounter=encounter)

    def _played(self, contact: Contact) -> None:
        person, name = self.person, self.chart.stamp(contact.at)
        scenario = person.story.get("scenario", person.route["scenario"])
        offset = self.clinic.cover.local(contact.at).utcoffset() or timedelta(0)
        self.chart.adopt(
            played(
                self.knowledge,
                scenario,
                seed=f"{person.id}:{name}",
                session=f"{person.id}-{name}",
                start=contact.at,
                offset=offset,
                kg=person.kg,
                patient=self.chart.subject["reference"],
            )
        )


# --- answers ----------------------------------------------------------------------------------------------------------


def filled(items: Sequence[Item], target: float, chance: Random) -> dict[str, float]:
    """Answers, item by item, that add up to the target or a little less: each step goes to an item by chance.

    The last item of a list is the hardest to say yes to (in the PHQ-9 the thoughts of death): it comes in last.
    """
    asked = [item for item in items if not item.extra]
    chosen = dict.fromkeys((item.id for item in asked), 0)
    left = target - sum(item.points[0] for item in asked)
    open_ = [*asked[:-1]]
    while left > 0 and (open_ or asked):
        if not open_:
            open_, asked = asked[-1:], []
        item = chance.choice(open_)
        here = chosen[item.id]
        step = item.points[here + 1] - item.points[here] if here + 1 < len(item.points) else left + 1
        if step > left:
            open_.remove(item)
            continue
        chosen[item.id], left = here + 1, left - step
    return {item.id: item.allowed[chosen[item.id]] for item in items if item.id in chosen}


def _screened(knowledge: Knowledge, dark: bool) -> dict[str, str]:
    """The suicide screener: nothing, or a wish to be dead and nothing further."""
    said = {"q1": "yes" if dark else "no", "q2": "no", "q6": "no"}
    return {item.id: said.get(item.id, NOT_ASKED) for item in instrument(knowledge, "cssrs").items}


def _scale(own: Table, value: float, chance: Random) -> int:
    return round(_within(value + chance.gauss(0, own["error"]), (0, own["most"])))


def _within(value: float, bounds: Sequence[float]) -> float:
    return min(max(value, bounds[0]), bounds[-1])
