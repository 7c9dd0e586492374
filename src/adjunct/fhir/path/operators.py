"""The operators of FHIRPath: logic of three values, equality, order, arithmetic, membership, union."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal, DecimalException
from types import MappingProxyType
from typing import Any

from adjunct.base import UnitError, convert
from adjunct.fhir.path import steps
from adjunct.fhir.path.compiler import Code, Compiler, Operator, Run, Scope, Test, bare, box, negated, one, truth
from adjunct.fhir.path.syntax import Literal, Member, Node, PathError
from adjunct.fhir.path.times import moved
from adjunct.fhir.path.values import (
    CALENDAR_CODES,
    MAX_INTEGER,
    MONTHS_LONG,
    Typed,
    all_equal,
    all_equivalent,
    distinct,
    equal,
    kind_of,
    measured,
    number,
    order,
)

Compare = Callable[[list[Typed], list[Typed]], bool | None]
_CALENDAR_WORDS = {code: word for word, code in CALENDAR_CODES.items()}


# --- logic ------------------------------------------------------------------------------------------------------------


def _logic(*, stop: bool, answer: bool) -> Operator:
    """`and`, `or`, `implies`: a left side that is `stop` decides, and so does a right side that is `answer`."""

    def build(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
        one_side, other_side = compiler.test(left, focus), compiler.test(right, focus)

        def test(here: Any, scope: Scope) -> bool | None:
            first = one_side(here, scope)
            if first is stop:
                return answer
            second = other_side(here, scope)
            return answer if second is answer else None if first is None or second is None else not answer

        return truth(test)

    return build


def _xor(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
    one_side, other_side = compiler.test(left, focus), compiler.test(right, focus)

    def test(here: Any, scope: Scope) -> bool | None:
        first, second = one_side(here, scope), other_side(here, scope)
        return None if first is None or second is None else first is not second

    return truth(test)


# --- equality and order -----------------------------------------------------------------------------------------------


def _equals(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
    return truth(_equality(compiler, left, right, focus))


def _differs(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
    return truth(negated(_equality(compiler, left, right, focus)))


def _equality(compiler: Compiler, left: Node, right: Node, focus: str) -> Test:
    ours, theirs = compiler.code(left, focus), compiler.code(right, focus)
    general = _between(ours, theirs, all_equal)
    kind = kind_of(ours.type) if ours.type else ""
    if kind not in ("text", "boolean") or not theirs.type or kind_of(theirs.type) != kind:
        return general
    # Nearly all comparisons are of one text with another: these need no types at run time.
    wanted: type = str if kind == "text" else bool
    if isinstance(left, Member) and left.source is None and isinstance(right, Literal):
        found = steps.keys(focus, left.name) if focus else ()
        if len(found) == 1:
            return _constant(found[0].key, right.value, wanted, general)
    run, other = ours.run, theirs.run

    def test(here: Any, scope: Scope) -> bool | None:
        a, b = run(here, scope), other(here, scope)
        if len(a) == 1 and len(b) == 1 and a[0].__class__ is wanted and b[0].__class__ is wanted:
            return bool(a[0] == b[0])
        return general(here, scope)

    return test


def _constant(key: str, value: object, wanted: type, general: Test) -> Test:
    def test(here: Any, scope: Scope) -> bool | None:
        if here.__class__ is dict:
            found = here.get(key)
            if found.__class__ is wanted:
                return bool(found == value)
        return general(here, scope)

    return test


def _between(left: Code, right: Code, compare: Compare) -> Test:
    """A comparison of two collections, unknown if either is empty."""
    ours, theirs = bare(left), bare(right)

    def test(here: Any, scope: Scope) -> bool | None:
        a, b = ours(here, scope), theirs(here, scope)
        return compare(a, b) if a and b else None

    return test


def _equivalence(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
    ours, theirs = bare(compiler.code(left, focus)), bare(compiler.code(right, focus))
    return truth(lambda here, scope: all_equivalent(ours(here, scope), theirs(here, scope)))


def _not_equivalent(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
    ours, theirs = bare(compiler.code(left, focus)), bare(compiler.code(right, focus))
    return truth(lambda here, scope: not all_equivalent(ours(here, scope), theirs(here, scope)))


def _ordered(accepted: tuple[int, ...]) -> Operator:
    def compare(a: list[Typed], b: list[Typed]) -> bool | None:
        one(a), one(b)
        found = order(a[0], b[0])
        return None if found is None else found in accepted

    def build(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
        return truth(_between(compiler.code(left, focus), compiler.code(right, focus), compare))

    return build


def _in(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
    wanted, among = bare(compiler.code(left, focus)), bare(compiler.code(right, focus))

    def test(here: Any, scope: Scope) -> bool | None:
        value = wanted(here, scope)
        one(value)
        return any(equal(value[0], v) for v in among(here, scope)) if value else None

    return truth(test)


# --- collections ------------------------------------------------------------------------------------------------------


def united(left: Code, right: Code) -> Code:
    """Both, one after the other; of one static type if they have the same."""
    alike = left.type == right.type
    ours, theirs = (left.run, right.run) if alike else (box(left), box(right))
    run: Run = lambda here, scope: ours(here, scope) + theirs(here, scope)  # noqa: E731
    return Code(run, left.type if alike else "", stub=left.stub or right.stub)


def unique(code: Code) -> Code:
    """Each value once, the first of equal ones."""
    run, kind = code.run, code.type

    def once(here: Any, scope: Scope) -> list[Any]:
        values = run(here, scope)
        if len(values) < 2:
            return values
        return [values[i] for i in distinct([Typed(kind, v) for v in values] if kind else values)]

    return replace(code, run=once)


def _union(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
    return unique(united(compiler.code(left, focus), compiler.code(right, focus)))


# --- arithmetic -------------------------------------------------------------------------------------------------------


def _arithmetic(operator: str) -> Operator:
    def build(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
        ours, theirs = bare(compiler.code(left, focus)), bare(compiler.code(right, focus))

        def run(here: Any, scope: Scope) -> list[Any]:
            a, b = ours(here, scope), theirs(here, scope)
            one(a), one(b)
            try:
                found = _computed(operator, a[0], b[0]) if a and b else None
            except DecimalException:  # too large a number is no number
                found = None
            return [] if found is None else [found]

        return Code(run, "")

    return build


def _computed(operator: str, left: Typed, right: Typed) -> Typed | None:
    match kind_of(left.type), operator, kind_of(right.type):
        case "number", _, "number":
            return _of_numbers(operator, number(left.value), number(right.value))
        case "text", "+", "text":
            return Typed("string", left.value + right.value)
        case (("moment" | "time"), ("+" | "-"), "quantity"):
            return _later(left, right.value, -1 if operator == "-" else 1)
        case "quantity", ("+" | "-"), "quantity":
            return _of_amounts(operator, left.value, right.value)
        case "quantity", ("*" | "/"), "number":
            return _scaled(operator, left.value, right)
        case "number", "*", "quantity":
            return _scaled(operator, right.value, left)
    raise PathError(f"FHIRPath has no {left.type} {operator} {right.type}: correct the expression")


def _of_numbers(operator: str, a: int | Decimal, b: int | Decimal) -> Typed | None:
    whole = isinstance(a, int) and isinstance(b, int)
    value: int | Decimal
    match operator:
        case "+":
            value = a + b
        case "-":
            value = a - b
        case "*":
            value = a * b
        case _ if b == 0:
            return None
        case "/":
            return Typed("decimal", Decimal(a) / Decimal(b))
        case "div":  # towards zero
            return Typed("integer", int(Decimal(a) // Decimal(b)))
        case _:
            value = Decimal(a) % Decimal(b)
            value = int(value) if whole else value
    if whole and not -MAX_INTEGER < value < MAX_INTEGER:
        return None
    return Typed("integer" if whole else "decimal", value)


def _later(moment: Typed, by: dict[str, Any], sign: int) -> Typed | None:
    found = measured(by)
    unit = _CALENDAR_WORDS.get(found[-1]) if found else None
    if found is None or unit is None or by.get("code") in MONTHS_LONG:  # a UCUM year is 365.25 days
        raise PathError("FHIRPath adds only amounts of time to a date: give years, months, weeks, days, hours ...")
    value = moved(moment.value, sign * int(found[0]), unit)
    return None if value is None else Typed(moment.type, value)


def _of_amounts(operator: str, left: dict[str, Any], right: dict[str, Any]) -> Typed | None:
    """In the unit of the left one; None if the units measure different things."""
    one_side, other_side = measured(left), measured(right)
    if one_side is None or other_side is None:
        return None
    (a, *unit), (b, *other_unit) = one_side, other_side
    if unit != other_unit:
        try:
            b = Decimal(repr(convert(float(b), other_unit[-1], unit[-1])))
        except UnitError:
            return None
    return Typed("Quantity", {**left, "value": a + b if operator == "+" else a - b})


def _scaled(operator: str, quantity: dict[str, Any], by: Typed) -> Typed | None:
    found = measured(quantity)
    value = _of_numbers(operator, found[0], number(by.value)) if found else None
    return None if value is None else Typed("Quantity", {**quantity, "value": value.value})


def _joined(compiler: Compiler, left: Node, right: Node, focus: str) -> Code:
    """`&`: texts one after the other, a missing one as an empty text."""
    ours, theirs = compiler.code(left, focus).run, compiler.code(right, focus).run

    def run(here: Any, scope: Scope) -> list[Any]:
        a, b = one(ours(here, scope)), one(theirs(here, scope))
        if not isinstance(a, str | None) or not isinstance(b, str | None):
            raise PathError("FHIRPath joins only texts with '&': use toString()")
        return [(a or "") + (b or "")]

    return Code(run, "string")


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "and": _logic(stop=False, answer=False),
        "or": _logic(stop=True, answer=True),
        "implies": _logic(stop=False, answer=True),
        "xor": _xor,
        "=": _equals,
        "!=": _differs,
        "~": _equivalence,
        "!~": _not_equivalent,
        "<": _ordered((-1,)),
        "<=": _ordered((-1, 0)),
        ">": _ordered((1,)),
        ">=": _ordered((0, 1)),
        "in": _in,
        "contains": lambda compiler, left, right, focus: _in(compiler, right, left, focus),
        "|": _union,
        "&": _joined,
    }
    | {operator: _arithmetic(operator) for operator in ("+", "-", "*", "/", "div", "mod")}
)
