"""Numbers as people write them: decimal comma, thousands, words, ranges."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from adjunct.base import BadInput, convert
from adjunct.items.lexicon import Term

Interval = tuple[float | None, float | None]

_GROUPS = re.compile(r"[1-9]\d{0,2}(?:([.,'])\d{3})(?:\1\d{3})*\Z")
_EXPONENT = re.compile(r"(.*?)(e[+-]?\d+)?\Z")


def read_number(text: str) -> Interval:
    """A number written in digits; two values where the sign can be a decimal point or a thousands sign.

    >>> read_number("0,5"), read_number("1,000"), read_number("2.5"), read_number("3.125")
    ((0.5, 0.5), (1000.0, 1000.0), (2.5, 2.5), (3.125, 3.125))
    >>> read_number("1.500"), read_number("1.234.567,8"), read_number("1e9")
    ((1.5, 1500.0), (1234567.8, 1234567.8), (1000000000.0, 1000000000.0))
    """
    body, exponent = _EXPONENT.match(text).groups()  # type: ignore[union-attr]
    signs = [c for c in body if not c.isdigit()]
    digits = re.sub(r"[.,']", "", body)
    if not signs:
        return _both(digits + (exponent or ""))
    grouped = _GROUPS.match(body)
    if grouped:
        whole = _value(digits)
        if grouped[1] == "." and len(signs) == 1:
            point = _value(body)
            return (point, whole) if body.endswith("0") else (point, point)
        return (whole, whole)
    last = max(body.rfind("."), body.rfind(","), body.rfind("'"))
    after = len(body) - last - 1
    return _both(f"{digits[: len(digits) - after]}.{digits[len(digits) - after :]}{exponent or ''}")


def _both(text: str) -> Interval:
    value = _value(text)
    return (value, value)


def _value(text: str) -> float | None:
    """A finite float, or None: an amount beyond any float is not kept."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def number_of(terms: Sequence[Term], notes: dict[str, None]) -> Interval:
    """The interval of a number, a range, "1 or 2", "between 5 and 10", "one and a half"; (None, None) of nothing."""
    values: list[float] = []
    for term in terms:
        if term.letter == "N":
            low, high = _term_value(term)
            if low is None or high is None:
                notes["too_large"] = None
                return (None, None)
            if low != high and term.key == "digits":
                notes["thousands"] = None
            values += [low, high]
        elif term.letter == "h" and values:
            values = [v + float(term.value["value"]) for v in values]
    return (min(values), max(values)) if values else (None, None)


def _term_value(term: Term) -> Interval:
    if term.key == "digits":
        return read_number(term.text)
    low = float(term.value["value"])
    return (low, float(term.value.get("high", low)))


def multiplied(one: Interval, two: Interval) -> Interval:
    """The product of two amounts that are not negative.

    >>> multiplied((1.0, 2.0), (50.0, 50.0)), multiplied((None, None), (1.0, 1.0))
    ((50.0, 100.0), (None, None))
    """
    if one[0] is None or one[1] is None or two[0] is None or two[1] is None:
        return (None, None)
    return (one[0] * two[0], one[1] * two[1])


def in_unit(value: float | None, unit: str, other: str) -> float | None:
    """`value` in another unit of the same kind; None if it cannot be said."""
    if value is None or unit == other:
        return value
    try:
        return convert(value, unit, other)
    except BadInput:
        return None
