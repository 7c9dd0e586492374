"""What a band, an alert or a status of an instrument may ask: `total >= 10 and not yes(i3)`, over columns of answers.

Parsed with Python's own `ast` over a white list: ids, numbers, comparison, `and or not`, and five questions about one
item: `yes no answered missing na`. The logic is Kleene's: what rests on an unknown value is unknown unless the rest
decides. In a comparison an item stands for what it counts; `yes` and `no` speak of what was answered.

>>> total, item = np.array([12.0, 3.0, np.nan]), np.array([np.nan, 0.0, 1.0])
>>> condition("total >= 10 or yes(item)", {"total", "item"}).over(Columns({"total": total, "item": item})).tolist()
[2, 0, 2]
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adjunct.base import UNKNOWN, YES, Bools, Floats, Int8s, Kleene, Refused, shown

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of some people: a column for each item and each score, NaN where it is unknown.

    `does_not_apply` marks where an item was answered "na"; `reverse` names the yes-no items that count 1 for no.
    """

    values: Mapping[str, Floats]
    does_not_apply: Mapping[str, Bools] = field(default_factory=dict)
    reverse: frozenset[str] = frozenset()
    _unknown: dict[str, Bools | None] = field(default_factory=dict)

    def unknown(self, name: str) -> Bools | None:
        """Where the value is not known; None where all are, which is most of the time and saves the work."""
        if name not in self._unknown:
            mask = np.isnan(self.values[name])
            self._unknown[name] = mask if mask.any() else None
        return self._unknown[name]

    def answered(self, name: str) -> Floats:
        """What a yes-no item was answered, 1 or 0, whichever of the two counts."""
        return 1 - self.values[name] if name in self.reverse else self.values[name]


Truth = Callable[[Columns], Kleene]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, ready to be asked of many people at once. `asks` holds (question or '', id) for a lint."""

    text: str
    over: Truth
    asks: tuple[tuple[str, str], ...]


def condition(text: str, names: Iterable[str], where: str = "condition") -> Condition:
    """Read one condition over the ids `names`. `where` names file and place for the error, which is `Refused`."""
    parser = _Parser(frozenset(names), where)
    try:
        over = parser.read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise parser.fail(f"not a condition: {shown(text)} ({getattr(error, 'msg', None) or error})") from None
    return Condition(text, over, tuple(parser.asks))


class _Parser:
    def __init__(self, names: frozenset[str], where: str) -> None:
        self.names = names
        self.where = where
        self.asks: list[tuple[str, str]] = []

    def fail(self, message: str) -> Refused:
        return Refused(message, self.where)

    def read(self, node: ast.expr) -> Truth:
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return _all(tuple(self.read(p) for p in parts))
            case ast.BoolOp(values=parts):
                return _any(tuple(self.read(p) for p in parts))
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return _not(self.read(part))
            case ast.Compare(left=left, ops=ops, comparators=rights):
                sides = [left, *rights]
                pairs = zip(sides, ops, rights, strict=False)  # a chain `0 < total < 5` is its links, joined by and
                return _all(tuple(self.compared(a, op, b) for a, op, b in pairs))
            case ast.Call(func=ast.Name(id=question), args=[ast.Name(id=name)], keywords=[]) if question in _QUESTIONS:
                return _QUESTIONS[question](self.name(name, question))
        raise self.fail(f"{shown(ast.unparse(node))}: expected a comparison, yes no answered missing na, and or not")

    def compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Truth:
        compare = _COMPARE.get(type(op))
        if compare is None:
            raise self.fail(f"{shown(ast.unparse(right))}: only < <= > >= == != compare")
        a, b = self.operand(left), self.operand(right)
        names = tuple(side for side in (a, b) if isinstance(side, str))
        if not names:
            raise self.fail(f"{shown(ast.unparse(left))}: a comparison asks about at least one item or score")
        return _comparison(compare, a, b, names)

    def operand(self, node: ast.expr) -> str | float:
        match node:
            case ast.Name(id=name):
                return self.name(name, "")
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -float(number)
        raise self.fail(f"{shown(ast.unparse(node))}: expected an item, a score or a number")

    def name(self, name: str, question: str) -> str:
        if name not in self.names:
            raise self.fail(f"{shown(name)} is neither an item nor a score here")
        self.asks.append((question, name))
        return name


def _all(parts: tuple[Truth, ...]) -> Truth:
    if len(parts) == 1:
        return parts[0]

    def over(columns: Columns) -> Kleene:
        found = parts[0](columns)
        for part in parts[1:]:
            found &= part(columns)
        return found

    return over


def _any(parts: tuple[Truth, ...]) -> Truth:
    def over(columns: Columns) -> Kleene:
        found = parts[0](columns)
        for part in parts[1:]:
            found |= part(columns)
        return found

    return over


def _not(part: Truth) -> Truth:
    return lambda columns: ~part(columns)


def _comparison(compare: Callable[[Any, Any], Any], a: str | float, b: str | float, names: tuple[str, ...]) -> Truth:
    def over(columns: Columns) -> Kleene:
        left = columns.values[a] if isinstance(a, str) else a
        right = columns.values[b] if isinstance(b, str) else b
        return _truth(compare(left, right), columns, names)

    return over


def _truth(found: Bools, columns: Columns, names: tuple[str, ...]) -> Kleene:
    """Yes or no as compared, unknown where one of `names` is."""
    truth: Int8s = found.view(np.int8) * np.int8(YES)
    for name in names:
        unknown = columns.unknown(name)
        if unknown is not None:
            truth[unknown] = UNKNOWN
    return Kleene(truth)


def _certain(found: Bools) -> Kleene:
    return Kleene(found.view(np.int8) * np.int8(YES))


def _absent(columns: Columns, name: str) -> Bools:
    """Where an item was said not to apply; nothing else does that."""
    found = columns.does_not_apply.get(name)
    return np.zeros(len(columns.values[name]), dtype=np.bool_) if found is None else found


def _yes(name: str) -> Truth:
    return lambda columns: _truth(columns.answered(name) >= 1, columns, (name,))


def _no(name: str) -> Truth:
    return lambda columns: _truth(columns.answered(name) < 1, columns, (name,))


def _answered(name: str) -> Truth:
    return lambda columns: _certain(~np.isnan(columns.values[name]))


def _missing(name: str) -> Truth:
    return lambda columns: _certain(np.isnan(columns.values[name]) & ~_absent(columns, name))


def _na(name: str) -> Truth:
    return lambda columns: _certain(_absent(columns, name))


_QUESTIONS = {"yes": _yes, "no": _no, "answered": _answered, "missing": _missing, "na": _na}
