"""One person's record as a small clinic writes it: FHIR R4 resources in the order in which they came about.

Every resource is tagged as test health data (`HTEST`). Ids belong to the person and the role of the resource, so the
same person written again is the same resources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson

from adjunct.base import BadInput
from adjunct.followup.cover import Cover
from adjunct.instruments import instrument, score
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import LOCAL, Concept
from adjunct.publish.frame import OBSERVATION_CATEGORY, coding
from adjunct.publish.measures import score_to_fhir
from adjunct.publish.questionnaire import LOINC, UCUM, number
from adjunct.publish.session import CODE_SYSTEMS

Json = dict[str, Any]

HTEST = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST", "display": "test health data"}
HL7 = "http://terminology.hl7.org/CodeSystem"
NURSE, DOCTOR, COUNSELLOR = "nurse", "doctor", "ict"  # codes of HL7's practitioner-role
HOME = "https://synthetic.example.org/fhir"
DEVICE = "adjunct"  # the software, once in the clinic instead of once in every result
SOFTWARE = "synthetic"  # stands for the version in ids, so that a release changes none
ALARM = "suicide"
COMMON = frozenset({"Device", "Library", "Provenance"})  # of a published result; what every result would repeat
BP_PANEL = ("85354-9", "Blood pressure panel with all children optional")
_UUID = re.compile(r"urn:uuid:[0-9a-f-]{36}")
_VITALS = frozenset({"heart_rate", "resp_rate", "spo2", "temperature", "weight", "height"})


class Chart:
    """What is written about one person. `cover` gives the clinic's wall clock; instants are ms since 1970 UTC."""

    def __init__(self, person: str, knowledge: Knowledge, cover: Cover) -> None:
        self.person, self.knowledge, self.cover = person, knowledge, cover
        self.content = knowledge.content["synthetic"]
        self.subject = {"reference": f"Patient/{person}"}
        self.made: list[Json] = []

    def staff(self, role: str) -> Json:
        """Whoever has this role in the clinic."""
        found = next(s["id"] for s in self.content["staff"] if s["role"] == role)
        return {"reference": f"Practitioner/{self.content['clinic']['id']}-{found}"}

    def time(self, ms: int) -> str:
        return self.cover.local(ms).isoformat(timespec="seconds")

    def day(self, ms: int) -> str:
        return self.cover.local(ms).date().isoformat()

    def stamp(self, ms: int) -> str:
        """An instant as part of an id."""
        return f"{self.cover.local(ms):%Y-%m-%d-%H%M}"

    def add(self, kind: str, name: str, elements: Json) -> str:
        """One more resource, and the reference to it. What is None is left out."""
        id_ = f"{self.person}-{name}" if name else self.person
        kept = {key: value for key, value in elements.items() if value is not None}
        self.made.append({"resourceType": kind, "id": id_, "meta": {"tag": [HTEST]}, **kept})
        return f"{kind}/{id_}"

    # --- what was seen and said ---------------------------------------------------------------------------------------

    def observe(self, concept: str, value: float | bool | str, at: int, **more: Any) -> str:
        """One value of a concept of the knowledge, in the concept's own unit."""
        known = self.knowledge.concepts[concept]
        said: Json = {"valueBoolean": value}
        if isinstance(value, str):
            said = {"valueCodeableConcept": _answer(known, value)}
        elif not isinstance(value, bool):
            said = {"valueQuantity": _quantity(value, known)}
        category = "vital-signs" if concept in _VITALS else "survey"
        return self._observation(
            f"{_spelt(concept)}-{self.stamp(at)}", _code(concept, self.knowledge), category, at, said, more
        )

    def pressure(self, systolic: float, diastolic: float, at: int, **more: Any) -> str:
        """A blood pressure as one panel, the way that vital signs are exchanged."""
        parts = [
            {"code": _code(name, self.knowledge), "valueQuantity": _quantity(value, self.knowledge.concepts[name])}
            for name, value in (("systolic", systolic), ("diastolic", diastolic))
        ]
        code = {"coding": coding(LOINC, *BP_PANEL), "text": "Blood pressure"}
        return self._observation(f"bp-{self.stamp(at)}", code, "vital-signs", at, {"component": parts}, more)

    def _observation(self, name: str, code: Json, category: str, at: int, said: Json, more: Json) -> str:
        told = {
            "status": "final",
            "category": [{"coding": coding(OBSERVATION_CATEGORY, category)}],
            "code": code,
            "subject": self.subject,
            "effectiveDateTime": self.time(at),
        }
        return self.add("Observation", name, told | said | more)

    def scored(self, name: str, answers: Mapping[str, object], at: int) -> bool:
        """A questionnaire: the answers and the score as they are published. Whether it raises a suicide alarm."""
        found = score(instrument(self.knowledge, name), answers)
        patient, time = self.subject["reference"], self.time(at)
        self.adopt(
            score_to_fhir(found, answers, self.knowledge, at=time, patient_reference=patient, software_version=SOFTWARE)
        )
        return any(said.level == ALARM for said in found.says)

    def keep(self, made: Json) -> None:
        """A resource that somebody else wrote."""
        self.made.append(made | {"meta": {"tag": [HTEST]}})

    def adopt(self, published: Mapping[str, Any]) -> None:
        """The resources of a published result; they refer to each other, and to the clinic's one Device, by id."""
        every = [entry["resource"] for entry in published["entry"]]
        names = {
            f"urn:uuid:{r['id']}": f"{r['resourceType']}/{DEVICE if r['resourceType'] == 'Device' else r['id']}"
            for r in every
        }
        kept = [r | {"meta": {"tag": [HTEST]}} for r in every if r["resourceType"] not in COMMON]
        text = _UUID.sub(lambda found: names.get(found[0], found[0]), orjson.dumps(kept).decode())
        self.made += orjson.loads(text)

    # --- what is taken ------------------------------------------------------------------------------------------------

    def medicine(self, substance: str) -> Json:
        """A substance by its codes and our own."""
        known = self.knowledge.substances[substance]
        pairs = [code.split("|", 1) for code in known.codes]
        codes = [
            c for kind, code in pairs if kind in CODE_SYSTEMS for c in coding(CODE_SYSTEMS[kind], code, known.name)
        ]
        return {"coding": [*codes, *coding(LOCAL, known.id)], "text": known.name}


def transaction(resources: Sequence[Json]) -> Json:
    """Resources that know their ids, as one Bundle that a store takes as a whole."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": f"{HOME}/{name}", "resource": r, "request": {"method": "PUT", "url": name}}
            for r in resources
            if (name := f"{r['resourceType']}/{r['id']}")
        ],
    }


def within(value: float, bounds: Sequence[float]) -> float:
    """The value, or the bound that it passed."""
    return min(max(value, bounds[0]), bounds[-1])


def quantity(value: float, unit: str) -> Json:
    """A Quantity in a UCUM unit."""
    return {"value": number(value), "unit": unit, "system": UCUM, "code": unit}


def _quantity(value: float, known: Concept) -> Json:
    return quantity(value, known.unit or "1")


def _spelt(concept: str) -> str:
    """A concept as part of an id, which takes no underscore."""
    return concept.replace("_", "-")


def _answer(known: Concept, value: str) -> Json:
    """One of a concept's answers, by its published code where it has one."""
    if value not in known.answers:
        raise BadInput(f"{known.id} has no such answer", "synthetic.toml")
    codes = [c.rpartition("|") for c in known.answers[value] if "|" in c]
    return {
        "coding": [c for system, _, code in codes[:1] for c in coding(system, code)] + coding(LOCAL, value),
        "text": value,
    }


@cache
def _code(concept: str, knowledge: Knowledge) -> Json:
    """Our own code, and before it the first LOINC code of the concept that was looked up."""
    known = knowledge.concepts[concept]
    rows = (r for r in knowledge.content["valuesets"] if r["set"] == known.codes and r["system"] == LOINC)
    found = [c for r in rows if r["status"] == "verified" for c in coding(LOINC, r["code"], r["display"])]
    return {"coding": [*found[:1], *coding(LOCAL, known.id)], "text": known.title}
