"""People who never lived, with a known truth: what the filter and the signals are measured on.

Each cohort of `followup/courses.toml` breaks one belief of the filter, the first none. Simulated people are not
patients: they show whether the arithmetic keeps its promises, not whether the promises fit a clinic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from adjunct.base import MS_PER_DAY, Bools, Floats
from adjunct.followup.block import Person
from adjunct.followup.expected import Scale, course_by, scales
from adjunct.knowledge import Knowledge

SCALE, ROUTE = "phq9", "iv"
WEEK_D = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cohort:
    """One simulated cohort. `truth` is the true severity on each day (days, people), within the scale."""

    id: str
    says: str
    scale: Scale
    days: Floats  # day of each row of `truth`; day 0 is the first dose
    truth: Floats
    score_days: Floats
    scores: Floats  # (scores, people); NaN: not answered
    dosed: Bools  # (days, people)

    def people(self, until_d: float | None = None) -> list[Person]:
        """Their scores and doses as the bedside would send them; `until_d`: what was known on that day."""
        now = self.days[-1] if until_d is None else until_d
        start = -self.days[0]  # so that the first day is day 0 of 1970
        found = []
        for i in range(self.truth.shape[1]):
            kept = ~np.isnan(self.scores[:, i]) & (self.score_days <= now)
            points = [
                SimpleNamespace(at=int(d + start) * MS_PER_DAY, value=float(v))
                for d, v in zip(self.score_days[kept], self.scores[kept, i], strict=True)
            ]
            doses = [int(d + start) * MS_PER_DAY for d in self.days[self.dosed[:, i]] if d <= now]
            found.append(
                Person(
                    series={SCALE: points}, doses=doses, route=ROUTE, primary=SCALE, now=int(now + start) * MS_PER_DAY
                )
            )
        return found

    def on(self, day: Floats | float) -> Floats:
        """The true severity on some days."""
        row: Floats = self.truth[np.asarray(np.asarray(day) - self.days[0], dtype=np.intp)]
        return row


def cohort(knowledge: Knowledge, wanted: Mapping[str, Any], thread: int, people: int | None = None) -> Cohort:
    """Make one cohort. The same thread gives the same people, whatever else is made."""
    content = knowledge.content["courses"]
    plan, said = content["simulation"], {**content["truth"], **wanted}
    number = [c["id"] for c in content["cohort"]].index(wanted["id"])
    dice = np.random.Generator(np.random.Philox(key=[plan["seed"], thread * len(content["cohort"]) + number]))
    many = plan["people"] if people is None else people
    scale = scales(knowledge)[SCALE]
    course = course_by(knowledge, ROUTE)
    assert course is not None
    days = np.arange(plan["score_days"][0], plan["weekly_until"] + 1.0)
    model = content["model"]
    baseline = np.maximum(_around(dice, said["baseline"], many), scale.least_baseline)
    gain = np.clip(_around(dice, said["gain"], many), 0, 1) * (dice.random(many) >= said["no_gain"])
    drift, error = np.full(many, said["drift"]), np.full(many, said["error"])
    if said["drawn"]:
        gain = _around(dice, (course.gain, course.spread), many)
        drift = scale.sd * dice.choice(model["drift"], many, p=model["drift_weight"])
        error = scale.error_sd * dice.choice(model["noise"], many, p=model["noise_weight"])
    dosed = _doses(plan, days, dice.random(many) < plan["maintained"])
    loss_d = dice.choice(model["loss_d"], many, p=model["loss_weight"])
    slide = _slide(said, plan, days, dice, many)
    share = slide if said["slide"] else _share(days, dosed, course.pace, loss_d)
    steps = dice.normal(0, drift, (len(days), many))
    if said["jumps_d"]:
        steps += dice.normal(0, said["jump_sd"], steps.shape) * (dice.random(steps.shape) < 1 / said["jumps_d"])
    level = baseline + np.cumsum(steps, axis=0) - share * gain * baseline + _relapse(said, plan, days, dice, many)
    truth = np.clip(level, scale.low, scale.high)
    score_days = np.array([*plan["score_days"], *range(plan["end_day"] + WEEK_D, plan["weekly_until"] + 1, WEEK_D)])
    scores = _scores(said, plan, scale, level[(score_days - days[0]).astype(np.intp)], error, score_days, dice)
    return Cohort(
        id=wanted["id"],
        says=wanted["says"],
        scale=scale,
        days=days,
        truth=truth,
        score_days=score_days.astype(float),
        scores=scores,
        dosed=dosed,
    )


def _around(dice: np.random.Generator, mean_sd: Sequence[float], many: int) -> Floats:
    mean, sd = mean_sd
    return dice.normal(mean, sd, many)


def _doses(plan: Mapping[str, Any], days: Floats, maintained: Bools) -> Bools:
    series = np.isin(days, plan["dose_days"])
    later = (days > plan["end_day"]) & ((days - plan["dose_days"][-1]) % plan["maintenance_d"] == 0)
    both: Bools = series[:, None] | (later[:, None] & maintained)
    return both


def _share(days: Floats, dosed: Bools, pace: float, loss_d: Floats) -> Floats:
    """The part of the gain in force at the start of each day, before a dose of that day."""
    share, now = np.empty(dosed.shape), np.zeros(dosed.shape[1])
    for t in range(len(days)):
        share[t] = now
        now = (now + dosed[t] * -np.expm1(-1 / pace) * (1 - now)) * np.exp(-1 / loss_d)
    return share


def _slide(
    said: Mapping[str, Any], plan: Mapping[str, Any], days: Floats, dice: np.random.Generator, many: int
) -> Floats:
    """A straight rise of the share over the series, a plateau of random length, a straight fall."""
    start = plan["end_day"] + dice.exponential(said["plateau_d"], many)
    rise = np.clip(days / plan["end_day"], 0, 1)[:, None]
    fall = np.clip((days[:, None] - start) / said["slide_d"], 0, 1)
    return np.asarray(rise * (1 - fall))


def _relapse(
    said: Mapping[str, Any], plan: Mapping[str, Any], days: Floats, dice: np.random.Generator, many: int
) -> Floats:
    """From one day after the series to the next, everybody worse for good by so many points."""
    least, most = said["relapse_points"]
    day = dice.uniform(plan["end_day"], plan["weekly_until"], many)
    return np.where(days[:, None] >= day, dice.uniform(least, most, many), 0.0)


def _scores(
    said: Mapping[str, Any],
    plan: Mapping[str, Any],
    scale: Scale,
    level: Floats,
    error: Floats,
    score_days: Floats,
    dice: np.random.Generator,
) -> Floats:
    """Whole numbers within the scale, some of them missing; after dropping out none."""
    free = said["tail"]
    bell = dice.standard_t(free, level.shape) / np.sqrt(free / (free - 2)) if free else dice.normal(size=level.shape)
    scores = np.clip(np.rint(level + error * bell), scale.low, scale.high)
    leaves = (
        (scores > said["dropout_above"])
        & (score_days > plan["end_day"])[:, None]
        & (dice.random(level.shape) < said["dropout"])
    )
    gone = np.cumsum(leaves, axis=0) > leaves  # from the score after the one at which they left
    lost = (dice.random(level.shape) < said["missing"]) & (score_days != 0)[:, None]
    return np.where(gone | lost, np.nan, scores)
