"""What is written down at each visit: how the person is, what was asked, measured and given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import exp
from random import Random
from typing import Any

from adjunct.base import MS_PER_DAY, duration_ms
from adjunct.devices.simulator import MS_PER_MIN
from adjunct.followup.expected import scales
from adjunct.followup.stored import event_to_fhir
from adjunct.followup.workflow import Event
from adjunct.instruments import instrument
from adjunct.instruments.model import Item
from adjunct.knowledge import Knowledge
from adjunct.publish.frame import ACT_CODE, coding
from adjunct.publish.session import ROUTES, SESSION
from adjunct.synthetic.chart import DOCTOR, HL7, NURSE, Chart, Json, quantity, within
from adjunct.synthetic.course import AFTERWARDS, CAME, INTAKE, SCALE, Contact
from adjunct.synthetic.days import played
from adjunct.synthetic.people import Person

Table = Mapping[str, Any]
ATTESTED = ("history_reviewed", "allergies_asked", "diagnosis_by_psychiatrist")
AROUND = ("systolic", "diastolic", "heart_rate")
NOT_ASKED = "na"
CLINICIAN = "clinician"


class Scribe:
    """Writes one person's visits into the chart, in order of time. `light`: no day is played minute by minute."""

    def __init__(self, chart: Chart, person: Person, chance: Random, *, now: int, light: bool) -> None:
        self.chart, self.person, self.chance, self.now = chart, person, chance, now
        self.knowledge, self.content = chart.knowledge, chart.content
        self.own = self.content["person"]
        self.usual = {name: chance.gauss(*mean_sd) for name, mean_sd in self.own["measured"].items()}
        self.rise = exp(chance.gauss(0, self.content["chair"]["spread"]))
        chosen = chance.random() < self.content["chair"]["played"] or "scenario" in person.story
        self.played = person.route.get("simulated") if chosen and not light else None  # the number of that dose
        self.asked: dict[str, int] = {}  # when something was last asked or tested

    def visit(self, contact: Contact) -> None:
        """One visit: booked, missed, or with all that was written down at it."""
        chart, name = self.chart, self.chart.stamp(contact.at)
        actors = (chart.subject, chart.staff(NURSE if contact.number else DOCTOR))
        booked = {
            "status": contact.state,
            "description": contact.title,
            "start": chart.time(contact.at),
            "end": chart.time(contact.ends),
            "participant": [{"actor": actor, "status": "accepted"} for actor in actors],
        }
        appointment = chart.add("Appointment", f"visit-{name}", booked)
        if contact.state != CAME:
            return
        played_here = bool(contact.number) and contact.number == self.played
        encounter = None
        if not played_here:
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

    def _due(self, what: str, at: int, every: str) -> bool:
        """Whether something was not asked for so long; then it is asked now."""
        last = self.asked.get(what)
        if last is not None and at - last < duration_ms(every) - MS_PER_DAY:
            return False
        self.asked[what] = at
        return True

    def _encounter(self, contact: Contact, appointment: str) -> Json:
        treatment = self.person.route.get("treatment", "")
        kind = [{"coding": coding(SESSION, treatment), "text": contact.title}] if contact.number else None
        return {
            "status": "finished",
            "class": coding(ACT_CODE, "AMB", "ambulatory")[0],
            "type": kind,
            "subject": self.chart.subject,
            "participant": [{"individual": self.chart.staff(NURSE if contact.number else DOCTOR)}],
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
        if self._due("liver", contact.at, self.content["clinic"]["tested"]):
            for name, said in self.own["tested"].items():
                value = max(self.chance.gauss(*said["value"]), said["value"][1])
                unit = self.knowledge.concepts[name].unit
                more = {
                    "category": [{"coding": coding(f"{HL7}/observation-category", "laboratory")}],
                    "referenceRange": [{"high": quantity(said["upper"], unit)}],
                }
                self.chart.observe(name, round(value, 1), contact.at, **more)
        fertile = (
            self.person.sex == "female"
            and self.person.years(self.chart.cover.local(contact.at).date()) < self.own["fertile"]
        )
        if fertile and self._due("hcg", contact.at, self.content["clinic"]["asked"]):
            self.chart.observe("hcg", "negative", contact.at)

    def _asked(self, contact: Contact) -> None:
        """The questionnaires that the phase of the protocol names, no oftener than each may be asked."""
        own, chart, chance, at = self.content, self.chart, self.chance, contact.at
        alarmed = False
        chart.observe("reconciled", True, at)
        if self._due("weight", at, own["clinic"]["asked"]):
            chart.observe("weight", self.person.kg, at)
        for measure in own["measure"]:
            name = measure["id"]
            named = name in contact.measures
            wanted = named or (name in own["also"]["measures"] and contact.phase != AFTERWARDS)
            often = named and not measure.get("long")
            if wanted and self._due(name, at, own["clinic"]["often" if often else "asked"]):
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
                by = next(s for s in self.content["staff"] if s["role"] == DOCTOR)
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
            "performer": [{"actor": self.chart.staff(NURSE)}],
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
        offset = self.chart.cover.local(contact.at).utcoffset() or timedelta(0)
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
    return round(within(value + chance.gauss(0, own["error"]), (0, own["most"])))
