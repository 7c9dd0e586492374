"""People drawn by number: the same person in any block and thread, spread as published, percentiles of everybody."""

from __future__ import annotations

import itertools
import math
import threading
import tracemalloc
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from adjunct.base import BadInput, Floats
from adjunct.pharmacology.simulation.models import Model, Person, read_model
from adjunct.pharmacology.simulation.normals import normals
from adjunct.pharmacology.simulation.population import (
    FEW,
    MOST_PEOPLE,
    Population,
    checked_number,
    deviations,
    percentiles,
    summaries,
)
from test_models import SMALL

ADULT = Person(70.0, 45.0)
TIMES = np.linspace(0, 12, 37)


@pytest.fixture(scope="module")
def small() -> Model:
    return read_model(SMALL)


def people(made: Model, n: int, **more: Any) -> Population:
    route = made.routes["oral"]
    return Population(made, ADULT, route, made.course(35, route, weight_kg=70), n, 1, **more)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_normals_are_normal() -> None:
    drawn = normals(1, 0, 0, 200_000)
    ordered = np.sort(drawn)
    exact = np.array([NormalDist().cdf(x) for x in ordered])
    assert np.abs(exact - (np.arange(200_000) + 0.5) / 200_000).max() < 1.63 / math.sqrt(200_000)  # Kolmogorov, 1 %
    assert ordered[0] < -4
    assert ordered[-1] > 4


def test_each_quantile_is_that_of_its_word() -> None:
    from scipy.special import ndtri  # the oracle stays out of what ships

    word = np.random.Philox(key=np.array([9, 2], dtype=np.uint64), counter=0).random_raw(50_000)
    exact = ndtri(((word >> np.uint64(12)).astype(float) + 0.5) / 2**52)
    assert np.allclose(normals(9, 2, 0, 50_000), exact, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize(("first", "count"), [(0, 1), (1, 1), (3, 5), (8190, 10), (8192, 8193), (99_999, 1)])
def test_a_person_does_not_depend_on_who_is_drawn_beside_them(first: int, count: int) -> None:
    assert np.array_equal(normals(7, 3, first, count), normals(7, 3, 0, 100_000)[first : first + count])


def test_seeds_and_slots_are_different_people() -> None:
    drawn = [normals(seed, slot, 0, 20_000) for seed in (1, 2, 2**64 - 1) for slot in (0, 1)]
    for one, other in itertools.combinations(drawn, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


@pytest.mark.parametrize("n", [0, -1, 10**9, MOST_PEOPLE + 1, 1.5, True, "10"])
def test_a_population_nobody_can_simulate_is_refused(n: Any) -> None:
    with pytest.raises(BadInput, match="population"):
        checked_number(n, 1)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "x", True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(BadInput, match="seed"):
        checked_number(10, seed)


@pytest.mark.parametrize(
    ("n", "seed", "used"),
    [
        (1, None, (1, 1)),
        (MOST_PEOPLE, 2**64 - 1, (MOST_PEOPLE, 2**64 - 1)),
        (None, None, (100, 1)),
        (None, 7, (100, 7)),
        (5, 0, (5, 0)),
    ],
)
def test_a_population_within_reason_is_taken(n: int | None, seed: int | None, used: tuple[int, int]) -> None:
    assert checked_number(n, seed) == used


# --- how people differ ------------------------------------------------------------------------------------------------


def test_spread_and_correlation_are_those_published(small: Model) -> None:
    found = deviations(small, 1, 0, 100_000)
    assert found["cl_70"].std() == pytest.approx(math.sqrt(math.log(1 + 0.3**2)), rel=0.01)
    assert found["v_70"].std() == pytest.approx(0.2, rel=0.01)
    assert np.corrcoef(found["cl_70"], found["v_70"])[0, 1] == pytest.approx(0.5, abs=0.01)
    assert abs(np.corrcoef(found["cl_70"], found["f"])[0, 1]) < 0.015


def test_each_form_keeps_its_parameter_where_it_can_be(small: Model) -> None:
    everybody = people(small, 20_000, people_a_block=20_000).people(0).values
    share, rate, clearance = (np.asarray(everybody[name]) for name in ("f", "ka", "cl_70"))
    assert 0 < share.min() < 0.2 < 0.8 < share.max() < 1
    assert np.median(share) == pytest.approx(0.5, abs=0.01)
    assert rate.min() > 0
    assert (rate.mean(), rate.std()) == (pytest.approx(2.0, abs=0.01), pytest.approx(0.4, abs=0.01))
    assert clearance.std() / clearance.mean() == pytest.approx(0.3, abs=0.01)


# --- percentiles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 1000])
def test_percentiles_are_exact_order_statistics(count: int) -> None:
    rows = np.random.default_rng(count).lognormal(size=(5, count))
    expected = np.percentile(rows, [5, 50, 95], axis=1)
    assert np.allclose(percentiles(rows.copy()), expected, rtol=1e-14)


def test_one_person_is_every_percentile(small: Model) -> None:
    found = people(small, 1).curves(["example"], TIMES)["example"]
    assert np.array_equal(found[0], found[2])


# --- blocks and threads -----------------------------------------------------------------------------------------------


def both(made: Model, **more: Any) -> list[Floats]:
    many = people(made, 700, **more)
    curves = many.curves(["example", "heavy"], TIMES)
    single = many.summaries(["example", "heavy"], 24.0)
    return [*curves.values(), *(numbers for found in single.values() for numbers in found.values())]


@pytest.mark.parametrize(
    "more",
    [
        {"people_a_block": 1},
        {"people_a_block": 7},
        {"people_a_block": 699},
        {"people_a_block": 64, "threads": 4},
        {"block_bytes": 1},
        {"block_bytes": 700 * 8 * 2 * 5},
        {"people_a_block": 33, "threads": 3, "block_bytes": 700 * 8 * 2 * 11},
    ],
)
def test_no_answer_depends_on_blocks_or_threads(small: Model, more: dict[str, Any]) -> None:
    for one, other in zip(both(small), both(small, **more), strict=True):
        assert np.array_equal(one, other)


def test_more_people_leave_the_first_ones_as_they_are(small: Model) -> None:
    few = people(small, 10).summaries(["example"], 24.0)["example"]["cmax"]
    many = people(small, 1000).summaries(["example"], 24.0)["example"]["cmax"]
    assert np.array_equal(few, many[:10])


def test_a_person_alone_has_the_curve_they_have_in_the_crowd(small: Model) -> None:
    many = people(small, 500)
    alone = summaries(people(small, 500, people_a_block=1).people(77), "example", 24.0)
    crowd = many.summaries(["example"], 24.0)["example"]
    assert all(np.array_equal(alone[name], crowd[name][77:78]) for name in alone)


def test_few_people_are_worked_on_without_a_pool(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a pool was made")

    monkeypatch.setattr("adjunct.pharmacology.simulation.population.ThreadPoolExecutor", refuse)
    people(small, FEW, threads=4, people_a_block=64).curves(["example"], TIMES)
    with pytest.raises(AssertionError, match="a pool was made"):
        people(small, FEW + 1, threads=4, people_a_block=64).curves(["example"], TIMES)


def test_memory_is_bounded_by_the_block_and_not_by_the_curves(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adjunct.pharmacology.simulation.population.KEPT", 0)
    n, times = 20_000, np.linspace(0, 12, 200)
    tracemalloc.start()
    people(small, n, people_a_block=1024, block_bytes=2**22).curves(["example"], times)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 2**21 < peak < n * len(times) * 8 / 2


def test_progress_rises_to_the_end_and_is_told_in_one_thread(small: Model) -> None:
    told: list[float] = []
    told_in: set[int] = set()

    def tell(share: float) -> None:
        told.append(share)
        told_in.add(threading.get_ident())

    people(small, 600, threads=2, people_a_block=150, block_bytes=600 * 8 * 10).curves(["example"], TIMES, tell)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    assert len(told) > 4
    assert told_in == {threading.get_ident()}
