"""Long follow-up of one person: what is due, what is abnormal, and how much of the treatment they have had.

Which measure is due how often, and what shortens an interval, stands in `followup/surveillance.toml`; when something is
due is decided by `due`, when a value is abnormal by the rules of the knowledge. Here they are only brought together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from adjunct.assessment import Assessment, Finding, assess
from adjunct.base import FAR, MS_PER_DAY, UNKNOWN, YES, BadInput, convert, duration_ms, iso
from adjunct.due import PRESSING, Done, Due, State, Step, Window, after, due
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Program
from adjunct.knowledge.entries import NONE
from adjunct.knowledge.language import parse
from adjunct.record import Intake, Record

Span = tuple[int, int]
Table = Mapping[str, Any]
PHASE = "follow-up"
SERIES, MAINTENANCE, BASELINE = "series", "maintenance", "baseline"
NOT_STATED = "not stated"
ELSEWHERE, OUTSIDE, EITHER = "outside_ketamine", "outside the clinic", "ketamine or esketamine"
NOT_DONE = "not-done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """What was given of one substance by one route, in mg: at least `least`; at most `most`, None if that is open."""

    substance: str
    route: str
    given: int
    possibly: int
    least_mg: float
    most_mg: float | None
    unknown_amounts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Every dose on record. Times are intervals of instants, rates and gaps [least, most]; None where there is none."""

    doses: int
    possibly: int
    first: Span | None
    last: Span | None
    per_week: tuple[float, float]
    days_since_last: tuple[float, float] | None
    last_gap_days: tuple[float, float] | None
    longest_gap_days: tuple[float, float] | None
    amounts: tuple[Amount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveillance:
    """What is due, what is abnormal and what was given, at one instant.

    `because` names the condition that set the interval of a measure; `open` asks for those that are not known.
    """

    at: int
    phase: str
    treatment: str
    steps: tuple[Step, ...]
    due: tuple[Due, ...]
    abnormal: Mapping[str, tuple[Finding, ...]]
    exposure: Exposure
    last: Mapping[str, Done]
    because: Mapping[str, str]
    open: tuple[str, ...]

    @property
    def pressing(self) -> tuple[Due, ...]:
        """What is due or overdue now, the longest waiting first."""
        return tuple(d for d in self.due if d.state in PRESSING)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; instants in ISO 8601, UTC."""
        exposure = asdict(self.exposure) | {name: _written(getattr(self.exposure, name)) for name in ("first", "last")}
        return {
            "at": _iso(self.at),
            "phase": self.phase,
            "treatment": self.treatment,
            "due": [
                {
                    "id": d.step.id,
                    "what": d.step.what,
                    "title": d.step.title,
                    "domain": d.step.domain,
                    "owner": d.step.owner,
                    "state": d.state.value,
                    "opens": _iso(d.step.window.opens),
                    "due": _iso(d.step.window.due),
                    "overdue": _iso(d.step.window.overdue) if d.step.window.overdue < FAR else None,
                    "last": _iso(self.last[d.step.what].at) if d.step.what in self.last else None,
                    "because": self.because.get(d.step.what, ""),
                    "basis": d.step.basis,
                    "reference": self.last[d.step.what].reference if d.step.what in self.last else "",
                }
                for d in self.due
                if d.state not in (State.DONE, State.MISSED)
            ],
            "missed": [
                {"id": d.step.id, "title": d.step.title, "domain": d.step.domain, "due": _iso(d.step.window.due)}
                for d in self.due
                if d.state is State.MISSED
            ],
            "abnormal": {domain: [f.id for f in found] for domain, found in self.abnormal.items() if found},
            "exposure": exposure,
            "open": list(self.open),
        }


def surveillance(
    record: Record,
    knowledge: Knowledge,
    *,
    treatment: str = "",
    planned: Sequence[int] = (),
    assessment: Assessment | None = None,
) -> Surveillance:
    """What is due and abnormal for the person of `record`, which must have been read for follow-up.

    `planned` are the instants of sessions to come; `treatment` is, if not given, the one last recorded by its route.
    An assessment of the same record may be handed in, so that rules run once.
    """
    if record.phase != PHASE:
        raise BadInput(f"surveillance needs a record read for follow-up, not for {record.phase}; read it again")
    data, now = knowledge.content["surveillance"], record.now.ms
    visits = sessions(record, knowledge)
    exposure = exposure_of(record, knowledge)
    treatment = treatment or _treatment(record, knowledge)
    truths = _conditions(record, knowledge)
    phase = phase_of(visits, knowledge, now, twice_weekly=truths["twice-weekly"])
    acts = {m["id"]: _acts(record, knowledge, m) for m in data["measure"]}
    because: dict[str, str] = {}
    steps = tuple(
        step
        for measure in data["measure"]
        for step in _steps(
            _Plan(data, measure, acts[measure["id"]], visits, tuple(planned), truths, phase, now, _series(knowledge)),
            because,
        )
    )
    assessment = assessment or assess(record, knowledge, treatment=treatment)
    return Surveillance(
        at=now,
        phase=phase,
        treatment=treatment,
        steps=steps,
        due=due(steps, [act for each in acts.values() for act in each], now=now),
        abnormal={d["id"]: tuple(f for f in assessment.findings if f.id in d["rules"]) for d in data["domain"]},
        exposure=exposure,
        last={name: max(each, key=lambda a: (a.at, a.reference)) for name, each in acts.items() if each},
        because=because,
        open=tuple(c["ask"] for c in data["condition"] if truths[c["id"]] == UNKNOWN and "ask" in c),
    )


# --- what holds of the person -----------------------------------------------------------------------------------------


@cache
def _program(knowledge: Knowledge) -> Program:
    rows = knowledge.content["surveillance"]["condition"]
    where = "followup/surveillance.toml, condition "
    return Program([parse(c["when"], knowledge.vocabulary, where + c["id"]) for c in rows], knowledge.vocabulary, PHASE)


def _conditions(record: Record, knowledge: Knowledge) -> Mapping[str, int]:
    """Each condition's truth, the strongest under any reading of ambiguous entries."""
    truths = _program(knowledge).run(record.events).truths.max(axis=1)
    rows = knowledge.content["surveillance"]["condition"]
    return {c["id"]: int(t) for c, t in zip(rows, truths, strict=True)}


def phase_of(visits: Sequence[Span], knowledge: Knowledge, now: int, *, twice_weekly: int) -> str:
    """Baseline before any dose; a series while the course is young or doses come twice a week; then maintenance."""
    if not visits:
        return BASELINE
    young = now < visits[0][0] + _series(knowledge)
    return SERIES if young or twice_weekly == YES else MAINTENANCE


def _series(knowledge: Knowledge) -> int:
    fact = knowledge.facts["surveillance.series"]
    return round(convert(knowledge.number(fact.id), fact.unit, "d") * MS_PER_DAY)


def _rows(record: Record, knowledge: Knowledge, concept: str) -> Iterator[int]:
    """Rows of a concept with a date; readings of ambiguous substances do not differ in what was measured.

    Ketamine from elsewhere counts without a date too: it was taken, whenever that was.
    """
    events, number = record.events, knowledge.vocabulary.concepts[concept]
    for row in range(int(events.starts[number]), int(events.starts[number + 1])):
        if events.person[row] == 0 and (events.t0[row] > -FAR // 2 or concept == ELSEWHERE):
            yield row


def _acts(record: Record, knowledge: Knowledge, measure: Table) -> tuple[Done, ...]:
    """When a measure was done. A day without an hour counts from its beginning, so that nothing is due too late."""
    events = record.events
    times = {
        concept: [
            (int(events.t0[row]), _reference(record, row))
            for row in _rows(record, knowledge, concept)
            if _answered(record, knowledge, concept, row)
        ]
        for concept in measure["done"]
    }
    found: Iterable[tuple[int, str]]
    if measure.get("needs", "any") == "all":
        together = duration_ms(knowledge.content["surveillance"]["together"])
        first, *others = times.values()
        found = [(at, ref) for at, ref in first if all(any(abs(at - t) <= together for t, _ in o) for o in others)]
    else:
        found = [each for rows in times.values() for each in rows]
    return tuple(Done(what=measure["id"], at=at, reference=ref) for at, ref in sorted(set(found)))


def _answered(record: Record, knowledge: Knowledge, concept: str, row: int) -> bool:
    """Whether a row holds an answer: a number that is known, or a yes or a no; "not done" is none."""
    events = record.events
    if knowledge.concepts[concept].kind in ("measure", "score", "derived"):
        return bool(events.status[row] == YES and not np.isnan(events.value[row]))
    code = int(events.code[row])
    return bool(events.status[row] != UNKNOWN and not (code >= 0 and knowledge.code_ids[code] == NOT_DONE))


def _reference(record: Record, row: int) -> str:
    source = int(record.events.source[row])
    return record.evidence[source].reference if source >= 0 else ""


# --- steps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """One line of the table together with what it is applied to."""

    data: Table
    measure: Table
    acts: tuple[Done, ...]
    visits: Sequence[Span]
    planned: tuple[int, ...]
    truths: Mapping[str, int]
    phase: str
    now: int
    series: int

    def step(self, name: str, window: Window) -> Step:
        return Step(id=f"{self.measure['id']}.{name}", what=self.measure["id"], window=window, **self.words)

    @property
    def words(self) -> dict[str, str]:
        source = self.measure.get("source", self.data["source"])
        basis = f"{source['id']}, {source.get('locator', '')}"
        return {k: self.measure[k] for k in ("title", "domain", "owner")} | {"basis": basis.rstrip(", ")}

    def holds(self, line: Table) -> bool:
        return "if" not in line or self.truths[line["if"]] == YES

    def length(self, line: Table, name: str) -> int:
        return duration_ms(line[name] if name in line else self.data[name])


def _steps(plan: _Plan, because: dict[str, str]) -> Iterator[Step]:
    """Everything one measure asks for: before the first dose, at each visit, and since the last time."""
    each = plan.measure.get("each_dose")
    by_visit = tuple(_at_visits(plan, each)) if each and plan.holds(each) else ()
    first_is_visit = any(step.id.endswith(".visit-1") for step in by_visit)
    if "baseline" in plan.measure and not first_is_visit:
        yield _baseline(plan)
    yield from by_visit
    line = _interval(plan, because)
    if line is not None:
        last = plan.acts[-1].at if plan.acts else None
        began = plan.visits[0][0] if plan.visits else None
        every = duration_ms(line["interval"])
        before = last is not None and began is not None and last < began  # the baseline: what counts is the first dose
        yield after(
            plan.measure["id"],
            plan.measure["id"],
            last=None if before else last,
            every=every,
            first=plan.now if began is None else began + every if before else began,
            early=min(plan.length(line, "early"), every),
            grace=plan.length(line, "grace"),
            **plan.words,
        )


def _baseline(plan: _Plan) -> Step:
    """Before the first dose; if none was given, before the first planned session; if none is planned, now."""
    valid = duration_ms(plan.measure["baseline"])
    to_come = [p for p in plan.planned if p > plan.now]
    if plan.visits:
        start, end = plan.visits[0]
        window = Window(opens=start - valid, due=start, overdue=start, closes=end + 1)
    elif to_come:
        by = min(to_come)
        window = Window(opens=by - valid, due=by - min(valid, plan.length(plan.measure, "early")), overdue=by)
    else:
        window = Window(opens=plan.now - valid, due=plan.now, overdue=FAR)
    return plan.step(BASELINE, window)


def _at_visits(plan: _Plan, each: Table) -> Iterator[Step]:
    """One step a session, given or planned, numbered from the first."""
    before = plan.length(each, "before") if "before" in each else duration_ms(plan.data["session_before"])
    later = duration_ms(plan.data["session_after"])
    to_come = [(p, p) for p in sorted(set(plan.planned)) if p > plan.now]
    for number, (start, end) in enumerate([*plan.visits, *to_come], start=1):
        part = SERIES if start < (plan.visits or to_come)[0][0] + plan.series else MAINTENANCE
        if part in each["phases"]:
            window = Window(opens=start - before, due=start, overdue=end + 1, closes=end + max(later, 1))
            yield plan.step(f"visit-{number}", window)


def _interval(plan: _Plan, because: dict[str, str]) -> Table | None:
    """The line that says how often: the last plain one of the phase that has begun, or a shorter one that holds."""
    elapsed = plan.now - plan.visits[0][0] if plan.visits else 0
    lines = [
        line
        for line in plan.measure.get("every", ())
        if line["phase"] in (plan.phase, "any")
        and plan.holds(line)
        and ("from" not in line or elapsed >= duration_ms(line["from"]))
    ]
    plain = [line for line in lines if "if" not in line][-1:]
    chosen = min([*plain, *(line for line in lines if "if" in line)], key=_every, default=None)
    if chosen is not None and "if" in chosen:
        titles = {c["id"]: c["title"] for c in plan.data["condition"]}
        because[plan.measure["id"]] = titles[chosen["if"]]
    return chosen


def _every(line: Table) -> int:
    return duration_ms(line["interval"])


# --- exposure ---------------------------------------------------------------------------------------------------------


def _given(record: Record, knowledge: Knowledge) -> list[Intake]:
    """The recorded administrations of the treatment, as sure as their record."""
    wanted = set(knowledge.content["surveillance"]["substances"])
    return [
        i
        for i in record.intakes
        if i.view == "MedicationAdministration"
        and not i.denied
        and i.last_use is not None
        and i.options
        and all(wanted & set(ids) for ids in i.options.values())
    ]


def sessions(
    record: Record, knowledge: Knowledge, *, possible: bool = False, concept: str = "dose"
) -> tuple[Span, ...]:
    """When doses were given, oldest first; two administrations of one session are one.

    A dose known to no more than the month, while others were given in it, may be one of those: it is only possible.
    """
    events, apart = record.events, duration_ms(knowledge.content["surveillance"]["same_session"])
    rows = sorted(
        (int(events.t0[row]), int(events.t1[row]))
        for row in _rows(record, knowledge, concept)
        if events.status[row] == YES or (possible and events.status[row] == UNKNOWN)
    )
    merged: list[Span] = []
    for start, end in (r for r in rows if r[1] - r[0] < MS_PER_DAY):
        if merged and (start - merged[-1][0] < apart or start <= merged[-1][1]):
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    for start, end in (r for r in rows if r[1] - r[0] >= MS_PER_DAY):
        if possible or not any(start <= e and s <= end for s, e in merged):
            merged.append((start, end))
    return tuple(sorted(merged))


def exposure_of(record: Record, knowledge: Knowledge) -> Exposure:
    """Number of doses, amounts by substance and route, and how close together they were."""
    visits, now = sessions(record, knowledge), record.now.ms
    gaps = [(max(b[0] - a[1], 0) / MS_PER_DAY, (b[1] - a[0]) / MS_PER_DAY) for a, b in pairwise(visits)]
    return Exposure(
        doses=len(visits),
        possibly=len(sessions(record, knowledge, possible=True)) - len(visits),
        first=visits[0] if visits else None,
        last=visits[-1] if visits else None,
        per_week=_per_week(visits, knowledge, now),
        days_since_last=((now - visits[-1][1]) / MS_PER_DAY, (now - visits[-1][0]) / MS_PER_DAY) if visits else None,
        last_gap_days=gaps[-1] if gaps else None,
        longest_gap_days=(max(g[0] for g in gaps), max(g[1] for g in gaps)) if gaps else None,
        amounts=(*_amounts(_given(record, knowledge), knowledge), *_elsewhere(record, knowledge)),
    )


def _per_week(visits: Sequence[Span], knowledge: Knowledge, now: int) -> tuple[float, float]:
    """Doses a week over the last weeks, or since the first dose if that is less, but never over less than one week."""
    if not visits:
        return 0.0, 0.0
    week = duration_ms("1 wk")
    window = round(knowledge.number("surveillance.rate.window") * MS_PER_DAY)
    weeks = max(min(window, now - visits[0][0]), week) / week
    since = now - window
    return sum(s >= since for s, _ in visits) / weeks, sum(e >= since for _, e in visits) / weeks


def _amounts(given: Sequence[Intake], knowledge: Knowledge) -> tuple[Amount, ...]:
    """Sums in mg, racemic ketamine and esketamine apart; an amount that is not known leaves the sum "at least"."""
    groups: dict[tuple[str, str], list[Intake]] = {}
    for intake in given:
        names = {s for ids in intake.options.values() for s in ids}
        substance = next(iter(names)) if len(names) == 1 else NOT_STATED
        groups.setdefault((substance, _route(intake.route, knowledge)), []).append(intake)
    return tuple(_amount(substance, route, rows) for (substance, route), rows in sorted(groups.items()))


def _amount(substance: str, route: str, rows: Sequence[Intake]) -> Amount:
    sure = [i for i in rows if i.status == YES]
    known = [i.dose_mg for i in rows if i.dose_mg is not None]
    return Amount(
        substance=substance,
        route=route,
        given=len(sure),
        possibly=len(rows) - len(sure),
        least_mg=sum(i.dose_mg[0] for i in sure if i.dose_mg is not None),
        most_mg=sum(high for _, high in known) if len(known) == len(rows) else None,
        unknown_amounts=len(rows) - len(known),
    )


def _elsewhere(record: Record, knowledge: Knowledge) -> Iterator[Amount]:
    """Ketamine from elsewhere, as somebody told it: how often at least, and how much nobody knows."""
    sure = len(sessions(record, knowledge, concept=ELSEWHERE))
    possibly = len(sessions(record, knowledge, concept=ELSEWHERE, possible=True)) - sure
    if sure or possibly:
        yield Amount(
            substance=EITHER,
            route=OUTSIDE,
            given=sure,
            possibly=possibly,
            least_mg=0,
            most_mg=None,
            unknown_amounts=sure + possibly,
        )


def _route(words: str, knowledge: Knowledge) -> str:
    for route in knowledge.content["surveillance"]["route"]:
        if any(re.search(rf"\b{re.escape(word)}\b", words) for word in route["words"]):
            return str(route["id"])
    return NOT_STATED


def _treatment(record: Record, knowledge: Knowledge) -> str:
    """The treatment of the newest dose whose substance and route are both known, else none."""
    routes = {r["id"]: r.get("treatments", {}) for r in knowledge.content["surveillance"]["route"]}
    for intake in sorted(_given(record, knowledge), key=lambda i: (i.last_use or (0, 0), i.reference), reverse=True):
        names = {s for ids in intake.options.values() for s in ids}
        named = routes.get(_route(intake.route, knowledge), {}).get(next(iter(names))) if len(names) == 1 else None
        if named:
            return str(named)
    return NONE


def _iso(ms: int) -> str:
    return iso(ms, timedelta(0))


def _written(span: Span | None) -> list[str] | None:
    return [_iso(ms) for ms in span] if span else None
