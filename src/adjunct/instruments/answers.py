"""Answers as people, forms and files write them -> numbers, or missing, or not applicable, or refused.

Nothing is raised for a single answer that cannot be read: it is refused under its item, and the others still speak.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum

import numpy as np

from adjunct.base import Bools, Floats, shown
from adjunct.instruments.model import Instrument, Item
from adjunct.knowledge.entries import fold

HOUR_MINUTES = 60
MINUS = "\u2212"  # as printed; on keyboards it is a hyphen
_MISSING = frozenset({"", "-", "\u2013", "\u2014", "unknown"})
_NOT_APPLICABLE = frozenset({"na", "n/a"})
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?\Z", re.ASCII)
_RANGE = re.compile(r"(\d+(?:\.\d+)?)\s*[-\u2013]\s*(\d+(?:\.\d+)?)\Z", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::00)?\Z", re.ASCII)


class Gap(Enum):
    """Why there is no number."""

    MISSING = "missing"
    NOT_APPLICABLE = "na"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """One person's answers, one row an item: what was written, NaN for nothing, infinity for what is no answer."""

    values: Floats
    not_applicable: Bools


def read(instrument: Instrument, answers: Sequence[object]) -> Given:
    """Answers in printed order; items beyond the last are missing."""
    values = np.full((len(instrument.items), 1), np.nan)
    not_applicable = np.zeros(values.shape, dtype=np.bool_)
    for row, (item, answer) in enumerate(zip(instrument.items, answers, strict=False)):
        value = read_answer(item, answer)
        if value is Gap.NOT_APPLICABLE:
            not_applicable[row] = True
        elif value is Gap.REFUSED:
            values[row] = np.inf  # no item allows it
        elif value is not Gap.MISSING:
            values[row] = value
    return Given(values, not_applicable)


def read_answer(item: Item, answer: object) -> float | Gap:
    """One answer as the number that is written for it. Whether the item allows that number is not decided here."""
    match answer:
        case None:
            return Gap.MISSING
        case str():
            found = item.spelled.get(answer)
            return _read_text(item, answer) if found is None else found
        case bool() | np.bool_():
            return float(answer) if item.kind == "yes-no" else Gap.REFUSED
        case int() | float() | np.integer() | np.floating():
            try:
                number = float(answer)
            except OverflowError:
                return Gap.REFUSED
            return Gap.MISSING if np.isnan(number) else number
    return Gap.REFUSED


def _read_text(item: Item, answer: str) -> float | Gap:
    text = fold(answer).replace(MINUS, "-")
    if text in _MISSING:
        return Gap.MISSING
    if text in item.spelled:
        return item.spelled[text]
    if text in _NOT_APPLICABLE:
        return Gap.NOT_APPLICABLE if item.applies else Gap.REFUSED
    if item.kind == "percent":
        text = text.removesuffix("%").rstrip()
    if item.kind == "clock" and (clock := _CLOCK.match(text)):
        return int(clock[1]) + int(clock[2]) / HOUR_MINUTES
    if item.ranges and (ends := _RANGE.match(text)):
        return (float(ends[1]) + float(ends[2])) / 2
    return float(text) if _NUMBER.match(text) else Gap.REFUSED


def listed(instrument: Instrument, answers: object) -> tuple[list[object], str]:
    """Answers as a list, and what is wrong with them as a whole, empty if nothing is. A set has no printed order."""
    fault = f"{instrument.title} takes a list of answers, one an item"
    if isinstance(answers, Iterable) and not isinstance(answers, str | bytes | bytearray | Set):
        try:
            return list(answers), ""
        except TypeError:  # an array of no dimension says that it can be gone through
            return [], fault
    return [], fault


def places(instrument: Instrument) -> dict[str, int]:
    """Where an item stands in the printed order, from 0, by its id and by its LOINC code, both in small letters."""
    items, entries = instrument.items, instrument.raw.get("item", ())
    coded = {e["loinc"].casefold(): i.number - 1 for i, e in zip(items, entries, strict=True) if "loinc" in e}
    return coded | {item.id.casefold(): item.number - 1 for item in items}


def in_order(instrument: Instrument, answers: Mapping[str, object]) -> tuple[list[object], str]:
    """Answers given by item, in printed order; and what is wrong with their names, empty if nothing is.

    Items are named by id or by LOINC code; what is not named is missing.
    """
    items, named = instrument.items, places(instrument)
    found: list[object] = [None] * len(items)
    taken: set[int] = set()
    fault = ""
    for name, answer in answers.items():
        place = named.get(str(name).casefold())
        if place is None:
            known = ", ".join(item.id for item in items)
            fault = f"{instrument.title} has no item {shown(str(name))}; its items are {known}"
        elif place in taken:
            fault = f"{instrument.title}: item {items[place].id} is answered twice; send one answer"
        else:
            taken.add(place)
            found[place] = answer
    return found, fault
