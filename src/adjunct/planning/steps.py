"""A plan as steps for `due.py`: what is open first, what comes before each visit, what is measured, tasks, reviews."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from adjunct.base import NO, YES, BadInput
from adjunct.due import Done, State, Step, Window
from adjunct.followup.schedule import schedule
from adjunct.followup.surveillance import surveillance
from adjunct.planning.case import Case
from adjunct.planning.course import DOSE, Course
from adjunct.planning.log import MISSED, RESUME, day, tables
from adjunct.planning.model import OVER, Told, Visit
from adjunct.planning.protocols import LAST, Prerequisite, Task, value_ms

BEFORE_COURSE, AFTER_VISIT = "course", "visit"
AT_VISIT = ".visit-"  # in the id of a step of follow-up that belongs to one visit


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a plan, its visits with what comes before each, and what the record says was done of them."""

    visits: tuple[Visit, ...]
    steps: tuple[Step, ...]
    acts: tuple[Done, ...] = ()


def steps_of(case: Case, main: Course, visits: Sequence[Visit], open_: Sequence[Told], missed: Sequence[Told]) -> Steps:
    """Everything to be done. `visits` are those of the course and of the therapies beside it, in order."""
    before: dict[str, list[str]] = defaultdict(list)
    steps = [_visit_step(case, v) for v in visits]
    steps += _prerequisites(case, main.visits, before)
    steps += _tasks(case, main.visits)
    steps += _reviews(case, main)
    steps += _tapers(case)
    acts: list[Done] = []
    if case.protocol.substance:
        watched, measures, acts = _watched(case, main.visits, visits)
        asked = {(s.what, s.window.overdue) for s in steps if s.domain == "before"}  # nobody is asked twice for a visit
        steps += [s for s in watched if not (AT_VISIT in s.id and (s.what, s.window.due) in asked)]
        visits = [
            replace(v, measures=(*v.measures, *measures.get(v.starts, ()))) if v.kind == DOSE else v for v in visits
        ]
    open_ids = {told.id for told in open_}
    steps += [_missed_step(case, told, main) for told in missed if told.id not in open_ids]
    first = min([case.now.ms, *(s.window.due for s in steps)])
    opened = [_open_step(case, told, first) for told in open_]
    to_come = next((v for v in main.visits if v.state not in OVER), None)
    if to_come is not None:
        before[to_come.id] = [*(s.id for s in opened), *before[to_come.id]]
    return Steps(
        visits=tuple(replace(v, prerequisites=tuple(before.get(v.id, ()))) for v in visits),
        steps=(*opened, *sorted(steps, key=lambda s: (s.window.due, s.id))),
        acts=tuple(acts),
    )


def _visit_step(case: Case, visit: Visit) -> Step:
    return Step(
        id=visit.id,
        what=visit.kind if visit.kind == DOSE else visit.id.partition(".")[0],
        title=visit.title,
        domain="visit",
        owner="person",
        window=visit.window,
        basis=case.protocol.source["id"],
    )


def _open_step(case: Case, told: Told, at: int) -> Step:
    """It is due before anything else in the plan, whenever that is."""
    return Step(
        id=f"open:{told.id}",
        what=f"open:{told.id}",
        title=told.title,
        domain="open",
        owner=told.owner,
        window=Window(opens=at, due=at, overdue=case.now.ms),
        basis=told.source or told.id,
    )


def _missed_step(case: Case, told: Told, main: Course) -> Step:
    """The call after a missed visit; after a pause, what comes before the next dose."""
    if main.missed_last:
        visit = main.missed_last[-1]
        noted = (c.at for c in case.log.of(MISSED) if c.data["visit"] == visit.id)
        name, at = visit.id, min([visit.window.closes, *noted])
    else:
        name, at = max((c.id, c.at) for c in case.log.of(RESUME)[-1:])
    return Step(
        id=f"missed:{name}:{told.id}",
        what="missed-visit",
        title=told.title,
        domain="visit",
        owner=told.owner,
        window=Window(opens=at, due=at, overdue=at + case.ms("plan.missed.call")),
        basis=told.source,
    )


def _prerequisites(case: Case, visits: Sequence[Visit], before: dict[str, list[str]]) -> Iterator[Step]:
    """What comes before the course, or before each visit that is still to come."""
    rules = case.protocol.prerequisites
    truths = case.truths(tuple((p.id, p.when) for p in rules if p.when))
    values = case.current
    for rule in rules:
        if truths.get(rule.id, YES) == NO or not _here(case, rule):  # what is not known to be otherwise is asked for
            continue
        of_course = rule.each == BEFORE_COURSE
        title, owner = case.words(rule.title), case.owner(rule.owner)
        due = value_ms(values[rule.due])
        opens = max(value_ms(values[rule.opens]), due)
        for visit in visits[:1] if of_course else [v for v in visits if v.state not in OVER]:
            name = f"{case.protocol.id}:{rule.id}" if of_course else f"{visit.id}:{rule.id}"
            if visit.state not in OVER:
                before[visit.id].append(name)
            yield Step(
                id=name,
                what=rule.what,
                title=title,
                domain="before",
                owner=owner,
                window=Window(
                    opens=visit.starts - opens,
                    due=visit.starts - due,
                    overdue=visit.starts,
                    closes=max(visit.window.closes, visit.starts + 1),
                ),
                basis=rule.source["id"],
            )


def _here(case: Case, rule: Prerequisite | Task) -> bool:
    """Whether something is asked for in the country of the clinic; where that is not known, it is."""
    return not rule.countries or case.clinic.country in ("", *rule.countries)


def _tasks(case: Case, visits: Sequence[Visit]) -> Iterator[Step]:
    """What is done after each visit that was, or is to be; and on its own days from the first visit on."""
    rules = case.protocol.tasks
    truths = case.truths(tuple((t.id, t.when) for t in rules if t.when))
    values = case.current
    for rule in rules:
        if truths.get(rule.id, YES) == NO or not visits or not _here(case, rule):
            continue
        due, opens = value_ms(values[rule.due]), value_ms(values[rule.opens]) if rule.opens else 0
        if rule.after == AFTER_VISIT:
            times = {v.id: v.given_at or v.starts for v in visits if v.state is not State.MISSED}
        else:
            every = value_ms(values[rule.every]) if rule.every else 0
            span = visits[-1].ends - visits[0].starts - due
            count = span // every + 1 if every and span >= 0 else 1
            times = {f"{case.protocol.id}.{n}": visits[0].starts + every * (n - 1) for n in range(1, count + 1)}
        title, owner = case.words(rule.title), case.owner(rule.owner)
        for name, since in times.items():
            yield Step(
                id=f"{name}:{rule.id}",
                what=rule.what,
                title=title,
                domain="task",
                owner=owner,
                window=Window(opens=since + min(opens, due), due=since + due, overdue=since + due),
                basis=rule.source["id"],
            )


def _reviews(case: Case, main: Course) -> Iterator[Step]:
    """The points at which a clinician decides. The end of a phase is one when all its visits stand in the plan."""
    visits, stopped = main.visits, case.log.stopped()
    by_id = {v.id: v for v in visits}
    last = {v.phase: v for v in visits}
    grace = case.ms("plan.review.grace")
    for rule in case.protocol.reviews:
        times: list[int] = []
        if "visit" in rule.after:
            phase, number = rule.after["phase"], rule.after["visit"]
            name = f"{case.protocol.id}.{phase}.{number}"
            visit = by_id.get(name) if number != LAST else last.get(phase) if phase in main.whole else None
            times = [visit.ends] if visit else []
        elif visits:
            length = value_ms(case.current[rule.after["time"]])
            count = (visits[-1].ends - visits[0].starts) // length if rule.repeating else 1
            times = [visits[0].starts + length * n for n in range(1, max(count, 1) + 1)]
        for number, at in enumerate(times, start=1):
            if stopped and at > stopped.at:
                break
            yield Step(
                id=f"review:{rule.id}.{number}",
                what=f"review:{rule.id}",
                title=rule.title,
                domain="review",
                owner=case.owner(rule.owner),
                window=Window(opens=at - grace, due=at, overdue=at + grace),
                basis=rule.source["id"],
            )


def _tapers(case: Case) -> Iterator[Step]:
    """The steps that a clinician wrote, as they were written: nothing is computed here."""
    for number, entry in enumerate(tables(case.order.get("taper", ()), "taper")):
        at = f"taper[{number}]"
        if not all(str(entry.get(k, "")).strip() for k in ("from", "text", "by")):
            raise BadInput("a step of a taper has its day, its words and who wrote it: from, text, by", at)
        since = day(entry["from"], f"{at}.from")
        begins, ends = (case.clinic.cover.instant(since + timedelta(days=n), timedelta(0)) for n in (0, 1))
        yield Step(
            id=f"taper:{since.isoformat()}.{number}",
            what="taper",
            title=str(entry["text"]),
            domain="taper",
            owner="person",
            window=Window(opens=begins, due=begins, overdue=ends),
            basis=f"written by {entry['by']}",
        )


def _watched(
    case: Case, doses: Sequence[Visit], visits: Sequence[Visit]
) -> tuple[list[Step], dict[int, list[str]], list[Done]]:
    """Check-ins after every dose, and what follow-up measures; both end some time after the last visit or the stop.

    With what the record holds of it: what was measured is not asked for again.
    """
    stopped = case.log.stopped()
    last = stopped.at if stopped else max((v.ends for v in visits), default=case.now.ms)
    starts = [v.given_at or v.starts for v in doses if v.state is not State.MISSED]
    steps = list(schedule(starts, case.knowledge, case.clinic.cover, until=last + case.ms("plan.after.checkins")))
    watched = surveillance(
        case.record,
        case.knowledge,
        treatment=case.protocol.treatment,
        planned=[v.starts for v in doses if v.state not in OVER],
        assessment=case.assessment,
    )
    at_visit: dict[int, list[str]] = defaultdict(list)
    for step in watched.steps:
        if step.window.due <= last + case.ms("plan.after.measures"):
            steps.append(replace(step, owner=case.owner(step.owner)))
            if AT_VISIT in step.id:
                at_visit[step.window.due].append(step.title)
    done = {d.done for d in watched.due if d.done is not None} | set(watched.last.values())
    return steps, at_visit, sorted(done, key=lambda a: (a.at, a.what, a.reference))
