"""What a record holds for follow-up: alarms, screens and acts of suicide risk, check-ins, the safety plan.

Alarms are the suicide alerts of the instruments' own files, over every response and every single item on record; doubt
goes up. What was received after `now` has not arrived; what is dated later without a receipt counts as received now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from adjunct.base import MS_PER_SECOND, NO, YES, Instant
from adjunct.due import Done
from adjunct.fhir import Bundle, Entry
from adjunct.followup import checkins
from adjunct.followup.checkins import PERSON, SPOKEN, SUICIDE, CheckIn
from adjunct.followup.cover import Cover
from adjunct.followup.risk import SCREENER
from adjunct.followup.safety_plan import Plan
from adjunct.followup.schedule import WHAT
from adjunct.followup.stored import ALARMS, check_in_of, check_ins, moment, receipt, stored_events, versions, written
from adjunct.followup.workflow import Event, State, replay
from adjunct.instruments import Instrument, instrument, score
from adjunct.instruments.answers import read_answer
from adjunct.instruments.responses import Answers, Recognised, answers_from, recognised, suicide_items
from adjunct.knowledge import Knowledge
from adjunct.record import Problem, Record, from_bundle
from adjunct.record.questionnaires import codes_for, item_codes, items_in, loinc_by_link
from adjunct.record.values import DROPPED, Codes, mappings

Json = dict[str, Any]
Resource = Mapping[str, Any]

MISSED = "missed-checkin"
CHECK_IN = "check-in"  # the kind of alarm that its question on suicide raises
OUTCOME = "urn:adjunct:risk-outcome"
CONCERN, EVALUATED, SEEN = "suicide_concern", "suicide_evaluation", "suicide_prescriber_seen"
ACTS: Mapping[str, Json] = {"notified": {}, "contact": {"result": "made"}}  # what it is that the prescriber saw them
KINDS = {"phq9": "phq9-item9", "qidssr16": "qids-item12", "madrs": "madrs-item10"}  # as the workflow calls them
NOT_THEIRS = ("unproven-subject", "not-about-person")  # as the record says that something is perhaps not this person's
ABSENT = "unknown:"  # how evidence begins that says why there is no value
LATE = "dated in the future"  # how the record says that it did not count something
LAST_DAY = Instant(round((datetime.max.replace(tzinfo=UTC) - timedelta(days=2)).timestamp()) * MS_PER_SECOND)
CAPACITY = {
    "Patient": PERSON,
    "Practitioner": "clinician",
    "PractitionerRole": "clinician",
    "CareTeam": "clinician",
    "RelatedPerson": "supporter",
}


def risk_events(bundle: Bundle, record: Record, knowledge: Knowledge) -> tuple[Event, ...]:
    """All alarms, screens and acts on record that had arrived by `record.now`, for `workflow.replay`.

    Alarms are the suicide alerts of the instruments' own files, over every response and every single item on record.
    """
    now = record.now
    checked = frozenset(e.reference for e in bundle.of("QuestionnaireResponse") if check_in_of(e.resource))
    answered = {event.id: event for event in _answered(bundle, checked, knowledge, now)}
    single = {event.id: event for event in _single(bundle, record, checked, knowledge, now)}
    late = {p.reference for p in record.problems if LATE in p.what}
    if late:  # the record does not count what is dated later; an alarm is looked at all the same
        later = from_bundle(bundle, knowledge, now=LAST_DAY, phase=record.phase)
        for event in _single(bundle, later, checked, knowledge, now):
            if event.type in ALARMS and event.id.startswith(tuple(f"{reference}/" for reference in late)):
                single.setdefault(event.id, event)
    single |= {event.id: event for event in _closed(bundle, knowledge, now)}
    screened = tuple(f"{e.data['screen']}/" for e in answered.values() if e.type == "screen")
    single = {i: e for i, e in single.items() if not (e.type == "screen" and i.startswith(screened))}
    checks = (event for each in check_ins(bundle, knowledge, now=now) for event in checkins.events(each))
    events = (*(single | answered).values(), *checks, *stored_events(bundle, now=now))
    return tuple(e for e in events if e.received <= now.ms)


def _answered(bundle: Bundle, checked: frozenset[str], knowledge: Knowledge, now: Instant) -> Iterator[Event]:
    """Filled-in instruments: a screen for the suicide screener, an alarm for each other suicide alert.

    A response that may not be interpreted as a whole is looked at all the same: it is this person's, and an alarm asks.
    """
    forms = item_codes(e.resource for e in bundle.of("Questionnaire"))
    for entry in _responses(bundle):
        response = entry.resource
        if entry.reference in checked:
            continue
        if entry.uninterpretable and check_in_of(response):
            yield _alarm(entry, CHECK_IN, now)  # whatever was answered to its question on suicide
        loinc = loinc_by_link(codes_for(response, forms), knowledge)
        found = recognised(response, knowledge, loinc)
        for name in found.whole:
            form = instrument(knowledge, name)
            answers = answers_from(form, response, loinc)
            readings = [answers.given, *({item: value} for item, value in answers.others)]
            if name == SCREENER:
                for number, given in enumerate(readings):
                    said = {item.id: _spoken(read_answer(item, given.get(item.id))) for item in form.items}
                    yield _event(
                        entry, "screen", now, {"screen": entry.reference, "answers": said}, name=f"screen-part-{number}"
                    )
            elif _unclear(form, response, answers, found) or any(_raises(name, given, knowledge) for given in readings):
                yield _alarm(entry, _kind(name), now)


def _responses(bundle: Bundle) -> Iterator[Entry]:
    return (e for e in _theirs(bundle, "QuestionnaireResponse") if str(e.resource.get("status")) not in DROPPED)


def _theirs(bundle: Bundle, kind: str) -> Iterator[Entry]:
    """The resources of this person, also those of which something cannot be read."""
    aside = {p.reference for p in bundle.problems if p.code in NOT_THEIRS}
    return (e for e in bundle.resources if e.type == kind and not (e.uninterpretable and e.reference in aside))


def _unclear(form: Instrument, response: Resource, answers: Answers, found: Recognised) -> bool:
    """Whether an item on suicide was answered in a way that cannot be read, or under a linkId that is not known."""
    asked = suicide_items(form)
    if asked & answers.unread:
        return True
    links = {str(item.get("linkId", "")) for item in items_in(response) if item.get("answer")}
    return form.id in found.named and not asked & answers.given.keys() and bool(asked and links - answers.links)


def _raises(name: str, given: Mapping[str, object], knowledge: Knowledge) -> bool:
    return any(said.level == SUICIDE for said in score(instrument(knowledge, name), given).says)


def _kind(name: str) -> str:
    return KINDS.get(name, f"{name}-{SUICIDE}")


def _spoken(value: object) -> str:
    return SPOKEN.get(int(value), "unknown") if isinstance(value, float) else "unknown"


def _single(
    bundle: Bundle, record: Record, checked: frozenset[str], knowledge: Knowledge, now: Instant
) -> Iterator[Event]:
    """Single observations, in whatever resource they stand. Answers of one time are one screen."""
    entries, events = {e.reference: e for e in bundle.resources}, record.events
    asked = _asked(knowledge)
    for concept, row in _rows(record, (*asked, CONCERN, EVALUATED, SEEN), knowledge):
        evidence = record.evidence[events.source[row]]
        entry, status, at = entries.get(evidence.reference), int(events.status[row]), int(events.t1[row])
        code = knowledge.code_ids[events.code[row]] if events.code[row] >= 0 else ""
        if entry is None or entry.reference in checked:
            continue
        name, item = asked.get(concept, ("", ""))
        if name and name != SCREENER:
            value = float(events.value[row])
            unread = value != value and evidence.value not in ("", "no") and not evidence.value.startswith(ABSENT)
            if unread or _raises(name, {item: value}, knowledge):
                yield _alarm(entry, _kind(name), now, at=at)
        elif name:
            said = "yes" if code == "yes" else "no" if code == "no" and status == NO else "unknown"
            data = {"screen": f"{SCREENER}@{written(at)}", "answers": {item: said}}
            yield _event(entry, "screen", now, data, at=at, name=f"screen-{item}")
        elif concept == CONCERN and (code == "yes" or (not code and evidence.value)):
            kind = "supporter" if _who(entry.resource)[1] == "supporter" else "free-text"
            yield _alarm(entry, kind, now, at=at)
        elif concept in (EVALUATED, SEEN) and status == YES:
            begun = int(events.t0[row])  # an act of a day may have come before its alarm: then it answers nothing
            acts = ACTS if concept == SEEN else {"evaluated": _outcome(entry.resource)}
            yield from (_event(entry, kind, now, data, at=begun) for kind, data in acts.items())


def _closed(bundle: Bundle, knowledge: Knowledge, now: Instant) -> Iterator[Event]:
    """Single observations of an item on suicide that may not be interpreted: whatever they say, somebody asks."""
    asked = _asked(knowledge)
    for entry in _theirs(bundle, "Observation"):
        if not entry.uninterpretable or str(entry.resource.get("status")) in DROPPED:
            continue
        for part in (entry.resource, *mappings(entry.resource.get("component"))):
            pairs = Codes.read(part.get("code")).pairs
            for concept in dict.fromkeys(c for system, code in pairs for c in knowledge.concepts_for(system, code)):
                name, item = asked.get(concept, ("", ""))
                at = moment(entry.resource, ("effectiveDateTime", "issued"), now)
                if name == SCREENER:
                    data = {"screen": f"{SCREENER}@{written(at)}", "answers": {item: "unknown"}}
                    yield _event(entry, "screen", now, data, at=at, name=f"screen-{item}")
                elif name:
                    yield _alarm(entry, _kind(name), now, at=at)


def _asked(knowledge: Knowledge) -> dict[str, tuple[str, str]]:
    """The concepts that stand for one item of an instrument that may raise a suicide alert, with that item."""
    return {
        item["concept"]: (name, item["id"])
        for name, entry in knowledge.instruments.items()
        for item in entry.get("item", ())
        if "concept" in item and any(alert["level"] == SUICIDE for alert in entry.get("alert", ()))
    }


def _rows(record: Record, concepts: Iterable[str], knowledge: Knowledge) -> Iterator[tuple[str, int]]:
    events = record.events
    for concept in concepts:
        number = knowledge.vocabulary.concepts[concept]
        for row in range(int(events.starts[number]), int(events.starts[number + 1])):
            if events.person[row] == 0 and events.source[row] >= 0:
                yield concept, row


def _outcome(resource: Resource) -> Json:
    """The outcome of an evaluation, where a coding beside its value names it."""
    concepts = [p.get("valueCodeableConcept") for p in (resource, *mappings(resource.get("component")))]
    codings = [c for said in mappings(concepts) for c in mappings(said.get("coding"))]
    code = next((c.get("code") for c in codings if c.get("system") == OUTCOME), None)
    return {"outcome": code} if code else {}


def _alarm(entry: Entry, kind: str, now: Instant, *, at: int | None = None) -> Event:
    return _event(entry, "trigger", now, {"kind": kind}, at=at, name=f"trigger-{kind}")


def _event(entry: Entry, kind: str, now: Instant, data: Json, *, at: int | None = None, name: str = "") -> Event:
    by, source = _who(entry.resource)
    true = moment(entry.resource, ("authored",), now) if at is None else at
    arrived = receipt(entry.resource, now)
    return Event(
        id=f"{entry.reference}/{name or kind}",
        at=true,
        received=min(true, now.ms) if arrived is None else arrived,
        type=kind,
        by=by,
        source=source,
        data=data,
    )


def _who(resource: Resource) -> tuple[str, str]:
    """Who said so, and in which capacity; empty where the record does not tell."""
    for key in ("author", "performer", "source", "asserter", "recorder"):
        for reference in mappings(resource.get(key)):
            address = str(reference.get("reference") or "")
            kind = str(reference.get("type") or next((k for k in CAPACITY if f"{k}/" in address), ""))
            return str(reference.get("display") or address), CAPACITY.get(kind, "")
    return "", ""


# --- check-ins and the safety plan ------------------------------------------------------------------------------------


def checkin_acts(bundle: Bundle, record: Record, knowledge: Knowledge) -> tuple[Done, ...]:
    """What covers the steps of the schedule: a check-in in which the suicide question was answered, or left open.

    A first question to the clinic is none: the schedule begins with the course.
    """
    acts = []
    for state in (s for s in check_ins(bundle, knowledge, now=record.now) if s.book == checkins.BOOK):
        first = next((a for a in state.answers if a.question == SUICIDE), None)
        if first is not None and checkins.value_of(state, SUICIDE) is not None:
            acts.append(Done(what=WHAT, at=first.at, step=state.id, reference=first.id))
    return tuple(acts)


def missed_checkin_acts(bundle: Bundle, knowledge: Knowledge) -> tuple[Done, ...]:
    """What covers the call to somebody who did not answer: each time the person was spoken with."""
    acts = replay(knowledge, stored_events(bundle)).acts
    return tuple(Done(what=MISSED, at=a.at, reference=a.event) for a in acts if a.kind == "contact")


def message_acts(risk: State, sent: Iterable[CheckIn], cover: Cover) -> tuple[Done, ...]:
    """What answers an urgent message: that a named person confirmed it, or that the person was spoken with."""
    answering = sorted((a.at, a.event) for a in risk.acts if a.kind in ("acknowledged", "contact"))
    return tuple(
        Done(what=step.what, at=at, step=step.id, reference=event)
        for state in sent
        for step in checkins.alert_steps(state, cover)
        for at, event in answering
        if at >= step.window.opens
    )


def safety_plan(bundle: Bundle, knowledge: Knowledge, *, now: Instant | None = None) -> Plan:
    """Every version of the safety plan that can be read, by `now` if it is given."""
    return versions(bundle, knowledge, now=now)[0]


def safety_plan_problems(bundle: Bundle, knowledge: Knowledge) -> tuple[Problem, ...]:
    """What stands as a safety plan and cannot be read as one."""
    return versions(bundle, knowledge)[1]
