"""FHIRPath over plain JSON of R4: `compile_path(text, start)` once, then call it on each resource.

>>> text = "component.where(code.coding.exists(code = '8480-6')).value.ofType(Quantity)"
>>> systolic = compile_path(text, "Observation")
>>> component = {"code": {"coding": [{"code": "8480-6"}]}, "valueQuantity": {"value": 120, "unit": "mm[Hg]"}}
>>> systolic({"resourceType": "Observation", "component": [component]})
[{'value': 120, 'unit': 'mm[Hg]'}]

Where R4 leaves a choice, or its own expressions go beyond the language: `as` keeps the values of a type like `ofType`;
`Boolean` and `System.Boolean` mean the FHIR primitive too; of what a reference resolves to, only the type is known,
unless it is contained; a year is the UCUM year of the same name, and does not compare with days.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from adjunct.fhir.path.compiler import Compiler, Scope, bare, plain, tested
from adjunct.fhir.path.functions import FUNCTIONS
from adjunct.fhir.path.operators import OPERATORS
from adjunct.fhir.path.syntax import (
    KEPT,
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
    parse,
    walk,
)
from adjunct.fhir.path.values import Typed, as_typed

__all__ = [
    "Binary",
    "Call",
    "Empty",
    "Index",
    "Literal",
    "Member",
    "Node",
    "Path",
    "PathError",
    "Special",
    "TypeIs",
    "Typed",
    "Unary",
    "Unsupported",
    "Variable",
    "compile_path",
    "parse",
    "walk",
]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_NO_SCOPE = Scope(None, None, _NOTHING)


class Path:
    """A compiled expression. `type`: the FHIR type of its values, "" if they may differ; `unknown`: what R4 lacks.

    The focus is JSON of the type `start`; without a `start` it is a resource, a primitive or a `Typed` value.
    """

    __slots__ = ("_plain", "_scoped", "_test", "_typed", "start", "tree", "type", "unknown")

    def __init__(self, tree: Node, start: str) -> None:
        compiler = Compiler(FUNCTIONS, OPERATORS, start)
        code = compiler.code(tree, start, plain=True)
        self.tree, self.start, self.type = tree, start, code.type
        self.unknown = tuple(compiler.unknown)
        self._plain, self._typed, self._test = plain(code), bare(code), tested(code)
        self._scoped = any(map(_asks_scope, walk(tree)))

    def __call__(self, focus: Any, resource: Any = None, variables: Mapping[str, Any] = _NOTHING) -> list[Any]:
        """The values, as plain JSON. `resource` is `%resource`, by default the focus itself."""
        scope = Scope(focus, resource, variables) if self._scoped else _NO_SCOPE
        return self._plain(focus if self.start else as_typed(focus), scope)

    def typed(self, focus: Any, resource: Any = None, variables: Mapping[str, Any] = _NOTHING) -> list[Typed]:
        """The values, each with its FHIR type."""
        scope = Scope(focus, resource, variables) if self._scoped else _NO_SCOPE
        return self._typed(focus if self.start else as_typed(focus), scope)

    def holds(self, focus: Any, resource: Any = None, variables: Mapping[str, Any] = _NOTHING) -> bool | None:
        """The expression as a condition; None if it cannot be known."""
        scope = Scope(focus, resource, variables) if self._scoped else _NO_SCOPE
        return self._test(focus if self.start else as_typed(focus), scope)


def _asks_scope(node: Node) -> bool:
    """Does a node read or set more than its focus? Most expressions do not, and need no scope of their own."""
    match node:
        case Call(name=name):
            return name in ("resolve", "now", "today", "timeOfDay", "aggregate")
        case Special(name=name):
            return name != "this"
    return isinstance(node, Variable)


@lru_cache(maxsize=KEPT)
def compile_path(text: str, start: str = "") -> Path:
    """An expression, compiled for values of the type `start` ("Observation", "Observation.component", "Quantity").

    PathError if it cannot be read, `Unsupported` if it asks for what is not provided.
    """
    return Path(parse(text), start)
