"""A treatment day as FHIR R4: what was given, measured, seen, raised and done, as the log of the session has it.

| in the session | becomes |
|---|---|
| the session | Encounter (ambulatory) with its status through the day, and a Procedure |
| a device, an injection, a stretch of infusion | MedicationAdministration; prepared and not given: `not-done` |
| any other medicine given | MedicationAdministration |
| readings, scores, answers | Observation |
| what was told as taken | MedicationStatement |
| a sign that was present | AdverseEvent |
| an alarm | DetectedIssue from when it was raised until it was over, with what was done about it |
| leaving before discharge | Flag, Communication of the warning, Task for each duty that follows; never a discharge |

A correction changes the resource and says so; what was withdrawn stays, `entered-in-error`. Consent is not written:
the session only confirms one that is on record. Record -> session -> record is closed by `tests/test_session_fhir.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from adjunct.base import FAR, Instant, iso, unit_spellings, units
from adjunct.knowledge import Knowledge
from adjunct.publish.follow_up import STEP, task
from adjunct.publish.frame import ACT_CODE, Frame, Json, coding, literal, said, sentences
from adjunct.publish.questionnaire import UCUM
from adjunct.session.alarms import Table, artefact, log
from adjunct.session.discharge import Duty, left
from adjunct.session.model import Alarm, Event, Given, Phase, State
from adjunct.session.resources import entries, observations

SESSION = "urn:adjunct:session"
VISIT = "urn:adjunct:visit"
ALARM = "urn:adjunct:alarm"
OWN = "urn:adjunct:concept"
SNOMED = "http://snomed.info/sct"
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
SERIOUSNESS = "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness"
FLAG_CATEGORY = "http://terminology.hl7.org/CodeSystem/flag-category"
CODE_SYSTEMS = {"rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm", "atc": "http://www.whocc.no/atc"}
ROUTES = {
    "esketamine-nasal": ("46713006", "Nasal route"),
    "ketamine-iv": ("47625008", "Intravenous route"),
    "ketamine-im": ("78421000", "Intramuscular route"),
    "ketamine-sc": ("34206005", "Subcutaneous route"),
}
VISITED = {Phase.EXPECTED: "planned", Phase.ARRIVED: "arrived"}
GOES_ON = {Phase.DOSING: "in-progress", Phase.PAUSED: "in-progress", Phase.OBSERVING: "in-progress"}
WENT = {
    Phase.DISCHARGED: ("home", "Home"),
    Phase.LEFT: ("oth", "Other"),  # left before discharge; whether against advice is not ours to say
    Phase.TRANSFERRED: ("other-hcf", "Other healthcare facility"),
}
SEVERITY = {"emergency": "high", "high": "high", "medium": "moderate"}
RUNS = ("infusion-started", "rate-changed", "dose-resumed")
BY_HAND = {"device-given": "device", "injection-given": "injection"}
DOSED = (*BY_HAND, "infusion-started")
_EXPIRY = re.compile(r"\d{4}-\d{2}(-\d{2})?")
_AMOUNT = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(\S+)\s*")


def session_to_fhir(
    state: State,
    events: Iterable[Event],
    knowledge: Knowledge,
    *,
    now: Instant,
    patient: str | None = None,
    software_version: str | None = None,
) -> Json:
    """The session as a collection Bundle, as it stands at `now`. `events`: as they count, in order.

    The same session published again is the same resources as they stand then, not a second day.
    """
    every = tuple(events)
    frame = Frame.of(
        state.session,
        now=iso(now.ms, now.offset),
        patient=patient or (state.patient if literal(state.patient) else None),
        knowledge=knowledge.version,
        as_of=knowledge.as_of,
        software=software_version,
    )
    name = state.session or state.checked_in  # a log of one session may leave its name out
    frame = replace(frame, own=uuid5(NAMESPACE_URL, f"{SESSION}:{frame.patient.get('reference')}:{name}"))
    day = _Day(frame, state, knowledge, now.ms, {e.id: e for e in every})
    made = [day.encounter(), day.procedure(), *day.doses(), *day.medicines(), *day.in_error()]
    return frame.bundle([*made, *day.observed(), *day.told(), *day.adverse(), *day.alarms(), *day.left()])


@dataclass(frozen=True, slots=True)
class _Day:
    """One session on its way into FHIR."""

    frame: Frame
    state: State
    knowledge: Knowledge
    now: int
    events: Mapping[str, Event]

    def at(self, ms: int) -> str:
        return iso(ms, self.state.zone)

    def span(self, start: int | None, end: int | None) -> Json:
        return {"start": None if start is None else self.at(start), "end": None if end is None else self.at(end)}

    @property
    def began(self) -> int | None:
        """When the first of the dose went in, or what was recorded outside its plan."""
        dose = self.state.dose
        return dose.watch_from if dose.first is None else dose.first

    # --- the visit --------------------------------------------------------------------------------------------------

    def encounter(self) -> Json:
        state, ended = self.state, self.state.ended
        status = VISITED.get(state.phase) or GOES_ON.get(state.phase, "finished")
        went = WENT.get(state.phase)
        words = sentences([_title(state), f"session {state.number}" if state.number else "", state.phase.value])
        end = ended.at if ended else None
        return self.frame.start("Encounter", "session", words) | {
            "identifier": [
                *([{"system": SESSION, "value": state.session}] if state.session else []),
                *([{"system": VISIT, "value": state.visit}] if state.visit else []),
            ],
            "status": status,
            "statusHistory": list(self._statuses()),
            "class": coding(ACT_CODE, "AMB", "ambulatory")[0],
            "type": [{"coding": coding(SESSION, state.treatment), "text": _title(state)}],
            "subject": self.frame.patient,
            "participant": [{"individual": {"display": said(ended.by)}}] if ended else [],
            "period": self.span(state.checked_in, end),
            "hospitalization": {
                "dischargeDisposition": {
                    "coding": coding(DISPOSITION, *went) if went else [],
                    "text": sentences([state.phase.value, *_words(ended.data)]) if ended else "",
                }
            },
            "location": [{"location": {"display": said(state.chair)}}] if state.chair else [],
        }

    def _statuses(self) -> Iterator[Json]:
        """What the visit was before it was what it is now."""
        first, ended = self.began, self.state.ended
        end = ended.at if ended else None
        until = end if first is None else first
        if self.state.checked_in is not None and until is not None:
            yield {"status": "arrived", "period": self.span(self.state.checked_in, until)}
        if first is not None and end is not None:
            yield {"status": "in-progress", "period": self.span(first, end)}

    def procedure(self) -> Json:
        state, dose = self.state, self.state.dose
        if state.phase is Phase.NOT_TREATED:
            status = "not-done"
        elif self.began is None:
            status = "preparation"
        elif state.phase is Phase.PAUSED:
            status = "on-hold"
        elif state.phase is Phase.DOSING:
            status = "in-progress"
        else:
            status = "stopped" if dose.complete is False else "completed"
        over = status in ("stopped", "completed")
        checked = f"The dose was checked by {dose.checked_by}." if dose.checked_by else "No second person checked it."
        return self.frame.start("Procedure", "treatment", f"{_title(state)}: {status}") | {
            "status": status,
            "statusReason": {"text": sentences(_words(state.ended.data))}
            if status == "not-done" and state.ended
            else None,
            "code": {"coding": coding(SESSION, state.treatment), "text": _title(state)},
            "subject": self.frame.patient,
            "encounter": self.frame.ref("session"),
            "performedPeriod": self.span(self.began, (dose.last or dose.watch_from) if over else None),
            "performer": [{"actor": {"display": said(dose.prepared_by)}}] if dose.prepared_by else [],
            "note": [
                *([{"text": checked}] if self.began is not None else []),
                *(
                    {"authorString": who, "time": self.at(at), "text": f"Went on although open: {item}. Reason: {why}"}
                    for item, (who, why, at) in state.overrides.items()
                ),
            ],
        }

    # --- what went in -----------------------------------------------------------------------------------------------

    def doses(self) -> Iterator[Json]:
        """Each part that was given, what is running now, what went in outside the plan, what was never given."""
        state, dose = self.state, self.state.dose
        for number, part in enumerate(dose.given, start=1):
            yield self._part(number, part)
        if dose.rate is not None:
            rate = {"value": dose.rate, "unit": "mL/h", "system": UCUM, "code": "mL/h"}
            words = f"infusion running at {dose.rate:g} mL/h"
            yield self._dose(self._ran(dose.since), "in-progress", words) | {
                "effectivePeriod": self.span(dose.since, None),
                "dosage": {"route": self._route(), "rateQuantity": rate},
            }
        yield from (self._outside(event) for name in dose.refused if (event := self.events.get(name)))
        over = dose.stopped if dose.stopped is not None else state.ended.at if state.ended else None
        prepared = dose.prepared.get("dose") if dose.prepared else None
        left = round(prepared - sum(part.mg for part in dose.given), 2) if prepared is not None else 0
        if over is not None and left > 0 and not dose.complete and not dose.refused:
            words = "Prepared and not given; what became of it stands in the ledger of the stock."
            yield self._dose("not-given", "not-done", f"{left:g} mg not given") | {
                "statusReason": [{"text": words}],
                "effectiveDateTime": self.at(over),
                "dosage": {"route": self._route(), "dose": _quantity(left, "mg")},
            }

    def _part(self, number: int, part: Given) -> Json:
        event = self.events.get(part.event)
        hand = event is not None and event.type in BY_HAND
        begun = part.event if hand else self._ran(part.at)
        began = self.events.get(begun)
        what = f"{BY_HAND[event.type] if event and hand else 'infusion, part'} {number}"
        own: Mapping[str, Any] = began.data if began else {}
        prepared: Mapping[str, Any] = self.state.dose.prepared or {}
        lot, expiry = part.lot or said(prepared.get("lot")), said(own.get("expiry") or prepared.get("expiry"))
        when = {"effectiveDateTime": self.at(part.at)} if hand else {"effectivePeriod": self.span(part.at, part.until)}
        made = self._dose(begun, "completed", f"{what}, {part.mg:g} mg", lot, expiry)
        return (
            made
            | when
            | {
                "performer": [{"actor": {"display": said(began.by)}}] if began else [],
                "note": [{"text": text} for text in self.corrected(begun)],
                "dosage": {
                    "text": sentences([what, f"Site: {own['site']}." if own.get("site") else ""]),
                    "route": self._route(),
                    "dose": _quantity(part.mg, "mg"),
                },
            }
        )

    def _ran(self, since: int) -> str:
        """The event that set the pump to run as it did from an instant on."""
        return next((e.id for e in reversed([*self.events.values()]) if e.at == since and e.type in RUNS), str(since))

    def _outside(self, event: Event) -> Json:
        """Recorded after a stop, before check-in or taken back by one person alone: it may well have gone in."""
        why = "Taken back by one person alone" if event.withdrawn else "Recorded outside the plan of the dose"
        note = f"{why}: it may have gone in, and the stay is counted from it."
        return self._dose(event.id, "unknown" if event.withdrawn else "completed", note) | {
            "effectiveDateTime": self.at(event.at),
            "performer": [{"actor": {"display": said(event.by)}}],
            "note": [{"text": text} for text in (note, *self.corrected(event.id))],
            "dosage": self._given(event),
        }

    def _given(self, event: Event) -> Json | None:
        mg = event.data.get("dose")
        return {"route": self._route(), "dose": _quantity(mg, "mg")} if mg is not None else None

    def _dose(self, name: str, status: str, words: str, lot: str = "", expiry: str = "") -> Json:
        """What every administration of the treatment's own substance has; with the lot it is a product of its own."""
        medicine = self._substance(self._own())
        made = self._administration(f"dose:{name}", status, f"{medicine['text']}: {words}")
        made |= {"partOf": [self.frame.ref("treatment")]}
        if not lot:
            return made | {"medicationCodeableConcept": medicine}
        batch = {"lotNumber": lot, "expirationDate": expiry if _EXPIRY.fullmatch(expiry) else ""}
        product = {"resourceType": "Medication", "id": "product", "code": medicine, "batch": batch}
        return made | {
            "contained": [product],
            "medicationReference": {"reference": "#product", "display": medicine["text"]},
        }

    def _own(self) -> str:
        """The substance of this treatment: as it was prepared, else as the treatment is named, else not known."""
        prepared = self.state.dose.prepared or {}
        return said(prepared.get("substance")) or self.state.treatment.partition("-")[0] or "medicine not named"

    def _administration(self, role: str, status: str, words: str) -> Json:
        return self.frame.start("MedicationAdministration", role, words) | {
            "status": status,
            "subject": self.frame.patient,
            "context": self.frame.ref("session"),
        }

    def medicines(self) -> Iterator[Json]:
        """Everything else that was given: an amount that is no quantity stays in words."""
        for at, data, event in self.state.medications:
            yield self._medicine(event, "completed", at, data)

    def _medicine(self, event: str, status: str, at: int, data: Mapping[str, Any]) -> Json:
        name, words = said(data.get("substance")), sentences([data.get("dose"), data.get("route")])
        amount, prescriber = _amount(said(data.get("dose"))), said(data.get("prescriber"))
        notes = [f"Prescriber: {prescriber}." if prescriber else "", "" if amount else f"Dose: {words}"]
        return self._administration(f"dose:{event}", status, f"{name}: {words}") | {
            "medicationCodeableConcept": self._substance(name),
            "effectiveDateTime": self.at(at),
            "performer": [{"actor": {"display": said(self.events[event].by)}}] if event in self.events else [],
            "reasonCode": [{"text": said(data.get("reason"))}],
            "dosage": {"text": words, "route": {"text": said(data.get("route"))}, "dose": amount} if amount else None,
            "note": [{"text": text} for text in (*notes, *self.corrected(event)) if text],
        }

    def in_error(self) -> Iterator[Json]:
        """What was written down as given and was not, or not to this person: it stays, and does not count."""
        for event in self.events.values():
            if not event.withdrawn or event.id in self.state.dose.refused:
                continue
            if event.type == "medication-given":
                yield self._medicine(event.id, "entered-in-error", event.at, event.data)
            elif event.type in DOSED:
                yield self._dose(event.id, "entered-in-error", "entered in error") | {
                    "effectiveDateTime": self.at(event.at),
                    "dosage": self._given(event),
                    "note": [{"text": text} for text in self.corrected(event.id)],
                }

    def corrected(self, event: str) -> Iterator[str]:
        """Who corrected an entry, when and why."""
        for which, _, at, by, reason in self.state.corrections:
            if which == event:
                yield f"Corrected by {by} at {self.at(at)}: {reason}"

    def _substance(self, name: str) -> Json:
        """A medicine by its codes where it is known here, else in the words that were written."""
        known = self.knowledge.substances.get(name.strip().lower())
        pairs = [code.split("|", 1) for code in known.codes] if known else []
        codes = [c for kind, code in pairs if kind in CODE_SYSTEMS for c in coding(CODE_SYSTEMS[kind], code)]
        return {"coding": codes + (coding(OWN, known.id) if known else []), "text": known.name if known else name}

    def _route(self) -> Json:
        code, display = ROUTES.get(self.state.treatment, ("", ""))
        return {"coding": coding(SNOMED, code, display), "text": display}

    # --- what was measured and seen ---------------------------------------------------------------------------------

    def observed(self) -> Iterator[Json]:
        """Every value, each in this session."""
        kept = [e for e in self.events.values() if not e.withdrawn]
        back = [e for e in self.events.values() if e.withdrawn]
        subject = self.frame.patient
        for each in observations(kept, self.state, self.knowledge, withdrawn=back, subject=subject):
            framed = self.frame.start("Observation", f"observation:{each['id']}", _narrative(each))
            yield each | framed | {"encounter": self.frame.ref("session")}

    def told(self) -> Iterator[Json]:
        """What was told as taken: in use, as the person says it, until somebody goes through it again."""
        for resource in (e["resource"] for e in entries(self.state, self.knowledge, dose=False)):
            if resource["resourceType"] == "MedicationStatement":
                words = f"Told as taken: {resource['medicationCodeableConcept']['text']}"
                framed = self.frame.start("MedicationStatement", f"told:{resource['id']}", words)
                yield resource | framed | {"subject": self.frame.patient, "context": self.frame.ref("session")}

    def adverse(self) -> Iterator[Json]:
        """Each sign that was present. Whether it was serious is what somebody said, else it is not known."""
        for event in self.events.values():
            if event.type != "event" or event.withdrawn or not event.data["present"]:
                continue
            after = self.began is not None and event.at >= self.began
            sign, serious = said(event.data["sign"]), event.data.get("serious")
            known = self.table.signs.get(sign)
            title, code = (known.title, known.concept) if known else (sign, "")
            grave = "" if serious is None else "Serious" if serious else "Non-serious"
            yield self.frame.start(
                "AdverseEvent", f"adverse:{event.id}", f"{title}. {said(event.data.get('text'))}"
            ) | {
                "actuality": "actual",
                "event": {"coding": coding(OWN, code), "text": sentences([title, event.data.get("text")])},
                "subject": self.frame.patient,
                "encounter": self.frame.ref("session"),
                "date": self.at(event.at),
                "recordedDate": self.at(event.received),
                "seriousness": {"coding": coding(SERIOUSNESS, grave, grave), "text": grave} if grave else None,
                "suspectEntity": [{"instance": self.frame.ref("treatment")}] if after else [],
            }

    @property
    def table(self) -> Table:
        return Table.of_knowledge(self.knowledge)

    def title(self, concept: str) -> str:
        concept = concept.removeprefix(artefact(""))
        sign, known = self.table.signs.get(concept), self.knowledge.concepts.get(concept)
        return sign.title if sign else known.title if known else concept

    def showed(self, name: str, value: float | str) -> str:
        """What raised an alarm: a measure with its value, or a sign, whose value is its own name."""
        if isinstance(value, str):
            return self.title(name)
        known = self.knowledge.concepts.get(name.removeprefix(artefact("")))
        unit = self.knowledge.content["knowledge"]["unit_display"].get(known.unit, known.unit) if known else ""
        words = "no value" if math.isnan(value) else f"{value:g} {'' if unit.startswith('{') else unit}"
        return f"{self.title(name)}: {words.strip()}"

    # --- alarms and what follows ------------------------------------------------------------------------------------

    def alarms(self) -> Iterator[Json]:
        """Every alarm that was raised, standing or over."""
        return map(self._issue, log(self.state, self.now, self.table))

    def _issue(self, alarm: Alarm) -> Json:
        shows = "; ".join(self.showed(name, value) for name, value in alarm.by)
        passed = [f"{self.at(at)} {whose}" for at, whose in alarm.turns[1:]]
        end = FAR if alarm.cleared is None else alarm.cleared
        seen = [
            f"{e.by} at {self.at(e.at)}"
            for e in self.events.values()
            if e.type == "acknowledged" and e.data["alarm"] == alarm.alarm and not e.withdrawn
            if alarm.raised <= e.at <= end
        ]
        detail = sentences(
            [
                f"{shows}." if shows else "",
                f"Level: {alarm.level}.",
                f"Passed on: {', '.join(passed)}." if passed else "",
                f"Acknowledged by {', '.join(seen)}." if seen else "Not acknowledged.",
                "It stands." if alarm.cleared is None else f"Over at {self.at(alarm.cleared)}.",
            ]
        )
        name = f"{alarm.alarm}:{alarm.raised}"
        return self.frame.start("DetectedIssue", f"alarm:{name}", f"{alarm.title}. {detail}") | {
            "identifier": [{"system": ALARM, "value": f"{self.state.session}:{name}"}],
            "status": "final" if seen else "preliminary",
            "code": {
                "coding": [*coding(ACT_CODE, "OBSA", "Observation Alert"), *coding(ALARM, alarm.alarm)],
                "text": alarm.title,
            },
            "severity": SEVERITY.get(alarm.level, "low"),
            "patient": self.frame.patient if self.frame.has_patient else None,
            "identifiedPeriod": self.span(alarm.raised, alarm.cleared),
            "author": self.frame.ref("device"),
            "detail": detail,
            "mitigation": [
                {
                    "action": {"text": sentences([data.get("what"), data.get("text")])},
                    "date": self.at(at),
                    "author": {"display": said(by)},
                }
                for at, data, by in self.state.actions
                if data.get("alarm") == alarm.alarm
            ],
        }

    def left(self) -> Iterator[Json]:
        """Walking out: what holds from then on, what must be done, and whether the person was told not to drive."""
        ended = self.state.ended
        if ended is None or ended.phase is not Phase.LEFT:
            return
        for duty in left(self.state, self.now, self.knowledge):
            yield self._holds(duty, ended.at) if duty.state == "holds" else self._duty(duty, ended.at)
        warned = ended.data.get("warned")
        if warned is not None:  # nobody wrote whether the person was warned: then nothing was said
            told = "Told not to drive before leaving." if warned else "Left without being told not to drive."
            yield self.frame.start("Communication", "no-driving", told) | {
                "status": "completed" if warned else "not-done",
                "subject": self.frame.patient,
                "encounter": self.frame.ref("session"),
                "sent": self.at(ended.at) if warned else None,
                "recipient": [self.frame.patient] if warned else [],
                "payload": [{"contentString": told}],
            }

    def _holds(self, duty: Duty, since: int) -> Json:
        return self.frame.start("Flag", duty.id, f"{duty.title}. {duty.says}") | {
            "status": "active",
            "category": [{"coding": coding(FLAG_CATEGORY, "safety", "Safety")}],
            "code": {"coding": coding(STEP, duty.id), "text": sentences([f"{duty.title}.", duty.says])},
            "subject": self.frame.patient,
            "period": self.span(since, None),
            "encounter": self.frame.ref("session"),
            "author": self.frame.ref("device"),
        }

    def _duty(self, duty: Duty, since: int) -> Json:
        tried = f"Tried {duty.tried} times; nobody was reached." if duty.tried else ""
        step = {
            "id": duty.id,
            "title": duty.title,
            "state": duty.state,
            "owner": duty.owner,
            "because": sentences([duty.says, tried]),
            "basis": ", ".join(filter(None, (duty.source, duty.locator, duty.status))),
            "opens": self.at(since),
            "due": None if duty.due is None else self.at(duty.due),
        }
        made = task(self.frame, step, intent="plan") | {"encounter": self.frame.ref("session")}
        if duty.done is None:
            return made
        at, by = duty.done
        return made | {"status": "completed", "lastModified": self.at(at), "owner": {"display": by}}


def _title(state: State) -> str:
    substance, _, route = state.treatment.partition("-")
    return f"Supervised treatment with {substance}, {route}" if route else "Supervised treatment"


def _words(data: Mapping[str, Any]) -> list[str]:
    """What was said about how a session ended."""
    return [f"{name}: {data[name]}" for name in ("to", "reason", "text", "role") if data.get(name)]


def _quantity(value: float, unit: str) -> Json:
    whole = round(value)
    return {"value": whole if whole == value else value, "unit": unit, "system": UCUM, "code": unit}


def _amount(words: str) -> Json:
    """A dose in words as a quantity, such as "4 mg"; empty where it is none."""
    found = _AMOUNT.fullmatch(words)
    unit = unit_spellings().get(found[2], found[2]) if found else ""
    return _quantity(float(found[1].replace(",", ".")), unit) if found and unit in units() else {}


def _narrative(observation: Json) -> str:
    value = observation.get("valueQuantity") or {}
    words = [value.get("value"), value.get("unit")] if value else [observation.get("valueString")]
    answer = observation.get("valueBoolean")
    words += ["" if answer is None else "yes" if answer else "no", observation.get("valueDateTime")]
    return sentences([f"{said(observation['code'].get('text'))}:", *words, f"({observation['status']})"])
