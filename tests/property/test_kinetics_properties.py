"""What holds for every linear system: linear, superposed, nothing lost, no clock of its own, never below zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.pharmacology.kinetics import Flow, Input, System

RATES = st.one_of(
    st.sampled_from([0.0, 0.3, 0.3 * (1 + 1e-12), 1.0, 2.0]),
    st.floats(-4, 4).map(lambda exponent: 10.0**exponent),
)
TIMES = np.array([0.0, 1e-4, 0.1, 0.75, 2.0, 7.0, 30.0])
Case = tuple[System, list[Input], list[str]]


@st.composite
def cases(draw: st.DrawFn, sinks: bool = False) -> Case:
    """A depot, a hub with spokes (some lose), a metabolite with a spoke, and inputs. `sinks` keeps what goes."""
    spokes = [f"p{i}" for i in range(draw(st.integers(0, 3)))]
    out = "out" if sinks else None
    flows = [Flow("depot", draw(st.sampled_from(["central", *spokes])), draw(RATES)), Flow("central", out, draw(RATES))]
    for spoke in spokes:
        flows += [Flow("central", spoke, draw(RATES)), Flow(spoke, "central", draw(RATES))]
        if draw(st.booleans()):
            flows.append(Flow(spoke, draw(st.sampled_from([out, "m"])), draw(RATES)))
    flows += [Flow("central", "m", draw(RATES)), Flow("m", out, draw(RATES))]
    flows += [Flow("m", "mp", draw(RATES)), Flow("mp", "m", draw(RATES))]
    names = ["depot", "central", *spokes, "m", "mp", *(["out"] if sinks else [])]
    inputs = [
        Input(
            draw(st.sampled_from(["depot", "central", *spokes])),
            draw(st.sampled_from([0.0, 0.1, 1.25])),
            draw(st.floats(0.1, 100)),
            draw(st.sampled_from([0.0, 0.25, 2.0])),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    return System.of(names, flows), inputs, names


def table(system: System, inputs: list[Input], times: np.ndarray, names: list[str]) -> np.ndarray:
    found = system.amounts(inputs, times, names)
    return np.array([found[name][0] for name in names])


def close(value: np.ndarray, rel: float = 1e-12) -> object:
    return pytest.approx(value, rel=rel, abs=1e-290)


@settings(max_examples=60, deadline=None)
@given(cases(sinks=True))
def test_what_was_given_is_somewhere(case: Case) -> None:
    system, inputs, names = case
    held = table(system, inputs, TIMES, names)
    given_by = [
        sum(
            i.amount_mg * (min((t - i.start_h) / i.duration_h, 1) if i.duration_h else 1)
            for i in inputs
            if t >= i.start_h
        )
        for t in TIMES
    ]
    assert held.sum(axis=0) == close(np.array(given_by))
    assert (held >= 0).all()
    assert np.isfinite(held).all()


@settings(max_examples=40, deadline=None)
@given(cases(), st.floats(1e-3, 1e3))
def test_it_is_linear_and_doses_add_up(case: Case, factor: float) -> None:
    system, inputs, names = case
    whole = table(system, inputs, TIMES, names)
    more = [replace(i, amount_mg=i.amount_mg * factor) for i in inputs]
    assert table(system, more, TIMES, names) == close(whole * factor)
    assert sum(table(system, [i], TIMES, names) for i in inputs) == close(whole)


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([0.5, 4.0, 64.0]))
def test_it_has_no_clock_of_its_own(case: Case, shift: float) -> None:
    system, inputs, names = case
    later = [replace(i, start_h=i.start_h + shift) for i in inputs]
    # the sum of two times is rounded; what the fastest rate makes of that is not an error
    fastest = max(float(rates.max()) for rates in system.graph.leaving.values())
    rel = 1e-12 + 4 * fastest * shift * np.finfo(float).eps
    assert table(system, later, TIMES + shift, names)[:, 2:] == close(table(system, inputs, TIMES, names)[:, 2:], rel)


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([2.0, 3.5]))
def test_the_state_is_all_the_future_needs(case: Case, until: float) -> None:
    system, inputs, names = case
    inputs = [i for i in inputs if i.end_h <= until] or [replace(inputs[0], duration_h=0.0)]
    state = table(system, inputs, np.array([until]), names)[:, 0]
    boluses = [Input(name, 0.0, amount) for name, amount in zip(names, state, strict=True)]
    assert table(system, boluses, TIMES[1:], names) == close(table(system, inputs, until + TIMES[1:], names), 1e-11)


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([1 / 60, 0.25]), st.integers(0, 90), st.integers(1, 90))
def test_a_grid_is_the_amounts_and_any_part_of_it_is_the_same(case: Case, step: float, start: int, points: int) -> None:
    system, inputs, names = case
    for name in names[-2:]:
        whole = system.grid(inputs, step, 200, name)
        assert whole == close(system.amounts(inputs, np.arange(200) * step, [name])[name])
        assert (system.grid(inputs, step, points, name, start=start) == whole[:, start : start + points]).all()


@settings(max_examples=40, deadline=None)
@given(cases())
def test_no_amount_is_above_the_peak_and_areas_grow(case: Case) -> None:
    system, inputs, _ = case
    for name in ("central", "m"):
        most, when = system.peak(inputs, name, 30.0)
        found = system.amounts(inputs, np.append(TIMES, when), [name])[name][0]
        assert (found <= most * (1 + 1e-12)).all()
        assert found[-1] == close(most[0], 1e-9)
        areas = [system.auc(inputs, name, t)[0] for t in TIMES]
        assert np.diff(areas).min() >= -1e-12 * areas[-1]
        assert areas[-1] <= most[0] * 30.0 * (1 + 1e-12)
