"""A clinic that never was: invented people over many months, for demonstrations and load tests.

Everything is drawn from a seed and from the knowledge, so the same seed, knowledge and instant give the same bytes. Who
comes and what happens to them is data (`data/synthetic.toml`); how scores move is what follow-up believes, when visits
are is what the protocols say, and some treatment days are played minute by minute on the simulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adjunct.base import BadInput, Instant, duration_ms
from adjunct.clinic import Clinic
from adjunct.devices.simulator import dice
from adjunct.knowledge import Knowledge
from adjunct.publish.frame import coding
from adjunct.synthetic.chart import DEVICE, HL7, HTEST, Chart, Json, transaction
from adjunct.synthetic.course import contacts, first_opening
from adjunct.synthetic.people import background, care_plan, draw
from adjunct.synthetic.visits import Scribe

__all__ = ["HTEST", "clinic"]

MONTHS = 18


def clinic(
    seed: int, people: int, knowledge: Knowledge, *, now: Instant, months: int = MONTHS, light: bool = False
) -> Iterator[Json]:
    """Transaction Bundles of FHIR R4: the clinic and its staff, then one for each person, then the group of them all.

    Every resource is tagged `HTEST`. People began to come `months` before `now` (some earlier, where their story takes
    its time), and nothing in their records is later than `now` but what is booked. `light`: no day is played minute by
    minute, for a load of many people.
    """
    if people < 1 or months < 1:
        raise BadInput("a clinic has people, and has been there for a while: ask for at least 1 of each", "people")
    content = knowledge.content["synthetic"]
    own = content["clinic"]
    place = Clinic.of({"cover": {"zone": own["zone"]}, "clinic": {"country": own["country"]}}, knowledge)
    yield transaction(_place(content, knowledge))
    ids = [f"{own['id']}-{seed}-{number:05d}" for number in range(1, people + 1)]
    for number, (id_, story) in enumerate(zip(ids, stories(content["story"], people, seed), strict=True), start=1):
        chance = dice(seed, id_)
        back = max(duration_ms(f"{months} mo") * chance.random(), duration_ms(story["since"]))
        slot = chance.randint(0, own["slots"]) * duration_ms(own["slot"])
        first = first_opening(place, now.ms - round(back)) + slot
        person = draw(content, id_, number, story, first, place, chance)
        chart = Chart(id_, knowledge, place.cover)
        made, taken = contacts(knowledge, place, story, chance, start=first, now=now.ms)
        background(chart, person, taken, chance)
        care_plan(chart, person, made, now.ms)
        scribe = Scribe(chart, person, chance, now=now.ms, light=light)
        for contact in made:
            scribe.visit(contact)
        yield transaction(chart.made)
    yield transaction([_group(own["id"], seed, ids)])


def stories(told: Sequence[Mapping[str, Any]], people: int, seed: int) -> list[Mapping[str, Any]]:
    """Who has which story: each by its share, by the method of largest remainders, and mixed.

    Where there are people enough, each story is told at least once.
    """
    each = 1 if people >= len(told) else 0
    quota = [(people - each * len(told)) * story["share"] for story in told]
    counts = [each + int(q) for q in quota]
    order = sorted(range(len(told)), key=lambda n: (int(quota[n]) - quota[n], n))
    for n in order[: people - sum(counts)]:
        counts[n] += 1
    mixed = [story for story, count in zip(told, counts, strict=True) for _ in range(count)]
    dice(seed, "stories").shuffle(mixed)
    return mixed


def _place(content: Mapping[str, Any], knowledge: Knowledge) -> list[Json]:
    """The clinic itself: the organization, the place, the staff, and the software that writes."""
    own, tagged = content["clinic"], {"meta": {"tag": [HTEST]}}
    address = {"line": [own["street"]], "city": own["city"], "state": own["state"], "country": own["country"]}
    phone = [{"system": "phone", "value": own["telephone"]}]
    home = {"reference": f"Organization/{own['id']}"}
    made: list[Json] = [
        {"resourceType": "Organization", "id": own["id"], "active": True, "name": own["name"], "telecom": phone}
        | {"address": [address]},
        {"resourceType": "Location", "id": own["id"], "status": "active", "name": own["name"], "telecom": phone}
        | {"address": address, "managingOrganization": home},
        {
            "resourceType": "Device",
            "id": DEVICE,
            "status": "active",
            "manufacturer": "Adjunct",
            "deviceName": [{"name": "Adjunct", "type": "model-name"}],
            "version": [{"type": {"text": "knowledge"}, "value": knowledge.version}],
        },
    ]
    for who in content["staff"]:
        id_ = f"{own['id']}-{who['id']}"
        role = {"coding": coding(f"{HL7}/practitioner-role", who["role"]), "text": who.get("text", who["role"])}
        name = {"family": who["family"], "given": [who["given"]]}
        made.append({"resourceType": "Practitioner", "id": id_, "active": True, "name": [name]})
        made.append(
            {
                "resourceType": "PractitionerRole",
                "id": id_,
                "active": True,
                "practitioner": {"reference": f"Practitioner/{id_}"},
                "organization": home,
                "code": [role],
                "location": [{"reference": f"Location/{own['id']}"}],
            }
        )
    return [{**r, **tagged} for r in made]


def _group(name: str, seed: int, ids: Sequence[str]) -> Json:
    return {
        "resourceType": "Group",
        "id": f"{name}-{seed}",
        "meta": {"tag": [HTEST]},
        "type": "person",
        "actual": True,
        "name": "Everybody of the synthetic clinic",
        "quantity": len(ids),
        "member": [{"entity": {"reference": f"Patient/{id_}"}} for id_ in ids],
    }
