"""How fast a month of a clinic is scheduled and how fast it is known who is due, beside CP-SAT and a plain loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from adjunct.base import MS_PER_DAY, MS_PER_SECOND
from adjunct.clinic import Clinic, Need, Request, schedule
from adjunct.knowledge import Knowledge

MINUTE = 60 * MS_PER_SECOND
ZONE = "Europe/Berlin"
FIRST = date(2027, 3, 1)  # the month in which the clocks change
CHAIRS, PEOPLE_IN_COURSE = 5, 70


def month(knowledge: Knowledge, seed: int = 1) -> tuple[Clinic, list[Request], int]:
    """Five chairs, eight hours a day: 40 chair-hours; some 380 visits are asked for."""
    hours = [{"day": d, "opens": "08:30", "closes": "16:30"} for d in "monday tuesday wednesday thursday friday".split()]
    nurses = [{"id": f"nurse-{n}", "roles": ["nurse"], "competences": ["infusion", "rems"]} for n in range(1, 4)]
    clinic = Clinic.of(
        {
            "cover": {"zone": ZONE, "hours": hours, "closed": ["2027-03-26"]},
            "clinic": {"observes": 3},
            "room": [{"id": "quiet", "capacity": 3}, {"id": "infusion", "capacity": 2}],
            "chair": [
                {"id": f"chair-{n}", "room": "quiet" if n <= 3 else "infusion", "kinds": ["nasal", "iv"] if n > 1 else []}
                for n in range(1, CHAIRS + 1)
            ],
            "staff": [
                {"id": "doctor", "roles": ["prescriber"], "competences": ["prescriber"]},
                {"id": "therapist", "roles": ["therapist"]},
                {"id": "aide", "roles": ["observer"], "competences": ["rems"]},
                *nurses,
            ],
        },
        knowledge,
    )
    dice = np.random.default_rng(seed)
    present = Need(during="whole", how="present", competences=frozenset({"prescriber"}))
    watch = Need(during="observe", how="shared", competences=frozenset({"rems"}))
    made: list[Request] = []
    for number in range(PEOPLE_IN_COURSE):
        nasal, begins = number % 2 == 0, int(dice.integers(-17, 25))
        days = [begins + gap for gap in ((0, 3, 7, 10, 14, 17, 21, 24) if nasal else (0, 3, 7, 10, 14, 17))]
        days = [day for day in days if 0 <= day < 30]
        for order, day in enumerate(days, start=1):
            opens, wanted = (instant(day + ahead, hour) for ahead, hour in ((-1, 0), (0, 8 + int(dice.integers(1, 6)))))
            made.append(
                Request(
                    id=f"p{number}-{order}",
                    person=f"p{number}",
                    kind="nasal" if nasal else "iv",
                    duration_ms=(20 if nasal else 40) * MINUTE,
                    observe_ms=(120 if nasal else 60) * MINUTE,
                    opens=opens,
                    closes=opens + 3 * MS_PER_DAY,
                    wanted=wanted,
                    order=order,
                    least_gap_ms=2 * MS_PER_DAY,
                    needs=(Need(role="nurse", competences=frozenset({"infusion"})), watch, present),
                )
            )
        for week in range(2 if number % 4 == 0 else 1):
            opens = instant(days[0] + 1 + 7 * week, 0)
            made.append(
                Request(
                    id=f"p{number}-talk-{week}",
                    person=f"p{number}",
                    kind="therapy",
                    duration_ms=50 * MINUTE,
                    opens=opens,
                    closes=opens + 6 * MS_PER_DAY,
                    after=f"p{number}-1",
                    needs=(Need(role="therapist"),),
                    escort=False,
                )
            )
    return clinic, made, instant(-7, 8)


def instant(day: int, hour: int) -> int:
    local = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=ZoneInfo(ZONE)) + timedelta(days=day, hours=hour)
    return round(local.timestamp()) * MS_PER_SECOND


def best(work: Callable[[], object], times: int = 3) -> float:
    """The shortest of some runs, in seconds: the one that was disturbed least."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def line(what: str, value: float, unit: str, kept: bool = True) -> None:
    print(f"  {what:44} {value:10.2f} {unit:8} {'' if kept else 'NOT KEPT'}")
