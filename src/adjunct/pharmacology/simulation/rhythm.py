"""The same dose again and again: what earlier doses left, and which of the intervals can hold the highest level.

A linear body adds up its doses, and all of a rhythm are alike. So what is in it at any time is the sum of what one
dose leaves at the ages the doses then have, and an interval is topped by another, at least as long, in which the same
doses and more lie behind at the same ages: of a course without a gap only the last can hold the peak.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adjunct.base import Floats
from adjunct.pharmacology.kinetics import Input
from adjunct.pharmacology.kinetics.system import AT_ONCE
from adjunct.pharmacology.simulation.body import Body
from adjunct.pharmacology.simulation.regimen import Administration

AGES = 64  # doses that are added up together: always as many, so that no sum depends on who else is asked for


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A dose given at some multiples of an interval, seen until `until_h`. `given` counts from 0; a gap is missed."""

    single: tuple[Administration, ...]
    interval_h: float
    given: tuple[int, ...]
    until_h: float

    def summits(self) -> list[tuple[int, float]]:
        """The intervals that no other tops: the number of the dose each begins with, and its hours."""
        starts = [*(number * self.interval_h for number in self.given), self.until_h]
        found: list[tuple[int, float, int]] = []
        for place in reversed(range(len(self.given))):
            number = self.given[place]
            length = min(starts[place + 1], self.until_h) - starts[place]
            ages = sum(1 << (number - earlier) for earlier in self.given[: place + 1])
            if not any(length <= longer * (1 + AT_ONCE) and not ages & ~more for _, longer, more in found):
                found.append((number, length, ages))
        return [(number, length) for number, length, _ in found if length >= 0]

    def since_dose(self, times_h: Floats) -> Floats:
        """Hours from the dose before; peaks of later doses differ from the first by rounding alone."""
        starts = np.array([number * self.interval_h for number in self.given])
        return np.asarray(times_h - starts[np.searchsorted(starts, times_h, side="right") - 1], np.float64)

    def over(self, people: Body) -> Passage:
        """How the course passes through these people."""
        once = people.after(self.single).inputs
        stages = []
        for number, length_h in sorted(self.summits()):
            ages = [(number - earlier) * self.interval_h for earlier in self.given if earlier < number]
            stages.append(Stage(number * self.interval_h, length_h, (*_left(people, once, ages), *once)))
        starts = (number * self.interval_h for number in self.given)
        ages = [self.until_h - start for start in starts if start <= self.until_h]
        return Passage(tuple(stages), _left(people, once, ages))


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """An interval that may hold the peak, and what enters from its beginning on."""

    begin_h: float
    length_h: float
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A course in some people: its stages, and what is left of it at the last hour."""

    stages: tuple[Stage, ...]
    left: tuple[Input, ...]

    def peak(self, people: Body, compartment: str) -> tuple[Floats, Floats]:
        """The most that a compartment holds, mg, and the first time it does, h after the first dose."""
        most, when = np.zeros(1), np.zeros(1)
        for stage in self.stages:
            high, after = people.system.peak(stage.inputs, compartment, stage.length_h)
            better = high > most
            most, when = np.where(better, high, most), np.where(better, stage.begin_h + after, when)
        return most, when


def _left(people: Body, once: Sequence[Input], ages: Sequence[float]) -> tuple[Input, ...]:
    """What doses of these ages still do from now on.

    What is in the compartments comes as a bolus at 0 h, what is still to enter, or by now half in, as further inputs.
    """
    if not ages:
        return ()
    held = dict.fromkeys(people.compartments, np.zeros(1))
    for first in range(0, len(ages), AGES):
        some = np.array(ages[first : first + AGES])
        amounts = people.system.amounts(once, some, people.compartments)
        held = {name: held[name] + _added(amounts[name]) for name in held}
    boluses = (Input(name, 0.0, amount) for name, amount in held.items() if amount.any())
    return (*boluses, *_to_come(once, ages))


def _added(amounts: Floats) -> Floats:
    """The sum along each row, dose by dose: in one order however many people stand below each other."""
    total = amounts[:, 0].copy()
    for age in range(1, amounts.shape[1]):
        total += amounts[:, age]
    return total


def _to_come(inputs: Sequence[Input], ages: Sequence[float]) -> Iterator[Input]:
    """What of each dose has not entered yet at its age."""
    for each in inputs:
        for age in ages:
            if age < each.start_h * (1 - AT_ONCE):
                yield Input(each.into, each.start_h - age, each.amount_mg, each.duration_h)
            elif each.duration_h and each.end_h > age:
                rest = each.end_h - age
                yield Input(each.into, 0.0, np.asarray(each.amount_mg) * (rest / each.duration_h), rest)
