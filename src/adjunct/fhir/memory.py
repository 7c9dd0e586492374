"""A store in memory, and the meaning of every condition in its plainest form: what the SQL stores are compared with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

from adjunct.fhir import criteria as ask
from adjunct.fhir.indexing import Rows
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Page, Stored, Unavailable, stamp
from adjunct.fhir.wire import Json

T = TypeVar("T")
Row = tuple[Any, ...]
SortValue = str | float | int | None

NO_ROWS = Rows(*([] for _ in Rows._fields))


class Version(NamedTuple):
    """A version with the index rows that were taken from it."""

    stored: Stored
    rows: Rows


# --- the meaning of conditions ----------------------------------------------------------------------------------------


def compares(span: ask.Span, low: float, high: float) -> bool:
    """How what was asked compares with the interval `low`..`high` of a row (R4, 3.1.1.5.6); a number is a point.

    >>> year, day = (0, 365), (10, 11)
    >>> [c for c in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap") if compares(ask.Span(c, *year), *day)]
    ['eq', 'ge', 'le', 'ap']
    >>> [c for c in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap") if compares(ask.Span(c, *day), *year)]
    ['ne', 'gt', 'lt', 'ge', 'le', 'ap']
    """
    equal = span.low <= low and high <= span.high
    match span.compare:
        case "eq":
            return equal
        case "ne":
            return not equal
        case "gt":
            return high > span.high
        case "lt":
            return low < span.low
        case "ge":
            return high > span.high or equal
        case "le":
            return low < span.low or equal
        case "sa":
            return low >= span.high
        case "eb":
            return high <= span.low
        case "ap":
            return low < span.high and high > span.low


def matches(value: ask.Value, row: Row) -> bool:
    """Whether a row of the kind that the value asks for, without its index, matches it."""
    match value:
        case ask.TokenIs(system, code):
            row_code, _, row_system = row
            return code in (None, row_code) and system in (None, row_system)
        case ask.TextIs(how, text):
            folded, _, exact = row
            return bool(
                exact == text if how == "exact" else text in folded if how == "contains" else folded.startswith(text)
            )
        case ask.Span():
            low, high, _ = row
            return compares(value, low, high)
        case ask.QuantityIs(span, system, unit):
            number, row_unit, _, row_system = row
            # A quantity may have two rows, as written and in canonical units; no unit asked means as written.
            named = not row_unit.startswith("=") if unit is None else row_unit == unit
            return named and system in (None, row_system) and compares(span, number, number)
        case ask.UriIs(how, uri):
            upper, lower = (row[0], uri) if how == "above" else (uri, row[0])
            return bool(upper == lower or (how != "is" and lower.startswith(upper.rstrip("/") + "/")))
        case ask.RefersTo():
            row_id, row_type, _ = row
            return value.id in ("", row_id) and value.type in ("", row_type)


def _rows(version: Version, kind: ask.Kind, index: int) -> Iterator[Row]:
    return (row[1:] for row in getattr(version.rows, kind) if row[0] == index)


def _elements(version: Version, match: ask.Match) -> set[int]:
    """The elements whose rows match. Every row but a text's, a code's or an amount's ends with its element."""
    place = {"token": 1, "string": 1, "quantity": 2}.get(match.kind, -1)
    return {
        row[place]
        for row in _rows(version, match.kind, match.index)
        if any(matches(value, row) for value in match.any_of)
    }


Versions = Mapping[tuple[str, str], tuple[Version, ...]]


class MemoryReader:
    """What the store held after the write with key `newest`; nobody changes it any more."""

    def __init__(self, versions: Versions, newest: int) -> None:
        self._versions, self._newest = versions, newest

    def newest_key(self) -> int:
        return self._newest

    def read(self, type: str, id: str) -> Stored | None:
        known = self._versions.get((type, id))
        return known[-1].stored if known else None

    def vread(self, type: str, id: str, version: int) -> Stored | None:
        known = self._versions.get((type, id), ())
        return next((v.stored for v in known if v.stored.version == version), None)

    def history(
        self, type: str = "", id: str = "", *, since: int | None = None, before: int | None = None, count: int
    ) -> Sequence[Stored]:
        found = [
            v.stored
            for name, versions in self._versions.items()
            if type in ("", name[0]) and id in ("", name[1])
            for v in versions
            if (since is None or v.stored.at >= since) and (before is None or v.stored.key < before)
        ]
        return sorted(found, key=lambda s: s.key, reverse=True)[:count]

    def every(self, type: str, *, since: int | None = None, as_of: int | None = None) -> Iterator[Stored]:
        current = self._current((type,), self._newest if as_of is None else as_of)
        return (v.stored for v in current if since is None or v.stored.at >= since)

    def count(self, search: ask.Search) -> int:
        return len(self._found(search, self._as_of(search)))

    def search(self, search: ask.Search) -> Page:
        snapshot = self._as_of(search)
        found = self._found(search, snapshot)
        ordered = sorted(found, key=lambda v: _place(search, _sort_values(search, v), v.stored.key))
        if search.cursor is not None:
            ended = _place(search, search.cursor.after, search.cursor.key)
            ordered = [v for v in ordered if _place(search, _sort_values(search, v), v.stored.key) > ended]
        page = ordered[: search.count]
        more = page and len(ordered) > len(page)
        after = ask.Cursor(snapshot, _sort_values(search, page[-1]), page[-1].stored.key) if more else None
        included = self._included(search.includes, page, snapshot)
        total = len(found) if search.total == "accurate" else None
        return Page(tuple(v.stored for v in page), tuple(v.stored for v in included), after, total)

    def _as_of(self, search: ask.Search) -> int:
        return search.cursor.snapshot if search.cursor else self._newest

    def _live(self, type: str, id: str, snapshot: int) -> Version | None:
        """The version that was current as of a key; None if there was none or it was a deletion."""
        known = [v for v in self._versions.get((type, id), ()) if v.stored.key <= snapshot]
        return known[-1] if known and known[-1].stored.content is not None else None

    def _current(self, types: tuple[str, ...], snapshot: int) -> list[Version]:
        live = (self._live(*name, snapshot) for name in self._versions if not types or name[0] in types)
        return sorted((v for v in live if v), key=lambda v: v.stored.key)

    def _found(self, search: ask.Search, snapshot: int) -> list[Version]:
        candidates = self._current(search.types, snapshot)
        return [v for v in candidates if self._holds_all(search.where, v, snapshot)]

    def _holds_all(self, conditions: Sequence[ask.Condition], version: Version, snapshot: int) -> bool:
        return all(self._holds(c, version, snapshot) for c in conditions)

    def _holds(self, condition: ask.Condition, version: Version, snapshot: int) -> bool:
        stored = version.stored
        match condition:
            case ask.Match():
                return bool(_elements(version, condition)) is not condition.negate
            case ask.Missing():
                return (next(_rows(version, condition.kind, condition.index), None) is None) is condition.missing
            case ask.Together():
                return any(
                    set.intersection(*(_elements(version, part) for part in parts)) for parts in condition.any_of
                )
            case ask.Chain():
                wanted = dict(condition.targets)
                return any(
                    (target := self._live(kind, own, snapshot)) and self._holds_all(wanted[kind], target, snapshot)
                    for own, kind, _ in _rows(version, "reference", condition.index)
                    if kind in wanted and condition.only in ("", kind)
                )
            case ask.PointedAt():
                return any(
                    _refers(source, condition.index, stored) and self._holds_all(condition.where, source, snapshot)
                    for source in self._current((condition.type,), snapshot)
                )
            case ask.Ids():
                return (stored.id in condition.ids) is not condition.negate
            case ask.Updated():
                return any(compares(span, stored.at, stored.at + 1) for span in condition.any_of)
            case ask.InCompartment():
                refers = ask.RefersTo(condition.type, condition.id)
                return (condition.itself and (stored.type, stored.id) == (condition.type, condition.id)) or any(
                    matches(refers, row) for index in condition.indexes for row in _rows(version, "reference", index)
                )
            case ask.AnyOf():
                return any(self._holds(c, version, snapshot) for c in condition.conditions)

    def _included(self, includes: Sequence[ask.Include], page: Sequence[Version], snapshot: int) -> list[Version]:
        """What the page includes, in the order of writing: once each, nothing that is on the page already."""
        known = {v.stored.key: v for v in page}
        fresh, rules = list(page), list(includes)
        while fresh and rules:
            found = {v.stored.key: v for rule in rules for start in fresh for v in self._follow(rule, start, snapshot)}
            fresh = [v for key, v in found.items() if key not in known]
            known |= found
            if len(known) - len(page) > ask.MOST_INCLUDED:
                said = f"more than {ask.MOST_INCLUDED} resources: include less, or search for them"
                raise Refusal(HTTPStatus.BAD_REQUEST, "too-costly", said, "_include")
            rules = [rule for rule in rules if rule.iterate]
        return [known[key] for key in sorted(known.keys() - {v.stored.key for v in page})]

    def _follow(self, rule: ask.Include, start: Version, snapshot: int) -> list[Version]:
        if rule.reverse:
            sources = self._current((rule.source,), snapshot) if rule.target in ("", start.stored.type) else []
            return [source for source in sources if _refers(source, rule.index, start.stored)]
        if rule.source != start.stored.type:
            return []
        rows = _rows(start, "reference", rule.index)
        targets = (self._live(kind, own, snapshot) for own, kind, _ in rows if rule.target in ("", kind))
        return [target for target in targets if target]


def _refers(source: Version, index: int, to: Stored) -> bool:
    return any(row[:2] == (to.id, to.type) for row in _rows(source, "reference", index))


# --- order ------------------------------------------------------------------------------------------------------------


def _sort_values(search: ask.Search, version: Version) -> tuple[SortValue, ...]:
    return tuple(_sort_value(sort, version) for sort in search.sort)


def _sort_value(sort: ask.Sort, version: Version) -> SortValue:
    """The least value, or the greatest if descending: of an interval its beginning or its end."""
    if sort.index is None:
        return version.stored.id if sort.kind == "string" else version.stored.key
    rows = _rows(version, sort.kind, sort.index)
    if sort.kind == "quantity":  # amounts compare in canonical units only
        rows = (row for row in rows if row[1].startswith("="))
    place = 1 if sort.descending and sort.kind in ("date", "number") else 0
    values = [row[place] for row in rows]
    return (max(values) if sort.descending else min(values)) if values else None


class _Descending(NamedTuple):
    value: Any

    def __lt__(self, other: Any) -> bool:
        return bool(other.value < self.value)

    def __gt__(self, other: Any) -> bool:
        return bool(other.value > self.value)


def _place(search: ask.Search, values: Sequence[SortValue], key: int) -> tuple[Any, ...]:
    """Where a match with these sort values stands: without a value last, equals in the order of writing."""
    wrapped = (_Descending(v) if sort.descending else v for sort, v in zip(search.sort, values, strict=True))
    return (*((value is None, w) for value, w in zip(values, wrapped, strict=True)), key)


# --- the store --------------------------------------------------------------------------------------------------------


class MemoryUnit(MemoryReader):
    """Writes of one unit, in a copy of what the store held before."""

    def __init__(self, versions: Versions, newest: int, last: int, now: int) -> None:
        self._changed = dict(versions)
        super().__init__(self._changed, newest)
        self._last, self._at = last, max(last, now)  # the record's time never goes back

    def put(self, document: Json, rows: Rows) -> Stored:
        return self._add(document["resourceType"], document["id"], document, rows)

    def delete(self, type: str, id: str) -> Stored | None:
        last = self.read(type, id)
        return self._add(type, id, None, NO_ROWS) if last and last.content is not None else None

    def erase(self, type: str, id: str) -> int:
        return len(self._changed.pop((type, id), ()))

    def _add(self, type: str, id: str, document: Json | None, rows: Rows) -> Stored:
        known = self._changed.get((type, id), ())
        number = known[-1].stored.version + 1 if known else 1
        content = None if document is None else stamp(document, number, self._at)
        self._newest, self._last = self._newest + 1, self._at
        stored = Stored(self._newest, type, id, number, self._at, content)
        self._changed[type, id] = (*known, Version(stored, rows))
        return stored

    def outcome(self) -> tuple[Versions, int, int]:
        """What the store holds if this unit is kept. Keys of what is erased are not given again."""
        return self._changed, self._newest, self._last


class MemoryRepository:
    """Obeys `repository.Repository`; lost with the process. `clock` gives ms since 1970 UTC."""

    quick = True

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._held: tuple[Versions, int, int] = ({}, 0, 0)  # replaced as a whole: who reads keeps what they began with
        self._writing = threading.Lock()
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[MemoryReader]:
        versions, newest, _ = self._held
        yield MemoryReader(versions, newest)

    def write(self, work: Callable[[MemoryUnit], T]) -> T:
        with self._writing:
            if self._closed:
                raise Unavailable("the record is closed: nothing was stored")
            unit = MemoryUnit(*self._held, self._clock())
            answer = work(unit)
            self._held = unit.outcome()
            return answer

    def submit(self, work: Callable[[MemoryUnit], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        try:
            result = self.write(work)
        except Exception as error:  # noqa: BLE001  it belongs to the one who handed the work over
            done(None, error)
        else:
            done(result, None)

    def close(self) -> None:
        with self._writing:
            self._closed = True
