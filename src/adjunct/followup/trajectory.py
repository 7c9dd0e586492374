"""Is this person getting better? The true severity behind the scores, with bands; the expected course; what may come.

One call for one person, one for many; both filter blocks of people with the same code. Nothing here is an order: the
day on which half of the gain may be lost is information for the prescriber, never a schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from adjunct.base import MS_PER_DAY, YES, BadInput, Floats
from adjunct.followup.block import Block, Person, Read, block, read, settings
from adjunct.followup.expected import Course, Judgement, Measured, OwnCourse, Scale, judged, scales
from adjunct.followup.filtering import Normals
from adjunct.knowledge import Knowledge

PEOPLE = 64  # a block: wide enough for numpy, small enough for the cache
WEEK_D = 7
DIGITS = 2
NOT_A_SCHEDULE = "Information for the prescriber; it sets no date by itself."


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Quantiles at instants, in points of the scale: the 95 % band, the 50 % band inside it, the median."""

    of: str
    at: tuple[int, ...]
    low95: tuple[float, ...]
    low50: tuple[float, ...]
    middle: tuple[float, ...]
    high50: tuple[float, ...]
    high95: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """What was foretold when a score came in, from nothing later. None: the question did not arise."""

    at: int
    score: float | None  # of the primary scale; None: another instrument measured
    severity: float  # mean of the true severity as known then
    remitted: bool  # a score of the primary scale since the first dose had been in remission
    relapse: float | None
    half_gain: float | None
    nonresponse: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """When half of the gain may be lost without another dose: days from now, and the interval that holds it half the
    time. A day of None is not within the horizon; `why` says why nothing can be said."""

    chance: float
    today: float | None = None
    day: int | None = None
    earliest: int | None = None
    latest: int | None = None
    horizon_d: int
    gain: float | None = None
    why: str = ""
    says: str = NOT_A_SCHEDULE


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One person's course: what was, what was expected, what may come, and what could not be said."""

    scale: Scale
    course: Course | None
    now: int
    points: tuple[tuple[int, float], ...]  # scores of the primary scale
    doses: tuple[int, ...]
    baseline: float | None
    judgements: tuple[Judgement, ...]
    chances: tuple[Chances, ...]
    smoothed: Curve
    forecast: Curve
    coming_score: Curve
    review: Review
    unknown: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]

    @property
    def basis(self) -> str:
        return self.course.basis if self.course else "none: the route is not known"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, rounded; `null` is unknown, and `unknown` says why."""
        scale = self.scale
        return {
            "instrument": scale.id,
            "unit": "{score}",
            "range": [scale.low, scale.high],
            "now": self.now,
            "basis": self.basis,
            "course": None if self.course is None else {"id": self.course.id, "title": self.course.title},
            "points": [{"at": at, "score": score} for at, score in self.points],
            "doses": list(self.doses),
            "baseline": self.baseline,
            "judgements": [_plain(j) for j in self.judgements],
            "chances": [_plain(c) for c in self.chances],
            "curves": [_plain(c) for c in (self.smoothed, self.forecast, self.coming_score)],
            "review": _plain(self.review),
            "unknown": list(self.unknown),
            "sources": [{"id": source, "locator": place} for source, place in self.sources],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Some people's results as columns of one length: where each stands now and what may come. NaN is unknown; an
    infinite day is not within the horizon. `trajectory(i)` is the whole course of one of them."""

    ids: tuple[str, ...]
    columns: Mapping[str, Floats]
    _course: _Course

    @property
    def block(self) -> Block:
        return self._course.block

    def trajectory(self, person: int) -> Trajectory:
        return self._course.person(person)

    def chances(self, person: int) -> tuple[Chances, ...]:
        return tuple(self._course.chances(person))


def trajectory(
    knowledge: Knowledge,
    series: Mapping[str, Sequence[Measured]],
    doses: Sequence[int],
    *,
    route: str | None,
    primary: str,
    now: int,
    horizon_d: int | None = None,
    level: float | None = None,
    own: OwnCourse | None = None,
    at: Sequence[int] = (),
) -> Trajectory:
    """The course of one person from scores by instrument and instants of doses, in ms since 1970 UTC.

    `level` is the chance of having lost half of the gain that the interval review asks for; `at` are further instants
    for the curve; what lies after `now` is not read. Errors: an unknown scale or route, a score out of range.
    """
    person = Person(series=series, doses=doses, route=route, primary=primary, now=now)
    one = read(knowledge, person, scales(knowledge), own=own, at=at)
    asked = _Asked.of(knowledge, horizon_d, level)
    return _Course(knowledge, block(knowledge, (one,), settings(knowledge)), asked).person(0)


def trajectories(
    knowledge: Knowledge,
    people: Iterable[Person],
    *,
    level: float | None = None,
    horizon_d: int | None = None,
    own: OwnCourse | None = None,
    progress: Callable[[int], None] | None = None,
    size: int = PEOPLE,
) -> Iterator[Rows]:
    """The courses of many people, a block at a time, in the memory of one block. `progress` hears how many are done.

    An error counts the people, the first is 1, so that one bad row among many is found.
    """
    known, grid, asked = scales(knowledge), settings(knowledge), _Asked.of(knowledge, horizon_d, level)
    waiting, done = (_counted(n, knowledge, p, known, own) for n, p in enumerate(people, start=1)), 0
    while some := list(islice(waiting, size)):
        course = _Course(knowledge, block(knowledge, some, grid), asked)
        yield Rows(ids=tuple(r.person.id for r in some), columns=course.columns(), _course=course)
        done += len(some)
        if progress is not None:
            progress(done)


def _counted(
    number: int, knowledge: Knowledge, person: Person, known: Mapping[str, Scale], own: OwnCourse | None
) -> Read:
    try:
        return read(knowledge, person, known, own=own)
    except BadInput as error:
        raise BadInput(str(error), f"person {number}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The levels and horizons of one call."""

    horizon_d: int
    level: float
    ahead_d: float
    half: float
    partial: float
    open_d: float

    @classmethod
    def of(cls, knowledge: Knowledge, horizon_d: int | None, level: float | None) -> _Asked:
        number = knowledge.number
        horizon = int(number("trajectory.horizon")) if horizon_d is None else horizon_d
        chosen = number("trajectory.review_chance") if level is None else level
        if not 0 < chosen < 1:
            raise BadInput("the chance of an interval review lies between 0 and 1", "level")
        if not 0 < horizon <= number("trajectory.horizon"):
            raise BadInput(f"a forecast reaches 1 to {number('trajectory.horizon'):g} days ahead", "horizon_d")
        return cls(
            horizon_d=horizon,
            level=chosen,
            ahead_d=number("trajectory.ahead"),
            half=number("outcome.relapse.gain"),
            partial=number("outcome.partial"),
            open_d=number("trajectory.judge_within"),
        )

    @property
    def levels(self) -> tuple[float, float, float]:
        """The level asked for, and the two around it between which half of the chance lies."""
        return self.level / 2, self.level, (1 + self.level) / 2


class _Course:
    """What is read off a block once, for any of its people."""

    def __init__(self, knowledge: Knowledge, found: Block, asked: _Asked) -> None:
        self.knowledge, self.block, self.asked = knowledge, found, asked
        self.relapse, self.half, self.nonresponse = found.chances(
            asked.ahead_d, asked.half, asked.partial, asked.open_d
        )

    @cached_property
    def crossings(self) -> tuple[Floats, Floats]:
        return self.block.crossings(self.asked.levels, self.asked.horizon_d)

    def columns(self) -> dict[str, Floats]:
        names = ("low95", "low50", "severity", "high50", "high95")
        days = ("review_earliest_d", "review_day_d", "review_latest_d")
        last = {"chance_relapse": self.relapse[-1], "chance_half_gain": self.half[-1]}
        return {
            "points": self.block.scored.sum(axis=0).astype(float),
            **dict(zip(names, self.block.now(), strict=True)),
            "gain": self.block.gain,
            **last,
            "chance_nonresponse": self.nonresponse[-1],
            **dict(zip(days, self.crossings[0], strict=True)),
        }

    def person(self, i: int) -> Trajectory:
        found, r = self.block, self.block.reads[i]
        baseline = None if r.baseline is None else r.baseline.value
        smoothed, forecast, coming = self._curves(i)
        return Trajectory(
            scale=r.scale,
            course=r.course,
            now=r.person.now,
            points=tuple((p.at, p.value) for p in r.points),
            doses=r.doses,
            baseline=baseline,
            judgements=judged(self.knowledge, r.scale, r.course, r.points, r.doses, baseline),
            chances=tuple(self.chances(i)),
            smoothed=smoothed,
            forecast=forecast,
            coming_score=coming,
            review=self._review(i),
            unknown=tuple(_unknown(r, found.scored[:, i].sum())),
            sources=(*(r.course.sources if r.course else ()), (r.scale.source, r.scale.locator)),
        )

    def _curves(self, i: int) -> tuple[Curve, Curve, Curve]:
        """Smoothed; forecast of the true severity from now, weekly, without another dose; and of a score."""
        found, r = self.block, self.block.reads[i]
        kept = slice(0, len(r.steps))
        past = Normals(
            weight=found.whole.weight[kept], mean=found.whole.mean[kept], variance=found.whole.variance[kept]
        )
        days = np.arange(0, self.asked.horizon_d + 1, WEEK_D, dtype=float)
        later = found.known.ahead(days[:, None, None], slice(-1, None))
        error = (found.noise * r.scale.error_sd) ** 2
        score = Normals(weight=later.weight, mean=later.mean, variance=later.variance + error[:, None])
        times = tuple(r.person.now + int(d) * MS_PER_DAY for d in days)
        return (
            _curve("smoothed severity", tuple(at for at, _, _ in r.steps), found.bands(i, past)),
            _curve("forecast severity, no further dose", times, found.bands(i, later)),
            _curve("forecast score, no further dose", times, found.bands(i, score)),
        )

    def chances(self, i: int) -> Iterator[Chances]:
        r, remitted = self.block.reads[i], False
        well = dict(zip((p.at for p in r.points), r.scale.in_remission([p.value for p in r.points]), strict=True))
        relapse, half, nonresponse = (a[:, i].tolist() for a in (self.relapse, self.half, self.nonresponse))
        treated, severity = self.block.treated[:, i].tolist(), self.block.after[:, i].tolist()
        for t, (at, _, point) in enumerate(r.steps):
            if point is None:
                continue
            remitted |= treated[t] and point.instrument == r.scale.id and well[at] == YES
            yield Chances(
                at=at,
                score=point.value if point.instrument == r.scale.id else None,
                severity=severity[t],
                remitted=remitted,
                relapse=_known(relapse[t]),
                half_gain=_known(half[t]),
                nonresponse=_known(nonresponse[t]),
            )

    def _review(self, i: int) -> Review:
        asked, gain = self.asked, self.block.gain[i]
        empty = Review(chance=asked.level, horizon_d=asked.horizon_d, gain=_known(gain))
        if np.isnan(self.block.half_lost[i]):
            return _with(empty, why=_no_review(self.block.reads[i], gain))
        earliest, day, latest = (int(d) if np.isfinite(d) else None for d in self.crossings[0][:, i])
        today = float(self.crossings[1][i])
        return _with(empty, today=today, earliest=earliest, day=day, latest=latest)


def _with(review: Review, **changes: Any) -> Review:
    return Review(**{**asdict(review), **changes})


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _no_review(r: Read, gain: float) -> str:
    if not r.doses:
        return "no dose was given"
    if r.baseline is None:
        return f"no score in the {r.window_d:g} days before the first dose"
    if np.isnan(gain):
        return "no score since the first dose"
    return "no gain larger than the error of the scale: nothing to lose"


def _unknown(r: Read, scores: int) -> Iterator[str]:
    if scores == 0:
        yield "no score: the bands say what is held of anybody"
    if r.doses and r.baseline is None:
        yield f"no score in the {r.window_d:g} days before the first dose: no change can be computed"
    if r.doses and r.course is None:
        yield "the route is not known: no course is expected"
    if r.baseline is not None and r.baseline.value < r.scale.least_baseline:
        yield "the score before the first dose is too low for percent change: look at the raw scores"
    if r.unlinked:
        yield f"not used, because no line links them to {r.scale.id}: {', '.join(r.unlinked)}"


def _curve(of: str, at: tuple[int, ...], edges: Floats) -> Curve:
    names = ("low95", "low50", "middle", "high50", "high95")
    return Curve(of=of, at=at, **{n: tuple(row.tolist()) for n, row in zip(names, edges, strict=True)})


def _plain(value: Any) -> dict[str, Any]:
    return {name: _rounded(item) for name, item in asdict(value).items()}


def _rounded(item: Any) -> Any:
    if isinstance(item, float):
        return round(item, DIGITS)
    return [_rounded(x) for x in item] if isinstance(item, tuple) else item
