"""How high, how long: what a dose leads to, in every published model that speaks of this person and route.

>>> from adjunct.knowledge import Knowledge
>>> answer = simulate(Knowledge.load(), "ketamine", dose="0.5 mg/kg", over="40 min", route="iv", weight_kg=70)
>>> len(answer.models) > 1, answer.analytes["ketamine"].metrics["cmax"].unit
(True, 'ng/mL')
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adjunct.base import BadInput, Floats, convert
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.pharmacology import OutsideModel
from adjunct.pharmacology.simulation import regimen
from adjunct.pharmacology.simulation.arithmetic import times_hours
from adjunct.pharmacology.simulation.body import Body, body, concentrations, values
from adjunct.pharmacology.simulation.extras import Measure, metabolite_ratio, steady_state, time_above
from adjunct.pharmacology.simulation.models import OWN, Model, Person, Route, drug_named, model, models_of, route_named
from adjunct.pharmacology.simulation.population import (
    Population,
    Progress,
    block_size,
    checked_number,
    percentiles,
    summaries,
)
from adjunct.pharmacology.simulation.regimen import Administration, Repeat
from adjunct.pharmacology.simulation.result import (
    AnalyteExposure,
    Band,
    Curve,
    Exposure,
    ModelExposure,
    RefusedModel,
    envelope,
)
from adjunct.pharmacology.simulation.times import DEFAULT_HOURS, time_grid

MOST_HOURS = 87_660.0
TOGETHER = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What is asked of each model."""

    person: Person
    route: str
    dose_mg: float | None
    over_h: float
    repeat: Repeat | None
    missed: tuple[object, ...]
    plan: tuple[Administration, ...] | None
    hours: float
    n: int | None
    seed: int
    above: tuple[float, str] | None
    threads: int
    progress: Progress | None


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One model that answers: its course, and its typical person."""

    model: Model
    route: Route
    course: tuple[Administration, ...]
    single: tuple[Administration, ...]  # the first dose of the course alone
    typical: Body
    summary: Mapping[str, Mapping[str, Floats]]


def simulate(
    knowledge: Knowledge,
    model_or_drug: str,
    *,
    route: str,
    dose: str | None = None,
    weight_kg: float | None = None,
    age_a: float | None = None,
    over: str | None = None,
    repeat: str | None = None,
    missed: Iterable[object] = (),
    plan: Sequence[Administration] | None = None,
    hours: float | None = None,
    n: int | None = None,
    seed: int | None = None,
    above: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    covariates: Mapping[str, float] | None = None,
) -> Exposure:
    """Simulate a dose in every published model of a drug that is valid for this person and route.

    `dose` such as "0.5 mg/kg" or "56 mg"; `over` the length of an infusion ("40 min"); `repeat` such as "2x/week for
    4 weeks", with `missed` doses by number from 1; `plan` administrations of your own instead (`regimen.infusion`);
    `hours` shown (default 24, or the whole course); `n` people with a `seed` for percentiles; `above` a level such as
    "100 ng/mL"; `covariates` such as {"japanese": 1}. A model's id puts that model first; the envelope stays that of all.
    """
    person = Person(weight_kg, age_a, {name: _number(name, value) for name, value in (covariates or {}).items()})
    chosen = model(knowledge, model_or_drug) if _is_model(knowledge, model_or_drug) else None
    drug = chosen.drug if chosen else drug_named(knowledge, model_or_drug)
    candidates = sorted(models_of(knowledge, drug), key=lambda m: chosen is None or m.id != chosen.id)
    _known_covariates(candidates, person)
    question = _question(
        knowledge,
        person,
        route_named(route),
        dose,
        over,
        repeat,
        missed,
        plan,
        hours,
        n,
        seed,
        above,
        threads,
        progress,
    )
    runs, refused = [], []
    for candidate in candidates:
        try:
            runs.append(_run(candidate, question))
        except BadInput as error:
            if chosen and candidate.id == chosen.id:
                raise
            refused.append(RefusedModel(candidate.id, str(error)))
    if not runs:
        raise _nothing_valid(drug, refused)
    grid = _grid(runs, question)
    answers = [_answer(knowledge, run, question, grid) for run in runs]
    return Exposure(
        asked=model_or_drug,
        drug=drug,
        route=question.route,
        dose=_dose_shown(dose, over, repeat, question),
        person={"weight_kg": weight_kg, "age_a": age_a, **person.covariates},
        hours=question.hours,
        n=n,
        seed=question.seed if n else None,
        analytes=envelope([a.analytes for a in answers]),
        models=tuple(answers),
        refused=tuple(refused),
        knowledge={"version": knowledge.version, "as_of": knowledge.as_of},
    )


# --- what is asked ----------------------------------------------------------------------------------------------------


def _is_model(knowledge: Knowledge, name: str) -> bool:
    return fold(name) in {fold(i) for i in knowledge.models}


def _number(name: str, value: object) -> float:
    if name in OWN or not isinstance(value, int | float):
        raise BadInput(f"{name} = {value!r} is not understood: give weight_kg and age_a so, others as numbers", name)
    return float(value)


def _known_covariates(candidates: Sequence[Model], person: Person) -> None:
    known = {name for m in candidates for name in m.covariates}
    for name in person.covariates:
        if name not in known:
            raise BadInput(f"no model here knows {name!r}: known are {', '.join(sorted(known)) or 'none'}", name)


def _question(
    knowledge: Knowledge,
    person: Person,
    route: str,
    dose: str | None,
    over: str | None,
    repeat: str | None,
    missed: Iterable[object],
    plan: Sequence[Administration] | None,
    hours: float | None,
    n: int | None,
    seed: int | None,
    above: str | None,
    threads: int | None,
    progress: Progress | None,
) -> _Question:
    seed = checked_number(n, seed)
    if (dose is None) == (plan is None):
        raise BadInput(f"give a dose; {regimen.DOSE_HINT}", "dose")
    if plan is not None and (over or repeat or not plan):
        raise BadInput("a plan says all times itself: give at least one administration, no --over, no --repeat", "plan")
    over_h = regimen.hours(over) if over else 0.0
    amount = None
    if dose is not None:
        fact = knowledge.facts["dose.implausible.medicine"]
        most = convert(knowledge.number(fact.id), fact.unit, "mg")
        amount = regimen.dose(dose, most_mg=most).mg(person.weight_kg, over_h)
        if amount > most:
            raise BadInput(
                f"{dose!r} comes to {amount:g} mg, which is not a plausible dose: check number and unit", "dose"
            )
    rhythm = regimen.repeat(repeat) if repeat else None
    spelled = regimen.quantity(above, "write for example '100 ng/mL'", "above") if above else None
    return _Question(
        person=person,
        route=route,
        dose_mg=amount,
        over_h=over_h,
        repeat=rhythm,
        missed=tuple(missed),
        plan=tuple(plan) if plan is not None else None,
        hours=_horizon(hours, over_h, rhythm, plan),
        n=n,
        seed=seed,
        above=spelled,
        threads=threads or os.cpu_count() or 1,
        progress=progress,
    )


def _horizon(hours: float | None, over_h: float, rhythm: Repeat | None, plan: Sequence[Administration] | None) -> float:
    """How many hours are shown. What is given must lie inside."""
    if hours is not None and not (math.isfinite(hours) and 0 < hours <= MOST_HOURS):
        raise BadInput(f"{hours:g} hours cannot be shown: from more than 0 to {MOST_HOURS:g}", "hours")
    course = rhythm.interval_h * rhythm.doses if rhythm else 0.0
    end = max((a.end_h for a in plan), default=0.0) if plan is not None else over_h
    shown = hours if hours is not None else max(DEFAULT_HOURS, course)
    if rhythm and rhythm.interval_h * (rhythm.doses - 1) + over_h > shown:
        last = rhythm.interval_h * (rhythm.doses - 1)
        raise BadInput(
            f"the last dose is due at {last:g} h, and only {shown:g} h are shown: ask for more hours", "hours"
        )
    if end > shown * (1 + TOGETHER):
        raise BadInput(f"the infusion runs {end:g} h, and only {shown:g} h are shown: ask for more hours", "hours")
    if shown > MOST_HOURS:
        raise BadInput(f"the course lasts {shown:g} h: up to {MOST_HOURS:g} h can be shown", "repeat")
    return shown


def _nothing_valid(drug: str, refused: Sequence[RefusedModel]) -> BadInput:
    if len(refused) == 1:
        return OutsideModel(refused[0].why)
    return OutsideModel(f"no model of {drug} is valid here: " + "; ".join(r.why for r in refused))


# --- one model --------------------------------------------------------------------------------------------------------


def _run(candidate: Model, asked: _Question) -> _Run:
    """A model with its typical person after the course; raises where the model does not speak of what is asked."""
    route = candidate.route(asked.route)
    candidate.covered(asked.person)
    weight = asked.person.weight_kg
    if asked.plan is not None:
        course = single = asked.plan
        candidate.covers_dose(route, regimen.delivered_mg(course), weight)
    else:
        assert asked.dose_mg is not None  # a question has a dose or a plan
        single = candidate.course(asked.dose_mg, route, weight_kg=weight, over_h=asked.over_h)
        course = candidate.course(
            asked.dose_mg, route, weight_kg=weight, over_h=asked.over_h, repeat=asked.repeat, missed=asked.missed
        )
    typical_values = values(candidate, asked.person)
    typical = body(candidate, typical_values, route, course, typical_values)
    summary = {name: summaries(typical, name, asked.hours) for name in typical.concentrations}
    return _Run(candidate, route, course, single, typical, summary)


def _grid(runs: Sequence[_Run], asked: _Question) -> Floats:
    """The times of the curves, the same for all models: close together after each dose, with every event and peak."""
    starts = {a.start_h for run in runs for a in run.course if a.part == 0}
    ends = {t for run in runs for a in run.course for t in (a.start_h, a.end_h)}
    peaks = set[float]()
    for run in runs:
        for summary in run.summary.values():
            after = float(_since_dose(run, asked, "tmax", summary["tmax"])[0])
            peaks |= {float(summary["tmax"][0]), *(start + after for start in starts if asked.repeat)}
    return time_grid(sorted(starts), sorted(ends | peaks), asked.hours)


def _since_dose(run: _Run, asked: _Question, slot: str, numbers: Floats) -> Floats:
    """Of a repeated dose the time of the peak counts from the dose before it: later peaks differ by rounding alone."""
    if slot != "tmax" or not asked.repeat:
        return numbers
    starts = np.array(sorted({a.start_h for a in run.course if a.part == 0}))
    return np.asarray(numbers - starts[np.searchsorted(starts, numbers, side="right") - 1], np.float64)


def _answer(knowledge: Knowledge, run: _Run, asked: _Question, grid: Floats) -> ModelExposure:
    raw = run.model.raw
    names = list(run.typical.concentrations)
    lines = concentrations(run.typical, names, grid)
    bands = _typical_bands(run, asked, grid)
    notes = [f"{name} differs between people in the paper, not here" for name in run.model.not_varied()]
    spread: dict[str, Floats] = {}
    if asked.n and run.model.varies:
        spread = _spread(run, asked, grid, names, bands)
    elif asked.n:
        notes.append("no differences between people were published: no percentiles")
    source = knowledge.sources.get(raw["source"])
    return ModelExposure(
        id=run.model.id,
        analytes={
            name: AnalyteExposure(
                Curve(
                    time_h=tuple(grid.tolist()),
                    typical=tuple(lines[name][0].tolist()),
                    p5=tuple(spread[name][0].tolist()) if name in spread else None,
                    p95=tuple(spread[name][-1].tolist()) if name in spread else None,
                    unit=run.model.analytes[name].unit,
                ),
                bands[name],
                run.model.analytes[name].molar_mass,
            )
            for name in names
        },
        title=run.model.title,
        status=raw["status"],
        population=raw["population"],
        sampling=raw.get("sampling", ""),
        source={
            "id": raw["source"],
            "citation": source.citation if source else "",
            "doi": source.doi if source else "",
            "url": source.url if source else "",
            "locator": raw["locator"],
        },
        read_as=raw["read_as"],
        read_note=raw["read_note"],
        errata=tuple(raw.get("errata", ())),
        gaps=tuple(raw.get("gaps", ())),
        notes=tuple(notes),
        assumed=run.model.assumed(asked.person),
        administrations=tuple(
            {"start_h": a.start_h, "amount_mg": a.amount_mg, "duration_h": a.duration_h} for a in run.course
        ),
    )


def _units(unit: str) -> dict[str, str]:
    area = times_hours(unit)
    return {"cmax": unit, "tmax": "h", "auc_inf": area, "auc_last": area, "half_life": "h"}


def _typical_bands(run: _Run, asked: _Question, grid: Floats) -> dict[str, dict[str, Band]]:
    """Summaries of the typical person."""
    found: dict[str, dict[str, Band]] = {}
    for name, summary in run.summary.items():
        units = _units(run.model.analytes[name].unit)
        found[name] = {
            slot: Band(float(_since_dose(run, asked, slot, summary[slot])[0]), None, None, unit)
            for slot, unit in units.items()
        }
    for name, slot, unit, of in _extras(run, asked, grid):
        found[name][slot] = Band(float(of(run.typical)[0]), None, None, unit)
    return found


def _extras(run: _Run, asked: _Question, grid: Floats) -> Iterator[tuple[str, str, str, Measure]]:
    """Further summaries: analyte, name, unit, and how to work it out."""
    groups = [metabolite_ratio(run.typical)]
    if asked.above:
        groups.append(time_above(run.typical, asked.above, grid))
    if asked.repeat:
        groups.append(steady_state(run.typical, run.single, asked.repeat))
    for group in groups:
        for name, measures in group.items():
            for slot, (unit, of) in measures.items():
                yield name, slot, unit, of


def _spread(
    run: _Run, asked: _Question, grid: Floats, names: Sequence[str], bands: Mapping[str, dict[str, Band]]
) -> dict[str, Floats]:
    """Percentile curves of `asked.n` people; their percentiles are added to `bands`."""
    assert asked.n is not None  # only asked for with a population
    block = block_size(asked.n, len(grid), len(names), asked.threads)
    people = Population(run.model, asked.person, run.route, run.course, asked.n, asked.seed, asked.threads, block)
    found = people.curves(names, grid, asked.progress)
    for name, summary in people.summaries(names, asked.hours).items():
        for slot, everybody in summary.items():
            bands[name][slot] = _with_spread(bands[name][slot], _since_dose(run, asked, slot, everybody))
    extras = list(_extras(run, asked, grid))
    measured = people.each(
        lambda some: {f"{name} {slot}": of(some) for name, slot, _, of in extras},
        [f"{name} {slot}" for name, slot, _, _ in extras],
    )
    for name, slot, _, _ in extras:
        bands[name][slot] = _with_spread(bands[name][slot], measured[f"{name} {slot}"])
    return found


def _with_spread(band: Band, everybody: Floats) -> Band:
    p5, _, p95 = percentiles(everybody)
    return replace(band, p5=float(p5), p95=float(p95))


# --- how it is shown --------------------------------------------------------------------------------------------------


def _dose_shown(dose: str | None, over: str | None, repeat: str | None, asked: _Question) -> dict[str, Any]:
    shown: dict[str, Any] = {"text": dose, "mg": asked.dose_mg, "over": over, "over_h": asked.over_h or None}
    rhythm = asked.repeat
    return shown | {
        "repeat": repeat,
        "interval_h": rhythm.interval_h if rhythm else None,
        "doses": rhythm.doses if rhythm else 1,
        "missed": list(asked.missed),
        "above": {"value": asked.above[0], "unit": asked.above[1]} if asked.above else None,
    }
