"""What may be asked beside peak and area: time above a level, the metabolite's share, and a course at steady state.

Each is a function from bodies (one person or many) to one number a person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from adjunct.base import Floats, UnitError
from adjunct.pharmacology.simulation.arithmetic import rescale, times_hours
from adjunct.pharmacology.simulation.body import Body, concentrations
from adjunct.pharmacology.simulation.regimen import Administration, Repeat
from adjunct.pharmacology.simulation.times import hours_above, refined

Measure = Callable[[Body], Floats]
Named = dict[str, tuple[str, Measure]]


def time_above(people: Body, level: tuple[float, str], grid: Floats) -> dict[str, Named]:
    """Hours above a level, with straight lines between times four times as close as the curve's."""
    found: dict[str, Named] = {}
    times = refined(grid)
    for name in people.concentrations:
        analyte = people.model.analytes[name]
        try:
            limit = rescale(*level, analyte.unit, analyte.molar_mass)
        except UnitError:
            if len(people.concentrations) == 1:
                raise
            continue
        found[name] = {"time_above": ("h", _above(name, times, limit))}
    if not found:
        raise UnitError(f"unit {level[1]!r} is not that of a concentration here", "above")
    return found


def _above(name: str, times: Floats, limit: float) -> Measure:
    return lambda people: hours_above(times, concentrations(people, [name], times)[name], limit)


def metabolite_ratio(people: Body) -> dict[str, Named]:
    """Area of each further analyte over that of the first, both to infinity and in the first one's unit."""
    first, *rest = people.concentrations
    unit = people.model.analytes[first].unit
    found: dict[str, Named] = {}
    for name in rest:
        analyte = people.model.analytes[name]
        try:
            factor = rescale(1.0, analyte.unit, unit, analyte.molar_mass)
        except UnitError:
            continue
        found[name] = {"metabolite_ratio": ("1", _ratio(name, first, factor))}
    return found


def _ratio(name: str, parent: str, factor: float) -> Measure:
    return lambda people: factor * area(people, name) / area(people, parent)


def area(people: Body, name: str, until_h: float | None = None) -> Floats:
    """Area under the concentration of everybody, to infinity unless an end is given."""
    total = people.system.auc(people.inputs, people.compartment(name), until_h)
    return np.asarray(total * people.concentrations[name], np.float64)


def steady_state(people: Body, single: Sequence[Administration], rhythm: Repeat) -> dict[str, Named]:
    """What one interval looks like once the same dose has been repeated for ever, and how much more that is."""
    found: dict[str, Named] = {}
    for name in people.concentrations:
        unit = people.model.analytes[name].unit
        found[name] = {
            "cmax_ss": (unit, _peak(name, single, rhythm)),
            "ctrough_ss": (unit, _trough(name, single, rhythm)),
            "auc_tau_ss": (times_hours(unit), _area_of_one(name, single)),
            "accumulation": ("1", _accumulation(name, single, rhythm)),
        }
    return found


def _area_of_one(name: str, single: Sequence[Administration]) -> Measure:
    return lambda people: area(people.after(single), name)


def _accumulation(name: str, single: Sequence[Administration], rhythm: Repeat) -> Measure:
    def measure(people: Body) -> Floats:
        once = people.after(single)
        return area(once, name) / area(once, name, rhythm.interval_h)

    return measure


def _peak(name: str, single: Sequence[Administration], rhythm: Repeat) -> Measure:
    def measure(people: Body) -> Floats:
        interval = people.system.steady(people.after(single).inputs, rhythm.interval_h)
        most, _ = people.system.peak(interval, people.compartment(name), rhythm.interval_h)
        return np.asarray(most * people.concentrations[name], np.float64)

    return measure


def _trough(name: str, single: Sequence[Administration], rhythm: Repeat) -> Measure:
    def measure(people: Body) -> Floats:
        interval = people.system.steady(people.after(single).inputs, rhythm.interval_h)
        compartment = people.compartment(name)
        last = people.system.amounts(interval, np.array([rhythm.interval_h]), [compartment])[compartment][:, 0]
        return np.asarray(last * people.concentrations[name], np.float64)

    return measure
