"""Compartment systems against 50 digits, against an ODE solver, and against what can be written on paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from adjunct.base import BadInput
from adjunct.pharmacology.kinetics import Flow, Input, System
from adjunct.pharmacology.kinetics.arrow import modes

DIGITS = 80  # of which squaring may eat 30
BAR = 1e-13  # relative, for every compartment at every time


# --- the oracle -------------------------------------------------------------------------------------------------------


def propagator(matrix: mp.matrix, time: mp.mpf) -> mp.matrix:
    """exp(matrix * time) by its power series, scaled and squared."""
    size = max(1, int(mp.ceil(mp.log(mp.mnorm(matrix, 1) * time + 1, 2))) + 4)
    small = matrix * (time / mp.mpf(2) ** size)
    total = term = mp.eye(matrix.rows)
    for order in range(1, 40):
        term = term * small / order
        total = total + term
    for _ in range(size):
        total = total * total
    return total


def exact(names: Sequence[str], flows: Sequence[Flow], inputs: Sequence[Input], time_h: float) -> dict[str, mp.mpf]:
    """Amounts by superposition in 80 digits, straight from the flows: nothing shared with the code under test."""
    count = len(names)
    matrix = mp.zeros(count + 1)
    for flow in flows:
        source, rate = names.index(flow.source), mp.mpf(float(np.asarray(flow.rate_h)))
        if flow.drains:
            matrix[source, source] -= rate
        if flow.target is not None:
            matrix[names.index(flow.target), source] += rate * mp.mpf(float(np.asarray(flow.gain)))
    total = [mp.mpf(0)] * count
    for each in inputs:
        since = mp.mpf(time_h) - mp.mpf(each.start_h)
        if since < 0:
            continue
        running = min(since, mp.mpf(each.duration_h))
        amount, into = mp.mpf(float(np.asarray(each.amount_mg))), names.index(each.into)
        fed = matrix.copy()
        state = mp.zeros(count + 1, 1)
        if each.duration_h:
            fed[into, count] = amount / mp.mpf(each.duration_h)
            state[count] = 1
            state = propagator(fed, running) * state
            state[count] = 0
        else:
            state[into] = amount
        state = propagator(matrix, since - running) * state
        total = [a + b for a, b in zip(total, state, strict=False)]
    return dict(zip(names, total, strict=True))


# --- systems ----------------------------------------------------------------------------------------------------------


def both(a: str, b: str, there: float, back: float) -> list[Flow]:
    return [Flow(a, b, there), Flow(b, a, back)]


def mammillary(out: float, *spokes: tuple[float, float]) -> tuple[list[str], list[Flow]]:
    names = ["central", *(f"p{i}" for i in range(1, len(spokes) + 1))]
    pairs = [f for name, spoke in zip(names[1:], spokes, strict=True) for f in both("central", name, *spoke)]
    return names, [Flow("central", None, out), *pairs]


def oral(ka: float, out: float, *spokes: tuple[float, float]) -> tuple[list[str], list[Flow]]:
    names, flows = mammillary(out, *spokes)
    return ["gut", *names], [Flow("gut", "central", ka), *flows]


def fed(system: tuple[list[str], list[Flow]], *flows: Flow) -> tuple[list[str], list[Flow]]:
    """The system with further compartments downstream."""
    names = dict.fromkeys([*system[0], *(n for f in flows for n in (f.source, f.target) if n)])
    return list(names), [*system[1], *flows]


MIN = 60.0
# Domino 1984 as coded in opentiva 1.1.2: 1/min
DOMINO = mammillary(0.4381 * MIN, (0.5921 * MIN, 0.2470 * MIN), (0.5900 * MIN, 0.0146 * MIN))
# Perez-Ruixo 2021: nose and gut; the gut empties into the liver, which feeds the metabolite
NASAL = (
    ["nose", "gut", "central", "p1", "p2", "liver", "nk", "nkp"],
    [
        Flow("nose", "central", 2.93),
        Flow("gut", "liver", 1.45),
        *both("central", "p1", 84.3 / 192, 84.3 / 143),
        *both("central", "p2", 37.6 / 192, 37.6 / 417),
        *both("central", "liver", 151 / 192, 151 / 101),
        Flow("liver", None, 1.11),
        Flow("liver", "nk", 2.77),
        Flow("nk", None, 38 / 70),
        *both("nk", "nkp", 26.1 / 70, 26.1 / 115),
    ],
)
NASAL_INPUTS = [
    Input("nose", 0, 15.1),
    Input("gut", 0, 8.3, 0.53),
    Input("nose", 5 / 60, 9.4),
    Input("gut", 5 / 60, 12, 0.53),
]
TRANSIT = (
    ["a", "b", "c", "d", "e"],
    [Flow(x, y, 3.0) for x, y in zip("abcd", "bcde", strict=True)] + [Flow("e", None, 3.0)],
)
EARLY_AND_LATE = [1e-6, 1e-3, 0.05, 0.3, 2 / 3, 0.7, 1.0, 4.0, 24.0, 47.9, 72.0]
NEAR = [0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3]

CASES = {
    "domino infusion": (DOMINO, [Input("central", 0, 35, 40 / 60)]),
    "domino bolus": (DOMINO, [Input("central", 0, 35)]),
    "domino into a spoke": (DOMINO, [Input("p2", 0, 35, 0.5), Input("p1", 0.1, 3)]),
    "one compartment": (mammillary(0.31), [Input("central", 0.5, 10, 3), Input("central", 2, 7)]),
    "two compartments": (mammillary(0.31, (0.2, 0.7)), [Input("central", 0, 10, 3), Input("central", 1, 5, 24)]),
    "four compartments": (mammillary(1.3, (20, 30), (2, 1), (0.5, 0.01)), [Input("central", 0, 10, 1)]),
    "spoke that loses": (fed(mammillary(0, (1, 2), (3, 0.1)), Flow("p1", None, 0.4)), [Input("central", 0, 9, 1)]),
    "stiff": (oral(1e4, 1e5, (1e6, 1e-2), (3, 1e-4)), [Input("gut", 0, 9, 1), Input("central", 0, 9, 1)]),
    "zero outward": (oral(1.0, 0.3, (0.0, 0.7), (0.4, 0.2)), [Input("gut", 0, 5), Input("p1", 1, 3)]),
    "zero return": (oral(1.0, 0.3, (0.2, 0.0), (0.4, 0.2)), [Input("gut", 0, 5), Input("p1", 1, 3)]),
    "no elimination": (mammillary(0.0, (0.2, 0.5), (0.4, 0.2)), [Input("central", 0, 5, 1)]),
    "no absorption": (oral(0.0, 0.3), [Input("gut", 0, 5), Input("central", 0, 1)]),
    "nasal": (NASAL, NASAL_INPUTS),
    "transit": (TRANSIT, [Input("a", 0, 5), Input("a", 1, 5, 1.5)]),
    "metabolite": (
        fed(
            oral(1.7, 0.4, (1.0, 0.5)),
            Flow("central", "m", 0.6, gain=0.8),
            Flow("m", None, 0.2),
            *both("m", "mp", 1, 2),
        ),
        [Input("gut", 0.25, 10, 0.5), Input("central", 0, 3)],
    ),
    "effect site": (
        fed(DOMINO, Flow("central", "effect", 6.0, drains=False), Flow("effect", None, 6.0)),
        [Input("central", 0, 35, 40 / 60)],
    ),
}
for d in NEAR:
    CASES |= {
        f"absorption like elimination {d}": (oral(0.5 * (1 + d), 0.5), [Input("gut", 0, 5)]),
        f"zero order, like rates {d}": (oral(0.5 * (1 + d), 0.5), [Input("gut", 0, 5, 1.0)]),
        f"spokes alike {d}": (
            oral(1.1, 0.5, (1, 0.25), (0.5, 0.25 * (1 + d))),
            [Input("gut", 0, 5), Input("p1", 0, 1)],
        ),
        f"metabolite like parent {d}": (
            fed(oral(0.5, 0.3), Flow("central", "m", 0.2), Flow("m", None, 0.5 * (1 + d))),
            [Input("gut", 0, 5, 0.5), Input("central", 0, 1)],
        ),
        f"effect site like pole {d}": (
            fed(
                mammillary(0.5, (1, 0.25)),
                Flow("central", "effect", 0.25 * (1 + d), drains=False),
                Flow("effect", None, 0.25 * (1 + d)),
            ),
            [Input("central", 0, 5, 0.5)],
        ),
    }


@pytest.mark.parametrize("case", CASES)
def test_every_amount_is_right_to_within_rounding_of_itself(case: str) -> None:
    (names, flows), inputs = CASES[case]
    times = EARLY_AND_LATE if case in {"nasal", "domino infusion", "stiff"} else EARLY_AND_LATE[::2]
    got = System.of(names, flows).amounts(inputs, times, names)
    with mp.workdps(DIGITS):
        for column, time in enumerate(times):
            for name, want in exact(names, flows, inputs, time).items():
                value = mp.mpf(float(got[name][0, column]))
                assert abs(value - want) <= BAR * want + mp.mpf("1e-300"), (name, time, float(value), float(want))


def test_ketamine_concentrations_computed_by_others() -> None:
    """35 mg over 40 min, 70 kg, Domino: peak, 80 and 230 min in ng/mL, as other programs give them."""
    volume_l = 0.063 * 70
    system, inputs = System.of(*DOMINO), [Input("central", 0, 35, 40 / 60)]
    peak, when = system.peak(inputs, "central", 24)
    later = system.amounts(inputs, [80 / 60, 230 / 60], ["central"])["central"][0]
    assert [round(1000 * float(v) / volume_l) for v in (peak[0], *later)] == [240, 46, 18]
    assert when[0] == 40 / 60


def test_an_ode_solver_agrees() -> None:
    names, flows = NASAL
    inputs = [*NASAL_INPUTS, Input("central", 1.5, 20, 0.7), Input("central", 1.9, 5, 2.0)]
    matrix = np.zeros((len(names), len(names)))
    for flow in flows:
        matrix[names.index(flow.source), names.index(flow.source)] -= flow.rate_h
        if flow.target:
            matrix[names.index(flow.target), names.index(flow.source)] += flow.rate_h
    edges = sorted({0.0, 12.0} | {t for i in inputs for t in (i.start_h, i.end_h)})
    state = np.zeros(len(names))
    for begin, end in pairwise(edges):
        rate = np.zeros(len(names))
        for i in inputs:
            if i.start_h == begin and not i.duration_h:
                state[names.index(i.into)] += i.amount_mg
            if i.start_h <= begin < i.end_h:
                rate[names.index(i.into)] += i.amount_mg / i.duration_h
        run = solve_ivp(lambda _, x, r=rate: matrix @ x + r, (begin, end), state, "LSODA", rtol=1e-11, atol=1e-13)
        state = run.y[:, -1]
    got = System.of(names, flows).amounts(inputs, [12.0], names)
    assert np.array([got[name][0, 0] for name in names]) == pytest.approx(state, rel=1e-8)


# --- grid -------------------------------------------------------------------------------------------------------------

rng = np.random.default_rng(20)


def spread(flows: Sequence[Flow], people: int) -> list[Flow]:
    """The same flows, for people who differ."""
    return [
        Flow(f.source, f.target, np.asarray(f.rate_h) * np.exp(0.4 * rng.standard_normal(people)), f.gain, f.drains)
        for f in flows
    ]


def some(flows: Sequence[Flow], people: slice) -> list[Flow]:
    return [Flow(f.source, f.target, np.asarray(f.rate_h)[people], f.gain, f.drains) for f in flows]


REPEATED = [Input(i.into, i.start_h + 0.013 + 8 * n, i.amount_mg, i.duration_h) for n in range(3) for i in NASAL_INPUTS]
GRIDS = {
    "one line of arithmetic": (DOMINO, [Input("central", 0, 35, 40 / 60), Input("central", 11.1, 9, 0.01)], "central"),
    "two links": (oral(1.1, 0.5, (1, 0.25)), [Input("gut", 0.31, 5, 0.5), Input("gut", 4, 5)], "central"),
    "binary digits": (NASAL, REPEATED, "nk"),
    "from a spoke": (NASAL, REPEATED, "liver"),
}


@pytest.mark.parametrize("case", GRIDS)
def test_a_grid_is_the_amounts_at_its_times(case: str) -> None:
    (names, flows), inputs, name = GRIDS[case]
    system = System.of(names, spread(flows, 5))
    grid = system.grid(inputs, 1 / 60, 1441, name)
    want = system.amounts(inputs, np.arange(1441) * (1 / 60), [name])[name]
    assert grid == pytest.approx(want, rel=1e-13, abs=0)
    assert (grid[:, 60:] > 0).all()


@pytest.mark.parametrize("case", GRIDS)
def test_bits_of_a_grid_do_not_depend_on_the_request(case: str) -> None:
    (names, flows), inputs, name = GRIDS[case]
    people = spread(flows, 700)
    whole = System.of(names, people).grid(inputs, 1 / 60, 1441, name)
    buffer = np.full((700, 137), np.nan)
    for start in (0, 1, 39, 600, 1304):
        got = System.of(names, people).grid(inputs, 1 / 60, 137, name, out=buffer, start=start)
        assert got is buffer
        assert (got == whole[:, start : start + 137]).all()
    for part in (slice(0, 1), slice(1, 3), slice(255, 514), slice(696, 700)):
        assert (System.of(names, some(people, part)).grid(inputs, 1 / 60, 1441, name) == whole[part]).all()


def test_grids_are_the_grid_a_few_people_at_a_time_as_concentrations() -> None:
    (names, flows), inputs, name = GRIDS[next(iter(GRIDS))]
    system, volume = System.of(names, spread(flows, 2500)), np.linspace(3, 90, 2500)
    whole = system.grid(inputs, 1 / 60, 1441, name) / volume[:, None]
    seen = 0
    for people, curves in system.grids(inputs, 1 / 60, 1441, name, volume_l=volume):
        assert people.start == seen
        assert curves == pytest.approx(whole[people], rel=1e-14, abs=0)
        seen = people.stop
    assert seen == 2500
    with pytest.raises(BadInput, match="volume"):
        system.grids(inputs, 1 / 60, 10, name, volume_l=0)


def test_a_grid_starts_before_the_first_dose_and_is_empty_without_one() -> None:
    system = System.of(*DOMINO)
    late = system.grid([Input("central", 2.0, 1)], 0.5, 7, "central")[0]
    assert (late[:4] == 0).all()
    assert late[4] == pytest.approx(1, rel=1e-15)
    assert (system.grid([], 0.5, 7, "central") == 0).all()
    assert (System.of(*oral(1, 1)).grid([Input("central", 0, 1)], 0.5, 7, "gut") == 0).all()


# --- summaries --------------------------------------------------------------------------------------------------------


def test_area_is_dose_over_clearance_and_part_of_it_before() -> None:
    names, flows = DOMINO
    system, inputs = System.of(names, flows), [Input("central", 0.5, 35, 40 / 60), Input("p2", 3, 5)]
    whole = system.auc(inputs, "central", None)
    assert whole == pytest.approx(40 / (0.4381 * MIN), rel=1e-14)
    assert system.auc(inputs, "central", 5000.0) == pytest.approx(whole, rel=1e-13)
    # what has left is what the area says has left
    closed = System.of([*names, "out"], [*flows[1:], Flow("central", "out", 0.4381 * MIN)])
    for until in (0.0, 0.25, 0.6, 1.0, 3.0, 30.0):
        gone = closed.amounts(inputs, [until], ["out"])["out"][:, 0]
        assert system.auc(inputs, "central", until) * 0.4381 * MIN == pytest.approx(gone, rel=1e-13)


def test_area_of_a_metabolite_and_of_what_stays() -> None:
    names, flows = fed(
        oral(1.7, 0.4), Flow("central", "m", 0.6, gain=0.8), Flow("m", None, 0.2), Flow("m", "sink", 0.3)
    )
    system, inputs = System.of(names, flows), [Input("gut", 1, 10, 0.5)]
    assert system.auc(inputs, "m", None) == pytest.approx(10 * 0.6 * 0.8 / 0.5, rel=1e-14)
    with pytest.raises(BadInput, match="stays for ever"):
        system.auc(inputs, "sink", None)
    assert system.auc(inputs, "sink", 24.0)[0] > 0


@pytest.mark.parametrize(("ka", "ke"), [(1.5, 0.2), (0.2, 1.5), (0.7, 0.7), (0.7, 0.7 + 1e-12), (900.0, 1e-3)])
def test_peak_of_an_oral_dose_is_where_calculus_puts_it(ka: float, ke: float) -> None:
    system = System.of(*oral(ka, ke))
    most, when = system.peak([Input("gut", 3.0, 10)], "central", 100.0)
    with mp.workdps(50):
        a, e = mp.mpf(ka), mp.mpf(ke)
        time = 1 / a if a == e else mp.log(a / e) / (a - e)
        height = 10 * mp.e ** (-e * time)
    assert when[0] - 3 == pytest.approx(float(time), rel=1e-9, abs=1e-12)
    assert most[0] == pytest.approx(float(height), rel=1e-13)


def test_peak_among_several_doses_at_the_end_and_after_nothing() -> None:
    names, flows = NASAL
    system = System.of(names, spread(flows, 40))
    for name in ("central", "nk", "liver", "p2", "nose"):
        most, when = system.peak(REPEATED, name, 20.0)
        fine = system.grid(REPEATED, 1 / 600, 12001, name)
        assert (most >= fine.max(axis=1) * (1 - 1e-14)).all()
        assert most == pytest.approx(fine.max(axis=1), rel=1e-2)  # a bolus falls between two points
        at_peak = np.array([system.amounts(REPEATED, [t], [name])[name][i, 0] for i, t in enumerate(when)])
        assert at_peak == pytest.approx(most, rel=1e-13)
    infusion = [Input("central", 1.0, 35, 4.0)]
    most, when = system.peak(infusion, "central", 3.0)
    assert (when == 3.0).all()
    assert most == pytest.approx(system.amounts(infusion, [3.0], ["central"])["central"][:, 0], rel=1e-13)
    assert (system.peak(infusion, "central", 0.5)[0] == 0).all()
    assert (system.peak(infusion, "nose", 5.0)[0] == 0).all()


def test_peak_in_the_plateau_of_a_long_infusion() -> None:
    system = System.of(*mammillary(1.0, (1, 2)))
    inputs = [Input("central", 0, 1000, 1000.0), Input("central", 0, 0.1)]
    most, when = system.peak(inputs, "central", 1000.0)
    assert most[0] == pytest.approx(1, rel=1e-13)
    assert 0 < when[0] <= 1000


@pytest.mark.parametrize(
    ("system", "into", "name", "slowest"),
    [
        (oral(1.5, 0.2), "gut", "central", 0.2),
        (oral(0.1, 0.2), "gut", "central", 0.1),  # flip-flop: absorption is what is seen last
        (oral(0.1, 0.2), "central", "central", 0.2),
        (fed(oral(1.5, 0.2), Flow("central", "m", 0.0), Flow("m", None, 0.01)), "gut", "central", 0.2),
        (fed(oral(1.5, 0.2), Flow("central", "m", 0.1), Flow("m", None, 0.01)), "gut", "m", 0.01),
        (oral(1.5, 0.2, (0.0, 0.001)), "gut", "central", 0.2),  # a spoke that is not exchanged with
    ],
)
def test_terminal_rate_is_the_slowest_that_shows(
    system: tuple[list[str], list[Flow]], into: str, name: str, slowest: float
) -> None:
    got = System.of(*system).terminal_rate_h(name, [Input(into, 0, 1.0)])
    assert got == pytest.approx([slowest], rel=1e-14)


def test_terminal_rate_needs_something_to_arrive() -> None:
    with pytest.raises(BadInput, match="nothing given ever reaches"):
        System.of(*oral(1, 1)).terminal_rate_h("gut", [Input("central", 0, 1)])
    with pytest.raises(BadInput, match="nothing given ever reaches"):
        System.of(*oral(0, 1)).terminal_rate_h("central", [Input("gut", 0, 1)])


@pytest.mark.parametrize(
    ("system", "inputs", "name", "interval"),
    [
        (DOMINO, [Input("central", 0, 35, 40 / 60)], "central", 12.0),
        (NASAL, NASAL_INPUTS, "nk", 8.0),
        (mammillary(0.3, (0.4, 0.1)), [Input("central", 5.0, 10, 3.0), Input("central", 0, 1)], "p1", 6.0),
    ],
)
def test_steady_state_is_what_many_doses_come_to(
    system: tuple[list[str], list[Flow]], inputs: list[Input], name: str, interval: float
) -> None:
    runs, times = 150, np.array([0.0, 1.0, 1.9, 4.0, 5.99])
    built = System.of(*system)
    many = [Input(i.into, i.start_h + n * interval, i.amount_mg, i.duration_h) for n in range(runs) for i in inputs]
    want = built.amounts(many, times + (runs - 1) * interval, [name])[name]
    assert built.amounts(built.steady(inputs, interval), times, [name])[name] == pytest.approx(want, rel=1e-12)


def test_steady_area_of_an_interval_is_that_of_one_dose() -> None:
    system = System.of(*NASAL)
    steady = system.auc(system.steady(NASAL_INPUTS, 8.0), "nk", 8.0)
    assert steady == pytest.approx(system.auc(NASAL_INPUTS, "nk", None), rel=1e-13)


# --- bad input --------------------------------------------------------------------------------------------------------


def simple() -> System:
    return System.of(*oral([1.0, 2.0], 0.5))


BAD = {
    "negative rate": (lambda: System.of(["a"], [Flow("a", None, -1.0)]), "a to outside"),
    "rate not finite": (lambda: System.of(["a"], [Flow("a", None, np.inf)]), "from 0 to"),
    "rate not a number": (lambda: System.of(["a"], [Flow("a", None, "fast")]), "not a number"),
    "rate in a table": (lambda: System.of(["a"], [Flow("a", None, np.ones((2, 2)))]), "shape"),
    "people differ": (lambda: System.of(["a"], [Flow("a", None, [1, 2]), Flow("a", None, [1, 2, 3])]), "2, 3"),
    "named twice": (lambda: System.of(["a", "a"], []), "named once"),
    "none": (lambda: System.of([], []), "named once"),
    "stranger": (lambda: System.of(["a"], [Flow("a", "b", 1.0)]), "a to b"),
    "to itself": (lambda: System.of(["a"], [Flow("a", "a", 1.0)]), "joins two"),
    "ring": (lambda: System.of(list("abc"), [Flow("a", "b", 1), Flow("b", "c", 1), Flow("c", "a", 1)]), "hub"),
    "chain both ways": (
        lambda: System.of(list("abcd"), [*both("a", "b", 1, 1), *both("b", "c", 1, 1), *both("c", "d", 1, 1)]),
        "hub",
    ),
    "converted both ways": (
        lambda: System.of(["a", "b"], [Flow("a", "b", 1, gain=2.0), Flow("b", "a", 1)]),
        "converted",
    ),
    "amount": (lambda: simple().amounts([Input("gut", 0, np.nan)], [1.0], ["gut"]), "amount of input into gut"),
    "amounts of others": (lambda: simple().amounts([Input("gut", 0, [1, 2, 3])], [1.0], ["gut"]), "2, 3"),
    "start": (lambda: simple().amounts([Input("gut", -1, 1)], [1.0], ["gut"]), "start"),
    "duration": (lambda: simple().amounts([Input("gut", 0, 1, np.inf)], [1.0], ["gut"]), "duration"),
    "into": (lambda: simple().amounts([Input("liver", 0, 1)], [1.0], ["gut"]), "liver"),
    "watched": (lambda: simple().peak([Input("gut", 0, 1)], "liver", 1.0), "no such compartment"),
    "times": (lambda: simple().amounts([Input("gut", 0, 1)], [1.0, np.nan], ["gut"]), "times"),
    "time before": (lambda: simple().auc([Input("gut", 0, 1)], "gut", -1.0), "times"),
    "step": (lambda: simple().grid([Input("gut", 0, 1)], 0.0, 3, "gut"), "step"),
    "buffer": (lambda: simple().grid([Input("gut", 0, 1)], 1.0, 3, "gut", out=np.empty((3, 3))), "buffer"),
    "interval": (lambda: simple().steady([Input("gut", 0, 1)], 0.0), "interval"),
    "accumulates": (lambda: System.of(*oral(1.0, 0.0)).steady([Input("gut", 0, 1)], 8.0), "steady state"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(case: str) -> None:
    call, says = BAD[case]
    with pytest.raises(BadInput, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_one_system_serves_many_amounts() -> None:
    system = System.of(*NASAL)
    doses = np.array([1.0, 2.0, 4.0])
    one = system.amounts([Input("nose", 0, 1.0, 0.5)], [3.0], ["nk"])["nk"]
    many = system.amounts([Input("nose", 0, doses, 0.5)], [3.0], ["nk"])["nk"]
    assert many[:, 0] == pytest.approx(one[0, 0] * doses, rel=1e-14)
    assert system.auc([Input("nose", 0, doses)], "nk", None).shape == (3,)
    assert system.peak([Input("central", 0, doses, 1.0)], "central", 9.0)[0].shape == (3,)
    assert system.grid([Input("central", 0, doses, 1.0)], 0.1, 300, "central").shape == (3, 300)
    assert system.terminal_rate_h("nk", [Input("nose", 0, doses)]).shape == (3,)


def test_modes_of_a_person_do_not_depend_on_who_else_is_solved() -> None:
    out, back = rng.exponential(1, (3, 400)), rng.exponential(1, (3, 400))
    loss, lost = rng.exponential(1, 400), rng.exponential(1, (3, 400)) * (rng.random((3, 400)) < 0.3)
    back[2, ::7] = back[1, ::7]  # poles alike
    out[0, ::5] = 0.0  # a spoke that nothing enters
    lost[:, ::5] = 0.0
    rates, shares = modes(loss, out, back, lost)
    for i in range(0, 400, 3):
        alone = modes(loss[i : i + 1], out[:, i : i + 1], back[:, i : i + 1], lost[:, i : i + 1])
        assert (alone[0][:, 0] == rates[:, i]).all()
        assert (alone[1][:, 0] == shares[:, i]).all()
    assert shares.sum(axis=0) == pytest.approx(1, rel=1e-14)
