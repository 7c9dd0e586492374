"""A view as one DuckDB query over a relation with one JSON column, `resource`.

FHIRPath is translated by the types that R4 gives its elements: what is single becomes a scalar, with NULL for nothing;
what repeats becomes a list; three-valued logic is SQL's own. A path that this cannot say is refused with its name; data
that it cannot judge (dates of mixed precision, more digits than DECIMAL has) stops the query. It never answers wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adjunct.base import BadInput
from adjunct.fhir.definitions import Element, elements, is_subtype, primitive_types, resource_types
from adjunct.fhir.path.syntax import Binary, Call, Index, Literal, Member, Node, Special, TypeIs, Unary, Variable, type_name
from adjunct.fhir.path.values import kind_of
from adjunct.fhir.views import Column, Row, Select, View, columns
from adjunct.fhir.wire import Exact

if TYPE_CHECKING:
    import duckdb

SCALE = 18  # digits after the point of a decimal that is computed with; 20 before it
HALF_SCALE = 9  # of the factors of a product
QUOTIENT_SCALE = 8  # of a quotient, which must end there
MAX_REPEAT = 12  # levels of `repeat`; deeper data stops the query
MAX_LINE = 64 * 1024 * 1024  # bytes of one resource
DATE_LENGTH, MONTH_LENGTH, YEAR_LENGTH = 10, 7, 4
FIRST_CLOCK, LAST_CLOCK = "00:00:00.000", "23:59:59.999"
EARLIEST_ZONE, LATEST_ZONE = "+14:00", "-12:00"  # the boundaries of a time without a zone
OURS = "view: "  # begins the messages of errors that the query raises by itself

_DATE = r"^\d{4}(-\d{2}(-\d{2})?)?$"
_INSTANT = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$"
_REFERENCE = r"^(?:https?://.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$"
# A string stays, a decimal becomes a string with the same digits: DuckDB reads numbers as binary floating point.
_STRING_OR_DECIMAL = r'("(?:[^"\\]|\\.)*")|(-?[0-9]+(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+))'
_COMPARISONS = frozenset(("<", "<=", ">", ">="))


@dataclass(frozen=True, slots=True)
class _Value:
    """SQL of a scalar or (`many`) of a list. Elements are JSON if complex, else text as written; what is computed is
    BOOLEAN, BIGINT or DECIMAL (`computed`). `parent` and `path`: the JSON path that still can be made longer."""

    sql: str
    type: str
    many: bool = False
    computed: bool = False
    parent: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class _Here:
    """Where an expression is evaluated: `$this`, `%rowIndex` and `$index`."""

    this: _Value
    row: str
    index: str = ""


def duckdb_sql(view: View, source: str) -> str:
    """The query of a view over `source`, the SQL of a relation. BadInput names what DuckDB cannot be asked here.

    >>> view = View.of({"resource": "Patient", "select": [{"column": [{"name": "born", "path": "birthDate"}]}]})
    >>> print(duckdb_sql(view, "FROM patients"))
    SELECT CAST(json_extract_string(resource, '$.birthDate') AS VARCHAR) AS "born"
    FROM (FROM patients) AS source
    WHERE json_extract_string(resource, '$.resourceType') = 'Patient'
    """
    writer = _Writer()
    root = _Here(_Value("resource", view.resource, parent="resource", path="$"), "0")
    own, parts = writer.flattened(view.select, root)
    conditions = [f"json_extract_string(resource, '$.resourceType') = '{view.resource}'"]
    conditions += [f"coalesce({writer.truth(writer.value(tree, root))}, false)" for tree in view.where]
    where = f"FROM ({source}) AS source\nWHERE " + "\n  AND ".join(conditions)
    if not parts:
        return "SELECT " + ",\n  ".join(f'{sql} AS "{c.name}"' for c, sql in own) + f"\n{where}"
    names = {column.name for column, _ in own}
    said = [f'"{c.name}"' if c.name in names else f'made."{c.name}"' for c in columns(view)]
    cells = [*(f'{sql} AS "{c.name}"' for c, sql in own), f"unnest({writer.crossed(parts)}) AS made"]
    return f"SELECT {', '.join(said)}\nFROM (SELECT " + ",\n  ".join(cells) + f"\n{where})"


def relation(paths: Sequence[Path]) -> str:
    """The SQL of a relation over NDJSON files in which decimals keep the digits that were written."""
    files = ", ".join(_text(str(path)) for path in paths)
    marked = rf"regexp_replace(json::VARCHAR, {_text(_STRING_OR_DECIMAL)}, e'\\1\x01\\2\x02', 'g')"
    exact = f"""replace(replace(replace({marked}, e'\\x01\\x02', ''), e'\\x01', '"'), e'\\x02', '"')"""
    return f"SELECT {exact}::JSON AS resource FROM read_ndjson_objects([{files}], maximum_object_size={MAX_LINE})"


def duckdb_rows(view: View, source: str, connection: duckdb.DuckDBPyConnection | None = None) -> Iterator[Row]:
    """The rows of a view as `views.rows` gives them, computed by DuckDB.

    Raises BadInput if the query stops; what DuckDB says of the data is not repeated, because it may quote it.
    """
    import duckdb

    found = columns(view)
    decimals = [c.name for c in found if c.type == "decimal"]
    try:
        result = (connection or duckdb.connect()).execute(duckdb_sql(view, source))
        while part := result.fetchmany():
            for values in part:
                row = dict(zip((c.name for c in found), values, strict=True))
                for name in decimals:
                    row[name] = _exact(row[name])
                yield row
    except duckdb.Error as error:
        _, ours, said = str(error).partition(OURS)
        raise BadInput(said.partition("\n")[0] if ours else "DuckDB cannot read these resources: check them") from None


def _exact(value: Any) -> Any:
    return [Exact(v) for v in value] if isinstance(value, list) else None if value is None else Exact(value)


# --- writing SQL ------------------------------------------------------------------------------------------------------


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _stop(said: str) -> str:
    return f"error({_text(OURS + said + ': use the python engine')})"


def _unsaid(node: Node) -> BadInput:
    return BadInput(f"DuckDB cannot be asked for {str(node)!r}: use the python engine")


def _decimal(text: str, scale: int = SCALE) -> str:
    """Text as DECIMAL, unless that would cut digits off."""
    tail = rf"[eE]-|\.\d{{{scale}}}\d*[1-9]"
    cast = f"CAST({text} AS DECIMAL(38,{scale}))"
    return f"CASE WHEN regexp_matches({text}, '{tail}') THEN {_stop('a decimal with too many digits')} ELSE {cast} END"


class _Writer:
    """Writes the SQL of one view; lambda parameters are numbered."""

    def __init__(self) -> None:
        self.numbers = count(1)

    def fresh(self) -> str:
        return f"x{next(self.numbers)}"

    # --- rows ---------------------------------------------------------------------------------------------------------

    def flattened(self, select: Select, here: _Here) -> tuple[list[tuple[Column, str]], list[tuple[list[str], str]]]:
        """The columns that come once for the focus, and the lists of rows to cross them with, each with its names."""
        own = [(column, self.cell(column, here)) for column in select.columns]
        parts: list[tuple[list[str], str]] = []
        for part in select.selects:
            if part.iteration or part.union:
                parts.append(([c.name for c in part.all_columns()], self.rows(part, here)))
            else:
                more, further = self.flattened(part, here)
                own += more
                parts += further
        if select.union:
            lists = [self.rows(part, here) for part in select.union]
            whole = lists[0]
            for each in lists[1:]:
                whole = f"list_concat({whole}, {each})"
            parts.append(([c.name for c in select.union[0].all_columns()], whole))
        return own, parts

    def rows(self, select: Select, here: _Here) -> str:
        """A list of structs: the rows of a selection structure."""
        if not select.iteration:
            return self.rows_of_one(select, here)
        if select.iteration == "repeat":
            foci = self.repeated(select, here.this, here, MAX_REPEAT)
            each = _Value("", select.start, many=True)
        else:
            each = self.value(select.over[0], here)
            foci = self.listed(each)
        x, i = self.fresh(), self.fresh()
        inside = self.rows_of_one(select, _Here(self.bound(x, each.type), f"({i} - 1)"))
        if select.iteration == "forEachOrNull":
            nothing = {c.name: "0" if c.path == Variable("rowIndex") else "NULL" for c in select.all_columns()}
            types = {c.name: kind for c, kind in self.types(select, here)}
            empty = ", ".join(f"'{name}': CAST({sql} AS {types[name]})" for name, sql in nothing.items())
            inside = f"CASE WHEN {x} IS NULL THEN [{{{empty}}}] ELSE {inside} END"
            foci = f"coalesce(nullif({foci}, []), [NULL])"
        return f"flatten(list_transform({foci}, lambda {x}, {i}: {inside}))"

    def rows_of_one(self, select: Select, here: _Here) -> str:
        own, parts = self.flattened(select, here)
        names = [column.name for column, _ in own]
        one = "[{" + ", ".join(f"'{column.name}': {sql}" for column, sql in own) + "}]"
        made = self.crossed(([(names, one)] if own else []) + parts)
        order = [column.name for column in select.all_columns()]
        if len(parts) < 2 and [*names, *(parts[0][0] if parts else ())] == order:
            return made
        x = self.fresh()
        return f"list_transform({made}, lambda {x}: {{" + ", ".join(f"'{n}': {x}.\"{n}\"" for n in order) + "})"

    def crossed(self, parts: list[tuple[list[str], str]]) -> str:
        """The product of lists of structs, the first varying slowest."""
        bound = [(self.fresh(), names, rows) for names, rows in parts]
        if len(bound) == 1:
            return bound[0][2]
        made = "[{" + ", ".join(f"'{n}': {x}.\"{n}\"" for x, names, _ in bound for n in names) + "}]"
        for x, _, rows in reversed(bound):
            made = f"flatten(list_transform({rows}, lambda {x}: {made}))"
        return made

    def types(self, select: Select, here: _Here) -> list[tuple[Column, str]]:
        """The SQL type of each column."""
        inner = here
        if select.iteration:
            kind = select.start if select.iteration == "repeat" else self.value(select.over[0], here).type
            inner = _Here(self.bound("NULL", kind), "0")
        own = [(c, self.column(c, inner)[1]) for c in select.columns]
        for part in (*select.selects, *select.union[:1]):
            own += self.types(part, inner)
        return own

    def repeated(self, select: Select, node: _Value, here: _Here, levels: int) -> str:
        """Every node below, each before its own children."""
        found = [self.value(tree, replace(here, this=node)) for tree in select.over if not self.leads_nowhere(tree, node)]
        children = "[]"
        for i, each in enumerate(found):
            children = f"list_concat({children}, {self.listed(each)})" if i else self.listed(each)
        if levels == 0:
            return f"CASE WHEN len({children}) = 0 THEN [] ELSE {_stop('repeat goes deeper than the query')} END"
        if not select.start:
            raise BadInput("DuckDB needs paths of repeat that lead to one type: use the python engine")
        x = self.fresh()
        below = self.repeated(select, self.bound(x, select.start), here, levels - 1)
        return f"flatten(list_transform({children}, lambda {x}: list_prepend({x}, {below})))"

    def leads_nowhere(self, tree: Node, node: _Value) -> bool:
        while isinstance(tree, Member) and tree.source is not None:
            tree = tree.source
        return isinstance(tree, Member) and tree.name not in elements(node.type)

    def cell(self, column: Column, here: _Here) -> str:
        sql, kind = self.column(column, here)
        return f"CAST({sql} AS {kind})"

    def column(self, column: Column, here: _Here) -> tuple[str, str]:
        """The SQL of a column and its SQL type, as the specification maps FHIR types."""
        value = self.value(column.path, here)
        kind = kind_of(value.type)
        sql_type = {"boolean": "BOOLEAN", "object": "JSON", "quantity": "JSON"}.get(kind, "VARCHAR")
        if kind == "number" and value.type != "decimal":
            sql_type = "BIGINT"
        if column.collection:
            return self.listed(value), f"{sql_type}[]"
        if value.many:
            said = f"column {column.name} has several values, set collection, or take first()"
            value = self.one(value, f"error({_text(OURS + said)})")
        if value.type == "decimal" and value.computed:
            return f"rtrim(rtrim(CAST({value.sql} AS VARCHAR), '0'), '.')", sql_type
        return value.sql, sql_type

    # --- values -------------------------------------------------------------------------------------------------------

    def bound(self, sql: str, kind: str) -> _Value:
        """A focus: JSON, if it is complex, from which a path can start."""
        return _Value(sql, kind) if kind in primitive_types() else _Value(sql, kind, parent=sql, path="$")

    def listed(self, value: _Value) -> str:
        if value.many:
            return value.sql
        return f"CASE WHEN {value.sql} IS NULL THEN [] ELSE [{value.sql}] END"

    def one(self, value: _Value, stop: str = "") -> _Value:
        """The only value of a list; several stop the query."""
        if not value.many:
            return value
        stop = stop or f"error({_text(OURS + 'several values where FHIRPath expects one')})"
        sql = f"CASE WHEN len({value.sql}) > 1 THEN {stop} ELSE {value.sql}[1] END"
        return self.bound(sql, value.type) if not value.computed else _Value(sql, value.type, computed=True)

    def value(self, node: Node, here: _Here) -> _Value:
        match node:
            case Special(name="this"):
                return here.this
            case Special(name="index") if here.index:
                return _Value(here.index, "integer", computed=True)
            case Variable(name="rowIndex"):
                return _Value(here.row, "integer", computed=True)
            case Literal():
                return self.literal(node)
            case Member(source=None, name=name) if name == here.this.type and name in resource_types():
                return here.this
            case Member(source=source, name=name):
                return self.member(here.this if source is None else self.value(source, here), name, node)
            case Index(source=source, at=at):
                return self.indexed(self.value(source, here), self.one(self.value(at, here)))
            case Unary(operator="-", operand=operand):
                return _Value(f"(-{self.number(self.value(operand, here))})", "decimal", computed=True)
            case TypeIs(operator="as", operand=operand, type=kind):
                return self.of_type(operand, kind, node, here)
            case Call(source=source, name="ofType" | "as", arguments=(kind,)) if source is not None:
                return self.of_type(source, type_name(kind), node, here)
            case Call(source=source, name=name, arguments=arguments):
                function = _FUNCTIONS.get((name, len(arguments)))
                if function is not None:
                    on = here.this if source is None else self.value(source, here)
                    return function(self, on, arguments, here, node)
            case Binary(operator=operator, left=left, right=right):
                return self.binary(operator, self.value(left, here), self.value(right, here), node)
        raise _unsaid(node)

    def literal(self, node: Literal) -> _Value:
        match node.type:
            case "boolean":
                return _Value(str(node.value).lower(), "boolean", computed=True)
            case "integer":
                return _Value(str(node.value), "integer", computed=True)
            case "decimal":
                return _Value(_text(f"{Decimal(str(node.value)):f}"), "decimal")
            case "Quantity":
                raise _unsaid(node)
        return _Value(_text(str(node.value)), node.type)

    def member(self, on: _Value, name: str, node: Node) -> _Value:
        element = elements(on.type).get(name)
        if element is None or element.choice or element.types[0] in ("Resource", "http://hl7.org/fhirpath/System.String"):
            raise _unsaid(node)
        return self.step(on, element, name, element.types[0])

    def step(self, on: _Value, element: Element, key: str, kind: str) -> _Value:
        """The values at a key: one JSON path as far as it goes, a list_transform after anything else."""
        plain = kind in primitive_types()
        if on.parent:
            path = f"{on.path}.{key}" + ("[*]" if element.many else "")
            many = on.many or element.many
            sql = f"json_extract{'_string' if plain else ''}({on.parent}, '{path}')"
            if element.many and plain:
                sql = self.whole(sql)
            return _Value(sql, kind, many, parent="" if plain else on.parent, path="" if plain else path)
        if not on.many:
            raise BadInput(f"DuckDB cannot be asked for {key!r} here: use the python engine")
        x = self.fresh()
        inner = self.step(self.bound(x, on.type), element, key, kind)
        if element.many:
            return _Value(f"flatten(list_transform({on.sql}, lambda {x}: {inner.sql}))", kind, True)
        y = self.fresh()
        return _Value(f"list_filter(list_transform({on.sql}, lambda {x}: {inner.sql}), lambda {y}: {y} IS NOT NULL)", kind, True)

    def whole(self, sql: str) -> str:
        """A list of primitives in which nothing is null: null stands where there are only extensions."""
        x = self.fresh()
        stop = _stop("a list with a value that has only extensions")
        return f"list_transform({sql}, lambda {x}: coalesce({x}, {stop}))"

    def of_type(self, source: Node, kind: str, node: Node, here: _Here) -> _Value:
        if not (kind in primitive_types() or elements(kind)):
            raise BadInput(f"{kind!r} is no type of R4")
        if isinstance(source, Member):
            on = here.this if source.source is None else self.value(source.source, here)
            element = elements(on.type).get(source.name)
            if element and element.choice:
                if kind not in element.types:
                    return _Value("NULL", kind)
                return self.step(on, element, f"{source.name}{kind[0].upper()}{kind[1:]}", kind)
        value = self.value(source, here)
        if is_subtype(value.type, kind):
            return value
        raise _unsaid(node)

    def indexed(self, on: _Value, at: _Value) -> _Value:
        place = self.number(at)
        if on.many:
            sql = f"CASE WHEN {place} >= 0 THEN {on.sql}[{place} + 1] END"
        else:
            sql = f"CASE WHEN {place} = 0 THEN {on.sql} END"
        return _Value(sql, on.type, computed=True) if on.computed else self.bound(sql, on.type)

    # --- what a value is taken for --------------------------------------------------------------------------------------

    def truth(self, value: _Value) -> str:
        """BOOLEAN; a single value that is no truth counts as true."""
        single = self.one(value).sql
        if value.type == "boolean":
            return single if value.computed else f"CAST({single} AS BOOLEAN)"
        return f"CASE WHEN {single} IS NOT NULL THEN true END"

    def number(self, value: _Value, scale: int = SCALE) -> str:
        """BIGINT of an integer, DECIMAL of a decimal."""
        single = self.one(value).sql
        if kind_of(value.type) != "number":
            raise BadInput(f"DuckDB cannot compute with a {value.type}: use the python engine")
        if value.type != "decimal":
            return single if value.computed else f"CAST({single} AS BIGINT)"
        return _decimal(f"CAST({single} AS VARCHAR)" if value.computed else single, scale) if (
            not value.computed or scale != SCALE
        ) else single

    # --- operators ----------------------------------------------------------------------------------------------------

    def binary(self, operator: str, left: _Value, right: _Value, node: Node) -> _Value:
        match operator:
            case "and" | "or":
                return _truth(f"({self.truth(left)} {operator.upper()} {self.truth(right)})")
            case "implies":
                return _truth(f"((NOT {self.truth(left)}) OR {self.truth(right)})")
            case "xor":
                return _truth(f"({self.truth(left)} <> {self.truth(right)})")
            case "=":
                return _truth(self.equal(left, right, node))
            case "!=":
                return _truth(f"(NOT {self.equal(left, right, node)})")
            case "<" | "<=" | ">" | ">=":
                return _truth(self.compared(operator, self.one(left), self.one(right), node))
            case "&":
                sides = (f"coalesce({self.one(v).sql}, '')" for v in (left, right) if self.textual(v, node))
                return _Value(f"({' || '.join(sides)})", "string")
            case "+" if kind_of(left.type) == kind_of(right.type) == "text":
                return _Value(f"({self.one(left).sql} || {self.one(right).sql})", "string")
            case "+" | "-":
                sql = f"({self.number(left)} {operator} {self.number(right)})"
                return _Value(sql, "decimal" if "decimal" in (left.type, right.type) else "integer", computed=True)
            case "*":
                sql = f"({self.number(left, HALF_SCALE)} * {self.number(right, HALF_SCALE)})"
                return _Value(sql, "decimal" if "decimal" in (left.type, right.type) else "integer", computed=True)
            case "/":
                return self.quotient(left, right)
        raise _unsaid(node)

    def quotient(self, left: _Value, right: _Value) -> _Value:
        """Exact to QUOTIENT_SCALE digits, in whole numbers: DuckDB divides decimals as floating point."""
        unit = 10**HALF_SCALE
        a, b = (f"CAST({self.number(v, HALF_SCALE)} * {unit} AS HUGEINT)" for v in (left, right))
        shifted = f"({a} * {10**QUOTIENT_SCALE})"
        made = f"CAST({shifted} // {b} AS DECIMAL(38,0)) * CAST({Decimal(1).scaleb(-QUOTIENT_SCALE):f} AS DECIMAL(9,8))"
        stop = _stop("a quotient that does not end")
        sql = f"CASE WHEN {b} = 0 THEN NULL WHEN {shifted} % {b} = 0 THEN CAST({made} AS DECIMAL(38,{SCALE})) ELSE {stop} END"
        return _Value(sql, "decimal", computed=True)

    def textual(self, value: _Value, node: Node) -> bool:
        if kind_of(value.type) != "text":
            raise _unsaid(node)
        return True

    def equal(self, left: _Value, right: _Value, node: Node) -> str:
        if left.many and right.many:
            raise _unsaid(node)
        if left.many or right.many:
            many, other = (left, right) if left.many else (right, left)
            first = self.bound(f"{many.sql}[1]", many.type)
            length = f"len({many.sql})"
            alone = self.equal(replace(first, computed=many.computed), other, node)
            return f"CASE WHEN {length} > 1 AND {other.sql} IS NOT NULL THEN false ELSE {alone} END"
        kind, other_kind = kind_of(left.type), kind_of(right.type)
        if kind != other_kind:
            if "quantity" in (kind, other_kind):
                raise _unsaid(node)
            return f"CASE WHEN {left.sql} IS NOT NULL AND {right.sql} IS NOT NULL THEN false END"
        match kind:
            case "text":
                return f"({left.sql} = {right.sql})"
            case "boolean":
                return f"({self.truth(left)} = {self.truth(right)})"
            case "number":
                return f"({self.number(left)} = {self.number(right)})"
            case "moment" | "time":
                return self.moments("=", left.sql, right.sql, kind)
        raise _unsaid(node)

    def compared(self, operator: str, left: _Value, right: _Value, node: Node) -> str:
        kind = kind_of(left.type)
        if kind != kind_of(right.type):
            raise _unsaid(node)
        match kind:
            case "text":
                return f"({left.sql} {operator} {right.sql})"
            case "number":
                return f"({self.number(left)} {operator} {self.number(right)})"
            case "moment" | "time":
                return self.moments(operator, left.sql, right.sql, kind)
        raise _unsaid(node)

    def moments(self, operator: str, left: str, right: str, kind: str) -> str:
        """Dates part by part: what the coarser one leaves open is unknown. Instants by their moment."""
        shared = f"least(length({left}), length({right}))"
        cut_left, cut_right = f"left({left}, {shared})", f"left({right}, {shared})"
        by_part = (
            f"CASE WHEN {cut_left} <> {cut_right} THEN {cut_left} {operator} {cut_right} "
            f"WHEN length({left}) = length({right}) THEN {left} {operator} {right} END"
        )
        if kind == "time":
            same = f"length({left}) = length({right})"
            stop = _stop("times of mixed precision")
            return f"CASE WHEN {left} IS NULL OR {right} IS NULL THEN NULL WHEN {same} THEN {left} {operator} {right} ELSE {stop} END"
        both_dates = f"regexp_matches({left}, '{_DATE}') AND regexp_matches({right}, '{_DATE}')"
        both_instants = f"regexp_matches({left}, '{_INSTANT}') AND regexp_matches({right}, '{_INSTANT}')"
        by_moment = f"CAST({left} AS TIMESTAMPTZ) {operator} CAST({right} AS TIMESTAMPTZ)"
        stop = _stop("dates and times of mixed precision")
        return (
            f"CASE WHEN {left} IS NULL OR {right} IS NULL THEN NULL WHEN {both_dates} THEN {by_part} "
            f"WHEN {both_instants} THEN {by_moment} ELSE {stop} END"
        )

    # --- functions ----------------------------------------------------------------------------------------------------

    def filtered(self, on: _Value, criterion: Node, here: _Here) -> _Value:
        if not on.many:
            holds = self.truth(self.value(criterion, replace(here, this=on, index="0")))
            sql = f"CASE WHEN {holds} THEN {on.sql} END"
            return _Value(sql, on.type, computed=True) if on.computed else self.bound(sql, on.type)
        x, i = self.fresh(), self.fresh()
        holds = self.truth(self.value(criterion, replace(here, this=self.bound(x, on.type), index=f"({i} - 1)")))
        return _Value(f"list_filter({on.sql}, lambda {x}, {i}: coalesce({holds}, false))", on.type, True, on.computed)

    def mapped(self, on: _Value, projection: Node, here: _Here) -> _Value:
        if not on.many:
            return self.value(projection, replace(here, this=on, index="0"))
        x, i, y = self.fresh(), self.fresh(), self.fresh()
        each = self.value(projection, replace(here, this=self.bound(x, on.type), index=f"({i} - 1)"))
        lists = f"list_transform({on.sql}, lambda {x}, {i}: {each.sql})"
        sql = f"flatten({lists})" if each.many else f"list_filter({lists}, lambda {y}: {y} IS NOT NULL)"
        return _Value(sql, each.type, True, each.computed)

    def exists(self, on: _Value, node: Node | None, here: _Here) -> str:
        """Whether there is any; a single primitive may be there with extensions only."""
        if on.many:
            return f"(coalesce(len({on.sql}), 0) > 0)"
        if isinstance(node, Member) and on.type in primitive_types():
            owner = here.this if node.source is None else self.value(node.source, here)
            if owner.parent and not owner.many:
                beside = f"json_exists({owner.parent}, '{owner.path}._{node.name}')"
                return f"({on.sql} IS NOT NULL OR coalesce({beside}, false))"
        return f"({on.sql} IS NOT NULL)"

    def reference_key(self, on: _Value, wanted: str, node: Node) -> _Value:
        """The id of the resource that a reference names; NULL for other types and for what is no literal reference."""
        if on.type != "Reference":
            raise _unsaid(node)
        if on.many:
            x = self.fresh()
            one = self.reference_key(self.bound(x, "Reference"), wanted, node)
            y = self.fresh()
            sql = f"list_filter(list_transform({on.sql}, lambda {x}: {one.sql}), lambda {y}: {y} IS NOT NULL)"
            return _Value(sql, "string", True)
        text = f"json_extract_string({on.sql}, '$.reference')"
        key = f"nullif(regexp_extract({text}, '{_REFERENCE}', 2), '')"
        if wanted:
            key = f"CASE WHEN regexp_extract({text}, '{_REFERENCE}', 1) = {_text(wanted)} THEN {key} END"
        return _Value(key, "string")

    def boundary(self, on: _Value, high: bool, node: Node) -> _Value:
        """The least or greatest value that a value may stand for in its precision."""
        t = self.one(on).sql
        clock, zone = (LAST_CLOCK, LATEST_ZONE) if high else (FIRST_CLOCK, EARLIEST_ZONE)
        last = f"CAST(last_day(CAST({t} || '-01' AS DATE)) AS VARCHAR)" if high else f"{t} || '-01'"
        date = (
            f"CASE length({t}) WHEN {YEAR_LENGTH} THEN {t} || '{'-12-31' if high else '-01-01'}' "
            f"WHEN {MONTH_LENGTH} THEN {last} ELSE {t} END"
        )
        match on.type:
            case "decimal" if not on.computed:
                places = f"CASE WHEN contains({t}, '.') THEN length({t}) - strpos({t}, '.') ELSE 0 END"
                half = f"CAST('0.' || repeat('0', {places}) || '5' AS DECIMAL(38,{SCALE}))"
                stop = _stop("the boundary of a decimal with many digits or an exponent")
                fits = f"contains(lower({t}), 'e') OR {places} >= {SCALE}"
                sql = f"CASE WHEN {fits} THEN {stop} ELSE {_decimal(t)} {'+' if high else '-'} {half} END"
                return _Value(sql, "decimal", computed=True)
            case "date":
                return _Value(date, "date")
            case "time":
                return _Value(f"({t} || substr('{clock}', length({t}) + 1))", "time")
            case "dateTime" | "instant":
                inner = f"regexp_extract({t}, 'T([0-9:.]+)', 1)"
                offset = f"coalesce(nullif(regexp_extract({t}, 'T.*?(Z|[+-][0-9:]+)$', 1), ''), '{zone}')"
                full = f"left({t}, {DATE_LENGTH + 1}) || {inner} || substr('{clock}', length({inner}) + 1) || {offset}"
                sql = f"CASE WHEN contains({t}, 'T') THEN {full} ELSE {date} || 'T{clock}{zone}' END"
                return _Value(sql, "dateTime")
        raise _unsaid(node)


def _truth(sql: str) -> _Value:
    return _Value(sql, "boolean", computed=True)


_Function = Callable[[_Writer, _Value, tuple[Node, ...], _Here, Call], _Value]


def _join(w: _Writer, on: _Value, arguments: tuple[Node, ...], here: _Here, node: Call) -> _Value:
    w.textual(on, node)
    between = w.one(w.value(arguments[0], here)).sql if arguments else "''"
    sql = f"coalesce(array_to_string({on.sql}, {between}), '')" if on.many else f"coalesce({on.sql}, '')"
    return _Value(sql, "string")


def _first(w: _Writer, on: _Value, arguments: tuple[Node, ...], here: _Here, node: Call) -> _Value:
    if not on.many:
        return on
    sql = f"{on.sql}[{'1' if node.name == 'first' else '-1'}]"
    return _Value(sql, on.type, computed=True) if on.computed else w.bound(sql, on.type)


def _count(w: _Writer, on: _Value, arguments: tuple[Node, ...], here: _Here, node: Call) -> _Value:
    sql = f"coalesce(len({on.sql}), 0)" if on.many else f"CASE WHEN {on.sql} IS NULL THEN 0 ELSE 1 END"
    return _Value(sql, "integer", computed=True)


def _extension(w: _Writer, on: _Value, arguments: tuple[Node, ...], here: _Here, node: Call) -> _Value:
    if on.type in primitive_types():
        raise _unsaid(node)
    criterion = Binary("=", Member(None, "url"), arguments[0])
    return w.filtered(w.member(on, "extension", node), criterion, here)


def _resource_key(w: _Writer, on: _Value, arguments: tuple[Node, ...], here: _Here, node: Call) -> _Value:
    if on.type not in resource_types():
        raise _unsaid(node)
    return w.member(on, "id", node)


def _text_function(template: str, gives: str) -> _Function:
    """A function of one text (and one more) that DuckDB has too."""

    def function(w: _Writer, on: _Value, arguments: tuple[Node, ...], here: _Here, node: Call) -> _Value:
        w.textual(on, node)
        others = [w.value(argument, here) for argument in arguments]
        if not all(w.textual(other, node) for other in others):
            raise _unsaid(node)
        sql = template.format(w.one(on).sql, *(w.one(other).sql for other in others))
        return _Value(sql, gives, computed=gives in ("boolean", "integer"))

    return function


_FUNCTIONS: dict[tuple[str, int], _Function] = {
    ("where", 1): lambda w, on, a, here, node: w.filtered(on, a[0], here),
    ("select", 1): lambda w, on, a, here, node: w.mapped(on, a[0], here),
    ("exists", 0): lambda w, on, a, here, node: _truth(w.exists(on, node.source, here)),
    ("exists", 1): lambda w, on, a, here, node: _truth(w.exists(w.filtered(on, a[0], here), None, here)),
    ("empty", 0): lambda w, on, a, here, node: _truth(f"(NOT {w.exists(on, node.source, here)})"),
    ("not", 0): lambda w, on, a, here, node: _truth(f"(NOT {w.truth(on)})"),
    ("first", 0): _first,
    ("last", 0): _first,
    ("count", 0): _count,
    ("join", 0): _join,
    ("join", 1): _join,
    ("extension", 1): _extension,
    ("getResourceKey", 0): _resource_key,
    ("getReferenceKey", 0): lambda w, on, a, here, node: w.reference_key(on, "", node),
    ("getReferenceKey", 1): lambda w, on, a, here, node: w.reference_key(on, type_name(a[0]), node),
    ("lowBoundary", 0): lambda w, on, a, here, node: w.boundary(on, False, node),
    ("highBoundary", 0): lambda w, on, a, here, node: w.boundary(on, True, node),
    ("startsWith", 1): _text_function("starts_with({}, {})", "boolean"),
    ("endsWith", 1): _text_function("ends_with({}, {})", "boolean"),
    ("contains", 1): _text_function("contains({}, {})", "boolean"),
    ("upper", 0): _text_function("upper({})", "string"),
    ("lower", 0): _text_function("lower({})", "string"),
    ("length", 0): _text_function("length({})", "integer"),
}
