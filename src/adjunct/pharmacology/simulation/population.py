"""Many people under one model: who they are, and the percentiles of what happens to them.

Person number i under a seed is always the same person, whatever the block they are worked on in and whichever thread
does it. Curves are held for all people over a block of time points, so memory is bounded whatever the number of
people, and the percentiles are exact order statistics of everybody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from adjunct.base import BadInput, Floats, Refused
from adjunct.pharmacology.simulation.body import Body, body, values
from adjunct.pharmacology.simulation.models import Model, Person, Route
from adjunct.pharmacology.simulation.normals import normals
from adjunct.pharmacology.simulation.regimen import Administration
from adjunct.pharmacology.simulation.rhythm import Passage

DEFAULT_PEOPLE = 100  # where nobody says how many: enough for a band, few enough to answer at once
DEFAULT_SEED = 1
MOST_PEOPLE = 1_000_000
MOST_SEED = 2**64 - 1
PERCENTILES = (5.0, 50.0, 95.0)
SUMMARIES = ("cmax", "tmax", "auc_inf", "auc_last", "half_life")
PERCENT = 100
PEOPLE_A_BLOCK = 16_384  # for summaries: columns that fit the cache
CELLS_A_BLOCK = 81_920  # for curves: people times points
BLOCK_BYTES = 2**27
STRIDE = 8  # bytes of a double
FEWEST_A_BLOCK = 128
FEW = 512  # up to this many people a pool of threads costs more than it gives
KEPT = 2**16  # people whose bodies are kept between blocks of time

Progress = Callable[[float], None]
Key = TypeVar("Key")


def checked_number(n: int | None, seed: int | None) -> tuple[int, int]:
    """How many people under which seed, said or not; raises for a population nobody can simulate."""
    if n is not None and not (type(n) is int and 1 <= n <= MOST_PEOPLE):
        raise BadInput(f"a population of {n!r} cannot be simulated: from 1 to {MOST_PEOPLE} people", "n")
    if seed is not None and not (type(seed) is int and 0 <= seed <= MOST_SEED):
        raise BadInput(f"the seed {seed!r} is not a whole number from 0 to 2**64 - 1", "seed")
    return DEFAULT_PEOPLE if n is None else n, DEFAULT_SEED if seed is None else seed


def deviations(model: Model, seed: int, first: int, count: int) -> dict[str, Floats]:
    """How `count` people from number `first` differ from the typical one, on the scale of each parameter's form."""
    independent = [normals(seed, slot, first, count) for slot in range(len(model.spreads))]
    found = {}
    for row, spread in enumerate(model.spreads):
        total = model.mixing[row, 0] * independent[0]
        for column in range(1, row + 1):  # no matrix product: its rounding would depend on the size of the block
            if model.mixing[row, column]:
                total += model.mixing[row, column] * independent[column]
        found[spread.parameter] = total
    return found


def percentiles(rows: Floats, shares: Sequence[float] = PERCENTILES) -> Floats:
    """Percentiles along the last axis, with linear interpolation between people. Reorders `rows`.

    >>> percentiles(np.array([[4.0, 1.0, 3.0, 2.0, 5.0]])).round(9).tolist()
    [[1.2], [3.0], [4.8]]
    """
    count = rows.shape[-1]
    places = [(count - 1) * share / PERCENT for share in shares]
    lows = [math.floor(p) for p in places]
    rows.partition(sorted({k for low in lows for k in (low, min(low + 1, count - 1))}), axis=-1)
    found = []
    for place, low in zip(places, lows, strict=True):
        below, above = rows[..., low], rows[..., min(low + 1, count - 1)]
        found.append(below + (place - low) * (above - below))
    return np.stack(found)


def summaries(
    people: Body, analyte: str, until_h: float, only: Sequence[str] = SUMMARIES, passage: Passage | None = None
) -> dict[str, Floats]:
    """Peak, its time, area and terminal half-life of everybody in `people`, in the analyte's unit and hours.

    With the `passage` of a repeated dose the peak is looked for only in intervals no other can top.
    """
    compartment, factor = people.compartment(analyte), np.atleast_1d(people.concentrations[analyte])
    system, inputs = people.system, people.inputs
    found: dict[str, Floats] = {}
    if "cmax" in only or "tmax" in only:
        peak, tmax = passage.peak(people, compartment) if passage else system.peak(inputs, compartment, until_h)
        found |= {"cmax": peak * factor, "tmax": tmax}
    if "auc_inf" in only or ("auc_last" in only and passage):
        found["auc_inf"] = system.auc(inputs, compartment, None) * factor
    if "auc_last" in only and passage:
        still = system.auc(passage.left, compartment, None) * factor
        found["auc_last"] = np.maximum(found["auc_inf"] - still, 0)
    elif "auc_last" in only:
        found["auc_last"] = system.auc(inputs, compartment, until_h) * factor
    if "half_life" in only:
        found["half_life"] = math.log(2) / system.terminal_rate_h(compartment, inputs)
    for name, numbers in found.items():
        if not np.isfinite(numbers).all():
            raise Refused(f"{name} of {analyte} is not a finite number", people.model.file)
    return {name: found[name] for name in only}


def block_size(n: int, times: int, analytes: int, threads: int) -> int:
    """How many people are best worked on at a time; it changes the speed and nothing else."""
    times_at_once = min(times, max(1, BLOCK_BYTES // (n * analytes * STRIDE)))
    return max(FEWEST_A_BLOCK, min(math.ceil(n / threads), CELLS_A_BLOCK // times_at_once, PEOPLE_A_BLOCK))


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """`n` people under one model, one course and one seed."""

    model: Model
    person: Person
    route: Route
    course: tuple[Administration, ...]
    n: int
    seed: int
    threads: int = 1
    people_a_block: int = PEOPLE_A_BLOCK
    block_bytes: int = BLOCK_BYTES
    _kept: dict[int, Body] = field(default_factory=dict, repr=False)

    def people(self, first: int) -> Body:
        """The bodies of one block of people from number `first`."""
        if first in self._kept:
            return self._kept[first]
        count = min(self.people_a_block, self.n - first)
        varied = values(self.model, self.person, deviations(self.model, self.seed, first, count))
        found = body(self.model, varied, self.route, self.course, values(self.model, self.person))
        if self.n <= KEPT:
            self._kept[first] = found
        return found

    def curves(self, analytes: Sequence[str], times_h: Floats, progress: Progress | None = None) -> dict[str, Floats]:
        """For each analyte its 5th, 50th and 95th percentile at each time, shape (3, times)."""
        times_a_block = max(1, self.block_bytes // (self.n * len(analytes) * STRIDE))
        found = {name: np.empty((len(PERCENTILES), len(times_h))) for name in analytes}
        room = {name: np.empty((min(times_a_block, len(times_h)), self.n)) for name in analytes}
        for start in range(0, len(times_h), times_a_block):
            times = times_h[start : start + times_a_block]

            def fill(first: int, times: Floats = times) -> None:
                people = self.people(first)
                names = [people.compartment(name) for name in analytes]
                amounts = people.system.amounts(people.inputs, times, names)
                for name, compartment in zip(analytes, names, strict=True):
                    factor = np.atleast_1d(people.concentrations[name])
                    np.multiply(
                        amounts[compartment].T,
                        factor,
                        out=room[name][: len(times), first : first + self.people_a_block],
                    )

            done = start / len(times_h)
            self._over_people(fill, progress, done, len(times) / len(times_h))
            for name in analytes:
                found[name][:, start : start + len(times)] = percentiles(room[name][: len(times)])
        return found

    def summaries(
        self,
        analytes: Sequence[str],
        until_h: float,
        only: Sequence[str] = SUMMARIES,
        progress: Progress | None = None,
    ) -> dict[str, dict[str, Floats]]:
        """Summaries of everybody, one number a person, without a curve."""
        found = {name: {each: np.empty(self.n) for each in only} for name in analytes}

        def fill(first: int) -> None:
            people = self.people(first)
            for name in analytes:
                for each, numbers in summaries(people, name, until_h, only).items():
                    found[name][each][first : first + self.people_a_block] = numbers

        self._over_people(fill, progress)
        return found

    def each(self, measure: Callable[[Body], Mapping[Key, Floats]], names: Sequence[Key]) -> dict[Key, Floats]:
        """Any numbers a person: `measure` is asked for one block of people at a time."""
        found = {name: np.empty(self.n) for name in names}

        def fill(first: int) -> None:
            some = measure(self.people(first))
            for name in names:
                found[name][first : first + self.people_a_block] = some[name]

        self._over_people(fill, None)
        return found

    def _over_people(
        self, fill: Callable[[int], None], progress: Progress | None, done: float = 0.0, share: float = 1.0
    ) -> None:
        starts = range(0, self.n, self.people_a_block)
        if self.threads > 1 and self.n > FEW and len(starts) > 1:
            with ThreadPoolExecutor(self.threads) as pool:
                for number, _ in enumerate(pool.map(fill, starts), 1):
                    _tell(progress, done + share * number / len(starts))
        else:
            for number, start in enumerate(starts, 1):
                fill(start)
                _tell(progress, done + share * number / len(starts))


def _tell(progress: Progress | None, share: float) -> None:
    if progress is not None:
        progress(share)
