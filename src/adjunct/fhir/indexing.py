"""Index rows of a resource: what each search parameter finds in it, in the form in which a search compares it.

The search parameters of a type are compiled once into a tree over its elements, so that a resource costs what it holds
and not what could be asked of it. A value that does not fit its type is not indexed; nothing is refused here.
"""

from __future__ import annotations

import math
import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

from adjunct.base import MS_PER_DAY, MS_PER_SECOND, units
from adjunct.fhir import definitions
from adjunct.fhir.criteria import INFINITE
from adjunct.fhir.wire import Json, listed, mapped

UCUM = "http://unitsofmeasure.org"
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
    if type_name in definitions.resource_types():
        tree, evaluated = _plan(str(type_name))
        for key, value in document.items():
            node = tree.below.get(key)
            if node is not None:
                for ordinal, item in enumerate(value if value.__class__ is list else (value,)):
                    node.visit(item, ordinal, found)
        for step in evaluated:
            step.run(document, found)
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


_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


# --- from values to rows ----------------------------------------------------------------------------------------------


class _Target(NamedTuple):
    """Where rows go. `beside`: the index of words or names. In a composite `element` counts from `base` by `step`."""

    into: int
    beside: int
    base: int
    step: int


_Emit = Callable[[Any, int, Rows, "Sequence[_Target]"], None]


def _text_of(value: Any) -> str:
    return cut(value) if isinstance(value, str) else ""


def _code(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if isinstance(value, str):
        code = cut(value)
    elif isinstance(value, bool):
        code = "true" if value else "false"
    else:
        return
    for into, _, base, step in targets:
        found.token.append((into, code, base + step * ordinal, ""))


def _coding(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if value.__class__ is not dict:
        return
    code, system = _text_of(value.get("code")), _text_of(value.get("system"))
    for into, _, base, step in targets:
        found.token.append((into, code, base + step * ordinal, system))
    if "display" in value:
        _words(value["display"], found, targets)


def _codeable(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if value.__class__ is not dict:
        return
    codings = value.get("coding")
    if codings.__class__ is list and codings:
        for coding in codings:
            _coding(coding, ordinal, found, targets)
    else:  # said in words only, which is not the same as missing
        _coding({}, ordinal, found, targets)
    if "text" in value:
        _words(value["text"], found, targets)


def _words(text: Any, found: Rows, targets: Sequence[_Target]) -> None:
    if isinstance(text, str):
        folded, exact = fold(text), cut(text)
        for target in targets:
            if target.beside:
                found.string.append((target.beside, folded, 0, exact))


def _identifier(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if value.__class__ is not dict:
        return
    code, system = _text_of(value.get("value")), _text_of(value.get("system"))
    for into, _, base, step in targets:
        found.token.append((into, code, base + step * ordinal, system))
    kind = value.get("type")
    if kind.__class__ is dict:
        _words(kind.get("text"), found, targets)
        for coding in listed(kind.get("coding")):
            if coding.__class__ is dict and isinstance(coding.get("code"), str):
                typed = cut(f"{coding['code']}|{code}")
                for target in targets:
                    if target.beside:
                        found.token.append((type_index(target.into), typed, 0, _text_of(coding.get("system"))))


def _contact(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if value.__class__ is dict:
        for into, _, base, step in targets:
            row = (into, _text_of(value.get("value")), base + step * ordinal, _text_of(value.get("use")))
            found.token.append(row)


def _string(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if isinstance(value, str):
        folded, exact = fold(value), cut(value)
        for into, _, base, step in targets:
            found.string.append((into, folded, base + step * ordinal, exact))


_PARTS = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "country", "postalCode")


def _parts(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    """A HumanName or an Address: every part is a text of its own."""
    if value.__class__ is dict:
        for part in _PARTS:
            said = value.get(part)
            for text in said if said.__class__ is list else (said,):
                _string(text, ordinal, found, targets)


def _span(span: tuple[int, int] | None, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if span and span[0] <= span[1]:
        for into, _, base, step in targets:
            found.date.append((into, *span, base + step * ordinal))


def _date(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    _span(interval(value), ordinal, found, targets)


def _period_of(value: Any) -> tuple[int, int] | None:
    if value.__class__ is not dict:
        return None
    start, end = interval(value.get("start")), interval(value.get("end"))
    if not start and not end:
        return None
    return start[0] if start else -INFINITE, end[1] if end else INFINITE


def _period(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    _span(_period_of(value), ordinal, found, targets)


def _timing(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    """From the first event to the last, the bounds of the repetition included."""
    if value.__class__ is dict:
        spans = [interval(event) for event in listed(value.get("event"))]
        spans.append(_period_of(mapped(value.get("repeat")).get("boundsPeriod")))
        known = [span for span in spans if span]
        if known:
            _span((min(low for low, _ in known), max(high for _, high in known)), ordinal, found, targets)


def _finite(value: Any) -> float | None:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None


def _number(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    number = _finite(value)
    if number is not None:
        for into, _, base, step in targets:
            found.number.append((into, number, number, base + step * ordinal))


def _number_range(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if value.__class__ is dict:
        low, high = (_finite(mapped(value.get(end)).get("value")) for end in ("low", "high"))
        if low is not None or high is not None:
            ends = (-float(INFINITE) if low is None else low, float(INFINITE) if high is None else high)
            for into, _, base, step in targets:
                found.number.append((into, *ends, base + step * ordinal))


def _amount(
    number: float | None, unit: str, system: str, ordinal: int, found: Rows, targets: Sequence[_Target]
) -> None:
    if number is None:
        return
    same = canonical(number, unit) if system == UCUM else None
    for into, _, base, step in targets:
        element = base + step * ordinal
        found.quantity.append((into, number, unit, element, system))
        if same:
            found.quantity.append((into, *same, element, system))


def _quantity(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if value.__class__ is dict:
        unit = _text_of(value.get("code")) or _text_of(value.get("unit"))
        system = _text_of(value.get("system")) if "code" in value else ""
        _amount(_finite(value.get("value")), unit, system, ordinal, found, targets)


def _money(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if value.__class__ is dict:
        number, currency = _finite(value.get("value")), _text_of(value.get("currency"))
        _amount(number, currency, CURRENCIES if currency else "", ordinal, found, targets)


def _range(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    for end in ("low", "high"):
        _quantity(mapped(value).get(end), ordinal, found, targets)


def _samples(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    """The least and the greatest of the values, as R4 has it for sampled data."""
    origin = mapped(mapped(value).get("origin"))
    zero, factor = _finite(origin.get("value")), _finite(value.get("factor", 1)) if origin else None
    data = value.get("data") if origin else None
    if zero is None or factor is None or not isinstance(data, str):
        return
    measured = [zero + factor * float(point) for point in data.split() if _SAMPLE.fullmatch(point)]
    if measured:
        for bound in (min(measured), max(measured)):
            _quantity({**origin, "value": bound}, ordinal, found, targets)


_SAMPLE = re.compile(r"[+-]?\d{1,18}(\.\d*)?", re.ASCII)  # E, L and U say why a value is missing


def _reference(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if value.__class__ is not dict:
        return
    text = value.get("reference")
    type_name, id_ = referred(text) if isinstance(text, str) else ("", "")
    type_name = type_name or _text_of(value.get("type"))
    for into, _, base, step in targets:
        found.reference.append((into, id_, type_name, base + step * ordinal))
    identifier = value.get("identifier")
    if identifier.__class__ is dict:
        named = [_Target(target.beside, 0, 0, 0) for target in targets if target.beside]
        _identifier(identifier, ordinal, found, named)


def _canonical_reference(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    """By its URL, with the version and without."""
    if isinstance(value, str):
        for text in {value: 0, value.partition("|")[0]: 0}:
            type_name, id_ = referred(text)
            for into, _, base, step in targets:
                found.reference.append((into, id_, type_name, base + step * ordinal))


def _uri(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if isinstance(value, str):
        for into, _, base, step in targets:
            found.uri.append((into, cut(value), base + step * ordinal))


def _canonical_uri(value: Any, ordinal: int, found: Rows, targets: Sequence[_Target]) -> None:
    if isinstance(value, str):
        for text in {value: 0, value.partition("|")[0]: 0}:
            _uri(text, ordinal, found, targets)


#: How values of a type become rows of a parameter; what does not stand here is not searched that way.
_EMITS: dict[str, dict[str, _Emit]] = {
    "token": {
        "CodeableConcept": _codeable,
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
    "uri": {"canonical": _canonical_uri, **dict.fromkeys(("uri", "url", "oid", "uuid"), _uri)},
}


# --- the plan of a type -----------------------------------------------------------------------------------------------


class _Node:
    """An element on the way to what is searched: what to do with its value, and the elements below it by JSON key."""

    __slots__ = ("below", "emits")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.emits: dict[_Emit, list[_Target]] = {}

    def visit(self, value: Any, ordinal: int, found: Rows) -> None:
        for emit, targets in self.emits.items():
            emit(value, ordinal, found, targets)
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
    """What is more than a path to an element: FHIRPath says what is found, for each of the elements `each`, if any."""

    path: Any
    emits: dict[str, _Emit]
    target: _Target
    each: str

    def run(self, document: Json, found: Rows) -> None:
        for type_name, value in self.path.typed(document):
            emit = self.emits.get(type_name)
            if emit:
                elements = document.get(self.each, ()) if self.each else (None,)
                for ordinal in range(len(elements) if elements.__class__ is list else 1):
                    emit(value, ordinal, found, (self.target,))


_PLAIN = re.compile(r"\w+(?:\.\w+|\.ofType\(\w+\))*")


@cache
def _plan(type_name: str) -> tuple[_Node, tuple[_Evaluated, ...]]:
    """The search parameters of a type, every index once."""
    tree, evaluated = _Node(), []
    for kind, path, each, target in _wanted(type_name):
        emits = _EMITS[kind]
        if not _PLAIN.fullmatch(path):
            try:  # TEMPORARY until path compiles
                from adjunct.fhir.path import compile_path
            except ImportError:
                continue
            evaluated.append(_Evaluated(compile_path(path, type_name), emits, target, each))
            continue
        for keys, end in _ends(type_name, path.split(".")[1:]):
            if end in emits:
                node = tree
                for key in keys:
                    node = node.below.setdefault(key, _Node())
                node.emits.setdefault(emits[end], []).append(target)
    return tree, tuple(evaluated)


def _wanted(type_name: str) -> Iterator[tuple[str, str, str, _Target]]:
    """For each branch of each expression: the kind of rows, the path, what it is repeated for, and the target."""
    seen = set()
    for parameter in definitions.parameters(type_name).values():
        contexts = parameter.expression.split(" | ")
        if parameter.type in _EMITS and parameter.name not in ANSWERED_OTHERWISE and parameter.index not in seen:
            seen.add(parameter.index)
            beside = identifier_index if parameter.type == "reference" else text_index
            target = _Target(parameter.index, beside(parameter.index), 0, 0)
            for path in contexts:
                yield parameter.type, path, "", target
        for component in parameter.components:
            if component.rooted or component.index in seen:
                continue
            seen.add(component.index)
            base = 0
            for context in contexts:
                whole = context == type_name
                target = _Target(component.index, 0, base, 0 if whole else 1)
                for branch in component.expression.split(" | "):
                    if branch.startswith(_RESOURCE):
                        each = context.removeprefix(f"{type_name}.")
                        yield component.type, branch.replace(_RESOURCE, type_name), each, target
                    else:
                        yield component.type, f"{context}.{branch}", "", target
                base += whole


_RESOURCE = "%resource"


def _ends(type_name: str, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where a path leads, as JSON keys and the type there: a choice of types leads to each."""
    if not names:
        yield (), type_name
        return
    element = definitions.elements(type_name).get(names[0])
    if element is None:
        return
    rest = names[1:]
    types = element.types
    if rest and rest[0].startswith("ofType("):
        types = tuple(t for t in types if rest[0] == f"ofType({t})")
        rest = rest[1:]
    for type_ in types:
        key = f"{element.name}{type_[0].upper()}{type_[1:]}" if element.choice else element.name
        for keys, end in _ends(type_, rest):
            yield (key, *keys), end
