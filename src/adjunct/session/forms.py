"""Forms of the treatment day: the monitoring form of nasal esketamine and the report of an adverse event.

What was measured or recorded comes from the session's events and nowhere else, each value with its event; what only a
person can say is given by a person. What is empty stays empty: a form can always be looked at, it is signed only whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple

from adjunct.base import FAR, BadInput, duration_ms, instant, iso, partial_date, shown
from adjunct.fhir import Bundle
from adjunct.knowledge import Knowledge
from adjunct.session.model import Event, Phase, State
from adjunct.session.pump import so_far
from adjunct.session.watch import FIRST, LAST
from adjunct.sheet import Line, Part, Sheet, cited, how_sure

MONITORING, ADVERSE_EVENT = "monitoring", "adverse-event"
MINUTE = duration_ms("1 min")
BEFORE_CLOCK, CLOCK = len("2026-11-22T"), len("09:30")
MEASURES = ("systolic", "diastolic", "heart_rate", "resp_rate", "spo2", "moaas", "rass")
DISSOCIATION = ("cadss6", "cadss")
IN_USE = ("official", "usual")  # names that somebody goes by now; one without a use is taken for usual
EMPTY = {"person": "not filled in", "session": "not recorded"}
WORDS = {True: "yes", False: "no"}


class Value(NamedTuple):
    """What stands in a field; where it was measured or recorded: when, by whom, and the event that says so.

    `why`: it was not measured and cannot be any more, for this reason; `value` is None then.
    """

    value: Any
    at: int | None = None
    by: str = ""
    event: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of a form. `applies`: it is asked here; `asked`: and must be filled; `origin`: session or person."""

    id: str
    section: str
    title: str
    kind: str
    unit: str
    origin: str
    applies: bool
    asked: bool
    value: Value | None
    corrected: bool = False  # its event was corrected


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form as it stands. `missing` and `conflicts` keep it from being signed; `flags` are for its reader."""

    id: str
    title: str
    says: str
    session: str
    patient: str
    zone: timedelta
    sections: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...]
    missing: tuple[str, ...]
    conflicts: tuple[str, ...]
    flags: tuple[str, ...]
    deadline: int | None
    source: str
    locator: str
    status: str
    knowledge: str
    signed: tuple[str, str, int] | None = None  # by, role, at

    def value(self, field: str) -> Any:
        """What stands in a field; None where nothing does."""
        found = next(f.value for f in self.fields if f.id == field)
        return None if found is None else found.value

    def late(self, now: int) -> bool:
        """Whether it has a deadline, is not signed, and the deadline has passed."""
        return self.deadline is not None and self.signed is None and now > self.deadline


def monitoring_form(
    state: State, events: Sequence[Event], knowledge: Knowledge, given: Mapping[str, Any] | None = None
) -> Form:
    """The monitoring form of one session of nasal esketamine, as far as it can be filled.

    `events`: the effective ones in order; `given`: what only a person can say, by field id; for what should have been
    measured and was not, `{"not_measured": reason}`. Raises `BadInput` where there is no such form for this session,
    or a given value does not fit its field.
    """
    if state.dose.first is None or not state.dose.given:
        raise BadInput("no dose was given in this session: there is nothing to report", "session")
    events = [e for e in events if not e.withdrawn]
    form = _filled(MONITORING, state, dict(_monitored(state, events, knowledge)), given or {}, knowledge, events)
    flags = ("The person left before discharge.",) if state.phase is Phase.LEFT else ()
    if form.value("two_hours") is False:
        says = "Monitored for less than {esketamine.observation} after the last device."
        flags = (*flags, knowledge.say(says))
    deadline = state.dose.first + knowledge.length_ms(_form(MONITORING, knowledge)["deadline"])
    return replace(form, flags=(*flags, *form.flags), deadline=deadline)


def adverse_event_report(
    state: State, events: Sequence[Event], event: str, knowledge: Knowledge, given: Mapping[str, Any] | None = None
) -> Form:
    """The report of one recorded sign or symptom, by the id of its event. Raises `BadInput` where there is none."""
    events = [e for e in events if not e.withdrawn]
    told = next((e for e in events if e.id == event and e.type == "event" and e.data["present"]), None)
    if told is None:
        raise BadInput("no recorded sign has this id: take the id of an event of type 'event'", "event")
    held = dict(_happened(state, events, told, knowledge))
    signs = [e for e in events if e.id == event]
    return _filled(ADVERSE_EVENT, state, held, given or {}, knowledge, signs)


def sign(form: Form, *, by: str, role: str, at: int) -> Form:
    """The form signed by a named person. Raises `BadInput` naming what is empty or contradicts the record."""
    if not by.strip() or not role.strip():
        raise BadInput("a form is signed by a named person with a role: give both", form.id)
    if form.missing or form.conflicts:
        open_ = "; ".join((*form.missing, *form.conflicts))
        raise BadInput(f"the form is not complete, fill in or put right: {open_}", form.id)
    return replace(form, signed=(by, role, at))


def of_person(record: Bundle, state: State, knowledge: Knowledge) -> dict[str, str]:
    """Who the person is, as the monitoring form asks: the fields that the record fills, and nothing measured.

    Raises `BadInput` for the record of somebody else, or where the session does not say whose it is.
    """
    patient = record.patient
    if state.patient.rpartition("/")[2] != record.patient_reference.rpartition("/")[2]:
        raise BadInput("the record is of another person than the one who checked in: take the right one", "patient")
    names = _all(patient.get("name"), Mapping)
    name: Mapping[str, Any] = next((n for use in IN_USE for n in names if n.get("use", "usual") == use), {})
    said = {
        "given_name": " ".join(_all(name.get("given"), str)),
        "family_name": name.get("family"),
        "birth_date": patient.get("birthDate"),
        "sex": patient.get("gender"),
    }
    found = {}
    for field in _form(MONITORING, knowledge)["field"]:
        with suppress(BadInput):  # what does not fit is asked of a person
            if field["id"] in said:
                found[field["id"]] = _read(field, said[field["id"]])
    return found


def _all(listed: Any, kind: type) -> list[Any]:
    return [one for one in listed if isinstance(one, kind)] if isinstance(listed, list) else []


# --- filling ----------------------------------------------------------------------------------------------------------


def _form(name: str, knowledge: Knowledge) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(f for f in knowledge.content["forms"]["form"] if f["id"] == name)
    return found


def _filled(
    name: str,
    state: State,
    held: Mapping[str, Value],
    given: Mapping[str, Any],
    knowledge: Knowledge,
    events: Iterable[Event],
) -> Form:
    form = _form(name, knowledge)
    if state.treatment not in form["treatments"]:
        raise BadInput(
            f"this form is not for {shown(state.treatment)}: it is for {', '.join(form['treatments'])}", name
        )
    values: dict[str, Value | None] = {f["id"]: None for f in form["field"]}
    values.update(held)
    values.update(_given(form, given, held))
    shown_signs = {e.data["sign"] for e in events if e.type == "event" and e.data["present"]}
    shown_signs |= {"serious" for e in events if e.type == "event" and e.data.get("serious")}
    corrected = {c[0] for c in state.corrections} | {c[1] for c in state.corrections}
    fields = tuple(_field(f, values, corrected, knowledge) for f in form["field"])
    denied = [f["title"] for f in form["field"] if _is(values[f["id"]], False) and shown_signs & {*f.get("signs", ())}]
    return Form(
        id=name,
        title=form["title"],
        says=form["says"],
        session=state.session,
        patient=state.patient,
        zone=state.zone,
        sections=tuple((s["id"], s["title"]) for s in form["section"]),
        fields=fields,
        missing=tuple(f.title for f in fields if f.asked and f.value is None),
        conflicts=tuple(f"{title}: answered no, but recorded in the session" for title in denied),
        flags=("Something it rests on was corrected.",) if any(f.corrected for f in fields) else (),
        deadline=None,
        source=form["source"],
        locator=form["locator"],
        status=form["status"],
        knowledge=knowledge.version,
    )


def _field(
    f: Mapping[str, Any], values: Mapping[str, Value | None], corrected: set[str], knowledge: Knowledge
) -> Field:
    applies = "when" not in f or _is(values[f["when"]["field"]], f["when"]["is"])
    value = values[f["id"]]
    return Field(
        id=f["id"],
        section=f["section"],
        title=knowledge.say(f["title"]),
        kind=f["kind"],
        unit=_unit(f.get("unit", ""), knowledge),
        origin=f["from"],
        applies=applies,
        asked=applies and f.get("required", False),
        value=value,
        corrected=value is not None and value.event in corrected,
    )


def _is(value: Value | None, answer: bool) -> bool:
    return value is not None and value.value is answer


def _given(form: Mapping[str, Any], given: Mapping[str, Any], held: Mapping[str, Value]) -> dict[str, Value]:
    fields = {f["id"]: f for f in form["field"]}
    found = {}
    for name, value in given.items():
        if name not in fields:
            raise BadInput(f"no field {shown(name)}: the fields are those of the form", form["id"])
        if fields[name]["from"] == "person":
            found[name] = Value(_read(fields[name], value))
        elif name not in held and isinstance(value, Mapping) and str(value.get("not_measured", "")).strip():
            found[name] = Value(None, why=str(value["not_measured"]).strip())
        else:
            raise BadInput("this comes from the record of the session: correct the record, not the form", name)
    return found


def _read(field: Mapping[str, Any], value: Any) -> Any:
    """A given value in the kind of its field. Raises `BadInput` that names the field and not the value."""
    kind, name = field["kind"], field["id"]
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FAR
    if kind == "yes-no" and isinstance(value, bool):
        return value
    if kind == "number" and number and value >= 0:
        return value
    if kind == "instant" and number and FIRST <= value <= LAST:
        return int(value)
    if isinstance(value, str):
        with suppress(BadInput):  # whose message would repeat what was written
            if kind == "instant" and FIRST <= (at := instant(value).ms) <= LAST:
                return at
            if kind == "date" and len(value) == len("2026-11-22"):
                partial_date(value, timedelta())
                return value
    if kind == "choice" and value in field["choices"]:
        return value
    if kind == "text" and isinstance(value, str) and value.strip():
        return value.strip()
    wanted = f"one of {', '.join(field['choices'])}" if kind == "choice" else KINDS.get(kind, kind)
    raise BadInput(f"does not fit this field: write {wanted}", name)


KINDS = {
    "yes-no": "true or false",
    "number": "a number from 0",
    "instant": "an instant with its offset",
    "date": "YYYY-MM-DD",
    "text": "words",
}


# --- what the session holds -------------------------------------------------------------------------------------------


def _monitored(state: State, events: Sequence[Event], knowledge: Knowledge) -> Iterator[tuple[str, Value]]:
    first, end = state.dose.first, state.ended
    assert first is not None  # the caller refuses a session without a dose
    after = [e for e in events if e.at >= first]
    given = state.dose.given
    yield "treatment_date", Value(iso(first, state.zone)[: len("2026-11-22")], first, event=given[0].event)
    yield "dose", Value(sum(part.mg for part in given), state.dose.last, event=given[-1].event)
    yield "devices", Value(len(given), state.dose.last, event=given[-1].event)
    if all(part.lot for part in given):
        yield "lots", Value(tuple(part.lot for part in given), state.dose.last, event=given[-1].event)
    if end is not None:
        yield "duration", Value(round((end.at - first) / MINUTE), end.at, end.by, end.event)
        watched = end.at - (first if state.dose.watch_from is None else state.dose.watch_from)
        enough = watched >= knowledge.length_ms("esketamine.observation")
        yield "two_hours", Value(enough, end.at, end.by, end.event)
        yield "left_early", Value(end.phase is Phase.LEFT, end.at, end.by, end.event)
    yield from _pressures(state, events, knowledge)
    for event in [e for e in events if e.at < first and _has(e, "spo2")][-1:]:
        yield "spo2_before", _of(event, event.data["spo2"])
    for name, measure in (("spo2_lowest", "spo2"), ("breaths_lowest", "resp_rate")):
        lowest = min((e for e in after if _has(e, measure)), key=lambda e: e.data[measure], default=None)
        if lowest is not None:
            yield name, _of(lowest, lowest.data[measure])
    yield from _course("sedation", list(_sedation(after, knowledge)))
    yield from _course("dissociation", list(_dissociation(events, first, knowledge)))
    yield from _listed("medication", [(e, _medicine(e)) for e in after if e.type == "medication-given"], state)
    serious = [(e, _title(e, knowledge)) for e in events if e.type == "event" and e.data.get("serious")]
    yield from _listed("serious_recorded", serious, state)


def _pressures(state: State, events: Iterable[Event], knowledge: Knowledge) -> Iterator[tuple[str, Value]]:
    """The last pressure before the dose, the one nearest to its recheck, and the last one of all, each once."""
    first = state.dose.first
    assert first is not None
    pairs = [e for e in events if _has(e, "systolic") and _has(e, "diastolic")]
    pairs = [e for e in pairs if e.data["systolic"] > e.data["diastolic"]]  # the rest is an artefact
    due, room = first + knowledge.length_ms("esketamine.bp.recheck"), knowledge.length_ms("session.form.reading")
    before = [e for e in pairs if e.at < first]
    recheck = min(
        (e for e in pairs if e.at >= first and abs(e.at - due) <= room), key=lambda e: abs(e.at - due), default=None
    )
    after = [e for e in pairs if state.ended is not None and e.at > (recheck.at if recheck else due)]
    for name, event in (
        ("bp_before", before[-1] if before else None),
        ("bp_recheck", recheck),
        ("bp_end", after[-1] if after else None),
    ):
        if event is not None:
            yield name, _of(event, f"{event.data['systolic']:g}/{event.data['diastolic']:g}")


def _of(event: Event, value: Any) -> Value:
    return Value(value, event.at, event.by, event.id)


def _has(event: Event, field: str) -> bool:
    return field in event.data and field not in event.data.get("implausible", ())


class Rated(NamedTuple):
    """One rating: whether the effect was there, and how strongly, the greatest first."""

    event: Event
    there: bool
    depth: float
    says: str


def _sedation(events: Iterable[Event], knowledge: Knowledge) -> Iterator[Rated]:
    """Sedated is anything below the awake end of MOAA/S, or below calm on RASS."""
    plausible = knowledge.concepts["moaas"].plausible
    assert plausible is not None
    for event in events:
        for scale, name, awake in (("moaas", "MOAA/S", plausible[1]), ("rass", "RASS", 0)):
            if _has(event, scale):
                value = event.data[scale]
                yield Rated(event, value < awake, awake - value, f"{name} {value:g}")


def _dissociation(events: Iterable[Event], first: int, knowledge: Knowledge) -> Iterator[Rated]:
    """There, where a score is above the last one before the dose (above 0 without one), or a clinician says so."""
    before: dict[str, float] = {}
    for event in events:
        scores = {scale: event.data[scale] for scale in DISSOCIATION if _has(event, scale)}
        resolved = event.data.get("dissociation_resolved")
        if event.at < first:
            before |= scores
        elif scores or resolved is not None:
            depth, says = max(
                ((v - before.get(s, 0), f"{knowledge.concepts[s].title}: {v:g}") for s, v in scores.items()),
                default=(0, "not back to baseline"),
            )
            yield Rated(event, depth > 0 if resolved is None else not resolved, depth, says)


def _course(name: str, rated: Sequence[Rated]) -> Iterator[tuple[str, Value]]:
    """From the ratings after the dose: whether it was there, how strongly, from when, until when."""
    if not rated:
        return
    there = [r for r in rated if r.there]
    yield name, _of((there or rated[-1:])[0].event, bool(there))
    if not there:
        return
    worst = max(there, key=lambda r: r.depth)
    yield f"{name}_rated", _of(worst.event, worst.says)
    yield f"{name}_from", _of(there[0].event, there[0].event.at)
    for over in rated[rated.index(there[-1]) + 1 :][:1]:
        yield f"{name}_until", _of(over.event, over.event.at)


def _happened(state: State, events: Sequence[Event], told: Event, knowledge: Knowledge) -> Iterator[tuple[str, Value]]:
    yield "what", _of(told, _title(told, knowledge))
    if told.data.get("text"):
        yield "words", _of(told, told.data["text"])
    if "serious" in told.data:
        yield "serious_recorded", _of(told, told.data["serious"])
    yield "began", _of(told, told.at)
    yield "reported_by", _of(told, told.by)
    yield "treatment", _of(told, state.treatment)
    dose = so_far(state.dose, told.at)
    if dose is not None:
        yield "dose_then", _of(told, dose)
    if state.dose.first is not None and told.at >= state.dose.first:
        yield "since_dose", _of(told, round((told.at - state.dose.first) / MINUTE))
    lots = tuple(dict.fromkeys(part.lot for part in state.dose.given if part.lot and part.at <= told.at))
    if lots:
        yield "lots", _of(told, lots)
    before = [e for e in events if e.at <= told.at]
    last = [(m, e) for m in MEASURES for e in [e for e in before if _has(e, m)][-1:]]
    yield from _listed("readings", [(e, _quantity(m, e.data[m], knowledge)) for m, e in last], state)
    later = [e for e in events if (e.at, e.id) > (told.at, told.id)]
    same = [e for e in later if e.type == "event" and e.data["sign"] == told.data["sign"]]
    for over in [e for e in same if not e.data["present"]][:1]:
        yield "ended", _of(over, over.at)
    done = [(e, e.data["what"] if e.type == "action" else _medicine(e)) for e in later if e.type in DONE]
    yield from _listed("actions", done, state)


DONE = ("action", "medication-given")


def _listed(name: str, found: Sequence[tuple[Event, str]], state: State) -> Iterator[tuple[str, Value]]:
    if found:
        yield name, _of(found[-1][0], tuple(f"{_clock(e.at, state.zone)} {says}" for e, says in found))


def _medicine(event: Event) -> str:
    return f"{event.data['substance']} {event.data['dose']} {event.data['route']}"


def _quantity(measure: str, value: float, knowledge: Knowledge) -> str:
    concept = knowledge.concepts[measure]
    return f"{concept.title} {value:g} {_unit(concept.unit or '', knowledge)}".rstrip()


def _unit(code: str, knowledge: Knowledge) -> str:
    return str(knowledge.content["knowledge"]["unit_display"].get(code, code))


def _title(event: Event, knowledge: Knowledge) -> str:
    signs = knowledge.content["alarms"]["sign"]
    return next((str(s["title"]) for s in signs if s["id"] == event.data["sign"]), str(event.data["sign"]))


def _clock(ms: int, zone: timedelta) -> str:
    return iso(ms, zone)[BEFORE_CLOCK:][:CLOCK]


# --- looking at it ----------------------------------------------------------------------------------------------------


def form_sheet(form: Form, knowledge: Knowledge, *, now: int) -> Sheet:
    """The form as a page: every field, filled or visibly empty, each value with when and by whom it was recorded."""
    lead = [
        Line(
            text=form.says,
            source=cited(knowledge, form.source, form.locator),
            sure=how_sure(knowledge, form.status, form.source),
        )
    ]
    lead += [Line(text=flag, strong=True) for flag in form.flags]
    if form.deadline is not None:
        passed = " The deadline has passed." if form.late(now) else ""
        lead.append(Line(text=f"To be sent by {_written(form.deadline, form.zone)}.{passed}", strong=bool(passed)))
    if form.signed is None:
        lead.append(
            Line(text=f"Draft, not signed. Missing: {'; '.join((*form.missing, *form.conflicts)) or 'nothing'}.")
        )
    else:
        by, role, at = form.signed
        lead.append(Line(text=f"Signed by {by}, {role}, {_written(at, form.zone)}."))
    return Sheet(
        id=form.id,
        title=form.title,
        reader="clinician",
        lead=tuple(lead),
        parts=tuple(_part(form, section, title) for section, title in form.sections),
        meta={"made": _written(now, form.zone), "knowledge": form.knowledge, "session": form.session},
    )


def _part(form: Form, section: str, title: str) -> Part:
    rows = tuple(_row(f, form.zone) for f in form.fields if f.section == section and (f.applies or f.value is not None))
    return Part(title=title, kind="table", head=("Field", "Answer", "Recorded"), rows=rows, id=section)


def _row(field: Field, zone: timedelta) -> tuple[Line, ...]:
    if field.value is None:
        return Line(text=field.title), Line(text=EMPTY[field.origin], strong=field.asked), Line(text="")
    value, at, by, _, why = field.value
    when = ", ".join(filter(None, ("" if at is None else _clock(at, zone), by, "corrected" if field.corrected else "")))
    return (
        Line(text=field.title),
        Line(text=f"not measured: {why}" if why else _text(field, value, zone)),
        Line(text=when),
    )


TEXTS: Mapping[str, Callable[[Any], str]] = {
    "yes-no": lambda value: WORDS[value],
    "list": "; ".join,
    "number": lambda value: f"{value:g}",
}


def _text(field: Field, value: Any, zone: timedelta) -> str:
    text = _written(value, zone) if field.kind == "instant" else TEXTS.get(field.kind, str)(value)
    return f"{text} {field.unit}".rstrip()


def _written(ms: int, zone: timedelta) -> str:
    return iso(ms, zone)[: BEFORE_CLOCK + CLOCK].replace("T", " ")


def to_dict(form: Form) -> dict[str, Any]:
    """Plain values."""
    return asdict(form) | {"zone": form.zone.total_seconds()}
