"""How high, how long: what a dose leads to, in every published model that speaks of this person and route.

>>> from adjunct.knowledge import Knowledge
>>> answer = simulate(Knowledge.load(), "ketamine", dose="0.5 mg/kg", over="40 min", route="iv", weight_kg=70)
>>> len(answer.models) > 1, answer.analytes["ketamine"].metrics["cmax"].unit
(True, 'ng/mL')
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adjunct.base import BadInput, Floats, convert, shown
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.pharmacology.simulation import regimen
from adjunct.pharmacology.simulation.body import Body, body, concentrations, values
from adjunct.pharmacology.simulation.extras import (
    Key,
    Measures,
    Numbers,
    measured,
    shape,
    steady_state,
    time_above,
)
from adjunct.pharmacology.simulation.models import (
    OWN,
    Model,
    Person,
    Route,
    drug_named,
    model,
    models_of,
    nothing_valid,
    route_named,
)
from adjunct.pharmacology.simulation.population import Population, Progress, block_size, checked_number, percentiles
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
from adjunct.pharmacology.simulation.rhythm import Rhythm
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
    pauses: tuple[tuple[float, float], ...]  # when, and for how long
    stop_h: float | None
    hours: float
    n: int
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
    shape: Measures
    summary: Numbers  # of the typical person


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
    pauses: Sequence[str] = (),
    stop: str | None = None,
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
    `pauses` of one infusion ("20 min for 10 min") and when it is stopped early (`stop`, "30 min");
    `hours` shown (default 24, or the whole course); `n` people with a `seed` for percentiles (100 of seed 1 unless
    said); `above` a level such as "100 ng/mL"; `covariates` such as {"japanese": 1}. A model's id puts it first;
    the envelope stays that of all.
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
        pauses,
        stop,
        hours,
        n,
        seed,
        above,
        threads,
        progress,
    )
    runs, errors = [], dict[str, BadInput]()
    for candidate in candidates:
        try:
            runs.append(_run(candidate, question))
        except BadInput as error:
            if chosen and candidate.id == chosen.id:
                raise
            errors[candidate.id] = error
    if not runs:
        raise nothing_valid(drug, question.route, candidates, errors)
    grid = _grid(runs, question)
    answers = [_answer(knowledge, run, question, grid, {r.model.id for r in runs}) for run in runs]
    people = n is not None or any(run.model.varies for run in runs)
    return Exposure(
        asked=model_or_drug,
        drug=drug,
        route=question.route,
        dose=_dose_shown(dose, over, repeat, question),
        person={"weight_kg": weight_kg, "age_a": age_a, **person.covariates},
        hours=question.hours,
        n=question.n if people else None,
        seed=question.seed if people else None,
        analytes=envelope([a.analytes for a in answers if not a.same_as]),
        models=tuple(answers),
        refused=tuple(RefusedModel(name, str(error)) for name, error in errors.items()),
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
    pauses: Sequence[str],
    stop: str | None,
    hours: float | None,
    n: int | None,
    seed: int | None,
    above: str | None,
    threads: int | None,
    progress: Progress | None,
) -> _Question:
    people, seed = checked_number(n, seed)
    if (dose is None) == (plan is None):
        raise BadInput(f"give a dose; {regimen.DOSE_HINT}", "dose")
    if plan is not None and (over or repeat or not plan):
        raise BadInput("a plan says all times itself: give at least one administration, no --over, no --repeat", "plan")
    over_h = regimen.hours(over) if over is not None else 0.0
    if (pauses or stop) and (repeat or not over):
        raise BadInput("only one infusion can be paused or stopped: say how long it runs, and no --repeat", "pause")
    held = tuple(regimen.pause(text) for text in pauses)
    amount = None
    if dose is not None:
        fact = knowledge.facts["dose.implausible.medicine"]
        most = convert(knowledge.number(fact.id), fact.unit, "mg")
        amount = regimen.dose(dose, most_mg=most).mg(person.weight_kg, over_h)
        if amount > most:
            raise BadInput(
                f"{dose!r} comes to {amount:g} mg, which is not a plausible dose: check number and unit", "dose"
            )
    rhythm = regimen.repeat(repeat) if repeat is not None else None
    spelled = regimen.quantity(above, "write for example '100 ng/mL'", "above") if above is not None else None
    return _Question(
        person=person,
        route=route,
        dose_mg=amount,
        over_h=over_h,
        repeat=rhythm,
        missed=tuple(missed),
        plan=tuple(plan) if plan is not None else None,
        pauses=held,
        stop_h=regimen.hours(stop, "stop") if stop is not None else None,
        hours=_horizon(hours, over_h + sum(length for _, length in held), rhythm, plan),
        n=people,
        seed=seed,
        above=spelled,
        threads=threads or os.cpu_count() or 1,
        progress=progress,
    )


def _horizon(hours: float | None, over_h: float, rhythm: Repeat | None, plan: Sequence[Administration] | None) -> float:
    """How many hours are shown. What is given must lie inside."""
    if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float)):
        raise BadInput(f"hours {shown(str(hours))} is not a number", "hours")
    if hours is not None and not (math.isfinite(hours) and 0 < hours <= MOST_HOURS):
        raise BadInput(f"{hours:g} hours cannot be shown: from more than 0 to {MOST_HOURS:g}", "hours")
    course = rhythm.interval_h * rhythm.doses if rhythm else 0.0
    end = max((a.end_h for a in plan), default=0.0) if plan is not None else over_h
    until = hours if hours is not None else max(DEFAULT_HOURS, course)
    if rhythm and rhythm.interval_h * (rhythm.doses - 1) + over_h > until:
        last = rhythm.interval_h * (rhythm.doses - 1)
        raise BadInput(
            f"the last dose is due at {last:g} h, and only {until:g} h are shown: ask for more hours", "hours"
        )
    if end > until * (1 + TOGETHER):
        raise BadInput(f"the infusion runs {end:g} h, and only {until:g} h are shown: ask for more hours", "hours")
    if until > MOST_HOURS:
        raise BadInput(f"the course lasts {until:g} h: up to {MOST_HOURS:g} h can be shown", "repeat")
    return until


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
        for at_h, for_h in asked.pauses:
            course = single = regimen.paused(course, at_h, for_h)
        if asked.stop_h is not None:
            course = single = regimen.stopped(course, asked.stop_h)
    typical_values = values(candidate, asked.person)
    typical = body(candidate, typical_values, route, course, typical_values)
    look = shape(typical, asked.hours, _rhythm(single, asked))
    return _Run(candidate, route, course, single, typical, look, look.of(typical))


def _rhythm(single: tuple[Administration, ...], asked: _Question) -> Rhythm | None:
    """The rhythm of a repeated dose."""
    if asked.repeat is None:
        return None
    given = tuple(number for number in range(asked.repeat.doses) if number + 1 not in asked.missed)
    return Rhythm(single, asked.repeat.interval_h, given, asked.hours)


def _grid(runs: Sequence[_Run], asked: _Question) -> Floats:
    """The times of the curves, the same for all models: close together after each dose, with every event and peak."""
    starts = {a.start_h for run in runs for a in run.course if a.part == 0}
    ends = {t for run in runs for a in run.course for t in (a.start_h, a.end_h)}
    after = {float(numbers[0]) for run in runs for (_, slot), numbers in run.summary.items() if slot == "tmax"}
    peaks = {start + peak for start in starts for peak in after} if asked.repeat else after
    return time_grid(sorted(starts), sorted(ends | peaks), asked.hours)


def _answer(knowledge: Knowledge, run: _Run, asked: _Question, grid: Floats, shown: set[str]) -> ModelExposure:
    raw = run.model.raw
    names = list(run.typical.concentrations)
    lines = concentrations(run.typical, names, grid)
    groups = _groups(run, asked, grid)
    units = {key: unit for group in groups for key, unit in group.units.items()}
    typical = run.summary | measured(groups[1:], run.typical)
    bands = {key: Band(float(typical[key][0]), None, None, unit) for key, unit in units.items()}
    notes = [f"{name} differs between people in the paper, not here" for name in run.model.not_varied()]
    spread: dict[str, Floats] = {}
    if run.model.varies:
        spread = _spread(run, asked, grid, groups, bands)
    else:
        notes.append("no differences between people were published: no percentiles")
    same_as = run.model.same_as if run.model.same_as in shown else None
    if same_as:
        notes.append(f"rests on the same data as {same_as}: shown, and not counted again in the envelope")
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
                {slot: band for (of, slot), band in bands.items() if of == name},
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
        same_as=same_as,
        assumed=run.model.assumed(asked.person),
        administrations=tuple(
            {"start_h": a.start_h, "amount_mg": a.amount_mg, "duration_h": a.duration_h} for a in run.course
        ),
    )


def _groups(run: _Run, asked: _Question, grid: Floats) -> list[Measures]:
    """All that is measured of each person; the shape comes first."""
    groups = [run.shape]
    if asked.above:
        groups.append(time_above(run.typical, asked.above, grid))
    if asked.repeat:
        groups.append(steady_state(run.typical, run.single, asked.repeat.interval_h))
    return groups


def _spread(
    run: _Run, asked: _Question, grid: Floats, groups: Sequence[Measures], bands: dict[Key, Band]
) -> dict[str, Floats]:
    """Percentile curves of `asked.n` people; the percentiles of their numbers are added to `bands`."""
    names = list(run.typical.concentrations)
    block = block_size(asked.n, len(grid), len(names), asked.threads)
    people = Population(run.model, asked.person, run.route, run.course, asked.n, asked.seed, asked.threads, block)
    found = people.curves(names, grid, asked.progress)
    for key, everybody in people.each(lambda some: measured(groups, some), list(bands)).items():
        bands[key] = _with_spread(bands[key], everybody)
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
        "pauses": [{"at_h": at, "for_h": length} for at, length in asked.pauses],
        "stop_h": asked.stop_h,
        "above": {"value": asked.above[0], "unit": asked.above[1]} if asked.above else None,
    }
