"""Searches as SQL: what is asked becomes a statement with places for its values, compiled once for each shape.

SQLite knows nothing about how often a value occurs. A few short counts tell with which condition to begin; if all are
common, going through the resources in order and checking each fills a page soonest. PostgreSQL has statistics and
decides for itself. A search sorted by one index goes along that index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from http import HTTPStatus
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Dialect, Select, bindparam, exists, func, not_, or_, select, tuple_
from sqlalchemy import and_ as both

from adjunct.fhir import criteria as ask
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Page, Stored
from adjunct.fhir.sql.conditions import (
    BRANCHES,
    SNAPSHOT,
    Columns,
    Holds,
    beginning,
    begins,
    bound,
    current,
    elsewhere,
    found,
    holds,
    typed,
    unindexed,
)
from adjunct.fhir.sql.schema import INDEXES, reference, version
from adjunct.fhir.sql.statement import Statement, stored

T = TypeVar("T")
Values = dict[str, Any]  # by the names of parameters
Fetch = Callable[[str, tuple[Any, ...]], list[Any]]  # runs a statement, gives its rows

FEW = 500  # rows of a condition with which it is good to begin: no need to look for a better one
MANY = 5_000  # rows of the rarest condition beyond which going through all resources in order finds a page sooner
ALL = 2**62  # rows; to count all matches, even the rarest of common conditions is better than none
STARTS = 512  # resources whose includes are fetched at once
SHAPES = 2_000  # compiled statements kept of each sort
LIMIT = "1"  # the name of the parameter that holds how many rows are wanted; the first is SNAPSHOT
ENOUGH = "enough"  # and how many inclusions are wanted at once
START_TYPE = 3  # the place of the type from which something is included
FIRST_START = 4  # and of the first resource


# --- shapes -----------------------------------------------------------------------------------------------------------

_KEPT = {"kind", "how", "compare", "negate", "missing", "itself", "descending"}
_MAY_BE_EMPTY = {"type", "id", "only"}  # an empty text asks nothing: it belongs to the shape
_NEUTRAL = {"count": 0, "includes": (), "total": "none"}  # the statement is the same for all of them


def shaped(node: T, values: Values) -> T:
    """The same with the name of a parameter instead of every value; the values are added to `values` by these names.

    >>> values = {}
    >>> shaped(ask.QuantityIs(ask.Span("lt", 5, 6), None, "mg"), values), values
    (QuantityIs(span=Span(compare='lt', low='0', high='1'), system=None, unit='2'), {'0': 5, '1': 6, '2': 'mg'})
    """
    made: Any
    if node is None:
        made = None
    elif (names := _FIELDS.get(type(node))) is not None:
        made = type(node)(**{name: _part(name, getattr(node, name), values) for name in names})
    elif isinstance(node, tuple):
        made = tuple([shaped(part, values) for part in node])
    else:
        made = str(len(values))
        values[made] = node
    return made  # type: ignore[no-any-return]


def _part(name: str, part: Any, values: Values) -> Any:
    if name in _NEUTRAL:
        return _NEUTRAL[name]
    if name in _KEPT or (part == "" and name in _MAY_BE_EMPTY):
        return part
    return shaped(_padded(part) if name in ("any_of", "ids") else part, values)


def _padded(part: tuple[T, ...]) -> tuple[T, ...]:
    """The last one repeated up to the next power of two: it means the same, and there are few shapes."""
    return part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part)) if part else part


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


# --- statements -------------------------------------------------------------------------------------------------------


def _where(search: ask.Search, drive: int | None, of: Columns, *, indexed: bool = True) -> list[Holds]:
    """What must hold for a match. Condition number `drive` gives the keys to begin with, the others check them."""
    checks = [holds(condition, of) for number, condition in enumerate(search.where) if number != drive]
    if drive is None:
        return [*typed(search.types, of, indexed=indexed), current(of), *checks]
    keys = found(search.where[drive], search.types)
    return [*beginning(keys, of), *typed(search.types, of, indexed=False), current(of), *checks]


_SORTED_BY = {
    "token": "code",
    "string": "folded",
    "date": "low",
    "number": "low",
    "quantity": "value",
    "reference": "id",
    "uri": "uri",
}


def _column(sort: ask.Sort, row: Columns) -> ColumnElement[Any]:
    """By what a row is sorted: an interval by its beginning, or by its end if descending."""
    by_end = sort.descending and sort.kind in ("date", "number")
    column: ColumnElement[Any] = row.c["high" if by_end else _SORTED_BY[sort.kind]]
    return column


def _sort_value(sort: ask.Sort, of: Columns) -> ColumnElement[Any]:
    """The least value, or the greatest if descending. Amounts compare in canonical units only."""
    if sort.index is None:
        column: ColumnElement[Any] = of.c.id if sort.kind == "string" else of.c.key
        return column
    row = INDEXES[sort.kind].alias()
    of_index = unindexed(row.c.idx) == bound(sort.index)  # by its key
    most = (func.max if sort.descending else func.min)(_column(sort, row))
    canonical = [begins(row.c.unit, bindparam("canonical", "=", unique=True))] if sort.kind == "quantity" else []
    return select(most).where(row.c.key == of.c.key, of_index, *canonical).scalar_subquery()


def _beyond(sorts: Sequence[ask.Sort], values: Sequence[ColumnElement[Any]], key: Any, cursor: ask.Cursor) -> Holds:
    """Later in the order than where the cursor stands: nothing after no value, no value after every value."""
    later: Holds = key > bound(cursor.key)
    for sort, value, after in reversed(list(zip(sorts, values, cursor.after, strict=True))):
        if after is None:
            later = both(value.is_(None), later)
        else:
            further = value < bound(after) if sort.descending else value > bound(after)
            later = or_(further, value.is_(None), both(value == bound(after), later))
    return later


def _ordered(sorts: Sequence[ask.Sort], values: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    ordered = [v.desc() if sort.descending else v.asc() for sort, v in zip(sorts, values, strict=True)]
    return [v.nulls_last() if sort.index is not None else v for sort, v in zip(sorts, ordered, strict=True)]


def _versions(of: Columns) -> list[ColumnElement[Any]]:
    return [of.c[name] for name in Stored._fields]


def _with_content(top: Select[Any], search: ask.Search) -> Select[Any]:
    """The keys and sort values of a page as versions: contents are read last, only those of the page."""
    page, v = top.limit(bindparam(LIMIT)).cte("page"), version.alias("w")
    key, *by = page.c
    return select(*_versions(v), *by).join_from(page, v, v.c.key == key).order_by(*_ordered(search.sort, by), key)


def _page(search: ask.Search, drive: int | None) -> Select[Any]:
    v = version.alias("v")
    values = [_sort_value(sort, v).label(f"s{number}") for number, sort in enumerate(search.sort)]
    matches = select(v.c.key, *values).where(*_where(search, drive, v)).cte("matches")
    key, *by = matches.c
    beyond = [_beyond(search.sort, by, key, search.cursor)] if search.cursor else []
    return _with_content(select(key, *by).where(*beyond).order_by(*_ordered(search.sort, by), key), search)


def _walk(search: ask.Search, _: int | None) -> Select[Any]:
    """The same page by going along the index that it is sorted by; only resources that have a value there."""
    v = version.alias("v")
    (sort,) = search.sort
    row = INDEXES[sort.kind].alias()
    value, key = _column(sort, row), row.c.key
    beyond: list[Holds] = []
    if search.cursor:
        after = bound(search.cursor.after[0])
        beyond = [
            value <= after if sort.descending else value >= after,
            or_(value != after, key > bound(search.cursor.key)),
        ]
    return _with_content(
        select(v.c.key, value.label("s0"))
        .where(row.c.idx == bound(sort.index), v.c.key == key, *beyond)
        .where(*_where(search, None, v, indexed=False), not_(_again(sort, row)))
        .order_by(value.desc() if sort.descending else value.asc(), key),
        search,
    )


def _again(sort: ask.Sort, row: Columns) -> Holds:
    """The same resource has another row further ahead in this order."""
    other = INDEXES[sort.kind].alias()
    names = dict.fromkeys([_column(sort, row).name, *(c.name for c in row.c if c.name not in ("idx", "key"))])
    this, that = (tuple_(*(t.c[name] for name in names)) for t in (row, other))
    ahead = that > this if sort.descending else that < this
    return exists().where(other.c.key == row.c.key, unindexed(other.c.idx) == row.c.idx, ahead)


def _count(search: ask.Search, drive: int | None) -> Select[Any]:
    v = version.alias("v")
    return select(func.count()).select_from(v).where(*_where(search, drive, v))


@lru_cache(SHAPES)
def _plan(
    made: Callable[[ask.Search, int | None], Select[Any]],
    shape: ask.Search,
    drive: int | None,
    dialect: Dialect,
) -> Statement:
    return Statement(made(shape, drive), dialect)


@lru_cache(SHAPES)
def _probes(shape: ask.Condition, types: tuple[str, ...], dialect: Dialect) -> tuple[Statement, ...]:
    """How many resources elsewhere a chain begins with, then how many rows a condition has."""
    counted = [
        select(func.count()).select_from(keys.limit(bindparam(LIMIT)).subquery())
        for keys in (elsewhere(shape), found(shape, types))
        if keys is not None
    ]
    return tuple([Statement(statement, dialect) for statement in counted])


@lru_cache(SHAPES)
def _plan_include(reverse: bool, narrowed: bool, starts: int, dialect: Dialect) -> Statement:
    """Values: snapshot, index, the type that is wanted, the type of the resources to start from, and their ids or keys.

    Who refers to them is found by their ids, what they refer to by their keys.
    """
    row, end = reference.alias(), version.alias()
    first = [bound(place) for place in range(FIRST_START, FIRST_START + starts)]
    if reverse:
        leads = [row.c.id.in_(first), row.c.type == bound(START_TYPE), end.c.key == row.c.key]
    else:
        leads = [row.c.key.in_(first), end.c.type == row.c.type, end.c.id == row.c.id]
    if narrowed:
        leads += typed(["2"], end if reverse else row, indexed=False)
    keys = select(end.c.key).distinct().where(row.c.idx == bound(1), *leads, current(end)).limit(bindparam(ENOUGH))
    led = keys.cte("page")
    whole = version.alias("w")
    return Statement(select(*_versions(whole)).join_from(led, whole, whole.c.key == led.c.key), dialect)


# --- what a store calls -----------------------------------------------------------------------------------------------


class _AsOf(NamedTuple):
    """A database as it was after the write with the key `snapshot`."""

    snapshot: int
    fetch: Fetch
    dialect: Dialect

    def ask(
        self, made: Callable[[ask.Search, int | None], Select[Any]], search: ask.Search, drive: int | None, limit: int
    ) -> list[Any]:
        values: Values = {SNAPSHOT: self.snapshot, LIMIT: limit}
        plan = _plan(made, shaped(search, values), drive, self.dialect)
        return self.fetch(plan.text, plan.binds(values))


def page(search: ask.Search, fetch: Fetch, dialect: Dialect, newest: Callable[[], int]) -> Page:
    """One page of matches as of the cursor's snapshot (of the newest key, on the first page) with what they include."""
    record = _AsOf(search.cursor.snapshot if search.cursor else newest(), fetch, dialect)
    rows = _rows(search, record) if search.count else []
    more, rows = len(rows) > search.count, rows[: search.count]
    matches = tuple([stored(row) for row in rows])
    following = ask.Cursor(record.snapshot, tuple(rows[-1][len(Stored._fields) :]), matches[-1].key) if more else None
    total = _total(search, record) if search.total == "accurate" else None
    return Page(matches, _included(search.includes, matches, record), following, total)


def count(search: ask.Search, fetch: Fetch, dialect: Dialect, newest: Callable[[], int]) -> int:
    """How many resources match, wherever the cursor stands."""
    return _total(search, _AsOf(search.cursor.snapshot if search.cursor else newest(), fetch, dialect))


def _total(search: ask.Search, record: _AsOf) -> int:
    whole = replace(search, sort=(), cursor=None)
    number: int = record.ask(_count, whole, _drive(whole, record, ALL), 0)[0][0]
    return number


def _rows(search: ask.Search, record: _AsOf) -> list[Any]:
    """The rows of one page and of one match more: each a version and its sort values."""
    drive, limit = _drive(search, record, MANY), search.count + 1
    if drive is not None or not (len(search.sort) == 1 and _walks(search.sort[0])):
        return record.ask(_page, search, drive, limit)
    (sort,), cursor = search.sort, search.cursor
    rows, rest = [], None
    if cursor is None or cursor.after[0] is not None:
        rows = record.ask(_walk, search, drive, limit)
    else:
        rest = ask.Cursor(record.snapshot, (), cursor.key)
    if sort.index is not None and len(rows) < limit:  # then those without a value
        without = ask.Missing(index=sort.index, kind=sort.kind, missing=True)
        others = replace(search, where=(*search.where, without), sort=(), cursor=rest)
        rows += [(*row, None) for row in record.ask(_page, others, drive, limit - len(rows))]
    return rows


def _walks(sort: ask.Sort) -> bool:
    """Whether the rows of its index are kept in this order."""
    return sort.index is not None and sort.kind not in ("number", "quantity")


def _drive(search: ask.Search, record: _AsOf, most: int) -> int | None:
    """The condition to begin with: that with the fewest rows, if fewer than `most`. None: the database knows better."""
    if record.dialect.name != "sqlite":
        return None
    probes = []
    for number, condition in enumerate(search.where[:BRANCHES]):
        values: Values = {SNAPSHOT: record.snapshot, LIMIT: FEW}
        types, shape = shaped((search.types, condition), values)
        if plans := _probes(shape, types, record.dialect):
            probes.append((number, plans, values))
    for limit in (FEW, most):
        least, best = limit, None
        for number, plans, values in probes:
            values[LIMIT], rows = least, 0
            for plan in plans:  # the second only if the first finds few enough
                rows = record.fetch(plan.text, plan.binds(values))[0][0] if rows < least else rows
            if rows < least:
                least, best = rows, number
        if best is not None:
            return best
    return None


def _included(rules: Sequence[ask.Include], matches: Sequence[Stored], record: _AsOf) -> tuple[Stored, ...]:
    """What the matches include, in the order of writing: once each, nothing that is a match already."""
    known = {match.key: match for match in matches}
    most = len(known) + ask.MOST_INCLUDED
    fresh: Sequence[Stored] = matches
    while fresh and rules:
        begun = len(known)
        for one in (one for rule in rules for one in _follow(rule, fresh, record, most + 1)):
            known.setdefault(one.key, one)
            if len(known) > most:
                said = f"more than {ask.MOST_INCLUDED} resources: include less, or search for them"
                raise Refusal(HTTPStatus.BAD_REQUEST, "too-costly", said, "_include")
        fresh = list(islice(known.values(), begun, None))
        rules = [rule for rule in rules if rule.iterate]
    return tuple([known[key] for key in sorted(known.keys() - {match.key for match in matches})])


def _follow(rule: ask.Include, starts: Sequence[Stored], record: _AsOf, enough: int) -> Iterator[Stored]:
    """What one rule leads to from these resources; of each `STARTS` of them no more than `enough`."""
    begin, wanted = (rule.target, rule.source) if rule.reverse else (rule.source, rule.target)
    for kind in {start.type for start in starts if begin in ("", start.type)}:
        names = tuple([start.id if rule.reverse else start.key for start in starts if start.type == kind])
        for first in range(0, len(names), STARTS):
            some = _padded(names[first : first + STARTS])
            plan = _plan_include(rule.reverse, bool(wanted), len(some), record.dialect)
            values = {str(n): v for n, v in enumerate((record.snapshot, rule.index, wanted, kind, *some))}
            yield from map(stored, record.fetch(plan.text, plan.binds({**values, ENOUGH: enough})))
