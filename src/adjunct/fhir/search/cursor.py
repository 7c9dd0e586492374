"""Where a page ended, as text for the address of the next one: opaque, and good for the same search only."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

import orjson

from adjunct.fhir.criteria import Cursor, Sort
from adjunct.fhir.search.values import refuse

Pairs = Sequence[tuple[str, str]]

CHECK_BYTES = 9
BASE64_PADDING = 2  # more than is missing does no harm
MOST_KEY = 9_223_372_036_854_775_807  # of a database's integers
_NUMERIC = ("date", "number", "quantity")
_NOT_OURS = "this cursor is not of this search: follow the links of a page, or begin again without it"


def encode_cursor(cursor: Cursor, query: Pairs) -> str:
    """`query`: the parameters of the search without `_cursor`; their order does not matter."""
    place = orjson.dumps([cursor.snapshot, cursor.key, *cursor.after])
    return urlsafe_b64encode(_check(place, query) + place).decode().rstrip("=")


def decode_cursor(text: str, query: Pairs, sort: Sequence[Sort]) -> Cursor:
    """The place that the text names. Refuses what is not the cursor of this search, its order included."""
    try:
        raw = urlsafe_b64decode(text + "=" * BASE64_PADDING)
        check, place = raw[:CHECK_BYTES], raw[CHECK_BYTES:]
        snapshot, key, *after = orjson.loads(place)
    except (ValueError, TypeError, binascii.Error):
        refuse("_cursor", _NOT_OURS)
    of_sort = len(after) == len(sort) and all(_fits(v, s) for v, s in zip(after, sort, strict=False))
    if check != _check(place, query) or not of_sort or not all(_is_key(k) for k in (snapshot, key)):
        refuse("_cursor", _NOT_OURS)
    return Cursor(snapshot, tuple(after), key)


def _check(place: bytes, query: Pairs) -> bytes:
    return sha256(orjson.dumps(sorted(query)) + place).digest()[:CHECK_BYTES]


def _is_key(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_KEY


def _fits(value: object, sort: Sort) -> bool:
    if sort.index is None and sort.kind == "date":
        return _is_key(value)
    return value is None or type(value) in ((int, float) if sort.kind in _NUMERIC else (str,))
