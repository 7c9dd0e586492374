"""What was recorded in a session, as FHIR R4 resources that `record` reads back.

`observations` tells the whole day, one resource a value; `entries` tells how things stand, for a question that is
weighed by the rules of `assess`. What was not asked or not measured has no resource: silence stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from adjunct.base import MS_PER_SECOND
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import LOCAL, Concept, fold
from adjunct.session.alarms import NALOXONE
from adjunct.session.day import Day
from adjunct.session.model import Event, Phase, State, escort_here

Json = dict[str, Any]

ITEM = "urn:adjunct:item"  # what is asked on the day and is no concept of its own
SESSION = "urn:adjunct:session"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
OXYGEN_FLOW = ("3151-8", "Inhaled oxygen flow rate")
FLOW_UNIT = "L/min"
VITALS = frozenset({"systolic", "diastolic", "heart_rate", "resp_rate", "spo2", "temperature", "weight"})
PLAIN = frozenset(
    {"readiness", "vitals", "sedation", "dissociation", "nausea", "distress", "mood", "discharge-check"}
)  # types whose fields each stand for themselves
APART = frozenset({"before-check-in", "device-not-tied", "discharge-refused"})  # flags of what does not count
AFTER_END = frozenset({"after-end"})
PERSONAL = frozenset({"escort_name", "escort_phone", "escort_fit"})


class Said(NamedTuple):
    """One value as it was recorded: of what (a concept or an item), when, by whom, in which event."""

    what: str
    value: Any
    at: int
    by: str
    event: str
    received: int | None = None
    offset: timedelta | None = None
    air: bool = True  # a saturation: on room air, as far as anybody said
    flow: float = 0.0  # L/min of oxygen, where it is known
    status: str = "final"


def observations(
    events: Iterable[Event],
    state: State,
    knowledge: Knowledge,
    *,
    withdrawn: Iterable[Event] = (),
    subject: Mapping[str, Any] | None = None,
) -> tuple[Json, ...]:
    """One Observation for every value of the effective `events`, in their order.

    What a correction put right is `corrected`; what did not happen, and what stands in `withdrawn`, is
    `entered-in-error`; what was recorded after the end is `preliminary` until somebody says whose it is. An artefact
    was never a value and has none, and what nobody tied to this person is left out. `subject` stands in the place of
    the session's own.
    """
    apart, after = ({f.event for f in state.flags or () if f.code in codes} for codes in (APART, AFTER_END))
    told = [*_said((e for e in events if e.id not in apart), state, knowledge)]
    told = [s._replace(status="preliminary") if s.event in after else s for s in told]
    told += (s._replace(status="entered-in-error") for s in _said(withdrawn, state, knowledge))
    return tuple(_observation(said, state, knowledge, subject) for said in told)


def entries(state: State, knowledge: Knowledge, *, patient: str = "", dose: bool = True) -> list[Json]:
    """How things stand, as entries of a Bundle about `patient`: last answers and readings, what was told, the dose.

    Without `dose` this session's own is left out: it is not what stands before it.
    """
    subject = {"reference": patient or state.patient} if patient or state.patient else None
    made = [_observation(said, state, knowledge, subject) for said in _standing(state)]
    for number, (words, last_use, told) in enumerate(told_today(state)):
        made += _taken(words, last_use, told, number, state, subject)
    if dose:
        made += _dose(state, subject)
    return [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in made]


def told_today(state: State) -> list[tuple[str, int | None, int]]:
    """What was told as taken: words, last use, when it was told. A time told later answers a question left open."""
    timed = {fold(words): told for words, last_use, told in state.substances if last_use is not None}
    return [(w, last, told) for w, last, told in state.substances if last is not None or told > timed.get(fold(w), 0)]


def identity(*parts: object) -> str:
    """The id of a resource, from what it is made of: the same session published twice is the same resources."""
    return str(uuid5(NAMESPACE_URL, ":".join((SESSION, *map(str, parts)))))


def moment(ms: int, offset: timedelta) -> str:
    """An instant as FHIR writes it, to the millisecond.

    >>> moment(1_500, timedelta(hours=1))
    '1970-01-01T01:00:01.500+01:00'
    """
    read = datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC) + timedelta(milliseconds=ms % MS_PER_SECOND)
    return read.astimezone(timezone(offset)).isoformat(timespec="milliseconds")


# --- what an event says -----------------------------------------------------------------------------------------------


def _said(events: Iterable[Event], state: State, knowledge: Knowledge) -> Iterator[Said]:
    air, flow = True, 0.0
    for event in events:
        status = "entered-in-error" if event.withdrawn else "final" if event.was is None else "corrected"
        if not event.withdrawn:
            flow = event.data.get("oxygen", 0.0 if event.data.get("room_air") else flow)
            air = event.data.get("room_air", flow == 0 if "oxygen" in event.data else air)
        for what, value in _values(event, state, knowledge):
            yield Said(what, value, event.at, event.by, event.id, event.received, event.offset, air, flow, status)


def _values(event: Event, state: State, knowledge: Knowledge) -> Iterator[tuple[str, Any]]:
    """Each concept or item that an event speaks of, with its value."""
    data = event.data
    match event.type:
        case kind if kind in PLAIN:
            impossible = _artefacts(data)
            yield from ((name, value) for name, value in data.items() if name not in impossible)
        case "event":
            yield data["sign"], data["present"]
        case "consent":
            yield from _consent(data["confirmed"])
        case "escort":
            if (here := escort_here(data.get("present"), data.get("fit"))) is not None:
                yield "escort_present", here
        case "transport-arranged":
            yield "transport_arranged", True
        case "substance-disclosed":
            yield "last_use", (data["text"], data.get("last_use"))
        case "medication-given" if NALOXONE in Day.of(knowledge).substances(data["substance"]):
            yield "naloxone_given", event.at
        case "left-before-discharge" if state.phase is Phase.LEFT:
            yield "left_before_discharge", event.at
        case "discharged":  # one that the gate refused stands apart
            yield "discharge_signed", True


def _artefacts(data: Mapping[str, Any]) -> frozenset[str]:
    """Fields without a value: outside anything measurable, or a diastolic pressure that is not below the systolic."""
    names = {"implausible", *data.get("implausible", ())}
    if {"systolic", "diastolic"} <= data.keys() and data["diastolic"] >= data["systolic"]:
        names |= {"systolic", "diastolic"}
    return frozenset(names)


def _standing(state: State) -> Iterator[Said]:
    """The last answer and the last reading of everything, and the readings before the dose."""
    flow, said = state.readings.get("oxygen"), state.oxygen()
    air, on = not (said and said[-1][1]), flow.value if flow is not None else 0.0
    for what, answer in state.answers.items():
        yield from (
            Said(name, value, answer.at, answer.by, answer.event)
            for name, value in _answered(what, answer.value, state)
        )
    for what, reading in state.readings.items():
        yield Said(what, reading.value, reading.at, reading.by, reading.event, air=air, flow=on)
    for what, reading in state.baseline.items():
        if state.readings.get(what) != reading:
            yield Said(what, reading.value, reading.at, reading.by, reading.event)


def _answered(what: str, value: Any, state: State) -> Iterator[tuple[str, Any]]:
    """What an answer states. Who the escort is and how to call is in no result."""
    if what == "consent" and isinstance(value, bool):
        yield from _consent(value)
    elif what == "escort_present":
        if state.escort is not None:
            yield what, state.escort
    elif what == "naloxone_given":
        yield what, state.answers[what].at
    elif what == "transport_arranged":  # by whom stays here
        yield what, True
    elif what not in PERSONAL and value is not None:
        yield what, value


def _consent(confirmed: bool) -> Iterator[tuple[str, Any]]:
    """Said again today. A yes is no signature; a no takes back the one there is."""
    yield "consent_confirmed", confirmed
    if not confirmed:
        yield "consent", "declined"


# --- as FHIR ----------------------------------------------------------------------------------------------------------


def _observation(said: Said, state: State, knowledge: Knowledge, subject: Mapping[str, Any] | None) -> Json:
    zone = state.zone if said.offset is None else said.offset
    concept = knowledge.concepts.get(said.what)
    resource: Json = {
        "resourceType": "Observation",
        "id": identity(state.session, said.event, said.what),
        "status": said.status,
        "category": [{"coding": [{"system": CATEGORY, "code": _category(said.what, concept)}]}],
        "code": _code(said.what, said.value, concept, knowledge),
        "effectiveDateTime": moment(said.at, zone),
    }
    if subject is not None or state.patient:
        resource["subject"] = dict(subject) if subject is not None else {"reference": state.patient}
    if said.by:
        resource["performer"] = [{"display": said.by}]
    if said.received is not None:
        resource["issued"] = moment(said.received, zone)
    if said.what == "last_use":
        words, last_use = said.value
        return resource | _last_use(words, last_use, zone)
    if said.what == "spo2" and not said.air:
        return resource | _on_oxygen(resource["code"], said)
    return resource | _value(said.what, said.value, concept, zone)


def _code(what: str, value: Any, concept: Concept | None, knowledge: Knowledge) -> Json:
    """The fact that it is of, or the item of the day; a no to an item may be the no of facts."""
    if concept is None:
        item = _items(knowledge).get(what, {})
        coding = [{"system": ITEM, "code": what}]
        if value is False:
            coding += [{"system": LOCAL, "code": fact} for fact in item.get("no_of", ())]
        return {"coding": coding, "text": item.get("title", what)}
    coding = [{"system": LOCAL, "code": what}]
    if found := _loinc(knowledge).get(concept.codes):
        coding.insert(0, {"system": LOINC, "code": found})
    return {"coding": coding, "text": concept.title}


@cache
def _loinc(knowledge: Knowledge) -> Mapping[str, str]:
    """Value set -> its first LOINC code that was looked up."""
    rows = (r for r in knowledge.content["valuesets"] if r["system"] == LOINC and r["status"] == "verified")
    return {row["set"]: row["code"] for row in reversed([*rows])}


@cache
def _items(knowledge: Knowledge) -> Mapping[str, Mapping[str, Any]]:
    """What is asked on the day, by id."""
    return {item["id"]: item for name in ("readiness", "discharge") for item in knowledge.content[name].get("item", ())}


def _category(what: str, concept: Concept | None) -> str:
    return "vital-signs" if what in VITALS else "survey" if concept and concept.kind == "score" else "exam"


def _value(what: str, value: Any, concept: Concept | None, zone: timedelta) -> Json:
    """The value[x] of what was recorded: a whole number is an instant, a fraction a measure or a score."""
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int):
        return {"valueDateTime": moment(value, zone)}
    if isinstance(value, float):
        unit = (concept.unit if concept else "") or (FLOW_UNIT if what == "oxygen" else "1")
        return {"valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}}
    if concept is not None and concept.answers:
        return {"valueCodeableConcept": {"coding": [{"system": LOCAL, "code": str(value)}], "text": str(value)}}
    return {"valueString": str(value)}


def _on_oxygen(code: Json, said: Said) -> Json:
    """A saturation measured while oxygen flows: what was measured, and that it is at most this on room air.

    The upper bound can still show a danger and never shows that there is none.
    """
    code_flow = {"coding": [{"system": LOINC, "code": OXYGEN_FLOW[0], "display": OXYGEN_FLOW[1]}]}
    flow = {"value": said.flow, "unit": FLOW_UNIT, "system": UCUM, "code": FLOW_UNIT}
    measured = {"value": said.value, "unit": "%", "system": UCUM, "code": "%"}
    title = "Oxygen saturation while oxygen is given"
    return {
        "code": {"coding": [{"system": ITEM, "code": "spo2_on_oxygen"}], "text": title},
        "valueQuantity": measured,
        "component": [
            {"code": code, "valueQuantity": {"comparator": "<="} | measured},
            *([{"code": code_flow, "valueQuantity": flow}] if said.flow > 0 else []),
        ],
    }


def _last_use(words: str, when: int | None, zone: timedelta) -> Json:
    """When something was last taken; without a time it is said that nobody knows."""
    what = {"coding": [{"system": LOCAL, "code": "substance"}]}
    return {
        "component": [{"code": what, "valueCodeableConcept": {"text": words}}],
        **({"valueDateTime": moment(when, zone)} if when is not None else {"dataAbsentReason": {"text": "not known"}}),
    }


def _taken(
    words: str, last_use: int | None, told: int, number: int, state: State, subject: Mapping[str, Any] | None
) -> list[Json]:
    """Something told today: in use, as the person says it, with the last use where that is known."""
    about = {"subject": dict(subject)} if subject else {}
    use = {
        "resourceType": "MedicationStatement",
        "id": identity(state.session, "taken", number, told),
        "status": "active",
        "medicationCodeableConcept": {"text": words},
        "dateAsserted": moment(told, state.zone),
        **about,
    }
    if last_use is None:
        return [use]
    seen = {
        "resourceType": "Observation",
        "id": identity(state.session, "last-use", number, told),
        "status": "final",
        "code": {"coding": [{"system": LOCAL, "code": "last_use"}]},
        "effectiveDateTime": moment(told, state.zone),
        **about,
    }
    return [use, seen | _last_use(words, last_use, state.zone)]


def _dose(state: State, subject: Mapping[str, Any] | None) -> list[Json]:
    """The dose of this session from its first to its last part, and the end of an infusion."""
    dose = state.dose
    if dose.watch_from is None:
        return []
    last = max(dose.watch_from, dose.last or dose.watch_from)
    period = {"start": moment(dose.began or dose.watch_from, state.zone), "end": moment(last, state.zone)}
    values: dict[str, Json] = {"dose": {"valuePeriod": period}}
    if not state.treatment.endswith("nasal") and dose.rate is None:
        values["infusion_end"] = {"valueDateTime": period["end"]}
    return [
        {
            "resourceType": "Observation",
            "id": identity(state.session, name),
            "status": "final",
            "code": {"coding": [{"system": LOCAL, "code": name}]},
            "effectiveDateTime": period["end"],
            **({"subject": dict(subject)} if subject else {}),
            **value,
        }
        for name, value in values.items()
    ]
