"""A block of people on one grid: their scores and doses as arrays, filtered and smoothed, and what follows from that.

The bedside sends one person, a clinic sends thousands a block at a time; there is no second way to the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from adjunct.base import MS_PER_DAY, BadInput, Bools, Floats, shown
from adjunct.followup.expected import Course, Measured, OwnCourse, Scale, course_by
from adjunct.followup.filtering import (
    Filtered,
    Grid,
    Normals,
    Prior,
    Steps,
    above,
    filtered,
    mean_of,
    quantiles,
    smoothed,
)
from adjunct.knowledge import Knowledge

BANDS = (0.025, 0.25, 0.5, 0.75, 0.975)  # edges of the 95 % and the 50 % band, and the middle


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person's scores by instrument and instants of doses. What lies after `now` is not read."""

    series: Mapping[str, Sequence[Measured]]
    doses: Sequence[int]
    route: str | None
    primary: str
    now: int
    id: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A score in points of the primary scale, higher is worse."""

    at: int
    value: float
    error_sd: float
    instrument: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One person as the filter sees them: steps in time order, the baseline, what was left out."""

    person: Person
    scale: Scale
    course: Course | None
    points: tuple[Point, ...]  # of the primary instrument
    doses: tuple[int, ...]
    steps: tuple[tuple[int, int, Point | None], ...]  # instant, 0 score 1 dose 2 nothing, score
    baseline: Point | None  # the last one before the first dose; None: there is none, or it is too old
    window_d: float  # how old it may be
    unlinked: tuple[str, ...]  # instruments without a known line to the primary one


def read(
    knowledge: Knowledge,
    person: Person,
    known: Mapping[str, Scale],
    *,
    own: OwnCourse | None = None,
    at: Sequence[int] = (),
) -> Read:
    """Check and order what was sent about one person. Errors name instrument and place, never a score."""
    scale = known.get(person.primary)
    if scale is None:
        raise BadInput(
            f"no trajectory can be drawn in {shown(person.primary)}: its error is not known; "
            f"send one of {', '.join(sorted(known))}",
            "primary",
        )
    points = [p for name in person.series if name in known for p in _points(name, person, known[name], scale)]
    doses = tuple(sorted({d for d in person.doses if d <= person.now}))
    if doses and doses[0] < 0:
        raise BadInput("a dose lies before 1970: send milliseconds since 1970 UTC", "doses")
    rows: list[tuple[int, int, Point | None]] = [(p.at, 0, p) for p in points]
    rows += [(d, 1, None) for d in doses]
    rows += [(t, 2, None) for t in sorted({t for t in at if t < person.now})] + [(person.now, 2, None)]
    rows.sort(key=lambda row: row[:2])
    primary = tuple(sorted((p for p in points if p.instrument == scale.id), key=lambda p: p.at))
    window_d = knowledge.number("outcome.baseline.age")
    before = [p for p in primary if doses and 0 <= doses[0] - p.at <= window_d * MS_PER_DAY]
    return Read(
        person=person,
        scale=scale,
        course=course_by(knowledge, person.route, own),
        points=primary,
        doses=doses,
        steps=tuple(rows),
        baseline=before[-1] if before else None,
        window_d=window_d,
        unlinked=tuple(name for name in person.series if name not in known),
    )


def _points(name: str, person: Person, own: Scale, primary: Scale) -> Iterator[Point]:
    """The scores of one instrument on the primary scale, along the line that links them; a missing one is left out."""
    stretch = primary.slope / own.slope
    seen: dict[int, float] = {}
    for number, measured in enumerate(person.series[name]):
        at, value = measured.at, measured.value
        place = f"{name}[{number}]"
        if at < 0:
            raise BadInput("a score lies before 1970: send milliseconds since 1970 UTC", place)
        if at > person.now or math.isnan(value):
            continue
        if not own.low <= value <= own.high:
            raise BadInput(f"a score lies outside {own.low:g} to {own.high:g}: correct it or leave it out", place)
        if at in seen:
            if seen[at] != value:
                raise BadInput("two different scores at one time: correct one of them", place)
            continue
        seen[at] = value
        yield Point(at, primary.shift + (value - own.shift) * stretch, own.error_sd * stretch, name)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """People side by side, filtered and smoothed. Arrays are (steps, people) unless they say otherwise."""

    reads: tuple[Read, ...]
    known: Filtered
    whole: Normals  # smoothed
    after: Floats  # mean of the true severity after each step
    smooth: Floats  # the same in the light of all scores
    scored: Bools  # a score of any instrument at this step
    treated: Bools  # a dose was given before this step
    baseline: Floats  # (people,): true severity at the last score before the first dose, as known then; NaN: none
    best: Floats  # the least severity at a score since the first dose, as known at each step; inf: none yet
    gain: Floats  # (people,): smoothed baseline less best smoothed severity; NaN: unknown
    reliable: Floats  # (people,): the least gain that error alone does not explain
    half_lost: Floats  # (people,): the severity at which half of the gain is lost; NaN: unknown
    noise: Floats = field(repr=False)  # (columns,): times the error of the scale

    def chances(self, ahead_d: float, half: float, partial: float, open_d: float) -> tuple[Floats, Floats, Floats]:
        """As known after each step: relapse within reach, half of the gain lost, non-response at the end of the series.

        The first two look `ahead_d` days ahead without another dose; NaN where the question does not arise. The third
        arises until `open_d` days after a dose of the series: then it was finished or broken off.
        """
        soon = self.known.ahead(ahead_d)
        scale = [r.scale for r in self.reads]
        relapse = above(soon, np.array([s.relapse for s in scale])[None, :])
        with np.errstate(invalid="ignore"):
            enough = self.baseline - self.best >= self.reliable
            limit = np.where(enough, self.best + half * (self.baseline - self.best), np.nan)
        lost = above(soon, limit)
        return relapse, np.where(np.isfinite(limit), lost, np.nan), self._nonresponse(partial, open_d)

    def _nonresponse(self, partial: float, open_d: float) -> Floats:
        """The chance that the fall by the end of the series stays below `partial` of the baseline."""
        given, since_d = np.zeros(self.after.shape), np.full(self.after.shape, np.inf)
        total, pace, spacing = (np.full(len(self.reads), np.nan) for _ in range(len("tps")))
        for i, r in enumerate(self.reads):
            if r.course is not None:
                total[i], pace[i], spacing[i] = r.course.doses, r.course.pace, r.course.spacing_d
            kinds = [kind == 1 for _, kind, _ in r.steps]
            given[: len(kinds), i] = np.cumsum(kinds)
            times = np.array([at for at, _, _ in r.steps], dtype=float)
            last = np.maximum.accumulate(np.where(kinds, times, -np.inf))
            since_d[: len(kinds), i] = (times - last) / MS_PER_DAY
        left = np.maximum(total - given, 0)
        share = 1 - (1 - self.known.share) * np.exp(-left / pace)[:, None, :]
        end = self.known.at_share(share, (left * spacing)[:, None, :])
        chance = above(end, np.broadcast_to((1 - partial) * self.baseline, self.after.shape))
        return np.where((given > 0) & (given <= total) & (since_d <= open_d), chance, np.nan)

    def crossings(self, chances: Sequence[float], horizon_d: int) -> tuple[Floats, Floats]:
        """Days from now until the chance that half of the gain is lost reaches each level: (levels, people), and the
        chance today. NaN: unknown; infinite: not within the horizon."""
        asked = np.flatnonzero(~np.isnan(self.half_lost))
        days, today = np.full((len(chances), len(self.reads)), np.nan), np.full(len(self.reads), np.nan)
        if len(asked):
            ahead = np.arange(horizon_d + 1.0)
            chance = above(self.known.now_of(asked, ahead[:, None, None]), self.half_lost[asked][None, :])
            reached = chance[None] >= np.asarray(chances)[:, None, None]
            days[:, asked] = np.where(reached.any(axis=1), reached.argmax(axis=1), np.inf)
            today[asked] = chance[0]
        return days, today

    def bands(self, person: int, normals: Normals) -> Floats:
        """Edges of the bands of one person, clipped to the scale: (edges, steps)."""
        one = slice(person, person + 1)
        of = Normals(weight=normals.weight[..., one], mean=normals.mean[..., one], variance=normals.variance[..., one])
        return self.clipped(quantiles(of, BANDS), one)[:, :, 0]

    def now(self) -> Floats:
        """Edges of the bands of the true severity now: (edges, people)."""
        last = Normals(
            weight=self.known.after.weight[-1:],
            mean=self.known.after.mean[-1:],
            variance=self.known.after.variance[-1:],
        )
        return self.clipped(quantiles(last, BANDS), slice(None))[:, 0]

    def clipped(self, edges: Floats, who: slice) -> Floats:
        """Edges, (..., people), drawn into the range of each person's scale."""
        mine = [r.scale for r in self.reads[who]]
        return np.clip(edges, np.array([s.low for s in mine]), np.array([s.high for s in mine]))


def settings(knowledge: Knowledge) -> Grid:
    """Every combination of the three unknown settings, with its weight before any score."""
    model = knowledge.content["courses"]["model"]
    names = ("drift", "noise", "loss_d")
    values = np.meshgrid(*(model[name] for name in names), indexing="ij")
    weights = np.meshgrid(*(model[f"{name.removesuffix('_d')}_weight"] for name in names), indexing="ij")
    weight = np.prod(weights, axis=0).ravel()
    drift, noise, loss = (v.ravel().astype(float) for v in values)
    return Grid(drift=drift, noise=noise, loss_d=loss, weight=weight / weight.sum())


def block(knowledge: Knowledge, reads: Sequence[Read], grid: Grid) -> Block:
    """Filter and smooth some people together; people with fewer steps are padded with steps that change nothing."""
    steps = _steps(reads)
    known = filtered(steps, grid, _prior(knowledge, reads))
    whole = smoothed(known)
    after, smooth = mean_of(known.after), mean_of(whole)
    scored = ~np.isnan(steps.value)
    treated = np.cumsum(steps.dosed, axis=0) > 0
    who = np.arange(len(reads))
    early = scored & ~treated
    # the last score before the first dose: argmax from the far end
    last = len(after) - 1 - early[::-1].argmax(axis=0)
    has = early.any(axis=0) & np.array([_recent(r, t) for r, t in zip(reads, last.tolist(), strict=True)])
    late = scored & treated
    best = np.minimum.accumulate(np.where(late, after, np.inf), axis=0)
    best_smooth = np.where(late, smooth, np.inf).min(axis=0)
    with np.errstate(invalid="ignore"):
        gain = np.where(has & np.isfinite(best_smooth), smooth[last, who] - best_smooth, np.nan)
        half = knowledge.number("outcome.relapse.gain")
        least = np.array([r.scale.reliable(knowledge.number("outcome.reliable.z")) for r in reads])
        half_lost = np.where(gain >= least, best_smooth + half * gain, np.nan)
    return Block(
        reads=tuple(reads),
        known=known,
        whole=whole,
        after=after,
        smooth=smooth,
        scored=scored,
        treated=treated,
        baseline=np.where(has, after[last, who], np.nan),
        best=best,
        gain=gain,
        reliable=least,
        half_lost=half_lost,
        noise=grid.noise,
    )


def _recent(r: Read, step: int) -> bool:
    """Whether a step lies before the first dose, and near enough for its score to be a baseline."""
    return bool(r.doses) and r.doses[0] - r.steps[min(step, len(r.steps) - 1)][0] <= r.window_d * MS_PER_DAY


def _steps(reads: Sequence[Read]) -> Steps:
    count, people = max(len(r.steps) for r in reads), len(reads)
    others = [[n for n in r.person.series if n != r.scale.id and n not in r.unlinked] for r in reads]
    gap, value, error = np.zeros((count, people)), np.full((count, people), np.nan), np.ones((count, people))
    dosed = np.zeros((count, people), dtype=np.bool_)
    beside = np.zeros((max(len(o) for o in others), count, people), dtype=np.bool_)
    for i, r in enumerate(reads):
        times = np.array([at for at, _, _ in r.steps], dtype=np.float64)
        gap[1 : len(times), i] = np.diff(times) / MS_PER_DAY
        for t, (_, kind, point) in enumerate(r.steps):
            dosed[t, i] = kind == 1
            if point is not None:
                value[t, i], error[t, i] = point.value, point.error_sd
                if point.instrument != r.scale.id:
                    beside[others[i].index(point.instrument), t, i] = True
    return Steps(gap_d=gap, value=value, error_sd=error, dosed=dosed, beside=beside)


def _prior(knowledge: Knowledge, reads: Sequence[Read]) -> Prior:
    model = knowledge.content["courses"]["model"]
    default = knowledge.content["courses"]["course"][0]  # its width serves where the route is not known
    of = [
        (default["gain"], default["spread"], default["pace"])
        if r.course is None
        else (r.course.gain, r.course.spread, r.course.pace)
        for r in reads
    ]
    gain, spread, pace = (np.array(column, dtype=float) for column in zip(*of, strict=True))
    typical, sd, slope = (np.array([getattr(r.scale, name) for r in reads]) for name in ("typical", "sd", "slope"))
    size = np.array([r.scale.typical if r.baseline is None else r.baseline.value for r in reads])
    return Prior(
        level=typical,
        level_sd=model["prior_sds"] * sd,
        gain_share=gain,
        gain_sd=spread * np.maximum(size, sd),
        pace=pace,
        unit_sd=sd,
        offset_sd=model["offset_sd"] * slope,
    )
