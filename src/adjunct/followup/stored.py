"""What follow-up writes down in FHIR R4 and reads back as it was: alarms and acts, check-ins, safety plans.

| value | stored as |
|---|---|
| an event of the risk workflow | Communication: `topic` its type, `sent` its true time, `received` its receipt |
| what one submission of a check-in said | QuestionnaireResponse; PHQ-9 and C-SSRS items as responses of these forms |
| ketamine from elsewhere, told in a check-in | Observation beside it, at the time it was used |
| one version of a safety plan | QuestionnaireResponse of its own, never overwritten |

Nothing stored is ever changed. A date without an hour is the end of the day for an alarm and its beginning for an act,
so that nothing is answered by what may have come before it; an alarm counts whatever became of its record, an act only
as completed.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from adjunct.base import FAR, BadInput, Instant, duration_ms, partial_date
from adjunct.fhir import Bundle, Entry
from adjunct.followup import checkins
from adjunct.followup.checkins import DECLINED, PHQ, PHQ_FIRST, SPOKEN, Answer, CheckIn
from adjunct.followup.cover import DEFAULT_LANGUAGE
from adjunct.followup.risk import SCREENER
from adjunct.followup.safety_plan import Plan, Version, add, readable
from adjunct.followup.workflow import Event
from adjunct.instruments.responses import ANSWER, LOINC, QUESTIONNAIRE
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import LOCAL
from adjunct.record import Problem
from adjunct.record.questionnaires import items_in
from adjunct.record.values import DROPPED, listed, mappings

Json = dict[str, Any]
Resource = Mapping[str, Any]

EVENT = "urn:adjunct:risk-event"
SOURCE = "urn:adjunct:risk-source"
RECEIVED = "urn:adjunct:received"
CHECK_IN = "urn:adjunct:check-in"
SUBMISSION = "urn:adjunct:submission"
SAFETY_PLAN = "urn:adjunct:safety-plan"
AFTER = "urn:adjunct:safety-plan-after"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
ASKED_DECLINED = "asked-declined"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ELSEWHERE = "ketamine-elsewhere"
FORMS = {checkins.BOOK: "check-in", "request": "request"}  # how the questions of a book are named as a form
CHECK_IN_FORM = f"{QUESTIONNAIRE}:check-in|1"
SAFETY_PLAN_FORM = f"{QUESTIONNAIRE}:safety-plan|1"
REASON = "reason"
PHQ2 = "phq2"
EPOCH = Instant(0)  # where nobody says what time it is: a time that cannot be read is the earliest
ALARMS = ("trigger", "screen", "level")


# --- times ------------------------------------------------------------------------------------------------------------


def written(ms: int) -> str:
    """An instant to the millisecond, so that it comes back as it was."""
    return (datetime.fromtimestamp(0, tz=UTC) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")


def _read_time(text: object, now: Instant, *, act: bool = False) -> int | None:
    """The end of what a date may stand for, and not later than now unless all of it is; None if it cannot be read.

    Of an act it is the beginning.
    """
    try:
        first, last = partial_date(str(text), now.offset)
    except (BadInput, OverflowError):
        return None
    return first if act else max(first, min(last, now.ms))


def moment(resource: Resource, names: Sequence[str], now: Instant, *, act: bool = False) -> int:
    """The first of these times that can be read; now if there is none: what has arrived was not later."""
    read = (_read_time(resource[name], now, act=act) for name in names if resource.get(name))
    return next((ms for ms in read if ms is not None), now.ms)


def receipt(resource: Resource, now: Instant) -> int | None:
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
    words = f"{event.type} at {written(event.at)}, received {written(event.received)}" + (
        f", {event.by}" if event.by else ""
    )
    attachment = {"contentType": "application/json", "data": b64encode(data.encode()).decode()}
    made: Json = {
        "resourceType": "Communication",
        "id": str(uuid5(NAMESPACE_URL, f"{EVENT}:{seed}")),
        "identifier": [{"system": EVENT, "value": event.id}],
        "status": "completed",
        "category": [{"coding": [{"system": SOURCE, "code": event.source}]}],
        "topic": {"coding": [{"system": EVENT, "code": event.type}]},
        "subject": {"reference": patient_reference},
        "sent": written(event.at),
        "received": written(event.received),
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


def stored_events(bundle: Bundle, *, now: Instant = EPOCH) -> tuple[Event, ...]:
    """The workflow's own events. An alarm that was marked as an error stays, with a flag; an act counts no more."""
    return tuple(event for entry in bundle.of("Communication") for event in _stored(entry, now))


def _stored(entry: Entry, now: Instant) -> Iterator[Event]:
    resource = entry.resource
    kind = _coded(resource.get("topic"), EVENT)
    if not kind:
        return
    act = kind not in (*ALARMS, "correction")
    at = moment(resource, ("sent", "received"), now, act=act)
    received = moment(resource, ("received", "sent"), now, act=act)
    event = Event(
        id=next((str(i["value"]) for i in _ours(resource, EVENT)), entry.reference),
        at=at,
        received=received,
        type=kind,
        by=_name(resource.get("sender")),
        source=next((c for part in listed(resource.get("category")) if (c := _coded(part, SOURCE))), ""),
        data=_data(resource),
    )
    status = resource.get("status")
    if not act or status == "completed":
        yield event
    if kind in ALARMS and status in DROPPED:
        withdrawn = {"of": event.id, "withdrawn": True}
        yield Event(id=f"{event.id}/{status}", at=at, received=received, type="correction", data=withdrawn)


def _name(reference: object) -> str:
    return next((str(r.get("display") or r.get("reference") or "") for r in mappings(reference)), "")


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
    book: str = checkins.BOOK,
) -> tuple[Json, ...]:
    """What arrived for one check-in (the id of its step): a response for each submission, form and true time."""
    groups: dict[tuple[object, ...], list[Answer]] = {}
    for a in sorted(answers, key=lambda a: (a.at, a.received, a.id)):
        form = next((n for n in (PHQ, SCREENER) if a.question in _items(n, knowledge)), "")
        turn = 0  # a question answered twice in one submission needs a response of its own
        while any(a.question == b.question for b in groups.get((a.id, a.at, a.received, form, turn), ())):
            turn += 1
        groups.setdefault((a.id, a.at, a.received, form, turn), []).append(a)
    return (
        *(
            _submission(group, str(key[-2]) or book, check_in, patient_reference, knowledge, language)
            for key, group in groups.items()
        ),
        *(made for a in answers if (made := _elsewhere(a, book, patient_reference, knowledge)) is not None),
    )


def _elsewhere(a: Answer, book: str, patient: str, knowledge: Knowledge) -> Json | None:
    """Ketamine from elsewhere as an event of the record, at the time that the answer names.

    A no stands in the response alone: it does not answer for the visit, which asks again.
    """
    period = ago(a, book, knowledge) if a.question == ELSEWHERE else None
    if period is None:
        return None
    made: Json = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "social-history"}]}],
        "code": {"coding": [{"system": LOCAL, "code": "outside_ketamine"}], "text": "Ketamine outside the clinic"},
        "subject": {"reference": patient},
        "performer": [{"reference": patient}],
        "issued": written(a.received),
        "effectivePeriod": period,
        "valueBoolean": True,
    }
    return made | {"id": str(uuid5(NAMESPACE_URL, json.dumps([ELSEWHERE, a.id, made], sort_keys=True)))}


def ago(a: Answer, book: str, knowledge: Knowledge) -> Json | None:
    """The Period that an answer such as "in the past week" names; None where it names none."""
    options: Sequence[Resource] = checkins.entries(knowledge, book)[a.question].get("options", ())
    found = next((o["ago"] for o in options if o["value"] == a.value and "ago" in o), None)
    if found is None:
        return None
    recent, earliest = (duration_ms(text) for text in found)
    return {"end": written(a.at - recent)} | ({"start": written(a.at - earliest)} if earliest < FAR else {})


def _items(name: str, knowledge: Knowledge) -> dict[str, Resource]:
    return {f"{name}.{item['id']}": item for item in knowledge.instruments[name]["item"]}


def _submission(
    group: Sequence[Answer], form: str, check_in: str, patient: str, knowledge: Knowledge, language: str
) -> Json:
    first = group[0]
    questions = {a.question.removeprefix(f"{form}.") for a in group}
    name = PHQ2 if form == PHQ and questions <= set(PHQ_FIRST) else FORMS.get(form, form)
    version = 1 if form in FORMS else knowledge.instruments[name]["version"]
    url = f"{QUESTIONNAIRE}:{name}|{version}"
    items = [{"linkId": a.question.removeprefix(f"{form}."), **_answer(a, form, knowledge)} for a in group]
    made: Json = {
        "resourceType": "QuestionnaireResponse",
        "language": language,
        "extension": [
            {"url": RECEIVED, "valueDateTime": written(first.received)},
            {"url": SUBMISSION, "valueString": first.id},
        ],
        "identifier": {"system": CHECK_IN, "value": check_in},
        "questionnaire": url,
        "status": "completed",
        "subject": {"reference": patient},
        "authored": written(first.at),
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
    if form in FORMS:
        options = checkins.entries(knowledge, form).get(question, {}).get("options", ())
        system = f"{ANSWER}:{FORMS[form]}.{question}"
        yield from ((o["value"], {"system": system, "code": o["value"]}) for o in options)
        return
    item = _items(form, knowledge).get(question, {})
    lists = {answers["id"]: answers["options"] for answers in knowledge.instruments[form].get("answers", ())}
    for option in lists.get(item.get("answers", ""), ()):
        value = f"{option['value']:g}"
        own = {"system": f"{ANSWER}:{question}", "code": value}
        said = SPOKEN[option["value"]] if item["kind"] == "yes-no" else value
        yield said, {"system": LOINC, "code": option["loinc"]} if "loinc" in option else own


def check_in_of(response: Resource) -> str:
    """Which check-in a response belongs to; empty if to none."""
    name = next((str(i["value"]) for i in _ours(response, CHECK_IN)), "")
    return name or ("unnamed" if _is(response, CHECK_IN_FORM) else "")


def _is(response: Resource, form: str) -> bool:
    """Whether it answers this form, in whatever version."""
    return str(response.get("questionnaire") or "").partition("|")[0] == form.partition("|")[0]


def check_ins(bundle: Bundle, knowledge: Knowledge, *, now: Instant) -> tuple[CheckIn, ...]:
    """Every check-in with all its answers, by its id. What was written in words is read again when it is asked for."""
    sets = {s["id"] for s in knowledge.content["checkins"]["set"]}
    found: dict[str, CheckIn] = {}
    for entry in bundle.of("QuestionnaireResponse"):
        name = check_in_of(entry.resource)
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
        if (book := _book(entry.resource)) != checkins.BOOK:  # its screener is a form of its own
            state = replace(state, book=book, set=book)
        for answer in answers:
            state = checkins.receive(state, answer)
        found[name] = replace(state, phq=any(a.question.startswith(f"{PHQ}.") for a in state.answers))
    return tuple(found[name] for name in sorted(found))


def _book(response: Resource) -> str:
    """Where the questions of a response stand."""
    return next((book for book, form in FORMS.items() if _is(response, f"{QUESTIONNAIRE}:{form}")), checkins.BOOK)


def _answers(entry: Entry, knowledge: Knowledge, now: Instant) -> Iterator[Answer]:
    response = entry.resource
    at, arrived = moment(response, ("authored",), now), receipt(response, now)
    extensions = mappings(response.get("extension"))
    name = next((str(e.get("valueString")) for e in extensions if e.get("url") == SUBMISSION), entry.reference)
    form = str(response.get("questionnaire") or "").partition("|")[0].removeprefix(f"{QUESTIONNAIRE}:")
    form = PHQ if form == PHQ2 else form if form in (PHQ, SCREENER) else _book(response)
    many = {name for name, q in checkins.entries(knowledge, _book(response)).items() if q["kind"] == "many"}
    for item in (i for i in items_in(response) if "item" not in i or "answer" in i):  # a group is no question
        link = str(item.get("linkId") or "")
        question = link if form in FORMS else f"{form}.{link}"
        values = [_said(answer, question, form, knowledge) for answer in mappings(item.get("answer"))]
        declined = any(e.get("valueCode") == ASKED_DECLINED for e in mappings(item.get("extension")))
        value: object = tuple(values) if question in many or values[1:] else next(iter(values), None)
        yield Answer(
            id=name,
            question=question,
            value=DECLINED if declined and not values else value if values else None,
            at=at,
            received=min(at, now.ms) if arrived is None else arrived,
        )


def _said(answer: Resource, question: str, form: str, knowledge: Knowledge) -> object:
    coding = answer.get("valueCoding")
    if isinstance(coding, Mapping):
        code = str(coding.get("code") or coding.get("display") or "")
        return {c["code"]: option for option, c in _options(question, form, knowledge)}.get(code, code)
    return next((value for key, value in answer.items() if key.startswith("value")), None)


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
        "authored": written(version.at),
        "author": {"display": version.by},
        "item": [{"linkId": REASON, "answer": [{"valueString": version.reason}]}, *sections],
    }
    made["item"] = [{key: value for key, value in item.items() if value != []} for item in made["item"]]
    if not version.after:
        del made["extension"]
    return made | {"id": str(uuid5(NAMESPACE_URL, json.dumps([SAFETY_PLAN, made], sort_keys=True)))}


def versions(bundle: Bundle, knowledge: Knowledge, *, now: Instant | None = None) -> tuple[Plan, tuple[Problem, ...]]:
    """Every version on record, by `now` if it is given, and what could not be read as one: of that, what can be."""
    plan, problems = Plan(), list[Problem]()
    for entry in sorted(bundle.of("QuestionnaireResponse"), key=lambda e: e.reference):
        response = entry.resource
        later = now is not None and moment(response, ("authored",), now) > now.ms
        if not _is(response, SAFETY_PLAN_FORM) or response.get("status") in DROPPED or later:
            continue
        version = _version(entry, now or EPOCH)
        try:
            plan = add(plan, version, knowledge)
        except BadInput as error:
            plan = readable(plan, version, knowledge)
            problems.append(Problem(reference=entry.reference, what=f"safety plan: {error}", ask="Write it again."))
    return plan, tuple(problems)


def _version(entry: Entry, now: Instant) -> Version:
    response = entry.resource
    items = {str(i.get("linkId")): i for i in items_in(response) if "item" not in i}
    said = {
        name: tuple(str(a["valueString"]) for a in mappings(item.get("answer")) if a.get("valueString"))
        for name, item in items.items()
    }
    after = (e.get("valueString") for e in mappings(response.get("extension")) if e.get("url") == AFTER)
    return Version(
        id=next((str(i["value"]) for i in _ours(response, SAFETY_PLAN)), entry.reference),
        at=moment(response, ("authored",), now),
        by=_name(response.get("author")),
        reason=" ".join(said.pop(REASON, ())),
        sections=said,
        after=tuple(map(str, after)),
        language=str(response.get("language") or DEFAULT_LANGUAGE),
    )
