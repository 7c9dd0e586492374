"""How fast a month of a clinic is scheduled and how fast it is known who is due, beside CP-SAT and a plain loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from adjunct.base import MS_PER_DAY, MS_PER_SECOND
from adjunct.clinic import Clinic, Need, Request, Timetable, schedule
from adjunct.clinic.model import wish
from adjunct.clinic.optimise import optimise
from adjunct.due import Done, Plans, Step, Window, due, pressing_many
from adjunct.knowledge import Knowledge

PEOPLE, BLOCK, LOOPED = 100_000, 10_000, 500
MINUTE = 60 * MS_PER_SECOND
ZONE = "Europe/Berlin"
FIRST = date(2027, 3, 1)  # the month in which the clocks change
CHAIRS, PEOPLE_IN_COURSE = 5, 70


def main() -> None:
    clinic, asked, now = month(Knowledge.load())
    greedy, took = timed(lambda: schedule(asked, clinic, now=now))
    better, longer = timed(lambda: optimise(asked, clinic, now=now))
    hours = [
        sum(abs(b.starts - wish(b.request)) for b in table.booked) / len(table.booked) / (60 * MINUTE)
        for table in (greedy, better)
    ]
    print(f"A month of a clinic, 40 chair-hours a day, {len(asked)} visits asked for:")
    line("greedy", took, "s", took <= 5)
    line("greedy, placed", len(greedy.booked), "visits")
    line("greedy, from wish to start, mean", hours[0], "h")
    line("CP-SAT from the greedy one", longer, "s")
    line("CP-SAT, placed", len(better.booked), "visits", len(better.booked) >= len(greedy.booked))
    line("CP-SAT, from wish to start, mean", hours[1], "h")
    line("CP-SAT takes so many times as long", longer / took, "x")

    plans = cohort(BLOCK)
    whole = best(lambda: pressing_many(plans, now=0)) * PEOPLE / BLOCK
    some = cohort(LOOPED)
    everybody = objects(some)
    loop = best(lambda: [due(steps, acts, now=0) for steps, acts in everybody], 1) * PEOPLE / LOOPED
    made = best(lambda: Plans.of(everybody), 1) * PEOPLE / LOOPED
    each = len(plans.person) / BLOCK, len(plans.act_at) / BLOCK
    print(f"Who has what due, {PEOPLE} people, {each[0]:.0f} steps and {each[1]:.0f} acts each, blocks of {BLOCK}:")
    line("columns", whole, "s", whole <= 10)
    line("a loop of due() over people", loop, "s")
    line("ratio to the loop", loop / whole, "x")
    line("columns from steps and acts, once", made, "s")


def month(knowledge: Knowledge, seed: int = 1) -> tuple[Clinic, list[Request], int]:
    """Five chairs, eight hours a day: 40 chair-hours; some 380 visits are asked for."""
    hours = [
        {"day": d, "opens": "08:30", "closes": "16:30"} for d in "monday tuesday wednesday thursday friday".split()
    ]
    nurses = [{"id": f"nurse-{n}", "roles": ["nurse"], "competences": ["infusion", "rems"]} for n in range(1, 4)]
    clinic = Clinic.of(
        {
            "cover": {"zone": ZONE, "hours": hours, "closed": ["2027-03-26"]},
            "clinic": {"observes": 3},
            "room": [{"id": "quiet", "capacity": 3}, {"id": "infusion", "capacity": 2}],
            "chair": [
                {
                    "id": f"chair-{n}",
                    "room": "quiet" if n <= 3 else "infusion",
                    "kinds": ["nasal", "iv"] if n > 1 else [],
                }
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


KINDS = (("checkin", 60, 1, 1), ("pressure", 40, 1, 2), ("phq9", 26, 7, 9), ("c-ssrs", 16, 4, 4), ("liver", 8, 28, 60))


def cohort(people: int, seed: int = 1) -> Plans:
    """People with 150 steps each, about 35 acts a person, one in three of which names its step."""
    dice = np.random.default_rng(seed)
    begins = np.concatenate([np.arange(n) * every for _, n, every, _ in KINDS])
    lasts = np.concatenate([np.full(n, closes) for _, n, _, closes in KINDS])
    what = np.repeat(np.arange(len(KINDS)), [n for _, n, _, _ in KINDS])
    start = dice.integers(-90, 30, people)
    opens = (begins + start[:, None]).ravel() * MS_PER_DAY
    done = np.flatnonzero((dice.random(opens.size) < 0.5) & (opens < 0))
    person, kind = np.repeat(np.arange(people), what.size), np.tile(what, people)
    at = opens[done] + dice.integers(-MS_PER_DAY, MS_PER_DAY, done.size)
    names = np.where(dice.random(done.size) < 0.3, done, -1)
    order = np.lexsort((at, person[done]))
    return Plans(
        person=person.astype(np.int32),
        what=kind.astype(np.int32),
        opens=opens,
        due=opens + MS_PER_DAY // 4,
        overdue=opens + MS_PER_DAY // 2,
        closes=opens + np.tile(lasts, people) * MS_PER_DAY,
        act_person=person[done][order].astype(np.int32),
        act_what=kind[done][order].astype(np.int32),
        act_at=at[order],
        act_names=names[order],
    )


def objects(plans: Plans) -> list[tuple[list[Step], list[Done]]]:
    """The same as steps and acts, for a loop over people."""
    found: list[tuple[list[Step], list[Done]]] = [([], []) for _ in range(int(plans.person[-1]) + 1)]
    for row, (person, what, *times) in enumerate(
        zip(
            *(c.tolist() for c in (plans.person, plans.what, plans.opens, plans.due, plans.overdue, plans.closes)),
            strict=True,
        )
    ):
        window = Window(**dict(zip(("opens", "due", "overdue", "closes"), times, strict=True)))
        found[person][0].append(Step(id=f"{row}", what=str(what), title="", domain="", owner="", window=window))
    columns = (plans.act_person, plans.act_what, plans.act_at, plans.act_names)
    for person, what, at, row in zip(*(c.tolist() for c in columns), strict=True):
        found[person][1].append(Done(what=str(what), at=at, step=f"{row}" if row >= 0 else ""))
    return found


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


def timed(work: Callable[[], Timetable]) -> tuple[Timetable, float]:
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def line(what: str, value: float, unit: str, kept: bool = True) -> None:
    print(f"  {what:44} {value:10.2f} {unit:8} {'' if kept else 'NOT KEPT'}")


if __name__ == "__main__":
    main()
