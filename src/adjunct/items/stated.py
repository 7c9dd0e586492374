"""What the words beside a name have said so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adjunct.items.lexicon import Term
from adjunct.items.numbers import Interval, read_number


@dataclass(slots=True)
class Amount:
    """An amount as stated; `at` is the term it stands at."""

    low: float | None
    high: float | None
    unit: str | None
    at: int
    per_day: float | None = None


@dataclass(slots=True)
class Stated:
    """The terms around the names of an item, and what has been read from them so far."""

    terms: Sequence[Term]
    settings: Mapping[str, Any]
    combination: bool = False
    amounts: list[Amount] = field(default_factory=list)
    counts: list[Amount] = field(default_factory=list)
    bare_numbers: list[Interval] = field(default_factory=list)
    strengths: list[Amount] = field(default_factory=list)
    per_volume: tuple[float, str, float, str] | None = None
    frequencies: list[Interval] = field(default_factory=list)
    slot_count: int = 0
    weekday_count: int = 0
    parts: Interval | None = None
    since: bool = False
    point_groups: bool = False  # written by somebody for whom 1.000 is a thousand
    since_weekday: bool = False
    limit_next: str = ""
    ago_hours: list[Interval] = field(default_factory=list)
    lasting_hours: list[Interval] = field(default_factory=list)
    statuses: list[Term] = field(default_factory=list)
    forms: list[Term] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    release: str | None = None
    as_needed: bool = False
    other: bool = False
    own: bool = False
    alternatives: bool = False
    notes: dict[str, None] = field(default_factory=dict)
    leftover: list[Term] = field(default_factory=list)
    shaped: list[Term] = field(default_factory=list)

    def form(self) -> str | None:
        """The form as stated; a countable one only if it was named."""
        named = [t.key for t in self.terms if t.letter in "CF"]
        return named[0] if named else self.release


def over(value: float | None, days: float) -> float | None:
    """Times a day of `value` times in so many days."""
    return None if value is None or not days else value / days


def days_in(terms: Sequence[Term]) -> float:
    """The days of "day", "24 h", "3 weeks"."""
    unit = next(t for t in terms if t.letter == "D")
    number = next((read_number(t.text)[0] for t in terms if t.letter == "N"), None)
    return float(unit.value["days"]) * (number or 1.0)


def days_between(term: Term) -> float:
    """Days between administrations of a word like "weekly"."""
    times, days = term.value["per"]
    return float(days) / float(times)


def is_volume(unit: str) -> bool:
    """Kitchen measures included: they are volumes."""
    return unit in ("mL", "cL", "L") or unit.startswith(("[tsp", "[tbs", "[foz", "[cup", "[pt"))
