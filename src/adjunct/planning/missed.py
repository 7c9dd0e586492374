"""Visits missed in a row: what the protocol says of them, by phase, time since the last dose, and whether worse."""

from __future__ import annotations

from adjunct.base import NO, UNKNOWN, YES
from adjunct.followup.expected import scales
from adjunct.followup.person import series_of
from adjunct.followup.surveillance import sessions
from adjunct.instruments import instrument
from adjunct.instruments.course import course as course_of
from adjunct.planning.case import Case
from adjunct.planning.course import Course
from adjunct.planning.model import Told
from adjunct.planning.protocols import Missed, value_ms

WORSE = ("relapse", "recurrence", "deterioration", "alert_rise", "alert_rises", "alert_item")


def missed(case: Case, main: Course) -> list[tuple[Missed, Told]]:
    """The rules that hold, each with what it says. A later dose ends it: nothing is missed in a row any more."""
    row = main.missed_last
    if not row or case.log.stopped():
        return []
    doses = [v.given_at for v in main.given if v.given_at is not None] or ([main.before[1]] if main.before else [])
    gap = case.now.ms - max(doses) if doses else 0  # nothing was begun that could be lost
    worse = ("no", "unknown", "yes")[got_worse(case, since=row[0].window.opens)]
    values = case.current
    found = []
    for rule in case.protocol.missed:
        above = value_ms(values[rule.gap_above]) if rule.gap_above else None
        upto = value_ms(values[rule.gap_upto]) if rule.gap_upto else None
        if (
            (not rule.phases or row[-1].phase in rule.phases)
            and rule.worse in ("any", worse)
            and (above is None or gap > above)
            and (upto is None or gap <= upto)
            and (not rule.count or len(row) >= float(values[rule.count].value))
        ):
            found.append((rule, case.told(rule)))
    return found


def got_worse(case: Case, *, since: int) -> int:
    """Whether any scale of depression says that the person got worse (Kleene).

    "No" rests on a rating made since: how somebody was before the missed visit does not tell how they are.
    """
    series = series_of(case.record, case.knowledge)
    first = min((start for start, _ in sessions(case.record, case.knowledge)), default=None)
    answer = UNKNOWN
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
        if found.latest is not None and found.latest.at >= since and held.get("alert_rise") == NO:
            answer = NO
    return answer
