"""The body a model makes of one person or of many: a linear system, what enters it, what a laboratory would read.

Amounts are mg (of a metabolite: its own mg), volumes L, times h.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from adjunct.base import Floats, Refused
from adjunct.pharmacology.kinetics import Flow, Input, System
from adjunct.pharmacology.simulation.arithmetic import Expression, Value
from adjunct.pharmacology.simulation.models import Model, Person, Route
from adjunct.pharmacology.simulation.regimen import Administration


def values(model: Model, person: Person, deviations: Mapping[str, Floats] | None = None) -> Values:
    """Every named value for a person; with `deviations` (one a person and parameter), for each of many people."""
    return Values(model, model.covered(person), deviations or {})


class Values:
    """The parameters, derived values and covariates of some people, worked out when asked for."""

    def __init__(self, model: Model, covariates: Mapping[str, float], deviations: Mapping[str, Floats]) -> None:
        self.model = model
        self._covariates = covariates
        self._deviations = deviations
        self._spread = {s.parameter: s.form for s in model.spreads}
        self._found: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        if name not in self._found:
            self._found[name] = self._work_out(name)
        return self._found[name]

    def of(self, asked: Expression, what: str, *, least: float = 0.0) -> Value:
        """The value of an expression; raises if it is not a finite number from `least` up."""
        try:
            with np.errstate(all="ignore"):
                value = asked.value(self.__getitem__)
        except (ZeroDivisionError, OverflowError):
            value = math.nan
        except RecursionError:
            raise Refused(f"{what} = {asked.text} goes round in a circle", self.model.file) from None
        lowest, highest = (value.min(), value.max()) if isinstance(value, np.ndarray) else (value, value)
        if not (lowest >= least and highest < math.inf):  # not a number is neither
            raise Refused(f"{what} = {asked.text} is not a finite number from {least:g} up", self.model.file)
        return value

    def _work_out(self, name: str) -> Value:
        model = self.model
        if name in self._covariates:
            return self._covariates[name]
        if name in model.parameters:
            value: Value = model.parameters[name]
        elif name in model.derived:
            value = model.derived[name].value(self.__getitem__)
        else:
            raise Refused(f"nothing is named {name!r}", model.file)
        if name in self._deviations:
            return _deviated(value, self._deviations[name], self._spread[name])
        return value


def _deviated(value: Value, deviation: Floats, form: str) -> Value:
    if form == "lognormal":
        return value * np.exp(deviation)
    if form == "logit":
        odds = value / (1 - value) * np.exp(deviation)
        return odds / (1 + odds)
    return np.abs(value + deviation)  # folded at zero: no rate and no volume is negative


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One person, or many, after a dose: the compartments, what enters them, and how amounts read as concentrations."""

    model: Model
    route: Route
    system: System
    compartments: tuple[str, ...]  # those that the route fills and that lead to an analyte
    inputs: tuple[Input, ...]
    concentrations: Mapping[str, Value]  # analyte -> its unit per mg in its compartment
    values: Values
    typical: Values

    def compartment(self, analyte: str) -> str:
        return self.model.analytes[analyte].compartment

    def after(self, course: Sequence[Administration]) -> Body:
        """The same people after another course."""
        return replace(self, inputs=_inputs(self.compartments, self.values, self.route, course, self.typical))


def body(model: Model, values: Values, route: Route, course: Sequence[Administration], typical: Values) -> Body:
    """The linear system of these people, with the inputs of `course`. Lengths and lags are those of `typical`."""
    reached = _reached(model, [e.into for e in route.entries])
    wanted = _leading_to(model, {a.compartment for a in model.analytes.values()})
    names = [c for c in model.compartments if c in reached and c in wanted]
    flows = [
        Flow(
            t.source,
            t.target if t.target in names else None,
            values.of(t.rate, "a rate"),
            gain=values.of(t.mass_ratio, "a mass ratio") if t.mass_ratio and t.target in names else 1.0,
            drains=t.drains,
        )
        for t in model.transfers
        if t.source in names and (t.drains or t.target in names)
    ]
    concentrations = {
        a.name: a.factor / values.of(a.volume, f"the volume of {a.name}", least=math.ulp(0))
        for a in model.analytes.values()
        if a.compartment in names
    }
    if not concentrations:
        raise Refused(f"no analyte is reached by route {route.name}", model.file)
    inputs = _inputs(names, values, route, course, typical)
    return Body(model, route, System.of(names, flows), tuple(names), inputs, concentrations, values, typical)


def _inputs(
    names: Sequence[str], values: Values, route: Route, course: Sequence[Administration], typical: Values
) -> tuple[Input, ...]:
    found = []
    for e in (e for e in route.entries if e.into in names):
        first = values.of(e.fraction, "a share of the dose")
        later = values.of(e.later, "a share of the dose")
        lag = float(typical.of(e.lag, "a lag")) if e.lag else 0.0
        length = float(typical.of(e.duration, "a length")) if e.duration else 0.0
        for given in course:
            share = later if given.part else first
            found.append(Input(e.into, given.start_h + lag, given.amount_mg * share, length or given.duration_h))
    return tuple(found)


def _reached(model: Model, start: Iterable[str]) -> set[str]:
    found = set(start)
    while more := {t.target for t in model.transfers if t.source in found and t.target} - found:
        found |= more
    return found


def _leading_to(model: Model, ends: set[str]) -> set[str]:
    found = set(ends)
    while more := {t.source for t in model.transfers if t.target in found} - found:
        found |= more
    return found


def concentrations(people: Body, names: Sequence[str], times_h: Floats) -> dict[str, Floats]:
    """Concentrations of everybody in `people`, each analyte in its own unit, shape (people, times)."""
    amounts = people.system.amounts(people.inputs, times_h, list({people.compartment(n): None for n in names}))
    return {n: amounts[people.compartment(n)] * np.atleast_1d(people.concentrations[n])[:, None] for n in names}
