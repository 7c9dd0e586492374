"""What a search asks, as values: read once from the query (`search`), answered by every store in its own way.

A condition speaks of index rows (`indexing`), never of JSON: a store that has the rows can answer it. All conditions
of a search must hold; within one condition any of its values may match. Instants are ms since 1970 UTC; texts that are
compared without regard to case and accents are folded already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["token", "string", "date", "number", "quantity", "uri", "reference"]
Compare = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
INFINITE = 2**62  # ms; an open end of a period
MOST_INCLUDED = 10_000  # resources that one page may include; with more it would fill the memory


class TokenIs(NamedTuple):
    """A code. None matches any system, "" only a code without system; `code` None matches any code of the system."""

    system: str | None
    code: str | None


class TextIs(NamedTuple):
    """A text: `starts` and `contains` compare folded text, `exact` the text as written."""

    how: Literal["starts", "contains", "exact"]
    text: str


class Span(NamedTuple):
    """What was asked, as an interval: [low, high) in ms for dates, in the unit of the row for numbers."""

    compare: Compare
    low: float
    high: float


class QuantityIs(NamedTuple):
    """An amount. `unit` is the row's unit; None matches any. For UCUM both sides are converted to canonical units."""

    span: Span
    system: str | None
    unit: str | None


class UriIs(NamedTuple):
    """`is` the whole URI, `below` it or what begins with it as a path, `above` it or a beginning of it."""

    how: Literal["is", "below", "above"]
    uri: str


class RefersTo(NamedTuple):
    """What a reference points to; an empty `type` matches any type. An absolute URL stands in `id` whole."""

    type: str
    id: str


Value = TokenIs | TextIs | Span | QuantityIs | UriIs | RefersTo


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A row of this index matches one of the values; `negate` (`:not`): no row does."""

    index: int
    kind: Kind
    any_of: tuple[Value, ...]
    negate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The resource has no row in this index (`missing`), or has one (not `missing`)."""

    index: int
    kind: Kind
    missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """A composite: one element of the resource matches every part of one of the alternatives."""

    any_of: tuple[tuple[Match, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A reference of this index leads to a current resource of one of the types for which all of `where` holds."""

    index: int
    targets: tuple[tuple[str, tuple[Condition, ...]], ...]  # type, and what must hold there
    only: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointedAt:
    """`_has`: some current resource of `type` refers to this one through `index`, and all of `where` holds for it."""

    type: str
    index: int
    where: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The logical id is one of these, or none of them."""

    ids: tuple[str, ...]
    negate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """`_lastUpdated` compares with one of the spans."""

    any_of: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InCompartment:
    """The resource is `type`/`id` itself (`itself`), or refers to it through one of these reference indexes."""

    type: str
    id: str
    indexes: tuple[int, ...]
    itself: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """At least one of the conditions holds."""

    conditions: tuple[Condition, ...]


Condition = Match | Missing | Together | Chain | PointedAt | Ids | Updated | InCompartment | AnyOf


@dataclass(frozen=True, slots=True)
class Sort:
    """By the least value of an index (the greatest, if descending); resources without a value come last.

    `index` None: by `_id` (kind "string"), or by `_lastUpdated`, which is the order of writing (kind "date").
    """

    index: int | None
    kind: Kind
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """`_include`: what `source` refers to through `index`; `_revinclude`: the `source` that refers to a match."""

    source: str
    index: int
    target: str = ""  # only resources of this type
    iterate: bool = False
    reverse: bool = False


class Cursor(NamedTuple):
    """Where a page ended: `snapshot` is the last key written when the search began, `after` the last sort values.

    Every page of one search is answered as of `snapshot`: what is written meanwhile neither repeats nor hides a match.
    """

    snapshot: int
    after: tuple[str | float | int | None, ...]
    key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search of resources of these types (empty: of every type), ordered, by pages of `count`."""

    types: tuple[str, ...]
    where: tuple[Condition, ...] = ()
    sort: tuple[Sort, ...] = ()
    count: int
    includes: tuple[Include, ...] = ()
    total: Literal["none", "accurate"] = "none"
    cursor: Cursor | None = None
