"""The rule language: what a rule's `when` may say, read into a small tree.

An expression is parsed with Python's own `ast` over a white list; anything else is an error with file, rule and
position. The operators are those of the design and no more: `exists any all count latest load days_since fact`,
comparison, `and or not`. Numbers other than 0, 1 and 2 come from cited facts. What a tree *means* over a table of
events is in `columns`.

>>> v = Vocabulary(concepts={"systolic": 0}, units={"systolic": "mm[Hg]"}, facts={"bp.defer": (160.0, "mm[Hg]")})
>>> parse("latest(systolic, within='30 min') >= fact('bp.defer')", v)
Atom(op='latest', concept='systolic', within=1800000, in_set=None, compare='>=', against=160.0)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from adjunct.base import FAR, MS_PER_DAY, MS_PER_SECOND, AdjunctError, convert, duration_ms, shown

PHASES = ("intake", "pre-dose", "during", "discharge", "follow-up")
EFFECT = "effect_"
_LINE_ENDS = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")


class RuleError(AdjunctError):
    """A rule that cannot be read. The message names file, rule and position."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Atom:
    """One question to the events: an operator over one concept, perhaps compared with a number or a code.

    `within` is a length of time in ms, or None for the concept's own age limit in the phase at hand.
    """

    op: str
    concept: str
    within: int | None = None
    in_set: str | None = None
    compare: str | None = None
    against: float | str | None = None


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Expression


type_names = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
Expression = Atom | And | Or | Not


@dataclass(frozen=True)
class Vocabulary:
    """The words a rule may use: concepts with their units and age limits, facts, codes and the sets that hold them."""

    concepts: Mapping[str, int]
    units: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    sets: Mapping[str, frozenset[int]] = field(default_factory=dict)
    ages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    answers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def window(self, atom: Atom, phase: str) -> int:
        """How far back `atom` looks in this phase, in ms."""
        if atom.within is not None:
            return atom.within
        return self.ages.get(atom.concept, {}).get(phase, 0)


def atoms(expression: Expression) -> Iterator[Atom]:
    """Every question that an expression asks."""
    match expression:
        case Atom():
            yield expression
        case Not(part):
            yield from atoms(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from atoms(part)


def parse(text: str, vocabulary: Vocabulary, where: str = "expression") -> Expression:
    """Read one expression. `where` names file and rule for the error."""
    parser = _Parser(text, vocabulary, where)
    try:  # with a line end after it, Python knows where an unfinished expression ends
        return parser.read(ast.parse(f"{text}\n", mode="eval").body)
    except SyntaxError as error:
        raise parser.fail_at(error.lineno or 1, error.offset or 1, f"not an expression: {error.msg}") from None
    except ValueError as error:  # a NUL or half a surrogate pair
        raise parser.fail_at(1, 1, f"not an expression: {error}") from None
    except (RecursionError, MemoryError):
        raise parser.fail_at(1, 1, "not an expression: nested too deeply") from None


class _Parser:
    def __init__(self, text: str, vocabulary: Vocabulary, where: str) -> None:
        self.lines = _LINE_ENDS.split(text)
        self.vocabulary = vocabulary
        self.where = where

    def fail(self, node: ast.expr, message: str) -> RuleError:
        before = self.lines[node.lineno - 1].encode()[: node.col_offset]  # Python counts the bytes before a node
        return self.fail_at(node.lineno, len(before.decode()) + 1, message)

    def fail_at(self, line: int, column: int, message: str) -> RuleError:
        """A position counts characters from the start of the expression, whatever lines it is written in."""
        position = sum(map(len, self.lines[: line - 1])) + column
        return RuleError(message, f"{self.where}, position {position}")

    def read(self, node: ast.expr) -> Expression:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return And(tuple(self.read(v) for v in values))
            case ast.BoolOp(values=values):
                return Or(tuple(self.read(v) for v in values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.read(operand))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self.compared(left, op, right)
            case ast.Call(func=ast.Name(id="exists" | "any" | "all" as name)):
                return self.question(node, name)
        raise self.fail(node, "expected exists, any, all, a comparison, or these joined by and, or, not")

    def question(self, node: ast.Call, name: str) -> Atom:
        options = self.options(node, ("within",) if name == "exists" else ("in_", "within"))
        if name == "all" and "in_" not in options:
            raise self.fail(node, "all() needs in_='set'")
        return Atom(
            op="all" if name == "all" else "any",
            concept=self.concept(node),
            within=self.within(options.get("within")),
            in_set=self.in_set(options.get("in_")),
        )

    def compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Atom:
        sign = type_names.get(type(op))
        if sign is None:
            raise self.fail(right, "only < <= > >= == != compare")
        match left:
            case ast.Call(func=ast.Name(id="latest" | "count" as name)):
                options = self.options(left, ("within",))
                concept, within = self.concept(left), self.within(options.get("within"))
                unit = self.vocabulary.units.get(concept, "1") if name == "latest" else "1"
            case ast.Call(func=ast.Name(id="days_since" as name)):
                self.options(left, ())
                concept, within, unit = self.concept(left), FAR, "d"
            case ast.Call(func=ast.Name(id="load" as name), args=[ast.Constant(value=str(tag))], keywords=[]):
                concept, within, unit = EFFECT + tag, None, "1"
                if concept not in self.vocabulary.concepts:
                    raise self.fail(left, f"no substance has the effect {tag!r}")
            case _:
                raise self.fail(left, "only latest, count, days_since and load compare, and they stand on the left")
        against = self.value(right, unit, concept, coded=name == "latest")
        if name == "days_since" and isinstance(against, float):
            against = round(against * MS_PER_DAY, 0)  # in whole milliseconds, so that a limit is met exactly
        if isinstance(against, str) and sign not in ("==", "!="):
            raise self.fail(right, "a code is compared with == or != only")
        return Atom(op=name, concept=concept, within=within, compare=sign, against=against)

    def concept(self, node: ast.Call) -> str:
        match node.args:
            case [ast.Name(id=concept)] if concept in self.vocabulary.concepts:
                return concept
            case [ast.Name(id=concept)]:
                raise self.fail(node.args[0], f"unknown concept {concept!r}")
        raise self.fail(node, "one concept, by name, is expected in the parentheses")

    def options(self, node: ast.Call, allowed: Sequence[str]) -> dict[str, ast.expr]:
        found: dict[str, ast.expr] = {}
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg not in allowed:
                raise self.fail(keyword.value, f"{keyword.arg or '**'!r} is no option here")
            if keyword.arg in found:  # Python's own check comes later than its parser
                raise self.fail(keyword.value, f"{keyword.arg!r} is given twice")
            found[keyword.arg] = keyword.value
        return found

    def within(self, node: ast.expr | None) -> int | None:
        match node:
            case None:
                return None
            case ast.Constant(value=str(text)):
                try:
                    length: float = duration_ms(text)
                except (AdjunctError, OverflowError) as error:
                    raise self.fail(node, str(error)) from None
            case ast.Call(func=ast.Name(id="fact")):
                length = self.fact(node, "s") * MS_PER_SECOND
            case _:
                raise self.fail(node, "within is a duration such as '30 min', or fact('...') with a unit of time")
        if not 0 <= length <= FAR:  # instants are 64-bit columns, and a window must fit into them
            raise self.fail(node, "a window is not negative, and no longer than 'ever'")
        return round(length)

    def in_set(self, node: ast.expr | None) -> str | None:
        match node:
            case None:
                return None
            case ast.Constant(value=str(name)) if name in self.vocabulary.sets:
                return name
        raise self.fail(node, f"no such value set: {shown(ast.unparse(node))}")

    def value(self, node: ast.expr, unit: str, concept: str, *, coded: bool) -> float | str:
        match node:
            case ast.Call(func=ast.Name(id="fact")):
                return self.fact(node, unit)
            case ast.Constant(value=int(number)) if not isinstance(number, bool) and number in (0, 1, 2):
                return float(number)
            case ast.Constant(value=str(code)) if coded:
                if code not in self.vocabulary.answers.get(concept, frozenset()):
                    raise self.fail(node, f"{code!r} is no answer of {concept}")
                return code
        raise self.fail(node, "compare with fact('id'), with 0, 1 or 2, or (latest only) with an answer in quotes")

    def fact(self, node: ast.Call, unit: str) -> float:
        match node.args, node.keywords:
            case [ast.Constant(value=str(name))], []:
                pass
            case _:
                raise self.fail(node, "fact('id') is expected")
        if name not in self.vocabulary.facts:
            raise self.fail(node, f"no fact {name!r} with a single number")
        value, own = self.vocabulary.facts[name]
        try:
            return convert(value, own, unit)
        except AdjunctError as error:
            raise self.fail(node, f"fact {name!r}: {error}") from None
