"""The functions of FHIRPath, and those that FHIR R4 and SQL on FHIR v2 add; each compiles one call of it.

Functions of one value (texts, numbers, conversions) are in `scalars`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from adjunct.fhir.definitions import resource_types
from adjunct.fhir.path import steps
from adjunct.fhir.path.compiler import Code, Function, Invocation, Scope, bare, box, negated, one, tested, truth, whole
from adjunct.fhir.path.operators import unique, united
from adjunct.fhir.path.scalars import SCALARS
from adjunct.fhir.path.syntax import Binary, Literal, Member, PathError, Unsupported, Variable, type_name
from adjunct.fhir.path.values import Typed, distinct, equal
from adjunct.fhir.wire import MAX_DEPTH

MAX_REPEATED = 10_000  # values that repeat() may find; one that makes ever new values would never end
UP_TO_3 = 3  # arguments of iif()


# --- existence and choice ---------------------------------------------------------------------------------------------


def _empty(call: Invocation) -> Code:
    run = call.source.run
    return truth(lambda here, scope: not run(here, scope))


def _exists(call: Invocation) -> Code:
    run = (_where(call) if call.arguments else call.source).run
    return truth(lambda here, scope: bool(run(here, scope)))


def _where(call: Invocation) -> Code:
    values, criterion = call.values(), call.criterion()
    return replace(
        call.source, run=lambda here, scope: [v for v in values(here, scope) if criterion(v, scope)], test=None
    )


def _all(call: Invocation) -> Code:
    values, criterion = call.values(), call.criterion()
    return truth(lambda here, scope: all(criterion(v, scope) for v in values(here, scope)))


def _select(call: Invocation) -> Code:
    values, projection = call.values(), call.projection()
    run = projection.run
    return replace(
        projection, run=lambda here, scope: [x for v in values(here, scope) for x in run(v, scope)], test=None
    )


def _repeat(call: Invocation) -> Code:
    values, projection = box(call.source), box(call.compiler.code(call.arguments[0], ""))

    def run(here: Any, scope: Scope) -> list[Any]:
        found: list[Any] = []
        level = values(here, scope)
        for _ in range(MAX_DEPTH):
            known = len(found)
            found += [x for v in level for x in projection(v, scope)]
            if len(found) > MAX_REPEATED:
                break
            found = [found[i] for i in distinct(found)]
            level = found[known:]
            if not level:
                return found
        raise PathError(f"FHIRPath repeat() goes {MAX_DEPTH} levels deep or finds {MAX_REPEATED} values: narrow it")

    return Code(run, "")


def _aggregate(call: Invocation) -> Code:
    values, step = call.values(), box(call.projection())
    start = box(call.argument(1)) if len(call.arguments) > 1 else None

    def run(here: Any, scope: Scope) -> list[Any]:
        outer = scope.total
        total = start(here, scope) if start else []
        for value in values(here, scope):
            scope.total = total
            total = step(value, scope)
        scope.total = outer
        return total

    return Code(run, "")


def _iif(call: Invocation) -> Code:
    run, criterion = call.source.run, call.criterion()
    branches = [call.compiler.code(argument, call.source.type) for argument in call.arguments[1:]]
    alike = len({branch.type for branch in branches}) == 1
    then, *otherwise = [branch.run if alike else box(branch) for branch in branches]

    def chosen(here: Any, scope: Scope) -> list[Any]:
        values = run(here, scope)
        one(values)
        value = values[0] if values else None
        if criterion(value, scope):
            return then(value, scope)
        return otherwise[0](value, scope) if otherwise else []

    return Code(chosen, branches[0].type if alike else "", stub=call.source.stub)


def _not(call: Invocation) -> Code:
    return truth(negated(tested(call.source)))


def _truths(of: Callable[[Iterable[bool]], bool]) -> Function:
    """allTrue and its kin: over truths, of which there may be none."""

    def build(call: Invocation) -> Code:
        values = bare(call.source)

        def test(here: Any, scope: Scope) -> bool:
            found = [v.value for v in values(here, scope)]
            if not all(isinstance(value, bool) for value in found):
                raise PathError("FHIRPath allTrue() and its kin take truths: use all(...)")
            return of(found)

        return truth(test)

    return build


def _has_value(call: Invocation) -> Code:
    run = call.source.run

    def test(here: Any, scope: Scope) -> bool:
        values = run(here, scope)
        return len(values) == 1 and (value := one(values)) is not None and value.__class__ is not dict

    return truth(test)


def _get_value(call: Invocation) -> Code:
    has_value, values = _has_value(call), bare(call.source)
    return Code(lambda here, scope: values(here, scope) if has_value.run(here, scope) == [True] else [], "")


# --- collections ------------------------------------------------------------------------------------------------------


def _count(call: Invocation) -> Code:
    run = call.source.run
    return Code(lambda here, scope: [len(run(here, scope))], "integer")


def _part(of: Callable[[list[Any]], list[Any]]) -> Function:
    def build(call: Invocation) -> Code:
        run = call.source.run
        return replace(call.source, run=lambda here, scope: of(run(here, scope)), test=None)

    return build


def _counted_part(of: Callable[[list[Any], int], list[Any]]) -> Function:
    def build(call: Invocation) -> Code:
        run, count = call.source.run, call.argument().run

        def part(here: Any, scope: Scope) -> list[Any]:
            wanted = whole(count(here, scope))
            return [] if wanted is None else of(run(here, scope), max(0, wanted))

        return replace(call.source, run=part, test=None)

    return build


def _single(values: list[Any]) -> list[Any]:
    one(values)
    return values


def _distinct(call: Invocation) -> Code:
    return unique(call.source)


def _is_distinct(call: Invocation) -> Code:
    run, once = call.source.run, unique(call.source).run
    return truth(lambda here, scope: len(once(here, scope)) == len(run(here, scope)))


def _combine(call: Invocation) -> Code:
    return united(call.source, call.argument())


def _union(call: Invocation) -> Code:
    return unique(_combine(call))


def _filtered(*, shared: bool) -> Function:
    """intersect and exclude: the values that are, or are not, in another collection."""

    def build(call: Invocation) -> Code:
        values, others = bare(call.source), bare(call.argument())

        def run(here: Any, scope: Scope) -> list[Any]:
            among = others(here, scope)
            return [v for v in values(here, scope) if any(equal(v, other) for other in among) is shared]

        return unique(Code(run, "")) if shared else Code(run, "")

    return build


def _subset(*, swapped: bool) -> Function:
    def build(call: Invocation) -> Code:
        inner, outer = bare(call.source), bare(call.argument())
        if swapped:
            inner, outer = outer, inner

        def test(here: Any, scope: Scope) -> bool:
            among = outer(here, scope)
            return all(any(equal(v, other) for other in among) for v in inner(here, scope))

        return truth(test)

    return build


def _tree(of: Callable[[Typed], list[Typed]]) -> Function:
    def build(call: Invocation) -> Code:
        values = box(call.source)
        return Code(lambda here, scope: [x for v in values(here, scope) for x in of(v)], "")

    return build


def _trace(call: Invocation) -> Code:
    return call.source  # a note to the author; nothing is written, it might be health data


# --- FHIR and SQL on FHIR ---------------------------------------------------------------------------------------------

_REFERENCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[^/]+)?(?:\|.*)?", re.ASCII)


def _extension(call: Invocation) -> Code:
    """Those with a URL, of an element or a primitive."""
    if not isinstance(call.arguments[0], Literal | Variable):
        raise Unsupported("extension() with a computed URL")
    every = call.compiler.below(call.source, "extension")
    return _where(call._replace(source=every, arguments=(Binary("=", Member(None, "url"), call.arguments[0]),)))


def _resolve(call: Invocation) -> Code:
    """What references point to: a contained resource itself; of others the type, where the reference tells it."""
    values = bare(call.source)

    def run(here: Any, scope: Scope) -> list[Any]:
        return [found for v in values(here, scope) for found in _resolved(v, scope.resource)]

    return Code(run, "", stub=True)


def _resolved(typed: Typed, resource: Any) -> list[Typed]:
    is_object = typed.value.__class__ is dict
    text = typed.value.get("reference") if is_object else typed.value
    if text.__class__ is str and text.startswith("#"):
        among = steps.take(resource, "contained") if text != "#" else [resource]
        return [steps.actual("Resource", r) for r in among if text == "#" or steps.take(r, "id") == [text[1:]]]
    found = _REFERENCE.fullmatch(text) if text.__class__ is str else None
    kind = found[1] if found else typed.value.get("type") if is_object else None
    return [Typed(kind, {})] if kind.__class__ is str and kind in resource_types() else []


def _resource_key(call: Invocation) -> Code:
    return call.compiler.below(call.source, "id")


def _reference_key(call: Invocation) -> Code:
    values, wanted = bare(call.source), type_name(call.arguments[0]) if call.arguments else ""

    def run(here: Any, scope: Scope) -> list[Any]:
        texts = [text for v in values(here, scope) for text in steps.take(v.value, "reference")]
        found = [_REFERENCE.fullmatch(text) for text in texts]
        return [key[2] for key in found if key and wanted in ("", key[1])]

    return Code(run, "string")


def _moment(result: str, part: slice) -> Function:
    """now() and today() are told from outside, as the variable "now"."""

    def build(_call: Invocation) -> Code:
        def run(_here: Any, scope: Scope) -> list[Any]:
            if "now" not in scope.variables:
                raise PathError("FHIRPath now() and today() need the time: give the variable 'now'")
            return [str(scope.variables["now"])[part]]

        return Code(run, result)

    return build


_DATE = len("2026-11-22")
# Each with the least and greatest number of its arguments.
_OF_COLLECTIONS: dict[str, tuple[Function, int, int]] = {
    "empty": (_empty, 0, 0),
    "exists": (_exists, 0, 1),
    "all": (_all, 1, 1),
    "not": (_not, 0, 0),
    "allTrue": (_truths(all), 0, 0),
    "anyTrue": (_truths(any), 0, 0),
    "allFalse": (_truths(lambda truths: not any(truths)), 0, 0),
    "anyFalse": (_truths(lambda truths: not all(truths)), 0, 0),
    "hasValue": (_has_value, 0, 0),
    "getValue": (_get_value, 0, 0),
    "where": (_where, 1, 1),
    "select": (_select, 1, 1),
    "repeat": (_repeat, 1, 1),
    "aggregate": (_aggregate, 1, 2),
    "iif": (_iif, 2, UP_TO_3),
    "trace": (_trace, 1, 2),
    "count": (_count, 0, 0),
    "distinct": (_distinct, 0, 0),
    "isDistinct": (_is_distinct, 0, 0),
    "subsetOf": (_subset(swapped=False), 1, 1),
    "supersetOf": (_subset(swapped=True), 1, 1),
    "intersect": (_filtered(shared=True), 1, 1),
    "exclude": (_filtered(shared=False), 1, 1),
    "union": (_union, 1, 1),
    "combine": (_combine, 1, 1),
    "first": (_part(lambda values: values[:1]), 0, 0),
    "last": (_part(lambda values: values[-1:]), 0, 0),
    "tail": (_part(lambda values: values[1:]), 0, 0),
    "single": (_part(_single), 0, 0),
    "skip": (_counted_part(lambda values, count: values[count:]), 1, 1),
    "take": (_counted_part(lambda values, count: values[:count]), 1, 1),
    "children": (_tree(steps.children), 0, 0),
    "descendants": (_tree(steps.descendants), 0, 0),
    "extension": (_extension, 1, 1),
    "resolve": (_resolve, 0, 0),
    "getResourceKey": (_resource_key, 0, 0),
    "getReferenceKey": (_reference_key, 0, 1),
    "now": (_moment("dateTime", slice(None)), 0, 0),
    "today": (_moment("date", slice(_DATE)), 0, 0),
    "timeOfDay": (_moment("time", slice(_DATE + 1, len("2026-11-22T09:30:00"))), 0, 0),
}


def _checked(name: str, function: Function, least: int, most: int) -> Function:
    def build(call: Invocation) -> Code:
        if not least <= len(call.arguments) <= most:
            raise PathError(f"FHIRPath {name}() has another number of arguments: correct the expression")
        return function(call)

    return build


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {name: _checked(name, *row) for name, row in (_OF_COLLECTIONS | SCALARS).items()}
)
