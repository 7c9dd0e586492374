"""When check-ins fall due, as steps of `due.py`, and whose task an unanswered one becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from adjunct.due import Due, State, Step, Window
from adjunct.followup.cover import Cover
from adjunct.followup.workflow import moment
from adjunct.knowledge import Knowledge

WHAT = "checkin"
DOMAIN = "check-in"
PERSON = "person"


def schedule(doses: Sequence[int], knowledge: Knowledge, cover: Cover, *, until: int) -> tuple[Step, ...]:
    """The check-ins after doses (ms), one a day of the clinic's calendar at most, up to `until`.

    The evening of each dose, the days after it that the file names, and every week from the first dose on. Times of
    day are wall-clock, so that a change to summer time moves nothing.
    """
    times = knowledge.content["checkins"]["schedule"]
    if not doses:
        return ()
    days = [cover.local(dose).date() for dose in sorted(doses)]
    after = [timedelta(milliseconds=moment(name, 0, 0, knowledge)) for name in times["after_each_dose"]]
    week = timedelta(milliseconds=moment(times["weekly"], 0, 0, knowledge))
    last = cover.local(until).date()
    weekly = {days[0] + week * number for number in range(1, (last - days[0]) // week + 1)}
    evenings = set(days)
    wanted = sorted(day for day in evenings | {day + gap for day in days for gap in after} | weekly if day <= last)
    found = []
    for day in wanted:
        opens = times["evening_opens"] if day in evenings else times["opens"]
        at = {
            name: timedelta(milliseconds=moment(times[name], 0, 0, knowledge)) for name in ("due", "overdue", "closes")
        }
        start = timedelta(milliseconds=moment(opens, 0, 0, knowledge))
        kind = "weekly" if day in weekly else "daily"
        found.append(
            Step(
                id=f"{WHAT}:{day.isoformat()}:{kind}",
                what=WHAT,
                title=times["title"],
                domain=DOMAIN,
                owner=PERSON,
                window=Window(
                    opens=cover.instant(day, start), **{name: cover.instant(day, gap) for name, gap in at.items()}
                ),
                basis=opens,
            )
        )
    return tuple(found)


def missed(checkins: Iterable[Due], knowledge: Knowledge, cover: Cover) -> tuple[Step, ...]:
    """For each check-in that nobody answered in time, the task of a named person to call."""
    settings = knowledge.content["checkins"]["missed"]
    return tuple(
        Step(
            id=f"{entry.step.id}:missed",
            what="missed-checkin",
            title=settings["title"],
            domain=DOMAIN,
            owner=cover.owner(settings["owner"]),
            window=Window(
                opens=entry.step.window.overdue,
                due=entry.step.window.overdue,
                overdue=moment(settings["within"], entry.step.window.overdue, 0, knowledge),
            ),
            basis=settings["within"],
        )
        for entry in checkins
        if entry.step.what == WHAT and entry.state in (State.OVERDUE, State.MISSED)
    )
