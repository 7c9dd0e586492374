"""SQL on FHIR: a ViewDefinition (v2, 2.1) says how resources become the rows of a flat table.

`View.of` reads one and refuses what cannot work; `rows` is the plain reading of the specification's algorithm
("Process a Resource"), one resource at a time. `views_sql` says the same as one DuckDB query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from itertools import chain
from typing import Any

from adjunct.base import BadInput
from adjunct.fhir.definitions import is_subtype, resource_types
from adjunct.fhir.path import Path, compile_path
from adjunct.fhir.path.syntax import Literal, Node, Variable, parse, walk
from adjunct.fhir.wire import MAX_DEPTH, Exact, Json

Row = dict[str, Any]
_Emit = Callable[[Any, Json, int], list[Row]]  # focus, resource, %rowIndex

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
_ITERATIONS = ("forEach", "forEachOrNull", "repeat")
_SELECT_KEYS = frozenset(("column", "select", "unionAll", *_ITERATIONS))
_COLUMN_KEYS = frozenset("name path type collection description tag".split())
_VIEW_KEYS = frozenset(
    "resourceType meta implicitRules language text contained url identifier version versionAlgorithmString "
    "versionAlgorithmCoding name title status experimental date publisher contact description useContext jurisdiction "
    "purpose copyright copyrightLabel fhirVersion profile resource constant select where".split()
)
_ANYWHERE = frozenset(("id", "extension", "modifierExtension"))
#: The type of a constant's `value[x]` and the FHIRPath literal that it becomes.
_CONSTANTS = {
    **dict.fromkeys("Base64Binary Canonical Code Id Markdown Oid String Uri Url Uuid".split(), "string"),
    **dict.fromkeys("Integer Integer64 PositiveInt UnsignedInt".split(), "integer"),
    "Boolean": "boolean",
    "Date": "date",
    "DateTime": "dateTime",
    "Decimal": "decimal",
    "Instant": "dateTime",
    "Time": "time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `type`: the FHIR type declared, else inferred, else "". `collection`: its values are lists."""

    name: str
    path: Node
    type: str
    collection: bool
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """A selection structure: for each focus its columns, crossed with the nested selects and with the union.

    `over` holds the paths of `forEach`, `forEachOrNull` or `repeat` (`iteration` says which; "" none). `start` is the
    FHIR type of the focus, "" if it cannot be told.
    """

    iteration: str
    over: tuple[Node, ...]
    start: str
    columns: tuple[Column, ...]
    selects: tuple[Select, ...]
    union: tuple[Select, ...]

    def all_columns(self) -> tuple[Column, ...]:
        """Own columns, then those of the nested selects, then those of the union, as the specification orders them."""
        nested = chain(self.selects, self.union[:1])
        return (*self.columns, *chain.from_iterable(select.all_columns() for select in nested))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A ViewDefinition that has been checked; constants are replaced by their values."""

    name: str
    resource: str
    where: tuple[Node, ...]
    select: Select

    @classmethod
    def of(cls, definition: Json) -> View:
        """Read a ViewDefinition. BadInput names the first thing that cannot work and where it stands."""
        _only(definition, _VIEW_KEYS, "ViewDefinition")
        resource = definition.get("resource")
        if resource not in resource_types():
            raise BadInput("a view needs the R4 resource type that it reads: write for example Patient", "resource")
        constants = _constants(_listed(definition, "constant", ""))
        where = []
        for i, said in enumerate(_listed(definition, "where", "")):
            at = f"where[{i}].path"
            path = _path(said.get("path"), constants, at)
            if _compiled(path, resource, at).type not in ("", "boolean"):
                raise BadInput("a condition must be true or false: ask for example with exists()", at)
            where.append(path)
        whole = {"select": definition.get("select")} if "select" in definition else {}
        view = cls(
            name=_name(definition["name"], "name") if "name" in definition else "",
            resource=resource,
            where=tuple(where),
            select=_select(whole, constants, resource, ""),
        )
        _refuse_twice(view.select.all_columns())
        _program(view)
        return view


def columns(view: View) -> tuple[Column, ...]:
    """The columns of the table in order."""
    return view.select.all_columns()


def rows(view: View, resources: Iterable[Json]) -> Iterator[Row]:
    """The rows of every resource of the view's type, in order; a missing value is None, of a collection [].

    A computed decimal is `Exact`, as a read one can be: `wire.write_exact` writes all its digits.

    Raises BadInput if a path gives several values where one is asked, or a condition is neither true nor false.

    >>> view = View.of({"resource": "Patient", "select": [
    ...     {"column": [{"name": "id", "path": "getResourceKey()"}]},
    ...     {"forEach": "name", "column": [{"name": "family", "path": "family"}]}]})
    >>> list(rows(view, [{"resourceType": "Patient", "id": "a", "name": [{"family": "Ito"}, {"family": "Sato"}]}]))
    [{'id': 'a', 'family': 'Ito'}, {'id': 'a', 'family': 'Sato'}]
    """
    conditions, emit = _program(view)
    for resource in resources:
        if resource.get("resourceType") == view.resource and all(holds(resource) for holds in conditions):
            yield from emit(resource, resource, 0)


# --- reading a definition ---------------------------------------------------------------------------------------------


def _constants(said: list[Json]) -> dict[str, Literal]:
    found: dict[str, Literal] = {}
    for i, constant in enumerate(said):
        at = f"constant[{i}]"
        name = _name(constant.get("name"), f"{at}.name")
        values = [key for key in constant if key.startswith("value")]
        kind = _CONSTANTS.get(values[0].removeprefix("value")) if len(values) == 1 else None
        if kind is None or name in found:
            raise BadInput("a constant has one value, such as valueString, and its name once", at)
        found[name] = _literal(kind, constant[values[0]], f"{at}.{values[0]}")
    return found


def _literal(kind: str, value: Any, at: str) -> Literal:
    if kind == "decimal" and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return Literal(kind, Decimal(str(getattr(value, "text", value))))
    given: type = type(value)
    if given is not {"boolean": bool, "integer": int}.get(kind, str):
        raise BadInput(f"not a {kind}: write its value as FHIR does", at)
    literal = Literal(kind, value)
    if kind in ("date", "dateTime", "time") and not _readable(literal):
        raise BadInput(f"not a {kind}: write its value as FHIR does", at)
    return literal


def _readable(literal: Literal) -> bool:
    try:
        return parse(str(literal)) == literal
    except BadInput:
        return False


def _select(said: Json, constants: Mapping[str, Literal], start: str, at: str) -> Select:
    _only(said, _SELECT_KEYS, at or "ViewDefinition")
    given = [key for key in _ITERATIONS if key in said]
    if len(given) > 1:
        raise BadInput(f"only one of {', '.join(_ITERATIONS)} can be in one select: nest a second select", at)
    iteration = given[0] if given else ""
    over: tuple[Node, ...] = ()
    if iteration == "repeat":
        paths = said["repeat"] if isinstance(said["repeat"], list) else ()
        over = tuple(_path(path, constants, _in(at, f"repeat[{i}]")) for i, path in enumerate(paths))
        if not over:
            raise BadInput("repeat needs a list of paths", _in(at, "repeat"))
        start = _type_repeated(over, start)
    elif iteration:
        over = (_path(said[iteration], constants, _in(at, iteration)),)
        start = _compiled(over[0], start, _in(at, iteration)).type
    select = Select(
        iteration=iteration,
        over=over,
        start=start,
        columns=tuple(
            _column(column, constants, start, _in(at, f"column[{i}]"))
            for i, column in enumerate(_listed(said, "column", at))
        ),
        selects=tuple(
            _select(part, constants, start, _in(at, f"select[{i}]"))
            for i, part in enumerate(_listed(said, "select", at))
        ),
        union=tuple(
            _select(part, constants, start, _in(at, f"unionAll[{i}]"))
            for i, part in enumerate(_listed(said, "unionAll", at))
        ),
    )
    _refuse_unlike(select.union, at)
    if not select.all_columns():
        raise BadInput("a select without columns: name at least one", at or "select")
    return select


def _column(said: Json, constants: Mapping[str, Literal], start: str, at: str) -> Column:
    _only(said, _COLUMN_KEYS, at)
    path = _path(said.get("path"), constants, f"{at}.path")
    collection, declared = said.get("collection", False), said.get("type", "")
    if not isinstance(collection, bool) or not isinstance(declared, str):
        raise BadInput("collection is true or false, and type the name of a FHIR type", at)
    kind = declared.rpartition("/")[-1] or _compiled(path, start, f"{at}.path").type
    return Column(name=_name(said.get("name"), f"{at}.name"), path=path, type=kind, collection=collection, at=at)


def _path(text: object, constants: Mapping[str, Literal], at: str) -> Node:
    """The tree of a path, each constant replaced by its value."""
    if not isinstance(text, str):
        raise BadInput("a FHIRPath expression is needed here, as text", at)
    tree = _placed(at, lambda: parse(text))
    known = {*constants, "rowIndex", "resource", "context", "rootResource", "ucum", "sct", "loinc"}
    for node in walk(tree):
        if isinstance(node, Variable) and node.name not in known:
            raise BadInput(f"%{node.name} is not defined: add it to constant", at)
    return _filled(tree, constants)


def _filled(tree: Node, constants: Mapping[str, Literal]) -> Node:
    if isinstance(tree, Variable):
        return constants.get(tree.name, tree)
    changed: dict[str, Any] = {}
    for field in fields(tree):
        value = getattr(tree, field.name)
        if isinstance(value, Node):
            changed[field.name] = _filled(value, constants)
        elif isinstance(value, tuple):
            changed[field.name] = tuple(_filled(part, constants) for part in value)
    return replace(tree, **changed) if changed else tree


def _placed(at: str, read: Callable[[], Any]) -> Any:
    """What `read` gives; its refusal says where in the view the expression stands."""
    try:
        return read()
    except BadInput as error:
        raise BadInput(str(error), at) from None


def _type_repeated(over: tuple[Node, ...], start: str) -> str:
    """The one type that all paths of a `repeat` lead to, from the start and from there again; "" if there are more."""
    types = {kind for path in over if (kind := _compiled(path, start, "repeat").type)}
    kind = types.pop() if len(types) == 1 else ""
    return kind if all(_compiled(path, kind, "repeat").type in (kind, "") for path in over) else ""


def _listed(said: Json, key: str, at: str) -> list[Json]:
    value = said.get(key, [])
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise BadInput("a list of objects is needed here", _in(at, key))
    return value


def _only(said: Json, known: frozenset[str], at: str) -> None:
    """A key that is not known, such as "forEeach", would silently change the rows."""
    for key in said:
        if key.removeprefix("_") not in known and key not in _ANYWHERE:
            raise BadInput(f"{key!r} is not known here: known are {', '.join(sorted(known))}", at)


def _name(text: object, at: str) -> str:
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise BadInput("a name begins with a letter and has only letters, digits and _", at)
    return text


def _in(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _refuse_twice(found: tuple[Column, ...]) -> None:
    seen: set[str] = set()
    for column in found:
        if column.name.casefold() in seen:  # tables know no difference of case
            raise BadInput(f"column {column.name!r} comes twice: give it another name", column.at)
        seen.add(column.name.casefold())


def _refuse_unlike(union: tuple[Select, ...], at: str) -> None:
    shapes = [[(c.name, c.type, c.collection) for c in part.all_columns()] for part in union]
    for i, shape in enumerate(shapes):
        if [s[0] for s in shape] != [s[0] for s in shapes[0]] or not all(map(_alike, shape, shapes[0])):
            said = "the parts of a union must have the same columns in the same order and of the same types"
            raise BadInput(said, _in(at, f"unionAll[{i}]"))


def _alike(one: tuple[str, str, bool], two: tuple[str, str, bool]) -> bool:
    """The same type as far as it is known; a code is a string."""
    same = "" in (one[1], two[1]) or is_subtype(one[1], two[1]) or is_subtype(two[1], one[1])
    return same and one[2] == two[2]


# --- running it -------------------------------------------------------------------------------------------------------


def _program(view: View) -> tuple[list[Callable[[Json], bool]], _Emit]:
    conditions = [_condition(tree, view.resource, f"where[{i}].path") for i, tree in enumerate(view.where)]
    return conditions, _emitter(view.select, view.resource)


def _compiled(tree: Node, start: str, at: str) -> Path:
    path: Path = _placed(at, lambda: compile_path(str(tree), start))
    if path.unknown and at != "repeat":  # its path is tried at every level, and need not lead on from each
        raise BadInput(f"R4 has no {' and no '.join(sorted(path.unknown))}", at)
    return path


def _condition(tree: Node, start: str, at: str) -> Callable[[Json], bool]:
    path = _compiled(tree, start, at)

    def holds(resource: Json) -> bool:
        found = _placed(at, lambda: path(resource, resource, {"rowIndex": 0}))
        if found and (len(found) > 1 or not isinstance(found[0], bool)):
            raise BadInput("a condition must be true or false: ask for example with exists()", at)
        return bool(found) and found[0]

    return holds


def _emitter(select: Select, outer: str) -> _Emit:
    """The rows of a selection structure as a function of the focus, the resource and the row index around it."""
    cells = [(c.name, _compiled(c.path, select.start, f"{c.at}.path"), c.collection, c.at) for c in select.columns]
    parts = [_emitter(part, select.start) for part in select.selects]
    union = [_emitter(part, select.start) for part in select.union]

    def of_one(focus: Any, resource: Json, index: int) -> list[Row]:
        variables = {"rowIndex": index}
        own: Row = {}
        for name, path, collection, at in cells:
            try:
                found = path(focus, resource, variables)
            except BadInput as error:
                raise BadInput(str(error), f"{at}.path") from None
            found = [Exact(f"{v:f}") if isinstance(v, Decimal) else v for v in found]
            if collection:
                own[name] = found
            elif len(found) > 1:
                raise BadInput(f"column {name!r} has {len(found)} values: set collection, or take first()", at)
            else:
                own[name] = found[0] if found else None
        made = [own]
        for part in parts:
            made = _crossed(made, part(focus, resource, index))
        if union:
            made = _crossed(made, [row for part in union for row in part(focus, resource, index)])
        return made

    if not select.iteration:
        return of_one
    foci = _foci(select, outer)
    nothing = [{c.name: 0 if c.path == Variable("rowIndex") else None for c in select.all_columns()}]

    def of_each(focus: Any, resource: Json, index: int) -> list[Row]:
        found = foci(focus, resource, {"rowIndex": index})
        if not found and select.iteration == "forEachOrNull":
            return [dict(row) for row in nothing]
        return [row for i, one in enumerate(found) for row in of_one(one, resource, i)]

    return of_each


def _crossed(rows_: list[Row], others: list[Row]) -> list[Row]:
    return [row | other for row in rows_ for other in others]


def _foci(select: Select, outer: str) -> Callable[[Any, Json, Row], list[Any]]:
    """The foci of an iteration; where R4 does not tell their type, each carries its own."""
    at = select.iteration
    if at != "repeat":
        return _values(_compiled(select.over[0], outer, at), select.start)
    first = [_values(_compiled(tree, outer, "repeat"), select.start) for tree in select.over]
    further = [_values(_compiled(tree, select.start, "repeat"), select.start) for tree in select.over]

    def repeated(focus: Any, resource: Json, variables: Row) -> list[Any]:
        """Every node below, each before its own children, to any depth that JSON may have."""
        found: list[Any] = []
        waiting = [(1, child) for path in first for child in path(focus, resource, variables)][::-1]
        while waiting:
            depth, node = waiting.pop()
            if depth > MAX_DEPTH:
                raise BadInput("repeat does not come to an end: its paths must lead to children", at)
            found.append(node)
            children = [child for path in further for child in path(node, resource, variables)]
            waiting.extend((depth + 1, child) for child in reversed(children))
        return found

    return repeated


def _values(path: Path, kind: str) -> Callable[[Any, Json, Row], list[Any]]:
    return path if kind else path.typed
