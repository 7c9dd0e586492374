"""One person's follow-up: what the record holds, read by every room, the most urgent first.

Nothing here decides anything by itself: scores come from `instruments`, findings from the assessment's rules, the
course from `trajectory`, clocks from the risk workflow, and what is due from `due`. A part that cannot be read is said
to be unknown and takes nothing else with it: alarms are looked at before anything can be refused.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import orjson

from adjunct.assessment import Assessment, assess
from adjunct.base import FAR, MS_PER_DAY, YES, Instant, Verdict, iso
from adjunct.due import Due, due
from adjunct.due import State as Standing
from adjunct.fhir import Bundle
from adjunct.followup import checkins as answers
from adjunct.followup import recorded, safety_plan
from adjunct.followup.context import Annotation, beside, context
from adjunct.followup.cover import Cover, Hours, Told, contacts_in, told
from adjunct.followup.expected import OwnCourse, scales
from adjunct.followup.risk import Clock
from adjunct.followup.schedule import missed, schedule
from adjunct.followup.settings import checked
from adjunct.followup.signals import Signal, signals
from adjunct.followup.stored import check_ins
from adjunct.followup.surveillance import Surveillance, sessions, surveillance
from adjunct.followup.trajectory import Trajectory, trajectory
from adjunct.followup.workflow import SCREEN, URGENT, Concern, State, moment, replay
from adjunct.followup.worklist import worklist
from adjunct.instruments import Instrument, instrument
from adjunct.instruments.course import Course, course
from adjunct.instruments.outcomes import Scale
from adjunct.instruments.ratings import Happened, Measured, admitted
from adjunct.knowledge import Knowledge
from adjunct.record import Problem, Record

COURSE_EVENTS = {"hospital_admission": "hospital-admission", "suicide_attempt": "suicidal-act"}
HARD = ("emergency",)
MINUTE = len("2026-11-22T09:00")
ELSEWHERE = (
    "in the last check-in the person named another country than the one asked for: the numbers of both are shown"
)
ASK_WHERE = "Ask where the person is now."
PRESSING = (URGENT, "same-day")  # messages that alarm; another is a task
# Judgements that alarm, the gravest first, and what the person then reads.
WORSE = {
    "relapse": "back",
    "recurrence": "back",
    "alert_item": "worse",
    "alert_rise": "worse",
    "alert_rises": "worse",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The clinic's own: who is there when, what courses are expected, which definitions and which scale lead."""

    cover: Cover = field(default_factory=lambda: Cover(zone="UTC"))
    own: OwnCourse | None = None
    primary: str | None = None
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by instrument: definition -> its variant
    checkins: bool | None = None  # None: asked for once somebody has answered one

    @classmethod
    def of(cls, given: Mapping[str, Any], knowledge: Knowledge, now: Instant) -> Settings:
        """Read plain values, as a settings file has them. Raises `BadInput` for what is none, with its place."""
        read = checked(given, knowledge)
        cover = {"zone": _zone(now)} | read.pop("cover", {})
        cover["hours"] = tuple(Hours(**h) for h in cover.get("hours", ()))
        for name, kind in (("closed", frozenset), ("chain", tuple)):
            cover[name] = kind(cover.get(name, ()))
        own = OwnCourse(**read.pop("course")) if "course" in read else None
        return cls(cover=Cover(**cover), own=own, **read)


def _zone(now: Instant) -> str:
    """The offset of the question as a zone, for a clinic that has named none; the signs of such zones are reversed."""
    hours, rest = divmod(now.offset, timedelta(hours=1))
    return f"Etc/GMT{-hours:+d}" if hours and not rest else "UTC"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FollowUp:
    """Everything that follow-up knows of one person at one instant."""

    knowledge: Knowledge = field(repr=False)
    at: Instant
    patient: str = field(repr=False)
    country: str
    settings: Settings
    assessment: Assessment
    series: Mapping[str, tuple[Measured, ...]]
    courses: Mapping[str, Course]
    trajectory: Trajectory | None
    why_no_trajectory: str
    signals: tuple[Signal, ...]
    context: tuple[Annotation, ...]
    risk: State
    worklist: tuple[Due, ...]
    told: Told
    messages: tuple[answers.Alert, ...]
    surveillance: Surveillance
    checkins: tuple[Due, ...]
    plan: safety_plan.Plan
    problems: tuple[Mapping[str, str], ...]

    @property
    def alerts(self) -> tuple[Mapping[str, Any], ...]:
        """What somebody must act on, the gravest first: red flags, open suicide risk, red signals."""
        now = self.at.iso()
        found: list[Mapping[str, Any]] = [
            {"id": f.id, "level": f.action, "says": f.says, "tell": f.tell, "since": now}
            for f in self.assessment.findings
            if f.action in HARD or f.verdict == Verdict.ESCALATE.name
        ]
        found += [self._message(a) for a in self.messages if a.level == URGENT]
        found += [self._risk(c) for c in self.risk.open]
        found += [self._message(a) for a in self.messages if a.level != URGENT]
        found += [a for name, c in self.courses.items() if (a := self._worsening(name, c))]
        found += [
            {"id": s.id, "level": s.level, "says": s.says, "tell": s.tell, "since": self._iso(s.since)}
            for s in self.signals
            if s.level == "red"
        ]
        return tuple(found)

    def _message(self, alert: answers.Alert) -> Mapping[str, Any]:
        """Something else urgent in a check-in that nobody has answered."""
        flags = ", ".join(flag.replace("_", " ") for flag in alert.flags)
        return {
            "id": f"message:{alert.id}",
            "level": alert.level,
            "says": f"A check-in told of: {flags}. Received {self._clock(alert.received)}; read it and answer it.",
            "tell": alert.tell,
            "since": self._iso(alert.received),
        }

    def _risk(self, concern: Concern) -> Mapping[str, Any]:
        """An open concern, and who has to do what next."""
        steps = [d.step for d in self.worklist if d.step.id.startswith(f"{concern.id}/")]
        todo = "; ".join(f"{step.title} ({step.owner}, by {self._clock(step.window.overdue)})" for step in steps)
        level, when = concern.level.value, self._clock(concern.received)
        return {
            "id": f"risk:{concern.id}",
            "level": level,
            "says": f"Suicide-risk concern ({concern.kind}), level {level}, received {when}. {todo}".strip(),
            "tell": self.told.lines[0],
            "since": self._iso(concern.received),
        }

    def _screened(self) -> str | None:
        """When the screener was last answered in full: a level is as old as that."""
        times = [c.at for c in self.risk.concerns if c.kind == SCREEN and c.complete]
        return self._iso(max(times)) if times else None

    def _worsening(self, name: str, found: Course) -> Mapping[str, Any] | None:
        """One alarm a scale, with everything that raises it."""
        held = [j for j in found.judgements if j.chosen and j.holds == YES and j.id in WORSE]
        held.sort(key=lambda j: list(WORSE).index(j.id))
        if not held:
            return None
        return {
            "id": f"{name}:{held[0].id}",
            "level": "red",
            "says": f"{found.title}: {'; '.join(j.definition for j in held)}.",
            "tell": self.knowledge.wording["follow"][WORSE[held[0].id]],
            "since": self.at.iso() if found.latest is None else self._iso(found.latest.at),
        }

    def _iso(self, ms: int) -> str:
        return iso(ms, self.at.offset)

    def _clock(self, ms: int) -> str:
        """Date and time as people read them."""
        return self._iso(ms)[:MINUTE].replace("T", " ")

    def to_dict(self) -> dict[str, Any]:
        """The JSON shape: alerts first; instants in ISO 8601; what is not known is null, with its reason beside it."""
        notes = {id(s): n for s, n in beside(((s.since, s) for s in self.signals), self.context)}
        return {
            "knowledge": {"version": self.knowledge.version, "as_of": self.knowledge.as_of},
            "at": self.at.iso(),
            "alerts": [dict(a) for a in self.alerts],
            "risk": {
                "level": self.risk.level.value,
                "at_least": self.risk.at_least.value,
                "history": self.risk.history,
                "screened": self._screened(),
                "told": self.told.to_dict(),
                "concerns": [self._concern(c) for c in self.risk.concerns],
                "worklist": [self._due(d) for d in self.worklist],
                "flags": [{"event": f.event, "why": f.why} for f in self.risk.flags],
            },
            "courses": {name: self._course(name, found) for name, found in self.courses.items()},
            "trajectory": None if self.trajectory is None else self._dated(self.trajectory.to_dict()),
            "why_no_trajectory": self.why_no_trajectory,
            "signals": [
                {**s.to_dict(), "since": self._iso(s.since), "beside": [n.id for n in notes.get(id(s), ())]}
                for s in self.signals
            ],
            "context": [a.to_dict() for a in self.context],
            "surveillance": self.surveillance.to_dict(),
            "checkins": [self._due(d) for d in self.checkins],
            "safety_plan": safety_plan.as_dict(self.plan),
            "findings": self.assessment.to_dict()["findings"],
            "gaps": self.assessment.to_dict()["gaps"],
            "problems": [dict(p) for p in self.problems],
        }

    def to_json(self) -> str:
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()

    def safety_plan_text(self) -> str:
        return safety_plan.text(self.plan, self.told, self.knowledge)

    def safety_plan_page(self, language: str = "en") -> str:
        """The plan as one page to print, with whom to call where the person is. What somebody wrote stays theirs."""
        return safety_plan.page(self.plan, self.told, self.knowledge, language=language)

    def _due(self, entry: Due) -> dict[str, Any]:
        step = entry.step
        return {
            "id": step.id,
            "what": step.what,
            "title": step.title,
            "domain": step.domain,
            "owner": step.owner,
            "state": entry.state.value,
            "opens": self._iso(step.window.opens),
            "due": self._iso(step.window.due),
            "overdue": self._iso(step.window.overdue) if step.window.overdue < FAR else None,
            "basis": step.basis,
        }

    def _concern(self, concern: Concern) -> dict[str, Any]:
        return {
            "id": concern.id,
            "kind": concern.kind,
            "at": self._iso(concern.at),
            "received": self._iso(concern.received),
            "level": concern.level.value,
            "at_least": concern.at_least.value,
            "clocks": {clock.value: self._iso(start) for clock, start in concern.clocks.items()},
            "ask": list(concern.ask),
            "acknowledged": None if concern.acknowledged is None else concern.acknowledged.by,
            "closed": None if concern.closed is None else self._iso(concern.closed.at),
        }

    def _course(self, name: str, found: Course) -> dict[str, Any]:
        return {"series": [self._point(p) for p in self.series[name]], **self._dated(found.to_dict())}

    def _point(self, point: Measured) -> dict[str, Any]:
        value = None if math.isnan(point.value) else point.value
        return {"at": self._iso(point.at), "value": value, "reference": point.reference, "why": point.why}

    def _dated(self, value: Any, name: str = "") -> Any:
        """Instants as text: every whole number under a name that speaks of a time."""
        if isinstance(value, dict):
            return {k: self._dated(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._dated(v, name) for v in value]
        if name in TIMES and isinstance(value, int) and not isinstance(value, bool):
            return self._iso(value)
        return value


TIMES = frozenset({"at", "until", "since", "last", "began", "confirmed", "now", "doses", "score_at"})


def follow(
    bundle: Bundle,
    record: Record,
    knowledge: Knowledge,
    *,
    route: str | None = None,
    level: float | None = None,
    settings: Mapping[str, Any] | None = None,
) -> FollowUp:
    """Read one person's course from a record that was read for follow-up; `settings` are the clinic's own.

    `level` is the chance of having lost half of the gain that the interval review looks for. Raises `BadInput` for
    settings and routes that do not exist; what cannot be read in the record is a problem with its reference.
    """
    now = record.now
    chosen = Settings.of(settings or {}, knowledge, now)
    watched = surveillance(record, knowledge)
    assessment = assess(record, knowledge, treatment=watched.treatment)
    risk = replay(knowledge, recorded.risk_events(bundle, record, knowledge))
    open_tasks = worklist(risk, chosen.cover, now=now.ms)
    sent = check_ins(bundle, knowledge, now=now)
    said = _said_country(sent, knowledge, now)
    country = record.country or said
    waiting = any(c.acknowledged is None and Clock.HIGH in c.clocks for c in risk.open)
    help_now = told(risk.reads, knowledge, chosen.cover, country=country, now=now.ms, paged=waiting)
    elsewhere = said not in ("", country)
    if elsewhere:  # who asks names one country and the person another: a number too many is better than the wrong one
        there = contacts_in(said, knowledge, today=chosen.cover.local(now.ms).date().isoformat())
        help_now = replace(help_now, contacts=tuple(dict.fromkeys((*help_now.contacts, *there))))
    urgent = {a.id: a for state in sent for a in answers.alerts(state) if not answers.of_suicide(a, knowledge)}
    read = due(
        (s for state in sent for s in answers.alert_steps(state, chosen.cover) if s.id.partition(":")[-1] in urgent),
        recorded.message_acts(risk, sent, chosen.cover),
        now=now.ms,
    )
    unread = {d.step.id.partition(":")[-1] for d in read if d.state is not Standing.DONE}

    visits = [start for start, _ in sessions(record, knowledge)]
    series = series_of(record, knowledge)
    first = min(visits, default=None)
    happened = _happened(record, knowledge)
    courses = {
        name: course(
            instrument(knowledge, name),
            points,
            first_dose_at=first,
            now=now.ms,
            knowledge=knowledge,
            events=happened,
            variants=chosen.variants.get(name),
            offset=now.offset,
        )
        for name, points in series.items()
        if knowledge.instruments[name].get("range")
    }
    path, why = _trajectory(knowledge, series, visits, route or _route(watched.treatment), chosen, now, level)
    checkins = _checkins(bundle, record, knowledge, chosen, visits)
    return FollowUp(
        knowledge=knowledge,
        at=now,
        patient=record.patient,
        country=country,
        settings=chosen,
        assessment=assessment,
        series=series,
        courses=courses,
        trajectory=path,
        why_no_trajectory=why,
        signals=() if path is None else signals(knowledge, path),
        context=context(record, knowledge, series, due=checkins),
        risk=risk,
        worklist=open_tasks,
        told=help_now,
        messages=tuple(a for a in urgent.values() if a.id in unread and a.level in PRESSING),
        surveillance=watched,
        checkins=(*checkins, *read),
        plan=recorded.safety_plan(bundle, knowledge, now=now),
        problems=tuple(
            {"reference": p.reference, "what": p.what, "ask": p.ask}
            for p in (
                *record.problems,
                *recorded.safety_plan_problems(bundle, knowledge),
                *((Problem(reference="country", what=ELSEWHERE, ask=ASK_WHERE),) if elsewhere else ()),
            )
        ),
    )


def _said_country(sent: Sequence[answers.CheckIn], knowledge: Knowledge, now: Instant) -> str:
    """Where the person last said that they are, while it may still be so: as long as a check-in stays open."""
    since = now.ms - moment(knowledge.content["checkins"]["schedule"]["closes"], 0, 0, knowledge)
    said = [(a.at, s.country) for s in sent for a in s.answers if a.question == answers.COUNTRY and a.at >= since]
    return max(said, default=(0, ""))[-1]


def _checkins(
    bundle: Bundle, record: Record, knowledge: Knowledge, settings: Settings, visits: Sequence[int]
) -> tuple[Due, ...]:
    """Check-ins, and the call to somebody whose last one stayed unanswered: one call, however many were missed."""
    now, answered = record.now.ms, recorded.checkin_acts(bundle, record, knowledge)
    if not (settings.checkins or (settings.checkins is None and answered)):
        return ()
    asked = due(schedule(visits, knowledge, settings.cover, until=now), answered, now=now)
    last = [d for d in asked if d.step.window.overdue <= now][-1:]
    last = [d for d in last if not any(a.at >= d.step.window.opens for a in answered)]  # heard from since
    calls = due(missed(last, knowledge, settings.cover), recorded.missed_checkin_acts(bundle, knowledge), now=now)
    return (*asked, *calls)


def series_of(record: Record, knowledge: Knowledge) -> dict[str, tuple[Measured, ...]]:
    """The totals of every instrument on record, oldest first; what is not known stays, with its reason."""
    found = {}
    for name in knowledge.instruments:
        known = instrument(knowledge, name)
        rows = _rows(record, knowledge, known.raw.get("concept", known.id))
        if rows:
            items = _suicide_items(record, knowledge, known)
            found[name] = tuple(
                Measured(
                    at=at,
                    until=until,
                    reference=reference,
                    value=values[0] if len(values) == 1 else math.nan,
                    suicide_item=items.get((at, until, reference), math.nan),
                    why="" if len(values) == 1 and values[0] == values[0] else "the score is not known",
                )
                for (at, until, reference), values in rows.items()
            )
    return found


def _suicide_items(record: Record, knowledge: Knowledge, known: Instrument) -> dict[tuple[int, int, str], float]:
    """What the item on suicidal thoughts was answered, beside the total of the same questionnaire."""
    named = {
        item
        for plan in known.plans.values()
        for alert in plan.alerts
        if alert.level == "suicide"
        for _, item in alert.when.asks
    }
    found: dict[tuple[int, int, str], float] = {}
    for entry in known.raw.get("item", ()):
        if entry["id"] in named and "concept" in entry:
            for key, values in _rows(record, knowledge, entry["concept"]).items():
                found[key] = max((v for v in values if v == v), default=math.nan)
    return found


def _rows(record: Record, knowledge: Knowledge, concept: str) -> dict[tuple[int, int, str], list[float]]:
    """The values of a concept by time and reference; two of them are the ends of what it may be."""
    events, number = record.events, knowledge.vocabulary.concepts.get(concept)
    found: dict[tuple[int, int, str], list[float]] = defaultdict(list)
    if number is None:
        return found
    for row in range(int(events.starts[number]), int(events.starts[number + 1])):
        if events.person[row] == 0 and events.source[row] >= 0:
            key = int(events.t0[row]), int(events.t1[row]), record.evidence[events.source[row]].reference
            value = float(events.value[row]) if events.status[row] == YES else math.nan
            if value not in found[key]:
                found[key].append(value)
    return dict(sorted(found.items()))


def _happened(record: Record, knowledge: Knowledge) -> tuple[Happened, ...]:
    events = record.events
    found = []
    for concept, kind in COURSE_EVENTS.items():
        number = knowledge.vocabulary.concepts[concept]
        for row in range(int(events.starts[number]), int(events.starts[number + 1])):
            if events.person[row] == 0 and events.status[row] == YES and events.source[row] >= 0:
                reference = record.evidence[events.source[row]].reference
                found.append(
                    Happened(at=int(events.t0[row]), until=int(events.t1[row]), kind=kind, reference=reference)
                )
    return tuple(found)


def _route(treatment: str) -> str | None:
    """The treatments of the record name their route; "none" has none."""
    return treatment if "-" in treatment else None


def _trajectory(
    knowledge: Knowledge,
    series: Mapping[str, Sequence[Measured]],
    visits: Sequence[int],
    route: str | None,
    settings: Settings,
    now: Instant,
    level: float | None,
) -> tuple[Trajectory | None, str]:
    """The course as a model sees it, or why there is none. A score that stands against another is left out."""
    drawn = {}
    for name in scales(knowledge):
        if name in series:
            used, _ = admitted(series[name], Scale.of(instrument(knowledge, name), knowledge), now.ms)
            drawn[name] = [p for p in used if p.value == p.value and p.end - p.at < MS_PER_DAY]
    if settings.primary is not None and settings.primary not in drawn:
        return None, f"there is no {settings.primary} that can be placed in time"
    primary = settings.primary or max(drawn, key=lambda name: len(drawn[name]), default="")
    if not primary or not drawn[primary]:
        names = ", ".join(knowledge.instruments[name]["title"] for name in scales(knowledge))
        return None, f"no total of {names} that can be placed in time is on record"
    return (
        trajectory(knowledge, drawn, visits, route=route, primary=primary, now=now.ms, level=level, own=settings.own),
        "",
    )
