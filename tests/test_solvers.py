"""The curves of `simulate` against three solvers that know nothing of closed forms.

The compartments and flows of a model file become a matrix here; SciPy's matrix exponential, LSODA and DOP853 carry it
from event to event. Agreement is asked for relative to the peak of each curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from adjunct.base import Floats
from adjunct.knowledge import Knowledge
from adjunct.pharmacology.simulation import Exposure, simulate
from adjunct.pharmacology.simulation.body import values
from adjunct.pharmacology.simulation.models import Model, Person, model
from adjunct.pharmacology.simulation.regimen import Administration, Segment, infusion, paused

PEREZ = "PerezRuixo_2021_esketamine"
Step = Callable[[Floats, Floats, Floats, Floats], Floats]  # matrix, constant input, state, times -> states


@dataclass(frozen=True)
class Entered:
    """What one administration brings into one compartment."""

    into: int
    start_h: float
    amount_mg: float
    duration_h: float


@dataclass(frozen=True)
class Linear:
    """A model for one person, as dx/dt = matrix x + what enters; and concentrations read off x."""

    matrix: Floats
    entered: tuple[Entered, ...]
    read: dict[str, tuple[int, float]]  # analyte -> compartment, its unit per mg

    def curves(self, times: Floats, step: Step) -> dict[str, Floats]:
        """Concentrations at the times, carried from event to event."""
        ends = {t for e in self.entered for t in (e.start_h, e.start_h + e.duration_h)}
        events = [*sorted({0.0, *(t for t in ends if t < times[-1])}), float(times[-1])]
        state, found = np.zeros(len(self.matrix)), np.zeros((len(times), len(self.matrix)))
        for begin, end in pairwise(events):
            rate = np.zeros_like(state)
            for e in self.entered:
                if e.duration_h and e.start_h <= begin < e.start_h + e.duration_h:
                    rate[e.into] += e.amount_mg / e.duration_h
                elif not e.duration_h and e.start_h == begin:
                    state[e.into] += e.amount_mg
            here = (times >= begin) & (times <= end)
            offsets = np.append(times[here] - begin, end - begin)
            states = step(self.matrix, rate, state, offsets)
            found[here] = states[:-1]
            state = states[-1].copy()
        return {name: found[:, place] * factor for name, (place, factor) in self.read.items()}


def linear(of: Model, person: Person, route: str, course: Sequence[Administration]) -> Linear:
    """The equations of a model, put together from its file."""
    known, place = values(of, person), {name: n for n, name in enumerate(of.compartments)}
    matrix = np.zeros((len(place), len(place)))
    for flow in of.transfers:
        rate = float(known.of(flow.rate, "rate"))
        if flow.drains:
            matrix[place[flow.source], place[flow.source]] -= rate
        if flow.target:
            gain = float(known.of(flow.mass_ratio, "ratio")) if flow.mass_ratio else 1.0
            matrix[place[flow.target], place[flow.source]] += rate * gain
    entered = []
    for entry in of.routes[route].entries:
        lag = float(known.of(entry.lag, "lag")) if entry.lag else 0.0
        length = float(known.of(entry.duration, "length")) if entry.duration else 0.0
        for given in course:
            share = float(known.of(entry.later if given.part else entry.fraction, "share"))
            amount = share * given.amount_mg
            entered.append(Entered(place[entry.into], given.start_h + lag, amount, length or given.duration_h))
    read = {
        a.name: (place[a.compartment], a.factor / float(known.of(a.volume, "volume"))) for a in of.analytes.values()
    }
    return Linear(matrix, tuple(entered), read)


def by_exponential(matrix: Floats, rate: Floats, state: Floats, offsets: Floats) -> Floats:
    """exp of the matrix, widened by a constant 1 that brings the input."""
    wide = np.zeros((len(state) + 1, len(state) + 1))
    wide[:-1, :-1], wide[:-1, -1] = matrix, rate
    whole = np.append(state, 1.0)
    return np.array([(expm(wide * t) @ whole)[:-1] for t in offsets])


def integrated(method: str) -> Step:
    def step(matrix: Floats, rate: Floats, state: Floats, offsets: Floats) -> Floats:
        if offsets[-1] == 0:
            return np.broadcast_to(state, (len(offsets), len(state)))
        more: dict[str, Any] = {"jac": lambda _t, _x: matrix}
        if method == "DOP853":
            more = {"max_step": 0.05}  # between its steps it interpolates, which is what loses digits
        solved = solve_ivp(
            lambda _, x: matrix @ x + rate,
            (0, float(offsets[-1])),
            state,
            method=method,
            t_eval=np.unique(offsets),
            rtol=1e-11,
            atol=1e-11,
            **more,
        )
        assert solved.success, solved.message
        return solved.y.T[np.searchsorted(solved.t, offsets)]

    return step


SOLVERS = {
    "expm": (by_exponential, 1e-11),
    "LSODA": (integrated("LSODA"), 1e-7),
    "DOP853": (integrated("DOP853"), 1e-7),
}

HELD = paused(infusion([Segment(0.5, 60.0), Segment(0.25, 20.0), Segment(0.5, 90.0)]), 0.6, 0.4)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "infusion, rate changed, paused": ("Domino_1984_ketamine", {"route": "iv", "plan": HELD, "hours": 12}),
    "the same with a metabolite": ("Otto_2021_esketamine", {"route": "iv", "plan": HELD[:1], "hours": 12}),
    "nasal, three devices": (PEREZ, {"route": "nasal", "dose": "84 mg"}),
    "oral with a metabolite": (PEREZ, {"route": "oral", "dose": "84 mg"}),
    "oral with a lag and metabolites": ("TerHeine_2014_dextromethorphan", {"route": "oral", "dose": "30 mg"}),
    "tea": ("Tanna_2022_mitragynine", {"route": "tea", "dose": "39 mg", "hours": 72}),
    "under the tongue": ("Simons_2022_esketamine", {"route": "sublingual", "dose": "50 mg"}),
    "nasal, repeated, one missed": (
        PEREZ,
        {"route": "nasal", "dose": "56 mg", "repeat": "every 12 h for 3 d", "missed": [3]},
    ),
    "oral, daily": ("Feng_2008_risperidone", {"route": "oral", "dose": "2 mg", "repeat": "daily for 5 d"}),
}


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def asked(knowledge: Knowledge, name: str, more: dict[str, Any], **also: Any) -> tuple[Exposure, Linear]:
    """The answer of `simulate`, and the equations of the same model after what it says was given."""
    found = simulate(knowledge, name, weight_kg=70, age_a=30, n=1, **more, **also)
    assert found.models[0].id == name
    given = found.models[0].administrations
    part, course = 0, []
    for previous, each in zip([None, *given], given, strict=False):
        near = previous is not None and each["start_h"] - previous["start_h"] < 0.25 and more["route"] == "nasal"
        part = part + 1 if near else 0  # a nasal device minutes after another is a later one of the same dose
        course.append(Administration(each["start_h"], each["amount_mg"], each["duration_h"], part))
    return found, linear(model(knowledge, name), Person(70, 30), more["route"], course)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", CASES)
def test_a_curve_is_that_of_a_solver(knowledge: Knowledge, case: str, solver: str) -> None:
    name, more = CASES[case]
    found, equations = asked(knowledge, name, more)
    step, within = SOLVERS[solver]
    analytes = found.models[0].analytes
    times = np.array(next(iter(analytes.values())).curve.time_h)
    solved = equations.curves(times, step)
    for analyte, shown in analytes.items():
        peak = shown.metrics["cmax"].typical
        assert peak > 0
        assert np.abs(np.array(shown.curve.typical) - solved[analyte]).max() < within * peak, analyte
        assert solved[analyte].max() == pytest.approx(peak, rel=1e-6)  # no point of theirs lies above our peak


@pytest.mark.parametrize(
    ("name", "dose", "route", "every"),
    [
        (PEREZ, "28 mg", "nasal", "every 8 h for 2 d"),
        ("Feng_2008_risperidone", "2 mg", "oral", "every 12 h for 2 d"),
        ("Zhang_2024_sertraline", "100 mg", "oral", "daily for 3 d"),
    ],
)
def test_steady_state_is_the_fixed_point_of_one_interval(
    knowledge: Knowledge, name: str, dose: str, route: str, every: str
) -> None:
    """x = exp(matrix tau) x + what one dose leaves after tau, solved as linear equations."""
    more = {"route": route, "dose": dose, "repeat": every}
    found, equations = asked(knowledge, name, more)
    tau = found.dose["interval_h"]
    one = [e for e in equations.entered if e.start_h < tau]
    times = np.linspace(0, tau, 4001)
    kept: list[Floats] = []

    def keeping(matrix: Floats, rate: Floats, state: Floats, offsets: Floats) -> Floats:
        states = integrated("LSODA")(matrix, rate, state, offsets)
        kept.append(states[-1])
        return states

    once = Linear(equations.matrix, tuple(one), equations.read).curves(times, keeping)
    moved = expm(equations.matrix * tau)
    held = np.linalg.solve(np.eye(len(moved)) - moved, kept[-1])
    for analyte, shown in found.models[0].analytes.items():
        place, factor = equations.read[analyte]
        metrics = {slot: band.typical for slot, band in shown.metrics.items()}
        assert metrics["ctrough_ss"] == pytest.approx(held[place] * factor, rel=1e-6)
        before = np.array([(expm(equations.matrix * t) @ held)[place] for t in times[::10]]) * factor
        steady = before + once[analyte][::10]
        assert metrics["cmax_ss"] == pytest.approx(steady.max(), rel=1e-4)
        assert metrics["cmax_ss"] >= steady.max() * (1 - 1e-8)
        assert metrics["auc_tau_ss"] == pytest.approx(float(np.trapezoid(steady, times[::10])), rel=1e-3)
