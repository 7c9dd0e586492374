"""What FHIRPath says of two values: equal, equivalent, before or after, added; True, False or None (cannot be known).

Values are plain JSON: a number may be int, float or Decimal and is compared as it is written (0.1 is exactly 0.1); a
date is text; a Quantity is an object. What a text or an object stands for is its FHIR type, told by `kind_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from adjunct.base import UnitError, convert
from adjunct.fhir.definitions import UCUM, is_subtype, resource_types
from adjunct.fhir.path.syntax import CALENDAR, PathError
from adjunct.fhir.path.times import order_of_times
from adjunct.fhir.wire import Exact

MAX_INTEGER = 2**63  # beyond it there is no Integer
CALENDAR_CODES = dict(zip(CALENDAR, ("a", "mo", "wk", "d", "h", "min", "s", "ms"), strict=True))
MONTHS_LONG = frozenset(("a", "mo"))


class Typed(NamedTuple):
    """A value with its FHIR type, where the expression alone does not tell it."""

    type: str
    value: Any


class Extended:
    """A primitive that carries an id or extensions (`_birthDate`); its value may be None."""

    __slots__ = ("extra", "value")

    def __init__(self, value: Any, extra: dict[str, Any]) -> None:
        self.value = value
        self.extra = extra


@cache
def kind_of(type_name: str) -> str:
    """How values of a FHIR type compare: boolean, number, moment, time, text, quantity or object.

    >>> [kind_of(t) for t in ("positiveInt", "instant", "code", "Age", "Period")]
    ['number', 'moment', 'text', 'quantity', 'object']
    """
    if type_name in ("boolean", "time"):
        return type_name
    if type_name == "decimal" or is_subtype(type_name, "integer"):
        return "number"
    if type_name in ("date", "dateTime", "instant"):
        return "moment"
    if is_subtype(type_name, "Quantity"):
        return "quantity"
    return "text" if type_name[:1].islower() else "object"


def as_typed(value: Any) -> Typed:
    """A value of which nothing else is known, such as a variable's, with the type that JSON gives it."""
    match value:
        case Typed():
            return value
        case bool():
            return Typed("boolean", value)
        case int():
            return Typed("integer", value)
        case float() | Decimal():
            return Typed("decimal", value)
        case str():
            return Typed("string", value)
        case {"resourceType": str(kind)}:
            return Typed(kind if kind in resource_types() else "Resource", value)
    return Typed("Element", value)


def number(value: Any) -> int | Decimal:
    """A JSON number exactly as written."""
    if value.__class__ is Exact:
        return Decimal(value.text)
    return Decimal(repr(value)) if value.__class__ is float else value


# --- equal, equivalent, ordered ---------------------------------------------------------------------------------------


def equal(left: Typed, right: Typed) -> bool | None:
    """`=` of one value with another. None where dates are of different precision or amounts cannot be compared.

    >>> equal(Typed("decimal", 0.1), Typed("decimal", Decimal("0.10")))
    True
    >>> equal(Typed("date", "2026"), Typed("date", "2026-11")) is None
    True
    """
    kind, other = kind_of(left.type), kind_of(right.type)
    if kind == other:
        match kind:
            case "number":
                return number(left.value) == number(right.value)
            case "moment" | "time":
                order = order_of_times(left.value, right.value)
                return None if order is None else order == 0
            case "quantity":
                return same(left.value, right.value) or _zero(_order_of_amounts(left.value, right.value))
            case "object":
                return same(left.value, right.value)
        return bool(left.value == right.value)
    if {kind, other} == {"number", "quantity"}:
        return _zero(_order_of_amounts(_amount(left), _amount(right)))
    return False


def equivalent(left: Typed, right: Typed) -> bool:
    """`~`: equal but for case and blanks, digits beyond the coarser number's, and the order within objects."""
    kind = kind_of(left.type)
    if kind != kind_of(right.type):
        return bool(equal(left, right))
    match kind:
        case "text":
            return _plain(left.value) == _plain(right.value)
        case "number":
            return _rounded_alike(number(left.value), number(right.value))
        case "object":
            return _alike(left.value, right.value)
    return bool(equal(left, right))


def order(left: Typed, right: Typed) -> int | None:
    """-1, 0 or 1 as the left value is less, equal or greater; None if unknown. PathError if such are not ordered."""
    kind, other = kind_of(left.type), kind_of(right.type)
    if kind == other == "number":
        return _sign(number(left.value), number(right.value))
    if kind == other == "text":
        return _sign(left.value, right.value)
    if kind == other and kind in ("moment", "time"):
        return order_of_times(left.value, right.value)
    if {kind, other} <= {"number", "quantity"}:
        return _order_of_amounts(_amount(left), _amount(right))
    raise PathError(f"FHIRPath cannot order {left.type} and {right.type}: compare values of one kind")


def same(left: Any, right: Any) -> bool:
    """Deep equality of JSON, numbers by their value and true apart from 1."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(number(left) == number(right))


def all_equal(left: Sequence[Typed], right: Sequence[Typed]) -> bool | None:
    """`=` of two collections in order; one unknown pair makes the whole unknown, one unequal pair decides it."""
    if len(left) != len(right):
        return False
    found = list(map(equal, left, right))
    return False if False in found else None if None in found else True


def all_equivalent(left: Sequence[Typed], right: Sequence[Typed]) -> bool:
    """`~` of two collections in any order."""
    rest = list(right)
    for value in left:
        partner = next((i for i, other in enumerate(rest) if equivalent(value, other)), None)
        if partner is None:
            return False
        del rest[partner]
    return not rest


def distinct(values: Sequence[Typed]) -> list[int]:
    """The positions of values that equal none before them."""
    seen: dict[object, list[Typed]] = {}
    kept: list[int] = []
    for i, value in enumerate(map(bared, values)):
        if value.value is None:
            kept.append(i)
            continue
        alike = seen.setdefault(_bucket(value), [])
        if not any(equal(other, value) for other in alike):
            alike.append(value)
            kept.append(i)
    return kept


def _bucket(typed: Typed) -> object:
    """Something hashable that equal values share."""
    match kind_of(typed.type):
        case "text" | "boolean" as kind:
            return kind, typed.value
        case "object" if isinstance(typed.value, dict):
            return frozenset((k, v) for k, v in typed.value.items() if v.__class__ is str)
        case "number" | "quantity":
            return "number"
        case kind:
            return kind


def bared(typed: Typed) -> Typed:
    """Without id and extensions; the value of what has only these is None."""
    return Typed(typed.type, typed.value.value) if typed.value.__class__ is Extended else typed


def _zero(order: int | None) -> bool | None:
    return None if order is None else order == 0


def _sign(left: Any, right: Any) -> int:
    return -1 if left < right else 1 if right < left else 0


def _plain(text: Any) -> str:
    return " ".join(str(text).casefold().split())


def _rounded_alike(left: int | Decimal, right: int | Decimal) -> bool:
    places = min(max(0, -int(Decimal(n).as_tuple().exponent)) for n in (left, right))
    return round(Decimal(left), places) == round(Decimal(right), places)


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(_alike(left[k], right[k]) for k in left)
    if isinstance(left, list):
        rest = list(right) if isinstance(right, list) and len(left) == len(right) else None
        for value in left:
            partner = next((i for i, other in enumerate(rest or ()) if _alike(value, other)), None)
            if rest is None or partner is None:
                return False
            del rest[partner]
        return rest == []
    return _plain(left) == _plain(right) if isinstance(left, str) else same(left, right)


# --- amounts ----------------------------------------------------------------------------------------------------------


def amount(value: int | Decimal, unit: str) -> dict[str, Any]:
    """A Quantity as an object; a calendar unit has no code."""
    return {"value": value, "unit": unit} if unit in CALENDAR else {"value": value, "system": UCUM, "code": unit}


def _amount(typed: Typed) -> dict[str, Any]:
    return typed.value if kind_of(typed.type) == "quantity" else amount(typed.value, "1")


def measured(quantity: dict[str, Any]) -> tuple[Decimal, str, str] | None:
    """Value, system and unit; "4 weeks" is "4 wk". None if the value is missing or only a bound (`comparator`)."""
    if "comparator" in quantity or not isinstance(quantity.get("value"), int | float | Decimal):
        return None
    unit, system = quantity.get("code"), quantity.get("system", "")
    if unit is None:
        word = quantity.get("unit", "1")
        unit = CALENDAR_CODES.get(word, word)
        system = UCUM if unit != word or unit == "1" else ""
    return Decimal(number(quantity["value"])), str(system), str(unit)


def _order_of_amounts(left: Any, right: Any) -> int | None:
    """In the same unit exactly; otherwise by UCUM. Years and months are no fixed number of days."""
    one, two = measured(left), measured(right)
    if one is None or two is None:
        return None
    if one[1:] == two[1:]:
        return _sign(one[0], two[0])
    differ = (one[-1] in MONTHS_LONG) != (two[-1] in MONTHS_LONG)
    if one[1] != UCUM or two[1] != UCUM or differ:
        return None
    try:
        return _sign(float(one[0]), convert(float(two[0]), two[-1], one[-1]))
    except UnitError:
        return None
