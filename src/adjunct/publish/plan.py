"""A plan as FHIR R4: one CarePlan with its visits as proposed Appointments and what is to be done as Tasks.

| in the plan | becomes |
|---|---|
| the plan and its version | CarePlan, `intent` plan; `draft` while something is open |
| a visit to come | Appointment, `proposed` until it is booked, with its window; else an activity of the CarePlan |
| what is open, due or overdue | Task, a proposal with its owner and its time |
| an override, a change | a note with who and why |
| a washout or switching fact | a note: no date of it is an instruction |

Nothing is booked and nothing is ordered; an emergency gives no CarePlan, only what the person is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adjunct.publish.follow_up import task
from adjunct.publish.frame import Frame, Json, coding, mapping, said, sentences, sequence
from adjunct.publish.protocols import PROTOCOL

VISIT = "urn:adjunct:visit"
PLAN = "urn:adjunct:plan-version"
PRESSING = ("due", "overdue")
STATUS = {"waiting": "draft", "active": "active", "on-hold": "on-hold", "stopped": "revoked"}
ACTIVITY = {"done": "completed", "missed": "cancelled"}
OPEN = "open"


def plan_to_fhir(
    result: Mapping[str, Any], *, patient_reference: str | None, software_version: str | None = None
) -> Json:
    """The plan (its JSON, parsed) as a collection Bundle, made at the instant that it was asked for."""
    frame = Frame.of_result(result, patient=patient_reference, software=software_version)
    if result.get("status") not in STATUS:
        return frame.bundle([_told(frame, result)])
    steps = [mapping(s) for s in sequence(result.get("steps"))]
    work = [s for s in steps if s.get("domain") == OPEN or s.get("state") in PRESSING]
    tasks = [task(frame, s, intent="proposal") for s in work]
    visits = [mapping(v) for v in sequence(result.get("visits"))]
    booked = [_appointment(frame, v) for v in visits if v.get("state") not in ACTIVITY]
    return frame.bundle([_care_plan(frame, result, visits, [s["id"] for s in work]), *booked, *tasks])


def _care_plan(frame: Frame, result: Mapping[str, Any], visits: list[Mapping[str, Any]], tasks: list[str]) -> Json:
    protocol = mapping(result.get("protocol"))
    title, version = said(protocol.get("title")), said(result.get("version"))
    state = STATUS[said(result.get("status"))]
    return frame.start("CarePlan", "plan", f"{title}: {said(result.get('status'))}, version {version}") | {
        "identifier": [{"system": PLAN, "value": version}],
        "instantiatesCanonical": [f"{PROTOCOL}:{said(protocol.get('id'))}|{said(protocol.get('version'))}"],
        "status": state,
        "intent": "plan",
        "title": title,
        "subject": frame.patient,
        "period": {"start": visits[0]["starts"], "end": visits[-1]["ends"]} if visits else None,
        "created": frame.now,
        "author": frame.ref("device"),
        "activity": [
            *({"detail": _past(v)} if v.get("state") in ACTIVITY else {"reference": _visit(frame, v)} for v in visits),
            *({"reference": frame.ref(f"task:{name}")} for name in tasks),
        ],
        "note": [{"text": text} for text in _notes(result)],
    }


def _past(visit: Mapping[str, Any]) -> Json:
    """A visit that was given or missed: what happened to it, not a plan any more."""
    at = visit.get("given_at") or visit.get("starts")
    return {
        "kind": "Appointment",
        "code": {"coding": coding(VISIT, said(visit.get("id"))), "text": said(visit.get("title"))},
        "status": ACTIVITY[said(visit.get("state"))],
        "scheduledPeriod": {"start": at, "end": at},
    }


def _visit(frame: Frame, visit: Mapping[str, Any]) -> Json:
    return frame.ref(f"visit:{said(visit.get('id'))}")


def _appointment(frame: Frame, visit: Mapping[str, Any]) -> Json:
    name, title = said(visit.get("id")), said(visit.get("title"))
    kind = "booked" if visit.get("booked") else "proposed"
    words = f"{title}, visit {said(visit.get('number'))}: {kind} for {said(visit.get('starts'))}"
    return frame.start("Appointment", f"visit:{name}", words) | {
        "identifier": [{"system": VISIT, "value": name}],
        "status": kind,
        "description": title,
        "start": visit.get("starts"),
        "end": visit.get("ends"),
        "created": frame.now,
        "requestedPeriod": [{"start": visit.get("opens"), "end": visit.get("closes")}],
        "participant": [
            {
                "actor": frame.patient,
                "required": "required",
                "status": "accepted" if visit.get("booked") else "needs-action",
            }
        ],
    }


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    override = mapping(result.get("override"))
    if override:
        yield f"Override by {said(override.get('by'))}: {said(override.get('reason'))}"
    for change in map(mapping, sequence(result.get("changes"))):
        made = (said(change.get(name)) for name in ("kind", "by", "at", "reason"))
        yield "{}: by {}, {}: {}".format(*made)
    for name in ("open", "missed", "reviews", "stops", "timeline", "notes"):
        for entry in map(mapping, sequence(result.get(name))):
            yield sentences([f"{said(entry.get('title'))}.", entry.get("says"), f"({said(entry.get('status'))})"])


def _told(frame: Frame, result: Mapping[str, Any]) -> Json:
    """An emergency: what the person is told, instead of a plan."""
    words = sentences(sequence(result.get("told"))) or "An emergency comes first: there is no plan."
    return frame.start("Communication", "told", words) | {
        "status": "preparation",
        "priority": "stat",
        "subject": frame.patient,
        "payload": [{"contentString": words}],
    }
