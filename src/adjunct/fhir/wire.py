"""JSON from outside: bytes, text, a file, a stream or Python objects, read in one way only or refused in one line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import IO, Any, cast

import orjson

from adjunct.base import BadInput

Json = dict[str, Any]

MAX_BYTES = 64 * 1024 * 1024  # one person's record; parsed it takes about ten times as much memory
MAX_DEPTH = 64  # levels of objects and lists; the deepest official R4 example has 22
MAX_VALUES = 5_000_000  # values in a record handed over as Python objects, where no byte count protects
PLACE_LENGTH = 160  # characters of a place in a message; deeper places are cut
MAX_INTEGER = 2**53  # beyond it a whole number is read as a decimal one, in JSON text as well
UTF8_BOM = b"\xef\xbb\xbf"


def read_json(source: object) -> tuple[object, bytes]:
    """The value, and the same value as JSON bytes in plain form."""
    return _from_objects(source) if isinstance(source, Mapping) else _from_json(_bytes(source))


class Exact(float):
    """A number as it was written: it computes as a float and is written back digit by digit.

    >>> document = read_exact(b'{"value": 120.50, "factor": 1E2}')
    >>> document["value"] + 1, write_exact(document)
    (121.5, b'{"value":120.50,"factor":1E2}')
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Exact:
        number = super().__new__(cls, text)
        number.text = text
        return number


def read_exact(raw: bytes) -> object:
    """The value with every number as it was written. BadInput for what is not JSON, read in one way only."""
    value, _ = _from_json(_bytes(raw))
    if not _INEXACT.search(raw):
        return value
    return json.loads(raw.removeprefix(UTF8_BOM), parse_float=Exact, parse_int=_integer)


def write_exact(value: object) -> bytes:
    """Compact JSON; the inverse of `read_exact`."""
    return orjson.dumps(value, default=_as_written)


#: Numbers that a float would write differently: trailing zeros, exponents, many digits, minus zero. A hit inside a
#: string costs time and nothing else.
_INEXACT = re.compile(rb"[:\[,]\s*-?(?:\d+\.\d*0\s*[,\]}]|\d+(?:\.\d+)?[eE]|[\d.]{16})|-0[\s,\]}]")
EXACT_DIGITS = 15


def _integer(text: str) -> int | Exact:
    return int(text) if len(text) <= EXACT_DIGITS and text != "-0" else Exact(text)


def _as_written(value: object) -> orjson.Fragment:
    if isinstance(value, Exact):
        return orjson.Fragment(value.text)
    raise TypeError(type(value).__name__)


def listed(value: object) -> list[Any]:
    """The value if it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


def mapped(value: object) -> Json:
    """The value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def _bytes(source: object) -> bytes:
    if isinstance(source, str):
        _refuse_size(len(source))
        try:
            return source.encode()
        except UnicodeEncodeError:
            raise BadInput("half of a character pair in the text: send valid Unicode") from None
    if isinstance(source, Path):
        try:
            _refuse_size(source.stat().st_size, str(source))
            with source.open("rb") as stream:
                return _bounded(stream, str(source))
        except OSError as error:
            raise BadInput(
                f"cannot read the file: {error.strerror}; name a readable Bundle file", str(source)
            ) from None
        except ValueError:
            raise BadInput("not a file name; name a readable Bundle file") from None
    if isinstance(source, bytes | bytearray | memoryview):
        _refuse_size(len(source))
        return bytes(source)
    if hasattr(source, "read"):
        return _bounded(cast(IO[bytes], source), "")
    raise BadInput(f"a Bundle cannot be read from a {type(source).__name__}: send JSON, a pathlib.Path or parsed JSON")


def _bounded(stream: IO[bytes], at: str) -> bytes:
    raw: bytes | str = stream.read(MAX_BYTES + 1)  # never more, whatever the sender claims or keeps sending
    _refuse_size(len(raw), at)
    return raw.encode() if isinstance(raw, str) else raw


def _refuse_size(size: int, at: str = "") -> None:
    if size > MAX_BYTES:
        raise BadInput(f"larger than {MAX_BYTES} bytes, too much for one person's record: send less history", at)


_CONTROL = re.compile(rb"\\(?:u00[01]|[bf])")  # may also hit an escaped backslash: only a reason to look closer
_CONTROL_SAID = "a control character in a string: FHIR allows only tab and line ends; remove it"
#: Characters that no text in FHIR may hold.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_XML, _GZIP, _ZIP = b"<", b"\x1f\x8b", b"PK"
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"\x00")
_FILE_NAME = re.compile(r"[^\s{}\[\]\"][^\n{}\[\]\"]{0,1000}\.(?:json|ndjson|csv|txt)\s*", re.IGNORECASE)
_SEND_R4 = "send FHIR R4 as JSON"


def _from_json(raw: bytes) -> tuple[object, bytes]:
    raw = raw.removeprefix(UTF8_BOM)  # Windows editors write it; it changes nothing
    if not raw.strip():
        raise BadInput(f"the input is empty: {_SEND_R4}")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _not_json(raw, error) from None
    _refuse_depth(value)
    again = orjson.dumps(value)
    # A key that came twice is lost in parsing, and its quotation marks with it: counting them is enough to notice.
    if raw.count(b'"') != again.count(b'"') or b"\\u0022" in raw:
        _refuse_twice(raw)
    if _CONTROL.search(raw):
        _refuse_controls(value)
    return value, again


def _not_json(raw: bytes, error: json.JSONDecodeError) -> BadInput:
    at = f"line {error.lineno}, column {error.colno}"
    start = raw.lstrip()
    if start.startswith(_XML):
        return BadInput("this is XML: send FHIR as JSON", "line 1")
    if start.startswith((_GZIP, _ZIP)):
        return BadInput("this is a compressed file: unpack it and send the JSON", "line 1")
    if raw.startswith(_UTF16):
        return BadInput("this is not UTF-8: save the JSON as UTF-8 and send it again", "line 1")
    try:
        text = raw.decode()
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        column = problem.start - raw.rfind(b"\n", 0, problem.start)
        return BadInput("not valid UTF-8: save the JSON as UTF-8 and send it again", f"line {line}, byte {column}")
    if text[error.pos :].startswith(("NaN", "Infinity", "-Infinity")) or "infinity" in error.msg:
        return BadInput("not a finite number: leave the value out or write the number", at)
    if "depth" in error.msg or "ecursion" in error.msg:
        return _too_deep(at)
    if _FILE_NAME.fullmatch(text):
        return BadInput("this is a file name, not JSON: send the file as pathlib.Path(...)", "line 1")
    if "after" in error.msg and start.startswith(b"{"):
        return BadInput("more than one JSON document (NDJSON?): wrap the resources in one Bundle", at)
    return BadInput(f"not JSON: {_SEND_R4}", at)


def _too_deep(at: str = "") -> BadInput:
    said = f"nested more than {MAX_DEPTH} levels deep: send the resources side by side in Bundle.entry"
    return BadInput(said, _shown(at))


def _shown(at: str) -> str:
    return at if len(at) <= PLACE_LENGTH else f"{at[:PLACE_LENGTH]}..."


def _refuse_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if child.__class__ is dict or child.__class__ is list
        ]
        if not level:
            return
    raise _too_deep()


class _Twice(dict[str, Any]):
    """An object in which a key came twice; kept until its place is known."""


def _refuse_twice(raw: bytes) -> None:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        one = dict(items)
        return one if len(one) == len(items) else _Twice(one)

    try:
        value = json.loads(raw, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        raise BadInput(f"not JSON that can be read in one way only: {_SEND_R4}") from None
    for at, node in walk(value):
        if isinstance(node, _Twice):
            raise BadInput("a key comes twice in one object: keep the one that is meant", _shown(at))


def _refuse_controls(value: object) -> None:
    for at, node in walk(value):
        texts = node if isinstance(node, dict) else (node,)
        if any(isinstance(text, str) and FORBIDDEN.search(text) for text in texts):
            raise BadInput(_CONTROL_SAID, _shown(at))


_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")


def _below(at: str, key: str) -> str:
    """The place of an element; a key that is no element name may hold anything and is not repeated."""
    return f"{at}.{key}" if _NAME.fullmatch(key) else f"{at}.?"


def walk(value: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Every value with its place, in order, without recursion: only the way to a message takes it."""
    kind = value.get("resourceType") if isinstance(value, dict) else None
    stack: list[tuple[str, object]] = [
        (at or (kind if isinstance(kind, str) and _NAME.fullmatch(kind) else "$"), value)
    ]
    while stack:
        at, node = stack.pop()
        yield at, node
        if isinstance(node, dict):
            stack.extend(reversed([(_below(at, key), child) for key, child in node.items()]))
        elif isinstance(node, list):
            stack.extend(reversed([(f"{at}[{i}]", child) for i, child in enumerate(node)]))


def _from_objects(source: Mapping[str, Any]) -> tuple[object, bytes]:
    """A deep copy in plain JSON types: later changes by the caller, circles and foreign types stay outside."""
    seen = count(1)

    def plain(value: object, at: str, depth: int) -> Any:
        if next(seen) > MAX_VALUES:
            raise BadInput(f"more than {MAX_VALUES} values, too much for one person's record: send less history")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            if FORBIDDEN.search(value):
                raise BadInput(_CONTROL_SAID, _shown(at))
            return str(value)
        if isinstance(value, int | float | Decimal):
            try:
                number = float(value)
            except (OverflowError, ValueError):
                number = math.inf
            if not math.isfinite(number):
                raise BadInput("not a finite number: leave the value out or write the number", _shown(at))
            return int(value) if isinstance(value, int) and abs(value) <= MAX_INTEGER else number
        if depth >= MAX_DEPTH:
            raise _too_deep(at)
        if isinstance(value, Mapping):
            copy = {}
            for key, child in value.items():
                if not isinstance(key, str) or FORBIDDEN.search(key):
                    raise BadInput("a key that is not a plain string: send parsed JSON", _shown(at))
                copy[str(key)] = plain(child, _below(at, key), depth + 1)
            return copy
        if isinstance(value, list | tuple):
            return [plain(child, f"{at}[{i}]", depth + 1) for i, child in enumerate(value)]
        raise BadInput(f"a {type(value).__name__} is not JSON: send parsed JSON", _shown(at))

    document = plain(source, "Bundle", 0)
    return document, orjson.dumps(document)
