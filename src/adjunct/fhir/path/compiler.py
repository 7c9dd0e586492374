"""A FHIRPath tree as closures over plain JSON.

Every expression is compiled for the type of its focus, so that elements are known beforehand: `value.ofType(Quantity)`
becomes one look at "valueQuantity". Where types are known only at run time (`children()`, an open choice, a contained
resource) values travel as `Typed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from adjunct.fhir.definitions import UCUM, is_subtype, primitive_types, resource_types
from adjunct.fhir.path import steps
from adjunct.fhir.path.syntax import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Node,
    PathError,
    Special,
    TypeIs,
    Unary,
    Unsupported,
    Variable,
    type_name,
    walk,
)
from adjunct.fhir.path.values import (
    Extended,
    Typed,
    amount,
    as_typed,
    bared,
)

Run = Callable[[Any, "Scope"], list[Any]]
Test = Callable[[Any, "Scope"], bool | None]
Function = Callable[["Invocation"], "Code"]
Operator = Callable[["Compiler", Node, Node, str], "Code"]  # left, right, type of the focus

_SYSTEM = {t: t[0].lower() + t[1:] for t in ("Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time")}
_SYSTEM["Quantity"] = "Quantity"
_ENVIRONMENT = {
    "ucum": UCUM,
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_ENVIRONMENT_PREFIXES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


class Scope:
    """What one evaluation knows beside the focus. `index` and `total` belong to the innermost criterion."""

    __slots__ = ("context", "index", "resource", "total", "variables")

    def __init__(self, context: Any, resource: Any, variables: Mapping[str, Any]) -> None:
        self.context = context
        self.resource = context if resource is None else resource
        self.variables = variables
        self.index = 0
        self.total: list[Typed] = []


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled expression: from a focus to its values, all of `type`; with type "" each value is `Typed`.

    `test` is there if the outcome is a truth. `stub`: the values are resolved references, of which only the type is
    known.
    """

    run: Run
    type: str
    test: Test | None = None
    stub: bool = False


def truth(test: Test) -> Code:
    """Three-valued logic as values: unknown is the empty collection."""

    def run(focus: Any, scope: Scope) -> list[Any]:
        found = test(focus, scope)
        return [] if found is None else [found]

    return Code(run, "boolean", test)


def negated(test: Test) -> Test:
    """What is unknown stays unknown."""

    def opposite(focus: Any, scope: Scope) -> bool | None:
        found = test(focus, scope)
        return None if found is None else not found

    return opposite


def one(values: list[Any]) -> Any:
    """The only value, None if there is none."""
    if not values:
        return None
    if len(values) > 1:
        raise PathError(f"FHIRPath expects one value here and found {len(values)}: choose one, as with first()")
    value = values[0]
    if value.__class__ is Typed:
        value = value.value
    return value.value if value.__class__ is Extended else value


def whole(values: list[Any]) -> int | None:
    """The only value, a whole number."""
    value = one(values)
    if value is not None and value.__class__ is not int:
        raise PathError("FHIRPath expects a whole number here: correct the expression")
    return value


def bare(code: Code) -> Callable[[Any, Scope], list[Typed]]:
    """The values, each with its type and without extensions; what has only extensions is left out."""
    boxed = box(code)
    return lambda focus, scope: [v for v in map(bared, boxed(focus, scope)) if v.value is not None]


def plain(code: Code) -> Run:
    """The values as they leave the expression: JSON, in a list of their own."""
    if not code.type:
        typed = bare(code)
        return lambda focus, scope: [value for _, value in typed(focus, scope)]
    run = code.run
    if code.type not in primitive_types():
        return lambda focus, scope: list(run(focus, scope))
    return lambda focus, scope: [
        v for x in run(focus, scope) if (v := x.value if x.__class__ is Extended else x) is not None
    ]


def box(code: Code) -> Callable[[Any, Scope], list[Typed]]:
    """The values, each with its type."""
    run, kind = code.run, code.type
    if not kind:
        return run
    if kind in steps.OPEN_TYPES:
        return lambda focus, scope: [steps.actual(kind, v) for v in run(focus, scope)]
    return lambda focus, scope: [Typed(kind, v) for v in run(focus, scope)]


def tested(code: Code) -> Test:
    """The truth of a collection: of one truth itself, of any other one value yes, of none unknown."""
    if code.test is not None:
        return code.test
    run = code.run

    def test(focus: Any, scope: Scope) -> bool | None:
        value = one(run(focus, scope))
        return value if value is None or value.__class__ is bool else True

    return test


def system_type(name: str) -> str:
    """The FHIR type that a type specifier means; a System type means the primitive of the same name."""
    return _SYSTEM.get(name.removeprefix("System."), name)


def _this(focus: Any, _scope: Scope) -> list[Any]:
    return [] if focus is None else [focus]


class Compiler:
    """Compiles the nodes of one expression. `unknown` collects elements and types that R4 does not have."""

    def __init__(self, functions: Mapping[str, Function], operators: Mapping[str, Operator], start: str) -> None:
        self.start = start
        self.functions = functions
        self.operators = operators
        self.unknown: list[str] = []

    def code(self, node: Node, focus: str, *, plain: bool = False) -> Code:
        """`plain`: nobody looks at the extensions of primitives (only the values leave the expression)."""
        match node:
            case Member():
                return self.member(node, focus, plain=plain)
            case Call():
                return self.call(node, focus, plain=plain)
            case Binary(operator=operator, left=left, right=right):
                return self.operators[operator](self, left, right, focus)
            case TypeIs(operator="as", operand=operand, type=name):
                return self.of_type(operand, name, focus, plain=plain)
            case TypeIs(operand=operand, type=name):
                return self.is_type(self.code(operand, focus), name)
            case Literal():
                return self.literal(node)
            case Empty():
                return Code(lambda _focus, _scope: [], "string")
            case Special():
                return self.special(node.name, focus)
            case Variable():
                return self.variable(node.name)
            case Index(source=source, at=at):
                return self.indexed(self.code(source, focus), self.code(at, focus))
            case Unary(operator=operator, operand=operand):
                sign = Literal("integer", -1 if operator == "-" else 1)
                return self.operators["*"](self, sign, operand, focus)

    def test(self, node: Node, focus: str) -> Test:
        return tested(self.code(node, focus))

    # --- elements -----------------------------------------------------------------------------------------------------

    def member(self, node: Member, focus: str, *, plain: bool, only: str = "") -> Code:
        """An element; `only`: of its types, those that are `only`."""
        if node.source is None and node.name[:1].isupper():
            return self.rooted(node.name, focus)
        names: list[str] = []
        above: Node | None = node
        while isinstance(above, Member) and not (above.source is None and above.name[:1].isupper()):
            names.append(above.name)
            above = above.source
        code = self.code(above, focus, plain=False) if above is not None else self.special("this", focus)
        names.reverse()
        chain: list[str] = []
        for i, name in enumerate(names):
            if code.stub:
                raise Unsupported("resolve() followed by an element")
            last = i == len(names) - 1
            found = steps.keys(code.type, name) if code.type else ()
            if found and last and only:
                found = tuple(k for k in found if is_subtype(k.type, only) or k.type in steps.OPEN_TYPES)
                if not found:
                    return Code(lambda _focus, _scope: [], only)
            if len(found) == 1 and (not found[0].primitive or (last and plain)) and code.type not in primitive_types():
                chain.append(found[0].key)
                code = replace(code, type=found[0].type)
                continue
            code, chain = self.chained(code, chain), []
            code = self.step(code, name, found, only=only if last else "")
        return self.chained(code, chain)

    def below(self, source: Code, name: str) -> Code:
        """An element of what is compiled already."""
        return self.step(source, name, steps.keys(source.type, name) if source.type else (), only="")

    def rooted(self, name: str, focus: str) -> Code:
        """A type at the start of a path: the focus, if it is of this type."""
        if is_subtype(focus, name):
            return self.special("this", focus)
        if not focus or focus in steps.OPEN_TYPES:
            return self.only(self.special("this", focus), name)
        self.note_type(name)
        return Code(lambda _focus, _scope: [], name)

    def chained(self, code: Code, keys: list[str]) -> Code:
        """Through objects of which each key is known."""
        if not keys:
            return code
        run, path = code.run, tuple(keys)

        def several(focus: Any, scope: Scope) -> list[Any]:
            level = run(focus, scope)
            for key in path:
                found: list[Any] = []
                for value in level:
                    if value.__class__ is dict and (below := value.get(key)) is not None:
                        if below.__class__ is list:
                            found += below
                        else:
                            found.append(below)
                if not found:
                    return found
                level = found
            return level

        if len(path) > 1 or run is not _this:
            return replace(code, run=several)
        (key,) = path
        return replace(code, run=lambda focus, _scope: steps.take(focus, key))

    def step(self, code: Code, name: str, found: tuple[steps.Key, ...], *, only: str) -> Code:
        run, above = code.run, code.type
        if above in primitive_types():

            def of_primitive(focus: Any, scope: Scope) -> list[Any]:
                return [
                    x for v in run(focus, scope) if v.__class__ is Extended for x in steps.take(v.extra, found[0].key)
                ]

            return Code(of_primitive, found[0].type) if found else self.nothing(above, name)
        if len(found) == 1:
            key, under = found[0].key, f"_{found[0].key}"
            if run is _this:
                return Code(lambda focus, _scope: steps.take_primitive(focus, key, under), found[0].type)
            return Code(
                lambda focus, scope: [x for v in run(focus, scope) for x in steps.take_primitive(v, key, under)],
                found[0].type,
            )
        if not found and above and above not in steps.OPEN_TYPES:
            return self.nothing(above, name)
        if found:
            options = steps.by_key(above, name)
            choice = Code(lambda focus, scope: [x for v in run(focus, scope) for x in steps.among(v, options)], "")
        else:
            boxed = box(code)
            choice = Code(lambda focus, scope: [x for v in boxed(focus, scope) for x in steps.member(v, name)], "")
        return self.only(choice, only) if only else choice

    def nothing(self, above: str, name: str) -> Code:
        self.unknown.append(f"{above}.{name}")
        return Code(lambda _focus, _scope: [], "")

    # --- types --------------------------------------------------------------------------------------------------------

    def note_type(self, name: str) -> None:
        known = name in primitive_types() or name in resource_types() or is_subtype(name, "Element")
        if not known and name not in steps.OPEN_TYPES:
            self.unknown.append(name)

    def of_type(self, operand: Node, name: str, focus: str, *, plain: bool) -> Code:
        """`ofType`, and `as`, which R4 uses in the same way on many values."""
        name = system_type(name)
        if isinstance(operand, Member):
            return self.only(self.member(operand, focus, plain=plain, only=name), name)
        return self.only(self.code(operand, focus, plain=plain), name)

    def only(self, code: Code, name: str) -> Code:
        """The values that are of a type."""
        self.note_type(name)
        run = code.run
        if code.type and is_subtype(code.type, name):
            return code
        if code.type in steps.OPEN_TYPES:
            kind = code.type

            def resources(focus: Any, scope: Scope) -> list[Any]:
                return [v for v in run(focus, scope) if is_subtype(steps.actual(kind, v).type, name)]

            return replace(code, run=resources, type=name)
        if code.type:
            return Code(lambda _focus, _scope: [], name)

        def typed(focus: Any, scope: Scope) -> list[Any]:
            return [v for t, v in run(focus, scope) if is_subtype(t, name)]

        return replace(code, run=typed, type=name)

    def is_type(self, code: Code, name: str) -> Code:
        name = system_type(name)
        self.note_type(name)
        boxed = box(code)

        def test(focus: Any, scope: Scope) -> bool | None:
            found = boxed(focus, scope)
            one(found)
            return is_subtype(found[0].type, name) if found else None

        return truth(test)

    # --- constants and variables --------------------------------------------------------------------------------------

    def literal(self, node: Literal) -> Code:
        values: list[Any] = [node.value]
        if node.type == "Quantity":
            values = [amount(node.value, node.unit)]  # type: ignore[arg-type]
        return Code(lambda _focus, _scope: values, node.type)

    def special(self, name: str, focus: str) -> Code:
        if name == "this":
            return Code(_this, focus)
        if name == "index":
            return Code(lambda _focus, scope: [scope.index], "integer")
        return Code(lambda _focus, scope: scope.total, "")

    def variable(self, name: str) -> Code:
        for prefix, url in _ENVIRONMENT_PREFIXES.items():
            if name.startswith(prefix):
                return self.literal(Literal("string", url + name.removeprefix(prefix)))
        if name in _ENVIRONMENT:
            return self.literal(Literal("string", _ENVIRONMENT[name]))
        if name == "resource":
            return Code(lambda _focus, scope: [steps.actual("Resource", scope.resource)], "")
        if name == "context":
            typed = (lambda focus: focus) if self.start else as_typed
            return Code(lambda _focus, scope: [typed(scope.context)], self.start)

        def given(_focus: Any, scope: Scope) -> list[Any]:
            if name == "rootResource" and name not in scope.variables:
                return [steps.actual("Resource", scope.resource)]
            if name not in scope.variables:
                raise PathError(f"FHIRPath variable %{name} has no value: declare it")
            value = scope.variables[name]
            if value is None:
                return []
            listed = value if value.__class__ is list else [value]
            return [as_typed(v) for v in listed]

        return Code(given, "")

    # --- functions and operators --------------------------------------------------------------------------------------

    def call(self, node: Call, focus: str, *, plain: bool) -> Code:
        if node.name in ("ofType", "as", "is"):
            if len(node.arguments) != 1:
                raise PathError(f"FHIRPath {node.name}() takes the name of one type: correct the expression")
            name = type_name(node.arguments[0])
            operand = node.source or Special("this")
            if node.name == "is":
                return self.is_type(self.code(operand, focus), name)
            return self.of_type(operand, name, focus, plain=plain)
        function = self.functions.get(node.name)
        if function is None:
            raise Unsupported(f"{node.name}()")
        source = self.special("this", focus) if node.source is None else self.code(node.source, focus)
        return function(Invocation(self, source, node.arguments, focus))

    def indexed(self, source: Code, at: Code) -> Code:
        run, position = source.run, at.run

        def item(focus: Any, scope: Scope) -> list[Any]:
            wanted = whole(position(focus, scope))
            return [] if wanted is None or wanted < 0 else run(focus, scope)[wanted : wanted + 1]

        return replace(source, run=item, test=None)


class Invocation(NamedTuple):
    """One call of a function: on what, with what, and the type of the focus in which plain arguments are read."""

    compiler: Compiler
    source: Code
    arguments: tuple[Node, ...]
    focus: str

    def argument(self, which: int = 0) -> Code:
        return self.compiler.code(self.arguments[which], self.focus)

    def criterion(self) -> Test:
        """The first argument as a test of each value of the source."""
        return self.compiler.test(self.arguments[0], self.source.type)

    def projection(self) -> Code:
        """The first argument with each value of the source as its focus."""
        return self.compiler.code(self.arguments[0], self.source.type)

    def values(self) -> Callable[[Any, Scope], Iterable[Any]]:
        """The values of the source for a criterion or projection, counted if it asks for `$index`."""
        run = self.source.run
        if not any(isinstance(node, Special) and node.name == "index" for node in walk(self.arguments[0])):
            return run

        def counted(focus: Any, scope: Scope) -> Iterator[Any]:
            outer = scope.index
            try:
                for i, value in enumerate(run(focus, scope)):
                    scope.index = i
                    yield value
            finally:
                scope.index = outer

        return counted
