"""Published models as values: what a model file says, and which people, routes and doses it speaks of.

A model answers only inside the people, routes and doses it was made from; outside it raises `OutsideModel`.
Inside a model amounts are mg, volumes L, times h.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adjunct.base import AdjunctError, BadInput, Floats, Refused, convert, shown
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.pharmacology import OutsideModel, UnknownModel
from adjunct.pharmacology.simulation.arithmetic import Expression, expression, measure, ratio, rescale
from adjunct.pharmacology.simulation.regimen import Administration, Repeat, administrations, hours

ROUTES = ("iv", "im", "sc", "nasal", "oral", "sublingual", "buccal", "rectal", "tea")
ROUTE_NAMES = {
    "intravenous": "iv",
    "intramuscular": "im",
    "subcutaneous": "sc",
    "intranasal": "nasal",
    "in": "nasal",
    "po": "oral",
    "by mouth": "oral",
    "sl": "sublingual",
    "pr": "rectal",
}
INFUSED = ("iv", "sc", "im")
OWN = ("weight", "age")  # what a person has by name; everything else is a further covariate
SAME = 1e-9
MOST_NAMED = 5
MOST_SAID = 2  # of the limits of models, where nothing is valid
FORMS = ("lognormal", "logit", "normal")


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a simulation is about. What is not given is None, and a model that needs it asks."""

    weight_kg: float | None = None
    age_a: float | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("weight", self.weight_kg), ("age", self.age_a), *self.covariates.items()):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise BadInput(f"{name} {shown(str(value))} is not a number", name)
            if value is not None and not math.isfinite(value):
                raise BadInput(f"{name} is not a finite number", name)
        if self.weight_kg is not None and self.weight_kg <= 0:
            raise BadInput(f"a weight of {self.weight_kg:g} kg is not possible: give the body weight in kg", "weight")
        if self.age_a is not None and self.age_a < 0:
            raise BadInput(f"an age of {self.age_a:g} years is not possible", "age")

    def given(self, covariate: Covariate) -> float | None:
        """This person's value of a covariate, in the covariate's unit."""
        if covariate.name in OWN:
            value, unit = (self.weight_kg, "kg") if covariate.name == "weight" else (self.age_a, "a")
            return None if value is None else convert(value, unit, covariate.unit, at=covariate.name)
        value = self.covariates.get(covariate.name)
        return None if value is None else float(value)


@dataclass(frozen=True, slots=True)
class Analyte:
    """What a laboratory measures: the amount in a compartment over a volume, in `unit`."""

    name: str
    compartment: str
    volume: Expression
    unit: str
    molar_mass: float | None
    factor: float  # `unit` per mg/L


@dataclass(frozen=True, slots=True)
class Covariate:
    name: str
    unit: str
    reference: float
    required: bool
    low: float
    high: float
    switch: bool = False  # a yes or no

    @property
    def said(self) -> str:
        """The unit after a number, as people say it."""
        return {"1": "", "a": " years"}.get(self.unit, f" {self.unit}")

    @property
    def counted(self) -> str:
        return f" in{self.said}" if self.said else ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Drug leaving `source` at `rate` per hour, into `target` or out of the body; an effect site drains nothing."""

    source: str
    target: str | None
    rate: Expression
    mass_ratio: Expression | None
    drains: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """The share of a dose that one compartment receives; `later` is for the devices after the first."""

    into: str
    fraction: Expression
    later: Expression
    duration: Expression | None
    lag: Expression | None


@dataclass(frozen=True, slots=True)
class Route:
    name: str
    entries: tuple[Entry, ...]
    doses_mg: tuple[float, float] | None
    doses_mg_kg: tuple[float, float] | None
    max_over_h: float
    single: bool
    device_mg: float | None
    device_gap_h: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How people differ in one parameter: `sd` on the scale of `form` (logarithm, logit, or its own)."""

    parameter: str
    form: str
    sd: float


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One published model. Make one with `model()` or `read_model()`."""

    id: str
    title: str
    drug: str
    same_as: str | None  # a model of the same data, beside which this one is shown but not counted
    file: str
    raw: Mapping[str, Any]
    complete: bool
    compartments: tuple[str, ...]
    parameters: Mapping[str, float]
    derived: Mapping[str, Expression]
    covariates: Mapping[str, Covariate]
    transfers: tuple[Transfer, ...]
    routes: Mapping[str, Route]
    analytes: Mapping[str, Analyte]
    spreads: tuple[Spread, ...]
    mixing: Floats  # lower triangle: independent normals -> correlated deviations

    # --- validity -----------------------------------------------------------------------------------------------------

    def covered(self, person: Person) -> dict[str, float]:
        """The covariates of a person this model speaks of; raises where it does not speak of them."""
        found = {}
        for c in self.covariates.values():
            value = person.given(c)
            if value is None and c.required:
                how = f"--{c.name}" if c.name in OWN else f"--covariate {c.name}="
                raise Missing(f"{self.id} needs the {c.name}{c.counted}: add {how}")
            if value is not None and c.switch and value not in (0, 1):
                raise BadInput(f"{c.name} {value:g} is neither yes nor no: give 1 or 0", c.name)
            if value is not None and not c.low <= value <= c.high:
                raise outside(self.id, f"{c.name} {value:g}{c.said}", f"{c.name} {_range(c.low, c.high)}{c.said}")
            found[c.name] = c.reference if value is None else value
        return found

    def assumed(self, person: Person) -> dict[str, float]:
        """Covariates nobody gave, with the reference value the paper uses."""
        return {c.name: c.reference for c in self.covariates.values() if person.given(c) is None}

    def route(self, name: str) -> Route:
        if not self.complete or not self.routes:
            raise OutsideModel(f"{self.id} cannot be run: its structure was not published where it could be read")
        if name not in self.routes:
            raise outside(self.id, f"route {name}", f"route {', '.join(self.routes)}")
        return self.routes[name]

    def course(
        self,
        dose_mg: float,
        route: Route,
        *,
        weight_kg: float | None = None,
        over_h: float = 0.0,
        repeat: Repeat | None = None,
        missed: Iterable[object] = (),
    ) -> tuple[Administration, ...]:
        """The administrations of a dose this model speaks of, split into the route's devices."""
        if over_h and route.name not in INFUSED:
            raise BadInput(f"a dose by route {route.name} is not infused: leave out --over", "over")
        course = administrations(
            dose_mg,
            over_h=over_h,
            repeat=repeat,
            missed=missed,
            device_mg=route.device_mg,
            device_gap_h=route.device_gap_h,
        )
        self.covers_dose(route, dose_mg, weight_kg)
        if over_h > route.max_over_h * (1 + SAME):
            raise outside(self.id, f"an infusion of {_span(over_h)}", f"infusions up to {_span(route.max_over_h)}")
        if repeat and route.single:
            raise outside(self.id, "a repeated dose", "single doses")
        return course

    def covers_dose(self, route: Route, dose_mg: float, weight_kg: float | None) -> None:
        """Raise where a dose lies outside the doses the model was made from."""
        if route.doses_mg and not _within(dose_mg, route.doses_mg):
            limits = f"{_range(*route.doses_mg)} mg by route {route.name}"
            raise outside(self.id, f"a dose of {dose_mg:g} mg", limits)
        if route.doses_mg_kg and weight_kg is not None and not _within(dose_mg / weight_kg, route.doses_mg_kg):
            limits = f"{_range(*route.doses_mg_kg)} mg/kg by route {route.name}"
            raise outside(self.id, f"a dose of {dose_mg / weight_kg:.3g} mg/kg", limits)

    @property
    def varies(self) -> bool:
        """Whether differences between people were published."""
        return bool(self.spreads)

    def not_varied(self) -> list[str]:
        """Lengths and lags that differ between people in the paper, and are simulated at their typical value."""
        spread = {s.parameter for s in self.spreads}
        timed = [e for r in self.routes.values() for entry in r.entries for e in (entry.duration, entry.lag) if e]
        return sorted({name for e in timed for name in self._roots(e.names) if name in spread})

    def _roots(self, names: Iterable[str]) -> set[str]:
        found, open_names = set[str](), list(names)
        while open_names:
            name = open_names.pop()
            if name not in found:
                found.add(name)
                open_names += self.derived[name].names if name in self.derived else ()
        return found


class Uncovered(OutsideModel):
    """What one model does not speak of, with what it covers instead."""

    def __init__(self, model: str, what: str, limits: str) -> None:
        super().__init__(f"{what} is outside {model}, which covers {limits}")
        self.what = what
        self.limits = limits


def outside(model: str, what: str, limits: str) -> OutsideModel:
    """The error for what a model does not speak of, with what it covers."""
    return Uncovered(model, what, limits)


class Missing(BadInput):
    """What one model needs to know of a person, and nobody gave."""


def nothing_valid(drug: str, route: str, candidates: Sequence[Model], errors: Mapping[str, BadInput]) -> BadInput:
    """The one error where every model of a drug refuses: what would help first, and no list of all of them.

    Models that know the route say most. A question that is wrong in itself comes before what is outside a model, and
    what is outside before what a further model needs to know.
    """
    near = {m.id: errors[m.id] for m in candidates if route in m.routes and m.complete}
    if not near:
        routes = sorted({name for m in candidates if m.complete for name in m.routes}, key=ROUTES.index)
        known = f"published routes are {', '.join(routes)}" if routes else "none can be run"
        return OutsideModel(f"no model of {drug} is valid here: none covers route {route}; {known}")
    wrong = [error for error in near.values() if not isinstance(error, OutsideModel | Missing)]
    beyond = {name: error for name, error in near.items() if isinstance(error, Uncovered)}
    if wrong or len(near) == 1 or not beyond:
        return (wrong or list(near.values()))[0]
    groups: dict[str, dict[str, list[str]]] = {}
    for name, error in beyond.items():
        groups.setdefault(error.what, {}).setdefault(error.limits, []).append(name)
    what, limits = max(groups.items(), key=lambda group: sum(map(len, group[1].values())))
    said = [f"{first}{_covers(len(rest))} {text}" for text, (first, *rest) in limits.items()]
    return OutsideModel(
        f"no model of {drug} is valid here: {what} by route {route} is outside all; {', '.join(said[:MOST_SAID])}"
    )


def _covers(others: int) -> str:
    return f" and {others} more cover" if others else " covers"


def _span(hours: float) -> str:
    return f"{hours:g} h" if hours >= 1 else f"{hours * ratio('h', 'min'):g} min"


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


# --- reading a model file ---------------------------------------------------------------------------------------------


def model(knowledge: Knowledge, name: str) -> Model:
    """A model by its id, whatever its case."""
    by_name = {fold(i): i for i in knowledge.models}
    if fold(name) not in by_name:
        raise unknown(knowledge, name)
    return read_model(knowledge.models[by_name[fold(name)]])


def models_of(knowledge: Knowledge, drug: str) -> list[Model]:
    """Every model of a drug, in the order of their ids."""
    return [read_model(e) for e in sorted(knowledge.models.values(), key=lambda e: str(e["id"])) if e["drug"] == drug]


def drug_named(knowledge: Knowledge, name: str) -> str:
    """The substance id behind any name of a drug that has a model."""
    drugs = {str(e["drug"]) for e in knowledge.models.values()}
    ids = (fold(name), *knowledge.substances_by_name.get(fold(name), ()))
    found = [i for i in ids if i in drugs]
    if not found:
        raise _instead(knowledge, ids) or unknown(knowledge, name)
    return found[0]


def _instead(knowledge: Knowledge, ids: Sequence[str]) -> UnknownModel | None:
    """The error for a product that has no model of its own where a model's file says what to ask instead."""
    for entry in knowledge.models.values():
        for hint in entry.get("hint", ()):
            if not {fold(name) for name in hint["names"]}.isdisjoint(ids):
                return UnknownModel(str(hint["says"]), "model")
    return None


def unknown(knowledge: Knowledge, name: str) -> UnknownModel:
    """The error for a name nobody knows, with the names that come close."""
    names = sorted({*knowledge.models, *(str(e["drug"]) for e in knowledge.models.values())})
    near = difflib.get_close_matches(fold(name), [fold(n) for n in names], n=MOST_NAMED)
    close = [n for n in names if fold(n) in near]
    hint = (
        f"did you mean {', '.join(close)}" if close else f"models exist for {', '.join(_drugs(knowledge)) or 'nothing'}"
    )
    return UnknownModel(f"no model is called {shown(name)}: {hint}; `adjunct models` lists them all", "model")


def _drugs(knowledge: Knowledge) -> list[str]:
    return sorted({str(e["drug"]) for e in knowledge.models.values()})


def route_named(name: str) -> str:
    """A route by any of its usual names."""
    found = ROUTE_NAMES.get(fold(name), fold(name))
    if found not in ROUTES:
        raise BadInput(f"unknown route {shown(name)}: one of {', '.join(ROUTES)}", "route")
    return found


def read_model(entry: Mapping[str, Any]) -> Model:
    """A model, as its file writes it; what cannot be read names the file."""
    where = str(entry.get("file", f"models/{entry.get('id', '?')}.toml"))
    try:
        return _read(entry, where)
    except BadInput as error:
        raise Refused(str(error), where) from None
    except AdjunctError:
        raise
    except (KeyError, ValueError, TypeError) as error:
        raise Refused(f"cannot be read: {type(error).__name__} {error}", where) from None


def _read(entry: Mapping[str, Any], where: str) -> Model:
    parameters = {}
    for p in entry.get("parameter", ()):
        parameters[p["name"]] = float(p["value"]) * measure(p["unit"])[0]
    derived = {d["name"]: expression(d["as"], where) for d in entry.get("derived", ())}
    covariates = {c["name"]: _covariate(c) for c in entry.get("covariate", ())}
    spreads = tuple(_spread(v, where) for v in entry.get("variability", ()))
    return Model(
        id=entry["id"],
        title=entry["title"],
        drug=entry["drug"],
        same_as=entry.get("same_as"),
        file=where,
        raw=entry,
        complete=bool(entry.get("complete", True)),
        compartments=tuple(entry.get("compartments", ())),
        parameters=parameters,
        derived=derived,
        covariates=covariates,
        transfers=_checked_transfers(entry, where),
        routes={r["name"]: _route(r, where) for r in entry.get("route", ())},
        analytes={a["name"]: _analyte(a, where) for a in entry["analytes"] if "compartment" in a},
        spreads=spreads,
        mixing=_mixing(spreads, entry.get("correlation", ()), where),
    )


def _checked_transfers(entry: Mapping[str, Any], where: str) -> tuple[Transfer, ...]:
    found = tuple(
        Transfer(
            f["from"],
            f.get("to"),
            expression(f["rate"], where),
            expression(f["mass_ratio"], where) if "mass_ratio" in f else None,
            bool(f.get("drains", True)),
        )
        for f in entry.get("flow", ())
    )
    named = {n for t in found for n in (t.source, t.target) if n is not None}
    if named - set(entry.get("compartments", ())):
        raise Refused(
            f"flows name compartments that are not listed: {sorted(named - set(entry['compartments']))}", where
        )
    return found


def _covariate(entry: Mapping[str, Any]) -> Covariate:
    between = tuple(entry.get("range", (0, 1)))
    switch = entry["unit"] == "1" and not entry["reference"] and between == (0, 1)  # a yes or no, such as `japanese`
    low, high = entry.get("range", (0, 1) if switch else (-math.inf, math.inf))
    return Covariate(
        name=entry["name"],
        unit=entry["unit"],
        reference=float(entry["reference"]),
        required=bool(entry.get("required", False)),
        low=float(low),
        high=float(high),
        switch=switch,
    )


def _route(entry: Mapping[str, Any], where: str) -> Route:
    return Route(
        name=entry["name"],
        entries=tuple(_entry(i, where) for i in entry.get("input", ())),
        doses_mg=_bounds(entry.get("doses_mg")),
        doses_mg_kg=_bounds(entry.get("doses_mg_kg")),
        max_over_h=hours(entry["max_over"]) if "max_over" in entry else math.inf,
        single=bool(entry.get("single", False)),
        device_mg=float(entry["device_mg"]) if "device_mg" in entry else None,
        device_gap_h=hours(f"{entry['device_gap_min']} min") if "device_gap_min" in entry else 0.0,
    )


def _entry(entry: Mapping[str, Any], where: str) -> Entry:
    fraction = expression(entry.get("fraction", "1"), where)
    return Entry(
        into=entry["into"],
        fraction=fraction,
        later=expression(entry["later"], where) if "later" in entry else fraction,
        duration=expression(entry["duration"], where) if "duration" in entry else None,
        lag=expression(entry["lag"], where) if "lag" in entry else None,
    )


def _analyte(entry: Mapping[str, Any], where: str) -> Analyte:
    mass = float(entry["molar_mass"]) if "molar_mass" in entry else None
    return Analyte(
        name=entry["name"],
        compartment=entry["compartment"],
        volume=expression(entry["volume"], where),
        unit=entry["unit"],
        molar_mass=mass,
        factor=rescale(1.0, "mg/L", entry["unit"], mass),
    )


def _spread(entry: Mapping[str, Any], where: str) -> Spread:
    form = entry["form"]
    if form not in FORMS:
        raise Refused(f"unknown form of variability {form!r}: one of {', '.join(FORMS)}", where)
    if form == "lognormal":
        sd = float(entry["sd_log"]) if "sd_log" in entry else math.sqrt(math.log1p(float(entry["cv"]) ** 2))
    else:
        sd = float(entry["sd"])
    return Spread(entry["parameter"], form, sd)


def _mixing(spreads: Sequence[Spread], correlations: Iterable[Mapping[str, Any]], where: str) -> Floats:
    """The Cholesky factor that turns independent standard normals into the published deviations."""
    place = {s.parameter: i for i, s in enumerate(spreads)}
    matrix = np.eye(len(spreads))
    for c in correlations:
        first, second = (place[name] for name in c["between"])
        matrix[first, second] = matrix[second, first] = float(c["value"])
    scale = np.array([s.sd for s in spreads])
    try:
        factor = np.asarray(np.linalg.cholesky(matrix), np.float64) if len(spreads) else matrix
    except np.linalg.LinAlgError:
        raise Refused("the correlations contradict each other", where) from None
    return np.asarray(factor * scale[:, None], np.float64)


def _bounds(doses: Sequence[float] | None) -> tuple[float, float] | None:
    return (float(min(doses)), float(max(doses))) if doses else None


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] * (1 - SAME) <= value <= bounds[1] * (1 + SAME)
