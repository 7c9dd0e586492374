"""One plan for the whole person: the assessment, the visits, what comes before each, what is measured, what is open.

The plan is derived: the same record, protocol, clinic, order and time give the same plan. An emergency gives none; what
is open comes first; a person who is not eligible is planned for only on a named prescriber's word, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from adjunct.assessment import Assessment, assess
from adjunct.base import NO, YES, BadInput, Instant, Verdict, shown
from adjunct.clinic import Clinic
from adjunct.due import Done, State
from adjunct.fhir import Bundle
from adjunct.followup.recorded import checkin_acts
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import NONE
from adjunct.planning.beside import Beside, beside
from adjunct.planning.case import Case, settings_for
from adjunct.planning.course import DOSE, HOLDS, Course, Span, course
from adjunct.planning.doses import doses, twice
from adjunct.planning.log import BOOK, MISSED, MOVE, STOP, read_log
from adjunct.planning.missed import missed, rested
from adjunct.planning.model import OVER, CarePlan, Override, Status, Told, Visit
from adjunct.planning.outgoing import Outgoing, messages_due
from adjunct.planning.protocols import protocol, value_ms, with_settings
from adjunct.planning.steps import Steps, steps_of
from adjunct.planning.timeline import timeline
from adjunct.record import Record, from_bundle

INTAKE, FOLLOW_UP = "intake", "follow-up"
ASSESSMENT = "assessment"  # the act of looking at a person anew
THERAPY = "therapy"
ORDER = ("override", "change", "done", "taper", "also", "consent", "team", "contact", "routine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with what it was made from, for those who write pages of it."""

    plan: CarePlan
    case: Case
    start: date
    course: Course
    beside: Beside
    acts: tuple[Done, ...]  # what was done of the plan's steps

    @property
    def record(self) -> Record:
        """As read for follow-up."""
        return self.case.record

    @property
    def assessment(self) -> Assessment:
        return self.case.assessment

    @property
    def messages(self) -> tuple[Outgoing, ...]:
        """What is to be sent now."""
        contact, cover = self.beside.preferences.contact, self.case.clinic.cover
        now, knowledge = self.plan.at.ms, self.case.knowledge
        return messages_due(self.plan, self.acts, now, contact=contact, cover=cover, knowledge=knowledge)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; instants in ISO 8601 with the clinic's offset on that day."""
        from adjunct.planning.written import to_dict

        return to_dict(self)

    def to_json(self) -> str:
        from adjunct.planning.written import to_json

        return to_json(self)


def plan(
    bundle: Bundle,
    knowledge: Knowledge,
    *,
    protocol_name: str,
    start: date,
    clinic: Clinic,
    now: Instant,
    order: Mapping[str, Any] | None = None,
    override: str | None = None,
    country: str = "",
    language: str = "en",
) -> Planned:
    """The plan of one protocol for the person of `bundle`, as it stands at `now`.

    `clinic`: hours, zone and settings; `order`: what people decided for this person (changes, tapers, companions).
    `override`: "NAME: reason" of a prescriber. Raises `BadInput` for a protocol or a setting that does not exist, a
    start in the past or on a day without an opening, a log that does not fit, and a person who is not eligible where
    nobody answers for it; its advice then says what the record calls for all the same.
    """
    advice: tuple[str, ...] = ()
    try:
        known = protocol(knowledge, protocol_name)
    except BadInput as error:
        error.advice = (*error.advice, *urgent(bundle, knowledge, now=now, country=country))
        raise
    try:
        seen = from_bundle(bundle, knowledge, now=now, phase=FOLLOW_UP, country=country)
        given, others = doses(seen, knowledge, known.substance) if known.substance else ((), ())
        record = seen if given else from_bundle(bundle, knowledge, now=now, phase=INTAKE, country=country)
        assessment = assess(record, knowledge, treatment=known.treatment)
        advice = _emergency(assessment)
        if record.refusal:
            raise BadInput(record.refusal, "Patient.birthDate")
        if record.died:
            raise BadInput("the record says that the person has died: nothing is planned", "Patient.deceased")
        order = _order(order)
        chosen = _override(override if override is not None else order.get("override"))
        values = with_settings(known, settings_for(clinic.protocol, known, knowledge))
        case = Case(
            protocol=known,
            values=values,
            clinic=clinic,
            log=read_log(known, clinic.cover, values, order, now.ms),
            record=seen,
            assessment=assessment,
            override=chosen,
            knowledge=knowledge,
            now=now,
            language=language,
            order=order,
            recorded=checkin_acts(bundle, seen, knowledge),
        )
        if assessment.verdict == Verdict.ESCALATE.name:
            numbers = tuple(c.text for c in assessment.contacts)
            return _planned(case, start, Status.NONE, Course(visits=()), told=(*advice, *numbers))
        _allowed(case)
        _named(case)
        _begins(start, case, given)
        return _course(case, start, given, others)
    except BadInput as error:  # what is wrong with the question must not keep back what the record calls for
        error.advice = tuple(dict.fromkeys((*error.advice, *advice)))
        raise


def urgent(bundle: Bundle, knowledge: Knowledge, *, now: Instant, country: str = "") -> tuple[str, ...]:
    """What the record calls for at once, whatever was asked: for a question that cannot be answered."""
    record = from_bundle(bundle, knowledge, now=now, phase=FOLLOW_UP, country=country)
    assessment = assess(record, knowledge, treatment=NONE)
    found = _emergency(assessment)
    return (*found, *(c.text for c in assessment.contacts)) if found else ()


def _emergency(assessment: Assessment) -> tuple[str, ...]:
    wanted = ("emergency", Verdict.ESCALATE.name)
    return tuple(
        dict.fromkeys(f.tell or f.says for f in assessment.findings if f.action in wanted or f.verdict in wanted)
    )


def _order(order: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found = {} if order is None else order
    if not isinstance(found, Mapping):
        raise BadInput("not a table of names and values", "order")
    if strange := [name for name in found if name not in ORDER]:
        raise BadInput(f"not known here: {shown(str(strange[0]))}; known are {', '.join(ORDER)}", "order")
    return found


def _override(given: object) -> Override | None:
    """`NAME: reason`, or a table of both."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        by, reason = str(given.get("by", "")), str(given.get("reason", ""))
    else:
        by, _, reason = str(given).partition(":")
    if not (by.strip() and reason.strip()):
        raise BadInput('an override names the prescriber and gives the reason: write "NAME: reason"', "--override")
    return Override(by=by.strip(), reason=reason.strip())


def _allowed(case: Case) -> None:
    """Refuse a plan for somebody who is not eligible, unless a named prescriber answers for it; hard rules stand.

    A course that rests or was stopped gives nobody a dose: its follow-up is shown.
    """
    assessment, override, log = case.assessment, case.override, case.log
    if assessment.verdict != Verdict.NOT_ELIGIBLE.name or log.stopped() or log.held_since(case.now.ms) is not None:
        return
    found = [f for f in assessment.findings if f.verdict == assessment.verdict]
    hard = [f for f in found if f.hard]
    titles = "; ".join(f.title for f in hard or found)
    if hard and override is not None:
        raise BadInput(f"NOT_ELIGIBLE, and this cannot be overridden: {titles}", "--override")
    if override is None:
        raise BadInput(
            f"NOT_ELIGIBLE: {titles}. A plan needs a named prescriber's override with the reason: "
            '--override "NAME: reason"',
            "verdict",
        )


def _named(case: Case) -> None:
    """Refuse a change about a visit of no protocol of this plan; which visits there are the course itself knows."""
    ours = (case.protocol.id, *also(case.order))
    for change in case.log.changes:
        name = str(change.data.get("visit", ""))
        if name and name.partition(".")[0] not in ours:
            raise BadInput(
                f"no visit of this plan is called {shown(name)}; its protocols are {', '.join(ours)}", "change"
            )


def also(order: Mapping[str, Any]) -> tuple[str, ...]:
    """The therapies beside the course, as the order names them, each once."""
    found = order.get("also", ())
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        raise BadInput('not a list of protocols: write for example also = ["cbt"]', "order.also")
    return tuple(dict.fromkeys(found))


def _begins(start: date, case: Case, given: Sequence[Span]) -> None:
    """A new course begins today or later; one that began is planned on from its own start."""
    cover = case.clinic.cover
    today = cover.local(case.now.ms).date()
    latest = today + timedelta(milliseconds=case.ms("plan.start.ahead"))
    if start > latest:
        raise BadInput(f"the start {start} is too far ahead: choose a day up to {latest}", "--start")
    midnight = cover.instant(start, timedelta(0))
    begun = any(t1 >= midnight for _, t1 in given) or case.log.changes or case.log.acts
    if start < today and not begun:
        raise BadInput(
            f"the start {start} is in the past (today is {today} in {cover.zone}) and no dose since then is on record: "
            'choose a day to come, or write that the first visit was missed ([[change]] with kind = "missed")',
            "--start",
        )
    if begun or start < today:
        return
    phase, values = case.protocol.phases[0], case.values
    length = sum(value_ms(values[name]) for name in (phase.duration, phase.observe) if name)
    openings = cover.openings(start)
    if not any(start > today or max(opens, case.now.ms) + length <= closes for opens, closes in openings):
        after = case.clinic.next_open_day(start + timedelta(days=1))
        closed = "the clinic is closed on" if not openings else "a visit does not fit into what is left of"
        raise BadInput(f"{closed} {start}" + (f"; it is next open on {after}" if after else ""), "--start")


# --- putting it together ----------------------------------------------------------------------------------------------


def _course(case: Case, start: date, given: Sequence[Span], others: Sequence[Span]) -> Planned:
    main = course(
        case.protocol,
        case.values,
        start=start,
        clinic=case.clinic,
        given=given,
        log=case.log,
        now=case.now.ms,
        language=case.language,
        others=others,
    )
    rules = missed(case, main)
    held, rest = case.log.held_since(case.now.ms) is not None, rested(case, main)
    anew = [told for rule, told in rules if rule.effect == HOLDS]
    if anew and rest is None:  # until it is assessed anew, and somebody resumes it, nothing more is proposed
        held, main = True, main.only_past()
    main = replace(main, visits=tuple(_with_facts(case, main.visits)))
    visits = sorted((*main.visits, *_companions(case, main, start)), key=lambda v: (v.starts, v.id))
    found = beside(case, main, start, renewed=rest if anew else None)
    if anew and rest is not None and not any(a.what == ASSESSMENT and a.at >= rest for a in case.log.acts):
        found = replace(found, open=(*anew, *found.open))
    if case.log.stopped():
        status = Status.STOPPED
    elif held:
        status = Status.ON_HOLD
    elif case.protocol.substance and (found.open or _waits(case.assessment, begun=bool(given))):
        status = Status.WAITING
    else:
        status = Status.ACTIVE
    return _planned(case, start, status, main, visits=visits, missed=tuple(told for _, told in rules), found=found)


def _waits(assessment: Assessment, *, begun: bool) -> bool:
    """Whether the course waits for what is open; an override answers for what stands against it, not for that.

    What is asked anew at each visit is old between two visits. It stays open and comes first, but once a course has
    begun it is no reason to call off the next appointment.
    """
    if any(f.verdict == Verdict.DEFER.name for f in assessment.findings):
        return True
    return not begun and any(g.blocks for g in assessment.gaps)


def first_version(planned: Planned) -> CarePlan:
    """The plan as it would stand if nothing had been changed since it was made: which visits were ever announced."""
    case = planned.case
    return _anew(planned, replace(case, log=replace(case.log, changes=()))).plan


def in_language(planned: Planned, language: str) -> Planned:
    """The same plan with the words of another language, for readers who are not the person."""
    if language == planned.case.language or planned.plan.status is Status.NONE:
        return planned
    return _anew(planned, replace(planned.case, language=language))


def _anew(planned: Planned, case: Case) -> Planned:
    substance = case.protocol.substance
    given, others = doses(case.record, case.knowledge, substance) if substance else ((), ())
    return _course(case, planned.start, given, others)


def _companions(case: Case, main: Course, start: date) -> Iterator[Visit]:
    """Therapies beside the course: from the window after the first dose on, and never on the day of a dose."""
    local = case.clinic.cover.local
    doses = [v for v in main.visits if v.kind == DOSE]
    begins = local(doses[0].starts + case.ms("plan.therapy.from")).date() if doses else start
    for name in also(case.order):
        known = protocol(case.knowledge, name)
        own = tuple(  # it goes on while doses rest
            c
            for c in case.log.changes
            if c.kind == STOP or (c.kind in (MISSED, MOVE, BOOK) and c.data["visit"].startswith(f"{known.id}."))
        )
        if known.id == case.protocol.id:
            raise BadInput(f"{known.id} is the course itself: leave it out", "order.also")
        if known.kind != THERAPY:
            raise BadInput(f"{known.id} is no therapy that goes beside a course: plan it by itself", "order.also")
        found = course(
            known,
            with_settings(known, settings_for(case.clinic.protocol, known, case.knowledge)),
            start=case.clinic.next_open_day(begins) or begins,
            clinic=case.clinic,
            given=(),
            log=replace(case.log, protocol=known, changes=own),
            now=case.now.ms,
            language=case.language,
            avoid=frozenset(local(v.starts).date() for v in doses),
        )
        yield from found.visits


def _with_facts(case: Case, visits: Sequence[Visit]) -> Iterator[Visit]:
    """Each visit with what label or trial says of it; what may not apply says so."""
    phases = {p.id: p for p in case.protocol.phases}
    asked = tuple((f"{p.id}.{f.id}", f.when) for p in phases.values() for f in p.facts if f.when)
    truths = case.truths(asked)
    unsure = case.knowledge.content["plan"]["notes"]["unsure"]["says"]
    told = {(p.id, f.id): case.told(f) for p in phases.values() for f in p.facts}
    for visit in visits:
        inside = int(visit.id.rpartition(".")[-1])
        found = []
        for fact in phases[visit.phase].facts:
            truth = truths.get(f"{visit.phase}.{fact.id}", YES)
            if truth != NO and (not fact.visits or inside in fact.visits):
                entry = told[visit.phase, fact.id]
                found.append(
                    entry if truth == YES else replace(entry, says=case.knowledge.say(unsure, says=entry.says))
                )
        measures = () if case.protocol.substance else phases[visit.phase].measures  # else those of follow-up
        yield replace(visit, facts=tuple(found), measures=measures)


def _planned(
    case: Case,
    start: date,
    status: Status,
    main: Course,
    *,
    visits: Sequence[Visit] = (),
    missed: tuple[Told, ...] = (),
    told: tuple[str, ...] = (),
    found: Beside | None = None,
) -> Planned:
    """The plan with its steps. An emergency has none of it: what the person is told, and nothing else."""
    none = status is Status.NONE
    found = found or Beside()
    every = () if none else (*_open(case), *found.open)
    open_ = tuple({told.id: told for told in reversed(every)}.values())[::-1]  # asked once, whoever asks
    made = Steps((), ()) if none else steps_of(case, main, visits, open_, missed)
    kinds = {s.what for s in made.steps}
    given = (v for v in made.visits if v.kind == DOSE and v.given_at is not None)
    return Planned(
        plan=CarePlan(
            at=case.now,
            zone=case.clinic.cover.zone,
            language=case.language,
            patient=case.record.patient,
            protocol=case.protocol.id,
            protocol_version=case.protocol.version,
            protocol_title=case.words(case.protocol.title),
            version=case.log.version,
            status=status,
            verdict=case.assessment.verdict,
            override=case.override,
            open=open_,
            told=told,
            visits=made.visits,
            steps=(*made.steps, *found.steps),
            missed=missed,
            reviews=tuple(case.told(r) for r in case.protocol.reviews if f"review:{r.id}" in kinds),
            stops=() if none else tuple(map(case.told, case.protocol.stops)),
            timeline=()
            if none
            else timeline(
                case.record,
                case.knowledge,
                treatment=case.protocol.treatment,
                zone=case.clinic.cover.zone,
                language=case.language,
            ),
            settings=tuple(case.current.values()),
            changes=case.log.changes,
            notes=() if none else tuple(_notes(case, main)),
            knowledge=case.assessment.knowledge,
        ),
        case=case,
        start=start,
        course=main,
        beside=found,
        acts=(
            *(Done(what=DOSE, at=v.given_at or 0, step=v.id) for v in given),
            *made.acts,
            *case.recorded,
            *found.acts,
            *case.log.acts,
        ),
    )


# --- what is open, what is noted --------------------------------------------------------------------------------------


def _open(case: Case) -> Iterator[Told]:
    """What must be closed first: stop rules that may be met, what defers, what is not known."""
    found = case.assessment.findings
    for stop in case.protocol.stops:
        if any(f.id in stop.rules for f in found):
            yield replace(case.told(stop), id=f"stop:{stop.id}")
    for f in found:
        if f.verdict in (Verdict.DEFER.name, Verdict.NOT_ELIGIBLE.name):
            source = f.sources[0] if f.sources else None
            yield Told(
                id=f"finding:{f.id}",
                title=f.title,
                says=f.says,
                tell=f.tell,
                source=source.id if source else "",
                locator=source.locator if source else "",
                status=f.status,
                owner=case.owner("prescriber"),
            )
    for gap in case.assessment.gaps:
        if gap.blocks:
            name = f"gap:{gap.fact}" + (f":{gap.reference}" if gap.reference else "")
            yield Told(id=name, title=gap.ask, says=gap.why, owner=case.owner("clinician"))


def _notes(case: Case, main: Course) -> Iterator[Told]:
    if any(v.state not in OVER for v in main.visits):
        yield case.note("proposal", "proposal")
        if not case.clinic.stated:
            yield case.note("hours", "hours", zone=case.clinic.cover.zone)
    for window in main.closed:
        first, last = (str(case.clinic.cover.local(at).date()) for at in (window.opens, window.closes - 1))
        yield case.note("closed", f"closed:{first}", first=first, last=last)
    for name in main.vague:
        yield case.note("vague", f"vague:{name}", visit=name)
    for name in dict.fromkeys(main.unmoved):
        yield case.note("unmoved", f"unmoved:{name}", visit=name, day=str(case.log.moved(name)))
    if case.protocol.substance:
        phase, local = case.protocol.phases[0], case.clinic.cover.local
        apart, least = (value_ms(case.current[name or ""]) for name in (phase.observe, phase.least_gap))
        for pair in twice(case.record, case.knowledge, apart=apart, least=least):
            one, other = (f"{local(at):%Y-%m-%d %H:%M}" for at in pair)
            yield case.note("twice", f"twice:{pair[1]}", first=one, second=other)
    if main.outside:
        yield case.note("outside", "outside", count=str(len(main.outside)))
    if any(s.state is State.MISSED for s in main.visits):
        yield case.note("missed", "missed", count=str(sum(v.state is State.MISSED for v in main.visits)))
