"""What is given and when: the words of a prescription as administrations in mg and hours.

>>> course = administrations(dose("56 mg").mg(), device_mg=28.0, device_gap_h=1 / 12)
>>> [(a.start_h, a.amount_mg, a.part) for a in course]
[(0.0, 28.0, 0), (0.08333333333333333, 28.0, 1)]
>>> repeat("2x/week for 4 weeks")
Repeat(interval_h=84.0, doses=8)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from adjunct.base import BadInput, convert, shown, unit_spellings, units
from adjunct.pharmacology.simulation.arithmetic import ratio

MOST_DOSES = 500
WHOLE = 1e-9
TIMES = {"once": 1, "twice": 2, "three times": 3, "four times": 4}
LATIN = {"qd": 1, "od": 1, "bid": 2, "bd": 2, "tid": 3, "tds": 3, "qid": 4, "qds": 4}
PERIODS = {"day": "d", "d": "d", "daily": "d", "week": "wk", "wk": "wk", "weekly": "wk"}
DOSE_HINT = "write for example '0.5 mg/kg' or '56 mg'"
REPEAT_HINT = "write for example 'daily for 14 d', '2x/week for 4 weeks', 'every 8 h for 3 d' or 'once'"

_QUANTITY = re.compile(r"\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(\S.*?)?\s*", re.ASCII | re.IGNORECASE)
_COMMA = re.compile(r"\s*[+-]?\d+,\d", re.ASCII)
_COUNTED = re.compile(
    r"(?:(?P<n>\d+) ?(?:x|times) ?(?:/|per|an?|each|every)? ?|"
    r"(?P<word>once|twice|three times|four times) ?(?:an?|per|/)? ?)?"
    r"(?P<period>day|d|daily|week|wk|weekly)",
    re.ASCII,
)
_EVERY = re.compile(r"(?:every|q) ?(?P<other>other )?(?P<n>\d+(?:\.\d+)?)? ?(?P<unit>[a-z]+)", re.ASCII)
_SPAN = re.compile(r"(?P<often>.+?)(?: for (?:(?P<doses>\d+) doses?|(?P<span>.+))| (?P<short>\d+(?:\.\d+)? ?[a-z]+))?")
_KILOGRAM = "/kg"
_DOSE_DIMENSIONS = {"M": "mg", "M.M-1": "mg/kg", "M.T-1": "mg/h", "M.M-1.T-1": "mg/kg/h"}


@dataclass(frozen=True, slots=True)
class Administration:
    """One amount entering the body, at once (`duration_h` 0) or at a constant rate; `part` counts a dose's devices."""

    start_h: float
    amount_mg: float
    duration_h: float = 0.0
    part: int = 0

    def __post_init__(self) -> None:
        numbers = (self.start_h, self.amount_mg, self.duration_h)
        if not all(map(math.isfinite, numbers)) or min(numbers) < 0:
            raise BadInput("an administration has a start, an amount and a length, finite and not below 0", "plan")

    @property
    def end_h(self) -> float:
        return self.start_h + self.duration_h


@dataclass(frozen=True, slots=True)
class Dose:
    """An amount in mg, per kg of body weight or not, per hour of an infusion or not."""

    amount: float
    per_kg: bool = False
    per_hour: bool = False
    text: str = ""

    def mg(self, weight_kg: float | None = None, over_h: float = 0.0) -> float:
        """The whole amount for one person. A dose by weight needs the weight, a rate the length of the infusion."""
        if self.per_kg and weight_kg is None:
            raise BadInput(f"{shown(self.text)} needs the body weight: add --weight, in kg", "dose")
        if self.per_hour and not over_h:
            raise BadInput(f"{shown(self.text)} is a rate: say how long it runs, for example --over '40 min'", "dose")
        amount = self.amount * (weight_kg if self.per_kg and weight_kg is not None else 1)
        return amount * (over_h if self.per_hour else 1)


@dataclass(frozen=True, slots=True)
class Repeat:
    """A dose given `doses` times, `interval_h` apart. What is written per week or per day is spread evenly."""

    interval_h: float
    doses: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of an infusion at one rate; a rate of 0 is a pause."""

    hours: float
    mg_per_h: float


def quantity(text: str, hint: str, at: str) -> tuple[float, str]:
    """A positive number and the UCUM code of its unit."""
    text = str(text)
    if _COMMA.match(text):
        raise BadInput(f"{shown(text)} has a comma: write decimals after a point, thousands without a mark; {hint}", at)
    parts = _QUANTITY.fullmatch(text)
    if not parts:
        raise BadInput(f"not an amount with a unit: {shown(text)}; {hint}", at)
    value, unit = float(parts[1]), parts[2]
    if not unit:
        raise BadInput(f"{shown(text)} has no unit; {hint}", at)
    code = unit if unit in units() else unit_spellings().get(unit, unit_spellings().get(unit.lower(), unit))
    if code not in units():
        raise BadInput(f"unknown unit {shown(unit)} in {shown(text)}; {hint}", at)
    if not math.isfinite(value):
        raise BadInput(f"{shown(text)} is not a finite number; {hint}", at)
    if value <= 0:
        raise BadInput(f"{shown(text)} must be more than zero; {hint}", at)
    return value, code


def dose(text: str, *, most_mg: float = math.inf, at: str = "dose") -> Dose:
    """Read a dose such as "0.5 mg/kg", "56 mg" or, for an infusion, "40 ug/kg/min".

    `most_mg` is the amount (a kg, for a dose by weight; an hour, for a rate) beyond which no dose is plausible.
    """
    value, code = quantity(text, DOSE_HINT, at)
    target = _DOSE_DIMENSIONS.get(units()[code].dimension)
    if target is None or (_KILOGRAM in target) != (_KILOGRAM in code):
        raise BadInput(f"{shown(code)} in {shown(text)} is not an amount of drug; {DOSE_HINT}", at)
    amount = convert(value, code, target, at=at)
    if not 0 < amount <= most_mg:
        raise BadInput(f"{shown(text)} is not a plausible dose: check the number and the unit; {DOSE_HINT}", at)
    return Dose(amount, per_kg=_KILOGRAM in target, per_hour=target.endswith("/h"), text=text)


def hours(text: str, at: str = "over") -> float:
    """A length of time in hours.

    >>> hours("90 min")
    1.5
    """
    hint = "write for example '40 min' or '2 h'"
    value, code = quantity(text, hint, at)
    if units()[code].dimension != "T":
        raise BadInput(f"{shown(code)} in {shown(text)} is not a length of time; {hint}", at)
    return value * ratio(code, "h")


def repeat(text: str, at: str = "repeat") -> Repeat | None:
    """Read how often a dose is repeated; None for a single dose.

    >>> repeat("every 8 h for 3 d"), repeat("BID 6 d"), repeat("once")
    (Repeat(interval_h=8.0, doses=9), Repeat(interval_h=12.0, doses=12), None)
    """
    words = " ".join(text.casefold().split())
    if words in ("once", "single dose", "single", "1x"):
        return None
    parts = _SPAN.fullmatch(words)
    interval = _interval(parts["often"]) if parts else None
    if parts is None or interval is None:
        raise BadInput(f"cannot read how often: {shown(text)}; {REPEAT_HINT}", at)
    if parts["doses"]:
        count = float(parts["doses"])
    elif parts["span"] or parts["short"]:
        count = hours(parts["span"] or parts["short"], at) / interval
    else:
        raise BadInput(f"{shown(text)} does not say for how long; {REPEAT_HINT}", at)
    if not 1 - WHOLE <= count <= MOST_DOSES:
        raise BadInput(f"{shown(text)} is {count:.3g} doses: from 1 to {MOST_DOSES} can be simulated", at)
    return Repeat(interval, math.ceil(count - WHOLE))


def _interval(often: str) -> float | None:
    """Hours from one dose to the next; None if the words are not understood."""
    day = ratio("d", "h")
    if often in LATIN:
        return day / LATIN[often]
    if counted := _COUNTED.fullmatch(often):
        times = int(counted["n"]) if counted["n"] else TIMES.get(counted["word"] or "once", 1)
        return ratio(PERIODS[counted["period"]], "h") / times if times else None
    if every := _EVERY.fullmatch(often):
        unit = unit_spellings().get(every["unit"], every["unit"])
        if unit not in units() or units()[unit].dimension != "T":
            return None
        number = float(every["n"]) if every["n"] else 1.0
        return number * ratio(unit, "h") * (2 if every["other"] else 1) if number > 0 else None
    return None


def administrations(
    dose_mg: float,
    *,
    over_h: float = 0.0,
    repeat: Repeat | None = None,
    missed: Iterable[object] = (),
    device_mg: float | None = None,
    device_gap_h: float = 0.0,
) -> tuple[Administration, ...]:
    """Every administration of a course. `missed` names doses by their number, the first being 1."""
    whole = (Administration(0.0, dose_mg, over_h),)
    parts = devices(dose_mg, device_mg, device_gap_h) if device_mg else whole
    count = repeat.doses if repeat else 1
    left_out = frozenset(missed)
    wrong = [m for m in left_out if isinstance(m, bool) or not (isinstance(m, int) and 1 <= m <= count)]
    if wrong:
        raise BadInput(f"no such dose to miss: {wrong[0]!r}; doses are numbered from 1 to {count}", "missed")
    if len(left_out) == count:
        raise BadInput("every dose is missed: nothing is given", "missed")
    if repeat and parts[-1].end_h > repeat.interval_h + WHOLE:
        raise BadInput(
            f"one dose takes {parts[-1].end_h:g} h and the next is due after {repeat.interval_h:g} h", "over"
        )
    starts = [n * repeat.interval_h if repeat else 0.0 for n in range(count) if n + 1 not in left_out]
    return tuple(replace(part, start_h=start + part.start_h) for start in starts for part in parts)


def devices(dose_mg: float, device_mg: float, gap_h: float) -> tuple[Administration, ...]:
    """A nasal dose as whole devices, one after the other."""
    count = round(dose_mg / device_mg)
    if count < 1 or abs(count * device_mg - dose_mg) > WHOLE * dose_mg:
        steps = ", ".join(f"{n * device_mg:g}" for n in range(1, max(count, 1) + 2))
        raise BadInput(f"{dose_mg:g} mg is not a whole number of {device_mg:g}-mg devices: give {steps} mg", "dose")
    if count > MOST_DOSES:
        raise BadInput(f"{dose_mg:g} mg is {count} devices: that is not a dose", "dose")
    return tuple(Administration(n * gap_h, device_mg, part=n) for n in range(count))


# --- an infusion that is changed while it runs ------------------------------------------------------------------------


def infusion(segments: Sequence[Segment], start_h: float = 0.0) -> tuple[Administration, ...]:
    """An infusion whose rate changes: stretches one after the other, pauses being stretches at rate 0.

    >>> [(a.start_h, a.amount_mg) for a in infusion([Segment(0.5, 40), Segment(0.25, 0), Segment(0.5, 20)])]
    [(0.0, 20.0), (0.75, 10.0)]
    """
    found, clock = [], start_h
    for number, segment in enumerate(segments):
        numbers = (segment.hours, segment.mg_per_h)
        if not all(map(math.isfinite, numbers)) or segment.hours <= 0 or segment.mg_per_h < 0:
            raise BadInput("a stretch lasts more than 0 h at a rate of 0 mg/h or more", f"segments[{number}]")
        if segment.mg_per_h > 0:
            found.append(Administration(clock, segment.mg_per_h * segment.hours, segment.hours))
        clock += segment.hours
    if not found:
        raise BadInput("the infusion delivers nothing: give one stretch a rate above 0 mg/h", "segments")
    return tuple(found)


def stopped(course: Iterable[Administration], at_h: float) -> tuple[Administration, ...]:
    """The course as delivered when everything stops at `at_h`: what runs then is cut, what comes later is not given."""
    cut = (_until(a, at_h) for a in course if a.start_h < at_h)
    return tuple(a for a in cut if a.amount_mg > 0)


def paused(course: Iterable[Administration], at_h: float, for_h: float) -> tuple[Administration, ...]:
    """The course held at `at_h` and taken up `for_h` later at the same rate: later by the pause, not a mg less."""
    if not (math.isfinite(at_h) and math.isfinite(for_h)) or for_h < 0:
        raise BadInput("a pause starts at a finite hour and lasts 0 h or more", "pause")
    found: list[Administration] = []
    for given in course:
        if given.start_h >= at_h:
            found.append(replace(given, start_h=given.start_h + for_h))
        elif given.end_h <= at_h:
            found.append(given)
        else:
            first = _until(given, at_h)
            rest = given.amount_mg - first.amount_mg
            found += [first, replace(given, start_h=at_h + for_h, amount_mg=rest, duration_h=given.end_h - at_h)]
    return tuple(found)


def pause(text: str) -> tuple[float, float]:
    """When an infusion is held and for how long, both in hours.

    >>> pause("30 min for 12 min")
    (0.5, 0.2)
    """
    at, word, length = text.partition(" for ")
    if not word:
        raise BadInput(f"{shown(text)} is not a pause: write for example '20 min for 10 min'", "pause")
    return hours(at, "pause"), hours(length, "pause")


def delivered_mg(course: Iterable[Administration], until_h: float = math.inf) -> float:
    """What has entered the body by `until_h`, in mg."""
    return math.fsum(_until(a, until_h).amount_mg for a in course if a.start_h <= until_h)


def _until(given: Administration, at_h: float) -> Administration:
    if given.end_h <= at_h:
        return given
    share = (at_h - given.start_h) / given.duration_h if given.duration_h else 1.0
    return replace(given, amount_mg=given.amount_mg * share, duration_h=at_h - given.start_h)
