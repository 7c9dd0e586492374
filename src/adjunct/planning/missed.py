"""Visits missed in a row, and pauses: what the protocol says of them, by phase, time since a dose, whether worse.

The time since the last dose is counted in days of the clinic's calendar.
"""

from __future__ import annotations

from adjunct.base import MS_PER_DAY, NO, UNKNOWN, YES
from adjunct.followup.expected import scales
from adjunct.followup.person import series_of
from adjunct.followup.surveillance import sessions
from adjunct.instruments import instrument
from adjunct.instruments.course import course as course_of
from adjunct.planning.case import Case
from adjunct.planning.course import DOSE, Course
from adjunct.planning.log import RESUME
from adjunct.planning.model import OVER, Told
from adjunct.planning.protocols import Missed, value_ms

WORSE = ("relapse", "recurrence", "deterioration", "alert_rise", "alert_rises", "alert_item")


def missed(case: Case, main: Course) -> list[tuple[Missed, Told]]:
    """The rules that hold, each with what it says. A later dose ends it: nothing is missed in a row any more.

    Where a course goes on after a pause, what counts is the time up to the next dose, and only the rules about a long
    time are told: nobody missed anything.
    """
    row, paused = main.missed_last, rested(case, main) is not None
    if not (row or paused) or case.log.stopped():
        return []
    last = max((v.given_at for v in main.given if v.kind == DOSE and v.given_at is not None), default=None)
    if last is None and not row:
        return []
    coming = next((v for v in main.visits if v.state not in OVER), None)
    until = max(case.now.ms, coming.starts) if paused and coming else case.now.ms
    since = row[0].starts if last is None else last  # nothing was begun: what grows old is the assessment
    local = case.clinic.cover.local
    gap = (local(until).date() - local(since).date()).days * MS_PER_DAY
    phase = (row[-1] if row else coming or main.visits[-1]).phase
    worse = ("no", "unknown", "yes")[got_worse(case, since=row[0].window.opens if row else since)]
    values = case.current
    found = []
    for rule in case.protocol.missed:
        above = value_ms(values[rule.gap_above]) if rule.gap_above else None
        upto = value_ms(values[rule.gap_upto]) if rule.gap_upto else None
        if (
            (not rule.phases or phase in rule.phases)
            and (row or rule.gap_above)
            and rule.worse in ("any", worse)
            and (above is None or gap > above)
            and (upto is None or gap <= upto)
            and (not rule.count or len(row) >= float(values[rule.count].value))
        ):
            found.append((rule, case.told(rule)))
    return found


def rested(case: Case, main: Course) -> int | None:
    """When the pause began after which the course goes on, if no dose was given and no visit missed since it ended."""
    resumes = case.log.of(RESUME)
    past = max((v.given_at or v.starts for v in main.visits if v.state in OVER), default=0)
    return case.log.rested(past) if resumes and resumes[-1].at > past else None


def got_worse(case: Case, *, since: int) -> int:
    """Whether any scale of depression says that the person got worse (Kleene).

    "No" rests on a rating made since: how somebody was before the missed visit does not tell how they are. A score in
    the range of a relapse that a second one must confirm is no "no" either.
    """
    series = series_of(case.record, case.knowledge)
    first = min((start for start, _ in sessions(case.record, case.knowledge)), default=None)
    answer, pending = UNKNOWN, False
    for name in scales(case.knowledge):
        if name not in series:
            continue
        found = course_of(
            instrument(case.knowledge, name),
            series[name],
            first_dose_at=first,
            now=case.now.ms,
            knowledge=case.knowledge,
            offset=case.now.offset,
        )
        held = {j.id: j.holds for j in found.judgements if j.chosen}
        if YES in map(held.get, WORSE):
            return YES
        if found.latest is not None and found.latest.at >= since:
            pending |= held.get("relapse_score") == UNKNOWN
            answer = NO if held.get("alert_rise") == NO else answer
    return UNKNOWN if pending else answer
