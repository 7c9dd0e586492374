"""A follow-up as FHIR R4: how far somebody has come, what to look at, what is due and who does it.

| in the follow-up | becomes |
|---|---|
| a course on one scale | Observation: its state, with every figure and judgement as a component with its definition |
| a signal, an alarm of a course, an abnormal finding | DetectedIssue, `preliminary`: nobody has confirmed it yet |
| suicide risk | RiskAssessment in words, never a likelihood |
| what is due or overdue, and every action of the worklist | Task with its owner and its time |

Nothing is ordered: what surveillance asks for is a proposal, what the clinic's own risk workflow asks for a plan.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from adjunct.base import NO, UNKNOWN
from adjunct.publish.assessment import Publication
from adjunct.publish.frame import (
    ACT_CODE,
    OBSERVATION_CATEGORY,
    Frame,
    Json,
    absent,
    coding,
    kind_of,
    mapping,
    named,
    outside,
    said,
    sentences,
    sequence,
)
from adjunct.publish.questionnaire import UCUM

COURSE = "urn:adjunct:course"
FIGURE = "urn:adjunct:figure"
STATE = "urn:adjunct:state"
SIGNAL = "urn:adjunct:signal"
RISK_LEVEL = "urn:adjunct:suicide-level"
STEP = "urn:adjunct:step"
WHAT = "urn:adjunct:act"
SEVERITY = {"red": "high", "amber": "moderate", "info": "low"}
PRESSING = ("due", "overdue")
DERIVED_FROM = ("Observation", "QuestionnaireResponse")
PERSON = "person"
_CITED = re.compile(r"urn:uuid:[0-9a-f\-]{36}|[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")  # what a concern's id came from


def follow_up_to_fhir(
    result: Mapping[str, Any], *, patient_reference: str | None, software_version: str | None = None
) -> Json:
    """The follow-up (its JSON, parsed) as a collection Bundle, made at the instant that it was asked for."""
    frame = Frame.of_result(result, patient=patient_reference, software=software_version)
    courses = {name: mapping(c) for name, c in mapping(result.get("courses")).items()}
    risk, watched = mapping(result.get("risk")), mapping(result.get("surveillance"))
    made = [_course(frame, name, course) for name, course in courses.items()]
    made += _signals(frame, result)
    made += _alarms(frame, result, courses)
    made += Publication({**result, "findings": list(_abnormal(result, watched))}, frame).issues()
    made.append(_risk(frame, risk, {said(mapping(a).get("id")) for a in sequence(result.get("alerts"))}))
    work = [mapping(d) for d in sequence(risk.get("worklist"))]
    made += [task(frame, d, intent="plan", reason=frame.ref("risk")) for d in work]
    due = [mapping(d) for d in (*sequence(watched.get("due")), *sequence(result.get("checkins")))]
    made += [task(frame, d, intent="proposal") for d in due if d.get("state") in PRESSING]
    inputs = [r for course in courses.values() for r in _derived(course)]
    return frame.bundle(made, list({str(r): r for r in inputs}.values()))


# --- courses ----------------------------------------------------------------------------------------------------------


def _course(frame: Frame, name: str, course: Mapping[str, Any]) -> Json:
    """Where the person stands on one scale. What is not known has its reason, and no value."""
    title, state = said(course.get("title")) or name, mapping(course.get("state"))
    latest = mapping(course.get("latest"))
    words = said(state.get("name"))
    known: Json = {"valueCodeableConcept": {"coding": coding(STATE, said(state.get("state"))), "text": words}}
    return frame.start("Observation", f"course:{name}", f"{title}: {words or 'state not known'}") | {
        "status": "final",
        "category": [{"coding": coding(OBSERVATION_CATEGORY, "survey", "Survey")}],
        "code": {"coding": coding(COURSE, name), "text": f"{title}: course"},
        "subject": frame.patient,
        "effectiveDateTime": latest.get("at") or frame.now,
        **(known if words else {"dataAbsentReason": absent("unknown", "the state is not known")}),
        "derivedFrom": list(_derived(course)),
        "component": [
            *(_figure(f) for f in map(mapping, sequence(course.get("figures")))),
            *(_judgement(j) for j in map(mapping, sequence(course.get("judgements"))) if j.get("chosen", True)),
        ],
    }


def _derived(course: Mapping[str, Any]) -> Iterator[Json]:
    """The scores behind a course, each once."""
    parts = [mapping(p) for key in ("figures", "judgements") for p in sequence(course.get(key))]
    references = [said(r) for part in parts for r in sequence(part.get("because"))]
    scores = [said(mapping(point).get("reference")) for point in sequence(course.get("series"))]
    references += scores
    return (outside(r) for r in dict.fromkeys(references) if kind_of(r) in DERIVED_FROM or (r in scores and named(r)))


def _figure(figure: Mapping[str, Any]) -> Json:
    value, unit = figure.get("value"), said(figure.get("unit"))
    made: Json = {"code": _defined(figure)}
    if value is None:
        return made | {"dataAbsentReason": absent("unknown", said(figure.get("why")))}
    return made | {"valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}}


def _judgement(judgement: Mapping[str, Any]) -> Json:
    holds = judgement.get("holds", UNKNOWN)
    made: Json = {"code": _defined(judgement)}
    if holds == UNKNOWN:
        return made | {"dataAbsentReason": absent("unknown", said(judgement.get("why")))}
    return made | {"valueBoolean": holds != NO}


def _defined(figure: Mapping[str, Any]) -> Json:
    """What a number or a judgement means, by which variant, from where, and how sure that is."""
    name, variant = said(figure.get("name")), said(figure.get("variant"))
    definition = ": ".join(filter(None, (name, said(figure.get("definition")).rstrip("."))))
    parts = [f"{definition}.", f"Variant: {variant}." if variant else "", _sources(figure)]
    return {"coding": coding(FIGURE, said(figure.get("id"))), "text": sentences(parts)}


def _sources(entry: Mapping[str, Any]) -> str:
    cited = [
        ", ".join(filter(None, (said(s.get("id")), said(s.get("locator")))))
        for s in map(mapping, sequence(entry.get("sources")))
    ]
    status = said(entry.get("status"))
    return sentences([f"Status {status}." if status else "", f"Source: {'; '.join(cited)}." if cited else ""])


# --- what to look at --------------------------------------------------------------------------------------------------


def _signals(frame: Frame, result: Mapping[str, Any]) -> Iterator[Json]:
    notes = {said(n.get("id")): said(n.get("title")) for n in map(mapping, sequence(result.get("context")))}
    for signal in map(mapping, sequence(result.get("signals"))):
        rate = signal.get("false_alarms_per_person_year")
        beside = [notes[n] for n in map(said, sequence(signal.get("beside"))) if n in notes]
        detail = sentences(
            [
                signal.get("says"),
                f"Rule: {said(signal.get('definition')).rstrip('.')}." if signal.get("definition") else "",
                "" if rate is None else f"False alarms in a year of a simulated person: {rate:g}.",
                f"Beside it: {'; '.join(beside)}. This adds, and takes nothing away." if beside else "",
                _sources(signal),
            ]
        )
        yield _issue(frame, said(signal.get("id")), said(signal.get("title")), signal, detail)


def _alarms(frame: Frame, result: Mapping[str, Any], courses: Mapping[str, Any]) -> Iterator[Json]:
    """Alarms of the courses themselves: deterioration, relapse, recurrence."""
    for alert in map(mapping, sequence(result.get("alerts"))):
        name = said(alert.get("id"))
        scale, _, judged = name.partition(":")
        if scale in courses and judged:
            course = mapping(courses[scale])
            names = {j.get("id"): said(j.get("name")) for j in map(mapping, sequence(course.get("judgements")))}
            title = f"{said(course.get('title')) or scale}: {names.get(judged) or judged}"
            yield _issue(frame, name, title, alert, said(alert.get("says")))


def _issue(frame: Frame, name: str, title: str, found: Mapping[str, Any], detail: str) -> Json:
    return frame.start("DetectedIssue", f"signal:{name}", f"{title}. {detail}") | {
        "identifier": [{"system": SIGNAL, "value": name}],
        "status": "preliminary",
        "code": {
            "coding": [*coding(ACT_CODE, "OBSA", "Observation Alert"), *coding(SIGNAL, name)],
            "text": title,
        },
        "severity": SEVERITY.get(said(found.get("level"))),
        "patient": frame.patient if frame.has_patient else None,
        "identifiedDateTime": said(found.get("since")) or frame.now,
        "author": frame.ref("device"),
        "detail": detail,
    }


def _abnormal(result: Mapping[str, Any], watched: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The findings that surveillance counts as abnormal, and every emergency."""
    named = {said(f) for found in mapping(watched.get("abnormal")).values() for f in sequence(found)}
    for finding in map(mapping, sequence(result.get("findings"))):
        if finding.get("id") in named or finding.get("action") == "emergency":
            yield finding


# --- suicide risk -----------------------------------------------------------------------------------------------------


def _risk(frame: Frame, risk: Mapping[str, Any], alerts: Container[str]) -> Json:
    """The level by screener, in words: HL7's risk codes speak of likelihood, which nobody estimated."""
    level = said(risk.get("level")) or "UNKNOWN"
    at_least = said(risk.get("at_least"))
    concerns = [mapping(c) for c in sequence(risk.get("concerns"))]
    open_ = [c for c in concerns if f"risk:{said(c.get('id'))}" in alerts]
    words = f"Suicide risk by screener: {level}" + (f", at least {at_least}" if at_least not in ("", level) else "")
    return frame.start("RiskAssessment", "risk", f"{words}. To be confirmed by a clinician.") | {
        "status": "preliminary",
        "code": {"text": "Risk: suicide"},
        "subject": frame.patient,
        "occurrenceDateTime": frame.now,
        "performer": frame.ref("device"),
        "basis": [outside(r) for r in _cited(open_)],
        "prediction": [
            {
                "outcome": {"text": words},
                "qualitativeRisk": {
                    "coding": coding(RISK_LEVEL, level),
                    "text": f"{level}; likelihood not estimated",
                },
                "rationale": " ".join(_reason(c) for c in open_) or "No open concern is on record.",
            }
        ],
        "mitigation": "; ".join(dict.fromkeys(said(mapping(d).get("title")) for d in sequence(risk.get("worklist")))),
    }


def _cited(concerns: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    found = (_CITED.search(said(c.get("id"))) for c in concerns)
    return (r for r in dict.fromkeys(match[0] for match in found if match) if kind_of(r) or named(r))


def _reason(concern: Mapping[str, Any]) -> str:
    seen = said(concern.get("acknowledged"))
    confirmed = f"confirmed by {seen}" if seen else "confirmed by nobody yet"
    kind, level, at = (said(concern.get(key)) for key in ("kind", "level", "received"))
    return f"{kind}: {level}, received {at}, {confirmed}."


# --- what is to be done -----------------------------------------------------------------------------------------------


def task(frame: Frame, step: Mapping[str, Any], *, intent: str, reason: Json | None = None) -> Json:
    """One thing to be done, with who does it until when. Asked for, never ordered."""
    name, title, state = said(step.get("id")), said(step.get("title")), said(step.get("state"))
    owner = said(step.get("owner"))
    urgent = ("asap" if state == "overdue" else "urgent") if intent == "plan" else "routine"
    notes = [step.get("because"), f"Basis: {said(step.get('basis'))}" if step.get("basis") else ""]
    return frame.start("Task", f"task:{name}", f"{title}: {state}, {owner}") | {
        "identifier": [{"system": STEP, "value": name}],
        "status": "requested",
        "businessStatus": {"text": state},
        "intent": intent,
        "priority": urgent,
        "code": {"coding": coding(WHAT, said(step.get("what"))), "text": title},
        "description": title,
        "for": frame.patient,
        "authoredOn": frame.now,
        "requester": frame.ref("device"),
        "owner": frame.patient if owner == PERSON and frame.has_patient else {"display": owner},
        "reasonReference": reason,
        "note": [{"text": text} for text in map(said, notes)],
        "restriction": {"period": {"start": step.get("opens"), "end": step.get("overdue") or step.get("due")}},
    }
