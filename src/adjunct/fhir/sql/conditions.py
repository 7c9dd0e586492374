"""The conditions of a search as SQL over the tables of `schema`.

A condition can be read two ways: as a check of one version (`holds`, by the rows of its key), and as the keys of all
that satisfy it (`found`, by the rows of its value). Where a condition has a value, its text here is the name of a bound
parameter: `queries` puts the values in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
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
from sqlalchemy.sql.functions import GenericFunction

from adjunct.fhir import criteria as ask
from adjunct.fhir.sql.schema import INDEXES, reference, version

Columns = FromClause  # a table under a name of its own
Holds = ColumnElement[bool]

SNAPSHOT = "0"  # the name of the parameter that holds the last key to be seen
BRANCHES = 30  # alternatives under one bracket: SQLite allows a depth of 1,000
LAST = "\U0010ffff" * 4  # sorts behind every text that anybody wrote


def bound(place: object) -> ColumnElement[Any]:
    """The parameter of this name."""
    return bindparam(str(place))


# --- rows that match --------------------------------------------------------------------------------------------------


class strpos(GenericFunction[int]):  # noqa: N801  the name that PostgreSQL gives it
    """Where a text begins within another, from 1; 0: nowhere."""

    inherit_cache = True


@compiles(strpos, "sqlite")
def _instr(element: strpos, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


class _Bracketed(GenericFunction[bool]):
    """Alternatives that stay together: `or_` would make one long row of them."""

    inherit_cache = True


@compiles(_Bracketed)
def _brackets(element: _Bracketed, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"


class _Unindexed(GenericFunction[Any]):
    inherit_cache = True


@compiles(_Unindexed)
def _same(element: _Unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_Unindexed, "sqlite")
def _signed(element: _Unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same column, not to be looked up in an index: SQLite, without statistics, might prefer a bad one."""
    return _Unindexed(column, type_=column.type)


def _compares(span: ask.Span, low: ColumnElement[Any], high: ColumnElement[Any]) -> Holds:
    """`memory.compares` in SQL; conditions that follow from others are added where an index can use them."""
    asked_low, asked_high = bound(span.low), bound(span.high)
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
            return and_(high >= asked_low, or_(high > asked_high, equal))
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
    asked_low, asked_high = bound(span.low), bound(span.high)
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


def begins(text: ColumnElement[Any], start: ColumnElement[Any]) -> Holds:
    """The text begins so, as a range that an index can use."""
    return and_(text >= start, text < start + LAST)


def _either(conditions: Sequence[Holds]) -> Holds:
    """One of many, as a tree that is never deep."""
    if len(conditions) > BRANCHES:
        step = len(conditions) // BRANCHES + 1
        conditions = [
            _Bracketed(_either(conditions[start : start + step])) for start in range(0, len(conditions), step)
        ]
    return or_(false(), *conditions)


def _among(rows: Sequence[tuple[Any, ...]], *columns: ColumnElement[Any]) -> Holds:
    """The columns have the values of one of the rows; None or an empty text in a row asks nothing of its column."""
    wanted = [[(c, bound(x)) for c, x in zip(columns, row, strict=True) if x not in (None, "")] for row in rows]
    one_of = _either([and_(*(c == x for c, x in asked)) if asked else columns[0].is_not(None) for asked in wanted])
    if len(rows) > 1 and all(row[0] not in (None, "") for row in rows):  # so that the index is still of use
        return and_(columns[0].in_([bound(row[0]) for row in rows]), one_of)
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
            return begins(row.c.folded, text)
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
            return or_(uri == asked, begins(uri, func.rtrim(asked, "/", type_=String()) + "/"))
        case "above":
            folder = func.rtrim(uri, "/", type_=String()) + "/"
            return or_(uri == asked, func.substr(asked, 1, func.length(folder)) == folder)


def _quantity(value: ask.QuantityIs, row: Columns) -> Holds:
    """A row that begins its unit with "=" repeats another in canonical units: only who asks for such a unit sees it."""
    c = row.c
    unit = c.unit == bound(value.unit) if value.unit is not None else or_(c.unit < "=", c.unit >= ">")
    system = [c.system == bound(value.system)] if value.system is not None else []
    return and_(unit, *system, _compares(value.span, c.value, c.value))


# --- conditions -------------------------------------------------------------------------------------------------------


def current(row: Columns) -> Holds:
    """This version is the newest as of the snapshot, and no deletion."""
    snapshot = bound(SNAPSHOT)
    return and_(unindexed(row.c.key) <= snapshot, or_(row.c.until.is_(None), row.c.until > snapshot), row.c.gone == 0)


def typed(types: Sequence[str], of: Columns, *, indexed: bool = True) -> list[Holds]:
    """It is of one of the types; not `indexed`: something else finds it."""
    column = of.c.type if indexed else unindexed(of.c.type)
    return [_either([column == bound(name) for name in types])] if types else []


def index_rows(kind: ask.Kind, index: object) -> tuple[Columns, Holds]:
    """The rows of this kind, under a name of their own, and what makes them rows of this index."""
    row = INDEXES[kind].alias()
    return row, row.c.idx == bound(index)


def _matching(match: ask.Match, *, of: ColumnElement[Any] | None = None) -> tuple[Columns, Holds]:
    """Rows that match; `of` the version with this key: then ranges of values are no way to find them."""
    row, of_index = index_rows(match.kind, match.index)
    if of is not None:
        index = row.c.idx if match.kind in ("token", "reference") else unindexed(row.c.idx)
        of_index = and_(row.c.key == of, index == bound(match.index))
    return row, and_(of_index, _any_of(match.kind, match.any_of, row))


def holds(condition: ask.Condition, of: Columns) -> Holds:
    """The condition as a check of the version `of`."""
    match condition:
        case ask.Match():
            row, matches = _matching(condition, of=of.c.key)
            some = exists().where(matches)
            return not_(some) if condition.negate else some
        case ask.Missing():
            row, of_index = index_rows(condition.kind, condition.index)
            some = exists().where(row.c.key == of.c.key, of_index)
            return not_(some) if condition.missing else some
        case ask.Together():
            return _either([_joined(parts, of.c.key).exists() for parts in condition.any_of])
        case ask.Chain():
            return _either([_leads(condition, name, where, of) for name, where in condition.targets])
        case ask.PointedAt():
            row, of_index = index_rows("reference", condition.index)
            source = version.alias()
            to_it = and_(of_index, row.c.id == of.c.id, row.c.type == of.c.type)
            return exists().where(to_it, source.c.key == row.c.key, *_there(condition.type, condition.where, source))
        case ask.Ids():
            listed = of.c.id.in_([bound(own) for own in condition.ids]) if condition.ids else false()
            return not_(listed) if condition.negate else listed
        case ask.Updated():
            return _either([_compares_at(span, of.c.at) for span in condition.any_of])
        case ask.InCompartment():
            row, refers = _refers(condition)
            some = exists().where(row.c.key == of.c.key, refers)
            return or_(_itself(condition, of), some) if condition.itself else some
        case ask.AnyOf():
            return _either([holds(one, of) for one in condition.conditions])


def found(condition: ask.Condition, types: Sequence[str]) -> Select[Any] | None:
    """The keys of the versions for which the condition holds, old versions among them; None: they are not indexed."""
    match condition:
        case ask.Match(negate=False):
            row, matches = _matching(condition)
            return select(row.c.key).where(matches)
        case ask.Missing(missing=False):
            row, of_index = index_rows(condition.kind, condition.index)
            return select(row.c.key).where(of_index)
        case ask.Together():
            return _union([_joined(parts, None) for parts in condition.any_of])
        case ask.Chain():
            return _union([_leading(condition, name, where) for name, where in condition.targets])
        case ask.PointedAt():
            return _pointed_at(condition)
        case ask.Ids(negate=False):
            v = version.alias()
            return select(v.c.key).where(*typed(types, v), holds(condition, v)) if types else None
        case ask.Updated():
            v = version.alias()
            return select(v.c.key).where(holds(condition, v))
        case ask.InCompartment():
            row, refers = _refers(condition)
            itself = version.alias()
            own = [select(itself.c.key).where(_itself(condition, itself))] if condition.itself else []
            return _union([select(row.c.key).where(refers), *own])
        case ask.AnyOf():
            return _union([found(one, types) for one in condition.conditions])
    return None


def _union(parts: Sequence[Select[Any] | None]) -> Select[Any] | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known or len(known) > BRANCHES:
        return None
    return known[0] if len(known) == 1 else select(union_all(*known).cte().c.key)


def _first(where: Sequence[ask.Condition], type: str) -> Select[Any] | None:
    """With which keys to begin in what a chain leads to: those of the first condition that can tell."""
    return next((keys for one in where if (keys := found(one, (type,))) is not None), None)


def elsewhere(condition: ask.Condition) -> Select[Any] | None:
    """The keys of the other resources with which a chain begins."""
    match condition:
        case ask.Chain():
            return _union([_first(where, name) for name, where in condition.targets])
        case ask.PointedAt():
            return _first(condition.where, condition.type)
    return None


def beginning(keys: Select[Any] | None, of: Columns) -> list[Holds]:
    """Begin with these keys, if it is known with which."""
    return [_in(of.c.key, keys)] if keys is not None else []


def _in(column: Any, values: Select[Any]) -> Holds:
    """`values` stand before the statement, by name: SQLite does not read what is nested too deeply."""
    named = values.cte()
    held: Holds = column.in_(select(*named.c))
    return held


def _joined(parts: Sequence[ask.Match], key: ColumnElement[Any] | None) -> Select[Any]:
    """The keys, or whether this is one, of versions in which one element matches all parts."""
    first, matches = _matching(parts[0], of=key)
    keys = select(first.c.key).where(matches)
    for part in parts[1:]:
        row, also = _matching(part, of=key)
        keys = keys.where(also, row.c.key == first.c.key, row.c.element == first.c.element)
    return keys


def _leads(chain: ask.Chain, name: str, where: Sequence[ask.Condition], of: Columns) -> Holds:
    """The version `of` refers to a resource of this type for which all of `where` holds."""
    row, of_index = index_rows("reference", chain.index)
    target = version.alias()
    only = [row.c.type == bound(chain.only)] if chain.only else []
    to_it = and_(row.c.key == of.c.key, of_index, unindexed(row.c.type) == bound(name), *only)
    same = and_(target.c.type == row.c.type, target.c.id == row.c.id)
    return exists().where(to_it, same, *_there(None, where, target))


def _there(name: str | None, where: Sequence[ask.Condition], target: Columns) -> list[Holds]:
    """It is current, all of `where` holds for it, and it is of this type unless that is known."""
    of_type = typed([name], target, indexed=False) if name is not None else []
    return [*of_type, current(target), *(holds(one, target) for one in where)]


def _leading(chain: ask.Chain, name: str, where: Sequence[ask.Condition]) -> Select[Any]:
    """The keys of what refers to a resource of this type for which all of `where` holds."""
    row, of_index = index_rows("reference", chain.index)
    target = version.alias()
    ids = select(target.c.id).where(*_there(name, where, target), *beginning(_first(where, name), target))
    only = [row.c.type == bound(chain.only)] if chain.only else []
    return select(row.c.key).where(of_index, _in(row.c.id, ids), row.c.type == bound(name), *only)


def _pointed_at(pointed: ask.PointedAt) -> Select[Any]:
    """The keys of what such a resource refers to."""
    row, of_index = index_rows("reference", pointed.index)
    source, to = version.alias(), version.alias()
    begin = beginning(_first(pointed.where, pointed.type), source)
    sources = select(source.c.key).where(*_there(pointed.type, pointed.where, source), *begin)
    refers = select(row.c.type, row.c.id).where(of_index, _in(row.c.key, sources))
    return select(to.c.key).where(_in(tuple_(to.c.type, to.c.id), refers))


def _refers(compartment: ask.InCompartment) -> tuple[Columns, Holds]:
    row = reference.alias()
    in_one = row.c.idx.in_([bound(index) for index in compartment.indexes]) if compartment.indexes else false()
    return row, and_(in_one, row.c.id == bound(compartment.id), row.c.type == bound(compartment.type))


def _itself(compartment: ask.InCompartment, of: Columns) -> Holds:
    return and_(of.c.type == bound(compartment.type), of.c.id == bound(compartment.id))
