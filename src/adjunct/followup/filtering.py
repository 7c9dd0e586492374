"""How bad it truly is, from scores with error at irregular times: a filter, a smoother and bands, many people at once.

A person's true severity is `level - share * gain`. The level wanders (a random walk); the gain is what endless doses
would take away; `share` is how much of it is in force: each dose fills a fixed part of what is missing, between doses
it fades. After k doses without fading the share is 1 - exp(-k / pace): the expected course of the published series.
Since the share follows from the doses alone, only level and gain are unknown (and an offset for each instrument beside
the primary one), so the Kalman filter has two states where a state for the effect itself would make three.

How fast the level wanders, how large the error is and how fast the effect fades are known for nobody: a grid of them
is filtered side by side, one column each, and weighed by how well it foretold the scores. Arrays are (steps, columns,
people); one person is a cohort of one. Padding is a step without a value and without a gap: it changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from adjunct.base import Bools, Floats

# The rational approximation 26.2.17 of Abramowitz and Stegun to the normal tail: absolute error below 7.5e-8.
TAIL_SCALE = 0.2316419
TAIL = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
HALF = 0.5
TOLERANCE = 1e-6  # of a standard deviation: how near a quantile is found
VECTORS, SCALARS = 3, 6  # arrays of each shape that a pass fills
ROUNDS = 60  # halvings of the bracket at worst; Newton's step needs about four
EVERY = slice(None)
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Settings that nobody knows, one column each: drift (points of SD per root day), error (times), fading (days)."""

    drift: Floats
    noise: Floats
    loss_d: Floats
    weight: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steps:
    """What happened to a block of people, in time order. Values in points of the primary scale, higher is worse."""

    gap_d: Floats  # (steps, people): days since the step before; 0 at the first
    value: Floats  # NaN: nothing was measured at this step
    error_sd: Floats  # of the value; 1 where there is none
    dosed: Bools  # a dose was given right after the measurement of this step
    beside: Bools  # (instruments beside the primary, steps, people): which of them measured


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prior:
    """What is held before the first score, one value a person, in points of the primary scale."""

    level: Floats
    level_sd: Floats
    gain_share: Floats  # the expected gain is this part of the level, whatever that turns out to be
    gain_sd: Floats
    pace: Floats  # doses until all but 1/e of the gain is there
    unit_sd: Floats  # points that one SD of the scale is worth: scales the drift
    offset_sd: Floats  # of an instrument beside the primary one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Normals:
    """Normal distributions of the true severity, one a column, with the weight of the column: a mixture."""

    weight: Floats
    mean: Floats
    variance: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filtered:
    """What was known at each step: before its score (`before`) and after it (`after`), and where everybody stands."""

    before: Normals
    after: Normals
    score_variance: Floats  # of the coming score at each step, error included
    share: Floats  # of the gain in force at each step, before its dose
    level_and_gain: Floats  # (steps, 2, columns, people) after the score
    spread: Floats  # (steps, 3, columns, people): variance of the level, covariance, variance of the gain
    drift: Floats  # (columns, people): variance a day
    loss_d: Floats
    _link: Floats  # (steps, states, columns, people): covariance of severity and state before the score
    _pull: Floats  # Kalman gain
    _design: Floats  # how the score hangs on the state
    _precision: Floats  # 1 / variance of the score, 0 without a score
    _surprise: Floats  # score less its prediction

    def ahead(self, days: Floats | float, step: slice = EVERY) -> Normals:
        """The true severity some days after each step of a slice, if no dose is given from that step on."""
        return self.at_share(self.share[step] * np.exp(-np.asarray(days) / self.loss_d), days, step)

    def at_share(self, share: Floats, days: Floats | float, step: slice = EVERY) -> Normals:
        """The true severity some days after each step, with a given share of the gain in force then."""
        x, p = self.level_and_gain[step], self.spread[step]
        mean = x[:, 0] - share * x[:, 1]
        variance = p[:, 0] - 2 * share * p[:, 1] + share**2 * p[:, 2] + self.drift * days
        return Normals(weight=np.broadcast_to(self.after.weight[step], mean.shape), mean=mean, variance=variance)


def filtered(steps: Steps, grid: Grid, prior: Prior) -> Filtered:
    """Go through the steps once, all columns and people together."""
    count, people = steps.gap_d.shape
    columns, states = len(grid.weight), 2 + len(steps.beside)
    drift = (grid.drift[:, None] * prior.unit_sd) ** 2
    loss_d = np.broadcast_to(grid.loss_d[:, None], (columns, people))
    seen = ~np.isnan(steps.value)
    value = np.where(seen, steps.value, 0.0)
    error = (grid.noise[:, None] * steps.error_sd[:, None, :]) ** 2
    fade = np.exp(-steps.gap_d[:, None, :] / loss_d)
    wander = drift * steps.gap_d[:, None, :]
    fill = steps.dosed * -np.expm1(-1 / prior.pace)
    x, p = _start(prior, states, columns, people)

    shape = (count, columns, people)
    link, pull, design = (np.empty((count, states, columns, people)) for _ in range(VECTORS))
    mean, variance, total, precision, surprise, shares = (np.empty(shape) for _ in range(SCALARS))
    left, spread = np.empty((count, 2, *shape[1:])), np.empty((count, VECTORS, *shape[1:]))
    share = np.zeros((columns, people))
    for t in range(count):
        share = share * fade[t]
        p[0, 0] += wander[t]
        shares[t] = share
        h = design[t]
        h[0], h[1], h[2:] = 1.0, -share, steps.beside[:, t, None, :]
        lk = p[0] - share * p[1]
        mean[t] = x[0] - share * x[1]
        variance[t] = lk[0] - share * lk[1]
        toward, predicted = lk, mean[t]
        if states > 2:
            toward = lk + (p[2:] * h[2:, None]).sum(0)
            predicted = predicted + (h[2:] * x[2:]).sum(0)
        s = (h * toward).sum(0) + error[t]
        precision[t] = seen[t] / s
        surprise[t] = seen[t] * (value[t] - predicted)
        k = toward * precision[t]
        x += k * surprise[t]
        p -= k[:, None] * toward
        link[t], pull[t], total[t], left[t] = lk, k, s, x[:2]
        spread[t, 0], spread[t, 1], spread[t, 2] = p[0, 0], p[0, 1], p[1, 1]
        share = share + fill[t] * (1 - share)
    likelihood = -HALF * (np.log(total) * seen[:, None, :] + surprise**2 * precision)
    logs = np.log(grid.weight)[:, None] + np.cumsum(likelihood, axis=0)
    weight = _normalised(logs)
    first = np.broadcast_to(_normalised(np.log(grid.weight)[None, :, None]), (1, columns, people))
    own = pull[:, 0] - shares * pull[:, 1]
    shared = total - error if states == 2 else (link * design).sum(1)
    return Filtered(
        before=Normals(weight=np.concatenate((first, weight[:-1])), mean=mean, variance=variance),
        after=Normals(weight=weight, mean=mean + own * surprise, variance=variance - own * shared),
        score_variance=total,
        share=shares,
        level_and_gain=left,
        spread=spread,
        drift=drift,
        loss_d=loss_d,
        _link=link,
        _pull=pull,
        _design=design,
        _precision=precision,
        _surprise=surprise,
    )


def smoothed(found: Filtered) -> Normals:
    """The true severity at each step in the light of all scores, earlier and later ones (de Jong's recursion)."""
    count, states, columns, people = found._link.shape
    r = np.zeros((states, columns, people))
    n = np.zeros((states, states, columns, people))
    rs, ns = np.empty((count, *r.shape)), np.empty((count, *n.shape))
    for t in range(count - 1, -1, -1):
        h, k, precision = found._design[t], found._pull[t], found._precision[t]
        w = (n * k).sum(1)
        r += h * (found._surprise[t] * precision - (k * r).sum(0))
        z = w - h * (HALF * ((k * w).sum(0) + precision))
        hz = h[:, None] * z
        n -= hz + hz.swapaxes(0, 1)
        rs[t], ns[t] = r, n
    link = found._link
    mean = found.before.mean + (link * rs).sum(1)
    variance = found.before.variance - np.einsum("ti...,tij...,tj...->t...", link, ns, link)
    weight = np.broadcast_to(found.after.weight[-1], mean.shape)
    return Normals(weight=weight, mean=mean, variance=np.maximum(variance, 0.0))


def _start(prior: Prior, states: int, columns: int, people: int) -> tuple[Floats, Floats]:
    x = np.zeros((states, columns, people))
    p = np.zeros((states, states, columns, people))
    x[0], x[1] = prior.level, prior.gain_share * prior.level
    p[0, 0] = prior.level_sd**2
    p[0, 1] = p[1, 0] = prior.gain_share * prior.level_sd**2
    p[1, 1] = (prior.gain_share * prior.level_sd) ** 2 + prior.gain_sd**2
    for i in range(2, states):
        p[i, i] = prior.offset_sd**2
    return x, p


def _normalised(logs: Floats) -> Floats:
    """Weights that add up to one over the columns (axis 1)."""
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    normal: Floats = raised / raised.sum(axis=1, keepdims=True)
    return normal


# --- mixtures: the columns are axis 1 ---------------------------------------------------------------------------------


def mean_of(found: Normals) -> Floats:
    """The mean of each mixture: (steps, people)."""
    total: Floats = (found.weight * found.mean).sum(axis=1)
    return total


def above(found: Normals, limit: Floats) -> Floats:
    """The chance that the true severity lies above a limit; `limit` broadcasts against (steps, people)."""
    z = (np.asarray(limit)[:, None] - found.mean) / np.sqrt(found.variance)
    chance: Floats = 1 - (found.weight * normal_cdf(z)).sum(axis=1)
    return chance


def quantiles(found: Normals, levels: tuple[float, ...]) -> Floats:
    """Quantiles of the mixtures themselves, (levels, steps, people): the columns disagree, and the bands say so.

    A quantile of a mixture lies between the least and the greatest of its parts; there Newton's step, or a halving.
    """
    sd = np.sqrt(found.variance)
    centre = mean_of(found)
    spread = np.sqrt(np.maximum((found.weight * (found.variance + found.mean**2)).sum(axis=1) - centre**2, 0.0))
    out = np.empty((len(levels), *centre.shape))
    for i, level in enumerate(levels):
        z = NormalDist().inv_cdf(level)
        parts = found.mean + z * sd
        low, high = parts.min(axis=1), parts.max(axis=1)
        x = np.clip(centre + z * spread, low, high)
        for _ in range(ROUNDS):
            u = (x[:, None] - found.mean) / sd
            bell = np.exp(-HALF * u * u)
            miss = (found.weight * normal_cdf(u, bell)).sum(axis=1) - level
            slope = (found.weight * bell / sd).sum(axis=1) / _ROOT_TWO_PI
            low, high = np.where(miss < 0, x, low), np.where(miss < 0, high, x)
            step = x - np.divide(miss, slope, out=np.full_like(x, np.inf), where=slope > 0)
            new = np.where((step >= low) & (step <= high), step, (low + high) / 2)
            done = bool((np.abs(new - x) <= TOLERANCE * spread).all())
            x = new
            if done:
                break
        out[i] = x
    return out


def normal_cdf(z: Floats, bell: Floats | None = None) -> Floats:
    """The normal distribution function; `bell` is exp(-z*z/2) where the caller has it already.

    >>> [round(float(normal_cdf(np.array(z))), 6) for z in (-2.0, 0.0, 1.0)]
    [0.02275, 0.5, 0.841345]
    """
    t = 1 / (1 + TAIL_SCALE * np.abs(z))
    series = np.full_like(t, TAIL[-1])
    for c in TAIL[-2::-1]:
        series *= t
        series += c
    series *= t
    upper = series * (np.exp(-HALF * z * z) if bell is None else bell) / _ROOT_TWO_PI
    return np.where(z > 0, 1 - upper, upper)
