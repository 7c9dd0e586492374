"""FHIR data types, taken apart: times as intervals, codes, quantities in a concept's own unit, answers.

What cannot be read is never filled in: a time becomes "any time until now", a value becomes absent with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adjunct.base import NO, YES, AdjunctError, convert, partial_date, unit_spellings, units
from adjunct.knowledge.entries import LOCAL, Concept, fold
from adjunct.record.draft import PAST, Draft

Resource = Mapping[str, Any]
Span = tuple[int, int]

UCUM = "http://unitsofmeasure.org"
DROPPED = frozenset({"entered-in-error", "cancelled"})
ORDINAL = frozenset(
    f"http://hl7.org/fhir/StructureDefinition/{name}"
    for name in ("ordinalValue", "itemWeight", "questionnaire-ordinalValue")
)
TRUTHS = {YES: ("true", "yes", "positive"), NO: ("false", "no", "negative")}
INFINITY = float("inf")


def listed(value: Any) -> list[Any]:
    """FHIR lists as lists; anything else that stands where a list belongs as one entry."""
    return value if isinstance(value, list) else [] if value is None else [value]


def mappings(value: Any) -> list[Resource]:
    """The elements of a FHIR list that are objects."""
    return [entry for entry in listed(value) if isinstance(entry, Mapping)]


# --- codes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Codes:
    """A CodeableConcept: its codings as `(system, code)`, and what it says in words."""

    pairs: tuple[tuple[str, str], ...]
    text: str
    displays: tuple[str, ...] = ()

    @classmethod
    def read(cls, concept: Any) -> Codes:
        """A CodeableConcept, or a lone Coding."""
        lone = isinstance(concept, Mapping) and ("code" in concept or "display" in concept)
        if isinstance(concept, Mapping) and ("coding" in concept or "text" in concept or not lone):
            codings, text = mappings(concept.get("coding")), concept.get("text")
        else:
            codings, text = mappings(concept), None
        pairs = tuple((str(c.get("system", "")), str(c["code"])) for c in codings if "code" in c)
        displays = tuple(c["display"] for c in codings if isinstance(c.get("display"), str))
        return cls(pairs, text if isinstance(text, str) else next(iter(displays), ""), displays)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything it says in words, each once."""
        return tuple(dict.fromkeys(t for t in (self.text, *self.displays) if t))


def one_of(concept: Any, known: frozenset[str]) -> str:
    """The code of a status among `known`, whichever system or words it comes in; "?" if it says something else."""
    if concept is None:
        return ""
    codes = Codes.read(concept)
    said = [fold(word) for word in (*(code for _, code in codes.pairs), *codes.names)]
    return next((word for word in said if word in known), "?")


# --- times ------------------------------------------------------------------------------------------------------------


def ever(draft: Draft) -> Span:
    """Any time until now."""
    return PAST, draft.now.ms


def present(draft: Draft) -> Span:
    """The span of what holds at this moment."""
    return draft.now.ms, draft.now.ms


def date_of(draft: Draft, reference: str, text: Any) -> Span | None:
    """A date or dateTime as the interval it may stand for; None if there is none, or if it cannot be read."""
    if not isinstance(text, str):
        return None
    try:
        span = partial_date(text, draft.now.offset)
        draft.at(span)  # a date outside the calendar that can be shown is no date
    except (AdjunctError, ValueError, OverflowError):
        draft.problem(reference, "a date cannot be read, so the time is unknown", "Correct the date.")
        return None
    return span


def period_of(draft: Draft, reference: str, period: Any) -> tuple[Span | None, Span | None]:
    """When a Period began and when it ended, each as an interval; None where it does not say."""
    if not isinstance(period, Mapping):
        return None, None
    start, end = (date_of(draft, reference, period.get(key)) for key in ("start", "end"))
    if start and end and start[0] > end[1]:
        draft.problem(reference, "a period ends before it begins, so the time is unknown", "Correct the dates.")
        return None, None
    return start, end


def span_of(draft: Draft, reference: str, *candidates: Any) -> Span:
    """The first time that is given among `candidates` (dateTime or Period); none, or unreadable: any time until now."""
    for candidate in candidates:
        if isinstance(candidate, str):
            return date_of(draft, reference, candidate) or ever(draft)
        if isinstance(candidate, Mapping) and ("start" in candidate or "end" in candidate):
            start, end = period_of(draft, reference, candidate)
            low, high = start[0] if start else PAST, end[1] if end else draft.now.ms
            return low, max(low, high)
    return ever(draft)


# --- values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """A value[x], taken apart as far as it goes. `low`..`high` differ when only a bound was reported."""

    low: float = float("nan")
    high: float = float("nan")
    unit: str = ""
    unit_text: str = ""
    codes: Codes | None = None
    truth: int | None = None
    text: str = ""
    span: Span | None = None
    ordinal: float | None = None
    absent: str = ""

    @property
    def is_number(self) -> bool:
        return self.low == self.low  # not NaN

    @property
    def shown(self) -> str:
        """The value as it stands in the record, or why there is none."""
        if self.is_number:
            return f"{self.low:g}" if self.low == self.high else f"{self.low:g}\u2013{self.high:g}"
        if self.codes:
            return self.codes.text or "; ".join(code for _, code in self.codes.pairs)
        if self.absent:
            return f"unknown: {self.absent}"
        return self.text or ("" if self.truth is None else "yes" if self.truth == YES else "no")


def read_value(draft: Draft, reference: str, holder: Resource) -> Value:
    """The value[x] of an Observation, a component or an answer."""
    match holder:
        case {"valueQuantity": Mapping() as quantity}:
            return quantity_of(quantity)
        case {"valueInteger": int() | float() as number} | {"valueDecimal": int() | float() as number}:
            return Value(low=float(number), high=float(number))
        case {"valueBoolean": bool() as truth}:
            return Value(truth=YES if truth else NO)
        case {"valueCodeableConcept": Mapping() as concept} | {"valueCoding": Mapping() as concept}:
            return Value(codes=Codes.read(concept), ordinal=_ordinal(concept))
        case {"valueString": str() as text}:
            return Value(text=text)
        case {"valueDateTime": str() as time} | {"valueDate": str() as time}:
            return Value(span=span_of(draft, reference, time), text=time)
        case {"valuePeriod": Mapping() as period}:
            return Value(span=span_of(draft, reference, period))
        case {"valueRange": Mapping() as bounds}:
            return range_of(bounds)
    if "dataAbsentReason" in holder:
        reason = Codes.read(holder["dataAbsentReason"])
        return Value(absent=reason.text or next((code for _, code in reason.pairs), "no reason given"))
    flags = [Codes.read(flag) for flag in mappings(holder.get("interpretation"))]
    kinds = [key for key in holder if key.startswith("value")]
    if flags and not kinds:
        return Value(codes=flags[0])
    return Value(absent=f"{kinds[0]} is not read" if kinds else "no value")


def quantity_of(quantity: Resource) -> Value:
    """A Quantity; a comparator leaves one side open."""
    number = quantity.get("value")
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return Value(absent="no number")
    low = high = float(number)
    match quantity.get("comparator"):
        case "<" | "<=":
            low = -INFINITY
        case ">" | ">=":
            high = INFINITY
    code = quantity.get("code") if quantity.get("system") in (UCUM, None) else None
    return Value(low=low, high=high, unit=str(code or ""), unit_text=str(quantity.get("unit") or ""))


def range_of(bounds: Resource) -> Value:
    """A Range; a side that is missing is open, and two sides in different units are no value."""
    sides = {side: quantity_of(bounds[side]) for side in ("low", "high") if isinstance(bounds.get(side), Mapping)}
    known = [v for v in sides.values() if v.is_number]
    if not known or len({(v.unit, v.unit_text) for v in known}) > 1:
        return Value(absent="a range without numbers in one unit")
    low = sides["low"].low if "low" in sides and sides["low"].is_number else -INFINITY
    high = sides["high"].high if "high" in sides and sides["high"].is_number else INFINITY
    return Value(low=low, high=high, unit=known[0].unit, unit_text=known[0].unit_text)


def _ordinal(coding: Resource) -> float | None:
    holders = [coding, *mappings(coding.get("coding"))]
    for extension in (e for holder in holders for e in mappings(holder.get("extension"))):
        if extension.get("url") in ORDINAL:
            number = extension.get("valueDecimal", extension.get("valueInteger"))
            return float(number) if isinstance(number, (int, float)) else None
    return None


def ends(low: float, high: float) -> tuple[float, ...]:
    """The values that stand for an interval in the event table: both ends, or the one number (or NaN) that it is."""
    return (low, high) if low < high else (low,)


def unit_of(value: Value) -> str:
    """The UCUM code that a value comes in: its own code, or a common spelling in the unit's text."""
    return value.unit or unit_spellings().get(value.unit_text, value.unit_text)


def in_unit(value: Value, concept: Concept) -> tuple[float, float]:
    """Both bounds of `value` in the concept's own unit. Raises `AdjunctError` for a unit that does not fit."""
    unit, target = unit_of(value), concept.unit or "1"
    counts = target == "1" or target.startswith("{")
    if not unit:
        if counts:
            return value.low, value.high
        raise AdjunctError(f"{concept.title} has no unit: send the UCUM code, for example {target!r}")
    annotated = unit == "1" or (unit.startswith("{") and unit.endswith("}"))
    if counts and annotated:  # UCUM gives braces no meaning: {score}, {points} and 1 all count
        return value.low, value.high
    if counts and unit in units():
        raise AdjunctError(f"{concept.title} is counted, not measured: send it without {unit!r}")
    if unit in concept.raw.get("accepts", {}):
        factor = float(concept.raw["accepts"][unit])
        return value.low * factor, value.high * factor
    low, high = (convert(v, unit, target, molar_mass=concept.molar_mass) for v in (value.low, value.high))
    return low, high


def answer_of(draft: Draft, concept: Concept, value: Value) -> str:
    """The canonical answer ('yes', 'no', 'positive', ...) or '' when the value says nothing this concept knows."""
    table = draft.knowledge.answers[concept.id]
    truth = value.truth
    if truth is None and value.low == value.high and value.low in (0, 1):
        truth = YES if value.low else NO
    if truth is not None:
        words: tuple[str, ...] = TRUTHS[truth]
    elif value.codes:
        coded = [f"{system}|{code}" for system, code in value.codes.pairs]
        own = [code for system, code in value.codes.pairs if system == LOCAL]
        words = (*coded, *own, *value.codes.names)
    else:
        words = (value.text,)
    allowed = concept.answers or ("yes", "no")
    return next((table[fold(w)] for w in words if table.get(fold(w)) in allowed), "")
