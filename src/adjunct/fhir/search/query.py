"""A whole search: the parameters of one request, read into what is asked and how it is to be answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus as Status
from typing import Literal, cast
from urllib.parse import parse_qsl

from adjunct.base import shown
from adjunct.fhir import criteria as ask
from adjunct.fhir import definitions
from adjunct.fhir.indexing import interval
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Stored
from adjunct.fhir.search.conditions import Expand, Reading, Unknown, known, leads_on, refuse_canonical
from adjunct.fhir.search.cursor import MOST_KEY, Pairs, decode_cursor, encode_cursor
from adjunct.fhir.search.summary import Summary, elements_of, shorten, summary_of
from adjunct.fhir.search.values import refuse
from adjunct.fhir.wire import FORBIDDEN

MOST_RULES = 100  # of what to include
MOST_SORTS = 10
_DIGITS = re.compile(r"[0-9]{1,9}")
_JSON = ("json", "application/json", "application/fhir+json", "text/json")
_SORTABLE = ("token", "string", "date", "number", "quantity", "uri", "reference")
_INCLUDING = re.compile(r"_(rev)?include(:iterate)?")
_ONCE = frozenset({"_count", "_summary", "_elements", "_total", "_sort", "_cursor", "_type", "_format", "_since"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A search and the form of its answer. `used`: the parameters that were understood; `ignored`: names of others."""

    search: ask.Search
    used: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    summary: Summary = "false"
    elements: tuple[str, ...] = ()
    of: tuple[tuple[str, str], ...] = ()  # what a cursor belongs to

    def following(self, cursor: ask.Cursor) -> str:
        """Where the next page begins, in a text that is good for this search only."""
        return encode_cursor(cursor, self.of)

    @property
    def counted(self) -> bool:
        """Only the number of matches is wanted."""
        return self.summary == "count"

    def shorten(self, stored: Stored) -> bytes:
        """The resource as `_summary` and `_elements` want it; what is included keeps all its elements."""
        types = self.search.types
        wanted = self.elements if not types or stored.type in types else ()
        return shorten(stored.content or b"", self.summary, wanted)


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """The parameters of a query string or form, decoded, in their order."""
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except ValueError:
        raise Refusal(
            Status.BAD_REQUEST, "invalid", "not UTF-8 behind the percent signs: encode the query as UTF-8"
        ) from None


def parse(
    type_name: str,
    query: Pairs,
    *,
    strict: bool,
    now: int,
    count: int,
    limit: int | None = None,
    base: str = "",
    within: ask.Search | None = None,
    expand: Expand | None = None,
) -> Asked:
    """A search of one type, or of the types that `_type` names (`type_name` empty), `within` a compartment if given.

    `count` is the length of a page unless `_count` says otherwise, up to `limit`; without one a client has no say in
    pages. An unknown parameter is refused if `strict` and otherwise listed as ignored; a value that cannot be read is
    refused always.
    """
    for key, value in query:
        if FORBIDDEN.search(key + value):
            raise Refusal(Status.BAD_REQUEST, "invalid", "a control character in the query: FHIR has none; remove it")
    said = _said_once(query)
    types = _types(type_name, said.get("_type"), within)
    summary = summary_of(said.get("_summary", "false"))
    page = count if limit is None or "_count" not in said else _count(said["_count"], limit)
    if page == 0:
        summary = "count"
    reading = Reading(now=now, base=base, expand=expand)
    where: list[ask.Condition] = list(within.where) if within else []
    sort: tuple[ask.Sort, ...] = ()
    includes: list[ask.Include] = []
    used: list[tuple[str, str]] = []
    ignored: list[str] = []
    for key, value in query:
        try:
            if not value:
                raise Unknown(f"no value for {shown(key)}: write one, or leave the parameter out")
            if key == "_sort":
                sort = tuple(_sort(types, rule) for rule in value.split(","))
                if len(sort) > MOST_SORTS:
                    refuse(key, f"more than {MOST_SORTS} keys to sort by: the first few decide", "too-costly")
            elif found := _INCLUDING.fullmatch(key):
                includes += _includes(types, key, value, reverse=bool(found[1]), iterate=bool(found[2]))
            elif key == "_format":
                _json_only(value)
            elif key not in _RESULT or (key == "_type" and type_name):
                where += reading.conditions(types, key, value)
            used.append((key, value))
        except Unknown as unknown:
            if strict:
                raise Refusal(Status.BAD_REQUEST, "not-supported", str(unknown), key) from None
            ignored.append(key)
    if len(includes) > MOST_RULES:
        refuse("_include", f"more than {MOST_RULES} references to follow: name those that you need", "too-costly")
    place = ("", repr((types, within.where if within else ())))  # the same query elsewhere is another search
    of = (place, *((key, value) for key, value in used if key != "_cursor"))
    search = ask.Search(
        types=types,
        where=tuple(where),
        sort=sort,
        count=page,
        includes=tuple(dict.fromkeys(includes)),
        total=_total(said["_total"]) if "_total" in said else "none",
        cursor=None if limit is None or "_cursor" not in said else decode_cursor(said["_cursor"], of, sort),
    )
    elements = elements_of(said["_elements"], types) if said.get("_elements") else ()
    return Asked(
        search=search,
        used=tuple(used),
        ignored=tuple(dict.fromkeys(ignored)),
        summary=summary,
        elements=elements,
        of=of,
    )


#: They say how to answer, not what to find. `_format` and `_pretty` change nothing, because all answers are JSON, nor
#: does fhirpy's `_totalMethod`, because a count is always exact.
_RESULT = frozenset(
    {"_count", "_summary", "_elements", "_total", "_cursor", "_type", "_format", "_pretty", "_totalMethod"}
)


def _said_once(query: Pairs) -> Mapping[str, str]:
    said: dict[str, str] = {}
    for key, value in query:
        if key in _ONCE:
            if key in said:
                refuse(key, "given twice: say it once")
            said[key] = value
    return said


def _types(type_name: str, listed: str | None, within: ask.Search | None) -> tuple[str, ...]:
    if type_name:
        return (type_name,)
    possible = within.types if within else tuple(definitions.resource_types())
    if listed is None:
        return within.types if within else ()
    wanted = tuple(dict.fromkeys(listed.split(",")))
    if not set(wanted) <= set(possible):
        refuse("_type", "names what is no resource type of R4" + (" in this compartment" if within else ""))
    return wanted


def _count(text: str, limit: int) -> int:
    if not _DIGITS.fullmatch(text):
        refuse("_count", "not a whole number: write for example 50; 0 only counts")
    return min(int(text), limit)


def _total(text: str) -> Literal["none", "accurate"]:
    if text not in ("none", "estimate", "accurate"):
        refuse("_total", "write none, estimate or accurate")
    return "none" if text == "none" else "accurate"


def _json_only(text: str) -> None:
    if text.partition(";")[0].strip().lower() not in _JSON:
        raise Refusal(Status.NOT_ACCEPTABLE, "not-supported", "answers are JSON only: leave _format out", "_format")


def _sort(types: tuple[str, ...], rule: str) -> ask.Sort:
    name, descending = rule.removeprefix("-"), rule.startswith("-")
    if name == "_id":
        return ask.Sort(None, "string", descending)
    if name == "_lastUpdated":
        return ask.Sort(None, "date", descending)
    meant = known(types, name)
    if len(meant) > 1:
        refuse("_sort", f"{name} means something else in each of these types: search one of them")
    if meant[0].parts:
        refuse("_sort", f"{name} has no order of its own: sort by {' or '.join(p.name for p in meant[0].parts)}")
    if meant[0].type not in _SORTABLE:
        refuse("_sort", f"a {meant[0].type} has no order: sort by another parameter")
    return ask.Sort(meant[0].index, cast(ask.Kind, meant[0].type), descending)


def _includes(types: tuple[str, ...], key: str, text: str, *, reverse: bool, iterate: bool) -> list[ask.Include]:
    """`Type:parameter`, `Type:parameter:Target`, `Type:*`; `*` for all references of what is searched."""
    source, _, rest = text.partition(":")
    name, _, target = rest.partition(":")
    if text == "*" and not reverse and types:
        return [i for t in types for i in _includes(types, key, f"{t}:*", reverse=reverse, iterate=iterate)]
    of_r4 = definitions.resource_types()
    if source not in of_r4 or not name or (target and target not in of_r4):
        refuse(key, "write Type:parameter or Type:parameter:Target, for example Observation:subject:Patient")
    found = definitions.parameters(source).values() if name == "*" else known((source,), name)
    references = [p for p in found if p.type == "reference" and (name != "*" or leads_on(p))]
    if not references:
        refuse(key, f"{source} has no reference of this name")
    for one in references:
        refuse_canonical(one, key)
    if target:
        references = [p for p in references if not p.targets or target in p.targets]
    if not references:
        refuse(key, f"{source}.{name} does not refer to {target}")
    led = {p.index: target or p.only for p in sorted(references, key=lambda p: p.only, reverse=True)}  # the widest last
    return [ask.Include(source, index, to, iterate, reverse) for index, to in led.items()]


# --- histories --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryAsked:
    """`since` in ms since 1970; `before`: the key where a page ended."""

    since: int | None
    before: int | None
    count: int


def parse_history(query: Pairs, *, count: int, limit: int) -> HistoryAsked:
    """The parameters of `_history`."""
    said = _only_these(query, ("_count", "_since", "_before", "_format", "_pretty"))
    before = said.get("_before")
    if before is not None and not (before.isascii() and before.isdecimal() and len(before) < len(str(MOST_KEY))):
        refuse("_before", "not of this history: follow the links of a page, or begin again without it")
    return HistoryAsked(
        since=_since(said),
        before=int(before) if before else None,
        count=max(_count(said["_count"], limit), 1) if "_count" in said else count,
    )


def _only_these(query: Pairs, names: Sequence[str]) -> dict[str, str]:
    said = dict(_said_once(query))
    for key, value in query:
        if key not in names:
            refuse(key, f"unknown parameter here: there are {', '.join(names)}", "not-supported")
        if key == "_format":
            _json_only(value)
        said[key] = value
    return said


def _since(said: Mapping[str, str]) -> int | None:
    if "_since" not in said:
        return None
    meant = interval(said["_since"])
    if meant is None:
        refuse("_since", "not an instant: write for example 2026-11-22T09:30:00Z")
    return meant[0]
