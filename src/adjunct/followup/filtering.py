"""How bad it truly is, from scores with error at irregular times: a filter, a smoother and bands, many people at once.

A person's true severity is `level - share * gain`. The level wanders (a random walk); the gain is what endless doses
would take away; `share` is how much of it is in force: each dose fills a fixed part of what is missing, between doses
it fades. After k doses without fading the share is 1 - exp(-k / pace): the expected course of the published series.
Since the share follows from the doses alone, first level, gain (and an offset for each instrument beside the primary
one) are regression coefficients, and a single state is left to filter where the effect as a state would make three.

How fast the level wanders, how large the error is and how fast the effect fades are known for nobody: a grid of them
is filtered side by side, one column each, and weighed by how well it foretold the scores. Arrays are (steps, columns,
people); one person is a cohort of one. Padding is a step without a value and without a gap: it changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from adjunct.base import Bools, Floats

Ints = npt.NDArray[np.intp]

# The rational approximation 26.2.17 of Abramowitz and Stegun to the normal tail: absolute error below 7.5e-8.
TAIL_SCALE = 0.2316419
TAIL = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
HALF = 0.5
TOLERANCE = 1e-4  # of the least standard deviation of a mixture: how near its quantile is found
FIXED = ("first level", "gain")  # what does not change, besides an offset for each further instrument
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
    """What was known at each step after its score, and where everybody stands; `before()`: what was known before it."""

    after: Normals
    score_variance: Floats  # of the coming score at each step, error included
    share: Floats  # of the gain in force at each step, before its dose
    drift: Floats  # (columns, people): variance a day
    loss_d: Floats
    fixed: Floats  # (steps, fixed, columns, people): first level, gain, offsets as known after the score
    doubt: Floats  # (steps, fixed, fixed, columns, people): their covariance
    level: Floats  # mean and variance of the level after the score, and its covariance with the gain
    level_variance: Floats
    level_and_gain: Floats
    _wander: Floats  # (1 + steps, 1 + fixed, columns, people): the wandering in the scores and in each regressor
    _wander_variance: Floats  # before and after the score: (2, steps, columns, people)
    _first: Normals  # weight, mean of what does not change and its covariance before any score
    _surprise: Floats  # of the scores and of each regressor
    _pull: Floats  # Kalman gain of the wandering
    _precision: Floats  # 1 / variance of the surprise, 0 without a score

    def ahead(self, days: Floats | float, step: slice = EVERY) -> Normals:
        """The true severity some days after each step of a slice, if no dose is given from that step on."""
        return self.at_share(self.share[step] * np.exp(-np.asarray(days) / self.loss_d), days, step)

    def at_share(self, share: Floats, days: Floats | float, step: slice = EVERY) -> Normals:
        """The true severity some days after each step, with a given share of the gain in force then."""
        mean = self.level[step] - share * self.fixed[step, 1]
        variance = self.level_variance[step] - 2 * share * self.level_and_gain[step]
        variance = variance + share**2 * self.doubt[step, 1, 1] + self.drift * days
        return Normals(weight=np.broadcast_to(self.after.weight[step], mean.shape), mean=mean, variance=variance)

    def now_of(self, who: Ints, days: Floats) -> Normals:
        """The true severity of some people some days after the last step, if no dose is given."""
        share = self.share[-1:][..., who] * np.exp(-days / self.loss_d[:, who])
        mean = self.level[-1][:, who] - share * self.fixed[-1, 1][:, who]
        variance = self.level_variance[-1][:, who] - 2 * share * self.level_and_gain[-1][:, who]
        variance = variance + share**2 * self.doubt[-1, 1, 1][:, who] + self.drift[:, who] * days
        return Normals(weight=np.broadcast_to(self.after.weight[-1][:, who], mean.shape), mean=mean, variance=variance)

    def before(self) -> Normals:
        """The true severity at each step as known before its score."""
        fixed, doubt, weight = (
            np.concatenate((first, later[:-1]))
            for first, later in (
                (self._first.mean, self.fixed),
                (self._first.variance, self.doubt),
                (self._first.weight, self.after.weight),
            )
        )
        mean, variance = _severity(self._wander[:-1], self._wander_variance[0], self.share, fixed, doubt)
        return Normals(weight=weight, mean=mean, variance=variance)


def filtered(steps: Steps, grid: Grid, prior: Prior) -> Filtered:
    """Go through the steps once, all columns and people together.

    First level, gain and offsets do not change: they are regression coefficients. Only the wandering around the first
    level is filtered, a single state, in the scores and in each regressor alike; the regression on what surprised it
    is Bayesian and runs along (the augmented filter of Rosenberg and de Jong).
    """
    count, people = steps.gap_d.shape
    columns, extra = len(grid.weight), len(steps.beside)
    drift = (grid.drift[:, None] * prior.unit_sd) ** 2
    loss_d = np.broadcast_to(grid.loss_d[:, None], (columns, people))
    seen = ~np.isnan(steps.value)
    error = (grid.noise[:, None] * steps.error_sd[:, None, :]) ** 2
    share = _shares(steps, loss_d, prior.pace)
    sent = np.empty((count, extra + len(FIXED) + 1, columns, people))
    sent[:, 0] = np.where(seen, steps.value, 0.0)[:, None, :]
    sent[:, 1], sent[:, 2] = 1.0, -share
    sent[:, 2 + 1 :] = steps.beside.swapaxes(0, 1)[:, :, None, :]

    step_variance = drift * steps.gap_d[:, None, :]
    surprise, wander = sent, np.zeros((1 + count, *sent.shape[1:]))
    variance, pull = np.empty((2, *share.shape)), np.empty(share.shape)
    p = np.zeros(share.shape[1:])
    for t in range(count):
        p += step_variance[t]
        variance[0, t] = p
        w, v, k = wander[t], surprise[t], pull[t]
        v -= w
        np.divide(p, p + error[t], out=k)
        k *= seen[t]
        np.multiply(k, v, out=wander[t + 1])
        wander[t + 1] += w
        p -= k * p
        variance[1, t] = p
    total = variance[0] + error
    precision = seen[:, None, :] / total

    first, doubt, fixed = _regressed(prior, surprise, precision)
    vx = surprise[:, 1:]
    score_variance = total + _quadratic(vx, np.concatenate((first.variance, doubt[:-1])))
    off = surprise[:, 0] - _dot(vx, np.concatenate((first.mean, fixed[:-1])))
    likelihood = (np.log(score_variance) + off**2 / score_variance) * (-HALF * seen[:, None, :])
    weight = _normalised(np.log(grid.weight)[:, None] + _running(likelihood))
    start = np.broadcast_to(_normalised(np.log(grid.weight)[None, :, None]), first.mean[:, 0].shape)
    level, level_variance = _severity(wander[1:], variance[1], np.zeros(()), fixed, doubt)
    level_and_gain = doubt[:, 0, 1] - _dot(wander[1:, 1:], doubt[:, 1])
    spread = level_variance - 2 * share * level_and_gain + share**2 * doubt[:, 1, 1]
    return Filtered(
        after=Normals(weight=weight, mean=level - share * fixed[:, 1], variance=spread),
        level=level,
        level_variance=level_variance,
        level_and_gain=level_and_gain,
        score_variance=score_variance,
        share=share,
        drift=drift,
        loss_d=loss_d,
        fixed=fixed,
        doubt=doubt,
        _wander=wander,
        _wander_variance=variance,
        _first=Normals(weight=start, mean=first.mean, variance=first.variance),
        _surprise=surprise,
        _pull=pull,
        _precision=precision,
    )


def smoothed(found: Filtered) -> Normals:
    """The true severity at each step in the light of all scores, earlier and later ones (de Jong's recursion)."""
    kept = 1 - found._pull
    kept_twice, moved = kept**2, found._surprise * found._precision[:, None]
    r, n = np.zeros(moved.shape[1:]), np.zeros(kept.shape[1:])
    ns = np.empty_like(kept)
    for t in range(len(kept) - 1, -1, -1):
        r *= kept[t]
        r += moved[t]
        n *= kept_twice[t]
        n += found._precision[t]
        moved[t], ns[t] = r, n
    before = found._wander_variance[0]
    wander = found._wander[:-1] + before[:, None] * moved
    mean, variance = _severity(wander, before - before**2 * ns, found.share, found.fixed[-1:], found.doubt[-1:])
    weight = np.broadcast_to(found.after.weight[-1], mean.shape)
    return Normals(weight=weight, mean=mean, variance=np.maximum(variance, 0.0))


def _shares(steps: Steps, loss_d: Floats, pace: Floats) -> Floats:
    """The part of the gain in force at each step, before its dose: (steps, columns, people)."""
    fade = np.exp(-steps.gap_d[:, None, :] / loss_d)
    fill = steps.dosed * -np.expm1(-1 / pace)
    shares, share = np.zeros(fade.shape), np.zeros(loss_d.shape)
    given: list[bool] = np.any(steps.dosed, axis=1).tolist()
    for t in range(len(fade)):
        share = share * fade[t]
        shares[t] = share
        if given[t]:
            share = share + fill[t] * (1 - share)
    return shares


def _severity(wander: Floats, variance: Floats, share: Floats, fixed: Floats, doubt: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of first level + wandering - share * gain, given the wandering in scores and regressors."""
    regressors = wander[:, 1:]
    shape = np.broadcast_shapes(regressors[:, 0].shape, share.shape)
    u = np.empty((shape[0], regressors.shape[1], *shape[1:]))
    u[:, 0] = 1 - regressors[:, 0]
    u[:, 1] = -share - regressors[:, 1]
    u[:, 2:] = -regressors[:, 2:]
    return wander[:, 0] + _dot(u, fixed), variance + _quadratic(u, doubt)


def _dot(u: Floats, fixed: Floats) -> Floats:
    total: Floats = u[:, 0] * fixed[:, 0]
    for i in range(1, u.shape[1]):
        total = total + u[:, i] * fixed[:, i]
    return total


def _quadratic(u: Floats, matrix: Floats) -> Floats:
    """u' M u for a symmetric matrix at each step, column and person."""
    size = u.shape[1]
    total: Floats = u[:, 0] ** 2 * matrix[:, 0, 0]
    for i in range(size):
        if i:
            total = total + u[:, i] ** 2 * matrix[:, i, i]
        for j in range(i):
            total = total + 2 * u[:, i] * u[:, j] * matrix[:, i, j]
    return total


def _regressed(prior: Prior, surprise: Floats, precision: Floats) -> tuple[Normals, Floats, Floats]:
    """What is held of first level, gain and offsets: before any score; covariance and mean after each one."""
    count, size, columns, people = surprise.shape
    mean, covariance = _start(prior, size - 1)
    held = _inverse(covariance[None, :, :, None])[0, :, :, 0]
    vx = surprise[:, 1:]
    weighed = vx * precision[:, None]
    information = np.empty((count, size - 1, size - 1, columns, people))
    toward = weighed * surprise[:, :1]
    toward[0] += (held * mean[:, None]).sum(axis=0)[:, None]
    _running(toward)
    for i in range(size - 1):
        for j in range(i + 1):
            shared = weighed[:, i] * vx[:, j]
            shared[0] += held[i, j]
            information[:, i, j] = information[:, j, i] = _running(shared)
    doubt = _inverse(information)
    fixed = np.empty_like(toward)
    for i in range(size - 1):
        fixed[:, i] = _dot(doubt[:, i], toward)
    wide = (1, size - 1, columns, people)
    first = Normals(
        weight=np.empty(0),
        mean=np.broadcast_to(mean[None, :, None], wide),
        variance=np.broadcast_to(covariance[None, :, :, None], (1, size - 1, *wide[1:])),
    )
    return first, doubt, fixed


def _running(rows: Floats) -> Floats:
    """Running sums over the steps, in place: numpy's own walk the columns one by one, which is slow for many people."""
    if rows.shape[-1] == 1:
        return np.cumsum(rows, axis=0, out=rows)
    for t in range(1, len(rows)):
        rows[t] += rows[t - 1]
    return rows


def _inverse(matrix: Floats) -> Floats:
    """The inverse over axes 1 and 2; written out for two rows, which is nearly always all."""
    if matrix.shape[1] > 2:
        inside = np.linalg.inv(np.moveaxis(matrix, (1, 2), (-2, -1)))
        return np.asarray(np.moveaxis(inside, (-2, -1), (1, 2)), dtype=np.float64)
    out = np.empty_like(matrix)
    size = matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] ** 2
    out[:, 0, 0], out[:, 1, 1] = matrix[:, 1, 1] / size, matrix[:, 0, 0] / size
    out[:, 0, 1] = out[:, 1, 0] = -matrix[:, 0, 1] / size
    return out


def _start(prior: Prior, size: int) -> tuple[Floats, Floats]:
    """Mean and covariance of first level, gain and offsets before any score: (size, people), (size, size, people)."""
    people = len(prior.level)
    mean, covariance = np.zeros((size, people)), np.zeros((size, size, people))
    mean[0], mean[1] = prior.level, prior.gain_share * prior.level
    covariance[0, 0] = prior.level_sd**2
    covariance[0, 1] = covariance[1, 0] = prior.gain_share * prior.level_sd**2
    covariance[1, 1] = (prior.gain_share * prior.level_sd) ** 2 + prior.gain_sd**2
    for i in range(2, size):
        covariance[i, i] = prior.offset_sd**2
    return mean, covariance


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
    near = TOLERANCE * sd.min(axis=1)
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
            done = bool((np.abs(new - x) <= near).all())
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
