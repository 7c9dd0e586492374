"""How one course went: the visits of its protocols as they were kept or missed, and how ill the person was at each.

Visits come from the protocol. True severity moves as follow-up believes that it does: each dose brings part of the gain
that is left, between doses it fades, and beside that mood wanders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import exp, expm1, sqrt
from random import Random
from typing import Any, NamedTuple

from adjunct.base import MS_PER_DAY, duration_ms
from adjunct.clinic import Clinic
from adjunct.devices.simulator import MS_PER_MIN
from adjunct.followup.expected import course_by, scales
from adjunct.knowledge import Knowledge
from adjunct.planning.case import settings_for
from adjunct.planning.course import DOSE, course
from adjunct.planning.log import read_log
from adjunct.planning.model import Visit
from adjunct.planning.protocols import protocol, with_settings

Table = Mapping[str, Any]
SCALE = "phq9"  # severity is told in its points
CAME, MISSED, BOOKED = "fulfilled", "noshow", "booked"
INTAKE, AFTERWARDS = "intake", "afterwards"
FOLLOWED = (SCALE, "cssrs", "mood10")  # what is asked once a course is over


class Contact(NamedTuple):
    """One visit as it went. `number`: of the dose; severity in points of the PHQ-9, withdrawal as part of the worst."""

    at: int
    ends: int
    phase: str
    title: str
    state: str
    measures: tuple[str, ...] = ()
    number: int = 0
    severity: float = 0
    withdrawal: float = 0


@dataclass(slots=True, kw_only=True)
class Mood:
    """The true severity of one person, in points of the PHQ-9, as it was asked for in order of time."""

    low: float
    high: float
    baseline: float
    gain: float  # part of the baseline that endless doses would take away
    pace: float  # doses
    loss_d: float  # days until 1/e of the effect is left
    drift: float  # points per root day
    settles_d: float
    chance: Random
    since: int
    worse: tuple[int, float] | None = None  # from when on, by how many points
    share: float = field(default=0, init=False)
    wander: float = field(default=0, init=False)

    def at(self, ms: int) -> float:
        days = (ms - self.since) / MS_PER_DAY
        self.since = ms
        self.share *= exp(-days / self.loss_d)
        self.wander = self.wander * exp(-days / self.settles_d) + self.chance.gauss(
            0, self.drift * sqrt(min(days, self.settles_d))
        )
        level = self.baseline * (1 - self.gain * self.share) + self.wander
        level += self.worse[1] if self.worse and ms >= self.worse[0] else 0
        return min(max(level, self.low), self.high)

    def dosed(self) -> None:
        self.share -= expm1(-1 / self.pace) * (1 - self.share)


def mood(knowledge: Knowledge, story: Table, route: Table, chance: Random, *, start: int, now: int) -> Mood:
    """A person drawn from what follow-up believes, and from what the story says instead."""
    content, scale, own = knowledge.content["courses"], scales(knowledge)[SCALE], knowledge.content["synthetic"]
    truth, model = content["truth"], content["model"]
    expected = course_by(knowledge, route["course"]) if "course" in route else None
    gain = (expected.gain, expected.spread) if expected else own["kratom"]["helps"]
    (loss_d,) = chance.choices(model["loss_d"], model["loss_weight"])
    worse = story.get("worse")
    return Mood(
        low=scale.low,
        high=scale.high,
        baseline=max(chance.gauss(*truth["baseline"]), scale.least_baseline),
        gain=min(max(chance.gauss(*story.get("gain", gain)), 0), 1),
        pace=expected.pace if expected else own["kratom"]["helps_after"],
        loss_d=duration_ms(story["loss"]) / MS_PER_DAY if "loss" in story else loss_d,
        drift=truth["drift"],
        settles_d=duration_ms(own["clinic"]["settles"]) / MS_PER_DAY,
        chance=chance,
        since=start,
        worse=worse and (now - chance.randint(*map(duration_ms, worse["ago"])), chance.uniform(*worse["points"])),
    )


class Step(NamedTuple):
    """From when on how many grams a day."""

    at: int
    grams: float


def steps(knowledge: Knowledge, story: Table, chance: Random, *, start: int, agreed: int, now: int) -> tuple[Step, ...]:
    """What was taken from the first visit on: the steps of a reduction as the person and a clinician wrote them."""
    own = knowledge.content["synthetic"]["kratom"]
    grams = round(chance.uniform(*own["amount"]), 1)
    found, at = [Step(start, grams)], agreed
    slip = chance.randint(1, 2) if "slips" in story else -1
    while at <= now and grams:
        grams *= story["slips"] if len(found) == slip + 1 else chance.uniform(*own["step"])
        grams = round(grams, 1) if grams >= own["least"] else 0
        found.append(Step(at, grams))
        at += chance.randint(*own["weeks"]) * duration_ms("1 wk")
    return tuple(found)


def withdrawal(knowledge: Knowledge, taken: Sequence[Step], worst: float, ms: int) -> float:
    """How strong withdrawal is, as part of the worst: it rises to its peak after a step down and is then over."""
    peak, over = (float(knowledge.facts[f"kratom.withdrawal.{name}"].value[1]) for name in ("peak", "resolution"))
    last = max((n for n, step in enumerate(taken) if step.at <= ms), default=0)
    if last == 0 or taken[last].grams >= taken[last - 1].grams:
        return 0
    days = (ms - taken[last].at) / MS_PER_DAY
    return worst * max(0.0, min(days / peak, (peak + over - days) / over))


# --- visits -----------------------------------------------------------------------------------------------------------


def planned(knowledge: Knowledge, clinic: Clinic, route: Table, start: int) -> Iterator[Visit]:
    """The visits of the route's protocols, one after the other, as they stood on the first day."""
    own = knowledge.content["synthetic"]["clinic"]
    for name in route["protocols"]:
        known = protocol(knowledge, name)
        values = with_settings(known, settings_for(clinic.protocol, known, knowledge))
        day = clinic.cover.local(first_opening(clinic, start)).date()
        log = read_log(known, clinic.cover, values, {}, start)
        found = course(known, values, start=day, clinic=clinic, given=(), log=log, now=start, language="en")
        measures = {phase.id: phase.measures for phase in known.phases}
        yield from (replace(visit, measures=measures[visit.phase]) for visit in found.visits)
        start = found.visits[-1].starts + duration_ms(own["then"])


def contacts(
    knowledge: Knowledge, clinic: Clinic, story: Table, chance: Random, *, start: int, now: int
) -> tuple[list[Contact], tuple[Step, ...]]:
    """Every visit that began, was missed or is booked, and what kratom was taken where the course is a reduction."""
    content = knowledge.content["synthetic"]
    own, route = content["clinic"], next(r for r in content["route"] if r["id"] == story["route"])
    slot = start - first_opening(clinic, start)  # when in the day somebody usually comes
    first = start + duration_ms(own["intake"] if "treatment" in route else "0 d")
    visits = [
        replace(visit, starts=visit.starts + slot, ends=visit.ends + slot)
        for visit in planned(knowledge, clinic, route, first)
    ]
    taken: tuple[Step, ...] = ()
    if "treatment" not in route:
        taken = steps(knowledge, story, chance, start=start, agreed=visits[1].starts, now=now)
    worst = chance.uniform(*content["kratom"]["withdrawal"])
    level = mood(knowledge, story, route, chance, start=start, now=now)
    leaves = chance.randint(*story["leaves"]) if "leaves" in story else len(visits)
    found = _Walk(knowledge, own, level, taken, worst, chance, now)
    if "treatment" in route:
        found.came(start, INTAKE, "First visit", visits[0].measures)
    done = found.series(visits[:leaves], story.get("missed", own["missed"]))
    if "leaves" not in story:
        found.afterwards(clinic, done, slot, duration_ms(own["afterwards"]))
    return found.made, taken


@dataclass(slots=True)
class _Walk:
    knowledge: Knowledge
    own: Table
    level: Mood
    taken: tuple[Step, ...]
    worst: float
    chance: Random
    now: int
    made: list[Contact] = field(default_factory=list)
    doses: int = 0

    def came(
        self, at: int, phase: str, title: str, measures: tuple[str, ...], *, lasts: int = 0, dose: bool = False
    ) -> None:
        at += self.chance.randint(*self.own["late"]) * MS_PER_MIN
        self.doses += dose
        self.made.append(
            Contact(
                at=at,
                ends=at + max(lasts, duration_ms(self.own["lasts"])),
                phase=phase,
                title=title,
                state=CAME,
                measures=measures,
                number=self.doses if dose else 0,
                severity=self.level.at(at),
                withdrawal=withdrawal(self.knowledge, self.taken, self.worst, at),
            )
        )

    def series(self, visits: Sequence[Visit], missed: float) -> int:
        """The visits of the protocols; where the first series brought too little, the course ends. When it was over."""
        enough = 1 - self.knowledge.number("outcome.partial")
        booked = self.own["booked"]
        for number, visit in enumerate(visits):
            apart = Contact(visit.starts, visit.ends, visit.phase, visit.title, MISSED)
            if visit.starts + duration_ms(self.own["stays"]) > self.now:
                self.made += [apart._replace(at=v.starts, ends=v.ends, state=BOOKED) for v in visits[number:][:booked]]
                return self.now
            if number and self.chance.random() < missed:
                self.made.append(apart)
                continue
            dose = visit.kind == DOSE
            self.came(
                visit.starts, visit.phase, visit.title, visit.measures, lasts=visit.ends - visit.starts, dose=dose
            )
            self.level.dosed()
            last = visit.phase == visits[0].phase and (
                number + 1 == len(visits) or visits[number + 1].phase != visit.phase
            )
            if dose and last and self.made[-1].severity > enough * self.level.baseline:
                return visit.ends
        return visits[-1].ends

    def afterwards(self, clinic: Clinic, done: int, slot: int, every: int) -> None:
        """Somebody asks from time to time, also when the course is over."""
        while (done := first_opening(clinic, done + every) + slot) + duration_ms(self.own["stays"]) <= self.now:
            self.came(done, AFTERWARDS, "Afterwards", FOLLOWED)


def first_opening(clinic: Clinic, ms: int) -> int:
    """The first opening of the clinic on the day of an instant or after it."""
    midnight = clinic.cover.instant(clinic.cover.local(ms).date(), timedelta(0))
    found = clinic.cover.next_opening(midnight - 1)
    return ms if found is None else found
