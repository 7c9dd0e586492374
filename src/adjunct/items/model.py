"""What is read from one item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Match = Literal["known", "unknown", "ambiguous"]
Status = Literal["current", "stopped", "not-taken", "allergy", "planned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """One administration as an interval in a UCUM unit, and administrations a day; None where it is not stated."""

    low: float | None = None
    high: float | None = None
    unit: str | None = None
    per_day_low: float | None = None
    per_day_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A text as understood. `candidates`: for ambiguous the plausible substances, for unknown the nearest ones.

    `last_use_h` is hours before now, as (most recent, earliest); `read_as` the name as read after a correction.
    """

    text: str
    match: Match
    substance: str | None = None
    candidates: tuple[str, ...] = ()
    dose: Dose | None = None
    status: Status = "current"
    read_as: str | None = None
    route: str | None = None
    form: str | None = None
    as_needed: bool = False
    last_use_h: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
