"""FHIRPath as a tree: the text is read once (`parse`), `str(tree)` writes text that reads to the same tree.

Grammar: HL7 FHIRPath N1 (ANSI/HL7 NMN R1-2020), the part that FHIR R4 and SQL on FHIR v2 need. The nodes are public:
`compiler` turns them into closures, `views` into SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from adjunct.base import BadInput

MAX_LENGTH = 8192  # characters; the longest of R4 has 1,485
MAX_DEPTH = 64  # levels of the tree; the deepest of R4 has 34
KEPT = 4096  # expressions kept read and compiled; R4 itself has about 1,600

QUOTE = "'"
CALENDAR = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")


class PathError(BadInput):
    """An expression that cannot be read, or that asks one value of many. Correct the expression."""


class Unsupported(PathError):
    """A function or variable of FHIRPath that is not provided here; known when the expression is compiled."""

    def __init__(self, name: str) -> None:
        super().__init__(f"FHIRPath {name} is not supported: write the expression without it")
        self.name = name


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `type` is boolean, string, integer, decimal, date, dateTime, time or Quantity.

    Dates and times are text as FHIR writes them (`@2015T` is a dateTime "2015"). `unit` belongs to a Quantity: a UCUM
    code, or one of `CALENDAR`.
    """

    type: str
    value: bool | int | Decimal | str
    unit: str = ""

    def __str__(self) -> str:
        match self.type:
            case "boolean":
                return "true" if self.value else "false"
            case "string":
                return _quoted(str(self.value), "'")
            case "date" | "dateTime" if "T" not in str(self.value):
                return f"@{self.value}" + ("T" if self.type == "dateTime" else "")
            case "dateTime":
                return f"@{self.value}"
            case "time":
                return f"@T{self.value}"
            case "Quantity":
                return f"{self.value:f} {self.unit if self.unit in CALENDAR else _quoted(self.unit, QUOTE)}"
        return f"{self.value:f}" if isinstance(self.value, Decimal) else str(self.value)


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`, the empty collection."""

    def __str__(self) -> str:
        return "{}"


@dataclass(frozen=True, slots=True)
class Special:
    """`$this`, `$index` or `$total`; the name is without the `$`."""

    name: str

    def __str__(self) -> str:
        return f"${self.name}"


@dataclass(frozen=True, slots=True)
class Variable:
    """`%name`, given from outside."""

    name: str

    def __str__(self) -> str:
        return f"%{self.name}" if _WORD.fullmatch(self.name) else f"%{_quoted(self.name, '`')}"


@dataclass(frozen=True, slots=True)
class Member:
    """An element; without a source it is of the focus, or names the type that the focus must have (`Patient.name`)."""

    source: Node | None
    name: str

    def __str__(self) -> str:
        return _after(self.source) + _identifier(self.name)


@dataclass(frozen=True, slots=True)
class Call:
    """A function; without a source it is called on the focus."""

    source: Node | None
    name: str
    arguments: tuple[Node, ...] = ()

    def __str__(self) -> str:
        return f"{_after(self.source)}{_identifier(self.name)}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Index:
    """`source[at]`."""

    source: Node
    at: Node

    def __str__(self) -> str:
        return f"{_within(self.source, _TIGHTEST)}[{self.at}]"


@dataclass(frozen=True, slots=True)
class Unary:
    """`+` or `-` before a number."""

    operator: str
    operand: Node

    def __str__(self) -> str:
        return f"{self.operator}{_within(self.operand, _UNARY)}"


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between two expressions, all left-associative."""

    operator: str
    left: Node
    right: Node

    def __str__(self) -> str:
        own = _BINDING[self.operator]
        return f"{_within(self.left, own)} {self.operator} {_within(self.right, own + 1)}"


@dataclass(frozen=True, slots=True)
class TypeIs:
    """`operand is type`, or with `operator` "as" the operand where it is of the type. `FHIR.` is left out of names."""

    operator: str
    operand: Node
    type: str

    def __str__(self) -> str:
        name = ".".join(map(_identifier, self.type.split(".")))
        return f"{_within(self.operand, _BINDING[self.operator])} {self.operator} {name}"


Node = Literal | Empty | Special | Variable | Member | Call | Index | Unary | Binary | TypeIs

# How tightly an operator binds, loosest first, as in the grammar of N1 (Appendix B) and HL7's test suite; the prose of
# section 8 has "is" and "as" tighter than "|".
_LEVELS = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "!=", "~", "!~"),
    ("is", "as"),
    ("<", "<=", ">", ">="),
    ("|",),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
_BINDING = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_UNARY = len(_LEVELS)
_TIGHTEST = _UNARY + 1
_RESERVED = {"and", "or", "xor", "implies", "div", "mod", "true", "false"}
_UNITS = {word: unit for unit in CALENDAR for word in (unit, f"{unit}s")}
_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_ESCAPED = {text: f"\\{letter}" for letter, text in _UNESCAPED.items()} | {"\\": "\\\\"}

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_CLOCK = r"(?:[01]\d|2[0-3])(?::[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?)?"
_TOKEN = re.compile(
    rf"""(?:\s+|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*  # blanks and comments before the token
    (?:
      (?P<time>@T{_CLOCK})
    | (?P<date>@\d{{4}}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?
        (?:T(?:{_CLOCK}(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?)?)?(?!-?\d))
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<name>`(?:\\.|[^`\\])*`)
    | (?P<string>'(?:\\.|[^'\\])*')
    | (?P<special>\$(?:this|index|total)\b)
    | %(?P<variable>[A-Za-z_][A-Za-z0-9_-]*|`(?:\\.|[^`\\])*`|'(?:\\.|[^'\\])*')
    | (?P<operator><=|>=|!=|!~|[-+*/&|=~<>.,()\[\]{{}}])
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


@lru_cache(maxsize=KEPT)
def parse(text: str) -> Node:
    """The tree of an expression.

    >>> str(parse("name.where(use='official').given[0]|alias"))
    "name.where(use = 'official').given[0] | alias"
    """
    if len(text) > MAX_LENGTH:
        raise PathError(f"a FHIRPath expression of more than {MAX_LENGTH} characters: write a shorter one")
    reader = _Reader(text)
    tree = reader.expression(0)
    reader.take("end")
    _refuse_depth(tree)
    return tree


def below(node: Node) -> tuple[Node, ...]:
    """The nodes directly under a node, in the order of the text."""
    match node:
        case Member(source=source):
            return () if source is None else (source,)
        case Call(source=source, arguments=arguments):
            return arguments if source is None else (source, *arguments)
        case Index(source=source, at=at):
            return source, at
        case Unary(operand=operand) | TypeIs(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return left, right
    return ()


def walk(tree: Node) -> Iterator[Node]:
    """Every node of a tree."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(below(node))


def type_name(node: Node) -> str:
    """The type that the argument of `ofType`, `is` or `as` names.

    >>> type_name(parse("FHIR.Patient")), type_name(parse("System.String"))
    ('Patient', 'System.String')
    """
    match node:
        case Member(source=None, name=name):
            return name
        case Member(source=Member(source=None, name="FHIR"), name=name):
            return name
        case Member(source=Member(source=None, name="System"), name=name):
            return f"System.{name}"
        case Literal(type="string", value=value):  # FHIR's own draft invariants quote it
            return str(value).removeprefix("FHIR.")
    raise PathError(f"not the name of a type: {node}")


class _Reader:
    """Tokens of one text, one ahead; each method reads one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.next = next(self.tokens)
        self.depth = 0

    def take(self, *wanted: str) -> _Token:
        """The next token, which must be of one of these kinds or be one of these operators."""
        token = self.next
        if wanted and token.kind not in wanted and not (token.kind == "operator" and token.text in wanted):
            raise _unexpected(token)
        self.next = next(self.tokens, token)
        return token

    def found(self, operator: str) -> bool:
        if self.next.kind == "operator" and self.next.text == operator:
            self.take()
            return True
        return False

    def expression(self, loosest: int) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _too_deep()
        left = self.polarity()
        while (binding := self.binding()) >= loosest:
            operator = self.take().text
            if operator in ("is", "as"):
                left = TypeIs(operator, left, self.type_specifier())
            else:
                left = Binary(operator, left, self.expression(binding + 1))
        self.depth -= 1
        return left

    def binding(self) -> int:
        return _BINDING.get(self.next.text, -1) if self.next.kind in ("word", "operator") else -1

    def polarity(self) -> Node:
        signs = []
        while self.next.kind == "operator" and self.next.text in ("+", "-"):
            signs.append(self.take().text)
        node = self.path()
        for sign in reversed(signs):
            node = Unary(sign, node)
        return node

    def path(self) -> Node:
        node = self.term()
        while True:
            if self.found("."):
                node = self.invocation(node)
            elif self.found("["):
                node = Index(node, self.expression(0))
                self.take("]")
            else:
                return node

    def term(self) -> Node:
        kind, text = self.next.kind, self.next.text
        if kind in ("word", "name") and text not in _RESERVED:
            return self.invocation(None)
        token = self.take()
        match kind:
            case "word" if text in ("true", "false"):
                return Literal("boolean", text == "true")
            case "string":
                return Literal("string", _unquoted(text))
            case "number":
                return self.number(text)
            case "date":
                return Literal("dateTime" if "T" in text else "date", text[1:].removesuffix("T"))
            case "time":
                return Literal("time", text.removeprefix("@T"))
            case "special":
                return Special(text[1:])
            case "variable":
                return Variable(_unquoted(text) if text[0] in "`'" else text)
            case "operator" if text == "(":
                node = self.expression(0)
                self.take(")")
                return node
            case "operator" if text == "{":
                self.take("}")
                return Empty()
        raise _unexpected(token)

    def number(self, text: str) -> Literal:
        if self.next.kind == "string":
            return Literal("Quantity", Decimal(text), _unquoted(self.take().text))
        if self.next.kind == "word" and self.next.text in _UNITS:
            return Literal("Quantity", Decimal(text), _UNITS[self.take().text])
        return Literal("decimal", Decimal(text)) if "." in text else Literal("integer", int(text))

    def invocation(self, source: Node | None) -> Node:
        if self.next.kind == "special":
            raise _unexpected(self.next)
        name = self.identifier()
        if not self.found("("):
            return Member(source, name)
        arguments: list[Node] = []
        while not self.found(")"):
            if arguments:
                self.take(",")
            arguments.append(self.expression(0))
        return Call(source, name, tuple(arguments))

    def identifier(self) -> str:
        token = self.take("word", "name")
        return _unquoted(token.text) if token.kind == "name" else token.text

    def type_specifier(self) -> str:
        node: Node = Member(None, self.identifier())
        while self.found("."):
            node = Member(node, self.identifier())
        return type_name(node)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while token := _TOKEN.match(text, at):
        kind = str(token.lastgroup)
        yield _Token(kind, token[kind], token.start(kind))
        if kind == "end":
            return
        at = token.end()
    raise PathError("not FHIRPath: correct the expression", f"character {at + 1}")


def _unexpected(token: _Token) -> PathError:
    found = "the expression ends here" if token.kind == "end" else f"{token.text!r} does not belong here"
    return PathError(f"not FHIRPath: {found}", f"character {token.at + 1}")


def _too_deep() -> PathError:
    return PathError(f"a FHIRPath expression nested more than {MAX_DEPTH} levels: write a simpler one")


def _refuse_depth(tree: Node) -> None:
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in below(node)]
        if not level:
            return
    raise _too_deep()


def _unquoted(text: str) -> str:
    return _ESCAPE.sub(lambda found: _unescaped(found[1]), text[1:-1])


def _unescaped(escape: str) -> str:
    return chr(int(escape[1:], base=len("0123456789abcdef"))) if escape[1:] else _UNESCAPED.get(escape, escape)


def _quoted(text: str, quote: str) -> str:
    return quote + "".join(_ESCAPED.get(c, f"\\{c}" if c == quote else c) for c in text) + quote


def _identifier(name: str) -> str:
    return name if _WORD.fullmatch(name) and name not in _RESERVED else _quoted(name, "`")


def _after(source: Node | None) -> str:
    return "" if source is None else f"{_within(source, _TIGHTEST)}."


def _within(node: Node, binding: int) -> str:
    """A node as part of an operator that binds this tightly: in parentheses if its own operator binds less."""
    match node:
        case Binary(operator=operator) | TypeIs(operator=operator):
            own = _BINDING[operator]
        case Unary():
            own = _UNARY
        case _:
            own = _TIGHTEST
    return str(node) if own >= binding else f"({node})"
