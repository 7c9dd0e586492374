"""An instrument as it is scored: items, score steps, bands and alerts. `reading` makes it from its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adjunct.base import Bools, Floats
from adjunct.knowledge.conditions import Condition
from adjunct.knowledge.entries import Locator

TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question: which answers may be written, and what each counts.

    `allowed` is empty where any number from `least` to `most` may stand (by `step`; 0: any). `points` counts each of
    `allowed`, NaN where the option means "not assessed".
    """

    id: str
    number: int  # place in the printed order, from 1
    label: str
    kind: str
    least: float
    most: float
    step: float
    allowed: tuple[float, ...]
    points: tuple[float, ...]
    regular: bool  # every step from least to most may be written, and counts what is written
    reverse: bool
    applies: bool
    extra: bool
    ranges: bool
    spelled: Mapping[str, float]  # words, codes and numerals -> value


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One score: how it comes from items or earlier scores, and what may be missing."""

    id: str
    title: str
    how: str
    of: tuple[str, ...]
    rows: slice | None  # the items of `of`, where they stand side by side
    most_missing: int
    prorate: bool
    may_miss: Bools  # which of `of`
    skip_na: bool
    note: str
    refused: str
    least: float
    times: float
    plus: float
    over: float
    cap: float
    edges: Floats
    results: Floats
    strict: Bools
    show: bool
    out_of: float | None
    range: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    name: str
    when: Condition
    says: str
    tell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something an answer may raise by itself. `level`: suicide, urgent, review, info; `ask`: instrument to give."""

    id: str
    when: Condition
    level: str
    says: str
    tell: str
    ask: str
    source: Locator
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is computed for one form, in order."""

    steps: tuple[Step, ...]
    bands: tuple[Band, ...]
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """The items as arrays, one row an item, so that a whole block of people is checked and counted at once."""

    least: Floats
    most: Floats
    base: Floats  # from where steps are counted
    per_step: Floats  # steps in a unit; 0 where any number may stand
    whole: bool  # every item is answered in whole numbers
    turned: npt.NDArray[np.intp]  # items that count least + most - value
    span: Floats  # least + most of each
    odd: tuple[tuple[int, Floats, Floats], ...]  # items with a list of their own: row, values, points


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instrument:
    """One edition of a questionnaire or rating scale. `raw` is its file, for what is not scoring."""

    id: str
    title: str
    version: int
    form: str
    direction: str
    range: tuple[float, float] | None
    unit: str
    confidence: str
    sources: tuple[Locator, ...]
    items: tuple[Item, ...]
    plans: Mapping[str, Plan]  # by form; "" where there is one form only
    bands: tuple[str, ...]  # names, over all forms
    sheet: Sheet
    turned: frozenset[str]  # yes-no items that count 1 for no
    raw: Mapping[str, Any]

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(form for form in self.plans if form)

    @property
    def scored_items(self) -> int:
        """How many answers there must be: all but the optional ones at the end."""
        return sum(not item.extra for item in self.items)

    @property
    def has_total(self) -> bool:
        return any(step.id == TOTAL for plan in self.plans.values() for step in plan.steps)
