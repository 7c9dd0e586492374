"""A view as one DuckDB query over a relation with one JSON column, `resource`; `path_sql` writes its expressions.

The rows of a selection structure are a list of structs: `forEach` is `list_transform`, nested selects are crossed,
`unionAll` is `list_concat`, `repeat` is unrolled; the query unnests the list of each resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adjunct.base import BadInput
from adjunct.fhir.definitions import elements, is_subtype, primitive_types
from adjunct.fhir.path.syntax import Member, Node, Variable
from adjunct.fhir.path.values import kind_of
from adjunct.fhir.path_sql import OURS, Here, Value, Writer, bound, listed, one, quoted, stop
from adjunct.fhir.views import Column, Row, Select, View, columns
from adjunct.fhir.wire import Exact, read_exact

if TYPE_CHECKING:
    import duckdb

MAX_REPEAT = 12  # levels of `repeat`; deeper data stops the query
LISTS_OF_DECIMALS = frozenset(("MolecularSequence",))  # of R4's resources; `relation` would lose their digits
MAX_LINE = 64 * 1024 * 1024  # bytes of one resource

# A decimal after a key; before the quote that ends a key is no backslash, as there is inside a text.
_DECIMAL = r'([^\\]":\s*)(-?[0-9]+(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+))'


class _Rows(NamedTuple):
    """SQL of a list of structs with these fields."""

    names: tuple[str, ...]
    sql: str


def duckdb_sql(view: View, source: str) -> str:
    """The query of a view over `source`, the SQL of a relation. BadInput names what DuckDB cannot be asked here.

    >>> view = View.of({"resource": "Patient", "select": [{"column": [{"name": "born", "path": "birthDate"}]}]})
    >>> print(duckdb_sql(view, "FROM patients"))
    SELECT CAST(json_extract_string(source.resource, '$.birthDate') AS VARCHAR) AS "born"
    FROM (FROM patients) AS source
    WHERE json_extract_string(source.resource, '$.resourceType') = 'Patient'
    """
    if view.resource in LISTS_OF_DECIMALS:
        raise BadInput(f"DuckDB cannot be asked for {view.resource}: use the python engine")
    writer = Writer()
    root = _root(view)
    own, parts = _parts(writer, view.select, root)
    conditions = [f"json_extract_string(source.resource, '$.resourceType') = '{view.resource}'"]
    conditions += [f"coalesce({writer.truth(writer.value(tree, root))}, false)" for tree in view.where]
    read = f"FROM ({source}) AS source\nWHERE " + "\n  AND ".join(conditions)
    cells = ",\n  ".join(f'{sql} AS "{name}"' for name, sql in own.items())
    if not parts:
        return f"SELECT {cells}\n{read}"
    said = ", ".join(f'"{c.name}"' if c.name in own else f'_made."{c.name}"' for c in columns(view))
    made = f"unnest({_crossed(writer, parts).sql}) AS _made"
    return f"SELECT {said}\nFROM (SELECT {cells + ', ' if cells else ''}{made}\n{read})"


def relation(paths: Sequence[Path]) -> str:
    """The SQL of a relation over NDJSON files in which decimals keep the digits that were written.

    DuckDB would read them as binary floating point. Here they are texts that begin with U+0001, which no text in FHIR
    may hold; `path_sql` takes that mark off decimals, `_whole` off objects.
    """
    files = ", ".join(quoted(str(path)) for path in paths)
    exact = rf"""regexp_replace(json::VARCHAR, {quoted(_DECIMAL)}, '\1"\\u0001\2"', 'g')::JSON"""
    read = f"read_ndjson_objects([{files}], maximum_object_size={MAX_LINE})"
    return f"SELECT {exact} AS resource FROM {read}"  # noqa: S608  file names are quoted


def duckdb_rows(view: View, source: str, connection: duckdb.DuckDBPyConnection | None = None) -> Iterator[Row]:
    """The rows of a view as `views.rows` gives them, computed by DuckDB.

    Raises BadInput if the query stops; what DuckDB says of the data is not repeated, because it may quote it.
    """
    try:
        import duckdb
    except ImportError:
        raise BadInput("DuckDB is not installed: pip install 'adjunct[views]', or use the python engine") from None
    names = [column.name for column in columns(view)]
    types = _types(Writer(), view.select, _root(view))
    read = {name: of for name, value in types.items() if (of := _READ.get(_written(value.type)))}
    query = duckdb_sql(view, source)
    try:
        result = (connection or duckdb.connect()).execute(query)
        while part := result.fetchmany():
            for values in part:
                row = dict(zip(names, values, strict=True))
                for name, of in read.items():
                    value = row[name]
                    row[name] = (
                        [of(v) for v in value] if isinstance(value, list) else None if value is None else of(value)
                    )
                yield row
    except duckdb.Error as error:
        _, ours, said = str(error).partition(OURS)
        raise BadInput(said.partition("\n")[0] if ours else "DuckDB cannot read these resources: check them") from None


_READ: dict[str, Callable[[Any], Any]] = {"decimal": Exact, "JSON": lambda text: read_exact(text.encode())}


def _written(kind: str) -> str:
    """The SQL type of a FHIR type, as the specification maps it; "decimal" is text with the digits it has."""
    if kind == "decimal" or is_subtype(kind, "integer"):
        return "decimal" if kind == "decimal" else "BIGINT"
    return {"boolean": "BOOLEAN", "object": "JSON", "quantity": "JSON"}.get(kind_of(kind) if kind else "", "VARCHAR")


def _sql_type(value: Value) -> str:
    kind = _written(value.type)
    return ("VARCHAR" if kind == "decimal" else kind) + ("[]" if value.many else "")


def _root(view: View) -> Here:
    return Here(bound("source.resource", view.resource), "0")


# --- rows -------------------------------------------------------------------------------------------------------------


def _parts(writer: Writer, select: Select, here: Here) -> tuple[dict[str, str], list[_Rows]]:
    """The cells that come once for the focus, and the rows to cross them with."""
    own = {column.name: _cell(writer, column, here) for column in select.columns}
    parts: list[_Rows] = []
    for part in select.selects:
        if part.iteration or part.union:
            parts.append(_rows(writer, part, here))
        else:
            more, further = _parts(writer, part, here)
            own |= more
            parts += further
    if select.union:
        united = [_rows(writer, part, here) for part in select.union]
        parts.append(_Rows(united[0].names, reduce("list_concat({}, {})".format, (part.sql for part in united))))
    return own, parts


def _rows(writer: Writer, select: Select, here: Here) -> _Rows:
    """The rows of a selection structure, their fields in the order of its columns."""
    if not select.iteration:
        return _rows_of_one(writer, select, here)
    names = tuple(column.name for column in select.all_columns())
    if select.iteration == "repeat":
        if all(_leads_nowhere(tree, here.this) for tree in select.over):
            kinds = ", ".join(f'"{c.name}" {_sql_type(Value("", c.type, c.collection))}' for c in select.all_columns())
            return _Rows(names, f"CAST([] AS STRUCT({kinds})[])")
        foci, kind = _repeated(writer, select, here, MAX_REPEAT), select.start
    else:
        each = writer.value(select.over[0], here)
        if not each.many and each.type in primitive_types():
            raise BadInput(f"DuckDB cannot be asked for {str(select.over[0])!r} as {select.iteration}: it is one value")
        foci, kind = listed(each), each.type
    x, i = writer.fresh(), writer.fresh()
    inside = _rows_of_one(writer, select, Here(bound(x, kind), f"({i} - 1)")).sql
    if select.iteration == "forEachOrNull":
        types = _types(writer, select, here)
        zero = {column.name for column in select.all_columns() if column.path == Variable("rowIndex")}
        nothing = ", ".join(f"'{n}': CAST({0 if n in zero else 'NULL'} AS {_sql_type(types[n])})" for n in names)
        inside = f"CASE WHEN {x} IS NULL THEN [{{{nothing}}}] ELSE {inside} END"
        foci = f"coalesce(nullif({foci}, []), [NULL])"
    return _Rows(names, f"flatten(list_transform({foci}, lambda {x}, {i}: {inside}))")


def _rows_of_one(writer: Writer, select: Select, here: Here) -> _Rows:
    own, parts = _parts(writer, select, here)
    if own:
        parts.insert(0, _Rows(tuple(own), "[{" + ", ".join(f"'{n}': {sql}" for n, sql in own.items()) + "}]"))
    made = _crossed(writer, parts)
    names = tuple(column.name for column in select.all_columns())
    if made.names == names:
        return made
    x = writer.fresh()
    ordered = ", ".join(f"'{n}': {x}.\"{n}\"" for n in names)
    return _Rows(names, f"list_transform({made.sql}, lambda {x}: {{{ordered}}})")


def _crossed(writer: Writer, parts: list[_Rows]) -> _Rows:
    """The product of lists of structs, the first varying slowest."""
    if len(parts) == 1:
        return parts[0]
    variables = [writer.fresh() for _ in parts]
    fields = [(n, f'{x}."{n}"') for x, part in zip(variables, parts, strict=True) for n in part.names]
    made = "[{" + ", ".join(f"'{n}': {sql}" for n, sql in fields) + "}]"
    for x, part in reversed(list(zip(variables, parts, strict=True))):
        made = f"flatten(list_transform({part.sql}, lambda {x}: {made}))"
    return _Rows(tuple(n for n, _ in fields), made)


def _repeated(writer: Writer, select: Select, here: Here, levels: int) -> str:
    """A list of every node below, each before its own children, so many levels deep."""
    paths = [tree for tree in select.over if not _leads_nowhere(tree, here.this)]
    children = reduce("list_concat({}, {})".format, (listed(writer.value(tree, here)) for tree in paths))
    if levels == 0:
        deeper = stop("repeat goes deeper than the query: use the python engine")
        return f"CASE WHEN len({children}) = 0 THEN [] ELSE {deeper} END"
    if not select.start:
        raise BadInput("DuckDB needs paths of repeat that lead to one type: use the python engine")
    x = writer.fresh()
    below = _repeated(writer, select, replace(here, this=bound(x, select.start)), levels - 1)
    return f"flatten(list_transform({children}, lambda {x}: list_prepend({x}, {below})))"


def _leads_nowhere(tree: Node, node: Value) -> bool:
    """Does a path begin with an element that the node cannot have, as `answer.item` from a resource?"""
    while isinstance(tree, Member) and tree.source is not None:
        tree = tree.source
    return isinstance(tree, Member) and tree.name not in elements(node.type)


def _cell(writer: Writer, column: Column, here: Here) -> str:
    value = _typed(writer, column, here)
    return f"CAST({value.sql} AS {_sql_type(value)})"


def _typed(writer: Writer, column: Column, here: Here) -> Value:
    """What a column shows."""
    value = writer.known(writer.value(column.path, here), column.path)
    if _written(value.type) == "JSON":
        value = _whole(writer, value)
    if column.collection:
        return Value(listed(value), value.type, many=True)
    value = one(value, f"column {column.name!r} has several values: set collection, or take first()")
    if value.type == "decimal" and value.computed:
        return Value(f"rtrim(rtrim(CAST({value.sql} AS VARCHAR), '0'), '.')", value.type)
    return value


def _whole(writer: Writer, value: Value) -> Value:
    """Objects with their decimals as numbers again."""
    if value.many:
        x = writer.fresh()
        each = _whole(writer, Value(x, value.type)).sql
        return Value(f"list_transform({value.sql}, lambda {x}: {each})", value.type, many=True)
    return Value(rf"""regexp_replace(CAST({value.sql} AS VARCHAR), '"\\u0001([^"]*)"', '\1', 'g')""", value.type)


def _types(writer: Writer, select: Select, here: Here) -> dict[str, Value]:
    """What each column of a selection structure shows."""
    if select.iteration == "repeat" and all(_leads_nowhere(tree, here.this) for tree in select.over):
        return {column.name: Value("", column.type, column.collection) for column in select.all_columns()}
    if select.iteration:
        kind = select.start if select.iteration == "repeat" else writer.value(select.over[0], here).type
        here = Here(bound("NULL", kind), "0")
    found = {column.name: _typed(writer, column, here) for column in select.columns}
    for part in (*select.selects, *select.union[:1]):
        found |= _types(writer, part, here)
    return found
