"""What a record holds of alarms, acts, check-ins and safety plans, read for follow-up; and how each is stored in R4.

| value | stored as |
|---|---|
| an event of the suicide-risk workflow | Communication: `topic` its type, `sent` the true time, `received` the receipt |
| what one submission of a check-in said | QuestionnaireResponse; PHQ-9 and C-SSRS items as responses of these forms |
| one version of a safety plan | QuestionnaireResponse of its own, never overwritten |

Doubt goes up: an alarm counts whatever its status, an act only as completed; a date without an hour counts from its
end, so that what was done before it answers nothing. What was received after `now` has not arrived; what is dated
later without a receipt counts as received now.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from adjunct.base import NO, YES, BadInput, Instant, partial_date
from adjunct.due import Done
from adjunct.fhir import Bundle, Entry
from adjunct.followup import checkins
from adjunct.followup.checkins import DECLINED, PERSON, PHQ, PHQ_FIRST, SPOKEN, SUICIDE, Answer, CheckIn
from adjunct.followup.cover import DEFAULT_LANGUAGE
from adjunct.followup.risk import ITEMS, SCREENER
from adjunct.followup.safety_plan import Plan, Version, add
from adjunct.followup.schedule import WHAT
from adjunct.followup.workflow import Event
from adjunct.instruments import instrument, score
from adjunct.instruments.answers import read_answer
from adjunct.instruments.responses import ANSWER, LOINC, QUESTIONNAIRE, answers_from, recognised
from adjunct.knowledge import Knowledge
from adjunct.record import Problem, Record
from adjunct.record.reading import item_codes
from adjunct.record.values import DROPPED, listed, mappings

Json = dict[str, Any]
Resource = Mapping[str, Any]

EVENT = "urn:adjunct:risk-event"
SOURCE = "urn:adjunct:risk-source"
OUTCOME = "urn:adjunct:risk-outcome"
RECEIVED = "urn:adjunct:received"
CHECK_IN = "urn:adjunct:check-in"
SUBMISSION = "urn:adjunct:submission"
SAFETY_PLAN = "urn:adjunct:safety-plan"
AFTER = "urn:adjunct:safety-plan-after"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
ASKED_DECLINED = "asked-declined"
CHECK_IN_FORM = f"{QUESTIONNAIRE}:check-in|1"
SAFETY_PLAN_FORM = f"{QUESTIONNAIRE}:safety-plan|1"
REASON = "reason"
PHQ2 = "phq2"

ALARMS = ("trigger", "screen", "level")  # what counts whatever became of its record
# Concepts of single items, and the kind of alarm that an instrument's own suicide alert is to the workflow.
ITEM_CONCEPTS = {
    "phq9_item9": ("phq9", "i9"),
    "qids_item12": ("qidssr16", "i12"),
    "madrs_item10": ("madrs", "i10"),
}
SCREENED = {f"{SCREENER}_{item}": item for item in ITEMS}
CONCERN, EVALUATED, SEEN = "suicide_concern", "suicide_evaluation", "suicide_prescriber_seen"
KINDS = {"phq9": "phq9-item9", "qidssr16": "qids-item12", "madrs": "madrs-item10"}
CAPACITY = {
    "Patient": PERSON,
    "Practitioner": "clinician",
    "PractitionerRole": "clinician",
    "CareTeam": "clinician",
    "RelatedPerson": "supporter",
}


# --- everything that was recorded about suicide risk ------------------------------------------------------------------


def risk_events(bundle: Bundle, record: Record, knowledge: Knowledge) -> tuple[Event, ...]:
    """All alarms, screens and acts on record that had arrived by `record.now`, for `workflow.replay`.

    Alarms are the suicide alerts of the instruments' own files, over every response and every single item on record.
    """
    now = record.now
    checked = frozenset(e.reference for e in bundle.of("QuestionnaireResponse") if _check_in(e.resource))
    answered = {event.id: event for event in _answered(bundle, checked, knowledge, now)}
    single = {event.id: event for event in _single(bundle, record, checked, knowledge)}
    screened = tuple(f"{e.data['screen']}/" for e in answered.values() if e.type == "screen")
    single = {i: e for i, e in single.items() if not (e.type == "screen" and i.startswith(screened))}
    checks = (event for each in check_ins(bundle, knowledge, now=now) for event in checkins.events(each))
    events = (*(single | answered).values(), *checks, *stored(bundle, now=now))
    return tuple(e for e in events if e.received <= now.ms)


def _answered(bundle: Bundle, checked: frozenset[str], knowledge: Knowledge, now: Instant) -> Iterator[Event]:
    """Filled-in instruments: a screen for the suicide screener, an alarm for each other suicide alert."""
    forms = item_codes(e.resource for e in bundle.of("Questionnaire"))
    for entry in bundle.of("QuestionnaireResponse"):
        response = entry.resource
        url = str(response.get("questionnaire") or "")
        links = forms.get(url) or forms.get(url.partition("|")[0]) or {}
        loinc = {link: frozenset(code for system, code in c.pairs if system == LOINC) for link, c in links.items()}
        if entry.reference in checked or response.get("status") in DROPPED:
            continue
        name = recognised(response, knowledge, loinc)
        if not name or not knowledge.instruments[name].get("item"):
            continue
        form = instrument(knowledge, name)
        if name == SCREENER:
            given = answers_from(form, response, loinc).given
            said = {item.id: _spoken(read_answer(item, given.get(item.id))) for item in form.items}
            yield _event(entry, "screen", now, {"screen": entry.reference, "answers": said})
        elif any(_raises(name, answers_from(form, r, loinc).given, knowledge) for r in (response, *_singly(response))):
            yield _event(entry, "trigger", now, {"kind": _kind(name)})


def _singly(response: Resource) -> Iterator[Resource]:
    """Each answer alone: of two answers to one question, neither may hide the other."""
    items = mappings(response.get("item"))
    links = [item.get("linkId") for item in items]
    for item in items:
        answers = listed(item.get("answer"))
        if len(answers) > 1 or links.count(item.get("linkId")) > 1:
            yield from ({**response, "item": [{**item, "answer": [answer]}]} for answer in answers)


def _raises(name: str, given: Mapping[str, object], knowledge: Knowledge) -> bool:
    return any(said.level == SUICIDE for said in score(instrument(knowledge, name), given).says)


def _kind(name: str) -> str:
    return KINDS.get(name, f"{name}-{SUICIDE}")


def _spoken(value: object) -> str:
    return SPOKEN.get(int(value), "unknown") if isinstance(value, float) else "unknown"


def _single(bundle: Bundle, record: Record, checked: frozenset[str], knowledge: Knowledge) -> Iterator[Event]:
    """Single observations, in whatever resource they stand. Answers of one time are one screen."""
    entries, events, now = {e.reference: e for e in bundle.resources}, record.events, record.now
    for concept, row in _rows(record, (*ITEM_CONCEPTS, *SCREENED, CONCERN, EVALUATED, SEEN), knowledge):
        evidence = record.evidence[events.source[row]]
        entry, status, at = entries.get(evidence.reference), int(events.status[row]), int(events.t1[row])
        code = knowledge.code_ids[events.code[row]] if events.code[row] >= 0 else ""
        if entry is None or entry.reference in checked:
            continue
        if concept in ITEM_CONCEPTS:
            name, item = ITEM_CONCEPTS[concept]
            if _raises(name, {item: float(events.value[row])}, knowledge):
                yield _event(entry, "trigger", now, {"kind": _kind(name)}, at=at)
        elif concept in SCREENED:
            said = "yes" if code == "yes" else "no" if code == "no" and status == NO else "unknown"
            data = {"screen": f"{SCREENER}@{_iso(at)}", "answers": {SCREENED[concept]: said}}
            yield _event(entry, "screen", now, data, at=at, name=f"screen-{SCREENED[concept]}")
        elif concept == CONCERN and (code == "yes" or (not code and evidence.value)):
            kind = "supporter" if _who(entry.resource)[1] == "supporter" else "free-text"
            yield _event(entry, "trigger", now, {"kind": kind}, at=at)
        elif concept == EVALUATED and status == YES:
            yield _event(entry, "evaluated", now, _outcome(entry.resource), at=at)
        elif concept == SEEN and status == YES:
            yield _event(entry, "notified", now, {}, at=at)
            yield _event(entry, "contact", now, {"result": "made"}, at=at)


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


def _event(entry: Entry, kind: str, now: Instant, data: Json, *, at: int | None = None, name: str = "") -> Event:
    by, source = _who(entry.resource)
    moment = _moment(entry.resource, ("authored",), now) if at is None else at
    received = _receipt(entry.resource, now)
    return Event(
        id=f"{entry.reference}/{name or kind}",
        at=moment,
        received=min(moment, now.ms) if received is None else received,
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


# --- times ------------------------------------------------------------------------------------------------------------


def _iso(ms: int) -> str:
    return (datetime.fromtimestamp(0, tz=UTC) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")


def _read_time(text: object, now: Instant) -> int | None:
    """The end of what a date may stand for, and not later than now unless all of it is; None if it cannot be read."""
    try:
        first, last = partial_date(str(text), now.offset)
    except (BadInput, OverflowError):
        return None
    return max(first, min(last, now.ms))


def _moment(resource: Resource, names: Sequence[str], now: Instant) -> int:
    read = (_read_time(resource[name], now) for name in names if resource.get(name))
    return next((ms for ms in read if ms is not None), now.ms)


def _receipt(resource: Resource, now: Instant) -> int | None:
    """When it arrived, if the record says so."""
    for extension in mappings(resource.get("extension")):
        if extension.get("url") == RECEIVED:
            return _read_time(extension.get("valueDateTime"), now)
    return None


# --- the workflow's own events ----------------------------------------------------------------------------------------


def event_to_fhir(event: Event, *, patient_reference: str) -> Json:
    """One event of the workflow as a Communication; its data, whatever it is, as JSON beside the words.

    A correction is one more event, in response to what it corrects; nothing that was stored is changed.
    """
    data = json.dumps(event.data, sort_keys=True, allow_nan=False)
    seed = json.dumps([event.id, event.at, event.received, event.type, event.by, event.source, data])
    words = f"{event.type} at {_iso(event.at)}, received {_iso(event.received)}" + (f", {event.by}" if event.by else "")
    attachment = {"contentType": "application/json", "data": b64encode(data.encode()).decode()}
    made: Json = {
        "resourceType": "Communication",
        "id": str(uuid5(NAMESPACE_URL, f"{EVENT}:{seed}")),
        "identifier": [{"system": EVENT, "value": event.id}],
        "status": "completed",
        "category": [{"coding": [{"system": SOURCE, "code": event.source}]}],
        "topic": {"coding": [{"system": EVENT, "code": event.type}]},
        "subject": {"reference": patient_reference},
        "sent": _iso(event.at),
        "received": _iso(event.received),
        "sender": {"display": event.by},
        "payload": [{"contentString": words}, {"contentAttachment": attachment}],
    }
    if event.type == "correction" and event.data.get("of"):
        name = {"system": EVENT, "value": str(event.data["of"])}
        made["inResponseTo"] = [{"type": "Communication", "identifier": name}]
    for key, empty in (("category", not event.source), ("sender", not event.by)):
        if empty:
            del made[key]
    return made


def stored(bundle: Bundle, *, now: Instant) -> tuple[Event, ...]:
    """The workflow's own events. One that was marked as an error stays, if it is an alarm, and says who did not sign."""
    return tuple(event for entry in bundle.of("Communication") for event in _stored(entry, now))


def _stored(entry: Entry, now: Instant) -> Iterator[Event]:
    resource = entry.resource
    kind = _coded(resource.get("topic"), EVENT)
    if not kind:
        return
    at = _moment(resource, ("sent", "received"), now)
    received = _moment(resource, ("received", "sent"), now)
    event = Event(
        id=next((str(i["value"]) for i in _ours(resource, EVENT)), entry.reference),
        at=at,
        received=received,
        type=kind,
        by=str((resource.get("sender") or {}).get("display") or (resource.get("sender") or {}).get("reference") or ""),
        source=next((c for part in listed(resource.get("category")) if (c := _coded(part, SOURCE))), ""),
        data=_data(resource),
    )
    status = resource.get("status")
    if kind in (*ALARMS, "correction") or status == "completed":
        yield event
    if kind in ALARMS and status in DROPPED:
        withdrawn = {"of": event.id, "withdrawn": True}
        yield Event(id=f"{event.id}/{status}", at=at, received=received, type="correction", data=withdrawn)


def _coded(concept: object, system: str) -> str:
    codings = (c for part in mappings(concept) for c in mappings(part.get("coding")))
    return next((str(c["code"]) for c in codings if c.get("system") == system and c.get("code")), "")


def _ours(resource: Resource, system: str) -> Iterator[Resource]:
    return (i for i in mappings(resource.get("identifier")) if i.get("system") == system and i.get("value"))


def _data(resource: Resource) -> Json:
    """The data of an event; what cannot be read is none, and an alarm without data is still one."""
    for payload in mappings(resource.get("payload")):
        attachment = payload.get("contentAttachment")
        if isinstance(attachment, Mapping) and attachment.get("contentType") == "application/json":
            try:
                found = _fixed(json.loads(b64decode(str(attachment.get("data")))))
            except ValueError:
                continue
            return found if isinstance(found, dict) else {}
    return {}


def _fixed(value: Any) -> Any:
    """Lists as tuples, as events hold them."""
    if isinstance(value, dict):
        return {key: _fixed(child) for key, child in value.items()}
    return tuple(map(_fixed, value)) if isinstance(value, list) else value


# --- check-ins --------------------------------------------------------------------------------------------------------


def check_in_to_fhir(
    answers: Sequence[Answer],
    *,
    check_in: str,
    patient_reference: str,
    knowledge: Knowledge,
    language: str = DEFAULT_LANGUAGE,
) -> tuple[Json, ...]:
    """What arrived for one check-in (the id of its step): a response for each submission, form and true time."""
    groups: dict[tuple[object, ...], list[Answer]] = {}
    for a in sorted(answers, key=lambda a: (a.at, a.received, a.id)):
        form = next((n for n in (PHQ, SCREENER) if a.question in _items(n, knowledge)), "")
        turn = 0  # a question answered twice in one submission needs a response of its own
        while any(a.question == b.question for b in groups.get((a.id, a.at, a.received, form, turn), ())):
            turn += 1
        groups.setdefault((a.id, a.at, a.received, form, turn), []).append(a)
    return tuple(
        _submission(group, str(key[-2]), check_in, patient_reference, knowledge, language)
        for key, group in groups.items()
    )


def _items(name: str, knowledge: Knowledge) -> dict[str, Resource]:
    return {f"{name}.{item['id']}": item for item in knowledge.instruments[name]["item"]}


def _submission(
    group: Sequence[Answer], form: str, check_in: str, patient: str, knowledge: Knowledge, language: str
) -> Json:
    first = group[0]
    questions = {a.question.removeprefix(f"{form}.") for a in group}
    name = PHQ2 if form == PHQ and questions <= set(PHQ_FIRST) else form
    url = f"{QUESTIONNAIRE}:{name}|{knowledge.instruments[name]['version']}" if form else CHECK_IN_FORM
    items = [{"linkId": a.question.removeprefix(f"{form}."), **_answer(a, form, knowledge)} for a in group]
    made: Json = {
        "resourceType": "QuestionnaireResponse",
        "language": language,
        "extension": [
            {"url": RECEIVED, "valueDateTime": _iso(first.received)},
            {"url": SUBMISSION, "valueString": first.id},
        ],
        "identifier": {"system": CHECK_IN, "value": check_in},
        "questionnaire": url,
        "status": "completed",
        "subject": {"reference": patient},
        "authored": _iso(first.at),
        "source": {"reference": patient},
        "item": items,
    }
    return made | {"id": str(uuid5(NAMESPACE_URL, json.dumps([CHECK_IN, made], sort_keys=True)))}


def _answer(a: Answer, form: str, knowledge: Knowledge) -> Json:
    """One answer; "I would rather not say" is an item without a value, with the reason."""
    if a.value == DECLINED or a.value == "":
        return {"extension": [{"url": ABSENT, "valueCode": ASKED_DECLINED}]}
    if a.value is None:
        return {}
    values = a.value if isinstance(a.value, list | tuple) else [a.value]
    return {"answer": [_valued(value, a.question, form, knowledge) for value in values]}


def _valued(value: object, question: str, form: str, knowledge: Knowledge) -> Json:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    for option, code in _options(question, form, knowledge):
        if str(value) == option:
            return {"valueCoding": code}
    if isinstance(value, int):
        return {"valueInteger": value}
    return {"valueDecimal": value} if isinstance(value, float) else {"valueString": str(value)}


def _options(question: str, form: str, knowledge: Knowledge) -> Iterator[tuple[str, Json]]:
    """The answers that may be chosen, as the check-in writes them, each with its code in the Questionnaire."""
    if not form:
        entry = next((q for q in knowledge.content["checkins"]["question"] if q["id"] == question), {})
        system = f"{ANSWER}:check-in.{question}"
        yield from ((o["value"], {"system": system, "code": o["value"]}) for o in entry.get("options", ()))
        return
    item = _items(form, knowledge)[question]
    lists = {answers["id"]: answers["options"] for answers in knowledge.instruments[form].get("answers", ())}
    for option in lists.get(item.get("answers", ""), ()):
        written = SPOKEN[option["value"]] if item["kind"] == "yes-no" else f"{option['value']:g}"
        own = {"system": f"{ANSWER}:{question}", "code": f"{option['value']:g}"}
        yield written, {"system": LOINC, "code": option["loinc"]} if "loinc" in option else own


def _check_in(response: Resource) -> str:
    """Which check-in a response belongs to; empty if to none."""
    name = next((str(i["value"]) for i in _ours(response, CHECK_IN)), "")
    own = str(response.get("questionnaire") or "").partition("|")[0] == CHECK_IN_FORM.partition("|")[0]
    return name or ("unnamed" if own else "")


def check_ins(bundle: Bundle, knowledge: Knowledge, *, now: Instant) -> tuple[CheckIn, ...]:
    """Every check-in with all its answers, by its id. What was written in words is read again when it is asked for."""
    sets = {s["id"] for s in knowledge.content["checkins"]["set"]}
    found: dict[str, CheckIn] = {}
    for entry in bundle.of("QuestionnaireResponse"):
        name = _check_in(entry.resource)
        if not name:  # an answer once sent stays sent, whatever was made of its record later
            continue
        kind = name.rpartition(":")[-1]
        answers = [a for a in _answers(entry, knowledge, now) if a.received <= now.ms]
        state = found.get(name) or CheckIn(
            knowledge=knowledge,
            id=name,
            set=kind if kind in sets else "daily",
            phq=False,
            language=str(entry.resource.get("language") or DEFAULT_LANGUAGE),
        )
        for answer in answers:
            state = checkins.receive(state, answer)
        found[name] = replace(state, phq=any(a.question.startswith(f"{PHQ}.") for a in state.answers))
    return tuple(found[name] for name in sorted(found))


def _answers(entry: Entry, knowledge: Knowledge, now: Instant) -> Iterator[Answer]:
    response = entry.resource
    at, receipt = _moment(response, ("authored",), now), _receipt(response, now)
    extensions = mappings(response.get("extension"))
    name = next((str(e.get("valueString")) for e in extensions if e.get("url") == SUBMISSION), entry.reference)
    form = str(response.get("questionnaire") or "").partition("|")[0].removeprefix(f"{QUESTIONNAIRE}:")
    form = PHQ if form == PHQ2 else form if form in (PHQ, SCREENER) else ""
    many = {q["id"] for q in knowledge.content["checkins"]["question"] if q["kind"] == "many"}
    for item in mappings(response.get("item")):
        link = str(item.get("linkId") or "")
        question = f"{form}.{link}" if form else link
        values = [_said(answer, question, form, knowledge) for answer in mappings(item.get("answer"))]
        declined = any(e.get("valueCode") == ASKED_DECLINED for e in mappings(item.get("extension")))
        value: object = tuple(values) if question in many or values[1:] else next(iter(values), None)
        yield Answer(
            id=name,
            question=question,
            value=DECLINED if declined and not values else value if values else None,
            at=at,
            received=min(at, now.ms) if receipt is None else receipt,
        )


def _said(answer: Resource, question: str, form: str, knowledge: Knowledge) -> object:
    coding = answer.get("valueCoding")
    if isinstance(coding, Mapping):
        options = (
            {c["code"]: written for written, c in _options(question, form, knowledge)}
            if _known(question, form, knowledge)
            else {}
        )
        code = str(coding.get("code") or coding.get("display") or "")
        return options.get(code, code)
    return next((value for key, value in answer.items() if key.startswith("value")), None)


def _known(question: str, form: str, knowledge: Knowledge) -> bool:
    return not form or question in _items(form, knowledge)


def done(found: Iterable[CheckIn]) -> tuple[Done, ...]:
    """What covers the steps of the schedule: a check-in in which the suicide question was answered, or left open."""
    acts = []
    for state in found:
        first = next((a for a in state.answers if a.question == SUICIDE), None)
        if first is not None and checkins.value_of(state, SUICIDE) is not None:
            acts.append(Done(what=WHAT, at=first.at, step=state.id, reference=first.id))
    return tuple(acts)


# --- safety plan ------------------------------------------------------------------------------------------------------


def plan_to_fhir(version: Version, *, patient_reference: str) -> Json:
    """One version of the safety plan as a response of its own; those it was written from are named, not replaced."""
    sections = [
        {"linkId": name, "answer": [{"valueString": entry} for entry in entries]}
        for name, entries in version.sections.items()
    ]
    made: Json = {
        "resourceType": "QuestionnaireResponse",
        "language": version.language,
        "extension": [{"url": AFTER, "valueString": name} for name in version.after],
        "identifier": {"system": SAFETY_PLAN, "value": version.id},
        "questionnaire": SAFETY_PLAN_FORM,
        "status": "completed",
        "subject": {"reference": patient_reference},
        "authored": _iso(version.at),
        "author": {"display": version.by},
        "item": [{"linkId": REASON, "answer": [{"valueString": version.reason}]}, *sections],
    }
    made["item"] = [{key: value for key, value in item.items() if value != []} for item in made["item"]]
    if not version.after:
        del made["extension"]
    return made | {"id": str(uuid5(NAMESPACE_URL, json.dumps([SAFETY_PLAN, made], sort_keys=True)))}


def safety_plan(bundle: Bundle, knowledge: Knowledge, *, now: Instant) -> tuple[Plan, tuple[Problem, ...]]:
    """Every version on record by `now`, and what could not be read as one."""
    plan, problems = Plan(), list[Problem]()
    for entry in sorted(bundle.of("QuestionnaireResponse"), key=lambda e: e.reference):
        response = entry.resource
        own = str(response.get("questionnaire") or "").partition("|")[0] == SAFETY_PLAN_FORM.partition("|")[0]
        if not own or response.get("status") in DROPPED or _moment(response, ("authored",), now) > now.ms:
            continue
        try:
            plan = add(plan, _version(entry, now), knowledge)
        except BadInput as error:
            problems.append(Problem(reference=entry.reference, what=f"safety plan: {error}", ask="Write it again."))
    return plan, tuple(problems)


def _version(entry: Entry, now: Instant) -> Version:
    response = entry.resource
    author = next(iter(mappings(response.get("author"))), {})
    items = {str(i.get("linkId")): i for i in mappings(response.get("item"))}
    written = {
        name: tuple(str(a["valueString"]) for a in mappings(item.get("answer")) if a.get("valueString"))
        for name, item in items.items()
    }
    after = (e.get("valueString") for e in mappings(response.get("extension")) if e.get("url") == AFTER)
    return Version(
        id=next((str(i["value"]) for i in _ours(response, SAFETY_PLAN)), entry.reference),
        at=_moment(response, ("authored",), now),
        by=str(author.get("display") or author.get("reference") or ""),
        reason=" ".join(written.pop(REASON, ())),
        sections=written,
        after=tuple(map(str, after)),
        language=str(response.get("language") or DEFAULT_LANGUAGE),
    )
