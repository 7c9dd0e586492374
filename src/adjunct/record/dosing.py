"""How much a day: dosage lines of FHIR, or what somebody wrote, as an interval of milligrams.

Every part that is missing leaves the amount open; nothing is taken from a usual dose, a strength or a tablet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from adjunct.base import YES, AdjunctError, convert
from adjunct.items import Item
from adjunct.knowledge.entries import fold
from adjunct.record.draft import Draft
from adjunct.record.values import Codes, Resource, Value, listed, mappings, quantity_of, range_of, unit_of

Interval = tuple[float, float]


def dosages(resource: Resource) -> list[Resource]:
    """The dosage lines of any medication resource."""
    return [*mappings(resource.get("dosage")), *mappings(resource.get("dosageInstruction"))]


def as_needed(dosage: Resource) -> bool:
    """Whether a line is taken only when needed, and so perhaps not at all."""
    return dosage.get("asNeededBoolean") is True or "asNeededCodeableConcept" in dosage


def per_day_mg(draft: Draft, resource: Resource) -> Interval | None:
    """Milligrams a day over all dosage lines, or None when any line leaves it open."""
    lines = dosages(resource)
    total_low = total_high = 0.0
    for dosage in lines:
        amount, times = _dose_mg(dosage), _times_a_day(draft, dosage)
        if amount is None or times is None:
            return None
        total_low += 0.0 if as_needed(dosage) else amount[0] * times[0]
        total_high += amount[1] * times[1]
    return (total_low, total_high) if lines else None


def times_a_day(draft: Draft, resource: Resource) -> Interval | None:
    """How often a day over all dosage lines; None when any of them does not say."""
    lines = [(dosage, _times_a_day(draft, dosage)) for dosage in dosages(resource)]
    known = [(0.0 if as_needed(dosage) else times[0], times[1]) for dosage, times in lines if times is not None]
    if not lines or len(known) < len(lines):
        return None
    return sum(t[0] for t in known), sum(t[1] for t in known)


def _dose_mg(dosage: Resource) -> Interval | None:
    for rate in mappings(dosage.get("doseAndRate")):
        if "doseQuantity" in rate:
            return _mg(quantity_of(rate["doseQuantity"]))
        if "doseRange" in rate:
            return _mg(range_of(rate["doseRange"]))
    return None


def administered_mg(draft: Draft, resource: Resource, given: tuple[int, int] | None) -> Interval | None:
    """Milligrams of one administration: its dose, a dose per body weight times the weight recorded for that day.

    None where any part of that is missing: no dose, a volume, a dose per weight without a weight.
    """
    amounts = [quantity_of(d["dose"]) for d in mappings(resource.get("dosage")) if isinstance(d.get("dose"), Mapping)]
    if len(amounts) != 1 or not amounts[0].is_number:
        return None
    whole = _mg(amounts[0])
    if whole is not None:
        return whole if math.isfinite(whole[1]) else None
    try:
        low, high = (convert(v, unit_of(amounts[0]), "mg/kg") for v in (amounts[0].low, amounts[0].high))
    except AdjunctError:
        return None
    weight = _weight_kg(draft, given) if given and high > 0 and math.isfinite(high) else None
    return (max(low, 0.0) * weight[0], high * weight[1]) if weight else None


def _weight_kg(draft: Draft, given: tuple[int, int]) -> Interval | None:
    """The last weight recorded up to the end of that day, not older than a weight may be; equal times are a range."""
    concept = draft.knowledge.concepts["weight"]
    rows = [
        r
        for r in draft.seen.get(concept.id, ())
        if r.status == YES and r.value == r.value and given[0] - concept.ages[draft.phase] <= r.t0 <= given[1]
    ]
    newest = max(((r.t1, r.t0) for r in rows), default=None)
    kilograms = [convert(r.value, concept.unit, "kg") for r in rows if (r.t1, r.t0) == newest]
    return (min(kilograms), max(kilograms)) if kilograms else None


def route_of(resource: Resource) -> str:
    """The route as the entry words it, folded; empty where it says none."""
    return next((fold(name) for d in dosages(resource) for name in Codes.read(d.get("route")).names), "")


def _mg(value: Value) -> Interval | None:
    """A mass in milligrams; a volume, a count of tablets or a nonsensical amount is none."""
    try:
        low, high = (convert(v, unit_of(value), "mg") for v in (value.low, value.high))
    except AdjunctError:
        return None
    return (max(low, 0.0), high) if high > 0 else None


def _times_a_day(draft: Draft, dosage: Resource) -> Interval | None:
    timing: Any = dosage.get("timing") or {}
    repeat: Any = timing.get("repeat") or {}
    days, moments = len(listed(repeat.get("dayOfWeek"))), listed(repeat.get("timeOfDay")) or listed(repeat.get("when"))
    share = convert(float(days), "/wk", "/d") if days else 1.0
    if repeat.get("period") and repeat.get("periodUnit"):
        try:
            most, least = (
                convert(float(repeat.get(key) or repeat["period"]), str(repeat["periodUnit"]), "d")
                for key in ("periodMax", "period")
            )
        except AdjunctError:
            return None
        often = float(repeat.get("frequency") or 1)
        if least > 1:
            share = 1.0  # days of the week thin out what is daily; a weekly line already counts them
        found = often / most * share, float(repeat.get("frequencyMax") or often) / least * share
        return found if 0 < least <= most and found[0] > 0 else None
    if moments or days:
        often = (len(moments) or 1) * share
        return often, often
    codes = Codes.read(timing.get("code"))
    words = draft.knowledge.content["knowledge"]["timing_codes"]
    known = next((float(words[c]) for c in (*(c for _, c in codes.pairs), codes.text) if c in words), None)
    return (known, known) if known is not None else None


# --- what people write ------------------------------------------------------------------------------------------------


def item_per_day_mg(item: Item) -> Interval | None:
    """Milligrams a day, where amount, unit and times a day are all known and the unit is a mass."""
    dose, times = item.dose, item_times_a_day(item)
    if dose is None or dose.low is None or dose.high is None or not dose.unit or times is None:
        return None
    try:
        low, high = (convert(v, dose.unit, "mg") for v in (dose.low, dose.high))
    except AdjunctError:
        return None
    return (0.0 if item.as_needed else low * times[0]), high * times[1]


def item_times_a_day(item: Item) -> Interval | None:
    """How often a day, as an interval."""
    dose = item.dose
    if dose is None or dose.per_day_low is None:
        return None
    return dose.per_day_low, dose.per_day_high if dose.per_day_high is not None else dose.per_day_low
