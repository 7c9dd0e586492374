"""Published tables, rebuilt: what a model yields beside what its paper, or another program, says it should."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adjunct.base import BadInput, Refused
from adjunct.knowledge import Knowledge
from adjunct.pharmacology.simulation import regimen
from adjunct.pharmacology.simulation.arithmetic import measure, rescale, times_hours
from adjunct.pharmacology.simulation.body import Body, body, concentrations, values
from adjunct.pharmacology.simulation.extras import area
from adjunct.pharmacology.simulation.models import Model, Person, model
from adjunct.pharmacology.simulation.population import summaries
from adjunct.pharmacology.simulation.regimen import Administration
from adjunct.pharmacology.simulation.times import DEFAULT_HOURS

TOLERANCE = 0.01
PERCENT = 100
ORDER = ("miss", "refused", "expected gap", "ok")  # misses first
_WINDOW = re.compile(r"auc_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCheck:
    """One published number beside the model's own. `status`: ok, expected gap, miss, or refused with its `why`."""

    model: str
    id: str
    locator: str
    source: str
    kind: str
    analyte: str
    metric: str
    route: str
    dose: str
    unit: str
    published: float
    predicted: float | None
    percent: float | None  # of the published value, 0 where they agree
    tolerance: float
    status: str
    why: str
    note: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def validate(knowledge: Knowledge, model_id: str) -> list[TableCheck]:
    """Run every table of a model: what missed stands first, then the gaps that were expected."""
    found = model(knowledge, model_id)
    checks = [check(found, entry) for entry in found.raw.get("table", ())]
    return sorted(checks, key=lambda c: ORDER.index(c.status))


def check(of: Model, entry: Mapping[str, Any]) -> TableCheck:
    """One table entry against the typical person it speaks of."""
    tolerance = float(entry.get("tolerance", TOLERANCE))
    predicted, percent, why = None, None, ""
    try:
        predicted = _predicted(of, entry)
        percent = PERCENT * (predicted / entry["value"] - 1)
        close = abs(percent) <= tolerance * PERCENT
        status = "ok" if close else "expected gap" if entry.get("expected_gap") else "miss"
    except BadInput as error:
        status, why = "refused", str(error)
    return TableCheck(
        model=of.id,
        id=entry["id"],
        locator=entry["locator"],
        source=entry.get("source", of.raw["source"]),
        kind=entry.get("kind", "published"),
        analyte=entry.get("analyte", ""),
        metric=entry["metric"],
        route=entry.get("route", ""),
        dose=entry.get("dose", ""),
        unit=entry["unit"],
        published=float(entry["value"]),
        predicted=predicted,
        percent=percent,
        tolerance=tolerance,
        status=status,
        why=why,
        note=entry.get("note", ""),
    )


def _predicted(of: Model, entry: Mapping[str, Any]) -> float:
    covariates = dict(entry.get("covariates", {}))
    person = Person(covariates.pop("weight", None), covariates.pop("age", None), covariates)
    route = of.route(entry["route"])
    over_h = regimen.hours(entry["over"]) if "over" in entry else 0.0
    rhythm = regimen.repeat(entry["repeat"]) if "repeat" in entry else None
    dose_mg = regimen.dose(entry["dose"]).mg(person.weight_kg, over_h)
    course = of.course(dose_mg, route, weight_kg=person.weight_kg, over_h=over_h, repeat=rhythm)
    typical = values(of, person)
    people = body(of, typical, route, course, typical)
    end = max(a.end_h for a in course)
    hours = float(entry.get("hours", max(DEFAULT_HOURS, end, entry.get("at_h", 0.0))))
    value, unit = _metric(people, entry, person, dose_mg, hours)
    analyte = of.analytes.get(entry.get("analyte", ""))
    return rescale(value, unit, entry["unit"], analyte.molar_mass if analyte else None)


def _metric(people: Body, entry: Mapping[str, Any], person: Person, dose_mg: float, hours: float) -> tuple[float, str]:
    """The number that a table names, with its unit."""
    metric, name = entry["metric"], entry["analyte"]
    if name not in people.concentrations:
        raise Refused(
            f"table {entry['id']} names {name!r}, which route {entry['route']} does not reach", people.model.file
        )
    unit = people.model.analytes[name].unit
    window = _WINDOW.fullmatch(metric)
    if window:
        return _area_between(people, name, float(window[1]), float(window[2])), times_hours(unit)
    match metric:
        case "cmax":
            return float(summaries(people, name, hours, ["cmax"])["cmax"][0]), unit
        case "tmax" | "half_life":
            return float(summaries(people, name, hours, [metric])[metric][0]), "h"
        case "auc_inf":
            return float(area(people, name)[0]), times_hours(unit)
        case "auc_last":
            end = float(entry.get("at_h", hours))
            return _area_between(people, name, float(entry.get("from_h", 0)), end), times_hours(unit)
        case "concentration":
            return float(concentrations(people, [name], np.array([entry["at_h"]]))[name][0, 0]), unit
        case "clearance":
            return _per_kg(dose_mg / _mg_h_per_litre(people, name), "L/h", entry["unit"], person)
        case "vss":
            return _per_kg(_steady_volume(people, name), "L", entry["unit"], person)
        case "bioavailability":
            by_vein = body(people.model, people.values, people.model.route("iv"), [_bolus(dose_mg)], people.typical)
            return float(area(people, name)[0] / area(by_vein, name)[0]), "1"
        case "css_ratio" | "auc_ratio":
            parent = entry.get("analyte_of", next(iter(people.concentrations)))
            other = people.model.analytes[parent]
            factor = rescale(1.0, unit, other.unit, people.model.analytes[name].molar_mass)
            return factor * float(area(people, name)[0] / area(people, parent)[0]), "1"
    raise Refused(f"table {entry['id']} has the unknown metric {metric!r}", people.model.file)


def _bolus(dose_mg: float) -> Administration:
    return Administration(0.0, dose_mg)


def _area_between(people: Body, name: str, begin: float, end: float) -> float:
    before = float(area(people, name, begin)[0]) if begin else 0.0
    return float(area(people, name, end)[0]) - before


def _mg_h_per_litre(people: Body, name: str) -> float:
    return float(area(people, name)[0]) / people.model.analytes[name].factor


def _steady_volume(people: Body, name: str) -> float:
    """Volume at steady state in L: what all compartments that exchange with the measured one hold, over its level."""
    hub = people.compartment(name)
    ahead = {c: _ahead(people.model, c) for c in people.compartments}
    together = [c for c in people.compartments if hub in ahead[c] and c in ahead[hub]]
    held = sum(float(people.system.auc(people.inputs, c, None)[0]) for c in together)
    return held / _mg_h_per_litre(people, name)


def _ahead(of: Model, start: str) -> set[str]:
    found = {start}
    while more := {t.target for t in of.transfers if t.source in found and t.target} - found:
        found |= more
    return found


def _per_kg(value: float, unit: str, wanted: str, person: Person) -> tuple[float, str]:
    if "kg" in measure(wanted)[1]:
        if person.weight_kg is None:
            raise BadInput("a value by weight needs the weight of the person", "covariates")
        return value / person.weight_kg, f"{unit}/kg"
    return value, unit


def all_checks(knowledge: Knowledge, names: Iterable[str] = ()) -> list[TableCheck]:
    """Every table of the named models, or of all."""
    return [c for name in (tuple(names) or sorted(knowledge.models)) for c in validate(knowledge, name)]
