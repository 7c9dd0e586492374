"""What an instrument file says of one item: which answers may be written, and what each counts."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from adjunct.base import Refused
from adjunct.knowledge.entries import Locator

DAY_HOURS = 24.0
PERCENT = 100.0
LARGEST = sys.float_info.max  # infinity is no answer
LISTED = ("choice", "yes-no")  # kinds whose answers can be counted on the fingers
_BOUNDS = {  # least, most, step; a step of 0 allows any number between
    "choice": (math.nan, math.nan, 1.0),
    "yes-no": (0.0, 1.0, 1.0),
    "count": (0.0, LARGEST, 1.0),
    "number": (-LARGEST, LARGEST, 0.0),
    "clock": (0.0, math.nextafter(DAY_HOURS, 0), 0.0),
    "percent": (0.0, PERCENT, 0.0),
}

Options = Mapping[str, Sequence[Mapping[str, Any]]]


def answer_lists(entry: Mapping[str, Any]) -> Options:
    """The named answer lists of an instrument file."""
    return {answers["id"]: answers["options"] for answers in entry.get("answers", ())}


def bounds(item: Mapping[str, Any]) -> tuple[float, float, float]:
    """Least, most and step of what may be written, as the item or its kind says; NaN where neither does."""
    least, most, step = _BOUNDS[item["kind"]]
    return float(item.get("least", least)), float(item.get("most", most)), float(item.get("step", step))


def points(item: Mapping[str, Any], lists: Options) -> dict[float, float]:
    """Each answer that may be written -> what it counts, NaN for "not assessed"; empty where any number may stand.

    >>> points({"id": "i1", "kind": "yes-no", "reverse": True}, {})
    {0.0: 1.0, 1.0: 0.0}
    """
    least, most, step = bounds(item)
    if "answers" in item:
        options = lists[item["answers"]]
        found = {float(o["value"]): math.nan if o.get("na") else float(o.get("score", o["value"])) for o in options}
    elif "allowed" in item:
        found = {float(value): float(value) for value in item["allowed"]}
    elif item["kind"] not in LISTED:
        return {}
    elif math.isnan(least + most):
        raise Refused(f"item {item['id']} needs answers, or allowed, or least and most")
    else:
        steps = (
            float(f"{least + n * step:.12g}") for n in range(round((most - least) / step) + 1)
        )  # as people write it
        found = {value: value for value in steps}
    if item.get("reverse", False):
        counted = [value for value in found.values() if not math.isnan(value)]
        found = {value: min(counted) + max(counted) - point for value, point in found.items()}
    return dict(sorted(found.items()))


def source_of(part: Mapping[str, Any]) -> Locator:
    """Where a statement comes from; written as an id with `locator` beside it, or as a table of both."""
    source = part.get("source", "uncited")
    if isinstance(source, str):
        return Locator(source, part.get("locator", ""))
    return Locator(source["id"], source.get("locator", ""), source.get("says", ""))
