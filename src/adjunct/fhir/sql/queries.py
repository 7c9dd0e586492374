"""Searches as SQL: what is asked becomes a statement with places for its values, compiled once for each shape.

A condition can be read two ways: as a check of one version (`_holds`, by the rows of its key), and as the keys of all
that may satisfy it (`_found`, by the rows of its value). SQLite knows nothing about how often a value occurs, so a few
short counts decide which condition is read the second way; PostgreSQL has statistics and decides for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Dialect,
    FromClause,
    Select,
    String,
    and_,
    bindparam,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import Grouping, UnaryExpression
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.operators import custom_op

from adjunct.fhir import criteria as ask
from adjunct.fhir.repository import Page, Stored
from adjunct.fhir.sql.schema import INDEXES, reference, version

T = TypeVar("T")
Fetch = Callable[[str, tuple[Any, ...]], list[Any]]  # runs a statement, gives its rows
Columns = FromClause  # a table under a name of its own
Holds = ColumnElement[bool]

FEW = 500  # rows of a condition with which it is good to begin: no need to look for a better one
MANY = 5_000  # rows of the rarest condition beyond which going through all resources in order finds a page sooner
ALL = 2**62  # rows; to count, even the rarest of common conditions is better than none
SHAPES = 2_000  # compiled statements kept
BRANCHES = 30  # alternatives under one bracket: SQLite allows a depth of 1,000
LAST = "\U0010ffff" * 4  # sorts behind every text that anybody wrote
SNAPSHOT, LIMIT = "0", "1"  # the places of the first two values


# --- shapes -----------------------------------------------------------------------------------------------------------

_KEPT = {"kind", "how", "compare", "negate", "missing", "itself", "descending"}
_NEUTRAL = {"count": 0, "includes": (), "total": "none"}  # the statement is the same for all of them
_MAY_BE_EMPTY = {"type", "id", "only"}  # an empty text asks nothing: it belongs to the shape


def _shaped(node: T, values: list[Any]) -> T:
    """The same with the name of a place instead of every value; the values, in the order of their places.

    >>> values = []
    >>> _shaped(ask.QuantityIs(ask.Span("lt", 5, 6), None, "mg"), values), values
    (QuantityIs(span=Span(compare='lt', low='0', high='1'), system=None, unit='2'), [5, 6, 'mg'])
    """
    made: Any
    if node is None:
        made = None
    elif (known := _FIELDS.get(type(node))) is not None:
        parts = [_part(name, getattr(node, name), values) for name in known]
        made = type(node)(**dict(zip(known, parts, strict=True)))
    elif isinstance(node, tuple):
        made = tuple([_shaped(part, values) for part in node])
    else:
        made = str(len(values))
        values.append(node)
    return made  # type: ignore[no-any-return]


def _part(name: str, part: Any, values: list[Any]) -> Any:
    if name in _NEUTRAL:
        return _NEUTRAL[name]
    if name in _KEPT or (part == "" and name in _MAY_BE_EMPTY):
        return part
    if name in ("any_of", "ids") and len(part) > 2:  # to the next power of two: few shapes, same meaning
        part += (part[-1],) * ((1 << (len(part) - 1).bit_length()) - len(part))
    return _shaped(part, values)


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind)) if is_dataclass(kind) else kind._fields


_FIELDS: dict[type, tuple[str, ...]] = {
    kind: _names(kind)
    for kind in (
        *(ask.TokenIs, ask.TextIs, ask.Span, ask.QuantityIs, ask.UriIs, ask.RefersTo, ask.Sort, ask.Cursor),
        *(ask.Match, ask.Missing, ask.Together, ask.Chain, ask.PointedAt, ask.Ids, ask.Updated, ask.InCompartment),
        *(ask.AnyOf, ask.Search),
    )
}


class Plan(NamedTuple):
    """A compiled statement; `places` says which value goes where: first those of the search, then the constants."""

    text: str
    places: tuple[int, ...]
    constants: tuple[Any, ...]

    def binds(self, values: Sequence[Any]) -> tuple[Any, ...]:
        every = (*values, *self.constants)
        return tuple([every[place] for place in self.places])


def _compiled(statement: Select[Any], dialect: Dialect, known: int) -> Plan:
    """`known`: how many values the search brings; what else is bound are constants of the statement."""
    compiled = statement.compile(dialect=dialect)
    order = compiled.positiontup or ()
    constants = tuple(name for name in dict.fromkeys(order) if not name.isdecimal())
    place = {name: known + number for number, name in enumerate(constants)}
    return Plan(
        str(compiled),
        tuple(place[name] if name in place else int(name) for name in order),
        tuple(compiled.params[name] for name in constants),
    )


def _bound(place: object) -> ColumnElement[Any]:
    return bindparam(str(place))


# --- rows that match --------------------------------------------------------------------------------------------------


class strpos(GenericFunction[int]):  # noqa: N801  the name that PostgreSQL gives it
    """Where a text begins within another, from 1; 0: nowhere."""

    inherit_cache = True


@compiles(strpos, "sqlite")
def _instr(element: strpos, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


def _compares(span: ask.Span, low: ColumnElement[Any], high: ColumnElement[Any]) -> Holds:
    """`memory.compares` in SQL; conditions that follow from others are added where an index can use them."""
    asked_low, asked_high = _bound(span.low), _bound(span.high)
    equal = and_(low >= asked_low, low <= asked_high, high <= asked_high)
    match span.compare:
        case "eq":
            return equal
        case "ne":
            return or_(low < asked_low, high > asked_high)
        case "gt":
            return high > asked_high
        case "lt":
            return low < asked_low
        case "ge":
            return or_(high > asked_high, equal)
        case "le":
            return or_(low < asked_low, equal)
        case "sa":
            return low >= asked_high
        case "eb":
            return and_(high <= asked_low, low <= asked_low)
        case "ap":
            return and_(low < asked_high, high > asked_low)


def _compares_at(span: ask.Span, at: ColumnElement[Any]) -> Holds:
    """The same for the ms that begins at `at`, in a form that an index can use."""
    asked_low, asked_high = _bound(span.low), _bound(span.high)
    match span.compare:
        case "eq" | "ap":
            return and_(at >= asked_low, at < asked_high)
        case "ne":
            return or_(at < asked_low, at >= asked_high)
        case "gt" | "sa":
            return at >= asked_high
        case "lt" | "eb":
            return at < asked_low
        case "ge":
            return at >= asked_low
        case "le":
            return at < asked_high


def _begins(text: ColumnElement[Any], start: ColumnElement[Any]) -> Holds:
    return and_(text >= start, text < start + LAST)


def _either(conditions: Sequence[Holds]) -> Holds:
    """One of many, as a tree that is never deep."""
    if len(conditions) > BRANCHES:
        step = len(conditions) // BRANCHES + 1
        conditions = [Grouping(_either(conditions[start : start + step])) for start in range(0, len(conditions), step)]
    return or_(false(), *conditions)


def _among(rows: Sequence[tuple[Any, ...]], *columns: ColumnElement[Any]) -> Holds:
    """The columns have the values of one of the rows; None or an empty text in a row asks nothing of its column."""
    wanted = [[(c, _bound(x)) for c, x in zip(columns, row, strict=True) if x not in (None, "")] for row in rows]
    one_of = _either([and_(*(c == x for c, x in asked)) if asked else columns[0].is_not(None) for asked in wanted])
    if len(rows) > 1 and all(row[0] not in (None, "") for row in rows):  # so that the index is still of use
        return and_(columns[0].in_([_bound(row[0]) for row in rows]), one_of)
    return one_of


def _any_of(kind: ask.Kind, any_of: Sequence[Any], row: Columns) -> Holds:
    """A row of this index has one of the values."""
    c = row.c
    match kind:
        case "token":
            return _among([(v.code, v.system) for v in any_of], c.code, c.system)
        case "reference":
            return _among([(v.id, v.type) for v in any_of], c.id, c.type)
        case "string":
            return _either([_text(v, row) for v in any_of])
        case "uri":
            return _either([_uri(v, c.uri) for v in any_of])
        case "quantity":
            return _either([_quantity(v, row) for v in any_of])
        case "date" | "number":
            return _either([_compares(v, c.low, c.high) for v in any_of])


def _text(value: ask.TextIs, row: Columns) -> Holds:
    text = bindparam(value.text, type_=String())
    match value.how:
        case "starts":
            return _begins(row.c.folded, text)
        case "contains":
            return strpos(row.c.folded, text) > 0
        case "exact":
            return row.c.exact == text


def _uri(value: ask.UriIs, uri: ColumnElement[Any]) -> Holds:
    asked = bindparam(value.uri, type_=String())
    match value.how:
        case "is":
            return uri == asked
        case "below":
            return or_(uri == asked, _begins(uri, func.rtrim(asked, "/") + "/"))
        case "above":
            folder = func.rtrim(uri, "/") + "/"
            return or_(uri == asked, func.substr(asked, 1, func.length(folder)) == folder)


def _quantity(value: ask.QuantityIs, row: Columns) -> Holds:
    """A row that begins its unit with "=" repeats another in canonical units: only who asks for such a unit sees it."""
    c = row.c
    unit = c.unit == _bound(value.unit) if value.unit is not None else or_(c.unit < "=", c.unit >= ">")
    system = [c.system == _bound(value.system)] if value.system is not None else []
    return and_(unit, *system, _compares(value.span, c.value, c.value))


# --- conditions -------------------------------------------------------------------------------------------------------


def _current(row: Columns) -> Holds:
    """This version is the newest as of the snapshot, and no deletion."""
    snapshot = _bound(SNAPSHOT)
    return and_(row.c.key <= snapshot, or_(row.c.until.is_(None), row.c.until > snapshot), row.c.gone == 0)


def _index(kind: ask.Kind, index: object) -> tuple[Columns, Holds]:
    row = INDEXES[kind].alias()
    return row, row.c.idx == _bound(index)


def _matching(match: ask.Match) -> tuple[Columns, Holds]:
    row, of_index = _index(match.kind, match.index)
    return row, and_(of_index, _any_of(match.kind, match.any_of, row))


def _holds(condition: ask.Condition, of: Columns) -> Holds:
    """The condition as a check of the version `of`."""
    match condition:
        case ask.Match():
            row, matches = _matching(condition)
            found = exists().where(row.c.key == of.c.key, matches)
            return not_(found) if condition.negate else found
        case ask.Missing():
            row, of_index = _index(condition.kind, condition.index)
            found = exists().where(row.c.key == of.c.key, of_index)
            return not_(found) if condition.missing else found
        case ask.Together():
            return _either([_joined(parts, of.c.key).exists() for parts in condition.any_of])
        case ask.Chain():
            row, of_index = _index("reference", condition.index)
            leads = [
                exists().where(target.c.id == row.c.id, *wanted) for target, wanted in _targets(condition, row.c.type)
            ]
            return exists().where(row.c.key == of.c.key, of_index, _either(leads))
        case ask.PointedAt():
            row, of_index = _index("reference", condition.index)
            source = version.alias()
            to_it = and_(of_index, row.c.id == of.c.id, row.c.type == of.c.type)
            return exists().where(to_it, source.c.key == row.c.key, *_source(condition, source))
        case ask.Ids():
            listed = of.c.id.in_([_bound(own) for own in condition.ids])
            return not_(listed) if condition.negate else listed
        case ask.Updated():
            return _either([_compares_at(span, of.c.at) for span in condition.any_of])
        case ask.InCompartment():
            row, refers = _refers(condition)
            found = exists().where(row.c.key == of.c.key, refers)
            return or_(_itself(condition, of), found) if condition.itself else found
        case ask.AnyOf():
            return _either([_holds(one, of) for one in condition.conditions])


def _found(condition: ask.Condition, types: Sequence[str]) -> Select[Any] | None:
    """The keys of the versions for which the condition holds, old versions among them; None: they are not indexed."""
    match condition:
        case ask.Match(negate=False):
            row, matches = _matching(condition)
            return select(row.c.key).where(matches)
        case ask.Missing(missing=False):
            row, of_index = _index(condition.kind, condition.index)
            return select(row.c.key).where(of_index)
        case ask.Together():
            return _union([_joined(parts, None) for parts in condition.any_of])
        case ask.Chain():
            return _union([_leading(condition, name, where) for name, where in condition.targets])
        case ask.PointedAt():
            return _pointed_at(condition)
        case ask.Ids(negate=False):
            v = version.alias()
            return select(v.c.key).where(*_typed(types, v), _holds(condition, v)) if types else None
        case ask.Updated():
            v = version.alias()
            return select(v.c.key).where(_holds(condition, v))
        case ask.InCompartment():
            row, refers = _refers(condition)
            itself = version.alias()
            own = [select(itself.c.key).where(_itself(condition, itself))] if condition.itself else []
            return _union([select(row.c.key).where(refers), *own])
        case ask.AnyOf():
            return _union([_found(one, types) for one in condition.conditions])
    return None


def _union(parts: Sequence[Select[Any] | None]) -> Select[Any] | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known or len(known) > BRANCHES:
        return None
    together = union_all(*known).subquery()
    return known[0] if len(known) == 1 else select(together.c.key)


def _first(where: Sequence[ask.Condition], type: str) -> Select[Any] | None:
    """With which keys to begin in what a chain leads to: those of the first condition that can tell."""
    return next((keys for one in where if (keys := _found(one, (type,))) is not None), None)


def _elsewhere(condition: ask.Condition) -> Select[Any] | None:
    """The keys of the other resources with which a chain begins."""
    match condition:
        case ask.Chain():
            return _union([_first(where, name) for name, where in condition.targets])
        case ask.PointedAt():
            return _first(condition.where, condition.type)
    return None


def _beginning(keys: Select[Any] | None, of: Columns) -> list[Holds]:
    return [of.c.key.in_(keys)] if keys is not None else []


def _joined(parts: Sequence[ask.Match], key: ColumnElement[Any] | None) -> Select[Any]:
    """The keys, or whether this is one, of versions in which one element matches all parts."""
    (first, matches), *others = [_matching(part) for part in parts]
    found = select(first.c.key).where(matches)
    if key is not None:
        found = found.where(first.c.key == key)
    for row, also in others:
        found = found.where(also, row.c.key == first.c.key, row.c.element == first.c.element)
    return found


def _targets(chain: ask.Chain, said: ColumnElement[Any]) -> Iterator[tuple[Columns, list[Holds]]]:
    """What a chain may lead to, with what must hold there; `said`: the type in the reference."""
    for name, where in chain.targets:
        target = version.alias()
        asked = [_bound(chain.only) == said] if chain.only else []
        wanted = [said == _bound(name), target.c.type == _bound(name), _current(target)]
        yield target, [*asked, *wanted, *(_holds(one, target) for one in where)]


def _leading(chain: ask.Chain, name: str, where: Sequence[ask.Condition]) -> Select[Any]:
    """The keys of what refers to a resource of this type for which all of `where` holds."""
    row, of_index = _index("reference", chain.index)
    target = version.alias()
    wanted = [target.c.type == _bound(name), _current(target), *(_holds(one, target) for one in where)]
    ids = select(target.c.id).where(*wanted, *_beginning(_first(where, name), target))
    return select(row.c.key).where(of_index, row.c.id.in_(ids), row.c.type == _bound(name))


def _pointed_at(pointed: ask.PointedAt) -> Select[Any]:
    """The keys of what such a resource refers to."""
    row, of_index = _index("reference", pointed.index)
    source, to = version.alias(), version.alias()
    begin = _beginning(_first(pointed.where, pointed.type), source)
    sources = select(source.c.key).where(*_source(pointed, source), *begin)
    refers = select(row.c.type, row.c.id).where(of_index, row.c.key.in_(sources))
    return select(to.c.key).where(tuple_(to.c.type, to.c.id).in_(refers))


def _source(pointed: ask.PointedAt, source: Columns) -> list[Holds]:
    return [source.c.type == _bound(pointed.type), _current(source), *(_holds(one, source) for one in pointed.where)]


def _refers(compartment: ask.InCompartment) -> tuple[Columns, Holds]:
    row = reference.alias()
    in_one = row.c.idx.in_([_bound(index) for index in compartment.indexes])
    return row, and_(in_one, row.c.id == _bound(compartment.id), row.c.type == _bound(compartment.type))


def _itself(compartment: ask.InCompartment, of: Columns) -> Holds:
    return and_(of.c.type == _bound(compartment.type), of.c.id == _bound(compartment.id))


# --- statements -------------------------------------------------------------------------------------------------------


def _where(search: ask.Search, drive: int | None, of: Columns) -> list[Holds]:
    """What must hold for a match. Condition number `drive` gives the keys to begin with, the others check them."""
    checks = [_holds(condition, of) for number, condition in enumerate(search.where) if number != drive]
    if drive is None:
        return [*_typed(search.types, of), _current(of), *checks]
    keys = _found(search.where[drive], search.types)
    return [*_beginning(keys, of), *_typed(search.types, of, indexed=False), _current(of), *checks]


def _typed(types: Sequence[str], of: Columns, *, indexed: bool = True) -> list[Holds]:
    """It is of one of the types. A sign before a column keeps SQLite from looking for its values in an index."""
    column = of.c.type if indexed else UnaryExpression(of.c.type, operator=custom_op("+"))
    return [_either([column == _bound(name) for name in types])] if types else []


_SORTED_BY = {
    "token": "code",
    "string": "folded",
    "date": "low",
    "number": "low",
    "quantity": "value",
    "reference": "id",
    "uri": "uri",
}


def _sort_value(sort: ask.Sort, of: Columns) -> ColumnElement[Any]:
    """The least value, or the greatest if descending: of an interval its beginning or its end."""
    if sort.index is None:
        found: ColumnElement[Any] = of.c.id if sort.kind == "string" else of.c.key
        return found
    row, of_index = _index(sort.kind, sort.index)
    by_end = sort.descending and sort.kind in ("date", "number")
    value = row.c.high if by_end else row.c[_SORTED_BY[sort.kind]]
    most = func.max(value) if sort.descending else func.min(value)
    canonical = [_begins(row.c.unit, bindparam("canonical", "=", unique=True))] if sort.kind == "quantity" else []
    return select(most).where(row.c.key == of.c.key, of_index, *canonical).scalar_subquery()


def _beyond(sorts: Sequence[ask.Sort], values: Sequence[ColumnElement[Any]], key: Any, cursor: ask.Cursor) -> Holds:
    """Later in the order than where the cursor stands: nothing after no value, no value after every value."""
    later: Holds = key > _bound(cursor.key)
    for sort, value, after in reversed(list(zip(sorts, values, cursor.after, strict=True))):
        if after is None:
            later = and_(value.is_(None), later)
        else:
            further = value < _bound(after) if sort.descending else value > _bound(after)
            later = or_(further, value.is_(None), and_(value == _bound(after), later))
    return later


def _walks(sort: ask.Sort) -> bool:
    """Whether the rows of this index are kept in this order."""
    return sort.kind == "date" or (sort.kind not in ("number", "quantity"))


def _walk(search: ask.Search, drive: int | None) -> Select[Any]:
    """The same page by going along the index that it is sorted by; only resources that have a value there."""
    v = version.alias("v")
    (sort,), cursor = search.sort, search.cursor
    row, of_index = _index(sort.kind, sort.index)
    c = row.c
    value = c.high if sort.descending and sort.kind == "date" else c[_SORTED_BY[sort.kind]]
    before, _ = _index(sort.kind, sort.index)  # another row of the same resource, by which it stands further ahead
    rank, ahead = ([t.c[value.name], *(x for x in t.c if x.name not in _NO_RANK)] for t in (row, before))
    further = tuple_(*ahead) > tuple_(*rank) if sort.descending else tuple_(*ahead) < tuple_(*rank)
    again = exists().where(before.c.key == c.key, before.c.idx == c.idx, further)
    beyond = []
    if cursor:
        after = _bound(cursor.after[0])
        further = value < after if sort.descending else value > after
        reached = value <= after if sort.descending else value >= after
        beyond = [reached, or_(further, c.key > _bound(cursor.key))]
    top = (
        select(v.c.key, value.label("s0"))
        .select_from(row)
        .where(of_index, v.c.key == c.key, *beyond, *_where(search, drive, v), not_(again))
        .order_by(value.desc() if sort.descending else value.asc(), c.key)
        .limit(bindparam(LIMIT))
    )
    page, w = top.subquery("page"), version.alias("w")
    key, by = page.c
    return (
        select(*_versions(w), by)
        .join_from(page, w, w.c.key == key)
        .order_by(by.desc() if sort.descending else by.asc(), key)
    )


_NO_RANK = {"idx", "key"}


def _versions(of: Columns) -> list[ColumnElement[Any]]:
    c = of.c
    return [c.key, c.type, c.id, c.version, c.at, c.content]


def _page(search: ask.Search, drive: int | None) -> Select[Any]:
    """One page, its rows followed by their sort values. Contents are read last, only those of the page."""
    v = version.alias("v")
    values = [_sort_value(sort, v).label(f"s{number}") for number, sort in enumerate(search.sort)]
    all_found = select(v.c.key, *values).where(*_where(search, drive, v)).subquery("found")
    key, *by = all_found.c
    beyond = [_beyond(search.sort, by, key, search.cursor)] if search.cursor else []
    top = select(key, *by).where(*beyond).order_by(*_order(search.sort, by), key).limit(bindparam(LIMIT))
    page, w = top.subquery("page"), version.alias("w")
    key, *by = page.c
    return select(*_versions(w), *by).join_from(page, w, w.c.key == key).order_by(*_order(search.sort, by), key)


def _order(sorts: Sequence[ask.Sort], values: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    ordered = [v.desc() if sort.descending else v.asc() for sort, v in zip(sorts, values, strict=True)]
    return [v.nulls_last() if sort.index is not None else v for sort, v in zip(sorts, ordered, strict=True)]


def _count(search: ask.Search, drive: int | None) -> Select[Any]:
    v = version.alias("v")
    return select(func.count()).select_from(v).where(*_where(search, drive, v))


@lru_cache(SHAPES)
def _plan_page(shape: ask.Search, drive: int | None, dialect: Dialect, known: int) -> Plan:
    return _compiled(_page(shape, drive), dialect, known)


@lru_cache(SHAPES)
def _plan_count(shape: ask.Search, drive: int | None, dialect: Dialect, known: int) -> Plan:
    return _compiled(_count(shape, drive), dialect, known)


@lru_cache(SHAPES)
def _plan_probe(
    shape: ask.Condition, types: tuple[str, ...], elsewhere: bool, dialect: Dialect, known: int
) -> Plan | None:
    """How many rows a condition has; `elsewhere`: how many resources it begins with, if those are others."""
    keys = _elsewhere(shape) if elsewhere else _found(shape, types)
    if keys is None:
        return None
    return _compiled(select(func.count()).select_from(keys.limit(bindparam(LIMIT)).subquery()), dialect, known)


@lru_cache(SHAPES)
def _plan_include(reverse: bool, narrowed: bool, starts: int, dialect: Dialect) -> Plan:
    """Values: snapshot, index, the type that is wanted, keys of the resources to start from."""
    row, start, found = reference.alias(), version.alias(), version.alias()
    keys = [bindparam(str(place)) for place in range(_FIRST_KEY, _FIRST_KEY + starts)]
    if reverse:
        leads = [start.c.key.in_(keys), row.c.type == start.c.type, row.c.id == start.c.id, found.c.key == row.c.key]
        wanted = found
    else:
        leads = [row.c.key.in_(keys), found.c.type == row.c.type, found.c.id == row.c.id]
        wanted = row
    if narrowed:
        leads += _typed(["2"], wanted, indexed=dialect.name != "sqlite")
    statement = select(*_versions(found)).where(row.c.idx == bindparam("1"), *leads, _current(found))
    return _compiled(statement, dialect, _FIRST_KEY + starts)


_FIRST_KEY = 3  # place of the first key


# --- what a store calls -----------------------------------------------------------------------------------------------


def page(search: ask.Search, fetch: Fetch, dialect: Dialect, newest: Callable[[], int]) -> Page:
    """One page of matches as of the cursor's snapshot (of the newest key, on the first page) with what they include."""
    snapshot = search.cursor.snapshot if search.cursor else newest()
    drive = _drive(search, fetch, dialect, snapshot)
    rows = _ask(_plan_page, search, drive, fetch, dialect, [snapshot, search.count + 1]) if search.count else []
    more, rows = len(rows) > search.count, rows[: search.count]
    matches = tuple(_stored(row) for row in rows)
    following = ask.Cursor(snapshot, tuple(rows[-1][len(Stored._fields) :]), matches[-1].key) if more else None
    total = None
    if search.total == "accurate":
        total = count(search, fetch, dialect, lambda: snapshot)
    included = _included(search.includes, matches, fetch, dialect, snapshot)
    return Page(matches, included, following, total)


def count(search: ask.Search, fetch: Fetch, dialect: Dialect, newest: Callable[[], int]) -> int:
    """How many resources match, wherever the cursor stands."""
    snapshot = search.cursor.snapshot if search.cursor else newest()
    drive = _drive(search, fetch, dialect, snapshot, ALL)
    number: int = _ask(_plan_count, search, drive, fetch, dialect, [snapshot, 0])[0][0]
    return number


def every(search: ask.Search, fetch: Fetch, dialect: Dialect, newest: Callable[[], int]) -> Iterator[Stored]:
    """All matches, `search.count` at a time, as of one snapshot."""
    rest: ask.Search | None = search
    while rest:
        found = page(rest, fetch, dialect, newest)
        yield from found.matches
        rest = replace(rest, cursor=found.next) if found.next else None


def _ask(
    plan: Callable[..., Plan], search: ask.Search, drive: int | None, fetch: Fetch, dialect: Dialect, values: list[Any]
) -> list[Any]:
    made = plan(_shaped(search, values), drive, dialect, len(values))
    return fetch(made.text, made.binds(values))


def _drive(search: ask.Search, fetch: Fetch, dialect: Dialect, snapshot: int, most: int = MANY) -> int | None:
    """The condition to begin with: that with the fewest rows, if fewer than `most`. None: the database knows better."""
    if dialect.name != "sqlite":
        return None
    probes = []
    for number, condition in enumerate(search.where[:BRANCHES]):
        values: list[Any] = [snapshot, FEW]
        types, shape = _shaped((search.types, condition), values)
        plans = [_plan_probe(shape, types, elsewhere, dialect, len(values)) for elsewhere in (True, False)]
        probes.append((number, [plan for plan in plans if plan], values))
    for limit in (FEW, most):
        least, best = limit, None
        for number, plans, values in probes:
            values[1] = least
            found = 0
            for plan in plans:  # the second only if the first finds few enough
                found = fetch(plan.text, plan.binds(values))[0][0] if found < least else found
            if plans and found < least:
                least, best = found, number
        if best is not None:
            return best
    return None


def _included(
    rules: Sequence[ask.Include], matches: Sequence[Stored], fetch: Fetch, dialect: Dialect, snapshot: int
) -> tuple[Stored, ...]:
    """What the matches include, in the order of writing: once each, nothing that is a match already."""
    known = {match.key: match for match in matches}
    fresh: Sequence[Stored] = matches
    while fresh and rules:
        found = {one.key: one for rule in rules for one in _follow(rule, fresh, fetch, dialect, snapshot)}
        fresh = [one for key, one in found.items() if key not in known]
        known |= found
        rules = [rule for rule in rules if rule.iterate]
    return tuple(known[key] for key in sorted(known.keys() - {match.key for match in matches}))


def _follow(
    rule: ask.Include, starts: Sequence[Stored], fetch: Fetch, dialect: Dialect, snapshot: int
) -> Iterator[Stored]:
    begins = rule.target if rule.reverse else rule.source
    wanted = rule.source if rule.reverse else rule.target
    keys = [start.key for start in starts if begins in ("", start.type)]
    for first in range(0, len(keys), FEW):
        some = keys[first : first + FEW]
        some += some[-1:] * ((1 << (len(some) - 1).bit_length()) - len(some))
        plan = _plan_include(rule.reverse, bool(wanted), len(some), dialect)
        yield from map(_stored, fetch(plan.text, plan.binds([snapshot, rule.index, wanted, *some])))


def _stored(row: Sequence[Any]) -> Stored:
    key, kind, own, number, at, content = row[: len(Stored._fields)]
    return Stored(key, kind, own, number, at, None if content is None else bytes(content))
