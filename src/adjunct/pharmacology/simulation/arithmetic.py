"""The arithmetic of model files: expressions over named parameters, and units built from UCUM codes.

An expression is read with Python's `ast` over a white list: + - * / ** ( ) min max, names, and the number 1 (a file
gives every other number a name, a unit and a place in its paper). Values are floats, or one float a person.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from adjunct.base import Floats, Refused, UnitError, shown, units

Value = float | Floats
Lookup = Callable[[str], Value]

_OPERATORS: Mapping[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_SIGNS: Mapping[type[ast.unaryop], Callable[[Value], Value]] = {ast.USub: lambda v: -v, ast.UAdd: lambda v: v}
_CHOICES: Mapping[str, Callable[[Value, Value], Value]] = {"min": np.minimum, "max": np.maximum}
_ATOM = re.compile(r"([./]?)(\{[^}]*\}|[^./{}]+)")
_BASES = {"L3": "L", "T": "h", "N": "nmol", "L": "cm", "L2": "m2", "K": "K"}


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed piece of arithmetic, its text and the names it needs."""

    text: str
    names: frozenset[str]
    value: Callable[[Lookup], Value]


def expression(text: str, where: str) -> Expression:
    """Parse one expression; anything outside the white list names its file.

    >>> expression("cl / v * min(1, age)", "example").value({"cl": 10.0, "v": 5.0, "age": 0.5}.__getitem__)
    np.float64(1.0)
    """
    try:
        tree = ast.parse(str(text), mode="eval").body
    except (SyntaxError, ValueError):
        raise Refused(f"not arithmetic: {shown(str(text))}", where) from None
    names: set[str] = set()
    value = _compiled(tree, names, where)
    return Expression(str(text), frozenset(names), value)


def _compiled(node: ast.expr, names: set[str], where: str) -> Callable[[Lookup], Value]:
    match node:
        case ast.Name(id=name):
            names.add(name)
            return lambda look: look(name)
        case ast.Constant(value=int() | float() as number) if number in (0, 1) and not isinstance(number, bool):
            return lambda _: float(number)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _both(_OPERATORS[type(op)], _compiled(left, names, where), _compiled(right, names, where))
        case ast.UnaryOp(op=sign, operand=inner) if type(sign) in _SIGNS:
            change, of = _SIGNS[type(sign)], _compiled(inner, names, where)
            return lambda look: change(of(look))
        case ast.Call(func=ast.Name(id=choice), args=[first, *rest], keywords=[]) if choice in _CHOICES:
            chosen = _compiled(first, names, where)
            for other in rest:
                chosen = _both(_CHOICES[choice], chosen, _compiled(other, names, where))
            return chosen
    raise Refused(f"{shown(ast.unparse(node))} is not allowed here: + - * / ** ( ) min max, names and 1", where)


def _both(
    combine: Callable[[Value, Value], Value], left: Callable[[Lookup], Value], right: Callable[[Lookup], Value]
) -> Callable[[Lookup], Value]:
    return lambda look: combine(left(look), right(look))


# --- units ------------------------------------------------------------------------------------------------------------


def ratio(code: str, base: str) -> float:
    """How many `base` are one `code`, to the last bit: rates must not lose digits that `base.convert` rounds away.

    >>> ratio("min", "h") == 1 / 60
    True
    """
    return units()[code].factor / units()[base].factor


@cache
def measure(unit: str) -> tuple[float, Mapping[str, int]]:
    """A unit as a factor and powers of L, h, mg, kg (of body), nmol.

    >>> factor, powers = measure("mL/min/kg")
    >>> round(factor, 9), powers
    (0.06, {'L': 1, 'h': -1, 'kg': -1})
    """
    factor, powers = 1.0, Counter[str]()
    end = 0
    for atom in _ATOM.finditer(unit):
        if atom.start() != end:
            break
        end = atom.end()
        sign = -1 if atom[1] == "/" else 1
        code = atom[2]
        if code == "1" or code.startswith("{"):
            continue
        if code not in units():
            raise UnitError(f"unknown unit {shown(code)} in {shown(unit)}: write a UCUM code")
        base = _base(code)
        factor *= ratio(code, base) ** sign
        if base != "1":
            powers[base] += sign
    if end != len(unit) or not unit:
        raise UnitError(f"cannot read the unit {shown(unit)}: write a UCUM code")
    return factor, {base: power for base, power in powers.items() if power}


def _base(code: str) -> str:
    """The unit that models count in: a body weighs kg, a dose mg."""
    dimension = units()[code].dimension
    if dimension == "M":
        return "kg" if code == "kg" else "mg"
    if dimension == "1":
        return "1"
    if dimension not in _BASES:
        raise UnitError(f"unit {shown(code)} has no place in a model")
    return _BASES[dimension]


def rescale(value: float, source: str, target: str, molar_mass: float | None = None) -> float:
    """`value` in a built unit expressed in another; `molar_mass` in g/mol links mass and amount.

    >>> round(rescale(1, "ng.h/mL", "ug.h/L"), 9), round(rescale(420, "nmol.h/L", "ng.h/mL", 398.5), 2)
    (1.0, 167.37)
    """
    if source == target:
        return value
    (a, powers), (b, wanted) = measure(source), measure(target)
    if powers != wanted and molar_mass is not None:
        mg_per_nmol = ratio("nmol", "mol") * molar_mass * ratio("g", "mg")
        a, powers = _in_mass(a, powers, mg_per_nmol)
        b, wanted = _in_mass(b, wanted, mg_per_nmol)
    if powers != wanted:
        raise UnitError(f"unit {source!r} does not measure this: a unit like {target!r} was expected")
    return value * (a / b)


def _in_mass(factor: float, powers: Mapping[str, int], mg_per_nmol: float) -> tuple[float, Mapping[str, int]]:
    moles = powers.get("nmol", 0)
    counted = Counter(powers)
    counted["mg"] += counted.pop("nmol", 0)
    return factor * math.pow(mg_per_nmol, moles), {base: power for base, power in counted.items() if power}


def times_hours(unit: str) -> str:
    """The unit of an area under a curve in `unit`.

    >>> times_hours("ng/mL"), times_hours("1")
    ('ng.h/mL', 'h')
    """
    top, slash, bottom = unit.partition("/")
    return ("h" if top == "1" else f"{top}.h") + slash + bottom
