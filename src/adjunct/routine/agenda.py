"""Agreed habits as steps for `due.py`. A habit is never overdue: its day or its week ends, and a new one begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from adjunct.base import DAY, MS_PER_DAY, convert
from adjunct.due import Done, Step, Window
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.routine.model import NOT_DONE, Entry, Habit
from adjunct.routine.today import REST

PERSON, DOMAIN = "person", "routine"


def steps_of(
    habits: Sequence[Habit], cover: Cover, knowledge: Knowledge, *, now: int, rest_days: frozenset[date]
) -> tuple[Step, ...]:
    """Steps of each active habit from the beginning of this week: one a day, or as many a week as were agreed.

    Ids hold the day or the week, so that they stay the same whenever they are made. A day on which it rests has none.
    """
    until = cover.local(now + round(knowledge.number("routine.ahead") * MS_PER_DAY)).date()
    resting = {e["id"] for e in knowledge.selfcare.values() if e["session_day"] == REST}
    return tuple(
        step
        for habit in habits
        for step in _steps(habit, cover, now, until, rest_days if habit.activity.id in resting else frozenset())
    )


def _steps(habit: Habit, cover: Cover, now: int, until: date, rest: frozenset[date]) -> Iterator[Step]:
    week = round(convert(1, "wk", "d"))
    today = cover.local(now).date()
    monday = today - timedelta(days=today.weekday())
    since = cover.local(habit.since).date()
    for start in (monday + timedelta(days=n) for n in range(0, (until - monday).days + 1, week)):
        if round(habit.agreed.days) < week:
            end = start + timedelta(days=week)
            year, number, _ = start.isocalendar()
            for turn in range(1, round(habit.agreed.days) + 1):
                if end > since:
                    yield _step(habit, f"{year}-W{number:02}.{turn}", cover, max(start, since), end)
            continue
        for day in (start + timedelta(days=n) for n in range(week)):
            if since <= day <= until and day not in rest:
                yield _step(habit, day.isoformat(), cover, day, day + DAY)


def _step(habit: Habit, name: str, cover: Cover, start: date, end: date) -> Step:
    opens, closes = cover.instant(start, timedelta(0)), cover.instant(end, timedelta(0))
    return Step(
        id=f"{what(habit.activity.id)}.{name}",
        what=what(habit.activity.id),
        title=habit.activity.title.text,
        domain=DOMAIN,
        owner=cover.owner(PERSON),
        window=Window(opens=opens, due=opens, overdue=closes, closes=closes),
        basis=habit.activity.known.source,
    )


def acts_done(log: Sequence[Entry]) -> tuple[Done, ...]:
    """What was done, in part or altogether, as acts that cover steps."""
    return tuple(Done(what=what(e.activity), at=e.at) for e in log if e.done != NOT_DONE)


def what(activity: str) -> str:
    """The kind of act that covers the steps of an activity."""
    return f"{DOMAIN}.{activity}"
