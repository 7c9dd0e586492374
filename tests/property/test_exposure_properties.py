"""The algebra of exposure, on a small model and on every model that ships: linear, additive, shifted, balanced."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import Floats
from adjunct.knowledge import Knowledge
from adjunct.pharmacology.simulation.body import Body, body, concentrations, values
from adjunct.pharmacology.simulation.extras import shape
from adjunct.pharmacology.simulation.models import Model, Person, read_model
from adjunct.pharmacology.simulation.population import Population, percentiles, summaries
from adjunct.pharmacology.simulation.regimen import Administration, Repeat, administrations
from adjunct.pharmacology.simulation.rhythm import Rhythm
from test_models import ADULT, SMALL

TIMES = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 12.0, 24.0, 48.0, 200.0])
SMALL_MODEL = read_model(SMALL)
Answer = tuple[Model, str]


@pytest.fixture(scope="module")
def shipped() -> list[Answer]:
    """Every model that can be run, with each of its routes."""
    known = [read_model(entry) for entry in Knowledge.load().models.values()]
    return [(m, route) for m in known if m.complete for route in m.routes]


def somebody(of: Model) -> Person:
    """A person whom the model speaks of: its reference values."""
    wanted = {c.name: c.reference for c in of.covariates.values()}
    return Person(wanted.pop("weight", 70.0), wanted.pop("age", None), wanted)


def after(of: Model, route: str, *course: Administration) -> Body:
    typical = values(of, somebody(of))
    return body(of, typical, of.routes[route], course, typical)


def levels(people: Body, times: Floats = TIMES) -> Floats:
    found = concentrations(people, list(people.concentrations), times)
    return np.stack([found[name][0] for name in found])


def close(one: Floats, other: Floats, scale: Floats) -> bool:
    """Equal to 1e-9 of the peak: what the sum of several doses loses to rounding is far below."""
    return bool(np.allclose(one, other, rtol=1e-9, atol=1e-9 * float(scale.max())))


doses = st.floats(0.01, 500.0)
starts = st.floats(0.0, 100.0)


@given(data=st.data(), mg=doses, factor=st.floats(0.01, 100.0))
def test_twice_the_dose_is_twice_the_exposure(
    shipped: list[Answer], data: st.DataObject, mg: float, factor: float
) -> None:
    of, route = data.draw(st.sampled_from(shipped), label="model")
    once, more = (levels(after(of, route, Administration(0, dose))) for dose in (mg, mg * factor))
    assert close(more, once * factor, more)


@given(data=st.data(), first=doses, second=doses, gap=starts, over=st.sampled_from([0.0, 0.25, 2.0]))
def test_two_doses_are_the_sum_of_each(
    shipped: list[Answer], data: st.DataObject, first: float, second: float, gap: float, over: float
) -> None:
    of, route = data.draw(st.sampled_from(shipped), label="model")
    one, other = Administration(0, first, over), Administration(gap, second)
    both = levels(after(of, route, one, other))
    assert close(both, levels(after(of, route, one)) + levels(after(of, route, other)), both)


@given(data=st.data(), mg=doses, later=starts, over=st.sampled_from([0.0, 0.7]))
def test_a_later_dose_is_the_same_curve_later(
    shipped: list[Answer], data: st.DataObject, mg: float, later: float, over: float
) -> None:
    of, route = data.draw(st.sampled_from(shipped), label="model")
    dose = Administration(0, mg, over)
    now, then = levels(after(of, route, dose)), levels(after(of, route, replace(dose, start_h=later)), TIMES + later)
    assert close(now[:, 1:], then[:, 1:], now)  # at the very start a rounded time may lie on either side of it


@given(
    mg=doses, interval=st.floats(0.5, 48.0), count=st.integers(1, 12), missed=st.sets(st.integers(1, 12), max_size=4)
)
def test_a_course_is_the_sum_of_its_doses_without_those_missed(
    mg: float, interval: float, count: int, missed: set[int]
) -> None:
    missed = {m for m in missed if m <= count}
    if len(missed) == count:
        return
    course = administrations(mg, repeat=Repeat(interval, count), missed=missed)
    whole = levels(after(SMALL_MODEL, "oral", *course))
    parts = [
        levels(after(SMALL_MODEL, "oral", Administration(n * interval, mg)))
        for n in range(count)
        if n + 1 not in missed
    ]
    assert close(whole, np.sum(parts, axis=0), whole)


def test_a_dose_changes_something_in_every_model_and_nothing_before_it(shipped: list[Answer]) -> None:
    assert len(shipped) > 10
    for of, route in shipped:
        people = after(of, route, Administration(1.0, 20.0))
        for name in people.concentrations:
            found = summaries(people, name, 400.0)
            assert found["cmax"][0] > 0, (of.id, route, name)
            assert found["tmax"][0] >= 1.0, (of.id, route, name)
            assert 0 < found["auc_last"][0] <= found["auc_inf"][0] * (1 + 1e-9), (of.id, route, name)
        assert (levels(people, np.array([0.0, 0.5])) == 0).all(), (of.id, route)
        assert (levels(people) >= 0).all(), (of.id, route)


def test_what_enters_a_compartment_leaves_it_in_every_model(shipped: list[Answer]) -> None:
    for of, route in shipped:
        people = after(of, route, Administration(0.0, 20.0), Administration(6.0, 10.0))
        area = {c: float(people.system.auc(people.inputs, c, None)[0]) for c in people.compartments}
        entered = dict.fromkeys(people.compartments, 0.0)
        left = dict.fromkeys(people.compartments, 0.0)
        for each in people.inputs:
            entered[each.into] += float(np.asarray(each.amount_mg))
        for t in of.transfers:
            if t.source not in area:
                continue
            moved = float(people.values.of(t.rate, "rate")) * area[t.source]
            left[t.source] += moved if t.drains else 0.0
            if t.target in area:
                entered[t.target] += moved * (float(people.values.of(t.mass_ratio, "ratio")) if t.mass_ratio else 1.0)
        for name in people.compartments:
            assert left[name] == pytest.approx(entered[name], rel=1e-9, abs=1e-12), (of.id, route, name)


def becomes(of: Model, start: str) -> set[str]:
    """All compartments that what is in one may come to."""
    found = {start}
    while more := {t.target for t in of.transfers if t.source in found and t.target} - found:
        found |= more
    return found


def test_no_more_drug_is_absorbed_than_was_given_in_any_model(shipped: list[Answer]) -> None:
    """A metabolite made before absorption may come on top where the drug's own volume is apparent."""
    for of, route in shipped:
        drug = next(iter(of.analytes.values())).compartment
        for part in (0, 1):
            inputs = after(of, route, Administration(0.0, 1.0, part=part)).inputs
            absorbed = sum(float(np.asarray(each.amount_mg)) for each in inputs if drug in becomes(of, each.into))
            assert 0 < absorbed <= 1 + 1e-9, (of.id, route)


@settings(max_examples=25)
@given(
    n=st.integers(1, 150),
    seed=st.integers(0, 2**64 - 1),
    block=st.integers(1, 200),
    threads=st.integers(1, 3),
    room=st.integers(1, 20_000),
)
def test_an_answer_belongs_to_the_people_and_not_to_how_they_were_worked_on(
    n: int, seed: int, block: int, threads: int, room: int
) -> None:
    route = SMALL_MODEL.routes["oral"]
    course = SMALL_MODEL.course(35, route, weight_kg=70)

    def answer(**how: Any) -> list[Floats]:
        people = Population(SMALL_MODEL, ADULT, route, course, n, seed, **how)
        curves = people.curves(["example", "heavy"], TIMES)
        return [*curves.values(), *people.summaries(["heavy"], 24.0)["heavy"].values()]

    plain, blocks = answer(), answer(people_a_block=block, threads=threads, block_bytes=room)
    assert all(np.array_equal(one, other) for one, other in zip(plain, blocks, strict=True))
    for low, middle, high in (c for c in plain[:2]):
        assert (low <= middle).all()
        assert (middle <= high).all()


@given(rows=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_percentiles_are_those_of_numpy(rows: list[float]) -> None:
    expected = np.percentile(rows, [5, 50, 95])
    assert percentiles(np.array([rows]))[:, 0] == pytest.approx(expected, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "route", "course"),
    [
        ("PerezRuixo_2021_esketamine", "nasal", administrations(84, device_mg=28, device_gap_h=1 / 12)),
        ("PerezRuixo_2021_esketamine", "oral", (Administration(0, 84), Administration(6, 84))),
        ("TerHeine_2014_dextromethorphan", "oral", (Administration(0, 30),)),
        ("Kamp_2020_ketamine", "iv", (Administration(0, 35, 2 / 3), Administration(4, 10))),
    ],
)
def test_a_solver_that_steps_finds_the_same_curve(
    shipped: list[Answer], name: str, route: str, course: tuple[Administration, ...]
) -> None:
    """The equations written out from the file and integrated step by step, event by event."""
    from scipy.integrate import solve_ivp  # the oracle stays out of what ships

    of = next(m for m, _ in shipped if m.id == name)
    people = after(of, route, *course)
    place = {c: i for i, c in enumerate(of.compartments)}
    matrix = np.zeros((len(place), len(place)))
    for t in of.transfers:
        rate = float(people.values.of(t.rate, "rate"))
        matrix[place[t.source], place[t.source]] -= rate if t.drains else 0
        if t.target:
            ratio = float(people.values.of(t.mass_ratio, "ratio")) if t.mass_ratio else 1.0
            matrix[place[t.target], place[t.source]] += rate * ratio
    events = sorted({time for i in people.inputs for time in (i.start_h, i.start_h + i.duration_h)} | {12.0})
    times, found = [], []
    state = np.zeros(len(place))
    for begin, end in pairwise(events):
        flow = np.zeros(len(place))
        for i in people.inputs:
            amount = float(np.asarray(i.amount_mg))
            if not i.duration_h and i.start_h == begin:
                state[place[i.into]] += amount
            elif i.duration_h and i.start_h <= begin < i.start_h + i.duration_h:
                flow[place[i.into]] += amount / i.duration_h
        asked = np.linspace(begin, end, 9)[1:]
        step = solve_ivp(
            lambda _, y, flow=flow: matrix @ y + flow, (begin, end), state, "LSODA", asked, rtol=1e-11, atol=1e-12
        )
        times += asked.tolist()
        found += step.y.T.tolist()
        state = step.y[:, -1]
    exact = people.system.amounts(people.inputs, np.array(times), people.compartments)
    for compartment in people.compartments:
        stepped = np.array(found)[:, place[compartment]]
        boluses = [i.start_h for i in people.inputs if i.into == compartment and not i.duration_h]
        between = ~np.isin(times, boluses)  # at its own time a bolus is already in
        assert np.allclose(exact[compartment][0][between], stepped[between], rtol=1e-7, atol=1e-9 * stepped.max())


# --- a dose again and again -------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    interval=st.floats(0.25, 40.0),
    given_doses=st.sets(st.integers(0, 14), min_size=1),
    more=st.floats(0.0, 3.0),
    over=st.sampled_from([0.0, 0.2]),
)
def test_adding_up_doses_is_going_through_them(
    interval: float, given_doses: set[int], more: float, over: float
) -> None:
    """The peak, and what is left at the end, whatever is missed, wherever the end lies, whatever is still to enter."""
    single = (Administration(0.0, 35.0, over),)
    numbers = tuple(sorted(given_doses))
    until = interval * (numbers[-1] + more)
    course = [replace(single[0], start_h=number * interval) for number in numbers]
    route = "iv" if over else "oral"  # by mouth with a lag of 15 minutes, as long as the shortest interval
    people = after(SMALL_MODEL, route, *course)
    passage = Rhythm(single, interval, numbers, until).over(people)
    for name in people.concentrations:
        whole, added = summaries(people, name, until), summaries(people, name, until, passage=passage)
        for slot in ("cmax", "auc_inf", "auc_last"):
            scale = float(whole["auc_inf" if slot == "auc_last" else slot][0])
            assert abs(float(added[slot][0] - whole[slot][0])) <= 1e-10 * scale, (name, slot)


@settings(max_examples=10)
@given(block=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_a_rhythm_gives_each_person_the_same_bits_in_any_block(block: int, seed: int) -> None:
    rhythm = Rhythm((Administration(0.0, 35.0),), 6.0, tuple(n for n in range(80) if n % 9), 500.0)
    look = shape(after(SMALL_MODEL, "oral", Administration(0.0, 35.0)), 500.0, rhythm)
    course = tuple(Administration(n * 6.0, 35.0) for n in rhythm.given)

    def found(size: int) -> dict[tuple[str, str], Floats]:
        people = Population(SMALL_MODEL, ADULT, SMALL_MODEL.routes["oral"], course, 40, seed, people_a_block=size)
        return people.each(look.of, list(look.units))

    whole, parts = found(40), found(block)
    assert all(np.array_equal(whole[key], parts[key]) for key in whole)
