"""What must hold of every enzyme under every inhibitor and inducer: bounds, order, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.pharmacology.interaction.enzyme import Steps, course, follow
from adjunct.pharmacology.interaction.turnover import residual, tea_effect, time_course
from bundles import knowledge

rates = st.floats(0.005, 0.1)
peaks = st.floats(0.001, 20)
falls = st.floats(0.02, 5)
potencies = st.floats(0.01, 200)
half_lives = st.floats(0.5, 500)
MIDAZOLAM = {"id": "midazolam", "pathways": {"CYP3A4": 0.93, "UGT": 0.07}, "gut_availability": 0.57}


def left(kdeg: float, peak: float, fall: float) -> np.ndarray:
    found = course(
        np.concatenate([[0.0], np.geomspace(0.02, 4000, 60)]),
        lambda t: np.full((1, len(t)), kdeg),
        lambda t: kdeg + peak * np.exp(-fall * t)[None, :],
        np.ones(1),
    )
    return found.at_edges[0]


@given(rates, peaks, falls)
@settings(max_examples=40)
def test_a_destroyed_enzyme_stays_between_none_and_all_and_comes_back(kdeg: float, peak: float, fall: float) -> None:
    activity = left(kdeg, peak, fall)
    assert (activity > 0).all()
    assert (activity <= 1 + 1e-9).all()
    assert activity[-1] == pytest.approx(1, abs=1e-6)


@given(rates, peaks, falls, st.floats(1.05, 5))
@settings(max_examples=40)
def test_more_inhibitor_leaves_less_enzyme_at_every_moment(kdeg: float, peak: float, fall: float, more: float) -> None:
    edges = Steps.of(np.concatenate([[0.0], np.geomspace(0.02, 200, 80)]))
    loss = np.array([[peak], [peak * more]]) * np.exp(-fall * edges.times_h) + kdeg
    found = follow(edges, np.full_like(loss, kdeg), loss, np.ones(2))
    assert (found.at_edges[1] <= found.at_edges[0] + 1e-12).all()


def entry(mechanism: str, potency: float, half_life: float) -> dict:
    action = "induces" if mechanism == "induction" else "inhibits"
    effect = {"enzyme": "CYP3A4", "action": action, "mechanism": mechanism, "strength": "strong", "potency": potency}
    return {"id": "x", "half_life_h": [half_life, half_life], "effect": [effect]}


mechanisms = st.sampled_from(["reversible", "time-dependent", "induction"])


@given(mechanisms, potencies, half_lives, st.floats(0, 2000), st.floats(0.5, 500))
@settings(max_examples=60)
def test_what_is_left_only_falls(mechanism: str, potency: float, half_life: float, after: float, later: float) -> None:
    drug = entry(mechanism, potency, half_life)
    first, second = (residual(knowledge(), drug, "CYP3A4", hours) for hours in (after, after + later))
    assert 0 <= second <= first + 1e-6
    assert first <= 1
    assert residual(knowledge(), drug, "CYP3A4", 0.0) == 1


@given(mechanisms, potencies, half_lives, st.floats(1.1, 5))
@settings(max_examples=40)
def test_an_effect_comes_before_it_is_full_and_lasts_longer_the_stronger(
    mechanism: str, potency: float, half_life: float, more: float
) -> None:
    weaker, stronger = (
        time_course(knowledge(), entry(mechanism, p, half_life), "CYP3A4") for p in (potency, potency * more)
    )
    for found in (weaker, stronger):
        assert 0 < found.onset_h < found.peak_h
        assert np.isfinite([found.onset_h, found.peak_h, found.offset_h]).all()
    assert stronger.offset_h >= weaker.offset_h - 1e-6


@given(st.floats(0.5, 39), st.floats(1.05, 3), st.floats(-2, 60))
@settings(max_examples=12)
def test_a_larger_tea_up_to_the_studied_one_does_more(dose: float, more: float, lag: float) -> None:
    smaller = tea_effect(knowledge(), victim=MIDAZOLAM, dose_mg=dose / more, lag_h=lag)
    larger = tea_effect(knowledge(), victim=MIDAZOLAM, dose_mg=dose, lag_h=lag)
    for part in ("gut", "hepatic", "cmax_ratio"):
        assert getattr(larger, part) >= getattr(smaller, part) - 1e-6
    assert all(larger.offsets[h] >= smaller.offsets[h] - 1e-6 for h in larger.offsets)


@given(st.floats(0.05, 1), st.floats(0.01, 1))
@settings(max_examples=12)
def test_a_tea_never_lowers_exposure_and_the_gut_never_gives_more_than_all(fg: float, share: float) -> None:
    pathways = {"CYP3A4": share, "CYP2D6": 1 - share}
    victim = {"id": "v", "pathways": pathways, "gut_availability": fg, "hepatic_extraction": 0.3}
    found = tea_effect(knowledge(), victim=victim)
    assert found.gut >= 1 - 1e-6
    assert found.hepatic >= 1 - 1e-6
    assert found.gut <= 1 / fg + 1e-6
