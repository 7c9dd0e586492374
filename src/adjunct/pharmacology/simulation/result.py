"""The answer to "how high, how long": curves and summaries as frozen values, and their JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, TypeVar

import orjson

from adjunct.pharmacology.simulation.arithmetic import rescale


@dataclass(frozen=True, slots=True)
class Band:
    """One number with its spread: a typical person, and the 5th and 95th percentile of people where published.

    `low` and `high` are the least and greatest typical value over several models; None where there is one model.
    """

    typical: float
    p5: float | None
    p95: float | None
    unit: str
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return _shown(self, ("typical", "p5", "p95", "unit"))


@dataclass(frozen=True, slots=True)
class Curve:
    """Concentration over time, with the same spread at every time."""

    time_h: tuple[float, ...]
    typical: tuple[float, ...]
    p5: tuple[float, ...] | None
    p95: tuple[float, ...] | None
    unit: str
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        return _shown(self, ("time_h", "typical", "p5", "p95", "unit"))


Spread = TypeVar("Spread", Band, Curve)


def _shown(found: Band | Curve, names: Sequence[str]) -> dict[str, Any]:
    whole = {name: getattr(found, name) for name in names}
    return whole | ({"low": found.low, "high": found.high} if found.low is not None else {})


@dataclass(frozen=True, slots=True)
class AnalyteExposure:
    """What happens to one analyte. `metrics`: cmax, tmax, auc_inf, auc_last, half_life and what else was asked.

    cmax is the highest in the hours shown, tmax the hours from the dose before it; auc_last ends with the last hour.
    """

    curve: Curve
    metrics: Mapping[str, Band]
    molar_mass: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"curve": self.curve.to_dict(), "metrics": {k: v.to_dict() for k, v in self.metrics.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelExposure:
    """What one published model says, and how far to trust it."""

    id: str
    analytes: Mapping[str, AnalyteExposure]
    title: str
    status: str
    population: str
    sampling: str
    source: Mapping[str, Any]
    read_as: str
    read_note: str
    errata: tuple[str, ...]
    gaps: tuple[str, ...]
    notes: tuple[str, ...]
    same_as: str | None  # another model shown here that rests on the same data; this one is not counted again
    assumed: Mapping[str, float]
    administrations: tuple[Mapping[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.__slots__}
        return own | {"analytes": {name: a.to_dict() for name, a in self.analytes.items()}}


@dataclass(frozen=True, slots=True)
class RefusedModel:
    """A model of the drug that does not speak of this person, route or dose."""

    model: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One question answered by every valid model, and by their envelope."""

    asked: str
    drug: str
    route: str
    dose: Mapping[str, Any]
    person: Mapping[str, Any]
    hours: float
    n: int | None
    seed: int | None
    analytes: Mapping[str, AnalyteExposure]
    models: tuple[ModelExposure, ...]
    refused: tuple[RefusedModel, ...]
    knowledge: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "asked": self.asked,
            "drug": self.drug,
            "route": self.route,
            "dose": self.dose,
            "person": self.person,
            "hours": self.hours,
            "n": self.n,
            "seed": self.seed,
            "analytes": {name: a.to_dict() for name, a in self.analytes.items()},
            "models": [m.to_dict() for m in self.models],
            "refused": [{"model": r.model, "why": r.why} for r in self.refused],
            "knowledge": self.knowledge,
        }

    def to_json(self) -> str:
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()


# --- several models ---------------------------------------------------------------------------------------------------


def envelope(models: Sequence[Mapping[str, AnalyteExposure]]) -> dict[str, AnalyteExposure]:
    """All models at once: median of the typical values, least 5th and greatest 95th percentile."""
    names = dict.fromkeys(name for found in models for name in found)
    return {name: _over([found[name] for found in models if name in found]) for name in names}


def _over(found: Sequence[AnalyteExposure]) -> AnalyteExposure:
    if len(found) == 1:
        return found[0]
    unit = found[0].curve.unit
    mass = next((a.molar_mass for a in found if a.molar_mass is not None), None)
    curves = [_in_unit(a.curve, unit, mass) for a in found]
    shared = [name for name in found[0].metrics if all(name in a.metrics for a in found)]
    metrics = {name: _band([a.metrics[name] for a in found], mass) for name in shared}
    typical, p5s, p95s = [c.typical for c in curves], [c.p5 for c in curves], [c.p95 for c in curves]
    curve = Curve(
        time_h=curves[0].time_h,
        typical=tuple(map(median, zip(*typical, strict=True))),
        p5=_least(p5s),
        p95=_greatest(p95s),
        unit=unit,
        low=_least(typical),
        high=_greatest(typical),
    )
    return AnalyteExposure(curve, metrics, mass)


def _least(lines: Iterable[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    known = [line for line in lines if line is not None]
    return tuple(map(min, zip(*known, strict=True))) if known else None


def _greatest(lines: Iterable[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    known = [line for line in lines if line is not None]
    return tuple(map(max, zip(*known, strict=True))) if known else None


def _band(bands: Sequence[Band], mass: float | None) -> Band:
    unit = bands[0].unit
    same = [_in_unit(band, unit, mass) for band in bands]
    typical = [band.typical for band in same]
    return Band(
        typical=median(typical),
        p5=min((b.p5 for b in same if b.p5 is not None), default=None),
        p95=max((b.p95 for b in same if b.p95 is not None), default=None),
        unit=unit,
        low=min(typical),
        high=max(typical),
    )


def _in_unit(found: Spread, unit: str, mass: float | None) -> Spread:
    """The same numbers in another unit."""
    if found.unit == unit:
        return found
    factor = rescale(1.0, found.unit, unit, mass)
    changed: dict[str, Any] = {"unit": unit}
    for name in ("typical", "p5", "p95"):
        value = getattr(found, name)
        if isinstance(value, tuple):
            changed[name] = tuple(factor * v for v in value)
        elif value is not None:
            changed[name] = factor * value
    return replace(found, **changed)
