"""The filter against dense Gaussian algebra, and what must hold for any scores at all."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.followup.filtering import (
    Grid,
    Normals,
    Prior,
    Steps,
    above,
    filtered,
    normal_cdf,
    quantiles,
    smoothed,
)
from adjunct.followup.trajectory import trajectory
from adjunct.knowledge import Knowledge

KNOWLEDGE = Knowledge.load()
GRID = Grid(
    drift=np.array([0.04, 0.25, 0.12]),
    noise=np.array([1.0, 0.8, 1.6]),
    loss_d=np.array([14.0, 500.0, 45.0]),
    weight=np.array([0.2, 0.5, 0.3]),
)


def prior(people: int) -> Prior:
    one = np.ones(people)
    return Prior(
        level=15 * one,
        level_sd=11 * one,
        gain_share=0.45 * one,
        gain_sd=5 * one,
        pace=1.8 * one,
        unit_sd=5.5 * one,
        offset_sd=3 * one,
    )


@st.composite
def courses(draw, instruments: int = 1) -> Steps:
    count = draw(st.integers(1, 12))
    gaps = draw(st.lists(st.floats(0, 60), min_size=count, max_size=count))
    values = draw(st.lists(st.one_of(st.just(float("nan")), st.integers(0, 27)), min_size=count, max_size=count))
    dosed = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    which = draw(st.lists(st.integers(0, instruments), min_size=count, max_size=count))
    beside = np.array([[w == i + 1 for w in which] for i in range(instruments)], dtype=bool)
    return Steps(
        gap_d=np.array([0.0, *gaps[1:]])[:, None],
        value=np.array(values, dtype=float)[:, None],
        error_sd=np.full((count, 1), 2.2),
        dosed=np.array(dosed)[:, None],
        beside=beside[:, :, None],
    )


def dense(steps: Steps, column: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and variance of the severity at each step, and the log likelihood, from whole covariance matrices."""
    before, count = prior(1), len(steps.gap_d)
    share, shares = 0.0, []
    for t in range(count):
        share *= np.exp(-steps.gap_d[t, 0] / GRID.loss_d[column])
        shares.append(share)
        if steps.dosed[t, 0]:
            share += (1 - np.exp(-1 / before.pace[0])) * (1 - share)
    design = np.column_stack([np.ones(count), -np.array(shares)])
    g, level = before.gain_share[0], before.level_sd[0] ** 2
    start = np.array([[level, g * level], [g * level, g * g * level + before.gain_sd[0] ** 2]])
    times = np.cumsum(steps.gap_d[:, 0])
    wander = (GRID.drift[column] * before.unit_sd[0]) ** 2 * np.minimum.outer(times, times)
    severity = design @ start @ design.T + wander
    mean = design @ np.array([before.level[0], g * before.level[0]])
    offsets = sum(
        (np.outer(b[:, 0], b[:, 0]) * before.offset_sd[0] ** 2 for b in steps.beside), np.zeros((count, count))
    )
    scores = severity + offsets + np.diag((GRID.noise[column] * steps.error_sd[:, 0]) ** 2)
    seen = ~np.isnan(steps.value[:, 0])
    if not seen.any():
        return mean, np.diag(severity), 0.0
    inner, off = scores[np.ix_(seen, seen)], steps.value[seen, 0] - mean[seen]
    gain = np.linalg.solve(inner, severity[seen]).T
    _, size = np.linalg.slogdet(inner)
    likelihood = -0.5 * (size + off @ np.linalg.solve(inner, off))
    return mean + gain @ off, np.diag(severity - gain @ severity[seen]), likelihood


@given(courses(instruments=2))
def test_filter_and_smoother_are_dense_gaussian_algebra(steps):
    found = filtered(steps, GRID, prior(1))
    whole = smoothed(found)
    logs = []
    for column in range(3):
        mean, variance, likelihood = dense(steps, column)
        np.testing.assert_allclose(whole.mean[:, column, 0], mean, atol=1e-7)
        np.testing.assert_allclose(whole.variance[:, column, 0], variance, atol=1e-7)
        logs.append(likelihood)
    weight = GRID.weight * np.exp(np.array(logs) - max(logs))
    np.testing.assert_allclose(found.after.weight[-1, :, 0], weight / weight.sum(), atol=1e-8)


@given(courses(), st.integers(1, 12))
def test_what_was_known_then_is_the_smoother_of_what_came_till_then(steps, end):
    end = min(end, len(steps.gap_d))
    then = Steps(
        gap_d=steps.gap_d[:end],
        value=steps.value[:end],
        error_sd=steps.error_sd[:end],
        dosed=steps.dosed[:end],
        beside=steps.beside[:, :end],
    )
    known, whole = filtered(steps, GRID, prior(1)).after, smoothed(filtered(then, GRID, prior(1)))
    np.testing.assert_allclose(known.mean[end - 1], whole.mean[-1], atol=1e-8)
    np.testing.assert_allclose(known.variance[end - 1], whole.variance[-1], atol=1e-8)
    np.testing.assert_allclose(known.weight[end - 1], whole.weight[-1], atol=1e-10)


@given(courses(), st.floats(0, 400))
def test_a_forecast_is_a_step_without_a_score(steps, days):
    empty = Steps(
        gap_d=np.vstack([steps.gap_d, [[0.0]], [[days]]]),
        value=np.vstack([steps.value, [[np.nan]], [[np.nan]]]),
        error_sd=np.vstack([steps.error_sd, [[1.0]], [[1.0]]]),
        dosed=np.vstack([steps.dosed, [[False]], [[False]]]),
        beside=np.concatenate([steps.beside, np.zeros((1, 2, 1), dtype=bool)], axis=1),
    )
    found = filtered(empty, GRID, prior(1))
    ahead = found.ahead(days, slice(-2, -1))
    np.testing.assert_allclose(ahead.mean[0], found.after.mean[-1], atol=1e-8)
    np.testing.assert_allclose(ahead.variance[0], found.after.variance[-1], atol=1e-8)


@st.composite
def mixtures(draw) -> Normals:
    count = draw(st.integers(1, 6))
    weight = np.array(draw(st.lists(st.floats(0.01, 1), min_size=count, max_size=count)))
    mean = np.array(draw(st.lists(st.floats(-20, 40), min_size=count, max_size=count)))
    sd = np.array(draw(st.lists(st.floats(0.05, 10), min_size=count, max_size=count)))
    return Normals(
        weight=(weight / weight.sum())[None, :, None], mean=mean[None, :, None], variance=sd[None, :, None] ** 2
    )


@given(mixtures(), st.sampled_from([0.025, 0.25, 0.5, 0.75, 0.975]))
def test_a_quantile_of_a_mixture_leaves_its_share_below(mixture, level):
    found = quantiles(mixture, (level,))[0]
    assert above(mixture, found)[0, 0] == pytest.approx(1 - level, abs=5e-5)


@given(st.floats(-8, 8))
def test_the_normal_distribution_is_that_of_the_library(z):
    assert float(normal_cdf(np.array(z))) == pytest.approx(NormalDist().cdf(z), abs=1e-7)


@dataclass(frozen=True)
class At:
    at: int
    value: float


DAY = 86_400_000


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 27)), max_size=15, unique_by=lambda p: p[0]),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_any_course_gives_nested_bands_within_the_scale(points, doses):
    series = {"phq9": [At(d * DAY, v) for d, v in points]}
    found = trajectory(KNOWLEDGE, series, [d * DAY + 1 for d in doses], route="iv", primary="phq9", now=201 * DAY)
    for curve in (found.smoothed, found.forecast, found.coming_score):
        edges = np.array([curve.low95, curve.low50, curve.middle, curve.high50, curve.high95])
        assert np.isfinite(edges).all()
        assert (np.diff(edges, axis=0) >= -1e-6).all()
        assert edges.min() >= 0
        assert edges.max() <= 27
    for chance in found.chances:
        for value in (chance.relapse, chance.half_gain, chance.nonresponse):
            assert value is None or -1e-9 <= value <= 1 + 1e-9
