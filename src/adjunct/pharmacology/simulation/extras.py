"""Every number beside a curve: peak and area, the metabolite's share, time above a level, and the steady state.

Each set of measures is a function from bodies (one person or many) to numbers, one a person, by analyte and name; what
several of them need is worked out once for a block of people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adjunct.base import Floats, UnitError
from adjunct.pharmacology.simulation.arithmetic import rescale, times_hours
from adjunct.pharmacology.simulation.body import Body, concentrations
from adjunct.pharmacology.simulation.population import summaries
from adjunct.pharmacology.simulation.regimen import Administration
from adjunct.pharmacology.simulation.rhythm import Rhythm
from adjunct.pharmacology.simulation.times import hours_above, refined

Key = tuple[str, str]  # analyte, name of the number
Numbers = dict[Key, Floats]


@dataclass(frozen=True, slots=True)
class Measures:
    """Some numbers with their units, and how to find them."""

    units: Mapping[Key, str]
    of: Callable[[Body], Numbers]


def measured(groups: Sequence[Measures], people: Body) -> Numbers:
    """All the numbers of several groups."""
    return {key: numbers for group in groups for key, numbers in group.of(people).items()}


def shape(typical: Body, until_h: float, rhythm: Rhythm | None = None) -> Measures:
    """Peak, areas and half-life of each analyte, and the area of each further analyte over that of the first.

    Of a repeated dose the time of the peak counts from the dose before it.
    """
    units: dict[Key, str] = {}
    for name in typical.concentrations:
        unit = typical.model.analytes[name].unit
        area = times_hours(unit)
        found = {"cmax": unit, "tmax": "h", "auc_inf": area, "auc_last": area, "half_life": "h"}
        units |= {(name, slot): unit for slot, unit in found.items()}
    shares = _shares(typical)
    parent = next(iter(typical.concentrations))

    def of(people: Body) -> Numbers:
        passage = rhythm.over(people) if rhythm else None
        found: Numbers = {}
        for name in typical.concentrations:
            summary = summaries(people, name, until_h, passage=passage)
            if rhythm:
                summary["tmax"] = rhythm.since_dose(summary["tmax"])
            found |= {(name, slot): numbers for slot, numbers in summary.items()}
        for name, factor in shares.items():
            found[name, "metabolite_ratio"] = factor * found[name, "auc_inf"] / found[parent, "auc_inf"]
        return found

    return Measures(units | {(name, "metabolite_ratio"): "1" for name in shares}, of)


def _shares(typical: Body) -> dict[str, float]:
    """For each further analyte the factor that brings it into the unit of the first, where there is one."""
    first, *rest = typical.concentrations
    unit = typical.model.analytes[first].unit
    found = {}
    for name in rest:
        analyte = typical.model.analytes[name]
        try:
            found[name] = rescale(1.0, analyte.unit, unit, analyte.molar_mass)
        except UnitError:
            continue
    return found


def time_above(typical: Body, level: tuple[float, str], grid: Floats) -> Measures:
    """Hours above a level, with straight lines between times four times as close as the curve's."""
    limits: dict[str, float] = {}
    times = refined(grid)
    for name in typical.concentrations:
        analyte = typical.model.analytes[name]
        try:
            limits[name] = rescale(*level, analyte.unit, analyte.molar_mass)
        except UnitError:
            if len(typical.concentrations) == 1:
                raise
    if not limits:
        raise UnitError(f"unit {level[1]!r} is not that of a concentration here", "above")

    def of(people: Body) -> Numbers:
        lines = concentrations(people, list(limits), times)
        return {(name, "time_above"): hours_above(times, lines[name], limit) for name, limit in limits.items()}

    return Measures({(name, "time_above"): "h" for name in limits}, of)


def area(people: Body, name: str, until_h: float | None = None) -> Floats:
    """Area under the concentration of everybody, to infinity unless an end is given."""
    total = people.system.auc(people.inputs, people.compartment(name), until_h)
    return np.asarray(total * people.concentrations[name], np.float64)


def steady_state(typical: Body, single: Sequence[Administration], interval_h: float) -> Measures:
    """What one interval looks like once the same dose has been repeated for ever, and how much more that is."""
    units: dict[Key, str] = {}
    for name in typical.concentrations:
        unit = typical.model.analytes[name].unit
        found = {"cmax_ss": unit, "ctrough_ss": unit, "auc_tau_ss": times_hours(unit), "accumulation": "1"}
        units |= {(name, slot): unit for slot, unit in found.items()}

    def of(people: Body) -> Numbers:
        once, system = people.after(single), people.system
        interval = system.steady(once.inputs, interval_h)
        compartments = [people.compartment(name) for name in people.concentrations]
        end = system.amounts(interval, np.array([interval_h]), list(dict.fromkeys(compartments)))
        found: Numbers = {}
        for name, compartment in zip(people.concentrations, compartments, strict=True):
            factor, whole = people.concentrations[name], area(once, name)
            found[name, "cmax_ss"] = system.peak(interval, compartment, interval_h)[0] * factor
            found[name, "ctrough_ss"] = end[compartment][:, 0] * factor
            found[name, "auc_tau_ss"] = whole
            found[name, "accumulation"] = whole / area(once, name, interval_h)
        return found

    return Measures(units, of)
