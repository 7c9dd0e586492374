"""The log of a treatment day: one line in, one checked event out, or what was received kept aside with the reason.

Nothing received is lost and nothing raises. A line that cannot be used is `Held`, whole, with the first reason; the
measures, scores and signs that can still be read in it come along in `Held.event`: judged, though they do not count.
A measure outside the plausible range of its concept stays in `data` and is named in `data["implausible"]`: something to
look at, never a value. The types and their fields are those of `events.toml`, compiled once into a `Shape`.
"""

from __future__ import annotations

import json
import re
import reprlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, lru_cache
from hashlib import sha256
from math import isfinite
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import orjson

from adjunct.base import MS_PER_SECOND, BadInput, Refused, UnitError, convert, instant, shown, unit_spellings, units
from adjunct.knowledge import Knowledge
from adjunct.session.model import Event, Held

IMPLAUSIBLE = "implausible"  # in the data of an event: names of the measures that are not taken as values
REQUIRED = ("id", "at", "received", "type", "by", "source", "data")
MISTAKEN = {"mm[Hg]": "kPa", "Cel": "[degF]"}  # units in which a number is sent by mistake for the one expected
INSTANT = "^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})(?::([0-5][0-9](?:[.][0-9]+)?))?(Z|[+-][0-9]{2}:[0-9]{2})$"
EPOCH = datetime.fromtimestamp(0, UTC)
UNSEEN = (
    "\\u007f-\\u009f\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff"  # move cursors, turn lines around, hide
)
UNSEEN_IN = {"text": f"[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f{UNSEEN}]", "name": f"[\\u0000-\\u001f{UNSEEN}]"}
_HIDES = {where: re.compile(signs).search for where, signs in UNSEEN_IN.items()}
_IS_INSTANT = re.compile(INSTANT).fullmatch
_NUMBER = frozenset({int, float})
_QUANTITY = {"value", "unit"}
_JUDGED = frozenset({"measure", "score", "sign"})
_COMPILED: WeakKeyDictionary[Knowledge, Shape] = WeakKeyDictionary()


class Field(NamedTuple):
    """One field: how it is read (`BadInput` says why not) and written. A measure beyond `low` or `high` is no value."""

    kind: str
    read: Callable[[Any], Any]
    schema: dict[str, Any]
    low: float | None = None
    high: float | None = None
    write: Callable[[Any, timedelta], Any] | None = None  # None: as it is


class Type(NamedTuple):
    says: str
    fields: Mapping[str, Field]
    required: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """Every type of event with its fields, compiled: what a line is read against."""

    types: Mapping[str, Type]
    persons: frozenset[str]  # types that no device may send
    name: Field
    longest: int  # bytes of a line
    kept: int  # characters kept of a line that is longer

    @classmethod
    def of(cls, knowledge: Knowledge) -> Shape:
        if knowledge not in _COMPILED:
            _COMPILED[knowledge] = _compiled(knowledge)
        return _COMPILED[knowledge]


# --- reading ----------------------------------------------------------------------------------------------------------


def read_log(lines: Iterable[bytes | str], shape: Shape) -> Iterator[Event | Held]:
    """Every line that is not blank, in the order in which it stands, one at a time."""
    for number, raw in enumerate(lines, 1):
        if raw and not raw.isspace():
            yield read_event(raw, shape, where=f"line {number}")


def read_event(raw: bytes | str | Mapping[str, Any], shape: Shape, *, where: str = "") -> Event | Held:
    """One event as it was sent, checked and in canonical units; or what was sent, with the first reason against it."""
    try:
        text = _bytes(raw)
    except orjson.JSONEncodeError as error:
        return Held(reprlib.repr(raw), where, f"cannot be written as JSON: {error}; send text and numbers only")
    if len(text) > shape.longest:
        why = f"longer than the {shape.longest} bytes of one event: only its first part is kept; send it in parts"
        tail = f"\u2026 ({len(text)} bytes, SHA-256 {sha256(text).hexdigest()})"
        return Held(_shown(text[: shape.kept]) + tail, where, why)
    try:
        sent = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Held(_shown(text), where, f"not one whole JSON object in UTF-8: {error}; send the whole line again")
    try:
        if type(sent) is dict:
            _each_once(text, sent)
        return _event(sent, shape)
    except BadInput as error:
        why = str(error)
    received = _time(sent.get("received")) if isinstance(sent, dict) else None
    return Held(_shown(text), where, why, received[0] if received else None, _judged(sent, received, shape))


def read_data(kind: object, given: object, shape: Shape) -> dict[str, Any]:
    """The data of one type of event, checked: also what a correction carries. `BadInput` says what is wrong."""
    found = shape.types.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise BadInput(f"type: {shown(str(kind))} is not a type of event; send one of {', '.join(shape.types)}")
    return _data(found, given)


def _event(sent: Any, shape: Shape) -> Event:
    if type(sent) is not dict:
        raise BadInput("not an object: send one event, {" + ", ".join(REQUIRED) + "}")
    name = "session"
    try:
        session = shape.name.read(sent["session"]) if "session" in sent else ""
        read = shape.name.read
        ident, by = read(sent[name := "id"]), read(sent[name := "by"])
        source = by if sent[name := "source"] == by else read(sent["source"])
        at, offset = _instant(sent[name := "at"])
        received = at if sent[name := "received"] == sent["at"] else _instant(sent["received"])[0]
        kind, given = sent[name := "type"], sent[name := "data"]
    except KeyError:
        raise BadInput(f"{name}: missing; every event carries {', '.join(REQUIRED)}") from None
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None
    if len(sent) > len(REQUIRED) + ("session" in sent):
        extra = next(str(key) for key in sent if key not in REQUIRED and key != "session")
        raise BadInput(f"{shown(extra)}: not part of an event; put what was seen into data, or leave it out")
    data = read_data(kind, given, shape)
    if kind in shape.persons and by.casefold().split() == source.casefold().split():
        raise BadInput("by: only a person says this, never a device; write who in by, and through what in source")
    return Event(ident, at, received, kind, by, source, data, session, offset)


def _data(kind: Type, given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise BadInput("data: not an object; send the fields of this type, or {}")
    data: dict[str, Any] = {}
    fields, odd = kind.fields, []
    for name, value in given.items():
        try:
            _, read, _, low, high, _ = fields[name]
            data[name] = got = read(value)
        except KeyError:
            raise BadInput(f"data: {shown(str(name))} is not a field of this type; leave it out") from None
        except BadInput as error:
            raise BadInput(f"data.{name}: {error}") from None
        if low is not None and not low <= got <= high:
            odd.append(name)
    if not kind.required <= data.keys():
        raise BadInput(f"data: {', '.join(sorted(kind.required - data.keys()))} missing; this type needs it")
    if odd:
        data[IMPLAUSIBLE] = tuple(odd)
    return data


def _judged(sent: Any, received: tuple[int, timedelta] | None, shape: Shape) -> Event | None:
    """The measures, scores and signs of a held event that can be read; of an unknown type, the vital signs."""
    given = sent.get("data") if isinstance(sent, dict) else None
    if not isinstance(given, dict):
        return None
    name = str(sent.get("type"))
    kind = name if name in shape.types else "vitals"
    fields = shape.types[kind].fields
    whole = {part: value for part, value in given.items() if part in fields and _reads(fields[part], value)}
    times = _time(sent.get("at")) or received
    if times is None or not any(fields[part].kind in _JUDGED for part in whole):
        return None
    data = _data(Type("", fields, frozenset()), whole)
    ident, by, source, session = (str(sent.get(part) or "") for part in ("id", "by", "source", "session"))
    return Event(ident, times[0], (received or times)[0], kind, by, source, data, session, times[1])


def _each_once(text: bytes, sent: dict[str, Any]) -> None:
    """Refuse an object that names something twice: JSON keeps its last word, and the other would be lost unseen.

    Nearly every line has as many names as colons right after a quotation mark; only another one is looked at closely.
    """
    names = text.count(b'":')
    if not (b'" ' in text or b'"\n' in text or b'"\r' in text or b'"\t' in text):  # nothing before a colon
        inner = sent.get("data")
        if names == len(sent) + (len(inner) if type(inner) is dict else 0):
            return
        level = [sent]
        while names > 0 and level:
            names -= sum(map(len, level))
            level = [v for each in level for v in each.values() if type(v) is dict] if names else []
        if not names:
            return
    try:
        json.loads(text, object_pairs_hook=_once, parse_int=float)
    except RecursionError:
        raise BadInput("nested too deep: an event is an object of fields") from None


def json_object(raw: str | bytes) -> dict[str, Any]:
    """One line as an object in which nothing is named twice. `BadInput`: it is none."""
    text = _bytes(raw)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise BadInput("not one JSON object: send one whole entry a line")
    _each_once(text, found)
    return found


def hidden(text: str) -> bool:
    """Whether a name holds what cannot be seen: two persons would look like one, and one like two."""
    return not text.isprintable() and bool(_HIDES["name"](text))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadInput("a name stands twice in one object; send each once")
    return found


def _reads(field: Field, value: Any) -> bool:
    try:
        field.read(value)
    except BadInput:
        return False
    return True


def _instant(text: Any) -> tuple[int, timedelta]:
    """As `base.instant`, in a third of the time: most instants of a log lie in a minute that was read before."""
    parts = _IS_INSTANT(text) if type(text) is str else None
    if parts is None:
        found = instant(text if type(text) is str else "")  # says what is wrong
        return found.ms, found.offset
    minute, seconds, zone = parts.groups()
    start, offset = _minute(minute, zone)
    return (start + round(float(seconds) * MS_PER_SECOND) if seconds else start), offset


@lru_cache
def _minute(minute: str, zone: str) -> tuple[int, timedelta]:
    found = instant(minute + zone)
    return found.ms, found.offset


def _time(text: Any) -> tuple[int, timedelta] | None:
    with suppress(BadInput):
        return _instant(text)
    return None


def _bytes(raw: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(raw, bytes):
        return raw.removeprefix(BOM_UTF8)
    if isinstance(raw, str):
        return raw.encode("utf-8", "surrogatepass").removeprefix(BOM_UTF8)
    return orjson.dumps(dict(raw), default=dict)


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")


# --- the kinds of fields ----------------------------------------------------------------------------------------------


def _compiled(knowledge: Knowledge) -> Shape:
    told, limit = knowledge.content["events"], knowledge.content["events"]["limit"]
    types = {}
    for entry in told["type"]:
        more = knowledge.content[entry["of"]].get("item", ()) if "of" in entry else ()
        fields = {field["id"]: _field(field, knowledge) for field in (*entry["field"], *more)}
        required = frozenset(field["id"] for field in entry["field"] if field.get("required"))
        types[entry["id"]] = Type(entry["says"], fields, required)
    persons = frozenset(entry["id"] for entry in told["type"] if entry.get("person"))
    return Shape(
        types=types,
        persons=persons,
        name=_words(limit["name"], "name", "name"),
        longest=limit["line"],
        kept=limit["text"],
    )


def _field(entry: Mapping[str, Any], knowledge: Knowledge) -> Field:
    """One field of an event from its row in a knowledge file."""
    kind, name = entry["kind"], entry["id"]
    limit = knowledge.content["events"]["limit"]
    match kind:
        case "measure" | "score":
            concept = knowledge.concepts.get(name := entry.get("concept", name))
            if concept is None or concept.plausible is None:
                raise Refused(f"{name!r} is a {kind} but no concept with a plausible range: add it to concepts")
            low, high = concept.plausible
            if kind == "score":
                return _score(low, high)
            plain = f"session.plain.{name}"
            least = knowledge.number(plain) if plain in knowledge.facts else low
            return _measure(concept.unit, low, high, least, concept.molar_mass)
        case "amount":
            return _amount(entry["unit"])
        case "text":
            return _words(limit["text"], kind, "text")
        case "name" | "event":
            return _words(limit["name"], kind, "name")
        case "choice":
            return _choice(tuple(entry["choices"]), kind)
        case "sign":
            return _choice(tuple(sign["id"] for sign in knowledge.content["alarms"].get("sign", ())), kind)
        case "count":
            return _count(limit["count"])
        case "yes-no" | "instant" | "data":
            return _PLAIN[kind]
    raise Refused(f"{name!r} is of the unknown kind {kind!r}: use one that events.toml explains")


def _measure(unit: str, low: float, high: float, least: float, molar_mass: float | None) -> Field:
    """A number in `unit`, or {value, unit}, between `low` and `high` where it is believed.

    A plain number outside `least` to `high` that would lie within them in the unit often sent by mistake is refused:
    neither reading of it may be taken.
    """
    other = MISTAKEN.get(unit, unit)
    from_, to = convert(least, unit, other), convert(high, unit, other)
    with_unit = _quantity(unit, molar_mass)

    def doubted(number: float) -> bool:
        return not least <= number <= high and from_ <= number <= to

    def read(value: Any) -> float:
        if type(value) not in _NUMBER:
            return with_unit(value)
        if not least <= value <= high and doubted(value):
            raise BadInput(f"looks like {other}, {unit} is expected; send {{value, unit}} with the unit of the device")
        return float(value)

    def write(number: float, _: timedelta) -> Any:
        return {"value": number, "unit": unit} if doubted(number) else number

    plain: dict[str, Any] = {"type": "number"}
    if other != unit:
        plain["not"] = {"minimum": from_, "maximum": to, "not": {"minimum": least, "maximum": high}}
    return Field("measure", read, _either(plain, {"type": "number"}, unit, molar_mass), low, high, write)


def _amount(unit: str) -> Field:
    quantity = _quantity(unit, None)

    def read(value: Any) -> float:
        number = quantity(value)
        if number < 0:
            raise BadInput(f"below zero; send 0 or more {unit}")
        return number

    number = {"type": "number", "minimum": 0}
    return Field("amount", read, _either(number, number, unit, None))


def _quantity(unit: str, molar_mass: float | None) -> Callable[[Any], float]:
    spellings = _spellings(unit, molar_mass)

    def read(value: Any) -> float:
        if type(value) in _NUMBER:
            return float(value)
        if value is None:
            raise BadInput("empty; leave out what was not measured")
        if not isinstance(value, dict) or value.keys() != _QUANTITY or type(value["value"]) not in _NUMBER:
            raise BadInput(f"not a number; send one in {unit}, or {{value, unit}}")
        code = spellings.get(value["unit"]) if isinstance(value["unit"], str) else None
        if code is None:
            raise BadInput(f"the unit {shown(str(value['unit']))} does not measure this; send {unit} or one like it")
        number = convert(float(value["value"]), code, unit, molar_mass=molar_mass)
        if not isfinite(number):
            raise BadInput(f"too large for any measure in {unit}; look at the value and the unit")
        return number

    return read


def _either(plain: Mapping[str, Any], value: Mapping[str, Any], unit: str, molar_mass: float | None) -> dict[str, Any]:
    quantity = {
        "type": "object",
        "properties": {"value": value, "unit": {"enum": sorted(_spellings(unit, molar_mass))}},
        "required": ["value", "unit"],
        "additionalProperties": False,
    }
    return {"description": f"in {unit}, or with a unit", "anyOf": [plain, quantity]}


@cache
def _spellings(unit: str, molar_mass: float | None) -> Mapping[str, str]:
    """Every way to write a unit that measures the same, with its UCUM code."""

    def measures(code: str) -> bool:
        try:
            return isfinite(convert(1, code, unit, molar_mass=molar_mass))
        except UnitError:
            return False

    codes = {code for code in units() if measures(code)}
    return {text: code for text, code in unit_spellings().items() if code in codes} | {code: code for code in codes}


def _score(low: float, high: float) -> Field:
    says = f"from {low:g} to {high:g}, whole or half"

    def read(value: Any) -> float:
        if type(value) not in _NUMBER or not low <= value <= high or not (value * 2.0).is_integer():
            raise BadInput(f"not a score {says}; leave out what was not rated")
        return float(value)

    schema = {"type": "number", "minimum": low, "maximum": high, "multipleOf": 1 / 2, "description": says}
    return Field("score", read, schema)


def _words(longest: int, kind: str, unseen: str) -> Field:
    hides = _HIDES[unseen]

    def read(value: Any) -> str:
        if type(value) is not str or not value or value.isspace():
            raise BadInput("not words; write at least one, or leave it out")
        if len(value) > longest:
            raise BadInput(f"longer than {longest} characters; write it shorter, or the rest in a note")
        if not value.isprintable() and hides(value):
            raise BadInput("holds a sign that cannot be seen, such as one that moves the cursor; send words only")
        return value

    schema = {"type": "string", "pattern": "\\S", "maxLength": longest, "not": {"pattern": UNSEEN_IN[unseen]}}
    return Field(kind, read, schema)


def _choice(choices: tuple[str, ...], kind: str) -> Field:
    known = frozenset(choices)

    def read(value: Any) -> str:
        if type(value) is not str or value not in known:
            raise BadInput(f"not one of the words for it; send {', '.join(choices)}")
        return value

    return Field(kind, read, {"enum": list(choices)})


def _yes_no(value: Any) -> bool:
    if type(value) is not bool:
        raise BadInput("not true or false; leave out what was not asked")
    return value


def _count(most: int) -> Field:
    def read(value: Any) -> int:
        if type(value) not in _NUMBER or not 1 <= value <= most or value != int(value):
            raise BadInput(f"not a whole number from 1 to {most}")
        return int(value)

    return Field("count", read, {"type": "integer", "minimum": 1, "maximum": most})


def _moment(value: Any) -> int:
    return _instant(value)[0]


def _object(value: Any) -> Mapping[str, Any]:
    """The data of a correction: what it has to be depends on the event that it corrects, see `read_data`."""
    if not isinstance(value, dict):
        raise BadInput("not an object; send the whole data as it should have been")
    try:
        orjson.dumps({"held": {"event": {"data": {"data": value}}}})  # it must fit into any line of a log
    except orjson.JSONEncodeError:
        raise BadInput("nested too deep; send the whole data as it should have been") from None
    return value


def _iso(ms: int, offset: timedelta) -> str:
    moment = (EPOCH + timedelta(milliseconds=ms)).astimezone(timezone(offset))
    return moment.isoformat(timespec="milliseconds" if ms % MS_PER_SECOND else "seconds")


_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "pattern": INSTANT}
_PLAIN = {
    "yes-no": Field("yes-no", _yes_no, {"type": "boolean"}),
    "instant": Field("instant", _moment, _TIME, write=_iso),
    "data": Field("data", _object, {"type": "object"}),
}


# --- writing ----------------------------------------------------------------------------------------------------------


def to_json(event: Event, shape: Shape) -> dict[str, Any]:
    """The event as `read_event` takes it, every instant in the offset of `at`."""
    return {
        "id": event.id,
        "at": _iso(event.at, event.offset),
        "received": _iso(event.received, event.offset),
        "type": event.type,
        "by": event.by,
        "source": event.source,
        "data": write_data(event.type, event.data, shape, event.offset),
    } | ({"session": event.session} if event.session else {})


def write_data(kind: str, data: Mapping[str, Any], shape: Shape, offset: timedelta = timedelta(0)) -> dict[str, Any]:
    """The data of one type of event as `read_data` takes it: what a correction by a machine has to carry."""
    fields = shape.types[kind].fields
    return {
        name: write(value, offset) if (write := fields[name].write) else value
        for name, value in data.items()
        if name != IMPLAUSIBLE
    }


def line(event: Event, shape: Shape) -> str:
    """The event as one line of a log, without the line's end."""
    return orjson.dumps(to_json(event, shape)).decode()


def json_schema(knowledge: Knowledge) -> dict[str, Any]:
    """One JSON Schema for one event, made from what `read_event` reads by. `format` of an instant must be checked."""
    shape = Shape.of(knowledge)
    words = shape.name.schema
    properties = {
        "id": words,
        "at": _TIME | {"description": "when it happened"},
        "received": _TIME | {"description": "when it arrived here"},
        "type": {"enum": list(shape.types)},
        "by": words | {"description": "who did it or saw it"},
        "source": words | {"description": "what it came through"},
        "data": {"type": "object"},
        "session": words,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One event of a treatment day",
        "type": "object",
        "required": list(REQUIRED),
        "additionalProperties": False,
        "properties": properties,
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}},
                "then": {"properties": {"data": {"$ref": f"#/$defs/{name}"}}},
            }
            for name in shape.types
        ],
        "$defs": {
            name: {
                "description": kind.says,
                "type": "object",
                "properties": {part: field.schema for part, field in kind.fields.items()},
                "required": sorted(kind.required),
                "additionalProperties": False,
            }
            for name, kind in shape.types.items()
        },
    }
