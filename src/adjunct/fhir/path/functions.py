"""The functions of FHIRPath, and those that FHIR R4 and SQL on FHIR v2 add; each compiles one call.

A function is given what it is called on as a compiled `source`, its arguments as trees, and the type of the focus in
which plain arguments are read. A criterion is read with each value of the source as its focus.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, DecimalException
from types import MappingProxyType
from typing import Any

from adjunct.fhir.definitions import primitive_types, resource_types
from adjunct.fhir.path import steps
from adjunct.fhir.path.compiler import (
    Code,
    Compiler,
    Function,
    Run,
    Scope,
    Test,
    bare,
    box,
    one,
    tested,
    truth,
    wrong_arguments,
)
from adjunct.fhir.path.operators import OPERATORS, united, unique
from adjunct.fhir.path.syntax import CALENDAR, Binary, Literal, Member, Node, PathError, Special, Unsupported, Variable, walk
from adjunct.fhir.path.times import boundary
from adjunct.fhir.path.values import Extended, Typed, amount, distinct, equal, kind_of, number

MAX_REPEATED = 10_000  # values that repeat() may find; a projection that makes ever new values would never end
DECIMAL_DIGITS = 8  # of lowBoundary and highBoundary (FHIRPath N1, 4.1.4: decimals have at least 8)
HALF = Decimal("0.5")

Arguments = tuple[Node, ...]


def _takes(name: str, arguments: Arguments, least: int, most: int) -> None:
    if not least <= len(arguments) <= most:
        raise wrong_arguments(name)


def _uses_index(node: Node) -> bool:
    return any(isinstance(n, Special) and n.name == "index" for n in walk(node))


# --- existence --------------------------------------------------------------------------------------------------------


def _empty(compiler: Compiler, source: Code, arguments: Arguments, focus: str) -> Code:
    _takes("empty", arguments, 0, 0)
    run = source.run
    return truth(lambda here, scope: not run(here, scope))


def _exists(compiler: Compiler, source: Code, arguments: Arguments, focus: str) -> Code:
    _takes("exists", arguments, 0, 1)
    if arguments:
        source = _where(compiler, source, arguments, focus)
    run = source.run
    return truth(lambda here, scope: bool(run(here, scope)))


def _all(compiler: Compiler, source: Code, arguments: Arguments, focus: str) -> Code:
    _takes("all", arguments, 1, 1)
    run, criterion = source.run, compiler.criterion(source, arguments[0])

    def test(here: Any, scope: Scope) -> bool:
        return all(criterion(v, scope) is True for v in _counted(run(here, scope), scope))

    return truth(test)


def _counted(values: list[Any], scope: Scope) -> list[Any]:
    return values
