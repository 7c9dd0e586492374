"""The arithmetic of a dose: what has gone in, when it ends, and whether the numbers written down agree.

mg, mL, mg/mL, mL/h, mg/kg, kg, min; instants in milliseconds. It compares what persons ordered, drew up and set; it
never proposes a dose, a volume or a rate. A number that was not written down is not compared.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import chain, permutations
from typing import Any, NamedTuple

from adjunct.base import FAR, BadInput, duration_ms, partial_date
from adjunct.knowledge import Knowledge
from adjunct.session.model import Dose, Given

HOUR = duration_ms("1 h")
MINUTE = duration_ms("1 min")
PERCENT = 100


class Limits(NamedTuple):
    """What the numbers are held against: facts and strengths of the knowledge, read once."""

    tolerance: float  # share by which two numbers may differ and still be the same, rounded otherwise
    strengths: Mapping[str, tuple[float, ...]]  # substance -> mg/mL in which it is sold
    device: float  # mg of esketamine in one nasal device
    cap: float  # mg of ketamine before the first infusion was tolerated
    cap_time: int
    per_kg_top: float  # mg/kg, the highest that was compared in a trial
    mix_up: str  # what to do where two strengths seem to be mistaken for each other

    @classmethod
    def of(cls, knowledge: Knowledge) -> Limits:
        strengths: dict[str, tuple[float, ...]] = {}
        for product in knowledge.content["stock"]["product"]:
            if "concentration" in product:
                strengths[product["substance"]] = (*strengths.get(product["substance"], ()), product["concentration"])
        return cls(
            tolerance=knowledge.number("session.dose.tolerance") / PERCENT,
            strengths=strengths,
            device=knowledge.number("esketamine.device.dose"),
            cap=knowledge.number("dose.iv.first_cap"),
            cap_time=knowledge.length_ms("dose.iv.first_cap_time"),
            per_kg_top=knowledge.number("protocol.ketamine.dose.top"),
            mix_up=knowledge.content["stock"]["mix_up"]["says"],
        )

    def same(self, a: float, b: float) -> bool:
        return abs(a - b) <= self.tolerance * max(abs(a), abs(b))


class Disagreement(NamedTuple):
    """Two things that cannot both be right. `code` for machines; `says` holds both numbers, for the chair."""

    code: str
    says: str


# --- how much has gone in ---------------------------------------------------------------------------------------------


def infused(rate_ml_h: float, concentration_mg_ml: float, start: int, until: int) -> float:
    """mg that a pump gives between two instants at one rate; nothing where `until` is not after `start`.

    >>> round(infused(75, 0.7, 0, 40 * MINUTE), 6)  # 50 mL in 40 minutes, of 0.7 mg/mL
    35.0
    """
    return rate_ml_h * concentration_mg_ml * max(until - start, 0) / HOUR


def so_far(dose: Dose, now: int) -> float | None:
    """mg given up to `now`: devices, injection, stretches of infusion and the one that runs; None where unknown.

    A pump stops at the volume that was set, so a running stretch never counts more than what was left of it.
    """
    running = running_mg(dose, now)
    return None if running is None else sum(_part(part, now) for part in dose.given) + running


def running_mg(dose: Dose, now: int) -> float | None:
    """mg of the stretch that runs, up to `now`; None where the concentration is not known."""
    if dose.rate is None or now <= dose.since:
        return 0.0
    if dose.concentration is None:
        return None
    running, left = infused(dose.rate, dose.concentration, dose.since, now), _left_ml(dose)
    return running if left is None else min(running, left * dose.concentration)


def ends(dose: Dose) -> int | None:
    """When the running pump will have given the volume that was set, at the rate it has now; None where none runs."""
    left = _left_ml(dose)
    if left is None or not dose.rate:
        return None
    until = dose.since + left / dose.rate * HOUR
    return round(until) if until < FAR else None


def _part(part: Given, now: int) -> float:
    if now < part.at:
        return 0
    return part.mg if part.until <= now else part.mg * (now - part.at) / (part.until - part.at)


def _left_ml(dose: Dose) -> float | None:
    """mL of the set volume that had not gone in when the pump began to run as it does."""
    if dose.volume is None or not dose.concentration:
        return None
    return max(dose.volume - dose.mg / dose.concentration, 0)


# --- do the numbers agree ---------------------------------------------------------------------------------------------


def prepared(
    data: Mapping[str, Any],
    limits: Limits,
    *,
    treatment: str,
    at: int,
    number: int | None = None,
    measured_kg: float | None = None,
    offset: timedelta = timedelta(0),
) -> tuple[Disagreement, ...]:
    """What in a prepared dose (the data of `dose-prepared`) does not agree with itself, today's weight or the caps.

    `number`: of the session in its course; unknown counts as the first. The weight written there may be below the
    measured one (an adjusted weight), never above it.
    """
    nasal, first = treatment == "esketamine-nasal", number is None or number <= 1
    return tuple(
        chain(
            _substance(data, treatment, nasal),
            _weighed(data, limits, measured_kg, nasal),
            _drawn(data, limits),
            _devices(data, limits),
            _capped(data, limits) if treatment == "ketamine-iv" and first else (),
            _expiry(str(data["expiry"]), at, offset) if "expiry" in data else (),
        )
    )


def package(
    data: Mapping[str, Any],
    prepared: Mapping[str, Any] | None,
    limits: Limits,
    *,
    nasal: bool,
    at: int,
    offset: timedelta,
) -> tuple[Disagreement, ...]:
    """What in a given device or injection does not agree with its package and with what was prepared."""
    found = list(_expiry(str(data["expiry"]), at, offset)) if "expiry" in data else []
    lot, meant = data.get("lot"), (prepared or {}).get("lot")
    one = not nasal or data["number"] == 1  # the second device may be of another lot
    if one and lot is not None and meant is not None and lot != meant:
        found.append(Disagreement("other-lot", f"lot {lot} given, lot {meant} prepared: look at the packages"))
    if nasal and not limits.same(data["dose"], limits.device):
        says = f"one device holds {limits.device:g} mg, {data['dose']:g} mg was written: count the devices"
        found.append(Disagreement("device-dose", says))
    return tuple(found)


def _substance(data: Mapping[str, Any], treatment: str, nasal: bool) -> Iterator[Disagreement]:
    if data["substance"] != ("esketamine" if nasal else "ketamine"):
        yield Disagreement("other-substance", f"{data['substance']} was prepared for {treatment}: they do not match")


def _weighed(data: Mapping[str, Any], limits: Limits, measured: float | None, nasal: bool) -> Iterator[Disagreement]:
    """Weight and mg/kg against the dose, the weight of today, and what was ever compared in a trial."""
    dose, weight, per_kg = data["dose"], data.get("weight"), data.get("per_kg")
    if weight is not None and per_kg is not None and not limits.same(weight * per_kg, dose):
        found = f"{weight:g} kg x {per_kg:g} mg/kg is {_near(weight * per_kg)} mg"
        yield Disagreement("weight-dose", f"{found}, the dose says {dose:g} mg: work it out again")
    if weight is not None and measured is not None and weight > measured and not limits.same(weight, measured):
        yield Disagreement("weight", f"dosed on {weight:g} kg, measured {measured:g} kg: ask the prescriber")
    if per_kg is not None and not nasal and per_kg > limits.per_kg_top:
        top = f"the highest dose compared in a trial was {limits.per_kg_top:g} mg/kg"
        yield Disagreement("per-kg", f"{per_kg:g} mg/kg: {top}: ask the prescriber")


def _devices(data: Mapping[str, Any], limits: Limits) -> Iterator[Disagreement]:
    dose, devices = data["dose"], data.get("devices")
    if devices is not None and not limits.same(devices * limits.device, dose):
        found = f"{devices:g} devices of {limits.device:g} mg are {devices * limits.device:g} mg"
        yield Disagreement("devices-dose", f"{found}, the dose says {dose:g} mg: count the devices again")


def _drawn(data: Mapping[str, Any], limits: Limits) -> Iterator[Disagreement]:
    """Volume against concentration and dose; rate and time against volume."""
    dose, volume, concentration = data["dose"], data.get("volume"), data.get("concentration")
    if volume is not None and concentration is not None and not limits.same(volume * concentration, dose):
        found = (
            f"{volume:g} mL x {concentration:g} mg/mL is {_near(volume * concentration)} mg, the dose says {dose:g} mg"
        )
        mixed = _mixed(volume * concentration, dose, limits.strengths.get(data["substance"], ()), limits)
        yield Disagreement("ampoule" if mixed else "volume-dose", f"{found}: {mixed or 'work it out again'}")
    rate, duration = data.get("rate"), data.get("duration")
    if rate is None or duration is None or volume is None:
        return
    through = rate * duration * MINUTE / HOUR
    if not limits.same(through, volume):
        found = f"{rate:g} mL/h for {duration:g} min is {_near(through)} mL, the volume says {volume:g} mL"
        yield Disagreement("rate-volume", f"{found}: work out the rate again")


def _mixed(found: float, meant: float, strengths: tuple[float, ...], limits: Limits) -> str:
    """In words, that two strengths of one substance differ by just this factor; "" where none do."""
    if not meant:
        return ""
    for one, other in permutations(strengths, 2):
        if limits.same(found / meant, one / other):
            much = f"{one / other:g} times as much" if one > other else f"{other / one:g} times too little"
            sold = ", ".join(f"{strength:g}" for strength in sorted(strengths))
            return f"{much}; it is sold as {sold} mg/mL. {limits.mix_up}"
    return ""


def _capped(data: Mapping[str, Any], limits: Limits) -> Iterator[Disagreement]:
    """The first infusion: no more than the cap, and no faster."""
    dose, minutes = data["dose"], data.get("duration")
    fastest = limits.cap * MINUTE / limits.cap_time
    if dose > limits.cap:
        says = f"{dose:g} mg is above {limits.cap:g} mg, this project's cap until a first infusion was tolerated"
        yield Disagreement("cap", f"{says}: ask the prescriber")
    elif minutes and dose / minutes > fastest:
        says = (
            f"{_near(dose / minutes)} mg/min is faster than {fastest:g} mg/min, this project's cap for a first infusion"
        )
        yield Disagreement("cap-rate", f"{says}: ask the prescriber")


def _expiry(text: str, at: int, offset: timedelta) -> Iterator[Disagreement]:
    try:
        over = partial_date(text, offset)[1] < at
    except BadInput:
        yield Disagreement("expiry", "the expiry date cannot be read: write YYYY-MM or YYYY-MM-DD from the package")
        return
    if over:
        yield Disagreement("expired", f"expired {text}: do not give it, take another lot")


def checked(dose: Dose, data: Mapping[str, Any], by: str, limits: Limits) -> tuple[Disagreement, ...]:
    """What keeps a second check (the data of `dose-checked`, by `by`) from being one of the prepared dose.

    It must be of this preparation, by somebody else, with that person's own dose, and own volume and rate where the
    preparation has them; the numbers must agree, and the person must say so.
    """
    return tuple(_checked(dose, data, by, limits))


def _checked(dose: Dose, data: Mapping[str, Any], by: str, limits: Limits) -> Iterator[Disagreement]:
    if dose.prepared is None or data["prepared"] != dose.prepared_event:
        yield Disagreement("check-other", "the check is of another preparation: check the dose that will be given")
        return
    if person(by) == person(dose.prepared_by):
        yield Disagreement("check-same-person", "prepared and checked by one person: a second person checks it")
    if not data["agrees"]:
        yield Disagreement("check-disagrees", "the second person does not agree: do not give it, work it out together")
    for name, unit in (("dose", "mg"), ("volume", "mL"), ("rate", "mL/h")):
        first, second = dose.prepared.get(name), data.get(name)
        if first is not None and second is None:
            yield Disagreement("check-missing", f"the second person wrote no {name}: work it out and write it down")
        elif first is not None and second is not None and not limits.same(first, second):
            says = f"{name}: {first:g} {unit} prepared, {second:g} {unit} checked"
            yield Disagreement("check-differs", f"{says}: do not give it, work it out together")


def started(dose: Dose, data: Mapping[str, Any], limits: Limits) -> tuple[Disagreement, ...]:
    """Where the pump (the data of `infusion-started`) was set otherwise than the dose that was prepared."""
    prepared = dose.prepared or {}
    return tuple(
        Disagreement("pump", f"{name}: {prepared[name]:g} {unit} prepared, {data[name]:g} {unit} set: look at the pump")
        for name, unit in (("rate", "mL/h"), ("concentration", "mg/mL"), ("volume", "mL"))
        if name in prepared and name in data and not limits.same(prepared[name], data[name])
    )


def person(name: str) -> str:
    """A name as it is compared: one person is one person, however it was typed."""
    seen = "".join(
        c for c in unicodedata.normalize("NFKC", name) if c.isprintable() and unicodedata.category(c) != "Mn"
    )
    return " ".join(seen.split()).casefold()


def _near(value: float) -> str:
    """To three digits, without an exponent."""
    return f"{float(f'{value:.3g}'):g}"
