"""Index rows of a resource: what each search parameter finds in it, in the form in which a search compares it.

The search parameters of a type are compiled once into a tree over its elements, so that a resource costs what it holds
and not what could be asked of it. A value that does not fit its type is not indexed; nothing is refused here.
"""

from __future__ import annotations

import math
import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

from adjunct.base import MS_PER_DAY, MS_PER_SECOND, BadInput, units
from adjunct.fhir import definitions
from adjunct.fhir.criteria import INFINITE
from adjunct.fhir.definitions import UCUM
from adjunct.fhir.path import Path, compile_path
from adjunct.fhir.wire import Json, listed, mapped

CURRENCIES = "urn:iso:std:iso:4217"
ANSWERED_OTHERWISE = ("_id", "_lastUpdated")  # a store knows them without rows

KEPT = 512  # characters of a text that are compared
KEPT_BYTES = 1024  # of its UTF-8: two such texts fit one key of a PostgreSQL index
SHORT = 256  # characters that fit whatever they are


class Rows(NamedTuple):
    """Rows by kind; the first entry is the index (`definitions.Parameter.index`). A row may come twice.

    `element` is 0, or in the rows of a composite's own parts the element of the resource they stem from. Instants are
    ms since 1970 UTC, in half-open intervals; an open end is INFINITE. A quantity stands as written, and if its unit
    is UCUM also in the base unit of its dimension, whose name is then "=" and the dimension ("=M").
    """

    token: list[tuple[int, str, int, str]]  # index, code, element, system
    string: list[tuple[int, str, int, str]]  # index, folded, element, exact
    date: list[tuple[int, int, int, int]]  # index, low, high, element
    number: list[tuple[int, float, float, int]]  # index, low, high, element
    quantity: list[tuple[int, float, str, int, str]]  # index, value, unit, element, system
    reference: list[tuple[int, str, str, int]]  # index, id, type, element
    uri: list[tuple[int, str, int]]  # index, uri, element


def rows(document: Json) -> Rows:
    """The rows of a resource."""
    found = Rows([], [], [], [], [], [], [])
    type_name = document.get("resourceType")
    if isinstance(type_name, str) and type_name in definitions.resource_types():
        tree, evaluated = _plan(type_name)
        for key, value in document.items():
            node = tree.below.get(key)
            if node is not None:
                for ordinal, item in enumerate(value if value.__class__ is list else (value,)):
                    node.visit(item, ordinal, found)
        for step in evaluated:
            step.visit(document, found)
    return found


def text_index(index: int) -> int:
    """Where `:text` looks for the words that go with the codes of an index."""
    return crc32(b"text", index)


def identifier_index(index: int) -> int:
    """Where `:identifier` looks for the identifiers by which the references of an index name their target."""
    return crc32(b"identifier", index)


def type_index(index: int) -> int:
    """Where `:of-type` looks: rows are the system and the code of an identifier's type, and "code|value"."""
    return crc32(b"type", index)


# --- values as they are compared --------------------------------------------------------------------------------------


def fold(text: str) -> str:
    """A text without case, accents and surplus blanks, cut to what is compared.

    >>> fold("  Müller-Lüdenscheidt   STRASSE")
    'muller-ludenscheidt strasse'
    """
    if text.isascii():
        return " ".join(text.lower().split())[:KEPT]
    bare = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return cut(" ".join("".join(c for c in bare if not unicodedata.combining(c)).split()))


def cut(text: str) -> str:
    """The beginning of a text that is kept in an index; a search for more compares as much."""
    if len(text) <= SHORT or (len(text) <= KEPT and text.isascii()):
        return text
    return text[:KEPT].encode()[:KEPT_BYTES].decode(errors="ignore")


_EPOCH = datetime.fromtimestamp(0, UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::([0-5]\d|60)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DATE_LENGTH = len("2026-11-22")
_MS_PER_MINUTE = 60_000
_MS_DIGITS = len(str(MS_PER_SECOND)) - 1
_DECEMBER = 12
_TEN = 10


def interval(text: object) -> tuple[int, int] | None:
    """A date, dateTime or instant as [low, high) in ms, as long as it is vague. Without a zone it is read in UTC.

    >>> interval("1970-01-02"), interval("1970-01-01T00:00:01+00:00"), interval("in May")
    ((86400000, 172800000), (1000, 2000), None)
    """
    if not isinstance(text, str):
        return None
    try:
        if len(text) > _DATE_LENGTH:
            return _moment(text)
        parts = _DAY.fullmatch(text)
        if not parts:
            return None
        year, month, day = (int(part) if part else 0 for part in parts.groups())
        if "00" in parts.groups():
            return None  # no such day
        first = date(year, month or 1, day or 1).toordinal() - _EPOCH_DAY
        last = first
        if not day:
            month = month or _DECEMBER
            last = date(year, month, monthrange(year, month)[1]).toordinal() - _EPOCH_DAY
        return first * MS_PER_DAY, (last + 1) * MS_PER_DAY
    except (ValueError, OverflowError):
        return None  # no such day


def _moment(text: str) -> tuple[int, int] | None:
    parts = _TIME.fullmatch(text)
    if not parts:
        return None
    minute, second, fraction, zone = parts.groups()
    since = datetime.fromisoformat(minute + (zone or "Z")) - _EPOCH
    low = since.days * MS_PER_DAY + since.seconds * MS_PER_SECOND
    if second is None:
        return low, low + _MS_PER_MINUTE
    low += int(second) * MS_PER_SECOND  # a leap second is the first of the next minute
    if fraction is None:
        return low, low + MS_PER_SECOND
    digits = fraction[:_MS_DIGITS]
    length: int = _TEN ** (_MS_DIGITS - len(digits))
    low += int(digits) * length
    return low, low + length


def canonical(value: float, code: str) -> tuple[float, str] | None:
    """An amount in the base unit of its dimension, and that unit's name in the rows; None if the unit is not known.

    >>> canonical(250, "mg"), canonical(37, "Cel"), canonical(1, "spoon")
    ((0.25, '=M'), (310.15, '=K'), None)
    """
    unit = units().get(code)
    if unit is None:
        return None
    return float(f"{value * unit.factor + unit.offset:.12g}"), f"={unit.dimension}"  # what is equal compares equal


_LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?", re.ASCII)
_ELSEWHERE = re.compile(r"(https?://\S+/([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64})(?:/_history/\S+)?", re.ASCII)


def referred(text: str) -> tuple[str, str]:
    """What a literal reference points to, as type and id. A URL is an id as a whole; a contained resource has none.

    >>> referred("Patient/7/_history/2"), referred("https://a.example/fhir/Patient/7"), referred("#drug")
    (('Patient', '7'), ('Patient', 'https://a.example/fhir/Patient/7'), ('', ''))
    """
    local = _LOCAL.fullmatch(text)
    if local and local[1] in definitions.resource_types():
        return local[1], local[2]
    elsewhere = _ELSEWHERE.fullmatch(text)
    if elsewhere:
        return (elsewhere[2] if elsewhere[2] in definitions.resource_types() else ""), cut(elsewhere[1])
    return "", "" if text.startswith("#") else cut(text)


# --- what is read from a value ----------------------------------------------------------------------------------------
# A reader gives the rows of one value, without the index: `element` stands in them where `Rows` has it.

_Read = Callable[[Any, int], Iterable[tuple[Any, ...]]]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return value if len(value) <= SHORT else cut(value)


def _code(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    if isinstance(value, bool):
        value = "true" if value else "false"
    return ((cut(value), element, ""),) if isinstance(value, str) else ()


def _coding(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    if not isinstance(value, dict):
        return ()
    return ((_text(value.get("code")), element, _text(value.get("system"))),)


def _concept(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    if not isinstance(value, dict):
        return ()
    codings = listed(value.get("coding")) or [{}]  # said in words only, which is not the same as missing
    return [row for coding in codings for row in _coding(coding, element)]


def _words(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    """What stands beside the codes of a CodeableConcept, Coding or Identifier."""
    if not isinstance(value, dict):
        return ()
    said = [mapped(coding).get("display") for coding in listed(value.get("coding"))]
    said += [value.get("display"), value.get("text"), mapped(value.get("type")).get("text")]
    return [(fold(text), element, cut(text)) for text in said if isinstance(text, str)]


def _identifier(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    if not isinstance(value, dict):
        return ()
    return ((_text(value.get("value")), element, _text(value.get("system"))),)


def _typed_identifier(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    for coding in listed(mapped(mapped(value).get("type")).get("coding")):
        for code, _, system in _coding(coding, element):
            yield cut(f"{code}|{_text(value.get('value'))}"), element, system


def _contact(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    if not isinstance(value, dict):
        return ()
    return ((_text(value.get("value")), element, _text(value.get("use"))),)


def _string(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    return ((fold(value), element, cut(value)),) if isinstance(value, str) else ()


_PARTS = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "country", "postalCode")


def _parts(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    """A HumanName or an Address: every part is a text of its own."""
    said = [value.get(part) for part in _PARTS] if isinstance(value, dict) else ()
    return [row for part in said for text in listed(part) or (part,) for row in _string(text, element)]


def _date(value: Any, element: int) -> Iterable[tuple[int, int, int]]:
    span = interval(value)
    return ((*span, element),) if span else ()


def _period(value: Any, element: int) -> Iterable[tuple[int, int, int]]:
    start, end = (interval(mapped(value).get(name)) for name in ("start", "end"))
    if not start and not end:
        return ()
    low, high = start[0] if start else -INFINITE, end[1] if end else INFINITE
    return ((low, high, element),) if low < high else ()


def _timing(value: Any, element: int) -> Iterable[tuple[int, int, int]]:
    """From the first event to the last, the bounds of the repetition included."""
    spans = [row for event in listed(mapped(value).get("event")) for row in _date(event, element)]
    spans += _period(mapped(mapped(value).get("repeat")).get("boundsPeriod"), element)
    return ((min(low for low, _, _ in spans), max(high for _, high, _ in spans), element),) if spans else ()


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _number(value: Any, element: int) -> Iterable[tuple[float, float, int]]:
    number = _finite(value)
    return () if number is None else ((number, number, element),)


def _number_range(value: Any, element: int) -> Iterable[tuple[float, float, int]]:
    low, high = (_finite(mapped(mapped(value).get(end)).get("value")) for end in ("low", "high"))
    if low is None and high is None:
        return ()
    return ((-float(INFINITE) if low is None else low, float(INFINITE) if high is None else high, element),)


def _amount(value: Any, unit: str, system: str, element: int) -> Iterable[tuple[float, str, int, str]]:
    number = _finite(value)
    if number is None:
        return ()
    written = (number, unit, element, system)
    same = canonical(number, unit) if system == UCUM else None
    return (written, (*same, element, system)) if same else (written,)


def _quantity(value: Any, element: int) -> Iterable[tuple[float, str, int, str]]:
    """By its code; by the unit as it is displayed only if there is no code."""
    if not isinstance(value, dict):
        return ()
    code = _text(value.get("code"))
    system = _text(value.get("system")) if code else ""
    return _amount(value.get("value"), code or _text(value.get("unit")), system, element)


def _money(value: Any, element: int) -> Iterable[tuple[float, str, int, str]]:
    currency = _text(mapped(value).get("currency"))
    return _amount(mapped(value).get("value"), currency, CURRENCIES if currency else "", element)


def _range(value: Any, element: int) -> Iterable[tuple[float, str, int, str]]:
    return [row for end in ("low", "high") for row in _quantity(mapped(value).get(end), element)]


_SAMPLE = re.compile(r"[+-]?\d{1,18}(\.\d*)?", re.ASCII)  # E, L and U say why a value is missing


def _samples(value: Any, element: int) -> Iterable[tuple[float, str, int, str]]:
    """The least and the greatest of the values."""
    data, origin = mapped(value).get("data"), mapped(mapped(value).get("origin"))
    zero, factor = _finite(origin.get("value")), _finite(mapped(value).get("factor", 1))
    if zero is None or factor is None or not isinstance(data, str):
        return ()
    measured = [zero + factor * float(point) for point in data.split() if _SAMPLE.fullmatch(point)]
    bounds = (min(measured), max(measured)) if measured else ()
    return [row for bound in bounds for row in _quantity({**origin, "value": bound}, element)]


def _reference(value: Any, element: int) -> Iterable[tuple[str, str, int]]:
    """Where it leads; nowhere, but not missing, if it only names its target."""
    if not isinstance(value, dict):
        return ()
    text = value.get("reference")
    type_name, id_ = referred(text) if isinstance(text, str) else ("", "")
    return ((id_, type_name or _text(value.get("type")), element),)


def _referred_identifier(value: Any, element: int) -> Iterable[tuple[str, int, str]]:
    return _identifier(mapped(value).get("identifier"), element)


def _uri(value: Any, element: int) -> Iterable[tuple[str, int]]:
    return ((cut(value), element),) if isinstance(value, str) else ()


def _canonical(value: Any, element: int) -> Iterable[tuple[str, int]]:
    """With its version and without."""
    if not isinstance(value, str):
        return ()
    return [(cut(text), element) for text in dict.fromkeys((value, value.partition("|")[0]))]


def _canonical_reference(value: Any, element: int) -> Iterable[tuple[str, str, int]]:
    for text, _ in _canonical(value, element):
        type_name, id_ = referred(text)
        yield id_, type_name, element


#: How values of a type are read for a kind of parameter; what does not stand here is not searched that way.
_READ: dict[str, dict[str, _Read]] = {
    "token": {
        "CodeableConcept": _concept,
        "Coding": _coding,
        "Identifier": _identifier,
        "ContactPoint": _contact,
        **dict.fromkeys(("boolean", "code", "id", "string", "uri", "canonical", "url", "oid", "uuid"), _code),
    },
    "string": {"HumanName": _parts, "Address": _parts, **dict.fromkeys(("string", "markdown"), _string)},
    "date": {"Period": _period, "Timing": _timing, **dict.fromkeys(("date", "dateTime", "instant"), _date)},
    "number": {"Range": _number_range, **dict.fromkeys(("decimal", "integer", "positiveInt", "unsignedInt"), _number)},
    "quantity": {
        "Money": _money,
        "Range": _range,
        "SampledData": _samples,
        **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), _quantity),
    },
    "reference": {"Reference": _reference, **dict.fromkeys(("canonical", "uri"), _canonical_reference)},
    "uri": {"canonical": _canonical, **dict.fromkeys(("uri", "url", "oid", "uuid"), _uri)},
}
#: What else is kept of a value, for a modifier: the kind of rows, how it is read, and under which index.
_BESIDE: dict[tuple[str, str], tuple[tuple[str, _Read, Callable[[int], int]], ...]] = {
    ("token", "CodeableConcept"): (("string", _words, text_index),),
    ("token", "Coding"): (("string", _words, text_index),),
    ("token", "Identifier"): (("string", _words, text_index), ("token", _typed_identifier, type_index)),
    ("reference", "Reference"): (("token", _referred_identifier, identifier_index),),
}


# --- the plan of a type -----------------------------------------------------------------------------------------------


_How = tuple[int, _Read, int, int]  # which of `Rows`, the reader, and `base` and `step` of the element


class _Target(NamedTuple):
    """For which parameter a value is read. In a composite `element` counts from `base` by `step`."""

    kind: str
    into: int
    base: int = 0
    step: int = 0
    composite: bool = False

    def reads(self, type_name: str) -> Iterator[tuple[_How, int]]:
        """How values of a type are read, and under which index the rows stand."""
        read = _READ[self.kind].get(type_name)
        if read:
            yield (Rows._fields.index(self.kind), read, self.base, self.step), self.into
        if not self.composite:
            for rows, beside, index in _BESIDE.get((self.kind, type_name), ()):
                yield (Rows._fields.index(rows), beside, self.base, self.step), index(self.into)


class _Node:
    """An element on the way to what is searched: how its value is read, and the elements below it by JSON key."""

    __slots__ = ("below", "reads")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.reads: dict[_How, list[tuple[int]]] = {}  # each index as a row's beginning

    def visit(self, value: Any, ordinal: int, found: Sequence[list[Any]]) -> None:
        for (kind, read, base, step), indexes in self.reads.items():
            rows = found[kind]
            for row in read(value, base + step * ordinal):
                for index in indexes:
                    rows.append(index + row)
        if self.below and value.__class__ is dict:
            for key, inner in value.items():
                node = self.below.get(key)
                if node is None:
                    continue
                if inner.__class__ is list:
                    for item in inner:
                        node.visit(item, ordinal, found)
                else:
                    node.visit(inner, ordinal, found)


class _Evaluated(NamedTuple):
    """What is more than a way down: FHIRPath says what is found, once for each of the elements `each`, if any."""

    path: Path
    target: _Target
    each: str

    def visit(self, document: Json, found: Sequence[list[Any]]) -> None:
        elements = document.get(self.each, ()) if self.each else ()
        for type_name, value in _typed(self.path, document):
            for (kind, read, base, step), index in self.target.reads(type_name):
                for ordinal in range(len(listed(elements)) or 1):
                    found[kind].extend((index, *row) for row in read(value, base + step * ordinal))


def _typed(path: Path, document: Json) -> Sequence[tuple[str, Any]]:
    try:
        return path.typed(document)
    except BadInput:
        return ()  # the resource is not what its type says


@cache
def _plan(type_name: str) -> tuple[_Node, tuple[_Evaluated, ...]]:
    """The search parameters of a type, every index once."""
    tree, evaluated = _Node(), []
    for target, path, each in _wanted(type_name):
        if each or not _PLAIN.fullmatch(path):
            evaluated.append(_Evaluated(compile_path(path, type_name), target, each))
            continue
        for keys, end in _ends(type_name, path.split(".")[1:]):
            node = tree
            for key in keys:
                node = node.below.setdefault(key, _Node())
            for how, index in target.reads(end):
                node.reads.setdefault(how, []).append((index,))
    return tree, tuple(evaluated)


_PLAIN = re.compile(r"\w+(?:\.\w+|\.ofType\(\w+\))*")
_OF_TYPE = re.compile(r"ofType\((\w+)\)")
_RESOURCE = "%resource"


def _wanted(type_name: str) -> Iterator[tuple[_Target, str, str]]:
    """What rows are wanted, from where, and for which elements they are repeated."""
    seen = set()
    for parameter in definitions.parameters(type_name).values():
        if parameter.parts:
            continue
        contexts = parameter.expression.split(" | ")
        if parameter.type in _READ and parameter.name not in ANSWERED_OTHERWISE and parameter.index not in seen:
            seen.add(parameter.index)
            for path in contexts:
                yield _Target(parameter.type, parameter.index), path, ""
        for component in parameter.components:
            if component.rooted or component.index in seen:
                continue
            seen.add(component.index)
            base = 0
            for context in contexts:
                whole = context == type_name
                target = _Target(component.type, component.index, base, 0 if whole else 1, composite=True)
                for branch in component.expression.split(" | "):
                    if branch.startswith(_RESOURCE):
                        yield target, branch.replace(_RESOURCE, type_name), context.removeprefix(f"{type_name}.")
                    else:
                        yield target, f"{context}.{branch}", ""
                base += whole


def _ends(type_name: str, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where a path leads, as JSON keys and the type there: a choice of types leads to each."""
    if not names:
        yield (), type_name
        return
    element = definitions.elements(type_name).get(names[0])
    if element is None:
        return
    rest = names[1:]
    asked = _OF_TYPE.fullmatch(rest[0]) if rest else None
    for key, type_ in element.keys:
        if not asked or definitions.is_subtype(type_, asked[1]):
            for keys, end in _ends(type_, rest[1:] if asked else rest):
                yield (key, *keys), end
