"""What the bands and the signals are worth, measured on simulated cohorts with a known truth.

Levels at which two rules are compared are chosen on one stream of people and judged on another, so that nothing is
fitted to what it is measured on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adjunct.base import MS_PER_DAY, Bools, Floats
from adjunct.followup.block import BANDS, Block, block, read, settings
from adjunct.followup.cohorts import Cohort
from adjunct.followup.expected import course_by, scales
from adjunct.followup.filtering import Normals, quantiles
from adjunct.followup.signals import WARNINGS, raised
from adjunct.followup.trajectory import Chances, trajectories
from adjunct.knowledge import Knowledge

DAYS_PER_YEAR = 365.25
FINE = 0.01  # steps in which a level is looked for

Rule = Callable[["Pool"], Bools]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """A cohort through the filter: at each score (scores, people) what the rules see. NaN: no score, or no question."""

    cohort: Cohort
    block: Block
    remitted: Bools
    chance: Mapping[str, Floats]
    shipped: Mapping[str, Bools]  # the early warnings at the levels that ship

    @classmethod
    def of(cls, knowledge: Knowledge, made: Cohort) -> Seen:
        """Filter a cohort and note what each rule would have seen at each score, from nothing later."""
        shape = made.scores.shape
        chance = {name: np.full(shape, np.nan) for name in PICK}
        shipped = {name: np.zeros(shape, dtype=np.bool_) for name in WARNINGS}
        remitted = np.zeros(shape, dtype=np.bool_)
        (rows,) = trajectories(knowledge, made.people(), size=shape[1])
        for i in range(shape[1]):
            at = ~np.isnan(made.scores[:, i])
            seen = rows.chances(i)
            remitted[at, i] = [c.remitted for c in seen]
            for name, pick in PICK.items():
                chance[name][at, i] = [np.nan if (v := pick(c)) is None else v for c in seen]
            for name, on in raised(knowledge, made.scale, seen).items():
                shipped[name][at, i] = on
        return cls(cohort=made, block=rows.block, remitted=remitted, chance=chance, shipped=shipped)


PICK: Mapping[str, Callable[[Chances], float | None]] = {
    "relapse": lambda c: c.relapse,
    "half gain": lambda c: c.half_gain,
    "nonresponse": lambda c: c.nonresponse,
}


# --- bands ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Shares of true values inside the bands of one cohort; `half` is the 50 % band, the others 95 % bands."""

    cohort: str
    smoothed: float
    then: float  # as known at the time
    coming: float  # the next score itself
    forecast: float  # true severity some weeks after the series, without more doses
    half: float
    scores: int


def coverage(knowledge: Knowledge, seen: Seen) -> Coverage:
    """How often the bands held the truth, at the scores of one cohort and in a forecast."""
    made, found = seen.cohort, seen.block
    before = found.known.before()
    steps, who = np.nonzero(found.scored)
    events = [found.reads[i].steps[t] for t, i in zip(steps, who, strict=True)]
    day = np.array([at for at, _, _ in events]) / MS_PER_DAY
    truth = made.truth[day.astype(np.intp), who]
    value = np.array([point.value for _, _, point in events if point is not None])
    coming = Normals(weight=before.weight, mean=before.mean, variance=found.known.score_variance)

    def within(normals: Normals, true: Floats, outer: bool = True) -> float:
        low, half_low, _, half_high, high = _edges(made, normals)[:, steps, who]
        return float(np.mean((low <= true) & (true <= high) if outer else (half_low <= true) & (true <= half_high)))

    return Coverage(
        cohort=made.id,
        smoothed=within(found.whole, truth),
        then=within(found.known.after, truth),
        coming=within(coming, value),
        forecast=_forecast(knowledge, made),
        half=within(found.whole, truth, outer=False),
        scores=len(truth),
    )


def _edges(made: Cohort, normals: Normals) -> Floats:
    edges: Floats = np.clip(quantiles(normals, BANDS), made.scale.low, made.scale.high)
    return edges


def _forecast(knowledge: Knowledge, made: Cohort) -> float:
    plan = knowledge.content["courses"]["simulation"]
    end, ahead = plan["end_day"], plan["forecast_d"]
    edges = _edges(made, at_end(knowledge, made).known.ahead(float(ahead), slice(-1, None)))[:, 0]
    free = ~made.dosed[made.days > end].any(axis=0)
    truth = made.on(end + ahead)
    return float(np.mean(((edges[0] <= truth) & (truth <= edges[-1]))[free]))


def at_end(knowledge: Knowledge, made: Cohort) -> Block:
    """The cohort as known at the end of the series."""
    known = scales(knowledge)
    people = made.people(knowledge.content["courses"]["simulation"]["end_day"])
    return block(knowledge, [read(knowledge, p, known) for p in people], settings(knowledge))


# --- rules against each other -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """Several cohorts side by side, and what truly happened. Days are (people,); an event of inf never came."""

    knowledge: Knowledge
    days: Floats
    score: Floats
    remitted: Bools
    chance: Mapping[str, Floats]
    shipped: Mapping[str, Bools]
    baseline: Floats  # last score before the first dose
    start: Floats  # first day of the question; inf: never, or the event had come before
    event: Floats
    until: Floats  # false alarms are counted before this day
    latest: Floats  # a right alarm comes no later

    @classmethod
    def of(cls, knowledge: Knowledge, seen: Sequence[Seen], what: str) -> Pool:
        """All cohorts, with the true days of `nonresponse`, `relapse` or `half gain`."""
        happened = [TRUTHS[what](knowledge, s) for s in seen]
        start, event, until, latest = (np.concatenate(part) for part in zip(*happened, strict=True))
        days = seen[0].cohort.score_days
        score = np.concatenate([s.cohort.scores for s in seen], axis=1)
        return cls(
            knowledge=knowledge,
            days=days,
            score=score,
            remitted=np.concatenate([s.remitted for s in seen], axis=1),
            chance={n: np.concatenate([s.chance[n] for s in seen], axis=1) for n in PICK},
            shipped={n: np.concatenate([s.shipped[n] for s in seen], axis=1) for n in WARNINGS},
            baseline=score[days == 0][0],
            start=start,
            event=event,
            until=until,
            latest=latest,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What one rule did. `lead` (people,): days from its first right alarm to the event; NaN: it gave none."""

    followed: int
    events: int
    caught: int
    false_alarms: int
    years: float
    lead: Floats

    @property
    def sensitivity(self) -> float:
        return self.caught / self.events

    @property
    def false_alarms_a(self) -> float:
        """Per person-year."""
        return self.false_alarms / self.years

    @property
    def right(self) -> float:
        """Share of the alarms that a true event follows in time."""
        alarms = self.caught + self.false_alarms
        return self.caught / alarms if alarms else float("nan")

    @property
    def lead_d(self) -> float:
        return float(np.nanmean(self.lead)) if self.caught else float("nan")

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            followed=self.followed + other.followed,
            events=self.events + other.events,
            caught=self.caught + other.caught,
            false_alarms=self.false_alarms + other.false_alarms,
            years=self.years + other.years,
            lead=np.concatenate((self.lead, other.lead)),
        )


def outcome(pool: Pool, alarm: Bools) -> Outcome:
    """Score a rule. An alarm is right near its event; every other beginning of an alarm is a false one."""
    before = pool.knowledge.content["courses"]["simulation"]["before_d"]
    days = pool.days[:, None]
    asked = ~np.isnan(pool.score) & (days >= pool.start)
    on = alarm & asked
    past, onset = np.zeros(on.shape[1], dtype=np.bool_), np.empty_like(on)
    for t in range(len(on)):
        onset[t] = on[t] & ~past
        past = np.where(asked[t], on[t], past)
    right = on & (days >= pool.event - before) & (days <= pool.latest)
    had = np.isfinite(pool.event) & np.isfinite(pool.start)
    caught = right.any(axis=0) & had
    years = np.maximum(pool.until - pool.start, 0)[np.isfinite(pool.start)].sum() / DAYS_PER_YEAR
    first = np.where(caught, pool.event, np.nan) - pool.days[right.argmax(axis=0)]
    return Outcome(
        followed=int(np.isfinite(pool.start).sum()),
        events=int(had.sum()),
        caught=int(caught.sum()),
        false_alarms=int((onset & (days < pool.until)).sum()),
        years=float(years),
        lead=first,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A simple rule beside the model's chance at the levels that gave no more false alarms on other people."""

    simple: str
    levels: tuple[float, float]
    ours: Outcome
    theirs: Outcome

    @property
    def both_d(self) -> tuple[float, float]:
        """Mean lead of ours and theirs among the events that both caught."""
        both = self._both
        if not both.any():
            return float("nan"), float("nan")
        return float(self.ours.lead[both].mean()), float(self.theirs.lead[both].mean())

    @property
    def days_by_chance(self) -> float:
        """The SE of the difference between the two."""
        apart = (self.ours.lead - self.theirs.lead)[self._both]
        return float(apart.std() / np.sqrt(len(apart))) if len(apart) else float("nan")

    @property
    def _both(self) -> Bools:
        return ~np.isnan(self.ours.lead) & ~np.isnan(self.theirs.lead)

    @property
    def by_chance(self) -> float:
        """The SE of the difference in sensitivity on the same people: what chance alone may make of it."""
        differ = np.isnan(self.ours.lead) != np.isnan(self.theirs.lead)
        return float(np.sqrt(differ.sum()) / self.ours.events)


def contest(one: Pool, other: Pool, what: str, simple: str) -> Contest:
    """Choose the level on some people and judge both rules on the others, then the other way round."""
    first, second = _level(one, what, SIMPLE[simple]), _level(other, what, SIMPLE[simple])
    return Contest(
        simple=simple,
        levels=(first, second),
        ours=outcome(other, at_level(other, what, first)) + outcome(one, at_level(one, what, second)),
        theirs=both(other, one, SIMPLE[simple]),
    )


def both(one: Pool, other: Pool, rule: Rule) -> Outcome:
    """What a rule did in two pools together."""
    return outcome(one, rule(one)) + outcome(other, rule(other))


def _level(pool: Pool, what: str, simple: Rule) -> float:
    """The lowest level at which the model gives no more false alarms than a simple rule."""
    allowed = outcome(pool, simple(pool)).false_alarms_a
    levels = np.arange(FINE, 1, FINE)
    return next((float(p) for p in levels if outcome(pool, at_level(pool, what, p)).false_alarms_a <= allowed), 1.0)


def at_level(pool: Pool, what: str, level: float) -> Bools:
    """Where the model's chance reaches a level."""
    with np.errstate(invalid="ignore"):
        on: Bools = pool.chance[what] >= level
    return on & pool.remitted if what == "relapse" else on


def _threshold(pool: Pool) -> Bools:
    return np.asarray(pool.score >= scales(pool.knowledge)["phq9"].relapse)


def _rise(pool: Pool) -> Bools:
    """The last score lies above the one before it by the reliable change index."""
    least = scales(pool.knowledge)["phq9"].reliable(pool.knowledge.number("outcome.reliable.z"))
    out, last = np.zeros(pool.score.shape, dtype=np.bool_), np.full(pool.score.shape[1], np.nan)
    for t, row in enumerate(pool.score):
        out[t] = row - last >= least
        last = np.where(np.isnan(row), last, row)
    return out


def _little_fall(pool: Pool) -> Bools:
    kept = 1 - pool.knowledge.number("outcome.partial")
    return np.asarray(pool.score > kept * pool.baseline)


def _off_course(word: str) -> Rule:
    """The judgement after each dose: above the expected course by so many SD, or (red) worse than before."""

    def rule(pool: Pool) -> Bools:
        plan, course = pool.knowledge.content["courses"]["simulation"], course_by(pool.knowledge, "iv")
        assert course is not None
        given = np.array([sum(d < day for d in plan["dose_days"]) for day in pool.days])
        sd = pool.knowledge.number(f"trajectory.{word}_sd") * course.residual
        limit = np.array([course.share_left(int(k)) + sd for k in given])[:, None] * pool.baseline
        worse = pool.score >= pool.baseline + (scales(pool.knowledge)["phq9"].important or np.inf)
        return np.asarray((pool.score > limit) | (worse if word == "red" else False))

    return rule


SIMPLE: Mapping[str, Rule] = {
    "last score at the relapse threshold": _threshold,
    "last rise at the reliable change": _rise,
    "EWMA above the remission": lambda pool: pool.shipped["relapse-ewma"],
    "last fall below a quarter": _little_fall,
    "amber of the expected course": _off_course("amber"),
    "red of the expected course": _off_course("red"),
}


def _two_reds(pool: Pool) -> Bools:
    least = pool.knowledge.number("trajectory.reds")
    return np.asarray(np.cumsum(_off_course("red")(pool), axis=0) >= least)


def _as_shipped(name: str) -> Rule:
    return lambda pool: pool.shipped[name]


#: The signals at the levels that ship: the true event that each one speaks of, and its rule.
SHIPPED: Mapping[str, tuple[str, Rule]] = {
    "off-course": ("nonresponse", lambda pool: _off_course("amber")(pool) | _off_course("red")(pool)),
    "off-course-review": ("nonresponse", _two_reds),
    "nonresponse-predicted": (
        "nonresponse",
        lambda pool: at_level(pool, "nonresponse", pool.knowledge.number("trajectory.nonresponse_chance")),
    ),
    "relapse-ewma": ("relapse", _as_shipped("relapse-ewma")),
    "relapse-predicted": ("relapse", _as_shipped("relapse-predicted")),
    "half-gain-predicted": ("half gain", _as_shipped("half-gain-predicted")),
}


# --- what truly happened ----------------------------------------------------------------------------------------------

Days = tuple[Floats, Floats, Floats, Floats]


def _nonresponse(knowledge: Knowledge, seen: Seen) -> Days:
    """True fall below a quarter at the end of the series; judged from the second dose on, right until the end."""
    plan, made = knowledge.content["courses"]["simulation"], seen.cohort
    many, end = made.truth.shape[1], float(plan["end_day"])
    fell = 1 - made.on(end) / made.on(0)
    failed = fell < knowledge.number("outcome.partial")
    first = plan["dose_days"][int(knowledge.number("trajectory.judged_from")) - 1] + 1.0
    start = np.where(np.isnan(made.scores[made.score_days == 0][0]), np.inf, first)
    last = np.full(many, end - 1)
    return start, np.where(failed, end, np.inf), np.where(failed, start, last), last


def _relapse(knowledge: Knowledge, seen: Seen) -> Days:
    """From the first score in remission to the first day of a true, lasting return above the relapse threshold."""
    start = _first(seen.remitted, seen.cohort)
    return _followed(knowledge, seen.cohort, seen.cohort.truth >= seen.cohort.scale.relapse, start)


def _half_gain(knowledge: Knowledge, seen: Seen) -> Days:
    """From the first score with a reliable gain to the first day on which half of the true gain is lost for good."""
    start = _first(~np.isnan(seen.chance["half gain"]), seen.cohort)
    return _followed(knowledge, seen.cohort, half_lost(knowledge, seen.cohort), start)


def half_lost(knowledge: Knowledge, made: Cohort) -> Bools:
    """On each day, whether half of the best true gain so far is lost."""
    best = np.minimum.accumulate(np.where((made.days > 0)[:, None], made.truth, made.on(0)), axis=0)
    return np.asarray(made.truth >= best + knowledge.number("outcome.relapse.gain") * (made.on(0) - best))


TRUTHS: Mapping[str, Callable[[Knowledge, Seen], Days]] = {
    "nonresponse": _nonresponse,
    "relapse": _relapse,
    "half gain": _half_gain,
}


def _first(mask: Bools, made: Cohort) -> Floats:
    return np.where(mask.any(axis=0), made.score_days[mask.argmax(axis=0)], np.inf)


def _followed(knowledge: Knowledge, made: Cohort, state: Bools, start: Floats) -> Days:
    """The first lasting run of a true state after `start`; who is in it at the start is not followed."""
    plan: Mapping[str, Any] = knowledge.content["courses"]["simulation"]
    event = first_lasting(state & (made.days[:, None] >= start), plan["sustained_d"], made.days)
    row = np.where(np.isfinite(start), start - made.days[0], 0).astype(np.intp)
    start = np.where(state[row, np.arange(len(row))], np.inf, start)
    until = np.minimum(event, made.days[-1]) - plan["before_d"]
    return start, event, until, event + plan["after_d"]


def first_lasting(state: Bools, least_d: int, days: Floats) -> Floats:
    """The day on which a state begins that holds for `least_d` days; inf: never."""
    runs = np.lib.stride_tricks.sliding_window_view(state, least_d, axis=0).all(axis=-1)
    return np.where(runs.any(axis=0), days[runs.argmax(axis=0)], np.inf)


# --- interval review --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCheck:
    """Foretold at the end of the series for people without more doses, against the true day: shares of `people`."""

    cohort: str
    people: int  # those of whom a first day could be told
    before: float  # half of the true gain was lost before the earliest day
    between: float
    after: float  # after the latest day, or never in the time that was looked at


def review_check(knowledge: Knowledge, cohorts: Sequence[Cohort]) -> ReviewCheck:
    """Where the true loss of half of the gain fell: a quarter before, a half between, a quarter after is promised."""
    parts = [_fell(knowledge, made) for made in cohorts]
    before, after = (np.concatenate(side) for side in zip(*parts, strict=True))
    return ReviewCheck(
        cohort=cohorts[0].id,
        people=len(before),
        before=float(before.mean()),
        between=float((~before & ~after).mean()),
        after=float(after.mean()),
    )


def _fell(knowledge: Knowledge, made: Cohort) -> tuple[Bools, Bools]:
    plan, number = knowledge.content["courses"]["simulation"], knowledge.number
    end, level = plan["end_day"], number("trajectory.review_chance")
    horizon = int(min(number("trajectory.horizon"), made.days[-1] - plan["sustained_d"] - end))
    found = at_end(knowledge, made)
    (earliest, latest), _ = found.crossings((level / 2, (1 + level) / 2), horizon)
    past = (made.days > 0) & (made.days <= end)
    best = np.minimum(made.truth[past].min(axis=0), made.on(0))
    limit = best + number("outcome.relapse.gain") * (made.on(0) - best)
    lost = first_lasting((made.truth >= limit) & (made.days >= end)[:, None], plan["sustained_d"], made.days) - end
    asked = np.isfinite(earliest) & ~made.dosed[made.days > end].any(axis=0)
    return (lost < earliest)[asked], ((lost > latest) | np.isinf(lost))[asked]
