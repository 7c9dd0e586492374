"""FHIRPath as DuckDB SQL, for the views of `views_sql`.

Translated by the types that R4 gives elements: what is single becomes a scalar, with NULL for nothing; what repeats
becomes a list; three-valued logic is SQL's own. An expression that this cannot say is refused with its name; data that
it cannot judge (dates of mixed precision, more digits than DECIMAL has) stops the query. It never answers wrongly.
Functions on which the two languages could differ (`upper`, `matches`) are not offered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count

from adjunct.base import BadInput
from adjunct.fhir.definitions import Element, elements, is_subtype, primitive_types, resource_types
from adjunct.fhir.path.syntax import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Node,
    Special,
    TypeIs,
    Unary,
    Variable,
    type_name,
)
from adjunct.fhir.path.values import kind_of

OURS = "view: "  # begins the messages of errors that a query raises by itself
SCALE = 18  # digits after the point of a decimal that is computed with; 20 before it
HALF_SCALE = 9  # of the factors of a product
QUOTIENT_SCALE = 8  # of a quotient, which must end there
TEN = 10
DATE_LENGTH = 10
MONTH_LENGTH = 7
YEAR_LENGTH = 4
FIRST_CLOCK, LAST_CLOCK = "00:00:00.000", "23:59:59.999"
EARLIEST_ZONE, LATEST_ZONE = "+14:00", "-12:00"  # the boundaries of a time without a zone

_DATE = r"^\d{4}(-\d{2}(-\d{2})?)?$"
_INSTANT = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$"
_REFERENCE = r"^(?:https?://.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$"


@dataclass(frozen=True, slots=True)
class Value:
    """SQL of a scalar or (`many`) of a list. An element is JSON if complex, else text as it is written; what is
    `computed` is BOOLEAN, BIGINT or DECIMAL. `type` is "" for an element that may be of several types.
    `parent` and `path`: a JSON path that can still be made longer.
    """

    sql: str
    type: str
    many: bool = False
    computed: bool = False
    parent: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Here:
    """Where an expression is evaluated: `$this`, `%rowIndex` and `$index`."""

    this: Value
    row: str
    index: str = ""


def quoted(value: str) -> str:
    """A SQL string."""
    return "'" + value.replace("'", "''") + "'"


def stop(said: str) -> str:
    """SQL that ends the query with this message."""
    return f"error({quoted(OURS + said)})"


def bound(sql: str, kind: str) -> Value:
    """A focus: if it is complex a path can start from it."""
    return Value(sql, kind) if kind in primitive_types() else Value(sql, kind, parent=sql, path="$")


def listed(value: Value) -> str:
    """A list, whatever the value is."""
    return value.sql if value.many else f"CASE WHEN {value.sql} IS NULL THEN [] ELSE [{value.sql}] END"


def one(value: Value, otherwise: str = "several values where FHIRPath expects one") -> Value:
    """The only value of a list; several stop the query."""
    if not value.many:
        return value
    return _like(value, f"CASE WHEN len({value.sql}) > 1 THEN {stop(otherwise)} ELSE {value.sql}[1] END")


def _like(value: Value, sql: str) -> Value:
    """A scalar of the same kind as a value."""
    return Value(sql, value.type, computed=True) if value.computed else bound(sql, value.type)


def _computed(*numbers: Value) -> Value:
    """What arithmetic gives: a decimal if one of them is."""
    kind = "decimal" if any(n.type == "decimal" for n in numbers) else "integer"
    return Value("", kind, computed=True)


def _truth(sql: str) -> Value:
    return Value(sql, "boolean", computed=True)


def _undecided(said: str) -> str:
    return stop(f"{said}: use the python engine")


def _unsaid(node: Node) -> BadInput:
    return BadInput(f"DuckDB cannot be asked for {str(node)!r}: use the python engine")


def _decimal(text: str, scale: int) -> str:
    """Text as DECIMAL, unless that would cut digits off."""
    cut = rf"[eE]-|\.\d{{{scale}}}\d*[1-9]"
    exact = f"CAST({text} AS DECIMAL(38,{scale}))"
    return f"CASE WHEN regexp_matches({text}, '{cut}') THEN {_undecided('a decimal with many digits')} ELSE {exact} END"


class Writer:
    """Writes the expressions of one query; lambda parameters are numbered."""

    def __init__(self) -> None:
        self.numbers = count(1)

    def fresh(self) -> str:
        return f"x{next(self.numbers)}"

    # --- values -------------------------------------------------------------------------------------------------------

    def value(self, node: Node, here: Here) -> Value:
        match node:
            case Special(name="this"):
                return here.this
            case Special(name="index") if here.index:
                return Value(here.index, "integer", computed=True)
            case Variable(name="rowIndex"):
                return Value(here.row, "integer", computed=True)
            case Literal():
                return self.literal(node)
            case Member(source=None, name=name) if name == here.this.type and name in resource_types():
                return here.this
            case Member(source=source, name=name):
                return self.member(here.this if source is None else self.value(source, here), name, node)
            case Index(source=source, at=at):
                return self.indexed(self.value(source, here), one(self.value(at, here)))
            case Unary(operator="-", operand=operand):
                number = self.value(operand, here)
                return replace(_computed(number), sql=f"(-{self.number(number)})")
            case TypeIs(operator="as", operand=operand, type=kind):
                return self.of_type(operand, kind, node, here)
            case Call(source=source, name="ofType" | "as", arguments=(kind,)) if source is not None:
                return self.of_type(source, type_name(kind), node, here)
            case Call():
                return self.call(node, here)
            case Binary(operator=operator, left=left, right=right):
                return self.binary(operator, self.value(left, here), self.value(right, here), node)
        raise _unsaid(node)

    def literal(self, node: Literal) -> Value:
        match node.type:
            case "boolean":
                return Value(str(node.value).lower(), "boolean", computed=True)
            case "integer":
                return Value(str(node.value), "integer", computed=True)
            case "decimal":
                return Value(quoted(f"{Decimal(str(node.value)):f}"), "decimal")
            case "Quantity":
                raise _unsaid(node)
        return Value(quoted(str(node.value)), node.type)

    def member(self, on: Value, name: str, node: Node) -> Value:
        element = elements(on.type).get(name)
        if element is None or element.types[0] == "Resource":
            raise _unsaid(node)
        if element.choice:
            each = [self.step(on, element, key, kind) for key, kind in element.keys]
            if on.many:
                raise _unsaid(node)
            return Value(f"coalesce({', '.join(f'CAST({v.sql} AS VARCHAR)' for v in each)})", "")
        return self.step(on, element, name, element.types[0])

    def step(self, on: Value, element: Element, key: str, kind: str) -> Value:
        """The values at a key: one JSON path as far as it goes, a list_transform after anything else."""
        many = on.many or element.many
        if kind in primitive_types():
            return Value(self.primitives(on, element, key, kind == "decimal"), kind, many)
        if on.parent:
            path = f"{on.path}.{key}" + ("[*]" if element.many else "")
            return Value(f"json_extract({on.parent}, '{path}')", kind, many, parent=on.parent, path=path)
        x = self.fresh()
        each = f"list_transform({on.sql}, lambda {x}: {self.step(bound(x, on.type), element, key, kind).sql})"
        return Value(f"flatten({each})" if element.many else self.kept(each), kind, True)

    def primitives(self, on: Value, element: Element, key: str, decimal: bool) -> str:
        """SQL of primitives. In a list one with extensions only (`_key`) stops the query: text cannot show it."""
        many = "[*]" if element.many else ""
        only = _undecided(f"{key} with extensions only")

        def read(json: str, path: str, of_many: bool) -> str:
            found = f"json_extract_string({json}, '{path}.{key}{many}')"
            if decimal:
                found = self.mapped_over(found, "ltrim({}, chr(1))") if of_many else f"ltrim({found}, chr(1))"
            return found

        def careful(json: str, path: str) -> str:
            found = read(json, path, element.many)
            if not element.many:
                return f"coalesce({found}, CASE WHEN json_exists({json}, '{path}._{key}') THEN {only} END)"
            more = f"len(json_extract({json}, '{path}._{key}[*]')) > len(json_extract({json}, '{path}.{key}[*]'))"
            return f"CASE WHEN {more} THEN {only} ELSE {self.mapped_over(found, f'coalesce({{}}, {only})')} END"

        if not on.many:
            if not on.parent:
                raise BadInput(f"DuckDB cannot be asked for {key!r} of a primitive: use the python engine")
            return careful(on.parent, on.path) if element.many else read(on.parent, on.path, False)
        x = self.fresh()
        each = f"list_transform({on.sql}, lambda {x}: {careful(x, '$')})"
        slow = f"flatten({each})" if element.many else self.kept(each)
        if not on.parent:
            return slow
        mark = quoted(f'"_{key}"')
        text = "CAST(source.resource AS VARCHAR)"
        nulls = f" OR contains({text}, 'null')" if element.many else ""
        return f"CASE WHEN contains({text}, {mark}){nulls} THEN {slow} ELSE {read(on.parent, on.path, True)} END"

    def kept(self, sql: str) -> str:
        """A list without its NULLs, which stand for nothing."""
        x = self.fresh()
        return f"list_filter({sql}, lambda {x}: {x} IS NOT NULL)"

    def mapped_over(self, sql: str, template: str) -> str:
        """A list with SQL put in for each of its values."""
        x = self.fresh()
        return f"list_transform({sql}, lambda {x}: {template.format(x)})"

    def of_type(self, source: Node, kind: str, node: Node, here: Here) -> Value:
        if not (kind in primitive_types() or elements(kind)):
            raise BadInput(f"{kind!r} is no type of R4")
        if isinstance(source, Member):
            on = here.this if source.source is None else self.value(source.source, here)
            element = elements(on.type).get(source.name)
            if element and element.choice:
                found = next((key for key, type_ in element.keys if type_ == kind), "")
                return self.step(on, element, found, kind) if found else Value("NULL", kind)
        value = self.value(source, here)
        if is_subtype(value.type, kind):
            return value
        raise _unsaid(node)

    def indexed(self, on: Value, at: Value) -> Value:
        place = self.number(at)
        if on.many:
            sql = f"CASE WHEN {place} >= 0 THEN {on.sql}[{place} + 1] END"
        else:
            sql = f"CASE WHEN {place} = 0 THEN {on.sql} END"
        return _like(on, sql)

    # --- what a value is taken for ------------------------------------------------------------------------------------

    def known(self, value: Value, node: Node) -> Value:
        """A value of one type; of an element with a choice of types only `exists` and `empty` may be asked."""
        if not value.type:
            raise _unsaid(node)
        return value

    def truth(self, value: Value) -> str:
        """BOOLEAN; a single value that is no truth counts as true."""
        if not value.type:
            raise BadInput("DuckDB needs ofType() where an element has a choice of types")
        single = one(value).sql
        if value.type == "boolean":
            return single if value.computed else f"CAST({single} AS BOOLEAN)"
        return f"CASE WHEN {single} IS NOT NULL THEN true END"

    def number(self, value: Value, scale: int = SCALE) -> str:
        """BIGINT of an integer, DECIMAL of a decimal."""
        single = one(value).sql
        if kind_of(value.type) != "number":
            raise BadInput(f"DuckDB cannot compute with a {value.type}: use the python engine")
        if value.type != "decimal":
            return single if value.computed else f"CAST({single} AS BIGINT)"
        if not value.computed:
            return _decimal(single, scale)
        return single if scale == SCALE else _decimal(f"CAST({single} AS VARCHAR)", scale)

    # --- operators ----------------------------------------------------------------------------------------------------

    def binary(self, operator: str, left: Value, right: Value, node: Node) -> Value:
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
                return _truth(self.compared(operator, one(left), one(right), node))
            case "&":
                sql = f"(coalesce({self.text(left, node)}, '') || coalesce({self.text(right, node)}, ''))"
                return Value(sql, "string")
            case "+" if kind_of(left.type) == kind_of(right.type) == "text":
                return Value(f"({one(left).sql} || {one(right).sql})", "string")
            case "+" | "-":
                sql = f"({self.number(left)} {operator} {self.number(right)})"
                return replace(_computed(left, right), sql=sql)
            case "*":
                sql = f"({self.number(left, HALF_SCALE)} * {self.number(right, HALF_SCALE)})"
                return replace(_computed(left, right), sql=sql)
            case "/":
                return self.quotient(left, right)
        raise _unsaid(node)

    def quotient(self, left: Value, right: Value) -> Value:
        """Exact to QUOTIENT_SCALE digits, in whole numbers: DuckDB divides decimals as floating point."""
        unit = TEN**HALF_SCALE
        a, b = (f"CAST({self.number(v, HALF_SCALE)} * {unit} AS HUGEINT)" for v in (left, right))
        shifted = f"({a} * {TEN**QUOTIENT_SCALE})"
        made = f"CAST({shifted} // {b} AS DECIMAL(38,0)) * CAST({Decimal(1).scaleb(-QUOTIENT_SCALE):f} AS DECIMAL(9,8))"
        otherwise = _undecided("a quotient that does not end")
        ends = f"WHEN {shifted} % {b} = 0 THEN CAST({made} AS DECIMAL(38,{SCALE}))"
        sql = f"CASE WHEN {b} = 0 THEN NULL {ends} ELSE {otherwise} END"
        return Value(sql, "decimal", computed=True)

    def text(self, value: Value, node: Node) -> str:
        """The single text that a value is."""
        if kind_of(value.type) != "text":
            raise _unsaid(node)
        return one(value).sql

    def equal(self, left: Value, right: Value, node: Node) -> str:
        if left.many and right.many:
            raise _unsaid(node)
        if left.many or right.many:
            many, other = (left, right) if left.many else (right, left)
            first = bound(f"{many.sql}[1]", many.type)
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

    def compared(self, operator: str, left: Value, right: Value, node: Node) -> str:
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
            otherwise = _undecided("times of mixed precision")
            known = f"{left} IS NOT NULL AND {right} IS NOT NULL"
            return f"CASE WHEN {known} THEN CASE WHEN {same} THEN {left} {operator} {right} ELSE {otherwise} END END"
        both_dates = f"regexp_matches({left}, '{_DATE}') AND regexp_matches({right}, '{_DATE}')"
        both_instants = f"regexp_matches({left}, '{_INSTANT}') AND regexp_matches({right}, '{_INSTANT}')"
        by_moment = f"CAST({left} AS TIMESTAMPTZ) {operator} CAST({right} AS TIMESTAMPTZ)"
        otherwise = _undecided("dates and times of mixed precision")
        return (
            f"CASE WHEN {left} IS NULL OR {right} IS NULL THEN NULL WHEN {both_dates} THEN {by_part} "
            f"WHEN {both_instants} THEN {by_moment} ELSE {otherwise} END"
        )

    # --- functions ----------------------------------------------------------------------------------------------------

    def call(self, node: Call, here: Here) -> Value:
        on = here.this if node.source is None else self.value(node.source, here)
        match node.name, node.arguments:
            case "where", (criterion,):
                return self.filtered(on, criterion, here)
            case "select", (projection,):
                return self.mapped(on, projection, here)
            case "exists", ():
                return _truth(self.exists(on, node.source, here))
            case "exists", (criterion,):
                return _truth(self.exists(self.filtered(on, criterion, here), None, here))
            case "empty", ():
                return _truth(f"(NOT {self.exists(on, node.source, here)})")
            case "not", ():
                return _truth(f"(NOT {self.truth(on)})")
            case "first", () if on.type:
                return _like(on, f"{on.sql}[1]") if on.many else on
            case "last", () if on.type:
                return _like(on, f"{on.sql}[-1]") if on.many else on
            case "count", () if on.type:
                alone = f"CASE WHEN {self.exists(on, node.source, here)} THEN 1 ELSE 0 END"
                sql = f"coalesce(len({on.sql}), 0)" if on.many else alone
                return Value(sql, "integer", computed=True)
            case "iif", (criterion, *branches) if not on.many:
                return self.chosen(criterion, branches, replace(here, this=on), node)
            case "join", (*between,) if kind_of(on.type) == "text":
                separator = self.text(self.value(between[0], here), node) if between else "''"
                joined = f"array_to_string({listed(on)}, {separator})"
                return Value(f"coalesce({joined}, '')", "string")
            case "extension", (url,) if on.type not in primitive_types():
                return self.filtered(self.member(on, "extension", node), Binary("=", Member(None, "url"), url), here)
            case "getResourceKey", () if on.type in resource_types():
                return self.member(on, "id", node)
            case "getReferenceKey", (*wanted,) if on.type == "Reference":
                return self.reference_key(on, type_name(wanted[0]) if wanted else "")
            case ("lowBoundary" | "highBoundary") as name, ():
                return self.boundary(on, name == "highBoundary", node)
            case ("startsWith" | "endsWith" | "contains") as name, (other,):
                function = {"startsWith": "starts_with", "endsWith": "ends_with"}.get(name, name)
                other_text = self.text(self.value(other, here), node)
                return _truth(f"{function}({self.text(on, node)}, {other_text})")
            case "length", ():
                return Value(f"length({self.text(on, node)})", "integer", computed=True)
        raise _unsaid(node)

    def chosen(self, criterion: Node, branches: list[Node], here: Here, node: Node) -> Value:
        """`iif`: both branches must give the same kind of scalar."""
        truth = self.truth(self.value(criterion, here))
        values = [self.known(self.value(branch, here), node) for branch in branches]
        if len({(v.type, v.many, v.computed) for v in values}) != 1 or values[0].many:
            raise _unsaid(node)
        return _like(values[0], f"CASE WHEN {truth} THEN {' ELSE '.join(v.sql for v in values)} END")

    def filtered(self, on: Value, criterion: Node, here: Here) -> Value:
        if not on.many:
            holds = self.truth(self.value(criterion, replace(here, this=on, index="0")))
            sql = f"CASE WHEN {holds} THEN {on.sql} END"
            return _like(on, sql)
        x, i = self.fresh(), self.fresh()
        holds = self.truth(self.value(criterion, replace(here, this=bound(x, on.type), index=f"({i} - 1)")))
        return Value(f"list_filter({on.sql}, lambda {x}, {i}: coalesce({holds}, false))", on.type, True, on.computed)

    def mapped(self, on: Value, projection: Node, here: Here) -> Value:
        if not on.many:
            return self.value(projection, replace(here, this=on, index="0"))
        x, i = self.fresh(), self.fresh()
        each = self.value(projection, replace(here, this=bound(x, on.type), index=f"({i} - 1)"))
        lists = f"list_transform({on.sql}, lambda {x}, {i}: {each.sql})"
        if isinstance(projection, Member | TypeIs) and not each.many and each.type in primitive_types():
            raise _unsaid(projection)  # the path itself says the same, and knows primitives that have only extensions
        sql = f"flatten({lists})" if each.many else self.kept(lists)
        return Value(sql, each.type, True, each.computed)

    def exists(self, on: Value, node: Node | None, here: Here) -> str:
        """Whether there is any. A single primitive with extensions only is there as well: it stands under `_name`."""
        if on.many:
            return f"(coalesce(len({on.sql}), 0) > 0)"
        if isinstance(node, Member) and on.type in primitive_types():
            owner = here.this if node.source is None else self.value(node.source, here)
            beside = self.step(owner, elements(owner.type)[node.name], f"_{node.name}", "Element")
            return f"({on.sql} IS NOT NULL OR {beside.sql} IS NOT NULL)"
        return f"({on.sql} IS NOT NULL)"

    def reference_key(self, on: Value, wanted: str) -> Value:
        """The id of the resource that a reference names; NULL for other types and for what is no literal reference."""
        if on.many:
            x = self.fresh()
            each = self.reference_key(bound(x, "Reference"), wanted).sql
            return Value(self.kept(f"list_transform({on.sql}, lambda {x}: {each})"), "string", True)
        text = f"json_extract_string({on.sql}, '$.reference')"
        key = f"nullif(regexp_extract({text}, '{_REFERENCE}', 2), '')"
        if wanted:
            key = f"CASE WHEN regexp_extract({text}, '{_REFERENCE}', 1) = {quoted(wanted)} THEN {key} END"
        return Value(key, "string")

    def boundary(self, on: Value, high: bool, node: Node) -> Value:
        """The least or greatest value that a value may stand for in its precision."""
        t = one(on).sql
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
                otherwise = _undecided("the boundary of a decimal with many digits or an exponent")
                fits = f"contains(lower({t}), 'e') OR {places} >= {SCALE}"
                sql = f"CASE WHEN {fits} THEN {otherwise} ELSE {_decimal(t, SCALE)} {'+' if high else '-'} {half} END"
                return Value(sql, "decimal", computed=True)
            case "date":
                return Value(date, "date")
            case "time":
                return Value(f"({t} || substr('{clock}', length({t}) + 1))", "time")
            case "dateTime" | "instant":
                inner = f"regexp_extract({t}, 'T([0-9:.]+)', 1)"
                offset = f"coalesce(nullif(regexp_extract({t}, 'T.*?(Z|[+-][0-9:]+)$', 1), ''), '{zone}')"
                full = f"left({t}, {DATE_LENGTH + 1}) || {inner} || substr('{clock}', length({inner}) + 1) || {offset}"
                sql = f"CASE WHEN contains({t}, 'T') THEN {full} ELSE {date} || 'T{clock}{zone}' END"
                return Value(sql, "dateTime")
        raise _unsaid(node)
