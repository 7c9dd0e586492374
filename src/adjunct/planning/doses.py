"""The doses on record as a plan reads them: which are of this course, which of something else, which too close."""

from __future__ import annotations

from itertools import pairwise

from adjunct.base import MS_PER_DAY, YES
from adjunct.followup.surveillance import ELSEWHERE, sessions
from adjunct.knowledge import Knowledge
from adjunct.planning.course import Span
from adjunct.record import Intake, Record


def doses(record: Record, knowledge: Knowledge, substance: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The doses of a substance, oldest first, and those of another one that act alike.

    An infusion of ketamine is no visit of a course of esketamine, nor is ketamine from elsewhere; the least time
    between two doses is kept from them all the same. A dose whose substance is not told is one of the course.
    """
    given = _administered(record, knowledge)
    own: list[Span] = []
    others = [d for d in sessions(record, knowledge, concept=ELSEWHERE) if d[1] - d[0] < MS_PER_DAY]
    for first, last in sessions(record, knowledge):
        named = {s for (a, b), intake in given if a <= last and first <= b for s in _substances(intake)}
        (own if not named or substance in named else others).append((first, last))
    return tuple(own), tuple(sorted(others))


def twice(record: Record, knowledge: Knowledge, *, apart: int, least: int) -> list[tuple[int, int]]:
    """Doses given closer together than `least` that are not one session, such as its devices: more than `apart`."""
    times = sorted({span for span, _ in _administered(record, knowledge)})
    return [(a[0], b[0]) for a, b in pairwise(times) if apart < b[0] - a[0] and b[1] - a[0] < least]


def _administered(record: Record, knowledge: Knowledge) -> list[tuple[Span, Intake]]:
    alike = set(knowledge.content["surveillance"]["substances"])
    return [
        (i.last_use, i)
        for i in record.intakes
        if i.view == "MedicationAdministration" and i.status == YES and not i.denied and i.last_use is not None
        if alike & _substances(i)
    ]


def _substances(intake: Intake) -> set[str]:
    return {s for ids in intake.options.values() for s in ids}
